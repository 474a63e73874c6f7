from __future__ import annotations

import pytest

from bundlepipe.documents.yaml.problem import Problem, parse_problem

FILES = {"a.yml", "odd: name.yml", "bundlepipe.yml"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.yml:3:14: unknown key 'x'", Problem("a.yml", 3, 14, "unknown key 'x'")),
        ("a.yml:3:1: include: b.yml:5:2: wrong", Problem("a.yml", 3, 1, "include: b.yml:5:2: wrong")),
        ("odd: name.yml:3:1: wrong", Problem("odd: name.yml", 3, 1, "wrong")),
        ("a.yml: cannot be read: no", Problem("a.yml", None, None, "cannot be read: no")),
        ("odd: name.yml: cannot be read", Problem("odd: name.yml", None, None, "cannot be read")),
        ("bundle 'a': no destination", Problem("bundlepipe.yml", None, None, "bundle 'a': no destination")),
        ("nothing to split", Problem("bundlepipe.yml", None, None, "nothing to split")),
        ("image: a.example:5000: wrong", Problem("bundlepipe.yml", None, None, "image: a.example:5000: wrong")),
    ],
)
def test_messages_are_taken_apart(text: str, problem: Problem) -> None:
    assert parse_problem(text, FILES.__contains__, "bundlepipe.yml") == problem
