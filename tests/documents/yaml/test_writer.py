from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.documents.yaml.writer import write
from bundlepipe.errors import DocumentError

TEXTS = st.text(st.characters(blacklist_categories=["Cs"]))
# What one of the two versions of YAML takes for something else than a text.
WORDS = st.sampled_from(
    """
    y|n|yes|No|ON|off|true|FALSE|null|~|=|<<|1|1.0|010|0o17|0x1F|0b1|1_000|1:30|1:30.5|1e3|.5|.inf|-.INF|.nan|+|-|
    2020-01-01|2020-01-01 10:00:00|2020-1-1T1:1:1Z|a: b|a #b|#|- a|? a|: a|---|... x||a: |a:|'a'|"a"|a |[a|\n|a\n|
    a\n\n| a\nb|a \nb|\ta|a\tb|a\rb|\ufeffa
    """.strip()
    .replace("|\n    ", "|")
    .split("|")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | WORDS, inner, max_size=4),
    max_leaves=12,
)


def line(value: Any) -> str:
    return write({"a": value}).decode().removeprefix("---\na: ").removesuffix("\n")


@pytest.mark.parametrize(
    "text",
    [
        "registry.example:5000/app@sha256:00",
        "nginx:1.2",
        "https://example.org/#a?b=c",
        "a b, c",
        "-a",
        "?a",
        ":a",
        'it\'s "it"',
        "1.2.3",
        "v1",
        "1e",
        "grün 🙂",
        "a:b#c",
        "12:99:xx",
    ],
)
def test_a_text_that_needs_no_quotes_has_none(text: str) -> None:
    assert line(text) == text


@pytest.mark.parametrize(
    "text", ["1.0", "010", "0o17", "1:30", "yes", "Off", "y", "null", "~", "", "1e3", "2020-01-01"]
)
def test_a_text_that_would_be_something_else_is_in_double_quotes(text: str) -> None:
    assert line(text) == f'"{text}"'


@pytest.mark.parametrize("text", ["[::1]:5000/app", "a: b", "a:", "a #b", "*a", "- a", " a", "a ", "@a", "---", '"a"'])
def test_a_text_that_would_be_syntax_is_in_single_quotes(text: str) -> None:
    assert line(text) == f"'{text}'"


def test_single_quotes_are_doubled_within_single_quotes() -> None:
    assert line("'a': b") == "'''a'': b'"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\tb", '"a\\tb"'),
        ("\n", '"\\n"'),
        ("a \nb", '"a \\nb"'),
        (' "\\\n', '" \\"\\\\\\n"'),
        ("\0\x85\u2028\ufeff\u200b", '"\\x00\\x85\\u2028\\ufeff\\u200b"'),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, written: str) -> None:
    assert line(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("- a: b\n  c: d\n", "|\n  - a: b\n    c: d"),
        ("a\n\nb", "|-\n  a\n\n  b"),
        ("a\n\n\n", "|+\n  a\n\n"),
    ],
)
def test_a_text_of_several_lines_is_a_literal_block(text: str, written: str) -> None:
    assert line(text) == written


def test_collections_are_written_as_go_writes_them() -> None:
    document = {
        "z": [{"b": [1, {"c": None}], "a": {"y": True, "x": False}}, [["deep"], []], {}, "text"],
        "m": {},
        "l": [],
        "a": {"k": "a\nb\n"},
    }
    assert write(document).decode() == (
        '---\na:\n  k: |\n    a\n    b\nl: []\nm: {}\nz:\n- a:\n    x: false\n    "y": true\n  b:\n  - 1\n  - c: null\n'
        "- - - deep\n  - []\n- {}\n- text\n"
    )


def test_long_lines_are_not_wrapped() -> None:
    text = "word " * 200 + "end"
    assert line(text) == text


@pytest.mark.parametrize("key", ["k" * 999, "k" * 1001, "k: " * 1000, "\n" * 700])
@pytest.mark.parametrize("value", ["text", "a\nb\n", {"nested": ["x"]}, ["x", {"y": "z"}], [], None])
def test_keys_of_any_length_are_read_again(key: str, value: Any) -> None:
    written = write({"outer": [{key: value, "z": 1}]})
    assert load_one(written, "f.yml").data == {"outer": [{key: value, "z": 1}]}
    assert yaml.safe_load(written) == {"outer": [{key: value, "z": 1}]}


def test_a_text_that_is_not_unicode_is_an_error() -> None:
    for text in ("ab\udcffcd", "\udcff"):
        with pytest.raises(DocumentError, match=r"^cannot write YAML: the text around '.*\\udcff' is not Unicode$"):
            write({"a": text})


@given(VALUES)
@example(["a\n", {"b": "c\n\n"}, "d\n\n\n"])
@example({"a": "\ufeff"})
@example("\ud7ff\ue000\U0010ffff\ufffe")
def test_readers_of_yaml_1_2_and_1_1_read_what_was_written(value: Any) -> None:
    written = write({"value": value})
    assert load_one(written, "f.yml").data == {"value": value}
    assert yaml.safe_load(written) == {"value": value}


@given(st.dictionaries(TEXTS, TEXTS))
def test_the_order_of_keys_does_not_matter(value: dict[str, str]) -> None:
    assert write(dict(reversed(value.items()))) == write(value)
