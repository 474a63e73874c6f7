"""Compose YAML text into trees of nodes, on top of PyYAML's parser.

PyYAML's own composer recurses (its C version until the stack overflows), follows any number of
aliases, and reads scalars as YAML 1.1 does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import yaml
from msgspec import Struct

from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.errors import printable

# Deeper than any configuration, and shallow enough for recursive code.
_DEEPEST = 200
_TOO_DEEP = f"nested too deeply, expected at most {_DEEPEST} levels"
# Nodes that aliases may add to a document.
_MOST_ALIASED = 100_000


class YamlFault(Exception):
    """The text cannot be read beyond the character `index`, for the reason in `text`.

    `unfinished` is the root of the document up to there, if any was read. `go_text` is the text of
    Go's YAML libraries for it.
    """

    def __init__(self, index: int, text: str, go_text: str | None = None) -> None:
        self.index = index
        self.text = text
        self.go_text = go_text or text
        self.unfinished: yaml.Node | None = None
        super().__init__(index, text)


class _Parser(Protocol):
    def get_event(self) -> Any: ...


def _parser(text: str) -> _Parser:
    """Return PyYAML's event parser, the C version if available."""
    if yaml.__with_libyaml__:
        return yaml.CLoader(text)
    return yaml.Loader(text)


class _Open(Struct):
    """A collection whose end was not read yet; `size` counts its nodes, `key` waits for its value."""

    node: yaml.CollectionNode
    anchor: str | None
    size: int = 1
    key: yaml.Node | None = None

    def add(self, node: yaml.Node) -> None:
        if isinstance(self.node, yaml.SequenceNode):
            self.node.value.append(node)
        elif self.key is None:
            self.key = node
        else:
            self.node.value.append((self.key, node))
            self.key = None


class ComposedDocument(Struct, frozen=True):
    """A document's root node, and its start and end as character indices.

    It starts at its first directive, its `---`, or else its content. `end` is the position of its
    `...`, None if it has none.
    """

    root: yaml.Node
    start: int
    has_marker: bool
    end: int | None


def compose_text(text: str, most_values: int | None) -> Iterator[ComposedDocument]:
    """Yield the documents of a text; YamlFault if the text is not YAML or exceeds a limit.

    Limits are on depth, on repetition by alias, and on `most_values` in all its documents, keys
    included; None, for a text that the user made, means no limit.
    """
    parser = _parser(text)
    values = _Values(most_values)
    while True:
        event = _next_event(parser, text)
        if isinstance(event, yaml.StreamEndEvent):
            return
        if isinstance(event, yaml.DocumentStartEvent):
            document = _Document(parser, text, values)
            try:
                root, end = document.read()
            except YamlFault as fault:
                fault.unfinished = document.unfinished()
                raise
            yield ComposedDocument(root, _start(event), bool(event.explicit), end)


def _next_event(parser: _Parser, text: str) -> Any:
    try:
        return parser.get_event()
    except yaml.MarkedYAMLError as error:
        fault = _syntax_fault(error, text)
        fault.go_text = _go_text(error)
        raise fault from None


def _start(event: Any) -> int:
    index: int = event.start_mark.index
    return index


