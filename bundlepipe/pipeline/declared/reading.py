"""Read bundlepipe.yml, and the files it includes, into declarations."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bundlepipe.errors import DocumentError, command_text, quoted
from bundlepipe.filesystem.files import read_document
from bundlepipe.oci.reference import is_registry_host
from bundlepipe.pipeline.declared.fields.kinds import WRITTEN, Path, PathInContext, Text
from bundlepipe.pipeline.declared.fields.types import decode, type_of
from bundlepipe.pipeline.declared.interpolation import Keys, empty_advice, interpolate
from bundlepipe.pipeline.declared.model import (
    Bundle,
    Copy,
    Image,
    Pull,
    Pushable,
    Render,
    Source,
    Verify,
    searched_paths,
)
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.records.valid_files import ValidFiles
from bundlepipe.stores.settings import DEFAULT_LAYOUT_DIRECTORY, LAYOUT_HOST, RegistrySettings

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.ci import CI

_CACHE = "pipeline.json"
_SCHEMA = "pipeline"
_OF_PROGRAMS = ("run", "files", WRITTEN)
KINDS: Mapping[str, type[Any]] = {
    "images": Image,
    "bundles": Bundle,
    "copies": Copy,
    "pulls": Pull,
    "renders": Render,
}


@dataclass
class Declared:
    """Everything that a pipeline's files declare, in order."""

    images: list[Image] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    pulls: list[Pull] = field(default_factory=list)
    renders: list[Render] = field(default_factory=list)
    registries: dict[str, RegistrySettings] = field(default_factory=dict)
    verify: Verify | None = None
    paths: list[str] = field(default_factory=list)
    lock_file: str | None = None
    lock_where: Position | None = None
    # The positions of their declarations by the paths of reports; the name of the variable that wants one.
    reports: dict[str, Position | str | None] = field(default_factory=dict)
    ci: CI | None = None

    def made(self) -> list[Pushable]:
        """Return the images and bundles."""
        return [*self.images, *self.bundles]

    def all(self) -> list[Pushable | Copy | Pull | Render]:
        """Return all that is declared, by kind."""
        return [*self.images, *self.bundles, *self.copies, *self.pulls, *self.renders]

    def sources(self) -> Iterator[Source]:
        """Yield what images, copies and pulls are made from."""
        things: list[Image | Copy | Pull] = [*self.images, *self.copies, *self.pulls]
        yield from (thing.source for thing in things if thing.source is not None)

    def inputs(self) -> list[str]:
        """Return the paths that the pipeline packs, builds and searches."""
        files = [path for thing in self.made() for path in thing.files]
        contexts = [image.build.context for image in self.images if image.build]
        searched = [path for bundle in self.bundles for path in searched_paths(bundle)]
        return [*files, *contexts, *searched]


class PipelineFiles(Struct):
    """The pipeline files that were read or looked for, also if one of them is missing or faulty.

    `patterns` are those of includes, `paths` the files; both relative to the current directory.
    """

    paths: list[str] = []
    patterns: list[str] = []


def read_pipeline(
    path: str,
    environment: Mapping[str, str],
    *,
    remembers: bool = True,
    prefix: str = "",
    files: PipelineFiles | None = None,
) -> Declared:
    """Return the declarations of the pipeline file at `path` and the files it includes.

    Nothing is written, unless it `remembers` which files are valid, separately for each `prefix`. `files` gets
    the files, before they are read. Raises InputError for an unreadable file, otherwise DocumentError with all
    faults of all files.
    """
    reading = Reading(environment, path, prefix, PipelineFiles() if files is None else files)
    reading.read_all()
    if remembers:
        reading.cache.save()
    return reading.declared


