"""What a server says when it refuses, in one line of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.errors import AccessDenied, NotFound, StoreError
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.answers import Answer, describe_status, public_url, refusal


def _refusal(status: int, body: Any, hint: str = "") -> StoreError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Answer("GET", "https://user:pw@r.example/v2/a?token=x#y", status, {}, raw)
    return refusal(answer, Redactor(), hint)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"errors": [{"code": "DENIED", "message": "no"}]}, "DENIED: no"),
        ({"errors": [{"code": "DENIED", "message": "no", "detail": "because"}]}, "DENIED: no; because"),
        ({"errors": [{"code": "X", "message": "y", "detail": {"Tag": "v1", "n": 1}}]}, "X: y; Tag=v1"),
        ({"errors": [{"code": "X", "detail": [{"Type": "repository"}]}]}, "X"),
        ({"errors": [{"code": "A"}, {"message": "b"}, "c", {}]}, "A; b"),
        ({"errors": [{"code": 1, "message": ["x"]}]}, "418 I'm a Teapot"),
        ({"error": "invalid_grant", "error_description": "expired"}, "invalid_grant: expired"),
        ({"details": "incorrect username or password"}, "incorrect username or password"),
        ({"errors": [{"code": "A\r\nB", "message": "\x1b[31mred\u2028line\t\ttab"}]}, "A B: [31mred line tab"),
        ({}, "418 I'm a Teapot"),
        ([], "418 I'm a Teapot"),
        (b"<html>", "418 I'm a Teapot"),
        (b"\xff\xfe", "418 I'm a Teapot"),
        (b"[" * 100_000, "418 I'm a Teapot"),
        (b"", "418 I'm a Teapot"),
    ],
)
def test_the_servers_words_are_told(body: Any, words: str) -> None:
    assert str(_refusal(418, body)).casefold() == f"GET https://r.example/v2/a: {words}".casefold()


def test_long_words_are_cut() -> None:
    message = str(_refusal(400, {"errors": [{"code": "X", "message": "y" * 10_000}]}))

    assert message.endswith("yyy…")
    assert len(message) < 400


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDenied), (403, AccessDenied), (404, NotFound), (400, StoreError), (599, StoreError)],
)
def test_the_kind_of_error_tells_what_to_do(status: int, kind: type[StoreError]) -> None:
    error = _refusal(status, b"", "a hint")

    assert type(error) is kind
    assert str(error) == f"GET https://r.example/v2/a: {describe_status(status)}: a hint"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            b"Client sent an HTTP request to an HTTPS server.\n",
            "the server speaks TLS, but the request was plain HTTP",
        ),
        (b"<title>400 The plain HTTP request was sent to HTTPS port</title>", "use https"),
        (b"<title>400 No required SSL certificate was sent</title>", "the server wants a client certificate"),
    ],
)
def test_what_servers_say_of_tls_by_status_400_is_understood(body: bytes, words: str) -> None:
    assert words in str(_refusal(400, body))
    assert words not in str(_refusal(500, body))


@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_json_gives_one_line(document: Any) -> None:
    for body in (document, {"errors": document}, {"errors": [document]}):
        assert "\n" not in str(_refusal(500, body))


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://user:secret@r.example:5000/v2/a?x=secret#secret", "https://r.example:5000/v2/a"),
        ("http://[::1]:5000/v2/", "http://[::1]:5000/v2/"),
        ("/v2/a?x=secret", "/v2/a"),
    ],
)
def test_urls_are_shown_without_what_may_be_secret(url: str, public: str) -> None:
    assert public_url(url) == public
