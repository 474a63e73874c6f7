"""Builders of kbld's `sources` and their options.

An option of None means the builder's own default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class DockerBuild(Struct, frozen=True):
    """`docker build`; `buildkit` None leaves the choice to the environment (`DOCKER_BUILDKIT`)."""

    target: str | None = None
    pull: bool = False
    no_cache: bool = False
    file: str | None = None
    buildkit: bool | None = None
    raw_options: tuple[str, ...] = ()


class BuildxBuild(Struct, frozen=True):
    """`docker buildx build`."""

    target: str | None = None
    pull: bool = False
    no_cache: bool = False
    file: str | None = None
    raw_options: tuple[str, ...] = ()


class PackBuild(Struct, frozen=True):
    """`pack build`, by Cloud Native Buildpacks."""

    builder: str | None = None
    buildpacks: tuple[str, ...] = ()
    clear_cache: bool = False
    raw_options: tuple[str, ...] = ()


class KubectlBuildkitBuild(Struct, frozen=True):
    """`kubectl buildkit build`."""

    target: str | None = None
    platform: str | None = None
    pull: bool = False
    no_cache: bool = False
    file: str | None = None
    raw_options: tuple[str, ...] = ()


class KoBuild(Struct, frozen=True):
    """`ko build`."""

    raw_options: tuple[str, ...] = ()


class BazelBuild(Struct, frozen=True):
    """`bazel run` of a target that loads an image into Docker."""

    target: str | None = None
    raw_options: tuple[str, ...] = ()


Builder = DockerBuild | BuildxBuild | PackBuild | KubectlBuildkitBuild | KoBuild | BazelBuild

_TYPES: Mapping[tuple[str, str], type[Builder]] = {
    ("docker", "build"): DockerBuild,
    ("docker", "buildx"): BuildxBuild,
    ("pack", "build"): PackBuild,
    ("kubectlBuildkit", "build"): KubectlBuildkitBuild,
    ("ko", "build"): KoBuild,
    ("bazel", "run"): BazelBuild,
}
_KEYS = {"no_cache": "noCache", "clear_cache": "clearCache", "raw_options": "rawOptions"}


def named_builders(source: Mapping[str, Any]) -> list[str]:
    """Return the keys of a source that name builders, in order; there should be at most one."""
    names = {name for name, _ in _TYPES}
    return [key for key in source if key in names]


def read_builder(source: Mapping[str, Any]) -> Builder:
    """Return the builder that a source, already valid by the schema, names; `docker build` if it names none."""
    for (name, verb), builder in _TYPES.items():
        if verb in source.get(name, ()):
            return _with_options(builder, source[name][verb])
    for (name, _), builder in _TYPES.items():
        if name in source:
            return builder()
    return DockerBuild()


def _with_options(builder: type[Builder], options: Mapping[str, Any]) -> Builder:
    given: dict[str, Any] = {}
    for name in builder.__struct_fields__:
        value = options.get(_KEYS.get(name, name))
        if value is not None:
            given[name] = tuple(value) if isinstance(value, list) else value
    return builder(**given)
