from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bundlepipe.documents.schemas import validator
from bundlepipe.documents.schemas.explanation import explain
from bundlepipe.documents.yaml.fault import rendered
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.errors import DocumentError

SCHEMAS = sorted(path.name.removesuffix(".schema.json") for path in Path("schemas").glob("*.schema.json"))

A_DIGEST_REFERENCE = "a digest reference, such as registry.example/app@sha256:<64 digits>"
LOCK_HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"


def explained(text: str, schema_: dict[str, Any]) -> list[str]:
    """Return what is wrong with a document by a schema that is not one of the shipped ones."""
    document = load_one(text.encode(), "f.yml")
    Draft202012Validator.check_schema(schema_)
    return rendered("f.yml", explain(document, Draft202012Validator(schema_).iter_errors(document.data), schema_))


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas, "additionalProperties": False}


def subschemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from subschemas(child)


def test_the_schemas_of_all_documents_are_there() -> None:
    assert {"images-lock", "bundle-lock", "bundle", "image-locations", "kbld-config"} <= set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_shipped_schemas_are_valid_and_named_as_their_file(name: str) -> None:
    shipped = json.loads(validator.schema_text(name))
    Draft202012Validator.check_schema(shipped)
    assert shipped["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert shipped["$id"] == f"https://bundlepipe.dev/schemas/{name}.schema.json"
    assert shipped["title"]
    assert shipped["description"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_of_a_shipped_schema_is_described(name: str) -> None:
    shipped = json.loads(validator.schema_text(name))
    declared = [
        (key, {**shipped["$defs"][value["$ref"].removeprefix("#/$defs/")], **value} if "$ref" in value else value)
        for subschema in subschemas(shipped)
        if isinstance(subschema.get("properties"), dict)
        for key, value in subschema["properties"].items()
    ]
    assert declared
    assert [key for key, value in declared if not value.get("description")] == []


def test_an_unknown_schema_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        validator.schema_text("nothing")


def test_a_schema_is_compiled_once() -> None:
    document = load_one(LOCK_HEAD.encode(), "f.yml")
    assert validator.problems(document, "images-lock") == []
    compiled = validator._validator("images-lock")
    validator.check(document, "images-lock")
    assert validator._validator("images-lock") is compiled


def test_an_unresolvable_reference_of_a_schema_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps({"$ref": "http://127.0.0.1:9/other.json"})
    monkeypatch.setattr(validator, "schema_text", lambda name: text)
    with pytest.raises(Exception, match=r"Unresolvable: http://127\.0\.0\.1:9/other\.json"):
        validator.problems(load_one(b"a: 1", "f.yml"), "refers-elsewhere")


def test_check_raises_all_problems_in_the_order_of_the_document() -> None:
    text = LOCK_HEAD.replace("ImagesLock", "Lock") + "images:\n- imge: x\nmore: 1\n"
    document = load_one(text.encode(), "f.yml")
    with pytest.raises(DocumentError) as caught:
        validator.check(document, "images-lock")
    assert list(caught.value.problems) == [
        "f.yml:2:7: 'kind' is 'Lock', expected 'ImagesLock'",
        f"f.yml:4:3: missing key 'image' in 'images[0]', expected {A_DIGEST_REFERENCE}",
        "f.yml:4:3: unknown key 'imge', did you mean 'image'?",
        "f.yml:5:1: unknown key 'more', expected one of 'apiVersion', 'kind', 'images'",
    ]
    assert validator.problems(document, "images-lock") == list(caught.value.problems)


def test_unknown_keys_suggest_what_was_probably_meant() -> None:
    wanted = properties(images={}, kind={})
    assert explained("imges: 1", wanted) == ["f.yml:1:1: unknown key 'imges', did you mean 'images'?"]
    assert explained("IMAGES: 1", wanted) == ["f.yml:1:1: unknown key 'IMAGES', did you mean 'images'?"]
    assert explained("x: 1", wanted) == ["f.yml:1:1: unknown key 'x', expected one of 'images', 'kind'"]
    assert explained("x: 1", properties()) == ["f.yml:1:1: unknown key 'x', expected none"]
    assert explained("x: 1\ny: 2", properties(a={})) == [
        "f.yml:1:1: unknown key 'x', expected 'a'",
        "f.yml:2:1: unknown key 'y', expected 'a'",
    ]


def test_keys_that_a_pattern_allows_are_known() -> None:
    wanted = {"patternProperties": {"^x-": {}}, "additionalProperties": False}
    assert explained("x-a: 1\ny: 1", wanted) == ["f.yml:2:1: unknown key 'y', expected none"]


def test_unevaluated_keys_are_unknown_and_those_of_combined_schemas_known() -> None:
    wanted = {
        "properties": {"a": {}},
        "allOf": [{"$ref": "#/$defs/more"}],
        "if": {"required": ["b"]},
        "then": {"properties": {"c": {}}},
        "unevaluatedProperties": False,
        "$defs": {"more": {"properties": {"b": {}}}},
    }
    assert explained("a: 1\nb: 1\nc: 1", wanted) == []
    assert explained("a: 1\nb: 1\nxyz: 1", wanted) == ["f.yml:3:1: unknown key 'xyz', expected one of 'c', 'b', 'a'"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"const": "x"}, "'x'"),
        ({"enum": ["x", "y"]}, "one of 'x', 'y'"),
        ({"type": "string"}, "a string"),
        ({"type": ["array", "null"]}, "a list"),
        ({"type": ["object", "string"]}, "a mapping or a string"),
        ({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/d"}]}, "a string or a date"),
        ({"$ref": "#/$defs/d"}, "a date"),
        ({"$ref": "#/$defs/d", "x-expected": "today"}, "today"),
        (True, "a value"),
    ],
)
def test_a_missing_key_says_what_is_expected(wanted: Any, expected: str) -> None:
    whole = {**properties(a=wanted), "required": ["a"], "$defs": {"d": {"type": "string", "x-expected": "a date"}}}
    assert explained("{}", whole) == [f"f.yml:1:1: missing key 'a', expected {expected}"]


def test_every_missing_key_is_reported_where_it_is_missing() -> None:
    wanted = {"properties": {"list": {"items": {"required": ["a", "b"]}}}}
    assert explained("list:\n- {a: 1}\n- {}\n", wanted) == [
        "f.yml:2:3: missing key 'b' in 'list[0]', expected a value",
        "f.yml:3:3: missing key 'a' in 'list[1]', expected a value",
        "f.yml:3:3: missing key 'b' in 'list[1]', expected a value",
    ]


def test_keys_that_need_one_another() -> None:
    wanted = {"dependentRequired": {"user": ["password"]}}
    assert explained("user: x", wanted) == ["f.yml:1:1: missing key 'password', expected beside 'user'"]


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("string", "1", "expected a string, found 1 (quote it)"),
        ("string", "1.10", "expected a string, found 1.10 (quote it)"),
        ("string", "true", "expected a string, found true (quote it)"),
        ("string", "", "expected a string, found nothing (null)"),
        ("string", "[a]", "expected a string, found a list"),
        ("string", "{a: b}", "expected a string, found a mapping"),
        ("boolean", "yes", "expected true or false, found 'yes'"),
        ("integer", "1.5", "expected a whole number, found 1.5"),
        ("number", "x", "expected a number, found 'x'"),
        ("array", "x", "expected a list, found 'x'"),
        ("object", "1", "expected a mapping, found 1"),
        ("null", "1", "expected nothing, found 1"),
        (["string", "array"], "2", "expected a string or a list, found 2 (quote it)"),
    ],
)
def test_values_of_the_wrong_type(type_: Any, value: str, message: str) -> None:
    assert explained(f"a: {value}", properties(a={"type": type_})) == [f"f.yml:1:{4 if value else 3}: 'a': {message}"]


