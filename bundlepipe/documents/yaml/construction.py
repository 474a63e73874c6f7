"""Convert YAML nodes to plain data: dict with str keys, list, str, int, float, bool and None."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.documents.yaml.fault import MOST_FAULTS, Fault, shown
from bundlepipe.documents.yaml.text import Text


def construct(root: yaml.Node, source: Text, faults: list[Fault]) -> Any:
    """Return the data of a document, and append its faults to `faults`, up to MOST_FAULTS in total."""
    return _Construction(source, faults).value(root)


def merge_sources(node: yaml.Node) -> list[yaml.Node]:
    """Return the nodes in the value of a merge key; the first one wins."""
    return node.value if isinstance(node, yaml.SequenceNode) else [node]


class _Construction:
    def __init__(self, source: Text, faults: list[Fault]) -> None:
        self._source = source
        self._faults = faults
        self._collections: dict[int, Any] = {}

    def value(self, node: yaml.Node) -> Any:
        """Return the data of a node: one object for all its aliases."""
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        known = self._collections.get(id(node))
        if known is None:
            known = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
            self._collections[id(node)] = known
        return known

    def _fault(self, node: yaml.Node, text: str) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(self._source.fault(node.start_mark.index, text))

    def _scalar(self, node: yaml.ScalarNode) -> core.Scalar:
        if node.tag == core.STRING:
            text: str = node.value
            return text
        try:
            return core.value(node.tag, node.value)
        except ValueError as error:
            self._fault(node, f"{shown(node.value)}: {error}")
            return None

    def _sequence(self, node: yaml.Node) -> list[Any]:
        self._check_tag(node, core.SEQUENCE)
        return [self.value(item) for item in node.value]

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        self._check_tag(node, core.MAPPING)
        data: dict[str, Any] = {}
        sources: list[yaml.Node] = []
        for key_node, value_node in self._distinct(node):
            if key_node.tag == core.MERGE:
                sources += self._mergeable(value_node)
            else:
                data[core.as_text(self.value(key_node))] = self.value(value_node)
        for source in sources:
            for key, value in self.value(source).items():
                data.setdefault(key, value)
        return data

    def _check_tag(self, node: yaml.Node, expected: str) -> None:
        if core.is_core(node.tag) and node.tag != expected:
            found, allowed = (tag.rpartition(":")[2] for tag in (node.tag, expected))
            self._fault(node, f"the tag '!!{found}' has no place here, expected '!!{allowed}' or none")

    def _distinct(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yield the entries of a mapping with unambiguous keys; the others are faults."""
        first: dict[tuple[bool, str], yaml.Node] = {}
        for key_node, value_node in node.value:
            fault = _key_fault(key_node)
            if not fault:
                before = first.setdefault((key_node.tag == core.MERGE, key_node.value), key_node)
                if before is key_node:
                    yield key_node, value_node
                    continue
                line, _ = self._source.position(before.start_mark.index)
                fault = f"duplicate key {shown(key_node.value)}, expected once: it is in line {line} already"
            self._fault(key_node, fault)
            self.value(value_node)  # for faults below it

    def _mergeable(self, node: yaml.Node) -> Iterator[yaml.Node]:
        for source in merge_sources(node):
            if isinstance(source, yaml.MappingNode):
                yield source
            else:
                self._fault(source, "'<<' merges mappings, expected an alias of a mapping or a list of them")


def _key_fault(node: yaml.Node) -> str | None:
    """Return the fault of a key: Go's libraries convert numbers to texts, which may differ from the written form."""
    if not isinstance(node, yaml.ScalarNode):
        return "a key that is a list or mapping, expected a string"
    if node.tag in (core.STRING, core.MERGE):
        return None
    try:
        value = core.value(node.tag, node.value)
    except ValueError as error:
        return f"the key {shown(node.value)}: {error}"
    if value is None or core.as_text(value) != node.value:
        return f"the key {shown(node.value)} is read differently by different tools, expected it in quotes"
    return None
