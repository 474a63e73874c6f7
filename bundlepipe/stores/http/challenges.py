"""Parse the `WWW-Authenticate` header of a 401 response (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

_SPACE = re.compile(r"[\s,]*")
_PARAMETER = re.compile(r"""([^\s,="]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"?|([^\s,"]*))""")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))")
_SCHEME = re.compile(r"""[^\s,="]+""")


class Challenge(Struct, frozen=True):
    """One challenge, received from `url`; the scheme and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]
    url: str


def parse_challenges(headers: Iterable[str], url: str) -> list[Challenge]:
    """Return the challenges in the values of all `WWW-Authenticate` headers of a response from `url`.

    Servers are lax, so this is too: unintelligible parts are skipped.
    """
    return [challenge for header in headers for challenge in _parse(header, url)]


def _parse(header: str, url: str) -> Iterator[Challenge]:
    scheme: str | None = None
    parameters: dict[str, str] = {}
    position = _skip(header, 0)
    while position < len(header):
        match = _PARAMETER.match(header, position)
        if match and scheme is not None:
            value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
            parameters.setdefault(match[1].lower(), value)
        else:
            match = _SCHEME.match(header, position)
            if match:
                if scheme is not None:
                    yield Challenge(scheme, parameters, url)
                scheme, parameters = match[0].lower(), {}
                match = _token68(header, match.end()) or match
        position = _skip(header, match.end() if match else position + 1)
    if scheme is not None:
        yield Challenge(scheme, parameters, url)


def _token68(header: str, position: int) -> re.Match[str] | None:
    """Match the single token68 that Negotiate and similar schemes have instead of parameters."""
    start = len(header) - len(header[position:].lstrip(" "))
    return _TOKEN68.match(header, start) if start > position else None


def _skip(header: str, position: int) -> int:
    match = _SPACE.match(header, position)
    return match.end() if match else position
