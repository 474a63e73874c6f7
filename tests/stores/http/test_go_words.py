from __future__ import annotations

from typing import Any

import pytest

from bundlepipe.errors import NotFound
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import Answer, registry_refusal
from bundlepipe.stores.http.go_words import diagnostic, printed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Tag": "v1"}, "map[Tag:v1]"),
        ({"b": 1, "a": None}, "map[a:<nil> b:1]"),
        ([{"Action": "push"}, True, "x"], "[map[Action:push] true x]"),
        ("words", "words"),
        ({}, "map[]"),
    ],
)
def test_values_are_printed_as_go_prints_them(value: Any, text: str) -> None:
    assert printed(value) == text


@pytest.mark.parametrize(
    ("method", "body", "words"),
    [
        ("GET", '{"errors": [{"code": "A", "message": "a"}]}', "A: a"),
        ("GET", '{"errors": [{"code": "A", "message": "a", "detail": {"k": "v"}}]}', "A: a; map[k:v]"),
        (
            "GET",
            '{"errors": [{"code": "A", "message": "a"}, {"code": "B", "message": "b"}]}',
            "multiple errors returned: A: a; B: b",
        ),
        ("GET", "", "unexpected status code 404 Not Found"),
        ("GET", "gone", "unexpected status code 404 Not Found: gone"),
        (
            "HEAD",
            "",
            "unexpected status code 404 Not Found (HEAD responses have no body, use GET for details)",
        ),
    ],
)
def test_what_imgpkg_says_of_a_refusal(method: str, body: str, words: str) -> None:
    for query, shown in (("?n=1000", "?n=1000"), ("?token=x", ""), ("", "")):
        answer = Answer(method, f"http://registry.example/v2/a/tags/list{query}", 404, {}, body.encode())
        error = registry_refusal(answer, Redactor())
        assert isinstance(error, NotFound)
        assert error.drop_in == f"{method} http://registry.example/v2/a/tags/list{shown}: {words}"


def test_details_that_are_nested_beyond_reason_are_cut() -> None:
    detail: object = "end"
    for _ in range(5000):
        detail = [detail]
    assert "..." in diagnostic({"code": "X", "message": "m", "detail": detail})
