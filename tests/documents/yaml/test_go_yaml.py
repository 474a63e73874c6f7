"""What kbld says of files that it cannot read: cases of its recordings, and of what it said when it was asked."""

from __future__ import annotations

import pytest

from bundlepipe.documents.yaml.composer import compose_text
from bundlepipe.documents.yaml.go_yaml import is_suspect, list_problem, parsing_problem

YAML = "error converting YAML to JSON: yaml: "
JSON = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type {}"
MAPPING = "map[string]interface {}"
NULL_KEY = "error converting YAML to JSON: unsupported map key of type: %!s(<nil>), key: <nil>, value: "


def suspect(text: str) -> bool:
    return is_suspect(text, [document.root for document in compose_text(text, None)])


@pytest.mark.parametrize(
    ("text", "number", "problem"),
    [
        ("a: [\n", 1, YAML + "line 1: did not find expected node content"),
        ("---\na: [\n", 1, YAML + "line 2: did not find expected node content"),
        ("a: b\n---\nb: [\n", 2, YAML + "line 1: did not find expected node content"),
        ("\ta: b\n", 1, YAML + "found character that cannot start any token"),
        ("a: b: c\n", 1, YAML + "mapping values are not allowed in this context"),
        ("a: 1\nb: c: d\n", 1, YAML + "line 2: mapping values are not allowed in this context"),
        ("a:\n1\n", 1, YAML + "line 3: could not find expected ':'"),
        ("a: *nowhere\n", 1, YAML + "unknown anchor 'nowhere' referenced"),
        ("a: &x [*x]\n", 1, YAML + "anchor 'x' value contains itself"),
        ("a: \x01\n", 1, YAML + "control characters are not allowed"),
        ("<<: x\n", 1, YAML + "map merge requires map or sequence of maps as the value"),
        (
            "a: {{ .Values.x }}\n",
            1,
            YAML + 'invalid map key: map[interface {}]interface {}{".Values.x":interface {}(nil)}',
        ),
        ("? [a, 1]\n: b\nc: .inf\n", 1, YAML + 'invalid map key: []interface {}{"a", 1}'),
        ("c: .inf\n? [a, 1]\n: b\n", 1, YAML + 'invalid map key: []interface {}{"a", 1}'),
        ("a: -.Inf\n", 1, "error converting YAML to JSON: json: unsupported value: -Inf"),
        ("a: [.nan]\n", 1, "error converting YAML to JSON: json: unsupported value: NaN"),
        ("%YAML 1.1\n---\na: b\n", 1, YAML + "line 1: did not find expected <document start>"),
        ("~: [b]\n", 1, f'{NULL_KEY}[]interface {{}}{{"b"}}'),
        ("a: {null: 1}\n", 1, f"{NULL_KEY}1"),
        ("a\n", 1, JSON.format("string", MAPPING)),
        ("a: b\n--- # more\n- c\n", 2, JSON.format("array", MAPPING)),
        ("1.5\n", 1, JSON.format("number", MAPPING)),
        ("true\n", 1, JSON.format("bool", MAPPING)),
        ("items:\n- a\n", 1, "items member is not an object: map[string]interface {}"),
    ],
)
def test_documents_that_cannot_be_read(text: str, number: int, problem: str) -> None:
    assert parsing_problem(text, "file 'a.yml'") == f"Parsing file 'a.yml' doc {number}: {problem}"


def test_a_separator_that_goes_on_is_told_before_all_else() -> None:
    assert parsing_problem("a: [\n--- b\n", "stdin") == "Parsing stdin: invalid Yaml document separator: b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# c\n",
        "---\n---\n",
        "null\n",
        "a: b\n",
        "a: &x {b: c}\nd: {<<: *x}\n---\n- \n...\n".replace("- \n", "{}\n"),
    ],
)
def test_files_that_kbld_reads(text: str) -> None:
    assert parsing_problem(text, "stdin") is None
    assert not suspect(text)


@pytest.mark.parametrize("text", ["a\n", "- a\n", "--- a\n", "%YAML 1.1\n---\na: b\n", "a: [.inf]\n", "? [a]\n: b\n"])
def test_files_that_are_yaml_and_have_to_be_asked_about(text: str) -> None:
    assert suspect(text)


def test_lists() -> None:
    assert list_problem("", "[]x") is list_problem("null", "[]x") is list_problem("- a", "[]x") is None
    assert list_problem("{}", "[]x") == JSON.format("object", "[]x")
    assert list_problem("[", "[]x") == YAML + "line 1: did not find expected node content"
