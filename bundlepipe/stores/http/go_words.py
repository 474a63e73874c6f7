"""Texts of imgpkg and kbld for refused requests: those of go-containerregistry, as observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Deeper than any registry's detail; a malicious body may be nested deeper than Python's recursion
# limit.
_DEEPEST = 20


def diagnostic(error: Mapping[str, Any]) -> str:
    """Return an error in a response body (OCI distribution specification, "Error Codes") as one text."""
    text = f"{error.get('code', '')}: {error.get('message', '')}"
    detail = error.get("detail")
    return text if detail is None else f"{text}; {printed(detail)}"


def printed(value: object, depth: int = 0) -> str:
    """Return a JSON value as `%v` of Go's fmt prints it; `...` for unreasonably deep nesting."""
    if depth > _DEEPEST:
        return "..."
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case Mapping():
            return f"map[{' '.join(f'{key}:{printed(value[key], depth + 1)}' for key in sorted(value))}]"
        case str():
            return value
        case Sequence():
            return f"[{' '.join(printed(item, depth + 1) for item in value)}]"
    return str(value)


def unexpected(status: str, method: str, body: str) -> str:
    """Return the text for a response whose body has no registry errors; `status` is like `404 Not Found`."""
    text = f"unexpected status code {status}"
    if body:
        return f"{text}: {body}"
    return f"{text} (HEAD responses have no body, use GET for details)" if method == "HEAD" else text
