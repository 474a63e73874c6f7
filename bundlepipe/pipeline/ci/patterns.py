"""Patterns of tasks in the settings of CI: what they match, and which match nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from doit.task import Task

from bundlepipe.errors import quoted
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.running.edges import PipelineTask


def is_of_environment(name: str, pattern: str) -> bool:
    """Return whether a pattern in `environments` matches a task, by its name or that of its group."""
    return fnmatchcase(name, pattern) or fnmatchcase(name.partition(":")[0], pattern)


def may_repeat(name: str, pattern: str) -> bool:
    """Return whether a pattern in `repeat` matches a user's own task."""
    return fnmatchcase(name, pattern)


def unmatched(ci: CI, tasks: Sequence[Task]) -> Iterator[str]:
    """Yield a fault for each pattern that matches no loaded task: what it was meant for would not be protected.

    Tasks that doit creates during a run (`@create_after`) may have any name in their group.
    """
    for pattern, environment in ci.environments.items():
        if not any(is_of_environment(task.name, pattern) or _is_in_group(task, pattern) for task in tasks):
            what = f"no task matches {quoted(pattern)}, so the environment {quoted(environment)} protects none"
            yield _fault(ci, f"environments: {what}", "environments", pattern)
    own = [task for task in tasks if not isinstance(task, PipelineTask)]
    for number, pattern in enumerate(ci.repeat):
        if not any(may_repeat(task.name, pattern) or _is_in_group(task, pattern) for task in own):
            yield _fault(ci, f"repeat: no task of your own matches {quoted(pattern)}", "repeat", number)


def _is_in_group(task: Task, pattern: str) -> bool:
    """Return whether a pattern is for all of a group, which may be empty, or for tasks that are not created yet."""
    if task.loader:
        return fnmatchcase(task.name, pattern.partition(":")[0])
    return bool(task.has_subtask) and fnmatchcase(f"{task.name}:", pattern)


def _fault(ci: CI, what: str, *keys: str | int) -> str:
    where = f"{ci.where.inside(*keys)}: " if ci.where else ""
    return f"{where}ci: {what}: correct the pattern, or remove it"
