"""Normalise arguments of the Python API: one value or several, strings, paths, locations or declarations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bundlepipe.errors import BundlepipeError

if TYPE_CHECKING:
    from bundlepipe.oci.reference import Reference
    from bundlepipe.pipeline.declared.model import Bundle, Image
    from bundlepipe.stores.location import Location
    from bundlepipe.verbs.diffing.sides import Side

_Text = TypeVar("_Text", bound="str | os.PathLike[str]")


def as_paths(what: str, given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return one or several paths as texts; TypeError, beginning with `what`, for other types."""
    several = [given] if isinstance(given, (str, os.PathLike)) else _listed(what, given)
    # As the command does: a directory is the same with a slash after its name.
    return [os.fspath(path).rstrip("/") or "/" for path in several]


def as_texts(what: str, given: str | Sequence[str]) -> list[str]:
    """Return one or several texts; TypeError, beginning with `what`, for other types."""
    texts = [given] if isinstance(given, str) else _listed(what, given)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{what}: expected strings, found {text!r}")
    return texts


def _listed(what: str, given: Sequence[_Text]) -> list[_Text]:
    if isinstance(given, (bytes, Mapping)):
        raise TypeError(f"{what}: expected one or a sequence, found {given!r}")
    return list(given)


def as_tags(given: str | Sequence[str]) -> list[str]:
    """Return tags; InvalidReference for an invalid one, TypeError for other types."""
    from bundlepipe.oci.reference import check_tag

    tags = as_texts("tags", given)
    for tag in tags:
        check_tag(tag, "tags")
    return tags


def as_labels(labels: Mapping[Any, Any]) -> dict[str, str]:
    """Return labels; TypeError for values that are not texts."""
    for key, value in labels.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"labels: expected strings, found {key!r}: {value!r}")
    return dict(labels)


def as_push_destination(given: str | Reference) -> Reference:
    """Return where files are pushed to; InvalidReference, and BundlepipeError for a local location."""
    from bundlepipe.oci.reference import Reference
    from bundlepipe.stores.location import LOCAL_PREFIXES

    if isinstance(given, Reference):
        return given
    if given.startswith(LOCAL_PREFIXES):
        raise BundlepipeError(f"'{given}': files are pushed to a repository: expected REGISTRY/REPOSITORY[:TAG]")
    return Reference.parse(given)


def as_side(given: str | os.PathLike[str] | Location | Bundle | Image) -> Side:
    """Return what is compared: a location, a directory, or what a push would make.

    Raises InvalidReference, InputError for a path without a directory, BundlepipeError for a declaration that is
    given by its name, or is not made of files.
    """
    from bundlepipe.pipeline.declared.model import Bundle, Image
    from bundlepipe.verbs.diffing.sides import Directory, parse_side

    if isinstance(given, Bundle | Image):
        return _declared_side(given)
    if isinstance(given, os.PathLike):
        return Directory(as_paths("path", given)[0])
    if not isinstance(given, str):
        return given
    kind, colon, _ = given.partition(":")
    if colon and kind in (Bundle.kind, Image.kind):
        raise BundlepipeError(
            f"{given}: a declaration is given as it is, {kind.capitalize()}(...); a repository of Docker Hub is "
            f"docker.io/library/{given}"
        )
    return parse_side(given)


def _declared_side(thing: Bundle | Image) -> Side:
    from bundlepipe.filesystem.inputs import Inputs
    from bundlepipe.verbs.diffing.sides import Declared

    name = f"{thing.kind}:{thing.name}"
    if not thing.files:
        raise BundlepipeError(
            f"{name}: is not made of files, so what a push would make is unknown: name the image where it was pushed"
        )
    inputs = Inputs(as_paths("files", thing.files), as_paths("exclude", thing.exclude), thing.preserve_permissions)
    return Declared(name, inputs, thing.kind == "bundle", as_labels(thing.labels))
