"""Normalise arguments of the Python API: one value or several, strings or paths."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

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
