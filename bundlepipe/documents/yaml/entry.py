"""Add or change an entry of a mapping in the text of a YAML document."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import cast

import yaml
from msgspec import Struct

from bundlepipe.documents.yaml.composer import YamlFault
from bundlepipe.documents.yaml.construction import merge_sources
from bundlepipe.documents.yaml.core_schema import MERGE, NULL
from bundlepipe.documents.yaml.edit import Edit, content_start, line_start, skip_blanks_and_comments
from bundlepipe.documents.yaml.writer import double_quoted, written_scalar

_BREAK = re.compile("\r\n|[\r\n]")
_REST_OF_LINE = re.compile("[ \t]*(?:[\r\n]|\\Z)")
_DEFAULT_STEP = 2


def shared_nodes(document: yaml.Node) -> Collection[int]:
    """Return the ids of nodes that occur in several places, by anchor and aliases."""
    seen: set[int] = set()
    shared: set[int] = set()
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            shared.add(id(node))
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [part for entry in node.value for part in entry]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return shared


def with_entry(
    content: str, root: yaml.MappingNode, path: Sequence[str], value: str, shared: Collection[int] = ()
) -> Edit:
    """Return the edit that sets the value at `path`, from the mapping `root` on, to the text `value`.

    Missing mappings are added; an entry in block style follows the indentation and line ends around it,
    one in flow style is valid JSON. YamlFault if this would change other data, because a node on the path
    is one of `shared` or the entry is merged, and if a node on the path is not a mapping.
    """
    mapping, node = root, cast(yaml.Node, root)
    key: yaml.Node | None = None
    for depth, name in enumerate(path):
        if id(node) in shared:
            raise _fault(node, path, "an alias repeats what it would stand in")
        if not isinstance(node, yaml.MappingNode):
            return _instead_of_null(_Place(content, root, mapping, key), node, path, depth, value)
        mapping, entry = node, _entry(node, name)
        if entry is None:
            if _merges(node, name):
                raise _fault(node, path, f"the '{name}' around it are merged from elsewhere")
            return _added(_Place(content, root, mapping, key), path[depth:], value)
        key, node = entry
    if id(node) in shared:
        raise _fault(node, path, "an alias repeats the one that is there")
    if not isinstance(node, yaml.ScalarNode):
        raise _fault(node, path, "the one that is there is not a string")
    return _changed(_Place(content, root, mapping, key), node, value)


def _fault(node: yaml.Node, path: Sequence[str], why: str) -> YamlFault:
    return YamlFault(node.start_mark.index, f"cannot set '{path[-1]}': {why}: write it out, or do without")


def _entry(mapping: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    found = (entry for entry in mapping.value if isinstance(entry[0], yaml.ScalarNode) and entry[0].value == name)
    return next(found, None)


def _merges(mapping: yaml.MappingNode, name: str) -> bool:
    sources = [source for key, value in mapping.value if key.tag == MERGE for source in merge_sources(value)]
    return any(
        isinstance(source, yaml.MappingNode) and (_entry(source, name) or _merges(source, name)) for source in sources
    )


class _Place(Struct, frozen=True, dict=True):
    """A mapping in the text, with the key that it is the value of, below the mapping `root`."""

    content: str
    root: yaml.MappingNode
    mapping: yaml.MappingNode
    key: yaml.Node | None

    @cached_property
    def start(self) -> int:
        return content_start(self.content, self.mapping)

    @cached_property
    def column(self) -> int:
        return _column(self.content, self.start)

    @cached_property
    def line_break(self) -> str:
        found = _BREAK.search(self.content, self.start) or _BREAK.search(self.content)
        return found[0] if found else "\n"

    def block(self, names: Sequence[str], value: str, followed_by: str = "") -> str:
        """Return an entry in block style, without the last line break; `followed_by` are comments after it."""
        lines = [" " * self._indent(depth) + f"{name}:" for depth, name in enumerate(names)]
        return "\n".join(lines) + " " + self.block_scalar(value, len(names), followed_by)

    def block_scalar(self, value: str, depth: int = 1, followed_by: str = "") -> str:
        """Return a text after a key, as a block scalar if possible.

        Not as one that would depend on empty lines after it or absorb the comments there.
        """
        if value.endswith("\n\n") or re.search(f"(?m)^[ \t]{{{self.column + 1},}}#", followed_by):
            return double_quoted(value)
        return written_scalar(value, " " * self._indent(depth))

    def _indent(self, depth: int) -> int:
        return self.column + depth * _step(self.content, self.root)


def _added(place: _Place, names: Sequence[str], value: str) -> Edit:
    if place.mapping.flow_style:
        return _added_in_flow(place, _flow(names, value))
    searched_from = place.mapping.start_mark.index
    if place.key and searched_from == place.start:
        searched_from = place.key.end_mark.index
    first_break = _BREAK.search(place.content, searched_from, place.start)
    if first_break and skip_blanks_and_comments(place.content, first_break.end()) == place.start:
        # Before the comments of the first entry.
        entry = place.block(names, value, followed_by=place.content[first_break.end() : place.start])
        return Edit(first_break.end(), first_break.end(), f"{entry}\n".replace("\n", place.line_break))
    entry = place.block(names, value)
    at_first_entry = f"{entry.lstrip(' ')}\n".replace("\n", place.line_break) + " " * place.column
    return Edit(place.start, place.start, at_first_entry)


def _flow(names: Sequence[str], value: str) -> str:
    text = double_quoted(value)
    for name in reversed(names):
        text = f"{{{double_quoted(name)}: {text}}}"
    return text


def _added_in_flow(place: _Place, mapping: str) -> Edit:
    entry, inside = mapping[1:-1], place.start + 1
    if not place.mapping.value:
        return Edit(inside, inside, entry)
    first = place.mapping.value[0][0].start_mark.index
    if first < inside:  # an alias: its mark is that of its anchor
        return Edit(inside, inside, f"{entry}, ")
    blank = place.content[inside:first]
    return Edit(first, first, f"{entry},{blank if blank and blank.isspace() else ' '}")


def _instead_of_null(place: _Place, node: yaml.Node, path: Sequence[str], depth: int, value: str) -> Edit:
    content = place.content
    start, end = content_start(content, node), node.end_mark.index
    before = content[place.key.end_mark.index : start] if place.key else ""
    if node.tag != NULL or "!" in before or not before.lstrip().startswith(":"):
        raise _fault(node, path, f"expected a mapping as '{path[depth - 1]}'")
    return Edit(start, end, _gap(content, start) + _flow(path[depth:], value))


def _gap(content: str, start: int) -> str:
    """Return the blank that a value needs after its colon."""
    return "" if content[start - 1].isspace() else " "


def _changed(place: _Place, node: yaml.ScalarNode, value: str) -> Edit:
    content = place.content
    start = content_start(content, node)
    end = max(start, start + len(content[start : node.end_mark.index].rstrip()))
    text = double_quoted(value)
    if not place.mapping.flow_style and _REST_OF_LINE.match(content, end):
        text = place.block_scalar(value, followed_by=content[end : skip_blanks_and_comments(content, end)])
        if end == len(content) and value.endswith("\n"):
            text += "\n"
    return Edit(start, end, _gap(content, start) + text.replace("\n", place.line_break))


def _step(content: str, root: yaml.MappingNode) -> int:
    """Return the number of blanks by which the document indents."""
    for key, value in root.value:
        is_block = isinstance(value, yaml.MappingNode) and not value.flow_style
        if is_block and not root.flow_style and value.start_mark.index > key.end_mark.index:
            step = _column(content, content_start(content, value)) - _column(content, content_start(content, root))
            if step > 0:
                return step
    return _DEFAULT_STEP


def _column(content: str, index: int) -> int:
    return index - line_start(content, index)
