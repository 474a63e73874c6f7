"""Which reasons remain true whatever the tasks do whose outcome a plan does not know."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from doit.task import Task

from bundlepipe.pipeline.declared.paths import absolute, is_within
from bundlepipe.pipeline.reasons import Code, Reason

# About a path that a task may write.
_OF_PATHS: Collection[Code] = frozenset({"fileAdded", "fileRemoved", "fileChanged", "modeChanged", "fileMissing"})
# About what a task makes, or the lock file, or a value that a condition goes by.
_OF_RESULTS: Collection[Code] = frozenset(
    {"entryChanged", "entryRemoved", "sourceChanged", "destinationMissing", "destinationDiffers", "conditionFalse"}
)


class OpenTasks:
    """The tasks that may have any outcome, with what they may write."""

    def __init__(self) -> None:
        self._targets: dict[str, list[str]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Their names."""
        return frozenset(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def add(self, task: Task) -> None:
        """Add a task."""
        self._targets[task.name] = [absolute(target) for target in task.targets]

    def needed_by(self, task: Task) -> list[str]:
        """Return the open tasks among those that a task needs."""
        return sorted(name for name in {*task.task_dep, *task.calc_dep} if name in self._targets)

    def certain(self, reasons: Sequence[Reason]) -> list[Reason]:
        """Return the reasons that none of the open tasks can remove."""
        return [reason for reason in reasons if not self._may_remove(reason)]

    def may_write(self, path: str) -> bool:
        """Return whether one of them may write a path, something in it, or a directory around it."""
        place = absolute(path)
        return any(is_within(place, target) or is_within(target, place) for target in self._all_targets())

    def _may_remove(self, reason: Reason) -> bool:
        if reason.code in _OF_RESULTS:
            return True
        if reason.code == "resultChanged":
            return reason.subject in self._targets
        return reason.code in _OF_PATHS and self.may_write(reason.subject)

    def _all_targets(self) -> Iterator[str]:
        for targets in self._targets.values():
            yield from targets
