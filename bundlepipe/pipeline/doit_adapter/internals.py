"""What doit keeps for itself: records of tasks, what it asks whether they are up to date, its variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import Parameter, Signature
from typing import Any

from doit import doit_cmd
from doit.dependency import Dependency, UptodateCalculator
from doit.task import Task

_VALUES = "_values_:"
# doit sets this part of a record last (Dependency.save_success).
LAST_PART = "deps:"

# What doit asks of the object that looks at files, by their paths.
_CHECKS = ("exists", "info", "check_modified", "get_state")
_ANCHORED = "_bundlepipe_anchored"


class Calculator(UptodateCalculator):  # type: ignore[misc]
    """What doit asks whether a task is up to date; knows all tasks, and what doit's database has of them.

    `directory` is that of the time it is made, to which the strings of its task are relative.
    """

    # doit inspects the signature of every uptodate object in every run; told, it need not look.
    __signature__ = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("task", "values")])

    def __init__(self) -> None:
        super().__init__()
        self.directory = os.getcwd()
        self.dependencies: Dependency = None

    def setup(self, dep_manager: Dependency, tasks_dict: Mapping[str, Task]) -> None:
        """Take doit's database, and all tasks."""
        super().setup(dep_manager, tasks_dict)
        self.dependencies = dep_manager
        _anchor_checks(dep_manager, self.directory)

    def __repr__(self) -> str:
        """Return what `doit info` shows."""
        return str(self)

    def recorded(self, task_name: str) -> dict[str, Any]:
        """Return the values that a task had when it ran last; empty if nothing is known of that."""
        return self.get_val(task_name, _VALUES) or {}

    def hand_on(self, task: Task) -> None:
        """Let doit take a task's values in this run although it does not run."""
        self.dependencies._set(task.name, _VALUES, task.values)

    def remember(self, task: Task, values: Mapping[str, Any]) -> None:
        """Store a task's values in doit's database although it did not run."""
        self.dependencies._set(task.name, _VALUES, values)
        self.dependencies._set(task.name, LAST_PART, tuple(task.file_dep))


def _anchor_checks(dependencies: Dependency, directory: str) -> None:
    """Let doit look for targets and dependencies, the user's own included, from `directory`: its strings are relative.

    By the instance that this run has: doit records the name of its class, which the user may choose.
    """
    checker = dependencies.checker
    if hasattr(checker, _ANCHORED):
        return
    setattr(checker, _ANCHORED, True)
    for name in _CHECKS:
        setattr(checker, name, partial(_from_directory, directory, getattr(checker, name)))


def _from_directory(directory: str, check: Callable[..., Any], path: str, *arguments: Any) -> Any:
    return check(os.path.join(directory, path), *arguments)


def calculators(task: Task) -> list[object]:
    """Return what doit asks whether a task is up to date."""
    return [asked for asked, _, _ in task.uptodate]


def add_calculators(task: Task, further: Iterable[Calculator]) -> None:
    """Let doit ask more for a task."""
    task.uptodate.extend((calculator, [], {}) for calculator in further)


def variables() -> Mapping[str, Any] | None:
    """Return the variables of the command line, another object in each run; None if it is not doit that runs."""
    found: Mapping[str, Any] | None = getattr(doit_cmd, "_CMDLINE_VARS", None)
    return found
