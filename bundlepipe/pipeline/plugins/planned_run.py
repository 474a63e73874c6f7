"""The run of doit behind `doit plan`, the states of `doit graph`, `list -s` and `info`, and `bundlepipe diff`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from doit.cmd_base import DoitCmdBase
from doit.control import TaskControl
from doit.dependency import Dependency
from doit.exceptions import InvalidCommand
from doit.reporter import ZeroReporter

from bundlepipe.filesystem.overlay import Overlay, overlaid
from bundlepipe.pipeline.planning.runner import PlanningRunner
from bundlepipe.pipeline.plugins.reporter import announce
from bundlepipe.pipeline.running.edges import depend_on_directories
from bundlepipe.pipeline.running.run import PlannedAccess, planned_access
from bundlepipe.progress.display import display

Made = TypeVar("Made", bound=PlanningRunner)

if TYPE_CHECKING:
    from bundlepipe.pipeline.drawing.model import State
    from bundlepipe.pipeline.drawing.reading import TaskNeeds
    from bundlepipe.pipeline.planning.saving import PlanSaver
    from bundlepipe.stores.resolved import Resolved


class LoadTasks(DoitCmdBase):  # type: ignore[misc]
    """Loads the tasks as a command of doit does, for a program that plans them."""

    name = "load"
    doc_purpose = "load tasks"
    doc_usage = ""
    doc_description = None
    execute_tasks = True

    def _execute(self) -> int:
        return 0


class KeptRun(NamedTuple):
    """A planned run, with the files and stores as they would be after it."""

    runner: PlanningRunner
    overlay: Overlay
    access: PlannedAccess


def planned_run(
    control: TaskControl,
    dependencies: Dependency,
    *,
    offline: bool,
    runs_programs: bool = True,
    asks_clusters: bool = False,
    saver: PlanSaver | None = None,
) -> PlanningRunner:
    """Plan the tasks that `control` has selected, and return what did so.

    With `offline` no registry is asked; unless it `runs_programs`, those whose output is searched are not run.
    If it `asks_clusters`, kubectl says what applies would change. A `saver` notes what the plan is made of.
    Raises InvalidCommand for an error that would end a run.
    """
    make = partial(PlanningRunner, dependencies, asks_clusters=asks_clusters, saver=saver)
    resolved = saver.resolved if saver else None
    with _foreseen(control, make, offline=offline, runs_programs=runs_programs, resolved=resolved) as (runner, _, made):
        if saver:
            saver.destinations = made.destinations
        return runner


@contextmanager
def kept_run(control: TaskControl, dependencies: Dependency) -> Iterator[KeptRun]:
    """Plan as `planned_run` does, and keep what would be written until the context ends.

    Within the context, files are seen as they are: use `overlaid` for those that would be written.
    """
    with _foreseen(control, partial(PlanningRunner, dependencies), offline=False, runs_programs=True) as run:
        yield KeptRun(*run)


def answer_request(control: TaskControl, dependencies: Dependency, path: str) -> None:
    """Find out what the tasks that `control` has selected make of the files alone, and answer the request in a file.

    Raises InvalidCommand for an error that would end a run, and for a file that is no request.
    """
    from bundlepipe.pipeline.planning.tree_outcomes import TreeOutcomesRunner, read_request, write_outcomes

    try:
        make = partial(TreeOutcomesRunner, dependencies, unknown=read_request(path))
    except (OSError, ValueError, LookupError) as error:
        raise InvalidCommand(f"{path}: is no request of --since: {error}") from None
    with _foreseen(control, make, offline=True, stands_in=True) as (runner, _, _):
        write_outcomes(runner.outcomes, path)


@contextmanager
def _foreseen(
    control: TaskControl,
    make: Callable[[_Silent, PlannedAccess, Overlay], Made],
    *,
    offline: bool,
    runs_programs: bool = False,
    stands_in: bool = False,
    resolved: Resolved | None = None,
) -> Iterator[tuple[Made, Overlay, PlannedAccess]]:
    reporter = _Silent()
    with tempfile.TemporaryDirectory(prefix="bundlepipe-plan-") as room:
        overlay = Overlay(room, stands_in=stands_in)
        with (
            overlaid(overlay),
            planned_access(offline=offline, runs_programs=runs_programs, resolved=resolved) as access,
        ):
            runner = make(reporter, access, overlay)
            display.is_silent = True
            try:
                runner.run_all(control.task_dispatcher())
            finally:
                display.is_silent = False
        if reporter.errors:
            raise InvalidCommand(reporter.errors[0])
        yield runner, overlay, access


def states_of(found: TaskNeeds, dependencies: Dependency, names: Sequence[str] | None = None) -> dict[str, State]:
    """Return the states of all tasks, or for `names` of these, by a plan without requests and without programs."""
    from bundlepipe.pipeline.planning.states import states_by_plan

    found.control.process(names)
    planned = planned_run(found.control, dependencies, offline=True, runs_programs=False)
    return states_by_plan(found.tasks, found.before, planned)


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
