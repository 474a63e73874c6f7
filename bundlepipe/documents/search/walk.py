"""Walk through documents and collect what search rules match."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

import yaml

from bundlepipe.documents.search.found import Found, FoundReference, FoundText, SearchedText, reference_text
from bundlepipe.documents.search.rules import SearchRule, UpdateStrategy, Within
from bundlepipe.documents.yaml.composer import ComposedDocument, YamlFault
from bundlepipe.documents.yaml.construction import merge_sources
from bundlepipe.documents.yaml.core_schema import MERGE, NULL, STRING, is_core, is_number_of_go
from bundlepipe.documents.yaml.edit import content_start
from bundlepipe.documents.yaml.reader import compose, json_as_yaml
from bundlepipe.documents.yaml.scalar import ScalarText

_RENDER = "render it first; in a pipeline name the program that does: lock.files: [{{run: [{}], files: [{}]}}]"
_RENDER_TEMPLATE = _RENDER.format("helm, template, chart", "chart")
_RENDER_YTT = _RENDER.format("ytt, -f, config", "config")
_YTT_COMMENT = re.compile(r"(?:^|(?<=\s))#[@!]", re.MULTILINE)
# After the null, or in the comments that follow it.
_YTT_EXPRESSION = re.compile(r"[ \t]*(?:(?:#(?!@)[^\r\n]*)?(?:\r(?!\n)|\r?\n)[ \t]*)*#@")

# The character index of a fault in the file, and its text.
IndexedFault = tuple[int, str]


def compose_searched(text: SearchedText) -> list[ComposedDocument]:
    """Parse a text; YamlFault if it is not YAML, with advice if it may be a template."""
    try:
        return compose(text.content)
    except YamlFault as fault:
        advice = ""
        if "{{" in text.content:
            advice = f"; if this is a template, {_RENDER_TEMPLATE}"
        elif _YTT_COMMENT.search(text.content):
            advice = f"; if this is a ytt template, {_RENDER_YTT}"
        raise YamlFault(fault.index, fault.text + advice) from None


class ImageWalk:
    """Walks through the documents of one text.

    A node with aliases is found once, by the first rule that decides about it; since rules can
    match paths, it is visited at every alias. With `as_kbld` every text that a rule matches is a
    reference, with all its line breaks, even an empty one or a template expression; and a text for
    nested rules is skipped if it is not in their format.
    """

    def __init__(
        self, text: SearchedText, rules: Sequence[SearchRule], faults: list[IndexedFault], *, as_kbld: bool = False
    ) -> None:
        self._text = text
        self._rules = rules
        self._faults = faults
        self._as_kbld = as_kbld
        self._known: dict[int, Found | None] = {}
        self._found: dict[int, Found] = {}
        self._path: list[str | int] = []

    def found_in(self, root: yaml.Node, without: yaml.Node | None = None) -> list[Found]:
        """Return what is found below a node, but not below `without`; paths in rules start at the node."""
        self._found, self._path = {}, []
        self._visit(root, without)
        return in_order(self._found.values())

    def _visit(self, node: yaml.Node, without: yaml.Node | None = None) -> None:
        if node is without:
            return
        if isinstance(node, yaml.ScalarNode):
            self._scalar(node)
            return
        if not self._as_kbld and _is_expression(node) and self._strategy(None) not in (None, "none"):
            self._fault(node, f"the image is a template's expression: {_RENDER_TEMPLATE}")
            return
        parts = _entries(node) if isinstance(node, yaml.MappingNode) else enumerate(node.value)
        for part, child in parts:
            self._path.append(part)
            self._visit(child, without)
            self._path.pop()

    def _strategy(self, value: str | None) -> UpdateStrategy | None:
        """Return the strategy of the first matching rule; rules about values match only texts (otherwise None)."""
        for rule in self._rules:
            if rule.value and (value is None or not rule.value.matches(value)):
                continue
            if rule.key is None or rule.key.matches(self._path):
                return rule.strategy
        return None

    def _scalar(self, node: yaml.ScalarNode) -> None:
        """Apply the rules to a scalar; numbers and booleans are settings, whatever their key."""
        if node.tag == NULL:
            # ytt's expressions are comments, so an unrendered template has a null here.
            if not self._as_kbld and self._is_before_ytt(node) and self._strategy(None) not in (None, "none"):
                self._fault(node, f"the image is a ytt expression: {_RENDER_YTT}")
        elif (node.tag in (STRING, MERGE) or not is_core(node.tag)) and not self._is_number(node):
            strategy = self._strategy(self._value(node))
            if strategy is None or strategy == "none":
                return
            if id(node) not in self._known:
                self._known[id(node)] = (
                    self._text_within(node, strategy) if isinstance(strategy, Within) else self._reference(node)
                )
            found = self._known[id(node)]
            if found:
                self._found[id(node)] = found

    def _value(self, node: yaml.ScalarNode) -> str:
        return str(node.value) if self._as_kbld else reference_text(node)

    def _is_number(self, node: yaml.ScalarNode) -> bool:
        """Return whether kbld and kubectl read a text as a number."""
        content, start = self._text.content, node.start_mark.index
        if node.style or not is_number_of_go(node.value):
            return False
        return "!" not in content[start : content_start(content, node)]

    def _reference(self, node: yaml.ScalarNode) -> FoundReference | None:
        value = self._value(node)
        if not self._as_kbld and self._is_no_reference(node, value):
            return None
        image = self._text.image(value, node.start_mark.index)
        return FoundReference(self._text.content, node, image)

    def _is_no_reference(self, node: yaml.Node, value: str) -> bool:
        """Return whether a text cannot be a reference, which is a fault."""
        if not value:
            self._fault(node, "the image is empty, expected a reference")
        elif "{{" in value:
            self._fault(node, f"the image is a template's expression: {_RENDER_TEMPLATE}")
        elif "(@" in value:
            self._fault(node, f"the image is a ytt expression: {_RENDER_YTT}")
        else:
            return False
        return True

    def _text_within(self, node: yaml.ScalarNode, strategy: Within) -> FoundText | None:
        if not node.value or (self._as_kbld and not _is_in_format(node.value, strategy.format)):
            return None
        scalar = ScalarText(self._text.content, node)
        content = json_as_yaml(node.value) if strategy.format == "json" else node.value
        file_index = self._text.file_index
        text = SearchedText(content, self._text.path, self._text.file, lambda index: file_index(scalar.index(index)))
        try:
            documents = compose_searched(text)
        except YamlFault as fault:
            if not self._as_kbld:
                self._faults.append((text.file_index(fault.index), f"in this string: {fault.text}"))
            return None
        walk = ImageWalk(text, strategy.rules, self._faults, as_kbld=self._as_kbld)
        found = [found for document in documents for found in walk.found_in(document.root)]
        return FoundText(node, scalar, found) if found else None

    def _is_before_ytt(self, node: yaml.Node) -> bool:
        return bool(_YTT_EXPRESSION.match(self._text.content, node.end_mark.index))

    def _fault(self, node: yaml.Node, text: str) -> None:
        self._faults.append((self._text.file_index(node.start_mark.index), text))


def in_order(found: Iterable[Found]) -> list[Found]:
    """Return each result once, in the order of the text."""
    by_start = {each.node.start_mark.index: each for each in found}
    return [by_start[start] for start in sorted(by_start)]


def _entries(mapping: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the keys and values of a mapping, including merged ones that it does not override.

    A key that is a collection counts as an empty text.
    """
    own = [(key, value) for key, value in mapping.value if key.tag != MERGE]
    names = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
    for key, value in own:
        yield key.value if isinstance(key, yaml.ScalarNode) else "", value
    for key, value in mapping.value:
        if key.tag == MERGE:
            for source in merge_sources(value):
                for name, inherited in _entries(source) if isinstance(source, yaml.MappingNode) else ():
                    if name not in names:
                        names.add(name)
                        yield name, inherited


def _is_in_format(text: str, name: str) -> bool:
    """Return whether kbld accepts a text as its rule's format; invalid YAML is detected later."""
    if name == "yaml":
        from bundlepipe.documents.yaml.go_yaml import conversion_problem

        return conversion_problem(text, None) is None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_expression(node: yaml.Node) -> bool:
    """Return whether a node is what YAML makes of {{ .Values.image }}: a mapping with a mapping as a key."""
    return isinstance(node, yaml.MappingNode) and any(isinstance(key, yaml.MappingNode) for key, _ in node.value)
