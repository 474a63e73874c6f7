"""Shared by imgpkg's documents: an API version, and images by digest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bundlepipe.documents.imgpkg.canonical import canonical_data
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.reference import Reference

if TYPE_CHECKING:
    from bundlepipe.documents.yaml.fault import Fault
    from bundlepipe.documents.yaml.reader import YamlDocument

_RESOLVE = "keep the lines of one side and remove the marks; where a task of doit writes the file, run it then"

# Kinds whose canonical form needs no YAML parser, by the name of their schema.
_CANONICAL_KINDS = {"images-lock": "ImagesLock", "image-locations": "ImageLocations"}
_Images = Iterator[tuple[tuple[str | int, ...], str]]


def read(
    content: bytes, path: str, schema_name: str, images: Callable[[Any], _Images]
) -> tuple[dict[str, Any], list[Reference]]:
    """Return the data of a document and the digest references in it, without their tags.

    `images` yields their positions in the data, whatever its form. Raises DocumentError with git's
    conflict marks in a faulty file, or else with all faults of YAML, or else of structure and
    references.
    """
    if schema_name in _CANONICAL_KINDS:
        data = canonical_data(content, _CANONICAL_KINDS[schema_name])
        if data is not None:
            with contextlib.suppress(InvalidReference):
                return data, [digest_reference(text) for _, text in images(data)]
    return _read_strictly(content, path, schema_name, images)


def _read_strictly(
    content: bytes, path: str, schema_name: str, images: Callable[[Any], _Images]
) -> tuple[dict[str, Any], list[Reference]]:
    from bundlepipe.documents.yaml.conflict_markers import conflict_faults
    from bundlepipe.documents.yaml.fault import rendered
    from bundlepipe.documents.yaml.reader import decoded, load_one

    try:
        document = load_one(content, path)
        references, faults = checked(document, schema_name, images)
        if faults:
            raise DocumentError(rendered(path, faults))
    except DocumentError:
        conflicts = conflict_faults(decoded(content, path), _RESOLVE)
        if conflicts:
            raise DocumentError(rendered(path, conflicts)) from None
        raise
    return document.data, references


def checked(
    document: YamlDocument, schema_name: str, images: Callable[[Any], _Images]
) -> tuple[list[Reference], list[Fault]]:
    """Return the digest references of a document, as `read` does, and its faults."""
    from bundlepipe.documents.schemas import validator
    from bundlepipe.documents.yaml.fault import MOST_FAULTS, reason

    references: list[Reference] = []
    faults: list[Fault] = []
    for keys, text in images(document.data):
        try:
            references.append(digest_reference(text))
        except InvalidReference as error:
            faults.append(document.fault(keys, reason(error)))
            if len(faults) == MOST_FAULTS:
                break
    # A fault in a reference says more than a mismatch with the schema's pattern.
    explained = {(fault.line, fault.column) for fault in faults}
    structure = validator.faults(document, schema_name)
    return references, faults + [fault for fault in structure if (fault.line, fault.column) not in explained]


def listed_images(data: Any) -> _Images:
    """Yield the image of each entry of `images`, with its position."""
    entries = data.get("images") if isinstance(data, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and isinstance(entry.get("image"), str):
            yield ("images", index, "image"), entry["image"]


def digest_reference(text: str) -> Reference:
    """Parse a reference and drop its tag; InvalidReference unless it has a digest."""
    reference = Reference.parse(text)
    if reference.digest is None:
        # It parsed, so it is short and printable.
        raise InvalidReference(f"'{text}' is not a digest reference, expected one such as {text}@sha256:<64 digits>")
    return reference.with_digest(reference.digest)


def digest_text(reference: Reference) -> str:
    """Return a reference as documents write it; InvalidReference unless it has a digest."""
    return str(digest_reference(str(reference)))
