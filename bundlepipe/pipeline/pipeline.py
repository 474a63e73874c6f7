"""`Pipeline`, the object that doit finds in a dodo.py."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.concurrency.termination import end_orderly, report_interrupts_briefly
from bundlepipe.errors import BundlepipeError, DocumentError, printable
from bundlepipe.garbage_collection import collect_rarely
from bundlepipe.pipeline.checks.python_values import checked_declarations, checked_path, checked_prefix, listed
from bundlepipe.pipeline.declared.model import Bundle, Copy, Image, Pull, Render, Verify
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.declared.reading import Declared, PipelineFiles, read_pipeline
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.doit_adapter.task_output import separate_output
from bundlepipe.pipeline.doit_adapter.workers import end_workers_orderly
from bundlepipe.pipeline.graph.one_load import claim_lock_file, enter
from bundlepipe.pipeline.running.run import REPORT_VARIABLE, Settings
from bundlepipe.pipeline.running.variables import (
    are_settings_alone,
    refuse_misspelled,
    wanted_force,
    wanted_plan,
    wanted_refresh,
    wanted_verify,
)
from bundlepipe.stores.settings import RegistrySettings

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.ci import CI

DEFAULT_PATH = "bundlepipe.yml"
Result = TypeVar("Result")

# Names in `refresh=NAME` may be in any of them.
_pipelines: weakref.WeakSet[Pipeline] = weakref.WeakSet()


class Pipeline:
    """Images, bundles, copies, pulls and renders as doit tasks.

    Assigned to a name in a dodo.py, it is all that doit needs. Pass declarations here, or load a
    file with `Pipeline.load`. With a `prefix`, tasks are `PREFIX_push_bundle:NAME`, so that a
    dodo.py may hold several pipelines.
    """

    # Only on instances: doit looks for it on every name in a dodo.py, imported classes included.
    create_doit_tasks: Callable[[], Iterator[Task]]

    def __init__(
        self,
        *,
        images: Sequence[Image] = (),
        bundles: Sequence[Bundle] = (),
        copies: Sequence[Copy] = (),
        pulls: Sequence[Pull] = (),
        renders: Sequence[Render] = (),
        registries: Mapping[str, RegistrySettings] | None = None,
        verify: Verify | None = None,
        lock: str | os.PathLike[str] | None = None,
        reports: Sequence[str | os.PathLike[str]] = (),
        ci: CI | None = None,
        prefix: str = "",
    ) -> None:
        given = {
            "images": listed(images),
            "bundles": listed(bundles),
            "copies": listed(copies),
            "pulls": listed(pulls),
            "renders": listed(renders),
            "registries": registries,
            "verify": verify,
            "lock_file": lock,
            "reports": listed(reports),
            "ci": ci,
        }
        self._read: Callable[[], Declared] = lambda: checked_declarations(given)
        self._path: str | os.PathLike[str] | None = None
        self._called = "one declared in Python"
        self._prefix = prefix
        self._files = PipelineFiles()
        self.create_doit_tasks = self._create_doit_tasks
        _pipelines.add(self)

    @classmethod
    def load(cls, path: str | os.PathLike[str] = DEFAULT_PATH, *, prefix: str = "") -> Pipeline:
        """Return the pipeline of a file; the file is read when doit asks for the tasks."""
        pipeline = cls(prefix=prefix)
        files = pipeline._files
        pipeline._read = lambda: read_pipeline(checked_path(path), os.environ, prefix=prefix, files=files)
        pipeline._path = path
        pipeline._called = printable(str(path))
        return pipeline

    def _create_doit_tasks(self) -> Iterator[Task]:
        """tasks of a bundlepipe pipeline"""
        yield from self._tasks()

    def _tasks(self) -> Iterator[Task]:
        collect_rarely()
        from bundlepipe.pipeline.graph.tasks import create_tasks

        prefix = _told(lambda: checked_prefix(self._prefix))
        groups = enter(self, prefix, self._called)
        if are_settings_alone():
            yield from self._named_tasks(prefix, groups)
            return
        declared = _told(lambda: _without_faults(_with_wanted_reports(self._read())))
        if declared.lock_file:
            claim_lock_file(declared.lock_file, prefix)
        refuse_misspelled()
        settings = Settings(
            registries=declared.registries,
            refresh=wanted_refresh(declared, prefix, self._others),
            force=wanted_force(declared, prefix, self._others),
            verify=wanted_verify(declared.verify),
            run_id=os.urandom(8).hex(),
            lock_file=declared.lock_file,
            prefix=prefix,
            plan=wanted_plan(),
        )
        end_orderly()
        end_workers_orderly()
        report_interrupts_briefly()
        end_quietly()
        separate_output()
        if declared.reports:
            from bundlepipe.pipeline.doit_adapter.reporters import tell_of_missing_reports

            tell_of_missing_reports()
        if settings.plan:
            from bundlepipe.pipeline.carrying_out.other_tasks import run_by_plan

            run_by_plan(settings.plan)
        yield from create_tasks(declared, settings, groups)

    def _named_tasks(self, prefix: str, groups: dict[str, Task]) -> Iterator[Task]:
        from bundlepipe.pipeline.ci.loading import DeclaredSettings, named_tasks, read_settings, settings_of

        def read() -> DeclaredSettings:
            if self._path is None:
                settings = settings_of(self._read())
            else:
                settings = read_settings(checked_path(self._path), os.environ, prefix, self._files)
            _without_faults(Declared(ci=settings.ci))
            return settings

        yield from named_tasks(_told(read), prefix, groups)

    def _others(self) -> Iterator[tuple[Declared, str]]:
        """Yield the declarations of other pipelines, with their prefixes; faulty ones report their own faults."""
        for other in [each for each in _pipelines if each is not self]:
            with contextlib.suppress(BundlepipeError):
                yield other._read(), checked_prefix(other._prefix)


def files_of_pipelines() -> PipelineFiles:
    """Return the files of all pipelines of this process that were read so far, faulty ones included."""
    each = [pipeline._files for pipeline in _pipelines]
    return PipelineFiles(
        sorted({path for files in each for path in files.paths}),
        sorted({pattern for files in each for pattern in files.patterns}),
    )


def _with_wanted_reports(declared: Declared) -> Declared:
    """Add the reports that the environment wants, which are checked as those that the pipeline declares."""
    if given := os.environ.get(REPORT_VARIABLE):
        from bundlepipe.pipeline.reports.kinds import kind_of, paths_in

        for path in filter(kind_of, paths_in(given)):  # the reporter refuses those of no kind
            declared.reports.setdefault(normalise(path), REPORT_VARIABLE)
    return declared


def _without_faults(declared: Declared) -> Declared:
    from bundlepipe.pipeline.checks.declarations import faults

    problems = faults(declared)
    if problems:
        raise DocumentError(problems)
    return declared


def _told(read: Callable[[], Result]) -> Result:
    """Convert errors while reading to one that doit reports without a traceback."""
    try:
        return read()
    except BundlepipeError as error:
        raise InvalidDodoFile(str(error)) from None
