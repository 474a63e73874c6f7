"""Recognise documents that configure kbld, which are not searched for images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml

KBLD_API_VERSION = "kbld.k14s.io/v1alpha1"
_KINDS = {
    "imgpkg.carvel.dev/v1alpha1": {"ImagesLock"},
    KBLD_API_VERSION: {"Config", "Sources", "ImageOverrides", "ImageDestinations", "ImageKeys"},
}


def configuration_kind(root: yaml.Node, *, as_kbld: bool = False) -> str | None:
    """Return the kind of a configuration document; None for a document to search.

    An unknown kind in kbld's apiVersion is a fault of the document; with `as_kbld`, as in kbld, it
    is a document to search.
    """
    import yaml

    if not isinstance(root, yaml.MappingNode):
        return None
    fields = {
        key.value: value.value
        for key, value in root.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    version, kind = fields.get("apiVersion", ""), fields.get("kind", "")
    is_known = kind in _KINDS.get(version, ())
    return kind if is_known or (version == KBLD_API_VERSION and not as_kbld) else None


def may_configure(content: bytes) -> bool:
    """Return whether a file can contain configuration, without parsing it."""
    return any(version.partition("/")[0].encode() in content for version in _KINDS)
