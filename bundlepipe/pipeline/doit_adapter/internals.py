"""doit's internals: records of tasks, up-to-date checks, variables of the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import Parameter, Signature
from typing import Any

from doit import doit_cmd
from doit.dependency import Dependency, UptodateCalculator
from doit.task import Task

from bundlepipe.filesystem.base_directory import anchored, base_directory

_VALUES = "_values_:"
# The part of a record that doit sets last (Dependency.save_success).
LAST_PART = "deps:"

# doit's checker of files, by path.
_CHECKS = ("exists", "info", "check_modified", "get_state")
_ANCHORED = "_bundlepipe_anchored"


class Calculator(UptodateCalculator):  # type: ignore[misc]
    """An uptodate object of doit; knows all tasks, and their records in doit's database.

    `directory` is the base directory at its creation, to which paths of its task are relative.
    """

    # doit inspects the signature of every uptodate object in every run; with this it need not.
    __signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("task", "values")])

    def __init__(self) -> None:
        super().__init__()
        self.directory = base_directory()
        self.dependencies: Dependency = None

    def setup(self, dep_manager: Dependency, tasks_dict: Mapping[str, Task]) -> None:
        """Keep doit's database, and all tasks."""
        super().setup(dep_manager, tasks_dict)
        self.dependencies = dep_manager
        _anchor_checks(dep_manager, self.directory)

    def __repr__(self) -> str:
        """Return the text for `doit info`."""
        return str(self)

    def recorded(self, task_name: str) -> dict[str, Any]:
        """Return the values of a task's last run; empty if unknown."""
        return self.get_val(task_name, _VALUES) or {}

    def hand_on(self, task: Task) -> None:
        """Make doit use a task's values in this run although it does not run."""
        self.dependencies._set(task.name, _VALUES, task.values)

    def remember(self, task: Task, values: Mapping[str, Any]) -> None:
        """Store a task's values in doit's database although it did not run."""
        self.dependencies._set(task.name, _VALUES, values)
        self.dependencies._set(task.name, LAST_PART, tuple(task.file_dep))


class _Unsaved:
    """doit's interface of a backend, on another one that is only read: changes are kept in memory."""

    def __init__(self, backend: Any) -> None:
        self.name = backend.name
        self._backend = backend
        self._changed: dict[str, dict[str, Any]] = {}
        self._removed: set[str] = set()

    def get(self, task_id: str, dependency: str) -> Any:
        """Return one part of a task's record; None if there is none."""
        changed = self._changed.get(task_id, {})
        if dependency in changed or task_id in self._removed:
            return changed.get(dependency)
        return self._backend.get(task_id, dependency)

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Set one part of a task's record."""
        self._changed.setdefault(task_id, {})[dependency] = value

    def in_(self, task_id: str) -> bool:
        """Return whether there is a record of the task."""
        return task_id in self._changed or (task_id not in self._removed and bool(self._backend.in_(task_id)))

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        self._changed.pop(task_id, None)
        self._removed.add(task_id)

    def dump(self) -> None:
        """Save nothing."""


def save_nothing(dependencies: Dependency) -> None:
    """Keep all changes of doit's records in memory from now on."""
    backend = _Unsaved(dependencies.backend)
    dependencies.backend = backend
    dependencies._set, dependencies._get, dependencies._in = backend.set, backend.get, backend.in_
    dependencies.remove = backend.remove


def _anchor_checks(dependencies: Dependency, directory: str) -> None:
    """Make doit look for targets and dependencies, including users' own, relative to `directory`.

    On the instance of this run: doit records the name of the class, which the user may choose.
    """
    checker = dependencies.checker
    if hasattr(checker, _ANCHORED):
        return
    setattr(checker, _ANCHORED, True)
    for name in _CHECKS:
        setattr(checker, name, partial(_from_directory, directory, getattr(checker, name)))


def _from_directory(directory: str, check: Callable[..., Any], path: str, *arguments: Any) -> Any:
    return check(anchored(os.path.join(directory, path)), *arguments)


def calculators(task: Task) -> list[object]:
    """Return the uptodate objects of a task."""
    return [asked for asked, _, _ in task.uptodate]


def add_calculators(task: Task, further: Iterable[Calculator]) -> None:
    """Add uptodate objects to a task."""
    task.uptodate.extend((calculator, [], {}) for calculator in further)


def variables() -> Mapping[str, Any] | None:
    """Return the variables of the command line, a new object in each run; None outside of doit."""
    found: Mapping[str, Any] | None = getattr(doit_cmd, "_CMDLINE_VARS", None)
    return found
