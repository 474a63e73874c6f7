"""Where ours differs from a real program, by what counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

PARTS = ("status", "stdout", "stderr", "files", "repositories")
# In the place of an output that is another each time.
VARIES = "(varies)"


def differences(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts that differ, with what was expected and found; not what varies, nor an order that does."""
    for part in PARTS:
        one, other = expected[part], found[part]
        if part in expected.get("varying", ()) or one == VARIES:
            continue
        if part in ("stdout", "stderr") and expected.get("is_unordered"):
            one, other = sorted(one.splitlines()), sorted(other.splitlines())
        if one != other and (part != "stdout" or _documents(one) != _documents(other)):
            yield part, one, other


def _documents(text: object) -> object:
    """Return the documents of an output, which kbld writes anew and ours leaves as they were; others as they are.

    That is a stream of YAML, alone, before the last word of a command, or in the JSON of a whole run.
    """
    if not isinstance(text, str):
        return text
    if text.startswith('{\n    "Tables"'):
        printed = json.loads(text)
        return {**printed, "Blocks": [_documents(block) for block in printed["Blocks"] or ()]}
    text, end, _ = text.partition("\nSucceeded\n")
    try:
        found = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return text, end
    if any(isinstance(document, dict) for document in found):
        return [document for document in found if document is not None], end
    return text, end
