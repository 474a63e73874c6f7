from __future__ import annotations

import pickle

import pytest

from bundlepipe.errors import (
    BundlepipeError,
    DocumentError,
    InputError,
    NotFound,
    ResolutionError,
    Unresolved,
    quoted,
    shortened,
)


def test_an_error_says_what_it_was_given() -> None:
    assert str(InputError("a: cannot be read")) == "a: cannot be read"
    assert str(NotFound()) == "NotFound"


def test_a_file_name_that_is_not_utf_8_can_be_printed() -> None:
    assert str(InputError("a\udcff: cannot be read")).encode() == rb"a\udcff: cannot be read"


def test_the_faults_of_a_document_are_kept_one_by_one() -> None:
    error = DocumentError(line for line in ("f.yml:1:1: a", "f.yml:2:1: b"))
    assert error.problems == ("f.yml:1:1: a", "f.yml:2:1: b")
    assert str(error) == "f.yml:1:1: a\nf.yml:2:1: b"


def test_references_that_are_not_resolved_are_kept_one_by_one() -> None:
    error = ResolutionError([Unresolved("web", "f.yml:1:1", "why"), Unresolved("app", "f.yml:2:1", "x", "build")])
    assert str(error) == "f.yml:1:1: cannot resolve 'web': why\nf.yml:2:1: cannot build 'app': x"
    assert [each.reference for each in error.unresolved] == ["web", "app"]


@pytest.mark.parametrize(
    "error",
    [
        InputError("x"),
        DocumentError(["x", "y"]),
        ResolutionError([Unresolved("web", "f.yml:1:1", "why")]),
        NotFound("x"),
    ],
)
def test_errors_come_back_from_other_processes_as_they_were(error: BundlepipeError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("nginx:1.2", "'nginx:1.2'"),
        ("a\nb\t\x1b[0m", "'a\\nb\\t\\x1b[0m'"),
        ("\u202e\udcff\u00a0ü🙂", "'\\u202e\\udcff\\xa0ü🙂'"),
    ],
)
def test_a_text_from_outside_is_quoted_in_one_line(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_a_long_text_from_outside_is_cut() -> None:
    assert shortened("x" * 10, 10) == "x" * 10
    assert shortened("x" * 11, 10) == "x" * 9 + "…"
    assert shortened("\n" * 6, 10) == "\\n\\n\\n\\n\\…"
    assert len(quoted("x" * 1_000_000)) == 502
