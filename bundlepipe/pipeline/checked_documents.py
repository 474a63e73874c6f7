"""All documents of a pipeline, checked: the pipeline file, and whatever it names that is there already.

Nothing is run and nobody is asked, so what programs print and what registries hold is not looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bundlepipe.documents.bundle import check_bundle
from bundlepipe.documents.bundle_lock import BundleLock
from bundlepipe.documents.bundle_paths import BUNDLE_METADATA, IMAGES_LOCK
from bundlepipe.documents.images_lock import ImagesLock
from bundlepipe.documents.kbld_config import KbldConfig
from bundlepipe.documents.locks import parse_lock
from bundlepipe.documents.searched_files import searched_files
from bundlepipe.errors import BundlepipeError
from bundlepipe.files import read_file
from bundlepipe.pipeline.checking import faults
from bundlepipe.pipeline.declaration import (
    Build,
    Bundle,
    Copy,
    LockSource,
    Pull,
    Render,
    images_lock_path,
    paths_among,
    search_exclude,
    searched_paths,
)
from bundlepipe.pipeline.reading import Declared, read_pipeline
from bundlepipe.stores.location import LOCAL_PREFIXES
from bundlepipe.verbs.configuration import read_rules, read_text, search

_DEFAULT_DOCKERFILE = "Dockerfile"


@dataclass
class Report:
    """What was found: `checked` says of each document what it is, by its path, in the order of the pipeline.

    `problems` are its faults, each one line with where it is; `absent` has the paths that are not
    there, which is in order where a task makes them.
    """

    checked: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def check_documents(path: str, environment: Mapping[str, str]) -> Report:
    """Return what there is to say about the pipeline file at `path` and all documents that it names."""
    checking = _Checking()
    checking.attempt(lambda: checking.pipeline(path, environment))
    report = checking.report
    report.problems = list(dict.fromkeys(report.problems))
    report.absent = list(dict.fromkeys(report.absent))
    return report


class _Checking:
    """One check of a pipeline."""

    def __init__(self) -> None:
        self.report = Report()

    def attempt(self, check: Callable[[], None]) -> None:
        """Do a check; a fault that ends it is one of the problems."""
        try:
            check()
        except BundlepipeError as error:
            self.report.problems += str(error).splitlines()

    def pipeline(self, path: str, environment: Mapping[str, str]) -> None:
        """Check the pipeline file, then what it names."""
        declared = read_pipeline(path, environment)
        self.report.problems += faults(declared)
        for read in declared.paths:
            self._says(read, "Pipeline")
        for bundle in declared.bundles:
            self._bundle(bundle)
        for build in (image.build for image in declared.images if image.build):
            self._build(build)
        for lock in _locks_named(declared):
            self._each(lock, lambda path: self._says(path, _described_lock(parse_lock(read_file(path), path))))
        for render in declared.renders:
            self._render(render)
        for authorities in filter(None, (settings.ca for settings in declared.registries.values())):
            self._each(authorities, lambda path: self._says(path, f"{len(read_file(path))} bytes of certificates"))

    def _bundle(self, bundle: Bundle) -> None:
        for path in bundle.files:
            self._each(path, lambda path: None)
        own = [os.path.join(path, IMAGES_LOCK) for path in bundle.files if os.path.isdir(path)]
        for path in dict.fromkeys([*own, *([images_lock_path(bundle)] if bundle.lock else [])]):
            if os.path.exists(path):
                self._images_lock(path)
        for path in (os.path.join(path, BUNDLE_METADATA) for path in bundle.files):
            if os.path.exists(path):
                self._metadata(path)
        if bundle.lock:
            self._searched(searched_paths(bundle), bundle.lock.config, search_exclude(bundle))

    def _images_lock(self, path: str) -> None:
        self._each(path, lambda path: self._says(path, _described_lock(ImagesLock.parse(read_file(path), path))))

    def _metadata(self, path: str) -> None:
        self.report.problems += check_bundle(read_file(path), path)
        self._says(path, "Bundle")

    def _build(self, build: Build) -> None:
        if not os.path.isdir(build.context):
            self.report.absent.append(build.context)
            return
        path = os.path.normpath(os.path.join(build.context, build.dockerfile or _DEFAULT_DOCKERFILE))
        if os.path.isfile(path):
            self._says(path, "Dockerfile")
        else:
            self.report.absent.append(path)

    def _render(self, render: Render) -> None:
        self._searched(paths_among(render.files), [*render.locks, *render.config], ())

    def _searched(self, paths: Iterable[str], config: Iterable[str], exclude: Iterable[str]) -> None:
        """Check configuration as locks and renders read it: rules first, since they say what is searched."""
        there = [path for path in config if self._is_there(path)]
        rules = KbldConfig()
        for path in there:
            try:
                rules += read_rules([path])
                self._says(path, "configuration of kbld, or a lock")
            except BundlepipeError as error:
                self.report.problems += str(error).splitlines()

        def check() -> None:
            files = searched_files([path for path in paths if self._is_there(path)], set(exclude))
            found = search([read_text(path) for path in files], rules)
            self.report.problems += found.problems
            for file in found.files:
                self._says(file.path, _counted(len(file.images), "reference"))

        self.attempt(check)

    def _each(self, path: str, check: Callable[[str], None]) -> None:
        if self._is_there(path):
            self.attempt(lambda: check(path))

    def _is_there(self, path: str) -> bool:
        if os.path.exists(path):
            return True
        self.report.absent.append(path)
        return False

    def _says(self, path: str, what: str) -> None:
        self.report.checked.setdefault(path, what)


def _locks_named(declared: Declared) -> Iterator[str]:
    """Yield the lock files that copies and pulls take from, and that tars leave out."""
    sourced: list[Copy | Pull] = [*declared.copies, *declared.pulls]
    for thing in sourced:
        if isinstance(thing.source, LockSource):
            yield thing.source.path
    for copy in declared.copies:
        yield from (item for item in copy.exclude if not item.startswith(LOCAL_PREFIXES))


def _described_lock(lock: BundleLock | ImagesLock) -> str:
    return "BundleLock" if isinstance(lock, BundleLock) else f"ImagesLock, {_counted(len(lock.images), 'image')}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
