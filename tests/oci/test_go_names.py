"""What is a reference to kbld: cases of its recordings, and of go-containerregistry's rules."""

from __future__ import annotations

import pytest

from bundlepipe.oci.go_names import (
    is_digest_form,
    parse_problem,
    reference_problem,
    repository_problem,
    tag_problem,
    unspelled_problem,
)

DIGEST = "sha256:" + "a" * 64
REPOSITORY = "repository can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-./`"
TAG = "tag can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-.ABCDEFGHIJKLMNOPQRSTUVWXYZ`"
LENGTH = "repository must be between 2 and 255 characters in length"
INVALID = "Expected valid digest reference, but found '{}', reason: {}"


@pytest.mark.parametrize(
    "text",
    [
        "nginx",
        "nginx:1",
        "nginx:",
        "localhost:5000/a/b:1",
        "[::1]:5000/app",
        "Nginx.example/app",
        f"nginx@{DIGEST}",
        f"nginx:1@{DIGEST}",
        f"localhost:5000/app@{DIGEST}",
        "a//b",
        "..",
    ],
)
def test_what_kbld_takes_for_a_reference(text: str) -> None:
    assert reference_problem(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "a repository name must be specified"),
        (":1", "a repository name must be specified"),
        ("x", f"{LENGTH}: x"),
        ("localhost:1/x:y", f"{LENGTH}: x"),
        (" ", f"{LENGTH}:  "),
        ("a" * 256, f"{LENGTH}: {'a' * 256}"),
        ("App:1", f"{REPOSITORY}: App"),
        ("r.example/App", f"{REPOSITORY}: App"),
        ("r.example/app:1.0 ", f"{TAG}: 1.0 "),
        ("app:" + "a" * 129, f"tag must be between 1 and 128 characters in length: {'a' * 129}"),
        ("a b.example/app", "registries must be valid RFC 3986 URI authorities: a b.example"),
        ("r.example:x/app", "registries must be valid RFC 3986 URI authorities: r.example:x"),
        ("app@md5:aa", INVALID.format("app@md5:aa", "unsupported digest algorithm: md5:aa")),
        ("app@sha256:aa", INVALID.format("app@sha256:aa", "invalid checksum digest length")),
        (
            f"app@{DIGEST}@{DIGEST}",
            INVALID.format(
                f"app@{DIGEST}@{DIGEST}",
                "a digest must contain exactly one '@' separator (e.g. registry/repository@digest) "
                f"saw: app@{DIGEST}@{DIGEST}",
            ),
        ),
        (
            f"app@sha256:{'g' * 64}",
            INVALID.format(f"app@sha256:{'g' * 64}", "invalid checksum digest format"),
        ),
        (f"App@{DIGEST}", INVALID.format(f"App@{DIGEST}", f"{REPOSITORY}: App")),
        ("@", INVALID.format("@", "unsupported digest algorithm: ")),
    ],
)
def test_what_it_says_of_others(text: str, problem: str) -> None:
    assert reference_problem(text) == problem


def test_a_repository_has_no_tag() -> None:
    assert repository_problem("r.example:5000/app") is None
    assert repository_problem("r.example/app:1") == f"{REPOSITORY}: app:1"


def test_a_tag_may_be_beside_a_digest_where_something_is_read() -> None:
    for text in (f"a.b/app@{DIGEST}", f"a.b/app:x@{DIGEST}", "nginx:1", "a.b/app:"):
        assert parse_problem(text) is None
    for text in ("a.b/app@sha256:a", f"a.b/app@{DIGEST}@{DIGEST}", f"a.b/App@{DIGEST}", "a.b/App", ""):
        assert parse_problem(text) == f"could not parse reference: {text}"


def test_where_something_is_written_there_may_be_no_digest() -> None:
    assert tag_problem("a.b/app:x") is None
    assert tag_problem(f"a.b/app@{DIGEST}") == f"{REPOSITORY}: app@sha256"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (f"nginx@{DIGEST}", True),
        (f"nginx:1@{DIGEST}", True),
        ("nginx", False),
        ("nginx:1", False),
        ("nginx@sha256:aa", False),
        (f"nginx@{DIGEST}\n", False),
        (f"x@{DIGEST}", False),
    ],
)
def test_references_by_digest(text: str, is_one: bool) -> None:
    assert is_digest_form(text) == is_one


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("r.example/app", None),
        ("r.example:5000/app:1", None),
        ("docker.io/library/nginx", None),
        ("nginx", "strict validation requires the registry to be explicitly defined"),
        ("library/nginx", "strict validation requires the registry to be explicitly defined"),
        ("docker.io/nginx", "strict validation requires the full repository path (missing 'library')"),
        ("index.docker.io/nginx", "strict validation requires the full repository path (missing 'library')"),
        ("nginx:1", f"{REPOSITORY}: nginx:1"),
        ("docker.io/nginx:1", f"{REPOSITORY}: nginx:1"),
    ],
)
def test_references_by_digest_that_do_not_say_everything(name: str, problem: str | None) -> None:
    assert unspelled_problem(f"{name}@{DIGEST}") == problem
