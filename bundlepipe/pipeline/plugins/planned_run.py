"""The run of doit behind `doit plan`, and behind the states of `doit graph`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

from doit.control import TaskControl
from doit.dependency import Dependency
from doit.exceptions import InvalidCommand
from doit.reporter import ZeroReporter

from bundlepipe.filesystem.overlay import Overlay, overlaid
from bundlepipe.pipeline.planning.runner import PlanningRunner
from bundlepipe.pipeline.plugins.reporter import announce
from bundlepipe.pipeline.running.edges import depend_on_directories
from bundlepipe.pipeline.running.run import planned_access


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
    reporter = _Silent()
    with tempfile.TemporaryDirectory(prefix="bundlepipe-plan-") as room:
        overlay = Overlay(room)
        with overlaid(overlay), planned_access(offline=offline, runs_programs=runs_programs) as access:
            runner = PlanningRunner(dependencies, reporter, access, overlay, asks_clusters=asks_clusters)
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
