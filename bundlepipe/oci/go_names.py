"""Check references as go-containerregistry does (its package `name`), with its error texts, for imgpkg and kbld.

Its grammar is not that of the distribution project: a repository is any text of 2 to 255 characters of a fixed set.
"""

from __future__ import annotations

import re

from bundlepipe.oci.reference import DOCKER_HUB_ALIASES

_ALGORITHM = "sha256:"
_REPOSITORY = "abcdefghijklmnopqrstuvwxyz0123456789_-./"
_TAG = "abcdefghijklmnopqrstuvwxyz0123456789_-.ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# What Go's net/url accepts as a host without port, which is more than RFC 3986 does.
_HOST = re.compile(r"""\[[^][/?#@%\\]*\]|[^\x00-\x20\x7f#%/?@[\\\]^`{|}]*""")


def reference_problem(text: str) -> str | None:
    """Return kbld's reason to reject a text as a reference; None if it accepts it."""
    if "@" not in text:
        return tag_problem(text)
    reason = _digest_problem(text)
    return f"Expected valid digest reference, but found '{text}', reason: {reason}" if reason else None


def parse_problem(text: str) -> str | None:
    """Return imgpkg's reason to reject a text as a reference to an existing image; None if it accepts it."""
    if tag_problem(text) is None or ("@" in text and _digest_problem(text) is None):
        return None
    return f"could not parse reference: {text}"


def is_digest_form(text: str) -> bool:
    """Return whether kbld takes a text for a reference by digest."""
    return "@" in text and _digest_problem(text) is None


def unspelled_problem(text: str) -> str | None:
    """Return why a reference by digest lacks its registry or `library`; None if it is complete."""
    base, _, _ = text.partition("@")
    named, _, tag = base.rpartition(":")
    if tag and "/" not in tag and _unspelled_repository(named) is None:
        return None
    return _unspelled_repository(base)


def _unspelled_repository(text: str) -> str | None:
    if problem := repository_problem(text):
        return problem
    registry, path = _divided(text)
    if not registry:
        return "strict validation requires the registry to be explicitly defined"
    if "/" not in path and registry in DOCKER_HUB_ALIASES:
        return "strict validation requires the full repository path (missing 'library')"
    return None


def tag_problem(text: str) -> str | None:
    """Return why a text is not a reference that may have a tag."""
    base, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        base, tag = text, ""
    return (_element_problem("tag", tag, _TAG, 1, 128) if tag else None) or repository_problem(base)


def repository_problem(text: str) -> str | None:
    """Return why a text is not a repository."""
    if not text:
        return "a repository name must be specified"
    registry, path = _divided(text)
    return _element_problem("repository", path, _REPOSITORY, 2, 255) or _registry_problem(registry)


def _divided(text: str) -> tuple[str, str]:
    """Return the registry of a repository, empty if it has none, and its path."""
    first, slash, rest = text.partition("/")
    return (first, rest) if slash and ("." in first or ":" in first) else ("", text)


def _digest_problem(text: str) -> str | None:
    base, _, digest = text.partition("@")
    if "@" in digest:
        return f"a digest must contain exactly one '@' separator (e.g. registry/repository@digest) saw: {text}"
    if not digest.startswith(_ALGORITHM):
        return f"unsupported digest algorithm: {digest}"
    digits = digest.removeprefix(_ALGORITHM)
    if len(digits) != 64:
        return "invalid checksum digest length"
    if not re.fullmatch("[a-f0-9]*", digits):
        return "invalid checksum digest format"
    # A valid tag is cut off; the repository comes before it.
    return repository_problem(base) if tag_problem(base) else None


def _element_problem(name: str, text: str, allowed: str, shortest: int, longest: int) -> str | None:
    if not shortest <= len(text) <= longest:
        return f"{name} must be between {shortest} and {longest} characters in length: {text}"
    if set(text) - set(allowed):
        return f"{name} can only contain the characters `{allowed}`: {text}"
    return None


def _registry_problem(text: str) -> str | None:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, ""
    if _HOST.fullmatch(host) and not port.strip("0123456789"):
        return None
    return f"registries must be valid RFC 3986 URI authorities: {text}"
