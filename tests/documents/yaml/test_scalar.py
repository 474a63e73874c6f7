from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from bundlepipe.documents.yaml.composer import YamlFault
from bundlepipe.documents.yaml.edit import LINE_BREAKS, Edit, apply
from bundlepipe.documents.yaml.reader import compose
from bundlepipe.documents.yaml.scalar import ScalarText

PARTS = [
    "a",
    "b:1",
    "é",
    "😀",
    " ",
    "  ",
    "\t",
    "\n",
    "\n  ",
    "\n\n  ",
    "\n    ",
    "\r\n  ",
    "\r  ",
    "\x85  ",
    "\u2028  ",
]
QUOTED_PARTS = [
    "''",
    "#",
    " #",
    "\\n",
    "\\x41",
    "\\u00e9",
    "\\U0001f600",
    "\\/",
    '\\"',
    "\\\n",
    "\\\r\n  ",
    "\\\t",
    "\\L",
]
BLOCKS = ["|", ">", "|-", ">+", "|2", ">2-", "| # c"]


@pytest.fixture(params=["libyaml", "python"], autouse=True, scope="module")
def _parser(request: pytest.FixtureRequest) -> Any:
    """Run every test with both halves of PyYAML."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(yaml, "__with_libyaml__", False)
        yield


@st.composite
def documents(draw: Any) -> str:
    """A mapping whose key `a` has a scalar in any style, with what may stand in front of and behind it."""
    body = "".join(draw(st.lists(st.sampled_from(PARTS + QUOTED_PARTS), min_size=1, max_size=9)))
    style = draw(st.sampled_from(["", "'", '"', *BLOCKS]))
    scalar = f"{style}\n  {body}" if style in BLOCKS else f"{style}{body}{style}"
    front = draw(st.sampled_from(["", "&x ", "!!str ", "&x !!str ", "!!str # c\n  &x "]))
    return f"a: {front}{scalar}{draw(st.sampled_from(['', chr(10), ' # c', chr(10) + 'b: 1', chr(10) + '# c']))}"


def scalar_of(text: str) -> yaml.ScalarNode:
    """Return the value of the first key, or the first item of it."""
    root = compose(text)[0].root
    node = root.value[0][1]
    node = node.value[0] if isinstance(node, yaml.SequenceNode) else node
    assert isinstance(node, yaml.ScalarNode)
    return node


def readable_scalar(text: str) -> yaml.ScalarNode:
    """Return what `scalar_of` does, and give up documents that are not YAML or have nothing there."""
    try:
        node = scalar_of(text)
    except YamlFault:
        reject()
    assume(node.value.strip())
    return node


@given(documents(), st.data())
def test_a_part_of_any_scalar_can_be_replaced(text: str, data: st.DataObject) -> None:
    node = readable_scalar(text)
    value: str = node.value
    visible = [offset for offset, character in enumerate(value) if not character.isspace()]
    start = data.draw(st.sampled_from(visible))
    end = data.draw(st.sampled_from([offset for offset in visible if offset >= start])) + 1

    (edit,) = ScalarText(text, node).edits([Edit(start, end, "r.io/c:1")])

    changed = scalar_of(apply([edit], text))
    assert changed.value == value[:start] + "r.io/c:1" + value[end:]
    if set(value[start:end]) & set(LINE_BREAKS) and node.style == ">":
        # Lines that are joined may fold otherwise than they did; then all is written anew.
        assert changed.style in (">", '"')
    else:
        assert changed.style == node.style
        assert edit.text == "r.io/c:1"


def test_lines_that_would_fold_otherwise_without_what_is_replaced_are_written_anew() -> None:
    text = "a: >\n  aa\n    a\n  a"
    edits = ScalarText(text, scalar_of(text)).edits([Edit(0, 6, "r.io/c:1")])
    assert apply(edits, text) == 'a: "r.io/c:1\\na"'


@given(documents())
def test_every_character_of_a_value_has_its_place(text: str) -> None:
    node = readable_scalar(text)
    scalar = ScalarText(text, node)
    places = [scalar.index(offset) for offset in range(len(node.value))]
    assert places == sorted(places)
    for character, place in zip(node.value, places, strict=True):
        assert text[place] == character or text[place] in "\\' \t\r\n\x85"


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("a: b\n", 'a: "x: y"\n'),
        ("a: 'b'\n", "a: 'x: y'\n"),
        ("a: |\n  b\n", "a: |\n  x: y\n"),
        ("a: [b, c]\n", 'a: ["x: y", c]\n'),
    ],
)
def test_a_text_that_needs_quotes_gets_them(text: str, changed: str) -> None:
    assert apply(ScalarText(text, scalar_of(text)).edits([Edit(0, 1, "x: y")]), text) == changed


@pytest.mark.parametrize("new", ["x\ny", " x", "x ", "\x07", ""])
@pytest.mark.parametrize(
    "text", ["a: b\n", "a: 'b'\n", "a:\n  |\n  b\n\nc: d\n", "a: >-\n  b\n  \t\nc: d\n", "a: |+\n  b"]
)
def test_a_text_that_does_not_fit_is_put_in_double_quotes(text: str, new: str) -> None:
    node = scalar_of(text)
    changed = apply(ScalarText(text, node).edits([Edit(0, len(node.value), new)]), text)
    assert scalar_of(changed.replace('""', '"empty"')).value == (new or "empty")
    assert changed.endswith("c: d\n") == text.endswith("c: d\n")
