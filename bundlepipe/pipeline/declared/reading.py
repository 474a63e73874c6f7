"""bundlepipe.yml, and what it includes, becomes declarations."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from bundlepipe.errors import DocumentError, command_text
from bundlepipe.filesystem.files import read_document, write_if_changed
from bundlepipe.filesystem.snapshots import DEFAULT_EXCLUDE
from bundlepipe.pipeline.declared.interpolation import interpolate
from bundlepipe.pipeline.declared.model import (
    Apply,
    Build,
    Bundle,
    BundleSource,
    Copy,
    CopySource,
    Earlier,
    Image,
    ImageSource,
    Lock,
    LockSource,
    Program,
    Pull,
    PullSource,
    Render,
    RenderSource,
    Source,
    Verify,
)
from bundlepipe.pipeline.declared.paths import normal_exclusion, normal_location, normalise
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.stores.settings import DEFAULT_LAYOUT_DIRECTORY, LAYOUT_HOST, RegistrySettings

_CACHE = "pipeline.json"
_SCHEMA = "pipeline"
_EARLIER: dict[str, Callable[[str], Earlier]] = {
    each.kind: each for each in (ImageSource, BundleSource, CopySource, PullSource, RenderSource)
}
# No key of a declaration begins so.
_WRITTEN = "$written"


@dataclass
class Declared:
    """Everything that a pipeline's files declare, in their order."""

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


def read_pipeline(path: str, environment: Mapping[str, str], *, remembers: bool = True, prefix: str = "") -> Declared:
    """Return what the pipeline file at `path` and the files it includes declare.

    Unless it `remembers` which files validated, apart for each `prefix`, nothing is written.
    Raises InputError for a file that cannot be read, DocumentError with all faults of all files otherwise.
    """
    root = normalise(path)
    cache = os.path.join(STATE_DIRECTORY, f"{prefix}:{_CACHE}" if prefix else _CACHE)
    reading = _Reading(environment, os.path.dirname(root), cache)
    reading.read(root, None)
    if reading.problems:
        raise DocumentError(reading.problems)
    if remembers:
        reading.cache.save()
    return reading.declared


def registry_fault(host: str, settings: RegistrySettings) -> str | None:
    """Return why the settings of a registry do not go together, or None."""
    if settings.layout and settings.resolve:
        return (
            f"registry {host} is kept in a directory, so there is nothing to ask the Docker Engine for: "
            "remove 'layout' or 'resolve'"
        )
    return None


class _ValidatedCache:
    """The data of pipeline files that validated, by content hash.

    It spares a run in which nothing changed the YAML parser and the schema validator.
    """

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._generation = f"{version('bundlepipe')} 4"
        self._known: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        try:
            with open(cache, "rb") as file:
                stored = json.load(file)
            if stored["generation"] == self._generation:
                self._known = stored["files"]
        except (OSError, ValueError, KeyError, TypeError):
            # Without a usable cache the files are parsed and validated, that is all.
            self._known = {}

    def load(self, path: str, content: bytes) -> dict[str, Any]:
        """Return the data of a file; DocumentError if it is not valid."""
        content_hash = hashlib.sha256(content).hexdigest()
        entry = self._known.get(path)
        if not entry or entry["sha256"] != content_hash:
            from bundlepipe.documents.schemas.validator import check
            from bundlepipe.documents.yaml.reader import load_one

            document = load_one(content, path)
            check(document, _SCHEMA)
            entry = {"sha256": content_hash, "data": document.data}
        self._used[path] = entry
        data: dict[str, Any] = entry["data"]
        return data

    def save(self) -> None:
        """Remember the files loaded, and only them."""
        if self._used != self._known:
            content = json.dumps({"generation": self._generation, "files": self._used})
            # Where it cannot be written, the next run parses and validates again, that is all.
            with contextlib.suppress(OSError):
                write_if_changed(self._cache, content.encode())


