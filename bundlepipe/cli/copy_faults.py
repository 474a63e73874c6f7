"""What imgpkg refuses to copy, or where to, in its words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bundlepipe.errors import BundlepipeError, DocumentError, InputError, InvalidContent, InvalidReference, OutputError
from bundlepipe.files import read_file
from bundlepipe.oci.go_names import repository_problem
from bundlepipe.oci.reference import Reference

if TYPE_CHECKING:
    from bundlepipe.verbs.copy import CopyRequest

_NOT_DECODED = "Unmarshaling images lock: error unmarshaling JSON: while decoding JSON: "


def check_tar(request: CopyRequest, path: str) -> None:
    """Raise OutputError where imgpkg writes no tar, since it makes no directories, InvalidContent for no tar of its."""
    directory = os.path.dirname(path)
    if directory and not os.path.exists(directory):
        raise OutputError(
            f"{path}: there is no directory '{directory}'",
            drop_in=f"Creating file '{path}': open {path}: no such file or directory",
        )
    if request.resume and os.path.isfile(path):
        from bundlepipe.stores.archive import count_present_layers

        try:
            count_present_layers(path)
        except InvalidContent as error:
            error.drop_in = f"Reading previously created tar '{path}': {error.drop_in or error}"
            raise


def repository_fault(text: str) -> str | None:
    """Return what imgpkg says of the name of a repository that is none to go-containerregistry; None if it is one."""
    problem = repository_problem(text)
    return problem and f"Building import repository ref: {problem}"


def lock_fault(error: BundlepipeError, path: str) -> str | None:
    """Return what imgpkg says of a lock that cannot be read, or is no ImagesLock; None for other faults of form."""
    fault = None
    if not os.path.exists(path):
        fault = f"Reading path {path}: open {path}: no such file or directory"
    elif os.path.isdir(path):
        fault = f"Reading path {path}: read {path}: is a directory"
    elif isinstance(error, DocumentError):
        fault = _content_fault(path)
    return fault and f"Trying to read bundle or images lock file: {fault}"


def _content_fault(path: str) -> str | None:
    from bundlepipe.documents.go_yaml import conversion_problem, go_mismatch
    from bundlepipe.documents.images_lock import API_VERSION, KIND
    from bundlepipe.documents.yaml_source import parse

    try:
        content = read_file(path)
        if problem := conversion_problem(content.decode(errors="replace")):
            return f"Unmarshaling images lock: {problem}"
        documents = parse(content, path)
    except (DocumentError, InputError):
        return None
    document: Any = documents[0].data if documents else {}
    if not isinstance(document, dict):
        return f"{_NOT_DECODED}{go_mismatch(documents[0].node, 'lockconfig.ImagesLock')}"
    if unknown := sorted(map(str, set(document) - {"apiVersion", "kind", "images"})):
        return f'{_NOT_DECODED}json: unknown field "{unknown[0]}"'
    for key, what, value in (("apiVersion", "version", API_VERSION), ("kind", "kind", KIND)):
        if document.get(key) != value:
            return f"Validating images lock: Validating {key}: Unknown {what} (known: {value})"
    for image in _texts_of_images(document):
        if not _is_by_digest(image):
            return f"Validating images lock: Expected ref to be in digest form, got '{image}'"
    return None


def _texts_of_images(document: dict[str, Any]) -> Iterator[str]:
    images = document.get("images")
    for entry in images if isinstance(images, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("image"), str):
            yield entry["image"]


def _is_by_digest(text: str) -> bool:
    try:
        return Reference.parse(text).digest is not None
    except InvalidReference:
        return False
