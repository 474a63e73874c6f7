"""A reporter for doit that shows what each task did, whether it was unchanged, and why it ran.

.  push_bundle:app  registry.example/app:1.0 sha256:6826683bb269  (app/config.yml changed)
=  push_bundle:web  registry.example/web:1.0 unchanged, sha256:f89274e5a57b  (no local record)
-- push_bundle:api

doit's own marks are kept: `.` for a task that ran, `--` for one that was up to date. A `=` is a
task that ran and found nothing to change. If a screen cannot hold the lines of all tasks, most of
them are replaced by the summary at the end.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from doit.exceptions import BaseFail, InvalidTask, UnmetDependency
from doit.reporter import ConsoleReporter
from doit.task import Task

from bundlepipe.concurrency.termination import has_workers
from bundlepipe.pipeline.doit_adapter.internals import calculators
from bundlepipe.pipeline.plugins.screen import height_of, wants_all
from bundlepipe.pipeline.plugins.tally import Outcome, Tally
from bundlepipe.pipeline.reasons import sentences, summary
from bundlepipe.pipeline.running.action import SUMMARY, TRAFFIC, UNCHANGED
from bundlepipe.pipeline.running.destination_lookups import Announced
from bundlepipe.pipeline.running.edges import PipelineTask, depend_on_directories
from bundlepipe.pipeline.running.run import REPORT_VARIABLE
from bundlepipe.pipeline.running.staleness import Staleness, reasons_of
from bundlepipe.pipeline.tasks.name_search import NameSearch
from bundlepipe.progress.display import display
from bundlepipe.stores.http.traffic import Traffic, traffic

if TYPE_CHECKING:
    from bundlepipe.pipeline.reports.recorder import Recorder

# The part of a screen for lines of tasks, if it cannot hold all of them.
_SHARE = 3


class PipelineReporter(ConsoleReporter):  # type: ignore[misc]
    """Prints one line for each task of a pipeline when it is done, and a summary if the lines do not say everything.

    Other tasks are reported as doit does.
    """

    desc = "console, shows whether bundlepipe tasks were executed, unchanged or up to date, and why they ran"

    writes_reports = True

    def __init__(self, outstream: object, options: Mapping[str, object]) -> None:
        super().__init__(outstream, options)
        self._tally = Tally()
        self._began = time.monotonic()
        self._traffic_of_workers: dict[int, Traffic] = {}
        self._ends_with_summary = False
        self._all_wanted = False
        self._is_brief = False
        self._height = 0
        self._told = 0
        self._tasks: Mapping[str, Task] = {}
        self._recorder: Recorder | None = None
        self._cleanup_errors: list[str] = []
        # Output of users' own tasks bypasses the reporter, and would collide with bars.
        self._shows_standing = False
        # Until the first task of a pipeline shows whether `-v` was given.
        self._held_back: list[str] = []

    def write(self, text: str) -> None:
        """Write whole lines, from any thread, immediately: in order with stderr."""
        display.write(text, self.outstream)

    def initialize(self, tasks: Mapping[str, Task], selected_tasks: Iterable[str]) -> None:
        """Start showing progress; announce the run's possible requests and searches, so that they are done together."""
        super().initialize(tasks, selected_tasks)
        _end_as_runs_do()
        depend_on_directories(tasks)
        display.begin()
        self._recorder = _wanted_recorder(tasks)
        self._begin_summary(tasks, selected_tasks)
        if not self._tally.planned:
            self._tell_of_empty_groups(tasks, selected_tasks)
        announce(tasks, selected_tasks)

    def _begin_summary(self, tasks: Mapping[str, Task], selected: Iterable[str]) -> None:
        """Find out whether the lines of all tasks fit on a screen."""
        planned = [task.name for task in _reachable(tasks, selected, with_setup=False) if _counts(task)]
        self._tally = Tally(planned, [task.name for task in tasks.values() if task.has_subtask])
        self._began = time.monotonic()
        self._tasks, self._height = tasks, height_of(self.outstream)
        self._all_wanted = self._ends_with_summary = wants_all()
        if len(planned) > self._height:
            self._be_brief()
        self._shows_standing = all(_is_ours(tasks[name]) for name in planned)

    def _tell_of_empty_groups(self, tasks: Mapping[str, Task], selected: Iterable[str]) -> None:
        from bundlepipe.pipeline.plugins.empty_groups import nothing_chosen

        if line := nothing_chosen(tasks, selected):
            self.write(f"{line}\n")

    def _be_brief(self) -> None:
        """From now on, leave lines out unless all are wanted; summarise the whole run at its end in any case."""
        self._ends_with_summary = True
        self._is_brief = not self._all_wanted
        for task in self._tasks.values():
            if isinstance(task, PipelineTask):
                task.is_told_briefly = self._is_brief and not task.wants_all

    def get_status(self, task: Task) -> None:
        """Record that a task's turn has come."""
        if self._recorder:
            self._recorder.select(task)

    def execute_task(self, task: Task) -> None:
        """Report that a task starts, unless it is ours and will be reported when it is done."""
        if self._recorder:
            self._recorder.start(task)
        if _counts(task):
            self._tally.start(task.name)
        if not _is_ours(task):
            super().execute_task(task)

    def add_success(self, task: Task) -> None:
        """Report what a task of ours did and why."""
        self._count_traffic(task)
        outcome = Outcome.UNCHANGED if _is_ours(task) and task.values.get(UNCHANGED) else Outcome.DONE
        if _counts(task):
            self._tally.end(task.name, outcome)
        if self._recorder:
            self._recorder.end(task, reasons_of(task))
        if not _is_ours(task):
            super().add_success(task)
            return
        display.finish(task.name)
        reasons = reasons_of(task)
        is_told = not self._has_to_be_brief(task) or self._told < self._height // _SHARE
        self._tally.count_for_group(task.name, outcome, sentences(reasons), is_told=is_told)
        if is_told:
            self._told += 1
            mark = "= " if outcome is Outcome.UNCHANGED else ". "
            why = f"  ({summary(reasons)})" if reasons else ""
            self.write(f"{mark} {task.title()}  {task.values.get(SUMMARY, '')}{why}\n")
        elif self._shows_standing and not has_workers():
            display.head(self._tally.standing())

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """Report a failure, once if several tasks fail in the same way; only count tasks that depend on it."""
        display.finish(task.name)
        self._count_traffic(task)
        if self._recorder:
            self._recorder.fail(task, fail, reasons_of(task))
        if isinstance(fail, UnmetDependency):
            if _counts(task):
                self._tally.end(task.name, Outcome.NOT_REACHED)
        elif self._tally.fail(task.name, fail):
            super().add_failure(task, fail)
        else:
            self.failures.append({"task": task, "exception": fail})

    def skip_uptodate(self, task: Task) -> None:
        """Report that a task was up to date, except groups."""
        if _counts(task):
            self._tally.end(task.name, Outcome.UP_TO_DATE)
        if self._recorder:
            self._recorder.end(task)
        is_brief = self._has_to_be_brief(task)
        if task.has_subtask or task.name.startswith("_"):
            return
        self._told += not is_brief
        if is_brief:
            self._held_back.append(f"-- {task.title()}\n")
        else:
            super().skip_uptodate(task)

    def skip_ignore(self, task: Task) -> None:
        """Report that a task is ignored, as the user requested."""
        if _counts(task):
            self._tally.end(task.name, Outcome.IGNORED)
        if self._recorder:
            self._recorder.end(task)
        super().skip_ignore(task)

    def cleanup_error(self, exception: BaseFail) -> None:
        """Report an error in the teardown of a task."""
        # With several workers doit tears tasks down twice.
        if (text := exception.get_msg().strip()) not in self._cleanup_errors:
            self._cleanup_errors.append(text)
        super().cleanup_error(exception)

    def complete_run(self) -> None:
        """Print the summary at the end, without bars: an interrupted task has left its own. Then write the reports."""
        ending = sys.exc_info()[1]
        is_complete = not self.runtime_errors and ending is None
        try:
            display.end()
            super().complete_run()
            if not self._tally.is_empty or is_complete:
                self._write_summary(is_complete=is_complete)
        finally:
            # Also if no one reads the output.
            if self._recorder:
                self._write_reports(self._recorder, ending, is_complete=is_complete)

    def _write_summary(self, *, is_complete: bool) -> None:
        if self._ends_with_summary or not is_complete or not self._tally.is_good:
            spent = sum(self._traffic_of_workers.values(), traffic.counted())
            lines = self._tally.lines(time.monotonic() - self._began, spent, is_complete=is_complete)
            self.write("".join(f"{line}\n" for line in lines))

    def _write_reports(self, recorder: Recorder, ending: BaseException | None, *, is_complete: bool) -> None:
        """Write the reports; if one cannot be written, InvalidTask, with which doit ends with a non-zero exit status.

        A run that failed or was interrupted, also by `ending`, ends as it would without reports, after the same line.
        """
        from bundlepipe.pipeline.reports.writing import write_reports

        outcomes = {name: outcome.value for name, outcome in self._tally.outcomes(is_complete=is_complete).items()}
        errors = [*self.runtime_errors, *self._cleanup_errors, *_told(ending)]
        faults = write_reports(recorder, self._tasks, outcomes, errors, os.environ, is_complete=is_complete)
        if faults and self._tally.is_good and sys.exc_info()[1] is None and not self.runtime_errors:
            raise InvalidTask("\nERROR: ".join(faults))
        for fault in faults:
            display.write(f"ERROR: {fault}\n", sys.stderr)

    def _has_to_be_brief(self, task: Task) -> bool:
        """Return whether lines have to be left out.

        The first task of a pipeline shows that all are wanted; more lines than a screen holds show that locks
        have found more tasks than were known.
        """
        if not self._all_wanted and isinstance(task, PipelineTask) and task.wants_all:
            self._all_wanted, self._is_brief = True, False
            self.write("".join(self._held_back))
        if not self._is_brief and not self._all_wanted and self._told >= self._height:
            self._be_brief()
        return self._is_brief

    def _count_traffic(self, task: Task) -> None:
        """Add the traffic of a worker process so far; that of threads is counted here anyway."""
        if isinstance(task, PipelineTask) and TRAFFIC in (task.meta or {}):
            process, counted = task.meta[TRAFFIC]
            if process != os.getpid():
                self._traffic_of_workers[process] = counted