class _Reading:
    """The state of reading one pipeline: what was found, and what is wrong with it."""

    def __init__(self, environment: Mapping[str, str], directory: str, cache: str) -> None:
        self._built_in = RegistrySettings(layout=normalise(DEFAULT_LAYOUT_DIRECTORY, directory))
        self.declared = Declared()
        self.problems: list[str] = []
        self.cache = _ValidatedCache(cache)
        self._environment = environment
        self.declared.registries[LAYOUT_HOST] = self._built_in

    def read(self, path: str, default_push: str | None) -> None:
        """Read one file and what it includes."""
        data = self._load(path)
        if data is None:
            return
        base = os.path.dirname(path)
        self._registries(path, data.get("registries") or {}, base)
        self.declared.verify = data.get("verify", self.declared.verify)
        if "lock" in data:
            self._lock_file(Position(path, ("lock",)), normalise(data["lock"], base))
        default_push = (data.get("defaults") or {}).get("push", default_push)
        for name, image in (data.get("images") or {}).items():
            self.declared.images.append(_image(path, name, image, default_push))
        for name, bundle in (data.get("bundles") or {}).items():
            self.declared.bundles.append(_bundle(path, name, bundle, default_push))
        for name, copy in (data.get("copies") or {}).items():
            self.declared.copies.append(_copy(path, name, copy))
        for name, pull in (data.get("pulls") or {}).items():
            self.declared.pulls.append(_pull(path, name, pull))
        for name, render in (data.get("renders") or {}).items():
            self.declared.renders.append(_render(path, name, render))
        for index, pattern in enumerate(data.get("include") or ()):
            self._include(Position(path, ("include", index)), pattern, base, default_push)

    def _load(self, path: str) -> dict[str, Any] | None:
        """Return the interpolated data of a file, or None if it is faulty beyond that."""
        self.declared.paths.append(path)
        content = read_document(path)
        try:
            data = self.cache.load(path, content)
        except DocumentError as error:
            self.problems.extend(error.problems)
            return None
        interpolated: dict[str, Any] = interpolate(
            data, self._environment, lambda keys, text: self.problems.append(f"{Position(path, keys)}: {text}")
        )
        _note_commands(data, interpolated)
        return interpolated

    def _include(self, where: Position, pattern: str, base: str, default_push: str | None) -> None:
        found = [pattern]
        if glob.has_magic(pattern):
            found = sorted(glob.glob(pattern, root_dir=base or None, recursive=True))
        for path in (normalise(path, base) for path in found):
            if not os.path.isfile(path):
                self.problems.append(f"{where}: no such pipeline file: {path}")
            # A file may be reached by several patterns, its own included.
            elif path not in self.declared.paths:
                self.read(path, default_push)

    def _lock_file(self, where: Position, lock_file: str) -> None:
        known = self.declared.lock_file
        if known not in (None, lock_file):
            self.problems.append(
                f"{where}: the lock file is {lock_file} here, and {known} at {self.declared.lock_where}: "
                "a pipeline has one: remove the key from one of the two files"
            )
        else:
            self.declared.lock_file, self.declared.lock_where = lock_file, self.declared.lock_where or where

    def _registries(self, path: str, registries: dict[str, dict[str, Any]], base: str) -> None:
        for host, settings in registries.items():
            known = self.declared.registries.get(host)
            new = RegistrySettings(**settings)
            new = replace(
                new,
                layout=None if new.layout is None else normalise(new.layout, base),
                ca=None if new.ca is None else normalise(new.ca, base),
            )
            if fault := registry_fault(host, new):
                self.problems.append(f"{Position(path, ('registries', host, 'resolve'), at_key=True)}: {fault}")
            if known and known != new and known is not self._built_in:
                where = Position(path, ("registries", host), at_key=True)
                self.problems.append(f"{where}: registry {host} is described differently in another file")
            self.declared.registries[host] = new


def _note_commands(data: Any, interpolated: Any) -> None:
    """Note commands as they are written, for messages: what variables bring may be secret."""
    if isinstance(data, list):
        for item, its_copy in zip(data, interpolated, strict=True):
            _note_commands(item, its_copy)
    elif isinstance(data, dict):
        for key, item in data.items():
            _note_commands(item, interpolated[key])
        if isinstance(data.get("run"), list):
            interpolated[_WRITTEN] = command_text(data["run"])


def _pushable(path: str, section: str, name: str, value: dict[str, Any], default_push: str | None) -> dict[str, Any]:
    """Return what an image and a bundle have in common, as the fields of their declarations."""
    base = os.path.dirname(path)
    return {
        "name": name,
        "files": _paths(value.get("files"), base),
        "push": value.get("push", default_push),
        "tags": list(value.get("tags") or ()),
        "labels": dict(value.get("labels") or {}),
        "exclude": list(value.get("exclude", DEFAULT_EXCLUDE)),
        "preserve_permissions": value.get("preservePermissions", False),
        "after": _after(value),
        "where": Position(path, (section, name), at_key=True),
    }


def _paths(values: Sequence[str] | None, base: str) -> list[str]:
    return [normalise(value, base) for value in values or ()]


def _image(path: str, name: str, value: dict[str, Any], default_push: str | None) -> Image:
    base = os.path.dirname(path)
    program = _program(value, base) if "run" in value else None
    # An image of a program is where that put it, unless it is to be somewhere else.
    fields = _pushable(path, "images", name, value, None if program else default_push)
    return Image(
        **{**fields, "files": [] if program else fields["files"]},
        program=program,
        build=_build(value["build"], base) if "build" in value else None,
        source=normal_location(value["from"], base) if "from" in value else None,
        refresh=value.get("refresh"),
    )


