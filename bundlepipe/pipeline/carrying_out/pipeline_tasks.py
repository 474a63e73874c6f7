"""Carry out a saved plan: hold each task against it when its turn comes, and its result before anything is sent.

Contents are compared, not records: a plan may be carried out in another clone, without any. Staleness calls
`Carried.reasons` in doit's process, actions call the rest in any.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from doit.task import Task
from msgspec import Struct

from bundlepipe.documents.plan.saved import SEAL, SavedPlan, SavedTask, sealed
from bundlepipe.errors import BundlepipeError, printable, quoted
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.filesystem.snapshots import FileState, Snapshot, differences, file_snapshot
from bundlepipe.pipeline.declared.paths import is_within, normalise
from bundlepipe.pipeline.reasons import Reason, no_local_record
from bundlepipe.pipeline.records.state import is_record, record_text
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.running.staleness import (
    FILES,
    OPTIONS,
    Fingerprint,
    Staleness,
    Values,
    from_values,
    to_values,
)
from bundlepipe.verbs.shared.foretold import Foretold

# The values that a plan keeps: not those of one run or machine.
KEPT_VALUES = ("digest", "image", "tag", "entries", "sources", "imageID")
_RESULT = ("digest", "image", "tag")
# In `task.meta`, which is sent to workers: the values that a task takes over from the plan.
_ADOPTED = "adopted"
_NOT_DONE = "no local record of what is planned"


class Carried(Struct, frozen=True):
    """What a saved plan, named `plan` in messages, has of one task; `task` is None if it is not in the plan.

    `open` are the paths that only tasks with an unknown outcome write. `absence_advice` is there for a task that
    another job does: what to do if its result is not there.
    """

    plan: str
    state: str
    task: SavedTask | None
    open: Sequence[str]
    before: Mapping[str, str | None]
    absence_advice: str | None = None

    @property
    def foretold(self) -> Foretold | None:
        """What the plan foretold of the image or images that the task pushes or copies; None if that is open."""
        digest = self.task.values.get("digest") if self.task else None
        return Foretold(self.plan, str(digest).split(","), self.before) if digest else None

    def reasons(self, staleness: Staleness, task: Task, values: Values) -> list[Reason]:
        """Return why a task has to run so that it is as planned; one whose inputs are not as planned is refused."""
        saved = self.task
        if saved is None:
            return staleness.reasons(task, values)
        missing = self._made_again(saved, task) if self.state == "none" else []
        if self.state == "none" and not missing:
            return self._adoption_reasons(saved, staleness, task, values)
        # Also if it cannot be compared, for any reason.
        task.refusal = f"cannot be held against {self.plan}"
        changed = next(self._changed_inputs(saved, staleness, task), None)
        if changed:
            task.refusal = not_as_planned(changed, self.plan)
            return [Reason("failure", task.name, changed)]
        task.refusal = None
        if missing:
            return [Reason("outputMissing", path, f"{path} is missing") for path in missing]
        reasons = staleness.reasons(task, values)
        return reasons or ([] if _is_result(saved, values) else [Reason("noLocalRecord", task.name, _NOT_DONE)])

    def carry_out(self, action: Action) -> Values:
        """Do the work of a task as planned, and return its values. Raises BundlepipeError if that is not the plan."""
        saved = self.task
        if saved is None:
            raise BundlepipeError(not_planned(self.plan))
        if self.state == "none" and _ADOPTED in action.task.meta:
            values: Values = action.task.meta[_ADOPTED]
            for path, text in saved.records.items():
                write_if_changed(path, text.encode())
            action.adopt()
            return {**values, UNCHANGED: True, SUMMARY: "up to date, as planned"}
        if self.absence_advice and not action.finds_result:
            raise BundlepipeError(f"is done by another job, which cannot hand on its result: {self.absence_advice}")
        values = action.work()
        for key in _RESULT:
            if key in saved.values and values.get(key) != saved.values[key]:
                raise BundlepipeError(
                    f"made {values.get(key)}, and not {saved.values[key]} as in {self.plan}: plan again"
                )
        return values

    def check_output(self, path: str, content: bytes) -> None:
        """Raise BundlepipeError if a file that a task is about to write is not that of the plan."""
        sha256 = self._outputs(self.task).get(path) if self.task else None
        if sha256 and sha256 != hashlib.sha256(content).hexdigest():
            raise BundlepipeError(
                f"{path}: would not be as in {self.plan}, since something that it is made of changed: plan again"
            )

    def _outputs(self, saved: SavedTask) -> Mapping[str, str]:
        """Return the hashes of the files that the task makes; up to date, it has them among those that it compares."""
        if self.state != "none":
            return saved.outputs
        return {path: file.sha256 for path, file in (saved.files or {}).items() if file.sha256}

    def _made_again(self, saved: SavedTask, task: Task) -> list[str]:
        """Return outputs that a clone without them, such as one where git ignores them, makes as they were."""
        outputs = [path for path in task.targets if not is_record(path)]
        is_known = all(path in self._outputs(saved) for path in outputs)
        if not is_known or not (task.actions and getattr(task.actions[0], "checks_output", False)):
            return []
        return [path for path in outputs if not os.path.exists(anchored(path))]

    def _adoption_reasons(self, saved: SavedTask, staleness: Staleness, task: Task, values: Values) -> list[Reason]:
        """Return why a task is to take over what the plan has of it; one that is not up to date by that is refused."""
        known = from_values(values)
        planned = {path: file.state for path, file in (saved.files or {}).items() if not is_record(path)}
        # Where the local record has the same content, it vouches for the file.
        files = {
            path: known[path] if path in known and known[path].same_content(state) else state
            for path, state in planned.items()
        }
        task.refusal = f"cannot be held against {self.plan}"
        adopted = staleness.adopted_values({**saved.values, FILES: to_values(files)})
        try:
            reasons = staleness.reasons(task, adopted)
            changed = [] if reasons else [*_changed_records(saved, task), *_changed_archives(saved)]
            reasons += [Reason("failure", task.name, words) for words in changed]
            is_known = _is_recorded(values, adopted) and not differences(known, files)
            if not reasons and not is_known:
                reasons = staleness.reasons_of_destination(task, adopted)
        except (BundlepipeError, OSError) as error:
            reasons = [Reason("failure", task.name, printable(str(error)))]
        if reasons:
            is_missing = reasons[0].code == "outputMissing"
            task.refusal = not_up_to_date(str(reasons[0]), self.plan, is_missing=is_missing)
            return reasons
        task.refusal = None
        task.meta[_ADOPTED] = adopted
        if is_known:
            return []
        return [Reason("noLocalRecord", task.name, _NOT_DONE) if OPTIONS in values else no_local_record(task.name)]

    def _changed_inputs(self, saved: SavedTask, staleness: Staleness, task: Task) -> Iterator[str]:
        """Yield the files that are not those of the plan; paths that were open then do not count."""
        if saved.files is None:
            return
        before = {path: file.state for path, file in saved.files.items()}
        if self.state == "none":
            before = {path: state for path, state in before.items() if path not in task.targets}
        try:
            now = inputs_of(staleness, task)
        except (BundlepipeError, OSError) as error:
            yield printable(str(error))
            return
        for path, sha256 in saved.outputs.items():
            # The task is being carried out again.
            if path in now and now[path].sha256 == sha256:
                now.pop(path)
                before.pop(path, None)
            elif path in now and path not in before:
                yield f"{printable(path)}, which an earlier run has left here, is new"
        yield from differs_from_plan(before, now, self.open)
        yield from _changed_archives(saved, self.open)


def carried_by(plan: SavedPlan, name: str, absence_advice: str | None = None) -> Carried:
    """Return what a plan has of the task of this name; with advice for one that another job does."""
    saved, state = plan.saved, plan.states.get(name, "")
    return Carried(plan.path, state, plan.task(name), saved.open, saved.destinations, absence_advice)


def not_planned(plan: str) -> str:
    """Return the refusal of a task that is not in a plan."""
    return f"is not in {plan}, but has to run: name the tasks that the plan was made for, or plan again"


def no_such_task(name: str, plan: str) -> str:
    """Return the refusal of a plan with a task that is not there."""
    return f"{plan}: was made by another version of the pipeline: there is no task {printable(name)}: plan again"


def not_up_to_date(reason: str, plan: str, *, is_missing: bool = False) -> str:
    """Return the refusal of a task that a plan calls up to date; with advice if it `is_missing` what is not in git."""
    advice = "plan again in a clone that does not have it, such as CI's" if is_missing else "plan again"
    return f"{printable(reason)}, but {plan} says that the task is up to date: {advice}"


def not_as_planned(changed: str, plan: str) -> str:
    """Return the refusal of a task with another input than that of a plan."""
    return f"{changed} since {plan} was made: undo that, or plan again"


def saved_options(options: Mapping[str, Any], salt: str) -> dict[str, Any]:
    """Return options as a plan keeps them: values that may be secrets cannot be guessed from it."""
    return {key: _saved_option(value, salt) for key, value in options.items()}


def _saved_option(value: Any, salt: str) -> Any:
    if isinstance(value, Fingerprint):
        return sealed(value, salt)
    if isinstance(value, list | tuple):
        return [_saved_option(item, salt) for item in value]
    return saved_options(value, salt) if isinstance(value, Mapping) else value


def check_options(plan: SavedPlan, name: str, options: Mapping[str, Any]) -> None:
    """Raise BundlepipeError if the options of a task are not those of the plan."""
    saved = plan.task(name)
    if saved is None:
        return
    now = saved_options(options, plan.saved.salt)
    for key in sorted({*now, *saved.options}):
        if (now.get(key) or None) != (saved.options.get(key) or None):
            raise BundlepipeError(
                f"{plan.path}: was made by another version of the pipeline: {key} of {name} "
                f"{_difference(saved.options.get(key), now.get(key))}: plan again"
            )


def _difference(before: Any, now: Any) -> str:
    if any(isinstance(value, list | dict) or str(value).startswith(SEAL) for value in (before, now)):
        return "differs"
    return f"was {_shown(before)}, and is {_shown(now)}"


def _shown(value: Any) -> str:
    return "not there" if value is None else quoted(str(value))


def check_tasks(plan: SavedPlan, names: Collection[str], pipeline: str) -> None:
    """Raise BundlepipeError if the plan has tasks of a pipeline, by its prefix, that it has no more."""
    for name, saved in plan.saved.tasks.items():
        if saved.pipeline == pipeline and name not in names:
            raise BundlepipeError(no_such_task(name, plan.path))


def check_records(plan: SavedPlan, name: str, records: Collection[str]) -> None:
    """Raise BundlepipeError if the plan would write a file that is none of a task's `records`, or another text there.

    A plan may come from anywhere, and its records are written before anything is compared.
    """
    saved = plan.task(name)
    for path, text in saved.records.items() if saved else ():
        image, tag = (str(saved.values.get(key) or "") for key in ("image", "tag")) if saved else ("", "")
        # A copy of several images has one in each line.
        content = text.rstrip("\n").replace("\n", ",") + "\n" if image else text
        if path not in records or content != record_text(path, image, tag):
            raise BundlepipeError(
                f"{plan.path}: {printable(name)} has no such record: {printable(path)}: it is none of its own, or not "
                "of its result: plan again"
            )


def differs_from_plan(before: Snapshot, now: Snapshot, open_paths: Sequence[str]) -> Iterator[str]:
    """Yield how files differ from those of a plan, in words; what is at or below an open path does not count."""
    closed = [
        {path: state for path, state in states.items() if not _is_open(path, state, open_paths)}
        for states in (before, now)
    ]
    files, records = (
        [{path: state for path, state in states.items() if is_record(path) == are_records} for states in closed]
        for are_records in (False, True)
    )
    yield from (printable(str(difference)) for difference in differences(*files))
    before, now = records
    for path in sorted(before.keys() | now.keys()):
        name = printable(os.path.basename(path))
        if path not in now or path not in before:
            yield f"'{name}' is {'needed no more' if path in before else 'needed'}"
        elif not before[path].same_content(now[path]):
            yield f"'{name}', which it needs, is another image"


def _is_open(path: str, state: FileState, open_paths: Sequence[str]) -> bool:
    """Return whether a path is at or below an open one, or is a directory that is made for one."""
    path = normalise(path)
    return any(is_within(path, each) or (state.sha256 is None and is_within(each, path)) for each in open_paths)


def inputs_of(staleness: Staleness, task: Task) -> Snapshot:
    """Return the state of the files that a task reads, with the records of what it needs; InputError for others."""
    known = from_values(staleness.recorded(task.name))
    return {**staleness.inputs_now(known), **records_read(task)}


def records_read(task: Task) -> Snapshot:
    """Return the state of the `file_dep` of a task, and so of what other tasks made; InputError as above."""
    return file_snapshot(sorted(task.file_dep), {})


def _changed_records(saved: SavedTask, task: Task) -> Iterator[str]:
    before = {path: file.state for path, file in (saved.files or {}).items() if is_record(path)}
    now = {path: state for path, state in records_read(task).items() if is_record(path)}
    yield from differs_from_plan(before, now, ())


def _changed_archives(saved: SavedTask, open_paths: Sequence[str] = ()) -> Iterator[str]:
    for path, sha256 in saved.archives.items():
        if any(is_within(normalise(path), each) for each in open_paths):
            continue
        now = hash_of(path)
        if now != sha256:
            yield f"{printable(path)} {'changed' if now else 'is gone'}"


def hashes_of(paths: Collection[str]) -> dict[str, str]:
    """Return the sha256 of those files that can be read."""
    return {path: sha256 for path in paths if (sha256 := hash_of(path))}


def hash_of(path: str) -> str | None:
    """Return the sha256 of a file of any size; None if it cannot be read."""
    hasher = hashlib.sha256()
    try:
        with open(anchored(path), "rb") as file:
            while chunk := file.read(1 << 20):
                hasher.update(chunk)
    except OSError:
        return None
    return hasher.hexdigest()


def _is_recorded(values: Mapping[str, Any], adopted: Mapping[str, Any]) -> bool:
    """Return whether a local record has the options and the result of another one."""
    return OPTIONS in values and all(values.get(key) == adopted.get(key) for key in (*_RESULT, OPTIONS))


def _is_result(saved: SavedTask, values: Mapping[str, Any]) -> bool:
    """Return whether the last run of a task had the result that the plan foretold, as far as it did."""
    files = values.get(FILES, {})
    return all(values.get(key) == saved.values[key] for key in _RESULT if key in saved.values) and all(
        path in files and files[path][1] == sha256 for path, sha256 in saved.outputs.items()
    )
