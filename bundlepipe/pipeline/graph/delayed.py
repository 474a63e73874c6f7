"""Users' tasks that doit creates only during a run: `@create_after`.

Until then there is a placeholder, which says after which task its creator is called and, if
`target_regex` is given, where its tasks write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from doit.loader import generate_tasks
from doit.task import DelayedLoader, Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import base_directory, paths_from
from bundlepipe.pipeline.declared.paths import absolute, is_within, normalise
from bundlepipe.pipeline.running.action import Action
from bundlepipe.pipeline.running.edges import Reads, found_outputs, targets_of_others

# Characters that stand for themselves, or are escaped.
_LITERAL = re.compile(r"\\[^\w\s]|[\w/ @~,:=%-]")
_REPEATING = ("*", "?", "{")


def delayed_tasks(tasks: Mapping[str, Task]) -> Iterator[Delayed]:
    """Yield placeholders; a sub-task on the command line shares its group's loader, and counts once."""
    seen = set[str]()
    for task in list(tasks.values()):
        if task.loader and not task.loader.created:
            name = task.loader.basename or task.name
            if name not in seen and tasks[name].loader:
                seen.add(name)
                yield Delayed(name, tasks[name].loader)


class Delayed:
    """A placeholder: `name` is that of the task, or group, that will replace it."""

    def __init__(self, name: str, loader: DelayedLoader) -> None:
        self.name = name
        self._loader = loader

    def shared_loader(self) -> DelayedLoader:
        """Return the loader for a second placeholder: the first one used creates the tasks of both."""
        self._loader.basename = self.name
        return self._loader

    def may_make(self, read: Reads) -> bool:
        """Return whether the created tasks may write to what a task reads; only a `target_regex` rules that out."""
        start = self._start()
        return start is None or any(
            f"{absolute(path)}/".startswith(start) or start.startswith(f"{absolute(path)}/") for path in read.paths
        )

    def certainly_makes(self, read: Reads) -> str | None:
        """Return why an earlier task must not run: everything that `target_regex` matches is inside a path it reads."""
        directory = os.path.dirname(self._start() or "")
        if directory and any(is_within(directory, path) and read.includes(path, directory) for path in read.paths):
            return (
                f"{normalise(directory)}, which it reads, is where task '{self.name}' writes by its target_regex "
                f"'{self._loader.target_regex}', but that is created {self._when} only: create it earlier, or exclude "
                "that path"
            )
        return None

    def guard(self, reads: Sequence[Reads], tasks: Mapping[str, Task], pipeline: str) -> None:
        """Refuse created tasks that write to paths of tasks that do not wait for them; and those tasks.

        Each `pipeline` does so once, for the paths of its own tasks.
        """
        creator = self._loader.creator
        if reads and not (isinstance(creator, _Guarded) and creator.is_guarded_for(pipeline)):
            self._loader.creator = _Guarded(creator, self, reads, tasks, pipeline)

    def checked(
        self, created: Sequence[Task], reads: Sequence[Reads], tasks: Mapping[str, Task], pipeline: str
    ) -> list[Task]:
        """Return the created tasks, with those refused that write to a path whose reader does not wait."""
        targets = targets_of_others({task.name: task for task in created}, pipeline)
        reasons: dict[str, str] = {}
        for reader, producer, path in found_outputs(reads, targets) if targets else ():
            # Searches are internal, and their locks read the same paths.
            if not reader.startswith("_"):
                reason = self._reason(reader, producer, path)
                reasons.setdefault(producer, reason)
                # In case it has not run yet.
                tasks[reader].refusal = reason
        return [_refused(task, reasons[task.name]) if task.name in reasons else task for task in created]

    def _reason(self, reader: str, producer: str, path: str) -> str:
        advice = (
            f"its creator's target_regex '{self._loader.target_regex}' does not match that path: correct it"
            if not path.startswith(self._start() or "")
            else f"it is created {self._when} only: create it earlier, or exclude that path from '{reader}'"
        )
        return f"task '{producer}' makes {normalise(path)}, which '{reader}' reads and could not wait for: {advice}"

    @property
    def _when(self) -> str:
        return f"after '{self._loader.task_dep}'" if self._loader.task_dep else "while doit runs"

    def _start(self) -> str | None:
        """Return the start of every absolute path that `target_regex` matches; None if unknown."""
        text = _literal_start(self._loader.target_regex or "")
        if not text:
            return None
        directory, name = os.path.split(text)
        return os.path.join(absolute(normalise(directory or ".")), name)


class _Guarded:
    """A creator whose tasks are checked as soon as they are created."""

    def __init__(
        self,
        creator: Callable[..., Any],
        delayed: Delayed,
        reads: Sequence[Reads],
        tasks: Mapping[str, Task],
        pipeline: str,
    ) -> None:
        self._creator = creator
        self._delayed = delayed
        self._reads = reads
        self._tasks = tasks
        self._pipeline = pipeline
        self._directory = base_directory()
        self.__doc__ = creator.__doc__

    def __call__(self, **options: Any) -> Iterator[Task]:
        """Create the tasks."""
        created = generate_tasks(self._delayed.name, self._creator(**options), self._creator.__doc__)
        with paths_from(self._directory):
            checked = self._delayed.checked(created, self._reads, self._tasks, self._pipeline)
        return (task for task in checked)  # doit accepts only a generator

    def is_guarded_for(self, pipeline: str) -> bool:
        """Return whether a pipeline already guards it; several pipelines wrap each other's guards."""
        within = self._creator
        return self._pipeline == pipeline or (isinstance(within, _Guarded) and within.is_guarded_for(pipeline))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle only the creator for a spawned process, which creates nothing: the readers cannot be pickled."""
        return _as_it_is, (self._creator,)


class _Refusal(Action):
    """Fails instead of the task, whose outputs would come too late."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self._reason = reason

    def work(self) -> dict[str, Any]:
        """Raise the error with the reason."""
        raise BundlepipeError(self._reason)


def _refused(task: Task, reason: str) -> Task:
    # Without targets, so that no task waits for them.
    return Task(task.name, [_Refusal(reason)], subtask_of=task.subtask_of, doc=task.doc, io={"capture": False})


def _as_it_is(creator: Callable[..., Any]) -> Callable[..., Any]:
    return creator


def _literal_start(pattern: str) -> str:
    """Return the literal text with which every match at the start of a regular expression begins."""
    if "|" in pattern:
        return ""
    position, found = int(pattern.startswith("^")), list[str]()
    while match := _LITERAL.match(pattern, position):
        found.append(match[0].removeprefix("\\"))
        position = match.end()
    if found and pattern.startswith(_REPEATING, position):
        found.pop()
    return "".join(found)
