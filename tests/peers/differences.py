"""Where ours differs from a real program, by what counts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Hashable, Iterator
from typing import Any, cast

import yaml

PARTS = ("status", "stdout", "stderr", "files", "repositories")
# In the place of an output that is another each time.
VARIES = "(varies)"


def digest_of(value: object) -> str:
    """Return what tells an outcome from others."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def differences(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts that differ, with what was expected and found; not what varies, nor an order that does."""
    for part in PARTS:
        one, other = expected[part], found[part]
        if part in expected.get("varying", ()) or one == VARIES:
            continue
        if part == "stdout" and _documents(one) == _documents(other):
            continue
        if part == "stderr":
            one, other = _faults(one), _faults(other)
        if part in ("stdout", "stderr") and expected.get("is_unordered"):
            # A comma ends all lines of a list in JSON but the last one.
            one, other = (sorted(line.rstrip(",") for line in text.splitlines()) for text in (one, other))
        if one != other:
            yield part, one, other


class _GoLoader(yaml.SafeLoader):
    """Reads YAML as Go's libraries make JSON of it: keys are texts, and so are dates and what has a tag of its own."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping whose keys are texts."""
        self.flatten_mapping(node)
        return {self._key(key): self.construct_object(value, deep=True) for key, value in node.value}

    def _key(self, node: yaml.Node) -> str:
        key = self.construct_object(node, deep=True)
        return json.dumps(key) if isinstance(key, bool | int) else str(key)


def _text(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    return loader.construct_scalar(cast(yaml.ScalarNode, node))


_GoLoader.add_constructor("tag:yaml.org,2002:timestamp", _text)
_GoLoader.add_constructor("tag:yaml.org,2002:binary", lambda _, node: base64.b64decode(node.value).decode())
_GoLoader.add_multi_constructor("!", lambda loader, _, node: _text(loader, node))


def _faults(text: str) -> str:
    """Return what kbld says of images, which it tells in any order, in one."""
    head, *faults = text.split("\n- ")
    return "\n- ".join([head, *sorted(fault.rstrip("\n") for fault in faults)])


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
        found = list(yaml.load_all(text, _GoLoader))
    except yaml.YAMLError:
        return text, end
    if any(isinstance(document, dict) for document in found):
        return [document for document in found if document is not None], end
    return text, end
