"""Read YAML strictly, keeping the position of every node.

YAML 1.2's core schema decides what a scalar is: `yes`, `on`, `1:30` and dates are text, `010` is
ten. Merge keys (`<<`) work as in YAML 1.1, since Kubernetes' tools read them. Anchors and aliases
are allowed within bounds. Duplicate keys are refused, and so are keys that other readers would
convert to another text (`1.0`, `0x1F`, `True`, null): quote those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.documents.yaml.composer import ComposedDocument, YamlFault, compose_text
from bundlepipe.documents.yaml.construction import construct, merge_sources
from bundlepipe.documents.yaml.fault import Fault, rendered
from bundlepipe.documents.yaml.text import Text
from bundlepipe.errors import DocumentError
from bundlepipe.limits import MOST_YAML_VALUES

BYTE_ORDER_MARK = "\ufeff"
_OTHER_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
# YAML 1.1 and 1.2, production c-printable, which libyaml also enforces.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_CONTROL_CHARACTERS = 10
# Characters beyond U+FFFF, which JSON may escape in two halves.
_PAIR = re.compile(r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)
_HALF_CHARACTER = re.compile(r"\\(?:u(?P<half>[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)


@dataclass(frozen=True)
class YamlDocument:
    """A document of a YAML file: its plain data, its nodes, and the mapping between them.

    `data` consists of dict (with str keys), list, str, int, float, bool and None. Aliases are the
    same objects, so treat the data as immutable.
    """

    path: str
    data: Any
    node: yaml.Node
    _text: Text = field(repr=False, compare=False)

    def find(self, keys: Sequence[str | int], *, key: bool = False) -> yaml.Node:
        """Return the node at `keys`, or with `key` that of its key.

        If there is none, return the last existing node on the path.
        """
        node = key_node = self.node
        for part in keys:
            step = _step(node, part)
            if step is None:
                return node
            key_node, node = step
        return key_node if key else node

    def position(self, keys: Sequence[str | int], *, key: bool = False) -> tuple[int, int]:
        """Return line and column, from 1, of the node that `find` returns."""
        return self._text.position(self.find(keys, key=key).start_mark.index)

    def fault(self, keys: Sequence[str | int], text: str, *, key: bool = False) -> Fault:
        """Return the fault `text` at the position of `keys`."""
        return Fault(*self.position(keys, key=key), text)

    def problem(self, keys: Sequence[str | int], text: str, *, key: bool = False) -> str:
        """Return `path:line:column: text`, with the position of `keys`."""
        return rendered(self.path, [self.fault(keys, text, key=key)])[0]


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the key node and value node for one element of a path; list items have no key."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        item = node.value[part]
        return item, item
    if not isinstance(node, yaml.MappingNode):
        return None
    for key_node, value_node in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == part and key_node.tag != core.MERGE:
            return key_node, value_node
    for key_node, value_node in node.value:
        if key_node.tag == core.MERGE:
            for source in merge_sources(value_node):
                found = _step(source, part)
                if found:
                    return found
    return None


def parse(
    content: bytes,
    path: str,
    wanted: Callable[[yaml.Node], object] | None = None,
    *,
    is_own: bool = False,
) -> list[YamlDocument]:
    """Return the documents of a YAML file; empty for a file that is empty or all comments.

    `path` is the file's name in messages. `wanted` selects by root node the documents to read; the
    others only have to be YAML. More than MOST_YAML_VALUES in total are a fault unless the user
    made the file (`is_own`). Raises DocumentError with every fault that can be found at once, or
    the first thousand: wrong encoding or control characters; otherwise the duplicate and ambiguous
    keys and invalid scalars up to the first syntax error, and that error.
    """
    source, faults = _source(content, path)
    documents = [
        YamlDocument(path, construct(node, source, faults), node, source)
        for node in _nodes(source, faults, None if is_own else MOST_YAML_VALUES)
        if wanted is None or wanted(node)
    ]
    if faults:
        raise DocumentError(rendered(path, faults))
    return documents


def compose(text: str) -> list[ComposedDocument]:
    """Return the documents of a text as trees of nodes, without converting them to data.

    For searching texts of other authors (the image search): duplicate keys, and keys and scalars
    that `parse` refuses, are accepted. Raises YamlFault, at the first fault, for text that is not
    YAML.
    """
    control_character = _NOT_PRINTABLE.search(text)
    if control_character:
        raise YamlFault(control_character.start(), _control_character(control_character[0]))
    if text.startswith(BYTE_ORDER_MARK):
        # libyaml does not count it, so all its marks would be off by one.
        raise YamlFault(0, "a byte order mark, which has no place here")
    return list(compose_text(text, None))


def _source(content: bytes, path: str) -> tuple[Text, list[Fault]]:
    source = Text(decoded(content, path))
    return source, list(_control_characters(source))


def _nodes(source: Text, faults: list[Fault], most_values: int | None) -> Iterator[yaml.Node]:
    """Yield the root nodes up to the first syntax error, including that of the document it cuts short."""
    if faults:
        return
    try:
        for document in compose_text(source.content, most_values):
            yield document.root
    except YamlFault as fault:
        faults.append(source.fault(fault.index, fault.text))
        if fault.unfinished:
            yield fault.unfinished


def load_one(content: bytes, path: str, *, is_own: bool = False) -> YamlDocument:
    """Return the only document of a file; empty documents beside it do not count.

    Raises DocumentError as `parse` does, and for a file with none or several.
    """
    documents = parse(content, path, is_own=is_own)
    filled = [document for document in documents if document.data is not None]
    if not filled:
        raise DocumentError([f"{path}:1:1: the file is empty, expected one YAML document"])
    if len(filled) > 1:
        raise DocumentError([filled[1].problem([], f"{len(filled)} YAML documents in one file, expected one")])
    return filled[0]


def decoded(content: bytes, path: str) -> str:
    """Decode a file without its byte order mark; DocumentError, calling it `path`, if it is not UTF-8."""
    if content.startswith(_OTHER_BYTE_ORDER_MARKS):
        raise DocumentError([f"{path}:1:1: the file is UTF-16 or UTF-32, expected UTF-8"])
    try:
        return content.decode("utf-8").removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        before = Text(content[: error.start].decode("utf-8").removeprefix(BYTE_ORDER_MARK))
        byte = content[error.start]
        fault = before.fault(len(before.content), f"the byte 0x{byte:02x} is not UTF-8, expected a file in UTF-8")
        raise DocumentError(rendered(path, [fault])) from None


def json_as_yaml(text: str) -> str:
    """Replace what YAML does not accept in a JSON text, keeping its length: tabs, and characters in two escapes.

    Those characters are lost, so the text is only good for finding positions.
    """
    return _HALF_CHARACTER.sub(_without_half, text.replace("\t", " ")) if "\\u" in text else text.replace("\t", " ")


def json_values_as_yaml(text: str) -> str:
    """Return a JSON text as YAML of the same values; positions differ."""
    return _PAIR.sub(_one_escape, text.replace("\t", " "))


def _one_escape(match: re.Match[str]) -> str:
    if not match["high"]:
        return match[0]
    high, low = int(match["high"], 16), int(match["low"], 16)
    return f"\\U{0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00:08X}"


def _without_half(match: re.Match[str]) -> str:
    return "\\ufffd" if match["half"] else match[0]


def _control_characters(source: Text) -> Iterator[Fault]:
    for count, match in enumerate(_NOT_PRINTABLE.finditer(source.content)):
        if count == _MOST_CONTROL_CHARACTERS:
            yield source.fault(match.start(), "further control characters, which YAML does not allow")
            return
        yield source.fault(match.start(), _control_character(match[0]))


def _control_character(character: str) -> str:
    return f"the control character U+{ord(character):04X}, which YAML does not allow"
