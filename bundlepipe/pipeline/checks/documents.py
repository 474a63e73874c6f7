"""Check all documents of a pipeline: the pipeline file, and every existing file that it names.

No program is run and no registry is asked, so their output is not checked.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from doit.exceptions import InvalidDodoFile
from msgspec import Struct, field

from bundlepipe.documents.imgpkg.any_lock import parse_lock
from bundlepipe.documents.imgpkg.bundle import check_bundle
from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.documents.imgpkg.paths import BUNDLE_METADATA, IMAGES_LOCK
from bundlepipe.documents.kbld.config import KbldConfig
from bundlepipe.documents.lock_file.content import LockFile
from bundlepipe.documents.search.paths import searched_files
from bundlepipe.errors import BundlepipeError, InputError, InvalidReference, NotRegular
from bundlepipe.filesystem.files import read_document, read_file
from bundlepipe.filesystem.inputs import Entry, Inputs, walk
from bundlepipe.oci.builds.context import IGNORE_FILE, BuildContext
from bundlepipe.pipeline.checks.declarations import faults
from bundlepipe.pipeline.checks.outputs import outputs
from bundlepipe.pipeline.checks.replacement import replacements
from bundlepipe.pipeline.declared.contexts import context_of
from bundlepipe.pipeline.declared.model import (
    Bundle,
    Image,
    LockSource,
    Program,
    Pushable,
    images_lock_path,
    paths_among,
    programs_among,
    search_exclude,
)
from bundlepipe.pipeline.declared.paths import is_within
from bundlepipe.pipeline.declared.reading import Declared, read_pipeline
from bundlepipe.pipeline.graph.tasks import create_tasks
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.sources import paths_read
from bundlepipe.pipeline.tasks.copy import locks_read
from bundlepipe.pipeline.tasks.push import where_named
from bundlepipe.verbs.images.resolver import plan
from bundlepipe.verbs.images.texts import Configuration, read_rules, read_text, search
from bundlepipe.verbs.outputs.git_content import find_tracked
from bundlepipe.verbs.shared.bundles import check_is_plain, check_placement


class Report(Struct):
    """The result of a check: `checked` maps the path of each document to its kind, in the order of the pipeline.

    `problems` are the faults, each one line with its position; `absent` are missing paths that no task of
    the pipeline makes, though a user's own task may. `notes` are further useful lines.
    """

    checked: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_documents(path: str, environment: Mapping[str, str]) -> Report:
    """Check the pipeline file at `path` and all documents that it names.

    Nothing is written. If the pipeline file itself is invalid, documents it names are not checked.
    """
    report = Report()
    try:
        declared = read_pipeline(path, environment, remembers=False)
    except BundlepipeError as error:
        report.problems += str(error).splitlines()
        return report
    _Checking(declared, report).pipeline()
    refused, replaced = replacements(declared, os.path.dirname(path))
    report.problems += refused
    report.notes += replaced
    report.problems = list(dict.fromkeys(report.problems))
    report.absent = list(dict.fromkeys(report.absent))
    return report


class _Checking:
    """One check of a pipeline's declarations."""

    def __init__(self, declared: Declared, report: Report) -> None:
        self._declared = declared
        self._report = report
        self._outputs = [path for _, path, _ in outputs(declared)]
        self._made = {made.name: None for made in declared.made()}

    def pipeline(self) -> None:
        """Check the declarations, then every document."""
        declared = self._declared
        self._report.problems += faults(declared) or _circles(declared)
        for read in declared.paths:
            self._says(read, "Pipeline")
        if declared.lock_file:
            self._lock_file(declared.lock_file)
        for bundle in declared.bundles:
            self._bundle(bundle)
        for image in declared.images:
            self._image(image)
        for path in _local_sources(declared):
            self._is_there(path)
        for lock in _locks_named(declared):
            self._each(lock, lambda path: self._says(path, _described_lock(parse_lock(read_document(path), path))))
        for render in declared.renders:
            self._searched(render.files, [*render.locks, *render.config])
        for authorities in filter(None, (settings.ca for settings in declared.registries.values())):
            self._each(authorities, lambda path: self._says(path, f"{len(read_file(path))} bytes of certificates"))

    def _lock_file(self, path: str) -> None:
        """Check the lock file, and that git does not track files generated from it."""
        if os.path.exists(path):
            self._attempt(lambda: self._says(path, _described_lock_file(LockFile.parse(read_document(path), path))))
        for generated in find_tracked([images_lock_path(bundle) for bundle in self._declared.bundles if bundle.lock]):
            self._report.notes.append(
                f"{generated}: git tracks it, but it is generated from {path}: add it to .gitignore, and run "
                f"git rm --cached {shlex.quote(generated)}"
            )

    def _bundle(self, bundle: Bundle) -> None:
        there = self._packed(bundle)
        self._attempt(lambda: check_placement(_entries(bundle, there), bundle.files))
        places = [os.path.join(path, IMAGES_LOCK) for path in there if os.path.isdir(path)]
        own = [path for path in places if os.path.exists(path)]
        if there and not own and len(there) == len(bundle.files):
            self._is_there(images_lock_path(bundle))
        for path in own:
            self._each(
                path, lambda path: self._says(path, _described_lock(ImagesLock.parse(read_document(path), path)))
            )
        for path in (os.path.join(path, BUNDLE_METADATA) for path in there):
            if os.path.exists(path):
                if problems := check_bundle(read_document(path), path):
                    self._report.problems += problems
                else:
                    self._says(path, "Bundle")
        if bundle.lock:
            files = bundle.files if bundle.lock.files is None else bundle.lock.files
            self._searched(files, bundle.lock.config, search_exclude(bundle), for_lock=True)

    def _image(self, image: Image) -> None:
        there = self._packed(image)
        if there:
            self._attempt(lambda: check_is_plain(_entries(image, there)))
        if image.build and self._is_there(image.build.context):
            self._context(context_of(image.build))
        if image.program:
            self._files_of([image.program])

    def _context(self, context: BuildContext) -> None:
        dockerfiles = [path for path in context.decisive_files if not path.endswith(IGNORE_FILE)]
        for path in filter(os.path.isfile, dockerfiles):
            self._attempt(context.walk)
            self._says(path, "Dockerfile")
            return
        self._is_there(dockerfiles[0])

    def _packed(self, thing: Pushable) -> list[str]:
        return [path for path in thing.files if self._is_there(path)]

    def _files_of(self, programs: Sequence[Program]) -> None:
        for path in (path for program in programs for path in program.files):
            self._is_there(path)

    def _searched(
        self,
        files: Sequence[str | Program],
        config: Iterable[str],
        exclude: Collection[str] = (),
        *,
        for_lock: bool = False,
    ) -> None:
        """Check configuration as locks and renders read it, starting with the rules, which decide what is searched."""
        self._files_of(programs_among(files))
        rules = self._rules(config)
        paths = [path for path in paths_among(files) if self._is_there(path)]

        def check() -> None:
            found = search([read_text(path) for path in searched_files(paths, exclude)], rules)
            self._report.problems += found.problems
            for file in found.files:
                self._says(file.path, _counted(len(file.images), "reference"))
            if for_lock:
                self._report.problems += self._unlockable(found)

        self._attempt(check)

    def _unlockable(self, found: Configuration) -> Iterator[str]:
        """Yield the faults that locks find in references before asking a registry."""
        for image in found.images:
            try:
                plan(image.value, found.rules, self._made)
            except InvalidReference as error:
                yield f"{image.where}: {error}"

    def _rules(self, config: Iterable[str]) -> KbldConfig:
        rules = KbldConfig()
        for path in config:
            if self._is_there(path):
                try:
                    rules += read_rules([path])
                    self._says(path, "configuration of kbld, or a lock")
                except BundlepipeError as error:
                    self._report.problems += str(error).splitlines()
        return rules

    def _attempt(self, check: Callable[[], object]) -> None:
        """Run a check; an error that ends it becomes one of the problems."""
        try:
            check()
        except BundlepipeError as error:
            self._report.problems += str(error).splitlines()

    def _each(self, path: str, check: Callable[[str], None]) -> None:
        if self._is_there(path):
            self._attempt(lambda: check(path))

    def _is_there(self, path: str) -> bool:
        if os.path.exists(path):
            return True
        if not any(is_within(path, output) for output in self._outputs):
            self._report.absent.append(path)
        return False

    def _says(self, path: str, what: str) -> None:
        self._report.checked.setdefault(path, what)


