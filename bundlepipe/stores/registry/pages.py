"""Paginated lists of a registry: the next page, and the tags in one."""

from __future__ import annotations

import re

from bundlepipe.errors import StoreError
from bundlepipe.oci.bounded_json import loads
from bundlepipe.stores.http.answers import Answer
from bundlepipe.stores.http.transport import resolve_location

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r';\s*rel\s*=\s*"?([^";,]*\s)?next[\s";,]?', re.IGNORECASE)


def tags_of(answer: Answer) -> list[str]:
    """Return the tags in a page; empty if the registry sends null. StoreError for anything else."""
    try:
        tags = loads(answer.body)["tags"]
    except (ValueError, TypeError, KeyError):
        tags = False
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise StoreError(f"{answer.place}: the registry did not answer with a list of tags")
    return tags


def next_page(answer: Answer) -> str | None:
    """Return the absolute URL of the next page (RFC 8288, as the distribution specification uses it)."""
    for target, parameters in _LINK.findall(answer.headers.get("Link", "")):
        if _NEXT.search(parameters):
            return resolve_location(answer.url, target)
    return None
