"""Resources in YAML, as far as applying them needs to know them."""

from __future__ import annotations

import json

import pytest

from bundlepipe.documents.resources import find_resources
from bundlepipe.errors import DocumentError


def test_resources_are_roots_and_items_of_lists_with_a_kind() -> None:
    text = "kind: A\nmetadata: {name: a}\n---\nkind: List\nitems: [{kind: B}, {no: kind}]\n---\n- kind: C\n---\n"
    found = find_resources(text.encode(), "a.yml")
    assert [(resource.kind, resource.text("metadata", "name")) for resource in found] == [("A", "a"), ("B", None)]


@pytest.mark.parametrize("secret", ["plain", "pw\U0001f600xyz", 'with "quotes" and \\ and \t tab'])
def test_secrets_of_json_are_what_json_means(secret: str) -> None:
    document = {"kind": "Secret", "stringData": {"a": secret}, "data": {"b": "aGVsbG8="}}
    (resource,) = find_resources(json.dumps(document, indent=1).encode(), "secret.json")
    assert sorted(resource.secrets) == sorted([secret, "aGVsbG8="])


def test_what_rolls_out_is_a_workload_of_apps() -> None:
    text = "".join(
        f"---\napiVersion: {version}\nkind: {kind}\n{more}"
        for version, kind, more in [
            ("apps/v1", "Deployment", ""),
            ("apps/v1", "DaemonSet", "spec: {updateStrategy: {type: OnDelete}}\n"),
            ("example.com/v1", "Deployment", ""),
            ("v1", "Pod", ""),
        ]
    )
    assert [resource.rolls_out for resource in find_resources(text.encode(), "a.yml")] == [True, False, False, False]


def test_what_is_not_yaml_is_told_with_its_place() -> None:
    with pytest.raises(DocumentError, match=r"^a\.yml:2:"):
        find_resources(b"a: 1\n]\n", "a.yml")


def test_resources_are_called_as_kbld_calls_them() -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n---\nkind: Node\n"
    described = [resource.description for resource in find_resources(text.encode(), "a.yml")]
    assert described == ["deployment/web (apps/v1) namespace: shop", "node/ () cluster"]