def announce(tasks: Mapping[str, Task], selected: Iterable[str]) -> None:
    """Announce the possible requests and searches of a run, so that they are done together."""
    asked = [(name, each) for name, each in _calculators(tasks, selected) if isinstance(each, Staleness)]
    announced = Announced({name: each.lookup for name, each in asked if each.lookup})
    searches = {name: each for name, each in asked if isinstance(each, NameSearch)}
    for _, each in asked:
        each.announced = announced
        if isinstance(each, NameSearch):
            each.searches = searches


def _wanted_recorder(tasks: Mapping[str, Task]) -> Recorder | None:
    """Return what records a run of these tasks, if the environment or one of their pipelines wants reports of it.

    InvalidCommand, with which doit ends the run, if the environment has the path of no report.
    """
    given = os.environ.get(REPORT_VARIABLE, "")
    declared = [path for task in tasks.values() if isinstance(task, PipelineTask) for path in task.reports]
    if not given and not declared:
        return None
    from bundlepipe.pipeline.reports.recorder import recorder_of

    return recorder_of(given, declared)


def _end_as_runs_do() -> None:
    """Let signals, and output without a reader, end the run so that it is reported, in projects without pipelines."""
    from bundlepipe.concurrency.termination import end_orderly
    from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
    from bundlepipe.pipeline.doit_adapter.workers import end_workers_orderly

    end_orderly()
    end_workers_orderly()
    end_quietly()


