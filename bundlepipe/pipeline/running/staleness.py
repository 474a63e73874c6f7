"""Staleness: decide whether a task has to run, and why.

doit asks when the task's turn comes, after all its dependencies have run. The record of the last
run is compared, which was taken from the bytes that the action worked on. Exceptions are never
raised: an undecidable task counts as stale, and its action reports the fault.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Protocol

from doit.task import Task

from bundlepipe.filesystem.base_directory import anchored, paths_from
from bundlepipe.filesystem.overlay import Unforeseen
from bundlepipe.filesystem.snapshots import Change, Difference, FileState, Snapshot, differences
from bundlepipe.pipeline.declared.fields.types import fields_of
from bundlepipe.pipeline.declared.model import Program
from bundlepipe.pipeline.doit_adapter.internals import Calculator
from bundlepipe.pipeline.reasons import Reason, changed_dependency, no_local_record, summary
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.destination_lookups import Announced, DestinationLookup
from bundlepipe.pipeline.running.edges import REFUSAL, PipelineTask
from bundlepipe.pipeline.running.status import is_looked_at, take_late_edges

Values = dict[str, Any]

FILES = "files"
OPTIONS = "options"
WHY = "why"
# In the `task.meta` of a task that is reported: when this was decided, in seconds of the monotonic clock.
CHECKED = "checked"
_JSON = frozenset((str, bool, int, type(None)))


def to_values(state: Snapshot) -> dict[str, list[Any]]:
    """Return a snapshot as JSON-able values for doit's database."""
    return {path: list(file) for path, file in state.items()}


def from_values(values: Values) -> Snapshot:
    """Return a task's snapshot in doit's database; empty if there is none."""
    return {path: FileState(*file) for path, file in values.get(FILES, {}).items()}


class Fingerprint(str):
    """A hash that replaces a JSON-able value that may hold secrets."""

    __slots__ = ()


def fingerprint(value: object) -> Fingerprint:
    """Return a hash that replaces a JSON-able value that may hold secrets."""
    return Fingerprint(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest())


class CarriedTask(Protocol):
    """What a saved plan that is carried out has of one task."""

    def reasons(self, staleness: Staleness, task: Task, values: Values) -> list[Reason]:
        """Return why the task has to run so that it is as planned; refuse it if its inputs are not as planned."""
        ...


def options_of(declared: Any) -> Values:
    """Return the compared options of a declaration, by YAML keys, as JSON-able values.

    A value that may be secret is a fingerprint, and a declaration of the pipeline a text,
    `bundle:NAME`.
    """
    options = {}
    for key, name, is_secret in _compared(declared.__class__):
        value = _option(getattr(declared, name))
        options[key] = fingerprint(value) if is_secret else value
    return options


@cache
def _compared(kind: Hashable) -> Sequence[tuple[str, str, bool]]:
    fields = (field for field in fields_of(kind) if field.is_compared)
    return [(field.key or field.name, field.name, field.type.is_secret) for field in fields]


def _option(value: Any) -> Any:
    if value.__class__ in _JSON:
        return value
    if isinstance(value, list | tuple):
        return [item if item.__class__ in _JSON else _option(item) for item in value]
    if isinstance(value, dict):
        return dict(value)
    return options_of(value) if isinstance(value, Program) else str(value)


def reasons_of(task: Task) -> list[Reason]:
    """Return why doit runs a task: what a task of a pipeline found itself, else which results of others changed."""
    # Users' own tasks may have anything there.
    found: list[Reason] = (task.meta or {}).get(WHY, []) if isinstance(task, PipelineTask) else []
    return found or [changed_dependency(path) for path in sorted(task.dep_changed or ())]


def file_reason(code: Change, path: str) -> Reason:
    """Return the reason for a file that changed."""
    return Reason(code, path, str(Difference(path, code)))


