"""The `WWW-Authenticate` header, as servers write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.stores.http.challenges import Challenge, parse_challenges

URL = "https://r.example/v2/"


def _parsed(*headers: str) -> list[tuple[str, dict[str, str]]]:
    return [(challenge.scheme, dict(challenge.parameters)) for challenge in parse_challenges(headers, URL)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        ("Basic", [("basic", {})]),
        (
            'Bearer realm="https://auth.example/token?a=b",service="r.example",scope="repository:a/b:pull,push"',
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example/token?a=b",
                        "service": "r.example",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        ('BEARER Realm = "x" , SERVICE=y', [("bearer", {"realm": "x", "service": "y"})]),
        (
            "Bearer realm=https://auth.example/token,service=y",
            [("bearer", {"realm": "https://auth.example/token", "service": "y"})],
        ),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Negotiate, Basic realm=a", [("negotiate", {}), ("basic", {"realm": "a"})]),
        ("Negotiate YWJj/+==, Basic realm=a", [("negotiate", {}), ("basic", {"realm": "a"})]),
        (r'Basic realm="say \"hi\" \\"', [("basic", {"realm": r'say "hi" \ '.strip()})]),
        ('Basic realm=""', [("basic", {"realm": ""})]),
        ('Basic realm="first", realm="second"', [("basic", {"realm": "first"})]),
        ('Bearer realm="never closed', [("bearer", {"realm": "never closed"})]),
        (',, ,Basic realm="x",, ,', [("basic", {"realm": "x"})]),
        ("", []),
        ('=,"', []),
    ],
)
def test_a_header_is_read(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert _parsed(header) == expected


def test_challenges_may_come_in_several_headers() -> None:
    assert parse_challenges(['Basic realm="a"', 'Bearer realm="b"'], URL) == [
        Challenge("basic", {"realm": "a"}, URL),
        Challenge("bearer", {"realm": "b"}, URL),
    ]


@given(st.lists(st.text(max_size=40), max_size=3))
def test_nothing_that_a_server_writes_is_too_much(headers: list[str]) -> None:
    for challenge in parse_challenges(headers, URL):
        assert challenge.scheme == challenge.scheme.lower()
        assert all(name == name.lower() for name in challenge.parameters)


@given(st.dictionaries(st.from_regex("[a-z][a-z0-9_]{0,9}", fullmatch=True), st.text(max_size=20), min_size=1))
def test_quoted_values_come_out_as_they_went_in(parameters: dict[str, str]) -> None:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
    header = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())

    assert _parsed(header) == [("bearer", parameters)]
