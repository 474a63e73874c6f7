"""Compare image configurations: everything besides labels, which have their own changes, and the list of layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bundlepipe.oci.labels import configuration_of
from bundlepipe.verbs.diffing.difference import SettingChange

# What Go's tools write for a field that is not set, or leave out.
_UNSET: tuple[Any, ...] = (None, False, "", 0, [], {})
# An empty object at `config.NAME` says nothing; deeper it is a member of a set, as in `config.ExposedPorts`.
_MEMBERS_DEPTH = 3

Settings = Mapping[str, Any]


def settings_of(config: bytes, what: str) -> Settings:
    """Return the fields of an image configuration by their paths, such as `config.User`; lists are values.

    Without labels, DiffIDs and fields that are not set. Raises InvalidContent, naming `what`, if it is none.
    Source: OCI image specification 1.1, "Image Configuration".
    """
    document = {key: value for key, value in configuration_of(config, what).items() if key != "rootfs"}
    inner = document.get("config")
    if isinstance(inner, dict):
        document["config"] = {key: value for key, value in inner.items() if key != "Labels"}
    return dict(_fields(document, ()))


def changed_settings(old: Settings | None, new: Settings | None) -> list[SettingChange]:
    """Return the fields that differ, by path; none if a side has no configuration."""
    if old is None or new is None:
        return []
    names = sorted(old.keys() | new.keys())
    return [SettingChange(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]


def _fields(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        where = (*path, key)
        if isinstance(inner, dict) and inner:
            yield from _fields(inner, where)
        elif inner not in _UNSET or (inner == {} and len(where) >= _MEMBERS_DEPTH):
            yield ".".join(where), inner
