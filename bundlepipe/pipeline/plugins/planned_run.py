"""The run of doit behind `doit plan`, and behind the states of `doit graph`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from doit.control import TaskControl
from doit.dependency import Dependency
from doit.exceptions import InvalidCommand
from doit.reporter import ZeroReporter

from bundlepipe.filesystem.overlay import Overlay, overlaid
from bundlepipe.pipeline.planning.runner import PlanningRunner
from bundlepipe.pipeline.planning.tree_outcomes import TreeOutcomesRunner
from bundlepipe.pipeline.plugins.reporter import announce
from bundlepipe.pipeline.running.edges import depend_on_directories
from bundlepipe.pipeline.running.run import PlannedAccess, planned_access

Made = TypeVar("Made", bound=PlanningRunner)


def planned_run(
    control: TaskControl,
    dependencies: Dependency,
    *,
    offline: bool,
    runs_programs: bool = True,
    asks_clusters: bool = False,
) -> PlanningRunner:
    """Plan the tasks that `control` has selected, and return what did so.

    With `offline` no registry is asked; unless it `runs_programs`, those whose output is searched are not run.
    If it `asks_clusters`, kubectl says what applies would change.
    Raises InvalidCommand for an error that would end a run.
    """
    return _foreseen(
        control,
        lambda reporter, access, overlay: PlanningRunner(
            dependencies, reporter, access, overlay, asks_clusters=asks_clusters
        ),
        offline=offline,
        runs_programs=runs_programs,
    )


def outcomes_run(control: TaskControl, dependencies: Dependency) -> TreeOutcomesRunner:
    """Find out what the tasks that `control` has selected make of the files alone, and return what did so.

    Raises InvalidCommand for an error that would end a run.
    """
    return _foreseen(control, partial(TreeOutcomesRunner, dependencies), offline=True, stands_in=True)


def _foreseen(
    control: TaskControl,
    make: Callable[[_Silent, PlannedAccess, Overlay], Made],
    *,
    offline: bool,
    runs_programs: bool = False,
    stands_in: bool = False,
) -> Made:
    reporter = _Silent()
    with tempfile.TemporaryDirectory(prefix="bundlepipe-plan-") as room:
        overlay = Overlay(room, stands_in=stands_in)
        with overlaid(overlay), planned_access(offline=offline, runs_programs=runs_programs) as access:
            runner = make(reporter, access, overlay)
            runner.run_all(control.task_dispatcher())
    if reporter.errors:
        raise InvalidCommand(reporter.errors[0])
    return runner


class _Silent(ZeroReporter):  # type: ignore[misc]
    """Reports nothing, and announces the requests of a run. `errors` are those that end a run."""

    def __init__(self) -> None:
        super().__init__(None, {})
        self.errors: list[str] = []

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: Any) -> None:
        """Announce the requests, so that they are sent together."""
        depend_on_directories(tasks)
        announce(tasks, selected_tasks)

    def runtime_error(self, msg: str) -> None:
        """Keep an error that ends a run."""
        self.errors.append(msg)
