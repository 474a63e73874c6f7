"""The model of declarations: images, bundles, copies, pulls and renders, as plain values.

bundlepipe.yml is decoded to them, and a dodo.py may compute them. Paths are relative to the directory doit
runs in. The annotation of a field is its type, its `metadata` says where it differs from the usual (see
`fields`): decoding, checks and the options that tasks compare follow from them. `str()` of a source is
its record.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bundlepipe.documents.imgpkg.paths import IMAGES_LOCK
from bundlepipe.errors import command_text
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import DEFAULT_EXCLUDE
from bundlepipe.oci.builds.request import Builder
from bundlepipe.pipeline.declared.fields.kinds import (
    FILE_DIRECTORY,
    MAY_BE_EMPTY,
    NAME,
    NOT_COMPARED,
    UNDER_ITS_KIND,
    WRITTEN,
    Argument,
    Exclusion,
    Location,
    Path,
    PathInContext,
    Plain,
    Size,
    Text,
    key,
)
from bundlepipe.pipeline.declared.position import Position

Refresh = Literal["always"]
Verify = Literal["registry"]
DryRun = Literal["client", "server"]


@dataclass(frozen=True)
class Named:
    """A declaration of this pipeline, by kind and name: `{bundle: NAME}` in a pipeline file."""

    name: Text = field(metadata=UNDER_ITS_KIND)
    kind: ClassVar[str]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class BundleSource(Named):
    """A bundle of this pipeline, by name."""

    kind: ClassVar[str] = "bundle"


@dataclass(frozen=True)
class ImageSource(Named):
    """An image of this pipeline, by name."""

    kind: ClassVar[str] = "image"


@dataclass(frozen=True)
class CopySource(Named):
    """The result of a copy of this pipeline at its destination, by name."""

    kind: ClassVar[str] = "copy"


@dataclass(frozen=True)
class PullSource(Named):
    """A pull of this pipeline, by name, for something that comes after it."""

    kind: ClassVar[str] = "pull"


@dataclass(frozen=True)
class RenderSource(Named):
    """A render of this pipeline, by name, for something that comes after it."""

    kind: ClassVar[str] = "render"


@dataclass(frozen=True)
class LockSource:
    """The bundle in a BundleLock file; a copy also accepts an ImagesLock."""

    path: Path = field(metadata=key("lock"))

    def __str__(self) -> str:
        return self.path


MadeHere = BundleSource | ImageSource
Source = BundleSource | ImageSource | CopySource | LockSource | Location
# A prerequisite: a declaration of this pipeline, or any doit task by name.
Earlier = BundleSource | ImageSource | CopySource | PullSource | RenderSource | Text


@dataclass(frozen=True, kw_only=True)
class Pushable:
    """Common fields of images and bundles.

    `files` are packed as by `imgpkg push -f`. `push` is the destination, `registry/repository[:tag]`;
    `{name}` in it stands for the name. `after` names tasks to run before, although their results are
    not used. `where` is the position of the declaration for messages.
    """

    name: Text = field(metadata=NAME)
    files: Sequence[Path] = ()
    push: Text | None = field(default=None, metadata=NOT_COMPARED)
    tags: Sequence[Text] = ()
    labels: Mapping[Plain, Plain] = field(default_factory=dict)
    exclude: Sequence[PathInContext] = DEFAULT_EXCLUDE
    preserve_permissions: bool = False
    after: Sequence[Earlier] = field(default=(), metadata=NOT_COMPARED)
    where: Position | None = field(default=None, compare=False)
    kind: ClassVar[str]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that a task runs in `directory`, and the files and directories that determine its output.

    For staleness, the output depends on nothing else. `written` is the command as declared, before the
    substitution of variables, which may be secret.
    """

    run: Sequence[Argument]
    files: Sequence[Path] = ()
    directory: Path = field(default=".", metadata=FILE_DIRECTORY)
    written: str | None = field(default=None, compare=False, metadata=key(WRITTEN))

    @property
    def shown(self) -> str:
        """The command in messages."""
        return command_text(self.run) if self.written is None else self.written


