from __future__ import annotations

import pytest

from bundlepipe.oci.go_reference import reference_fault, tag_fault

DIGEST = f"sha256:{'a' * 64}"
CHARACTERS = "repository can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-./`"


@pytest.mark.parametrize("text", ["nginx", "nginx:1", "localhost:5000/app", "a.b/app:", "[::1]:5000/app:x", "app//x"])
def test_what_may_have_a_tag(text: str) -> None:
    assert tag_fault(text) is None
    assert reference_fault(text) is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "a repository name must be specified"),
        ("a", "repository must be between 2 and 255 characters in length: a"),
        ("a.b/App", f"{CHARACTERS}: App"),
        ("a.b/app:x:y", f"{CHARACTERS}: app:x"),
        (f"a.b/app@{DIGEST}", f"{CHARACTERS}: app@sha256"),
        ("a.b/app:ü", "tag can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-."),
        (f"a.b/app:{'x' * 129}", "tag must be between 1 and 128 characters in length: x"),
        ("a b:x/app", "registries must be valid RFC 3986 URI authorities: a b:x"),
    ],
)
def test_what_may_have_no_tag(text: str, fault: str) -> None:
    assert (tag_fault(text) or "").startswith(fault)


def test_references() -> None:
    assert reference_fault(f"a.b/app@{DIGEST}") is None
    assert reference_fault(f"a.b/app:x@{DIGEST}") is None
    for text in ("a.b/app@sha256:a", f"a.b/app@{DIGEST}@{DIGEST}", f"a.b/App@{DIGEST}", "a.b/App", ""):
        assert reference_fault(text) == f"could not parse reference: {text}"
