"""Conceal secrets in HTTP messages before they are shown, in all places where they usually are.

A `Redactor` knows the secrets that were used; this module covers places that may hold others, such
as signatures in URLs of storage services. When in doubt, it conceals.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from bundlepipe.stores.http.challenges import parse_challenges

HIDDEN = "***"

# Parameters of the distribution specification and of token services.
_HARMLESS_PARAMETERS = frozenset(
    {"account", "artifactType", "client_id", "digest", "from", "last", "mount", "n", "ns", "offline_token"}
    | {"scope", "service"}
)
_PARAMETER = re.compile(r"[^&;]+")
_USER_INFORMATION = re.compile(r"//[^/\s?#]*@")
_WORD = re.compile(r"""[^\s<>"']+""")

_CHALLENGES = ("www-authenticate", "proxy-authenticate")
_AUTHORIZATIONS = ("authorization", "proxy-authorization")
_HARMLESS_CHALLENGE_PARAMETERS = frozenset({"charset", "error", "error_description", "realm", "scope", "service"})
_SECRET = "token|secret|pass(?:word|wd|phrase)|cookie|credential|signature|private|session"
_SECRET_HEADER = re.compile(f"{_SECRET}|auth|(?:api|access)-?key", re.IGNORECASE)
# `authors` is a field in the annotations of images.
_SECRET_KEY = re.compile(f"{_SECRET}|auth(?!or|entic)|(?:api|access)[-_]?key", re.IGNORECASE)


def conceal_url(url: str) -> str:
    """Return a URL without user information, fragment, and the values of parameters not known to be harmless."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    query = _PARAMETER.sub(_conceal_parameter, parts.query)
    concealed = urlunsplit((parts.scheme, parts.netloc, parts.path, query, HIDDEN if parts.fragment else ""))
    return _USER_INFORMATION.sub(f"//{HIDDEN}@", concealed)


def conceal_urls(text: str) -> str:
    """Return a text with everything concealed that looks like a URL or the end of one."""
    return _WORD.sub(lambda match: conceal_url(match[0]) if _is_url(match[0]) else match[0], text)


def conceal_header(name: str, value: str) -> str:
    """Return the value of a header without parts that may be secret."""
    lower = name.lower()
    if lower in _CHALLENGES:
        return _conceal_challenges(value)
    if lower in _AUTHORIZATIONS:
        scheme, space, _ = value.partition(" ")
        return f"{scheme} {HIDDEN}" if space else HIDDEN
    return HIDDEN if _SECRET_HEADER.search(name) else conceal_urls(value)


def conceal_body(body: bytes, media_type: str) -> str | None:
    """Return a body without parts that may be secret; None if it is neither JSON nor plain text in UTF-8.

    JSON without anything to conceal keeps its bytes.
    """
    kind = media_type.partition(";")[0].strip().lower()
    if kind == "text/plain":
        return _conceal_json(body) or _conceal_text(body)
    if kind == "application/json" or kind.endswith(("+json", "+prettyjws")):
        return _conceal_json(body)
    return None


def _is_url(word: str) -> bool:
    return "://" in word or "?" in word or "#" in word


def _conceal_parameter(match: re.Match[str]) -> str:
    name, equals, _ = match[0].partition("=")
    if unquote_plus(name) in _HARMLESS_PARAMETERS:
        return match[0]
    return f"{name}={HIDDEN}" if equals else HIDDEN


def _conceal_challenges(value: str) -> str:
    challenges = []
    for challenge in parse_challenges([value], ""):
        parameters = [
            f'{name}="{conceal_urls(text) if name in _HARMLESS_CHALLENGE_PARAMETERS else HIDDEN}"'
            for name, text in challenge.parameters.items()
        ]
        challenges.append(f"{challenge.scheme.capitalize()} {','.join(parameters)}".strip())
    return ", ".join(challenges)


def _conceal_text(body: bytes) -> str | None:
    try:
        return conceal_urls(body.decode())
    except UnicodeDecodeError:
        return None


def _conceal_json(body: bytes) -> str | None:
    concealed = _Json()
    try:
        text = body.decode()
        document = concealed.value(json.loads(text, object_pairs_hook=concealed.object))
    except (ValueError, RecursionError):
        return None
    return json.dumps(document, ensure_ascii=False) if concealed.changed else text


class _Json:
    """Conceals the objects of a document while they are parsed, so that duplicate keys cannot hide a value."""

    def __init__(self) -> None:
        self.changed = False

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {self._concealed(key): self._member(key, value) for key, value in pairs}

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._concealed(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def _member(self, key: str, value: Any) -> Any:
        if _SECRET_KEY.search(key) and value is not None:
            self.changed = True
            return HIDDEN
        return self.value(value)

    def _concealed(self, text: str) -> str:
        concealed = conceal_urls(text)
        self.changed = self.changed or concealed != text
        return concealed