def _program(value: dict[str, Any], base: str) -> Program:
    files = _paths(value.get("files"), base)
    return Program(run=list(value["run"]), files=files, directory=normalise(base), written=value.get(_WRITTEN))


def _build(value: dict[str, Any], base: str) -> Build:
    return Build(
        context=normalise(value["context"], base),
        dockerfile=value.get("dockerfile"),
        target=value.get("target"),
        args=dict(value.get("args") or {}),
        platform=value.get("platform"),
        pull=value.get("pull", False),
        no_cache=value.get("noCache", False),
        builder=value.get("builder"),
    )


def _searched(values: Sequence[Any], base: str) -> list[str | Program]:
    return [normalise(value, base) if isinstance(value, str) else _program(value, base) for value in values]


def _bundle(path: str, name: str, value: dict[str, Any], default_push: str | None) -> Bundle:
    fields = _pushable(path, "bundles", name, value, default_push)
    if "lockOutput" in value:
        fields["lock_output"] = normalise(value["lockOutput"], os.path.dirname(path))
    if "lock" in value:
        fields["lock"] = _lock(path, name, value["lock"])
    return Bundle(**fields)


def _lock(path: str, name: str, value: dict[str, Any]) -> Lock:
    base, files = os.path.dirname(path), value.get("files")
    return Lock(
        files=None if files is None else _searched(files, base),
        config=_paths(value.get("config"), base),
        directory=normalise(base),
        include=[_made_here(item) for item in value.get("include") or ()],
        platform=value.get("platform"),
        refresh=value.get("refresh"),
        where=Position(path, ("bundles", name, "lock")),
    )


def _made_here(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return BundleSource(value["bundle"]) if "bundle" in value else ImageSource(value["image"])


def _copy(path: str, name: str, value: dict[str, Any]) -> Copy:
    base = os.path.dirname(path)
    return Copy(
        name=name,
        source=_source(value["from"], base),
        to=normal_location(value["to"], base),
        tags=list(value.get("tags") or ()),
        lock_output=normalise(value["lockOutput"], base) if "lockOutput" in value else None,
        include_non_distributable_layers=value.get("includeNonDistributableLayers", False),
        cosign_signatures=value.get("cosignSignatures", False),
        referrers=value.get("referrers", False),
        repo_based_tags=value.get("repoBasedTags", False),
        resume=value.get("resume", True),
        exclude=[normal_exclusion(item, base) for item in value.get("exclude") or ()],
        refresh=value.get("refresh"),
        after=_after(value),
        where=Position(path, ("copies", name), at_key=True),
    )


def _pull(path: str, name: str, value: dict[str, Any]) -> Pull:
    base = os.path.dirname(path)
    return Pull(
        name=name,
        source=_source(value["from"], base),
        to=normalise(value["to"], base),
        recursive=value.get("recursive", False),
        refresh=value.get("refresh"),
        max_size=value.get("maxSize"),
        after=_after(value),
        where=Position(path, ("pulls", name), at_key=True),
    )


def _render(path: str, name: str, value: dict[str, Any]) -> Render:
    base = os.path.dirname(path)
    return Render(
        name=name,
        files=_searched(value["files"], base),
        output=normalise(value["output"], base),
        locks=_paths(value.get("locks"), base),
        config=_paths(value.get("config"), base),
        apply=_apply(path, name, value["apply"]) if "apply" in value else None,
        after=_after(value),
        where=Position(path, ("renders", name), at_key=True),
    )


def _apply(path: str, name: str, value: dict[str, Any]) -> Apply:
    kubeconfig = value.get("kubeconfig")
    return Apply(
        context=value.get("context"),
        namespace=value.get("namespace"),
        kubeconfig=kubeconfig and normalise(kubeconfig, os.path.dirname(path)),
        server_side=value.get("serverSide", False),
        field_manager=value.get("fieldManager"),
        force_conflicts=value.get("forceConflicts", False),
        dry_run=value.get("dryRun"),
        prune_label=value.get("pruneLabel"),
        wait=value.get("wait"),
        where=Position(path, ("renders", name, "apply")),
    )


def _after(value: dict[str, Any]) -> list[Earlier]:
    items = (item if isinstance(item, str) else next(iter(item.items())) for item in value.get("after") or ())
    return [item if isinstance(item, str) else _EARLIER[item[0]](item[1]) for item in items]


def _source(value: Any, base: str) -> Source:
    if isinstance(value, str):
        return normal_location(value, base)
    if "lock" in value:
        return LockSource(normalise(value["lock"], base))
    if "copy" in value:
        return CopySource(value["copy"])
    made: Source = _made_here(value)
    return made