def test_the_whole_document_may_be_of_the_wrong_type() -> None:
    assert explained("- a", properties()) == ["f.yml:1:1: the document: expected a mapping, found a list"]
    assert explained("- [1]", {"items": {"items": {"type": "string"}}}) == [
        "f.yml:1:4: '[0][0]': expected a string, found 1 (quote it)"
    ]


@pytest.mark.parametrize(
    ("wanted", "value", "message"),
    [
        ({"const": "v1"}, "v2", "'a' is 'v2', expected 'v1'"),
        (
            {"enum": ["always", "never"]},
            "alwys",
            "'a' is 'alwys', expected one of 'always', 'never', did you mean 'always'?",
        ),
        ({"enum": ["always", "never"]}, "x", "'a' is 'x', expected one of 'always', 'never'"),
        ({"pattern": "^a+$"}, "b", "'a' is 'b', expected a string that matches ^a+$"),
        ({"pattern": "^a+$", "x-expected": "some a, such as aaa"}, "b", "'a' is 'b', expected some a, such as aaa"),
        ({"minLength": 1}, "''", "'a' is '', expected at least 1 character"),
        ({"maxLength": 2}, "abc", "'a' is 'abc', expected at most 2 characters"),
        ({"minItems": 1}, "[]", "'a' is empty, expected at least 1 item"),
        ({"maxItems": 1}, "[1, 2]", "'a' has 2 items, expected at most 1 item"),
        ({"minProperties": 1}, "{}", "'a' has 0 keys, expected at least 1 key"),
        ({"maxProperties": 1}, "{b: 1, c: 2}", "'a' has 2 keys, expected at most 1 key"),
        ({"minimum": 1}, "0", "'a' is 0, expected 1 or more"),
        ({"maximum": 1}, "0x10", "'a' is 0x10, expected 1 or less"),
        ({"exclusiveMinimum": 0}, "0", "'a' is 0, expected more than 0"),
        ({"exclusiveMaximum": 0}, "0", "'a' is 0, expected less than 0"),
        ({"multipleOf": 2}, "3", "'a' is 3, expected a multiple of 2"),
        ({"uniqueItems": True}, "[x, x]", "'a' is a list, expected no item twice"),
    ],
)
def test_values_that_break_a_rule(wanted: Any, value: str, message: str) -> None:
    assert explained(f"a: {value}", properties(a=wanted)) == [f"f.yml:1:4: {message}"]


