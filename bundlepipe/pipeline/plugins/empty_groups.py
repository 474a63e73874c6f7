"""A run or plan of groups without tasks, as `push_bundle` of a pipeline with images alone: say so, and what to name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from doit.task import Task

from bundlepipe.progress.phrases import few


def nothing_chosen(tasks: Mapping[str, Task], selected: Iterable[str]) -> str:
    """Return a line if all tasks of a run that are `selected` are groups without tasks; else an empty text."""
    names = list(selected)
    if not names or not all(_is_empty(tasks[name]) for name in names):
        return ""
    others = [name for name, task in tasks.items() if _is_at_top(task) and not _is_empty(task)]
    has = "has no tasks" if len(names) == 1 else "have no tasks"
    advice = f"; name others, such as {few(others)}" if others else ""
    return f"nothing to do: {few(names)} {has}{advice}"


def _is_empty(task: Task) -> bool:
    return bool(task.has_subtask and not task.task_dep)


def _is_at_top(task: Task) -> bool:
    return not task.name.startswith("_") and not task.subtask_of
