"""Finding the image references in configuration: kbld's default search rule, with positions.

A scalar under a key named `image`, anywhere in a YAML or JSON document, is a reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from bundlepipe.documents._core_schema import NULL, STRING
from bundlepipe.documents._text import Text
from bundlepipe.documents.fault import Fault, rendered
from bundlepipe.documents.kbld_kinds import configuration_kind
from bundlepipe.documents.yaml_source import compose
from bundlepipe.errors import DocumentError

IMAGE_KEY = "image"


@dataclass(frozen=True)
class FoundImage:
    """A reference as it stands in the configuration; line and column count from 1."""

    value: str
    path: str
    line: int
    column: int

    @property
    def where(self) -> str:
        """`path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"


def find_images(content: bytes, path: str) -> list[FoundImage]:
    """Return every reference in the documents of a file, in their order.

    Raises DocumentError, with all faults of the file at their positions, for text that is
    not YAML, for an empty reference, and for a ytt value that no one has filled in.
    """
    if path.endswith(".json"):
        # JSON may be indented by tabs, which YAML may not.
        content = content.replace(b"\t", b" ")
    source, roots = compose(content, path)
    found: list[FoundImage] = []
    faults: list[Fault] = []
    for root in roots:
        kind = configuration_kind(root)
        if kind:
            faults.append(source.fault(root.start_mark.index, f"{kind} documents are not searched: name other files"))
            continue
        for value in _values(root, set()):
            fault = _fault(value, source)
            if fault:
                faults.append(source.fault(value.start_mark.index, fault))
            elif isinstance(value, yaml.ScalarNode) and value.tag == STRING:
                found.append(FoundImage(value.value, path, *source.position(value.start_mark.index)))
    if faults:
        raise DocumentError(rendered(path, faults))
    return found


def _fault(value: yaml.Node, source: Text) -> str | None:
    """Return what is wrong with a value under an image key; a number or truth value is a setting, no reference."""
    if isinstance(value, yaml.MappingNode):
        # To YAML, {{ .Values.image }} is a mapping that has a mapping for a key.
        return "the image is a template's expression: render the template and search its output"
    if value.tag == NULL:
        # ytt leaves its expressions in comments, so an unrendered template has a null here.
        if "#@" in source.line_at(value.start_mark.index):
            return "the image is a ytt expression: render the template and search its output"
    elif value.tag == STRING and not value.value:
        return "the image is empty, expected a reference"
    return None


def _values(node: yaml.Node, seen: set[int]) -> Iterator[yaml.Node]:
    """Yield the scalars and template expressions under an `image` key; what an alias repeats is visited once."""
    if isinstance(node, yaml.ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _values(item, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            is_image = isinstance(key, yaml.ScalarNode) and key.value == IMAGE_KEY
            if is_image and (isinstance(value, yaml.ScalarNode) or _is_expression(value)):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield value
            else:
                yield from _values(value, seen)


def _is_expression(value: yaml.Node) -> bool:
    return isinstance(value, yaml.MappingNode) and any(isinstance(key, yaml.MappingNode) for key, _ in value.value)
