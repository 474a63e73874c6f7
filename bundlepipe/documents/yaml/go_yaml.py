"""kbld's errors for files that it cannot read, with the texts of Go's YAML libraries (sigs.k8s.io/yaml, apimachinery).

Only finds what kbld refuses; the search for images parses YAML independently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

import yaml

from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.documents.yaml.composer import YamlFault, compose_text
from bundlepipe.documents.yaml.construction import merge_sources
from bundlepipe.errors import printable
from bundlepipe.limits import MOST_YAML_VALUES

_SEPARATOR = "---"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# A line that kbld takes for a separator, and one that its YAML library takes for a directive.
_UNUSUAL_LINE = re.compile(r"^(?:---(?![ \t]*(?:#.*)?\r?$)|%)", re.MULTILINE)
_CONVERSION = "error converting YAML to JSON: "
_NOT_FINITE = re.compile(r"[-+]?\.inf|(?P<nan>\.nan)", re.IGNORECASE)
_JSON_KINDS = {core.BOOLEAN: "bool", core.INTEGER: "number", core.FLOAT: "number"}


def is_suspect(text: str, roots: Sequence[yaml.Node]) -> bool:
    """Return whether kbld may refuse a text that is YAML, with these documents."""
    return bool(
        _UNUSUAL_LINE.search(text)
        or any(_structure_problem(root) for root in roots)
        or any(_value_problem(root) for root in roots)
    )


def parsing_problem(text: str, name: str) -> str | None:
    """Return kbld's error for a file, called `name`; None if it can read it.

    Documents are split at lines that begin with `---`, before parsing.
    """
    try:
        documents = list(_divided(text))
    except _BadSeparator as error:
        return f"Parsing {name}: invalid Yaml document separator: {error}"
    for number, document in enumerate(documents, 1):
        try:
            problem = _root_problem(root := first_root(document, None)) or _structure_problem(root)
        except NotConvertible as error:
            problem = str(error)
        if problem:
            return f"Parsing {name} doc {number}: {problem}"
    return None


def conversion_problem(text: str, most_values: int | None = MOST_YAML_VALUES) -> str | None:
    """Return why a text is not one document of at most that many values that converts to JSON; None if it is."""
    try:
        return _root_problem(first_root(text, most_values))
    except NotConvertible as error:
        return str(error)


class NotConvertible(ValueError):
    """A text does not begin with a YAML document; the message is Go's."""


def first_root(text: str, most_values: int | None = MOST_YAML_VALUES) -> yaml.Node | None:
    """Return the root of the first document, if any, the only one that is read; NotConvertible."""
    try:
        return next((document.root for document in compose_text(text, most_values)), None)
    except YamlFault as fault:
        raise NotConvertible(f"{_CONVERSION}yaml: {printable(fault.go_text)}") from None
    except yaml.reader.ReaderError:
        raise NotConvertible(f"{_CONVERSION}yaml: control characters are not allowed") from None


def _root_problem(root: yaml.Node | None) -> str | None:
    problem = _value_problem(root) if root else None
    return f"{_CONVERSION}{problem}" if problem else None


class _BadSeparator(Exception):
    """A line begins with `---`, and has more text."""


def _divided(text: str) -> Iterator[str]:
    """Yield documents as apimachinery's reader splits them; _BadSeparator at the first line it refuses."""
    lines: list[str] = []
    for line in _LINE.findall(text):
        if line.startswith(_SEPARATOR):
            rest = line.removeprefix(_SEPARATOR).strip()
            if rest and not rest.startswith("#"):
                raise _BadSeparator(rest)
            if lines:
                yield "".join(lines)
                lines = []
                continue
        lines.append(line)
    if lines:
        yield "".join(lines)


def _structure_problem(root: yaml.Node | None) -> str | None:
    """Return why a document is not a resource, nor a list of resources."""
    if not isinstance(root, yaml.MappingNode):
        return decoding_problem(root, "map[string]interface {}")
    items = next((value for key, value in root.value if key.value == "items"), None)
    if isinstance(items, yaml.SequenceNode) and not all(isinstance(item, yaml.MappingNode) for item in items.value):
        return "items member is not an object: map[string]interface {}"
    return None


def decoding_problem(root: yaml.Node | None, go_type: str) -> str | None:
    """Return why a value is not of a type; None for an empty value."""
    if root is None or root.tag == core.NULL:
        return None
    return f"error unmarshaling JSON: while decoding JSON: {go_mismatch(root, go_type)}"


def go_mismatch(root: yaml.Node, go_type: str) -> str:
    """Return the error of Go's encoding/json for a value of the wrong type."""
    if isinstance(root, yaml.ScalarNode):
        found = _JSON_KINDS.get(root.tag, "string")
    else:
        found = "object" if isinstance(root, yaml.MappingNode) else "array"
    return f"json: cannot unmarshal {found} into Go value of type {go_type}"


def list_problem(text: str, go_type: str) -> str | None:
    """Return why a YAML text is not a list, which a Go type requires; None if it is one, or empty."""
    try:
        root = first_root(text)
    except NotConvertible as error:
        return str(error)
    if problem := _root_problem(root):
        return problem
    return None if isinstance(root, yaml.SequenceNode) else decoding_problem(root, go_type)


def _value_problem(root: yaml.Node) -> str | None:
    """Return which part of a value is not JSON: YAML's own faults are found before the conversion."""
    problems = _value_problems(root, set())
    first = next(problems, None)
    if first is None or first.startswith("yaml"):
        return first
    return next((problem for problem in problems if problem.startswith("yaml")), first)


def _value_problems(node: yaml.Node, seen: set[int]) -> Iterator[str]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        found = _NOT_FINITE.fullmatch(node.value) if node.tag == core.FLOAT else None
        if found:
            number = "NaN" if found["nan"] else "-Inf" if node.value.startswith("-") else "+Inf"
            yield f"json: unsupported value: {number}"
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _value_problems(item, seen)
    else:
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield f"yaml: invalid map key: {_go_syntax(key)}"
            elif key.tag == core.MERGE and not all(isinstance(each, yaml.MappingNode) for each in merge_sources(value)):
                yield "yaml: map merge requires map or sequence of maps as the value"
            if key.tag == core.NULL:
                yield f"unsupported map key of type: %!s(<nil>), key: <nil>, value: {_go_syntax(value)}"
            yield from _value_problems(value, seen)


def _go_syntax(node: yaml.Node) -> str:
    """Return a value as Go's `%#v` writes it."""
    if isinstance(node, yaml.SequenceNode):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, node.value))}}}"
    if isinstance(node, yaml.MappingNode):
        entries = ", ".join(f"{_go_syntax(key)}:{_go_syntax(value)}" for key, value in node.value)
        return f"map[interface {{}}]interface {{}}{{{entries}}}"
    if node.tag == core.NULL:
        return "interface {}(nil)"
    return json.dumps(node.value, ensure_ascii=False) if node.tag == core.STRING else str(node.value)
