"""Find Kubernetes resources in YAML, with enough of their fields to apply, sort or name them.

Lenient, since kubectl validates its input: only text that is not YAML is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import yaml
from msgspec import Struct

from bundlepipe.documents.yaml import core_schema as core
from bundlepipe.documents.yaml.composer import ComposedDocument, YamlFault
from bundlepipe.documents.yaml.construction import merge_sources
from bundlepipe.documents.yaml.fault import rendered
from bundlepipe.documents.yaml.reader import compose, decoded, json_values_as_yaml
from bundlepipe.documents.yaml.text import Text
from bundlepipe.errors import DocumentError

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_CONTENT_OF_SECRETS = ("data", "stringData")


class Resource(Struct, frozen=True):
    """A mapping with a `kind`, at the root of a document or in the items of a list."""

    node: yaml.MappingNode

    def text(self, *keys: str) -> str | None:
        """Return the scalar at these keys; None if there is none."""
        node = self.member(*keys)
        return node.value if isinstance(node, yaml.ScalarNode) else None

    def member(self, *keys: str) -> yaml.Node | None:
        """Return the node at these keys; None if there is none."""
        node: yaml.Node | None = self.node
        for key in keys:
            node = _member(node, key)
        return node

    @property
    def kind(self) -> str | None:
        """The kind of the resource."""
        return self.text("kind")

    @property
    def description(self) -> str:
        """Its name in kbld and kapp: `deployment/web (apps/v1) namespace: shop`, or `cluster` without namespace."""
        kind, name, version = (self.text(*keys) or "" for keys in (["kind"], ["metadata", "name"], ["apiVersion"]))
        generated = self.text("metadata", "generateName")
        name = name or (f"{generated}*" if generated else "")
        namespace = self.text("metadata", "namespace")
        where = f"namespace: {namespace}" if namespace else "cluster"
        return f"{kind.lower()}/{name} ({version}) {where}"

    @property
    def rolls_out(self) -> bool:
        """Whether it is a workload that replaces its pods step by step after a change."""
        is_workload = self.kind in _WORKLOADS and (self.text("apiVersion") or "").startswith("apps/")
        return is_workload and self.text("spec", "updateStrategy", "type") != "OnDelete"

    @property
    def secrets(self) -> Iterator[str]:
        """The texts in a Secret, as written: those of `data` are base64."""
        if self.kind == "Secret":
            for key in _CONTENT_OF_SECRETS:
                yield from _scalars(_member(self.node, key))


def order(root: yaml.Node | None) -> tuple[str, str, str]:
    """Return the sort key of a document, given its root: namespace, kind and name."""
    if not isinstance(root, yaml.MappingNode):
        return ("", "", "")
    resource = Resource(root)
    return (
        resource.text("metadata", "namespace") or "",
        resource.text("kind") or "",
        resource.text("metadata", "name") or "",
    )


def find_resources(content: bytes, path: str) -> list[Resource]:
    """Return the resources of a YAML file, called `path` in messages. DocumentError for text that is not YAML."""
    text = Text(decoded(content, path))
    try:
        documents = _composed(text.content)
    except YamlFault as fault:
        raise DocumentError(rendered(path, [text.fault(fault.index, fault.text)])) from None
    return [resource for document in documents for resource in _resources(document.root)]


def _composed(text: str) -> list[ComposedDocument]:
    try:
        return compose(text)
    except YamlFault as fault:
        # JSON has escapes that YAML lacks, and stays unchanged when it is rendered.
        with contextlib.suppress(YamlFault):
            return compose(json_values_as_yaml(text))
        raise fault from None


def _resources(node: yaml.Node) -> Iterator[Resource]:
    if not isinstance(node, yaml.MappingNode):
        return
    items = _member(node, "items")
    if isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _resources(item)
    elif _member(node, "kind"):
        yield Resource(node)


def _member(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key in a mapping, its own or a merged one."""
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: yaml.Node | None = None
    entries: list[tuple[yaml.Node, yaml.Node]] = node.value
    for key_node, value in entries:
        if key_node.tag == core.MERGE:
            found = (_member(source, key) for source in merge_sources(value))
            merged = merged or next((member for member in found if member), None)
        elif key_node.value == key:
            return value
    return merged


def _scalars(node: yaml.Node | None) -> Iterator[str]:
    if isinstance(node, yaml.ScalarNode):
        yield node.value
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _scalars(value)