def _told(ending: BaseException | None) -> Iterator[str]:
    """Yield the text of an exception that ends a run, with its traceback; nothing if it is an interruption."""
    if isinstance(ending, SystemExit):
        # With a message it is an error. From a worker also its status is a text.
        if isinstance(ending.code, str) and not ending.code.isdecimal():
            yield ending.code.removeprefix("ERROR: ")
    elif ending is not None and not isinstance(ending, KeyboardInterrupt):
        import traceback

        told, trace = traceback.format_exception_only(ending), traceback.format_exception(ending)
        yield "".join([*told, *trace])


def _is_ours(task: Task) -> bool:
    return isinstance(task, PipelineTask) and bool(task.actions)


def _counts(task: Task) -> bool:
    """Return whether a summary covers a task: not a group, and not private."""
    return bool(task.actions) and not task.name.startswith("_")


def _reachable(tasks: Mapping[str, Task], selected: Iterable[str], *, with_setup: bool) -> Iterator[Task]:
    """Yield the tasks that a run may run; set-up tasks only if the tasks that need them may run."""
    waiting, seen = list(selected), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in tasks:
            continue
        seen.add(name)
        task = tasks[name]
        waiting.extend([*task.task_dep, *task.calc_dep, *(task.setup_tasks if with_setup else ())])
        yield task


def _calculators(tasks: Mapping[str, Task], selected: Iterable[str]) -> Iterator[tuple[str, object]]:
    """Yield the uptodate objects of all tasks that a run may run, with their names."""
    for task in _reachable(tasks, selected, with_setup=True):
        yield from ((task.name, calculator) for calculator in calculators(task))
