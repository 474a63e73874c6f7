"""What imgpkg, and kbld with it, refuses to copy, or where to, in its words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bundlepipe.errors import InvalidContent, OutputError
from bundlepipe.oci.go_names import repository_problem

if TYPE_CHECKING:
    from bundlepipe.verbs.copying.request import CopyRequest


def check_tar(request: CopyRequest, path: str) -> None:
    """Raise OutputError where imgpkg writes no tar, InvalidContent for no tar of its."""
    check_directory(path)
    if request.resume and os.path.isfile(path):
        from bundlepipe.stores.archive.reader import count_present_layers

        try:
            count_present_layers(path)
        except InvalidContent as error:
            error.drop_in = f"Reading previously created tar '{path}': {error.drop_in or error}"
            raise


def check_directory(path: str) -> None:
    """Raise OutputError where imgpkg and kbld write no tar, since they make no directories."""
    directory = os.path.dirname(path)
    if directory and not os.path.exists(directory):
        raise OutputError(
            f"{path}: there is no directory '{directory}'",
            drop_in=f"Creating file '{path}': open {path}: no such file or directory",
        )


def repository_fault(text: str) -> str | None:
    """Return what imgpkg and kbld say of the name of a repository that is none to them; None if it is one."""
    problem = repository_problem(text)
    return problem and f"Building import repository ref: {problem}"
