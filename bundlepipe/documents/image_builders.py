"""How an image is built from a directory: the builders of kbld's `sources`, with their options.

None of an option stands for the builder's own default.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DockerBuild:
    """`docker build`; `buildkit` None leaves the choice to the environment (`DOCKER_BUILDKIT`)."""

    target: str | None = None
    pull: bool = False
    no_cache: bool = False
    file: str | None = None
    buildkit: bool | None = None
    raw_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildxBuild:
    """`docker buildx build`."""

    target: str | None = None
    pull: bool = False
    no_cache: bool = False
    file: str | None = None
    raw_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackBuild:
    """`pack build`, by Cloud Native Buildpacks."""

    builder: str | None = None
    buildpacks: tuple[str, ...] = ()
    clear_cache: bool = False
    raw_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class KubectlBuildkitBuild:
    """`kubectl buildkit build`."""

    target: str | None = None
    platform: str | None = None
    pull: bool = False
    no_cache: bool = False
    file: str | None = None
    raw_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class KoBuild:
    """`ko build`."""

    raw_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class BazelBuild:
    """`bazel run` of a target that loads an image into Docker."""

    target: str | None = None
    raw_options: tuple[str, ...] = ()


Builder = DockerBuild | BuildxBuild | PackBuild | KubectlBuildkitBuild | KoBuild | BazelBuild
