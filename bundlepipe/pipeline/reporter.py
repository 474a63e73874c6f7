"""A reporter for doit that tells what was done, what was already so, and why a task ran.

.  push_bundle:app  registry.example/app:1.0 sha256:6826683bb269  (app/config.yml changed)
=  push_bundle:web  registry.example/web:1.0 unchanged, sha256:f89274e5a57b  (no local record)
-- push_bundle:api

doit's own words stay doit's: `.` for a task that ran, `--` for one that was up to date. A
`=` is a task that ran and found that the world was so already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from doit.exceptions import BaseFail, UnmetDependency
from doit.reporter import ConsoleReporter
from doit.task import Task

from bundlepipe.pipeline.action import SUMMARY, UNCHANGED
from bundlepipe.pipeline.edges import PipelineTask
from bundlepipe.pipeline.name_search import NameSearch, announce_searches
from bundlepipe.pipeline.progress import display
from bundlepipe.pipeline.push_task import DestinationStaleness
from bundlepipe.pipeline.remote import announce
from bundlepipe.pipeline.staleness import WHY, summary
from bundlepipe.pipeline.termination import give_up_all


class PipelineReporter(ConsoleReporter):  # type: ignore[misc]
    """Prints one line for each task of a pipeline when it is done; other tasks as doit does."""

    desc = "console, tells executed, unchanged and up-to-date bundlepipe tasks apart and why they ran"

    def write(self, text: str) -> None:
        """Write whole lines, from whichever thread, at once: in order with what goes to stderr."""
        display.write(text, self.outstream)

    def initialize(self, tasks: Mapping[str, Task], selected_tasks: Iterable[str]) -> None:
        """Begin to show progress; announce what the run may come to ask and to search, so that it is done together."""
        super().initialize(tasks, selected_tasks)
        display.begin()
        _tell_interrupts_shortly()
        calculators = list(_calculators(tasks, selected_tasks))
        announce({name: each.question for name, each in calculators if isinstance(each, DestinationStaleness)})
        announce_searches({name: each for name, each in calculators if isinstance(each, NameSearch)})

    def execute_task(self, task: Task) -> None:
        """Say that a task starts, unless it is ours and will say more when it is done."""
        if not _is_ours(task):
            super().execute_task(task)

    def add_success(self, task: Task) -> None:
        """Say what a task of ours did and why."""
        if not _is_ours(task):
            super().add_success(task)
            return
        display.finish(task.name)
        mark = "= " if task.values.get(UNCHANGED) else ". "
        reasons = (task.meta or {}).get(WHY) or _changed_dependencies(task)
        why = f"  ({summary(reasons)})" if reasons else ""
        self.write(f"{mark} {task.title()}  {task.values.get(SUMMARY, '')}{why}\n")

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """Say what failed; a group that did not run because one of its tasks failed says nothing new."""
        display.finish(task.name)
        if not (task.has_subtask and isinstance(fail, UnmetDependency)):
            super().add_failure(task, fail)

    def complete_run(self) -> None:
        """Print what there is to say at the end, without bars: an interrupted task has left its own."""
        display.end()
        super().complete_run()

    def skip_uptodate(self, task: Task) -> None:
        """Say that a task was up to date; the groups have nothing to say."""
        if not task.has_subtask:
            super().skip_uptodate(task)


def _tell_interrupts_shortly() -> None:
    """Let Ctrl-C end the run by a line, as every other end is told; doit itself lets it through."""
    previous = sys.excepthook

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            # Threads and workers would otherwise be waited for until they have done all.
            give_up_all()
            sys.stderr.write("interrupted: the next run does what is not finished\n")
        else:
            previous(kind, error, trace)

    sys.excepthook = tell


def _is_ours(task: Task) -> bool:
    return isinstance(task, PipelineTask) and bool(task.actions)


def _changed_dependencies(task: Task) -> list[str]:
    """Return the reasons that doit found itself: digests of what other tasks made."""
    return [f"{os.path.basename(path)} changed" for path in sorted(task.dep_changed or ())]


def _calculators(tasks: Mapping[str, Task], selected: Iterable[str]) -> Iterator[tuple[str, object]]:
    """Yield the uptodate objects of all tasks that a run may come to, with the names of these."""
    waiting, seen = list(selected), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in tasks:
            continue
        seen.add(name)
        task = tasks[name]
        waiting.extend([*task.task_dep, *task.setup_tasks, *task.calc_dep])
        yield from ((name, calculator) for calculator, _, _ in task.uptodate)