@dataclass(frozen=True, kw_only=True)
class Build:
    """An image build from a Dockerfile: `context` is its directory, `dockerfile` a path relative to it.

    The builder is `docker buildx` if it is installed, else the Docker Engine's own; `builder`
    selects one. `pull` looks for newer base images, `no_cache` builds every step again: they have
    an effect when something is built, and do not make it stale.
    """

    context: Path
    dockerfile: PathInContext | None = None
    target: Text | None = None
    args: Mapping[Plain, Argument] = field(default_factory=dict)
    platform: Text | None = None
    pull: bool = field(default=False, metadata=NOT_COMPARED)
    no_cache: bool = field(default=False, metadata=NOT_COMPARED)
    builder: Builder | None = field(default=None, metadata=NOT_COMPARED)


@dataclass(frozen=True, kw_only=True)
class Image(Pushable):
    """An image: made of files, built from a Dockerfile, made by a program, or copied from a source.

    The last line that the program prints is the image's digest reference; with a `push` of its own,
    the image is copied there. `source` is a reference or a local location (`docker-daemon:NAME:TAG`,
    `oci:DIR[:TAG]`, `tar:FILE`), `refresh` is for the tag of a reference.
    """

    build: Build | None = field(default=None, metadata=NOT_COMPARED)
    program: Program | None = field(default=None, metadata=key("run", compared=False))
    source: Location | None = field(default=None, metadata=key("from", compared=False))
    refresh: Refresh | None = field(default=None, metadata=NOT_COMPARED)
    kind: ClassVar[str] = "image"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """How a lock task maintains images.yml.

    `files` are searched for references (None: the bundle's own files), and so is the output of
    programs among them; `config` are files of kbld's configuration, whose `sources` have paths
    relative to `directory`; `include` holds references that are not in the files; `platform`
    selects members of indexes; with `refresh="always"` tags are resolved again in every run.
    """

    files: Sequence[Path | Program] | None = None
    config: Sequence[Path] = ()
    directory: Path = field(default=".", metadata={**FILE_DIRECTORY, **NOT_COMPARED})
    include: Sequence[MadeHere | Text] = ()
    platform: Text | None = None
    refresh: Refresh | None = field(default=None, metadata=NOT_COMPARED)
    where: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Bundle(Pushable):
    """A bundle; without `lock`, its images.yml is maintained by hand. `lock_output` is the path of a BundleLock."""

    lock: Lock | None = field(default=None, metadata=NOT_COMPARED)
    lock_output: Path | None = None
    kind: ClassVar[str] = "bundle"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of a bundle, image or lock, with everything it names, to `to`.

    `to` is a repository, with a tag if it should differ from the source's, or a local location
    (`oci:DIR[:TAG]`, `tar:FILE`, `docker-daemon:NAME[:TAG]`). `exclude` are tar files (`tar:FILE`) and lock
    files whose layers the reader of the tar file already has. `lock_output` is the path for the lock of the
    copy.
    """

    name: Text = field(metadata=NAME)
    source: Source = field(metadata=key("from"))
    to: Location
    tags: Sequence[Text] = ()
    lock_output: Path | None = None
    include_non_distributable_layers: bool = False
    cosign_signatures: bool = False
    referrers: bool = False
    repo_based_tags: bool = False
    resume: bool = field(default=True, metadata=NOT_COMPARED)
    exclude: Sequence[Exclusion] = ()
    refresh: Refresh | None = field(default=None, metadata=NOT_COMPARED)
    after: Sequence[Earlier] = field(default=(), metadata=NOT_COMPARED)
    where: Position | None = field(default=None, compare=False)
    kind: ClassVar[str] = "copy"


@dataclass(frozen=True, kw_only=True)
class Pull:
    """An image or bundle to unpack into the directory `to`; with `recursive`, its nested bundles too.

    `max_size` limits the extracted bytes (None: the default of 64 GiB).
    """

    name: Text = field(metadata=NAME)
    source: Source = field(metadata=key("from"))
    to: Path
    recursive: bool = False
    refresh: Refresh | None = field(default=None, metadata=NOT_COMPARED)
    max_size: Size | None = None
    after: Sequence[Earlier] = field(default=(), metadata=NOT_COMPARED)
    where: Position | None = field(default=None, compare=False)
    kind: ClassVar[str] = "pull"


@dataclass(frozen=True, kw_only=True)
class Apply:
    """How rendered configuration is applied: options of `kubectl apply`; None leaves the choice to kubectl.

    With `prune_label`, a label selector, kubectl deletes resources that have the label and are not
    rendered any more; it also ignores rendered resources without the label. `wait` is the time limit for
    rollouts, in kubectl's notation (`5m`, `1h30m`). `dry_run` makes kubectl only report what it would do.
    """

    context: Text | None = None
    namespace: Text | None = None
    kubeconfig: Path | None = field(default=None, metadata=MAY_BE_EMPTY)
    server_side: bool = False
    field_manager: Text | None = None
    force_conflicts: bool = False
    dry_run: DryRun | None = None
    prune_label: Text | None = None
    wait: Text | None = None
    where: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Render:
    """Configuration whose references are replaced with those of locks, written to the file `output`.

    `files` are paths and programs whose output is rendered; `locks` are ImagesLocks, and kbld's
    configuration with locations of images; `config` are additional files of kbld's configuration,
    for its search rules. `apply` applies the output to a cluster.
    """

    name: Text = field(metadata=NAME)
    files: Sequence[Path | Program]
    output: Path
    locks: Sequence[Path] = ()
    config: Sequence[Path] = ()
    apply: Apply | None = field(default=None, metadata=NOT_COMPARED)
    after: Sequence[Earlier] = field(default=(), metadata=NOT_COMPARED)
    where: Position | None = field(default=None, compare=False)
    kind: ClassVar[str] = "render"


def lock_directory(bundle: Bundle) -> str | None:
    """Return the first directory of a bundle's files, where its lock is; None if there is none.

    A missing path counts as a directory unless its name has an extension.
    """
    there = (path for path in bundle.files if os.path.isdir(anchored(path)))
    may_come = (path for path in bundle.files if _may_become_directory(path))
    return next(there, None) or next(may_come, None)


def _may_become_directory(path: str) -> bool:
    return not os.path.exists(anchored(path)) and not os.path.splitext(path)[1]


def images_lock_path(bundle: Bundle) -> str:
    """Return the path of the images.yml that the bundle's lock task writes."""
    return os.path.normpath(os.path.join(lock_directory(bundle) or ".", IMAGES_LOCK))


def searched_paths(bundle: Bundle) -> Sequence[str]:
    """Return the files and directories that the bundle's lock searches for images."""
    if bundle.lock is None:
        return ()
    return bundle.files if bundle.lock.files is None else paths_among(bundle.lock.files)


def programs_searched(bundle: Bundle) -> Sequence[Program]:
    """Return the programs whose output the bundle's lock searches for images."""
    return programs_among(bundle.lock.files or ()) if bundle.lock else ()


def paths_among(files: Sequence[str | Program]) -> list[str]:
    """Return the paths among some files."""
    return [file for file in files if isinstance(file, str)]


def programs_among(files: Sequence[str | Program]) -> list[Program]:
    """Return the programs among some files."""
    return [file for file in files if isinstance(file, Program)]


def search_exclude(bundle: Bundle) -> Sequence[str]:
    """Return the search's exclusions: for the bundle's own files, those of the bundle."""
    return bundle.exclude if bundle.lock and bundle.lock.files is None else ()