def _entries(thing: Pushable, there: Sequence[str]) -> list[Entry]:
    """Return what would be packed of existing inputs; InputError with the position of the faulty one."""
    try:
        return walk(Inputs(there, thing.exclude))
    except NotRegular as error:
        raise InputError(f"{where_named(thing, error.root)}{error}") from None


def _circles(declared: Declared) -> list[str]:
    """Return cycles of tasks among declarations without other faults."""
    try:
        list(create_tasks(declared, Settings(registries=declared.registries)))
    except InvalidDodoFile as error:
        return [str(error)]
    return []


def _local_sources(declared: Declared) -> Iterator[str]:
    """Yield the tar files and layouts that copies and pulls read from."""
    for source in declared.sources():
        with contextlib.suppress(InvalidReference):  # reported by another check
            yield from paths_read(source) if isinstance(source, str) else ()


def _locks_named(declared: Declared) -> Iterator[str]:
    """Yield the lock files that copies and pulls read, and those that tar files exclude."""
    for copy in declared.copies:
        yield from locks_read(copy)
    yield from (pull.source.path for pull in declared.pulls if isinstance(pull.source, LockSource))


def _described_lock(lock: BundleLock | ImagesLock) -> str:
    return "BundleLock" if isinstance(lock, BundleLock) else f"ImagesLock, {_counted(len(lock.images), 'image')}"


def _described_lock_file(lock: LockFile) -> str:
    return f"Lock, {len(lock.entries)} {'entry' if len(lock.entries) == 1 else 'entries'}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