def registry_fault(host: str, settings: RegistrySettings) -> str | None:
    """Return why the settings of a registry apply to none or contradict each other, or None."""
    if "@" in host:
        # The part before it may be a password.
        return "registries: a registry host has no user and password in it: remove what is before '@'"
    if not is_registry_host(host):
        return f"registries: {quoted(host)} is not a registry host: expected HOST or HOST:PORT"
    if settings.layout and settings.resolve:
        return (
            f"registry {host} is kept in a directory, so there is nothing to ask the Docker Engine for: "
            "remove 'layout' or 'resolve'"
        )
    return None


class Reading:
    """The state of reading one pipeline: its declarations and faults."""

    def __init__(self, environment: Mapping[str, str], path: str, prefix: str, files: PipelineFiles) -> None:
        self._root = normalise(path)
        self._files = files
        self._built_in = RegistrySettings(layout=normalise(DEFAULT_LAYOUT_DIRECTORY, os.path.dirname(self._root)))
        self.declared = Declared()
        self.cache = ValidFiles(os.path.join(STATE_DIRECTORY, f"{prefix}:{_CACHE}" if prefix else _CACHE), _SCHEMA)
        self._problems: list[str] = []
        self._environment = environment
        self._begun: set[str] = set()
        # The data of each file before the substitution of variables.
        self._written: dict[str, Any] = {}
        # Texts with a variable that has no value, which is reported.
        self._unset: set[Position] = set()
        self.declared.registries[LAYOUT_HOST] = self._built_in

    def read_all(self) -> None:
        """Read the pipeline file and those that it includes; DocumentError with all faults of all of them."""
        self._read(self._root, None)
        if self._problems:
            raise DocumentError(self._problems)

    def substituted(self, data: dict[str, Any], faulty: Callable[[Keys, str], None]) -> dict[str, Any]:
        """Return the data of a file with its variables replaced; `faulty` gets the keys and faults of the others."""
        interpolated: dict[str, Any] = interpolate(data, self._environment, faulty)
        _note_commands(data, interpolated)
        return interpolated

    def _read(self, path: str, default_push: str | None) -> None:
        data = self._load(path)
        if data is None:
            return
        base = os.path.dirname(path)
        file = Position(path, ())
        self._registries(path, data.get("registries") or {})
        self.declared.verify = data.get("verify", self.declared.verify)
        if "lock" in data and (lock_file := self._decoded(Path, data["lock"], file, "lock")):
            self._lock_file(file.inside("lock"), lock_file)
        for index, report in enumerate(self._decoded(Sequence[Path], data.get("reports") or (), file, "reports") or ()):
            self.declared.reports.setdefault(report, file.inside("reports", index))
        if "ci" in data:
            self._ci(file.inside("ci"), data["ci"])
        if "push" in (data.get("defaults") or {}):
            default_push = self._decoded(Text, data["defaults"]["push"], file, "defaults", "push")
        for section, kind in KINDS.items():
            for name, value in (data.get(section) or {}).items():
                at = Position(path, (section, name), at_key=True)
                declared = decode(kind, _completed(kind, value, default_push), at, self._refused, name=name)
                getattr(self.declared, section).append(declared)
        include = self._decoded(Sequence[PathInContext], data.get("include") or (), file, "include")
        for index, pattern in enumerate(include or ()):
            self._include(file.inside("include", index), pattern, base, default_push)

    def _load(self, path: str) -> dict[str, Any] | None:
        """Return the interpolated data of a file, or None if it is too faulty."""
        self.declared.paths.append(path)
        self._files.paths.append(path)
        self._begun.add(path)
        content = read_document(path)
        try:
            data = self.cache.load(path, content)
        except DocumentError as error:
            self._problems.extend(error.problems)
            return None
        self._written[path] = data

        def faulty(keys: Keys, text: str) -> None:
            self._unset.add(Position(path, keys))
            self._problems.append(f"{Position(path, keys)}: {text}")

        return self.substituted(data, faulty)

    def _decoded(self, kind: Any, data: Any, file: Position, *keys: str) -> Any:
        # A value outside of a declaration, for which None stands once it is refused.
        refused: list[Position] = []

        def tell(at: Position, text: str) -> None:
            refused.append(at)
            self._refused(at, text)

        value = type_of(kind).decode(data, file, keys, tell)
        return None if refused else value

    def _refused(self, at: Position, text: str) -> None:
        from bundlepipe.documents.schemas.explanation import label

        # `_completed` puts the keys of a program there.
        if at.keys[0] == "images" and at.keys[2:3] == ("run",):
            at = Position(at.path, (*at.keys[:2], *at.keys[3:]))
        if at in self._unset:
            return
        written: Any = self._written[at.path]
        for key in at.keys:
            written = written[key]
        self._problems.append(f"{at}: {label(at.keys)}: {text}{self._why_empty(written)}")

    def _why_empty(self, written: Any) -> str:
        is_empty = isinstance(written, str) and not interpolate(written, self._environment, lambda keys, text: None)
        return empty_advice(written) if is_empty else ""

    def _include(self, where: Position, pattern: str, base: str, default_push: str | None) -> None:
        found = [pattern]
        if glob.has_magic(pattern):
            self._files.patterns.append(os.path.join(base, pattern))
            found = sorted(glob.glob(pattern, root_dir=base or None, recursive=True))
        for path in (normalise(path, base) for path in found):
            if not os.path.isfile(path):
                self._files.paths.append(path)
                self._problems.append(f"{where}: no such pipeline file: {path}")
            # Several patterns may match a file, including the file's own.
            elif path not in self._begun:
                self._read(path, default_push)

    def _lock_file(self, where: Position, lock_file: str) -> None:
        known = self.declared.lock_file
        if known not in (None, lock_file):
            self._problems.append(
                f"{where}: the lock file is {lock_file} here, and {known} at {self.declared.lock_where}: "
                "a pipeline has one: remove the key from one of the two files"
            )
        else:
            self.declared.lock_file, self.declared.lock_where = lock_file, self.declared.lock_where or where

    def _ci(self, where: Position, data: Mapping[str, Any]) -> None:
        from bundlepipe.pipeline.declared.ci import CI

        if known := self.declared.ci:
            self._problems.append(f"{where}: ci is at {known.where} already: a pipeline has one: join the two")
        else:
            self.declared.ci = decode(CI, data, where, self._refused)

    def _registries(self, path: str, registries: dict[str, dict[str, Any]]) -> None:
        for host, settings in registries.items():
            known = self.declared.registries.get(host)
            new = decode(RegistrySettings, settings, Position(path, ("registries", host)), self._refused)
            if fault := registry_fault(host, new):
                keys = ("registries", host, "resolve") if is_registry_host(host) else ("registries", host)
                self._problems.append(f"{Position(path, keys, at_key=True)}: {fault}")
            if known and known != new and known is not self._built_in:
                where = Position(path, ("registries", host), at_key=True)
                self._problems.append(f"{where}: registry {host} is described differently in another file")
            self.declared.registries[host] = new


def _note_commands(data: Any, interpolated: Any) -> None:
    """Keep commands as they are written, for messages: values of variables may be secret."""
    if isinstance(data, list):
        for item, its_copy in zip(data, interpolated, strict=True):
            _note_commands(item, its_copy)
    elif isinstance(data, dict):
        for key, item in data.items():
            # Most values are texts, and every run reads hundreds of declarations.
            if not isinstance(item, str):
                _note_commands(item, interpolated[key])
        if isinstance(data.get("run"), list):
            interpolated[WRITTEN] = command_text(data["run"])


def _completed(kind: type[Any], value: Mapping[str, Any], default_push: str | None) -> Mapping[str, Any]:
    """Return the data of a declaration with its default destination, and with the program that makes an image.

    Such an image stays where the program put it, unless a destination is given, and packs no files.
    """
    if "run" in value:
        program = {key: value[key] for key in _OF_PROGRAMS if key in value}
        return {**{key: item for key, item in value.items() if key not in program}, "run": program}
    return {"push": default_push, **value} if default_push and issubclass(kind, Pushable) else value