def test_offending_values_are_shown_in_one_line_and_shortened() -> None:
    (problem,) = explained('a: "x\\ny' + "z" * 500 + '"', properties(a={"const": 1}))
    assert problem == "f.yml:1:4: 'a' is 'x\\ny" + "z" * 55 + "…', expected 1"


def test_a_forbidden_key() -> None:
    wanted = {"if": {"required": ["a"]}, "then": {"properties": {"b": False}}}
    assert explained("a: 1\nb: 2", wanted) == ["f.yml:1:1: the document holds 2, which has no place there"]


def test_names_of_keys() -> None:
    wanted = properties(bundles={"propertyNames": {"$ref": "#/$defs/name"}})
    wanted["$defs"] = {"name": {"pattern": "^[a-z]+$", "x-expected": "lower-case letters"}}
    assert explained("bundles:\n  ok: 1\n  Not ok: 2\n", wanted) == [
        "f.yml:3:3: the key 'Not ok' cannot be used here, expected lower-case letters"
    ]


FROM = {
    "oneOf": [
        {"type": "string", "pattern": "^[a-z]+$", "x-expected": "a reference"},
        {**properties(bundle={"type": "string"}), "required": ["bundle"]},
        {**properties(image={"type": "string"}, tag={"type": "string"}), "required": ["image"]},
        {**properties(lock={"type": "object", "required": ["path"]}), "required": ["lock"]},
    ],
    "x-expected": "a reference, {bundle: NAME}, {image: NAME} or {lock: PATH}",
}


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("NGINX", ["1:4: 'a' is 'NGINX', expected a reference"]),
        ("{bundel: x}", ["1:5: unknown key 'bundel', did you mean 'bundle'?", "1:4: missing key 'bundle' in 'a', "]),
        ("{bundle: 1}", ["1:13: 'bundle': expected a string, found 1 (quote it)"]),
        ("{image: x, tg: y}", ["1:15: unknown key 'tg', did you mean 'tag'?"]),
        ("{lock: {}}", ["1:11: missing key 'path' in 'lock', expected a value"]),
        ("{}", ["1:4: 'a' has no keys, expected a reference, {bundle: NAME}, {image: NAME} or {lock: PATH}"]),
        (
            "{zzz: 1}",
            ["1:4: 'a' has the key 'zzz', expected a reference, {bundle: NAME}, {image: NAME} or {lock: PATH}"],
        ),
        ("[]", ["1:4: 'a': expected a reference, {bundle: NAME}, {image: NAME} or {lock: PATH}, found a list"]),
        ("5", ["1:4: 'a': expected a reference, {bundle: NAME}, {image: NAME} or {lock: PATH}, found 5 (quote it)"]),
    ],
)
def test_of_several_alternatives_the_one_that_was_meant_is_explained(value: str, messages: list[str]) -> None:
    found = explained(f"a: {value}", properties(a=FROM))
    assert len(found) == len(messages)
    for message in messages:
        assert any(problem.startswith(f"f.yml:{message}") for problem in found), found


def test_alternatives_without_words_of_their_own_are_listed() -> None:
    wanted = properties(a={"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "boolean", "const": True}]})
    assert explained("a: {}", wanted) == ["f.yml:1:4: 'a': expected a string or a list or true, found a mapping"]


def test_a_value_that_fits_two_alternatives_of_one() -> None:
    wanted = properties(a={"oneOf": [{"type": "string"}, {"minLength": 1}]})
    assert explained("a: x", wanted) == ["f.yml:1:4: 'a' fits several choices, expected only one of them"]


def test_alternatives_within_alternatives() -> None:
    wanted = properties(
        a={"anyOf": [{"type": "string"}, {"oneOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}]}
    )
    assert explained("a: [1]", wanted) == ["f.yml:1:5: 'a[0]': expected a string, found 1 (quote it)"]
    assert explained("a: {}", wanted) == ["f.yml:1:4: 'a': expected a string or a list or nothing, found a mapping"]


def test_many_choices_are_not_all_listed() -> None:
    wanted = properties(**{f"key{number:02}": {} for number in range(20)})
    (problem,) = explained("zzzzzz: 1", wanted)
    assert problem.endswith("expected one of " + ", ".join(f"'key{number:02}'" for number in range(12)) + ", …")
