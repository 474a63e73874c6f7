from __future__ import annotations

import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from bundlepipe.documents.yaml.reader import YamlDocument, load_one, parse
from bundlepipe.documents.yaml.writer import write
from bundlepipe.errors import DocumentError

PROBLEM = re.compile(r"f\.yml:[1-9][0-9]*:[1-9][0-9]*: \S.*")

# What YAML may hold unescaped, so that a text reaches the parser instead of the check before it.
PRINTABLE = st.characters(blacklist_categories=["Cs"], blacklist_characters="\ufeff").filter(
    lambda c: c in "\t\n\r\x85" or " " <= c <= "~" or "\xa0" <= c <= "\ufffd" or c > "\uffff"
)
YAML_LIKE = st.lists(
    st.sampled_from(
        ["a", "b: ", "- ", "? ", ": ", "\n", "  ", "&x ", "*x", "<<: ", "!t ", "!!int ", "'", '"', "{", "}"]
    )
    | st.sampled_from(["[", "]", ",", "|\n", ">\n", "#", "%", "@", "---\n", "...\n", "1", "1.0", "~", "\t", "é", "\\u"])
    | PRINTABLE,
    max_size=30,
).map("".join)


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with both halves of PyYAML."""
    if request.param == "python":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)
    else:
        assert yaml.__with_libyaml__


def data(text: str) -> Any:
    return load_one(text.encode(), "f.yml").data


def problems(content: str | bytes) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        parse(content.encode() if isinstance(content, str) else content, "f.yml")
    return list(caught.value.problems)


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "y", "N", "Yes", "OFF", "1:30", "190:20:30", "2020-01-01"])
def test_what_only_yaml_1_1_converts_stays_text(text: str) -> None:
    assert data(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    "text", ["2001-12-14t21:59:43.10-05:00", "1_000", "0b11", "=", "0o8", "0xg", "1e", ".", "+", "-."]
)
def test_what_only_looks_like_a_number_stays_text(text: str) -> None:
    assert data(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("+12", 12),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("!!int '1'", 1),
        ("!!float 1", 1.0),
        ("!!bool true", True),
        ("!!null ''", None),
        ("! 12", "12"),
        ("!custom 12", "12"),
        ("!!timestamp 2020-01-01", "2020-01-01"),
        ("|\n  x\n  y\n", "x\ny\n"),
        ("[1, {b: c}]", [1, {"b": "c"}]),
        ("!custom [1]", [1]),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    found = data(f"a: {text}\nz: 1")["a"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(data("a: .nan")["a"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("!!int x", "f.yml:1:4: 'x': expected a whole number after '!!int'"),
        ("!!float x", "f.yml:1:4: 'x': expected a number after '!!float'"),
        ("!!bool yes", "f.yml:1:4: 'yes': expected true or false after '!!bool'"),
        ("!!null x", "f.yml:1:4: 'x': expected null or nothing after '!!null'"),
        ("!!binary aGk=", "f.yml:1:4: 'aGk=': the tag '!!binary' is not supported, expected a plain value"),
        ("!!set {a}", "f.yml:1:4: the tag '!!set' has no place here, expected '!!map' or none"),
        ("!!map []", "f.yml:1:4: the tag '!!map' has no place here, expected '!!seq' or none"),
    ],
)
def test_a_tag_that_does_not_fit_is_a_problem(text: str, problem: str) -> None:
    assert problems(f"a: {text}") == [problem]


def test_a_number_of_absurd_length_is_a_problem_and_shown_shortened() -> None:
    for digits in ("9" * 5000, "0x" + "f" * 5000):
        (problem,) = problems(f"a: {digits}")
        assert problem.startswith("f.yml:1:4: '")
        assert problem.endswith(f"…': a number of {len(digits)} digits, expected at most 1000")
        assert len(problem) < 200


def test_all_duplicate_keys_are_reported_at_their_positions() -> None:
    text = "a: 1\nb:\n  c: 1\n  c: 2\na: 2\n'a': 3\nd: [{e: 1, e: 2}]\n"
    assert problems(text) == [
        "f.yml:4:3: duplicate key 'c', expected once: it is in line 3 already",
        "f.yml:5:1: duplicate key 'a', expected once: it is in line 1 already",
        "f.yml:6:1: duplicate key 'a', expected once: it is in line 1 already",
        "f.yml:7:12: duplicate key 'e', expected once: it is in line 7 already",
    ]


def test_a_number_and_the_same_text_are_one_key() -> None:
    assert problems("1: a\n'1': b") == ["f.yml:2:1: duplicate key '1', expected once: it is in line 1 already"]


def test_keys_that_every_reader_turns_into_the_same_text_are_that_text() -> None:
    assert data("8080: a\ntrue: b\n1.5: c\n-3: d\non: e") == {
        "8080": "a",
        "true": "b",
        "1.5": "c",
        "-3": "d",
        "on": "e",
    }


@pytest.mark.parametrize("key", ["1.0", "010", "0x1F", "1e3", "+1", "True", "~", "null", ".inf"])
def test_keys_that_readers_disagree_about_are_problems(key: str) -> None:
    expected = f"f.yml:2:1: the key '{key}' is read differently by different tools, expected it in quotes"
    assert problems(f"a: 1\n{key}: 2") == [expected]
    assert data(f"'{key}': 2") == {key: 2}


def test_keys_that_are_no_scalars_are_problems_and_what_is_below_them_is_checked_too() -> None:
    assert problems("[a]: {b: 1, b: 2}\n? {c: d}\n: e\n!!int x: 1\n") == [
        "f.yml:1:1: a key that is a list or mapping, expected a string",
        "f.yml:1:13: duplicate key 'b', expected once: it is in line 1 already",
        "f.yml:2:3: a key that is a list or mapping, expected a string",
        "f.yml:4:1: the key 'x': expected a whole number after '!!int'",
    ]


MERGED = "base: &base {a: 1, b: 2}\nother: &other\n  b: 3\n  c: 4\nx:\n  <<: *base\n  b: 9\ny:\n  <<: [*other, *base]\n"


def test_merge_keys_work_as_in_yaml_1_1() -> None:
    merged = data(MERGED)
    assert merged["x"] == {"a": 1, "b": 9}
    assert merged["y"] == {"a": 1, "b": 3, "c": 4}


def test_the_position_of_a_merged_value_is_where_it_stands() -> None:
    document = load_one(MERGED.encode(), "f.yml")
    assert document.position(["y", "b"]) == (3, 6)
    assert document.position(["y", "a"]) == (1, 17)
    assert document.position(["x", "b"], key=True) == (7, 3)
    assert document.position(["x", "nowhere"]) == (6, 3)


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert data("'<<': {a: 1}") == {"<<": {"a": 1}}


def test_merging_something_else_than_mappings_is_a_problem() -> None:
    expected = "'<<' merges mappings, expected an alias of a mapping or a list of them"
    assert problems("a:\n  <<: 1\nb:\n  <<: [{c: 1}, x]\n") == [f"f.yml:2:7: {expected}", f"f.yml:4:16: {expected}"]


def test_two_merge_keys_in_one_mapping_are_duplicates() -> None:
    text = "a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n"
    assert problems(text) == ["f.yml:4:3: duplicate key '<<', expected once: it is in line 3 already"]


def test_an_alias_repeats_its_value() -> None:
    assert data("a: &x {b: [1]}\nc: *x\nd: &x 2\ne: *x") == {"a": {"b": [1]}, "c": {"b": [1]}, "d": 2, "e": 2}


def test_an_unknown_alias_is_a_problem() -> None:
    assert problems("a: 1\nb: *x") == ["f.yml:2:4: the alias '*x' repeats nothing, expected an anchor '&x' before it"]


def test_an_alias_within_its_own_value_is_a_problem() -> None:
    for text in ("a: &x [*x]", "a: &x [1]\nb: &x {c: *x}"):
        (problem,) = problems(text)
        assert problem.endswith(": the alias '*x' stands within the value that it repeats")


def test_anchors_end_with_their_document() -> None:
    (problem,) = problems("a: &x 1\n---\nb: *x\n")
    assert problem.startswith("f.yml:3:4: the alias '*x' repeats nothing")


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (problem,) = problems("\n".join(lines))
    assert re.fullmatch(r"f\.yml:[0-9]+:[0-9]+: aliases repeat more than 100000 values", problem)


@pytest.mark.parametrize("opening", ["[", "- ", "? ", "{a: ", "[{a: "])
def test_nesting_without_end_is_refused(opening: str) -> None:
    (problem,) = [line for line in problems(opening * 20_000) if "nested" in line]
    assert problem.endswith("nested too deeply, expected at most 200 levels")


def test_the_deepest_nesting_that_is_allowed_is_read() -> None:
    value = data("[" * 200 + "]" * 200)
    for _ in range(199):
        (value,) = value
    assert value == []


def test_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    document = load_one(b"\xef\xbb\xbfa: b\r\nc:\r\n  d: e\r\n", "f.yml")
    assert document.data == {"a": "b", "c": {"d": "e"}}
    assert document.position(["a"]) == (1, 4)
    assert document.position(["c", "d"]) == (3, 6)


def test_lone_carriage_returns_end_lines() -> None:
    assert load_one(b"a: b\rc: d\r", "f.yml").position(["c"]) == (2, 4)


def test_bytes_that_are_not_utf_8_are_reported_with_position() -> None:
    text = "\u00e4: b\r\nc: \u00e9".encode() + b"x\xff\xfe"
    assert problems(text) == ["f.yml:2:6: the byte 0xff is not UTF-8, expected a file in UTF-8"]
    assert problems(b"\xef\xbb\xbfa: \xc3(") == ["f.yml:1:4: the byte 0xc3 is not UTF-8, expected a file in UTF-8"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(encoding: str) -> None:
    content = "\ufeffa: b" if encoding.endswith("be") else "a: b"
    assert problems(content.encode(encoding)) == ["f.yml:1:1: the file is UTF-16 or UTF-32, expected UTF-8"]


def test_control_characters_are_reported_with_positions_but_not_without_end() -> None:
    assert problems("\u00e4\x07: 1\nb: '\x7f\x9f\ufffe'") == [
        "f.yml:1:2: the control character U+0007, which YAML does not allow",
        "f.yml:2:5: the control character U+007F, which YAML does not allow",
        "f.yml:2:6: the control character U+009F, which YAML does not allow",
        "f.yml:2:7: the control character U+FFFE, which YAML does not allow",
    ]
    many = problems("\0" * 5000)
    assert len(many) == 11
    assert many[-1] == "f.yml:1:11: further control characters, which YAML does not allow"


def test_positions_count_the_lines_and_columns_of_editors() -> None:
    # U+2028 and U+0085 end lines for libyaml, and what lies outside the basic plane is one column.
    document = load_one('a: "x\u2028y\x85z"\n\U0001f642: [\u00e9, b]\n'.encode(), "f.yml")
    assert document.position(["\U0001f642", 0]) == (2, 5)
    assert document.position(["\U0001f642", 1]) == (2, 8)


def test_positions_of_keys_values_items_and_the_root() -> None:
    document = load_one(b"# c\na:\n  - b: c\n    d:\n    - e\n", "f.yml")
    assert document.position([]) == (2, 1)
    assert document.position(["a"], key=True) == (2, 1)
    assert document.position(["a"]) == (3, 3)
    assert document.position(["a", 0, "b"]) == (3, 8)
    assert document.position(["a", 0, "d", 0]) == (5, 7)
    assert document.position(["a", 0], key=True) == (3, 5)


def test_the_position_of_what_is_missing_is_where_it_is_missing() -> None:
    document = load_one(b"a:\n  b: c\n", "f.yml")
    assert document.position(["a", "x"]) == (2, 3)
    assert document.position(["a", "x", "y", 3], key=True) == (2, 3)
    assert document.position(["a", "b", "c"]) == (2, 6)
    assert document.problem(["a", "b"], "wrong") == "f.yml:2:6: wrong"


@pytest.mark.parametrize(
    ("text", "position", "part"),
    [
        ("a:\n\tb: c", "2:1", "a tab cannot indent, expected spaces"),
        ("a: b: c", "1:5", "a ': ' has no place here, expected one 'key: value' a line or a quoted value"),
        ("a: @x", "1:4", "an unquoted value cannot start with '@', expected it in quotes"),
        ("a: %x", "1:4", "an unquoted value cannot start with '%', expected it in quotes"),
        ("a: b\nc: 'x\n", "2:4", "the quoted string is not closed"),
        ("a: b\nc\nd: e", "2:1", "expected a ':' after the key"),
        ("a:\n  - b\n c: d", "3:2", "indented as its siblings are (in a block mapping that starts in line 1)"),
        ("a:\n- b\n c: d", "3:3", "a ': ' has no place here"),
        ("a: [1, 2\n", "2:1", "(in a flow sequence that starts in line 1)"),
        ("a: b\n]", "2:1", "']'"),
    ],
)
def test_errors_of_syntax_say_where_and_what(text: str, position: str, part: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"f.yml:{position}: ")
    if part != "']'":
        assert part in problem


def test_problems_before_an_error_of_syntax_are_reported_with_it() -> None:
    assert problems("a: 1\na: 2\n---\nb:\n  c: 1\n  c: 2\n  1.0: x\nd: *nowhere\n") == [
        "f.yml:2:1: duplicate key 'a', expected once: it is in line 1 already",
        "f.yml:6:3: duplicate key 'c', expected once: it is in line 5 already",
        "f.yml:7:3: the key '1.0' is read differently by different tools, expected it in quotes",
        "f.yml:8:4: the alias '*nowhere' repeats nothing, expected an anchor '&nowhere' before it",
    ]


def test_all_documents_of_a_file_are_returned() -> None:
    assert [document.data for document in parse(b"a: 1\n---\n- b\n---\n# nothing\n", "f.yml")] == [
        {"a": 1},
        ["b"],
        None,
    ]
    assert parse(b"", "f.yml") == []
    assert parse(b"# nothing\n", "f.yml") == []


def test_the_only_document_may_have_empty_ones_beside_it() -> None:
    for text in (b"a: 1", b"---\na: 1\n...\n", b"a: 1\n---\n", b"---\n---\na: 1\n---\n# end\n"):
        assert load_one(text, "f.yml").data == {"a": 1}


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"---\n", b"null", b"\xef\xbb\xbf"])
def test_a_file_without_document_is_a_problem(text: bytes) -> None:
    with pytest.raises(DocumentError, match=r"^f\.yml:1:1: the file is empty, expected one YAML document$"):
        load_one(text, "f.yml")


def test_several_documents_are_a_problem_where_one_is_expected() -> None:
    with pytest.raises(DocumentError, match=r"^f\.yml:3:1: 3 YAML documents in one file, expected one$"):
        load_one(b"a: 1\n---\nb: 1\n---\nc: 1\n", "f.yml")


def expect_documents_or_problems(content: bytes) -> list[YamlDocument]:
    faults: tuple[str, ...] = ()
    documents: list[YamlDocument] = []
    try:
        documents = parse(content, "f.yml")
    except DocumentError as error:
        faults = error.problems or ("an error without problems",)
    assert [fault for fault in faults if not PROBLEM.fullmatch(fault)] == []
    return documents


@given(st.binary(max_size=60))
@example(b"\xff")
@example(b"\0")
def test_any_bytes_give_documents_or_located_problems(content: bytes) -> None:
    expect_documents_or_problems(content)


@given(st.text(PRINTABLE, max_size=60) | YAML_LIKE)
@example("!<tag:yaml.org,2002:int> ''")
@example("&x ? *x")
@example("{<<: *x, <<: {}}")
def test_any_text_gives_documents_or_located_problems(text: str) -> None:
    for document in expect_documents_or_problems(text.encode()):
        line, column = document.position([])
        assert 1 <= line <= len(re.split("\r\n|\r|\n", text))
        assert column >= 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(PRINTABLE),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(PRINTABLE), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    assert load_one(write({"value": value}), "f.yml").data == {"value": value}


@given(
    st.lists(
        st.tuples(st.text(PRINTABLE, max_size=8), st.sampled_from(["", "# c", "   "]), st.text(PRINTABLE)),
        min_size=1,
        unique_by=lambda entry: entry[0],
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_positions_point_at_the_right_line(entries: list[tuple[str, str, str]], line_end: str) -> None:
    lines: list[str] = []
    expected: dict[str, int] = {}
    for key, between, value in entries:
        lines.append(between)
        (written,) = (
            write({key: value.replace("\n", " ")}).decode().removeprefix("---\n").removesuffix("\n").split("\n")
        )
        lines.append(written)
        expected[key] = len(lines)
    document = load_one(line_end.join(lines).encode(), "f.yml")
    assert {key: document.position([key])[0] for key in document.data} == expected
    assert {key: document.position([key], key=True) for key in document.data} == {
        key: (line, 1) for key, line in expected.items()
    }
