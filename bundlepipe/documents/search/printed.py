"""Print documents as kbld does: each after its own `---`, list items separately, without empty ones.

If an annotation cannot be placed, because an alias repeats the mapping it belongs to, the document is rewritten, as
kbld rewrites all of them: comments are lost, and keys are sorted. Scalars without quotes stay unchanged, so that each
reader interprets them as before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from bundlepipe.documents.search.annotations import IMAGES_ANNOTATION
from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.documents.yaml.composer import YamlFault
from bundlepipe.documents.yaml.construction import merge_sources
from bundlepipe.documents.yaml.edit import content_start
from bundlepipe.documents.yaml.reader import compose, json_values_as_yaml
from bundlepipe.documents.yaml.writer import Plain, text_of

# Fields that a list may have besides its items without losing more than its wrapping.
_WRAPPING = frozenset({"apiVersion", "kind", "metadata", "items"})
# Lines before a document's own `---`: blank ones and comments.
_MARKED = re.compile(rb"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))*---(?:[ \t\r\n]|\Z)")


def is_printed(root: yaml.Node) -> bool:
    """Return whether a document has any content."""
    return root.tag != core.NULL and bool(root.value)


def items_of_list(root: yaml.Node) -> list[yaml.Node] | None:
    """Return the items of a document that is a list of resources by its kind, or has only items; None for others."""
    if not isinstance(root, yaml.MappingNode):
        return None
    entries = {key.value: value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    items = entries.get("items")
    kind = entries.get("kind")
    is_list = entries.keys() <= _WRAPPING or (isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List"))
    if not isinstance(items, yaml.SequenceNode) or not is_list:
        return None
    return items.value if all(isinstance(item, yaml.MappingNode) for item in items.value) else None


def takes_annotations(root: yaml.MappingNode) -> bool:
    """Return whether a document's `metadata`, if any, is a mapping, the only form that kbld changes."""
    found = (value for key, value in root.value if isinstance(key, yaml.ScalarNode) and key.value == "metadata")
    return isinstance(next(found, root), yaml.MappingNode)


def marked(content: bytes) -> bytes:
    """Return a document that starts with `---` and ends with a line end."""
    line_end = b"" if content.endswith((b"\n", b"\r")) else b"\n"
    return (b"" if _MARKED.match(content) else b"---\n") + content + line_end


def written_anew(content: str, annotations: Sequence[str | None], *, is_json: bool) -> Iterator[bytes]:
    """Yield a document, or the items of a list, rewritten as kbld does.

    `annotations` are the texts of `kbld.k14s.io/images`, one for each of them. YamlFault if a key
    is a collection.
    """
    text = json_values_as_yaml(content) if is_json else content
    root = compose(text)[0].root
    items = items_of_list(root)
    for node, annotation in zip([root] if items is None else items, annotations, strict=True):
        data = _Reading(text).value(node)
        if annotation is not None:
            _annotate(data, annotation)
        yield f"---\n{text_of(data)}".encode()


def _annotate(data: dict[str, Any], annotation: str) -> None:
    metadata = data.setdefault("metadata", {})
    if not isinstance(metadata.get("annotations"), dict):
        metadata["annotations"] = {}
    metadata["annotations"][IMAGES_ANNOTATION] = annotation


class _Reading:
    """Converts the nodes of a text into data."""

    def __init__(self, content: str) -> None:
        self._content = content

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node))
        if isinstance(node, yaml.ScalarNode):
            return None if node.tag == core.NULL else self._text(node)
        return [self.value(item) for item in node.value]

    def _entries(self, mapping: yaml.MappingNode) -> Iterator[tuple[str, Any]]:
        """Yield the entries of a mapping after merged ones; of duplicate keys the last counts."""
        for key, value in mapping.value:
            if key.tag == core.MERGE:
                for source in reversed(merge_sources(value)):
                    yield from self._entries(source) if isinstance(source, yaml.MappingNode) else ()
        for key, value in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                raise YamlFault(key.start_mark.index, "a key that is a list or mapping, expected a string")
            if key.tag != core.MERGE:
                yield self._text(key), self.value(value)

    def _text(self, node: yaml.ScalarNode) -> str:
        start = content_start(self._content, node)
        has_tag = "!" in self._content[node.start_mark.index : start]
        is_plain = not node.style and "\n" not in node.value and bool(node.value)
        # A tag converts quoted digits to a number, and plain ones to a text.
        is_verbatim = node.tag != core.STRING and core.is_core(node.tag) if has_tag else is_plain
        text: str = node.value
        return Plain(text) if is_verbatim else text
