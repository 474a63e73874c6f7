"""Checks of imgpkg, shared by kbld, before a copy, with their error texts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bundlepipe.errors import InvalidContent, OutputError
from bundlepipe.oci.go_names import repository_problem

if TYPE_CHECKING:
    from bundlepipe.verbs.copying.request import CopyRequest


def check_tar(request: CopyRequest, path: str) -> None:
    """Raise OutputError where imgpkg cannot write a tar file, InvalidContent if it is not one of imgpkg's."""
    check_directory(path)
    if request.resume and os.path.isfile(path):
        from bundlepipe.stores.archive.reader import count_present_layers

        try:
            count_present_layers(path)
        except InvalidContent as error:
            error.drop_in = f"Reading previously created tar '{path}': {error.drop_in or error}"
            raise


def check_directory(path: str) -> None:
    """Raise OutputError where imgpkg and kbld write no tar file, since they create no directories."""
    directory = os.path.dirname(path)
    if directory and not os.path.exists(directory):
        raise OutputError(
            f"{path}: there is no directory '{directory}'",
            drop_in=f"Creating file '{path}': open {path}: no such file or directory",
        )


def repository_fault(text: str) -> str | None:
    """Return the error of imgpkg and kbld for an invalid name of a repository; None if it is valid."""
    problem = repository_problem(text)
    return problem and f"Building import repository ref: {problem}"
