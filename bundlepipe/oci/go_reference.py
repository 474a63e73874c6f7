"""What go-containerregistry, and so imgpkg and kbld, say of texts that are no references (its package `name`).

It takes more than the grammar of references does, which registries refuse then; and in places less.
"""

from __future__ import annotations

import re

_REPOSITORY = "abcdefghijklmnopqrstuvwxyz0123456789_-./"
_TAG = "abcdefghijklmnopqrstuvwxyz0123456789_-.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AUTHORITY = re.compile(r"(?:\[[^\s\]]*\]|[^\s:/?#\[\]@\\^`{}|\"<>%]*)(?::[0-9]*)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def tag_fault(text: str) -> str | None:
    """Return what is wrong with a repository that may have a tag, but no digest; None if nothing is."""
    repository, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = text, ""
    return (_element_fault("tag", tag, _TAG, 1, 128) if tag else None) or _repository_fault(repository)


def reference_fault(text: str) -> str | None:
    """Return what is wrong with a reference; None if nothing is."""
    if tag_fault(text) is None:
        return None
    name, at, digest = text.partition("@")
    if at and _DIGEST.fullmatch(digest) and (tag_fault(name) is None or _repository_fault(name) is None):
        return None
    return f"could not parse reference: {text}"


def _repository_fault(text: str) -> str | None:
    if not text:
        return "a repository name must be specified"
    first, slash, rest = text.partition("/")
    has_registry = slash and ("." in first or ":" in first)
    repository = rest if has_registry else text
    if fault := _element_fault("repository", repository, _REPOSITORY, 2, 255):
        return fault
    if has_registry and not _AUTHORITY.fullmatch(first):
        return f"registries must be valid RFC 3986 URI authorities: {first}"
    return None


def _element_fault(name: str, element: str, characters: str, least: int, most: int) -> str | None:
    if not least <= len(element) <= most:
        return f"{name} must be between {least} and {most} characters in length: {element}"
    if element.strip(characters):
        return f"{name} can only contain the characters `{characters}`: {element}"
    return None