class Staleness(Calculator):
    """Compares a task's options and files with the record of its last run.

    `lookup` is the lookup of its destination, if there is one that can be sent together with those
    of other tasks, which are `announced`; `carried` is there in a run that carries out a plan. `options` are
    JSON-able values; a subclass returns further files in `inputs_now` and `outputs_now`, and names what is
    compared in `compared`.
    """

    compared = "options and files"
    lookup: DestinationLookup | None = None
    announced = Announced({})
    carried: CarriedTask | None = None

    def __init__(self, options: Values) -> None:
        super().__init__()
        self.options = options
        self._found: list[Reason] = []
        # The result of the last call.
        self.is_current = False

    def __call__(self, task: Task, values: Values) -> bool:
        """Return whether the task is up to date; the reasons are stored in `task.meta`."""
        task.meta = {}
        if getattr(task, REFUSAL, None):
            return False  # the action reports it
        with paths_from(self.directory):
            try:
                take_late_edges(task, self.dependencies, self.tasks_dict)
                reasons = self._reasons_now(task, values)
                if reasons and OPTIONS in values:
                    reasons = list(dict.fromkeys([*reasons, *self._changed_results(task)]))
            except Unforeseen as error:
                reasons = [Reason("notForeseen", task.name, str(error))]
            except Exception as error:  # noqa: BLE001  (the action meets it again, and reports it)
                words = str(error).splitlines()[0] if str(error) else type(error).__name__
                reasons = [Reason("undecided", task.name, words)]
        self._found = reasons
        if reasons:
            task.meta[WHY] = reasons
        if getattr(task, "is_reported", False):
            task.meta[CHECKED] = time.monotonic()
        self.is_current = not reasons
        return self.is_current

    def __str__(self) -> str:
        """Return what is compared with the last run and, if that was done, what has changed."""
        return f"{self.compared}, compared with the last run{f': {summary(self._found)}' if self._found else ''}"

    def _reasons_now(self, task: Task, values: Values) -> list[Reason]:
        if self.carried is None or is_looked_at(task):
            return self.reasons(task, values)
        return self.carried.reasons(self, task, values)

    @property
    def archives_read(self) -> Sequence[str]:
        """The tar files that the task reads, which are compared by their stamps."""
        return ()

    def adopted_values(self, values: Values) -> Values:
        """Return the values of a run that another machine has done, as this one would have recorded them."""
        return {**values, OPTIONS: self.options}

    def reasons_of_destination(self, task: Task, values: Values) -> list[Reason]:
        """Return how the destination differs from the values of a run that this machine has no record of."""
        return []

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Return why the task has to run; empty if it is up to date."""
        if OPTIONS not in values:
            return [no_local_record(task.name)]
        missing = [
            Reason("outputMissing", target, f"{target} is missing")
            for target in self._targets(task)
            if not os.path.exists(anchored(target))
        ]
        if missing:
            return missing
        reasons = changed_options(values[OPTIONS], self.options)
        before = from_values(values)
        now = self.files_now(before)
        reasons += [file_reason(change, path) for path, change in differences(before, now)]
        if not reasons:
            self._refresh_stamps(task, values, before, now)
        return reasons

    def _changed_results(self, task: Task) -> Iterator[Reason]:
        """Yield the `file_dep` that changed, which doit itself finds only if there is no other reason."""
        checker = self.dependencies.checker
        for path in sorted(task.file_dep):
            before = self.dependencies._get(task.name, path)
            with suppress(checker.CheckerError):
                status = checker.info(path)
                if before is None or checker.check_modified(path, status, before):
                    yield changed_dependency(path)

    def _targets(self, task: Task) -> list[str]:
        """Return the targets that have to be there: a clone that carries out a plan need not have the records."""
        own = f"{STATE_DIRECTORY}{os.sep}"
        return [target for target in task.targets if self.carried is None or not target.startswith(own)]

    def files_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the task's files now, reading only those that `before` does not vouch for."""
        return {**self.outputs_now(before), **self.inputs_now(before)}

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the files that the task reads."""
        return {}

    def outputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of files that it writes, and that must not differ from what it wrote."""
        return {}

    def _refresh_stamps(self, task: Task, values: Values, before: Snapshot, now: Snapshot) -> None:
        """Record the new stamps of files that were touched but not changed, so they are not read in every run."""
        if before != now and not is_looked_at(task) and self.carried is None:
            self.remember(task, {**values, FILES: to_values(now)})


def changed_options(before: Values, now: Values) -> list[Reason]:
    """Return the reasons for options that changed."""
    # An option that is off equals one that an earlier version did not have: an upgrade makes nothing stale.
    keys = sorted(now.keys() | before.keys())
    return [
        Reason("optionChanged", key, f"{key} changed")
        for key in keys
        if (before.get(key) or None) != (now.get(key) or None)
    ]
