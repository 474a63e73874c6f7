from __future__ import annotations

import pytest

from bundlepipe.documents.imgpkg.bundle import check_bundle

HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: Bundle\n"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "metadata:\n  name: app\nauthors:\n- name: A\n  email: a@example.org\nwebsites:\n- url: example.org/app\n",
        "metadata:\n  name: app\n  anything: {deep: [1, 2]}\n  release: 5\n",
        "metadata:\nauthors:\nwebsites:\n",
        "authors: [{name: A}, {email: a@example.org}]\nwebsites: []\n",
    ],
)
def test_a_bundle_in_order_has_no_problems(body: str) -> None:
    assert check_bundle((HEAD + body).encode(), "bundle.yml") == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("metadata: {name: 1}", "3:18: 'name': expected a string, found 1 (quote it)"),
        ("metadata: x", "3:11: 'metadata': expected a mapping, found 'x'"),
        ("authors: [{nam: x}]", "3:12: unknown key 'nam', did you mean 'name'?"),
        ("authors: {name: x}", "3:10: 'authors': expected a list of authors, found a mapping"),
        ("websites: [example.org]", "3:12: 'websites[0]': expected a mapping with the key 'url', found 'example.org'"),
        ("metdata: {}", "3:1: unknown key 'metdata', did you mean 'metadata'?"),
        ("kind: Bundle", "3:1: duplicate key 'kind', expected once: it is in line 2 already"),
        ("a: 'b", "3:4: the quoted string is not closed"),
    ],
)
def test_faults_are_reported_at_their_positions(body: str, expected: str) -> None:
    assert check_bundle((HEAD + body).encode(), "bundle.yml") == [f"bundle.yml:{expected}"]


def test_version_and_kind_are_demanded() -> None:
    assert check_bundle(b"metadata: {name: x}", "bundle.yml") == [
        "bundle.yml:1:1: missing key 'apiVersion', expected 'imgpkg.carvel.dev/v1alpha1'",
        "bundle.yml:1:1: missing key 'kind', expected 'Bundle'",
    ]


def test_what_is_no_yaml_at_all_is_reported_and_not_raised() -> None:
    assert check_bundle(b"\xff", "x.yml") == ["x.yml:1:1: the byte 0xff is not UTF-8, expected a file in UTF-8"]
    assert check_bundle(b"", "x.yml") == ["x.yml:1:1: the file is empty, expected one YAML document"]