class _Values:
    """Counts the values of a text."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._found = 0

    def add(self, index: int) -> None:
        """Count the value at the character `index`; YamlFault if it exceeds the limit."""
        self._found += 1
        if self._most is not None and self._found > self._most:
            raise YamlFault(index, f"more than {self._most} values, too many for one document")


class _Document:
    """One document while it is being composed."""

    def __init__(self, parser: _Parser, text: str, values: _Values) -> None:
        self._parser = parser
        self._text = text
        self._values = values
        self._open: list[_Open] = []
        self._anchored: dict[str, tuple[yaml.Node, int]] = {}
        self._aliased = 0

    def read(self) -> tuple[yaml.Node, int | None]:
        """Read up to the end of the document and return its root, and the position of its `...` if there is one."""
        root: yaml.Node | None = None
        while True:
            event = _next_event(self._parser, self._text)
            if isinstance(event, yaml.DocumentEndEvent):
                assert root is not None  # the parser represents even an empty document as a scalar
                return root, _start(event) if event.explicit else None
            completed = self._take(event)
            if completed and not self._open:
                root = completed

    def unfinished(self) -> yaml.Node | None:
        """Return the root of the part before a fault."""
        while len(self._open) > 1:
            innermost = self._open.pop()
            self._open[-1].add(innermost.node)
        return self._open[0].node if self._open else None

    def _take(self, event: Any) -> yaml.Node | None:
        """Process an event; return the node it completed, if any."""
        if isinstance(event, yaml.CollectionStartEvent):
            self._start(event)
            return None
        self._values.add(event.start_mark.index)
        anchor: str | None = None
        if isinstance(event, yaml.AliasEvent):
            node, size = self._alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            node, size, anchor = _scalar(event), 1, event.anchor
        else:
            node, size, anchor = self._end(event)
        if anchor:
            self._anchored[anchor] = node, size
        if self._open:
            self._open[-1].add(node)
            self._open[-1].size += size
        return node

    def _start(self, event: Any) -> None:
        if len(self._open) == _DEEPEST:
            raise YamlFault(event.start_mark.index, _TOO_DEEP)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        default = core.MAPPING if is_mapping else core.SEQUENCE
        node_class = yaml.MappingNode if is_mapping else yaml.SequenceNode
        node = node_class(event.tag or default, [], event.start_mark, event.end_mark, flow_style=event.flow_style)
        if event.anchor:
            self._anchored.pop(event.anchor, None)
        self._open.append(_Open(node, event.anchor))

    def _end(self, event: Any) -> tuple[yaml.Node, int, str | None]:
        ended = self._open.pop()
        ended.node.end_mark = event.end_mark
        return ended.node, ended.size, ended.anchor

    def _alias(self, event: Any) -> tuple[yaml.Node, int]:
        name, index = event.anchor, event.start_mark.index
        target = self._anchored.get(name)
        if target is None:
            if any(unfinished.anchor == name for unfinished in self._open):
                raise YamlFault(
                    index,
                    f"the alias '*{name}' stands within the value that it repeats",
                    f"anchor '{name}' value contains itself",
                )
            raise YamlFault(
                index,
                f"the alias '*{name}' repeats nothing, expected an anchor '&{name}' before it",
                f"unknown anchor '{name}' referenced",
            )
        self._aliased += target[1]
        if self._aliased > _MOST_ALIASED:
            raise YamlFault(index, f"aliases repeat more than {_MOST_ALIASED} values")
        return target


def _scalar(event: Any) -> yaml.ScalarNode:
    tag = event.tag
    if tag is None or tag == "!":
        tag = core.plain_tag(event.value) if event.implicit[0] and tag is None else core.STRING
    return yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark, event.style)


def _syntax_fault(error: yaml.MarkedYAMLError, text: str) -> YamlFault:
    mark, context_mark = error.problem_mark or error.context_mark, error.context_mark
    index = min(mark.index if mark else 0, len(text))
    problem = error.problem or "not YAML"
    if "cannot start any token" in problem:
        return YamlFault(index, _wrong_start(text[index : index + 1]))
    known = next((known for known in _EXPLANATIONS if known.sign in problem), None)
    if known and known.at_start and context_mark:
        return YamlFault(context_mark.index, known.text)
    problem = known.text if known else f"not YAML: {printable(problem)}"
    if error.context and context_mark and context_mark.index < index:
        line = text.count("\n", 0, context_mark.index) + 1
        context = error.context.removeprefix("while scanning ").removeprefix("while parsing ")
        problem += f" (in {printable(context)} that starts in line {line})"
    return YamlFault(index, problem)


def _go_text(error: yaml.MarkedYAMLError) -> str:
    """Return libyaml's text with the line number that go-yaml adds: none for the first line."""
    line = error.problem_mark.line if error.problem_mark else 0
    if line:
        line += isinstance(error, yaml.scanner.ScannerError)
    elif error.context_mark:
        line = error.context_mark.line
    return (f"line {line}: " if line else "") + printable(error.problem or "unknown problem parsing YAML content")


class _Explanation(NamedTuple):
    """A parser's message (`sign`), its explanation for an author, and whether to report the start of the construct."""

    sign: str
    text: str
    at_start: bool = False


# libyaml and PyYAML's Python version word some of these differently.
_EXPLANATIONS = (
    _Explanation(
        "mapping values are not allowed",
        "a ': ' has no place here, expected one 'key: value' a line or a quoted value",
    ),
    _Explanation("could not find expected ':'", "expected a ':' after the key", at_start=True),
    _Explanation("found unexpected end of stream", "the quoted string is not closed", at_start=True),
    _Explanation("did not find expected key", "expected a key, indented as its siblings are"),
    _Explanation("did not find expected '-'", "expected '- ', indented as the items before"),
    _Explanation("expected <block end>", "expected a further entry, indented as its siblings are"),
    _Explanation("<document start>", "expected the end of the document"),
    _Explanation("a tab character where", "a tab cannot indent, expected spaces"),
    # libyaml has a limit of its own since 0.2.6, which it applies when it looks ahead.
    _Explanation("exceeded maximum nesting depth", _TOO_DEEP),
)


def _wrong_start(character: str) -> str:
    if character == "\t":
        return "a tab cannot indent, expected spaces"
    return f"an unquoted value cannot start with '{printable(character)}', expected it in quotes"
