"""Parse the two sides of a diff: locations, directories, and declarations of bundlepipe.yml."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError, InputError, quoted
from bundlepipe.stores.location import ArchiveLocation, LayoutLocation

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.model import Pushable
    from bundlepipe.pipeline.declared.reading import Declared as Pipeline
    from bundlepipe.pipeline.planning.plan import PlannedTask
    from bundlepipe.pipeline.plugins.planned_run import KeptRun, LoadTasks
    from bundlepipe.stores.settings import RegistrySettings
    from bundlepipe.verbs.diffing.sides import Side

_PIPELINE = "bundlepipe.yml"
_KINDS = ("bundle", "image")


class _Named(NamedTuple):
    """A declaration that is named as a side: its kind, its name, and itself."""

    kind: str
    name: str
    thing: Pushable

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def task(self) -> str:
        """The name of the task that pushes it."""
        return f"push_{self.kind}:{self.name}"


class Sides:
    """The sides in the arguments of a command.

    If one of them is declared in bundlepipe.yml, that is read, and what a run would do is planned, once: `load`
    returns the tasks. If the file is in a directory above, the command changes there, and `note` says so.
    """

    def __init__(self, load: Callable[[], LoadTasks], note: Callable[[str], None]) -> None:
        self._load = load
        self._note = note
        self._pipeline: Pipeline | None = None

    @property
    def registries(self) -> Mapping[str, RegistrySettings] | None:
        """The settings of registries in bundlepipe.yml; None unless a side is declared there."""
        return self._pipeline.registries if self._pipeline else None

    @contextmanager
    def parsed(self, old: str, new: str) -> Iterator[tuple[Side, Side]]:
        """Yield the sides that two arguments name; what declared ones would be is kept until the context ends.

        Raises InvalidReference, InputError for a path without a directory, DocumentError for a faulty bundlepipe.yml,
        BundlepipeError for a name that it does not declare, that is not made of files, or of which the plan is not
        certain.
        """
        from bundlepipe.verbs.diffing.sides import parse_side

        named = [text for text in (old, new) if text.partition(":")[0] in _KINDS and ":" in text]
        above = self._find_pipeline(named[0]) if named else None
        found: list[str | Side] = [text if text in named else parse_side(text) for text in (old, new)]
        if above:
            found = [side if isinstance(side, str) else _seen_from(above, side) for side in found]
            os.chdir(above)
        first, second = (self._named(side) if isinstance(side, str) else side for side in found)
        asked = [side for side in (first, second) if isinstance(side, _Named)]
        if not asked:
            assert not isinstance(first, _Named) and not isinstance(second, _Named)
            yield first, second
            return
        with self._planned(asked) as run:
            sides = (self._declared(side, run) if isinstance(side, _Named) else side for side in (first, second))
            yield next(sides), next(sides)

    def _find_pipeline(self, side: str) -> str | None:
        """Return the directory above that has bundlepipe.yml; None if it is here."""
        from bundlepipe.starting.project_search import directory_above

        if os.path.exists(_PIPELINE):
            return None
        above = directory_above([_PIPELINE])
        if above is None:
            raise InputError(
                f"{side}: there is no {_PIPELINE} here, nor in a directory above, that would declare it; for a "
                f"repository of Docker Hub say docker.io/library/{side}"
            )
        self._note(f"comparing in {os.path.relpath(above)}, where {_PIPELINE} is")
        return above

    def _named(self, side: str) -> _Named:
        from bundlepipe.pipeline.declared.reading import read_pipeline
        from bundlepipe.pipeline.declared.suggestions import suggestions

        kind, _, name = side.partition(":")
        if self._pipeline is None:
            self._pipeline = read_pipeline(_PIPELINE, os.environ, remembers=False)
        things: list[Pushable] = [*(self._pipeline.bundles if kind == "bundle" else self._pipeline.images)]
        known = {thing.name: thing for thing in things}
        if name not in known:
            raise BundlepipeError(f"{side}: {_PIPELINE} declares no {kind} {quoted(name)}: {suggestions(name, known)}")
        if not known[name].files:
            raise BundlepipeError(
                f"{side}: is not made of files, so what a push would make is unknown: "
                "name the image where it was pushed"
            )
        return _Named(kind, name, known[name])

    @contextmanager
    def _planned(self, asked: Sequence[_Named]) -> Iterator[KeptRun]:
        """Plan the pushes of declarations; BundlepipeError if the tasks cannot be loaded, or are other ones."""
        from doit.control import TaskControl
        from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

        from bundlepipe.pipeline.plugins.planned_run import kept_run

        loaded = self._load()
        try:
            control = TaskControl(loaded.task_list)
            for side in asked:
                if side.task not in control.tasks:
                    raise BundlepipeError(
                        f"{side}: the dodo.py here has no task {side.task}, so what a push would make is unknown"
                    )
            control.process([side.task for side in asked])
            with kept_run(control, loaded.dep_manager) as run:
                yield run
        except (InvalidCommand, InvalidDodoFile, InvalidTask) as error:
            raise BundlepipeError(f"{asked[0]}: {error}") from None

    def _declared(self, side: _Named, run: KeptRun) -> Side:
        from bundlepipe.filesystem.overlay import overlaid
        from bundlepipe.oci.reference import Reference
        from bundlepipe.pipeline.running.run import Settings
        from bundlepipe.pipeline.tasks.push import inputs_of
        from bundlepipe.verbs.diffing.sides import Declared

        planned = [*run.runner.plan.tasks, *run.runner.private]
        task = next(task for task in planned if task.name == side.task)
        if task.state not in ("none", "run") or (task.state == "run" and not task.image):
            raise BundlepipeError(f"{side}: {_uncertainty(task, planned)}: see bundlepipe plan --why {task.name}")
        stores = run.access.stores_of(Settings(registries=self.registries or {}))
        return Declared(
            str(side),
            inputs_of(side.thing),
            side.kind == "bundle",
            side.thing.labels,
            seen=lambda: overlaid(run.overlay),
            written=stores.written,
            image=Reference.parse(task.image) if task.image else None,
        )


def _uncertainty(task: PlannedTask, planned: Iterable[PlannedTask]) -> str:
    """Return why it is unknown what a task would make, by the first of the tasks before it for which that holds."""
    from bundlepipe.pipeline.reasons import sentences
    from bundlepipe.progress.phrases import few

    waiting = {each.name: each for each in planned}
    first: PlannedTask | None = task
    while first:
        task = waiting.pop(first.name)
        earlier = [reason.subject for reason in task.reasons if reason.code in ("taskCannotRun", "mayChange")]
        # One that will run for other reasons does not name those whose outcome is open, which have no summary.
        earlier += [name for name in task.needs if name in waiting and not waiting[name].summary]
        first = next((waiting[name] for name in earlier if name in waiting), None)
    if task.state == "error":
        return f"{task.name} cannot run: {few(sentences(task.reasons))}"
    unforeseen = sentences([reason for reason in task.reasons if reason.code == "notForeseen"])
    return ": ".join([f"what a push would make is not known before {task.name} runs", *unforeseen])


def _seen_from(directory: str, side: Side) -> Side:
    """Return a side whose path is relative to the current directory as it is named from another one."""
    from bundlepipe.verbs.diffing.sides import Directory

    if isinstance(side, Directory | ArchiveLocation) and not os.path.isabs(side.path):
        return replace(side, path=os.path.relpath(side.path, directory))
    if isinstance(side, LayoutLocation) and not os.path.isabs(side.directory):
        return replace(side, directory=os.path.relpath(side.directory, directory))
    return side
