"""What tasks make of a tree of files alone, whatever was done before: no record and no registry is asked.

Two trees are compared by it. What cannot be foreseen has a stand-in, which differs if and only if its input does:
what tags name, what programs print, what an engine builds, what users' own tasks write.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator, Sequence
from errno import ENOENT
from typing import Any

from doit.action import CmdAction, PythonAction
from doit.exceptions import BaseFail
from doit.task import Task
from msgspec import Struct, convert, to_builtins

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.base_directory import anchored, paths_from
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.filesystem.overlay import Overlay, Unforeseen
from bundlepipe.filesystem.snapshots import file_snapshot
from bundlepipe.oci.digest import Digest
from bundlepipe.pipeline.carrying_out.pipeline_tasks import hashes_of
from bundlepipe.pipeline.declared.paths import is_within, normalise
from bundlepipe.pipeline.doit_adapter.internals import calculators
from bundlepipe.pipeline.planning.plan import PlannedTask
from bundlepipe.pipeline.planning.runner import PlanningRunner
from bundlepipe.pipeline.records.state import is_record
from bundlepipe.pipeline.running.action import SUMMARY, Action, failure_of
from bundlepipe.pipeline.running.edges import PipelineTask, Reads
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Staleness, Values, fingerprint, to_values

# Of an object, in its text: another one in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class Outcome(Struct, frozen=True, kw_only=True):
    """What a task makes, and of what.

    `made` is a hash of the result and of where it goes: as long as it is the same, a run has nothing to do. `image` is
    the `repository@digest`, unless there is a stand-in in it. `options` and `files` are as in records, `outputs` the
    sha256 of the files that it makes. `unknown` is a directory whose files are not in the tree, if the task reads any.

    `problem` says why the result is not known: tasks that `failed` before it, files that are `missing`, or, if it
    `is_open`, perhaps a stand-in that it read.
    """

    made: str = ""
    image: str | None = None
    summary: str = ""
    needs: tuple[str, ...] = ()
    options: Values = {}
    files: dict[str, list[Any]] = {}
    outputs: dict[str, str] = {}
    unknown: str | None = None
    problem: str | None = None
    failed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    is_open: bool = False


Outcomes = dict[str, Outcome]


class TreeOutcomesRunner(PlanningRunner):
    """Foresees all tasks, in an overlay that stands in for what is not foreseen.

    `unknown` are directories whose files are not in the tree.
    """

    def __init__(
        self, dependencies: Any, reporter: object, access: Any, overlay: Overlay, *, unknown: Sequence[str] = ()
    ) -> None:
        super().__init__(dependencies, reporter, access, overlay)
        self._unknown = unknown
        self._found: dict[str, Outcome] = {}
        # Tasks with a stand-in in their result.
        self._uncertain: set[str] = set()

    @property
    def outcomes(self) -> Outcomes:
        """What was found, in the order of the run."""
        return {task.name: self._outcome(task) for task in self.plan.tasks}

    def _outcome(self, planned: PlannedTask) -> Outcome:
        task = self._tasks[planned.name]
        unknown = next(self._unknown_reads(task), None)
        if planned.state == "error":
            return self._problem(task, planned, unknown)
        found = self._found.get(task.name, Outcome())
        is_certain = task.name not in self._uncertain
        return Outcome(
            made=found.made,
            image=planned.image if is_certain else None,
            summary=planned.summary if is_certain else "",
            needs=tuple(planned.needs),
            options=found.options,
            files=found.files,
            outputs=found.outputs,
            unknown=unknown,
        )

    def _problem(self, task: Task, planned: PlannedTask, unknown: str | None) -> Outcome:
        failed = [reason.subject for reason in planned.reasons if reason.code == "taskCannotRun"]
        words = "; ".join(map(str, planned.reasons))
        missing = [reason.subject for reason in planned.reasons if reason.code == "fileMissing"]
        missing += [path for path in _paths_read(task) if not os.path.lexists(anchored(path))]
        if os.strerror(ENOENT) in words:
            missing.append(words.partition(": ")[0])
        return Outcome(
            problem=words,
            needs=tuple(planned.needs),
            unknown=unknown,
            failed=tuple(failed),
            missing=tuple(missing),
            is_open=any(name in self._uncertain for name in task.task_dep),
        )

    def _unknown_reads(self, task: Task) -> Iterator[str]:
        """Yield the directories without their files that a task reads, reads from or reads around."""
        reads = task.reads if isinstance(task, PipelineTask) else [Reads(task.name, sorted(task.file_dep))]
        for place in self._unknown:
            for read in reads:
                for path in map(normalise, read.paths):
                    if is_within(path, place) or (is_within(place, path) and read.includes(path, place)):
                        yield place

    def execute_task(self, task: Task) -> BaseFail | None:
        """Foresee the result of a task, or stand in for it."""
        action = task.actions[0] if task.actions else None
        if action is None:
            return super().execute_task(task)
        stood_in = self._overlay.stood_in
        try:
            if not isinstance(action, Action):
                raise Unforeseen
            task.values = action.foresee()
        except Unforeseen:
            try:
                self._stand_in(task, action)
            except BundlepipeError as error:
                return failure_of(error)
        except Exception as error:  # noqa: BLE001  (as in a run, other tasks go on)
            return failure_of(error)
        if self._overlay.stood_in != stood_in or any(name in self._uncertain for name in task.task_dep):
            self._uncertain.add(task.name)
        task.result = {"digest": task.values.get("digest", "")}
        options, decisive = (
            task.values.get(OPTIONS, {}),
            action.decisive_options if isinstance(action, Action) else None,
        )
        decided = {key: value for key, value in options.items() if value and (decisive is None or key in decisive)}
        outputs = hashes_of([path for path in task.targets if not is_record(path)])
        made = fingerprint([decided, task.values.get("digest"), outputs])
        self._found[task.name] = Outcome(made=made, options=options, files=task.values.get(FILES, {}), outputs=outputs)
        self._note(
            task, "run", [], image=task.values.get("image"), summary=printable(str(task.values.get(SUMMARY, "")))
        )
        return None

    def _stand_in(self, task: Task, action: object) -> None:
        """Write stand-ins for what a task makes, and give it their values; InputError if its input cannot be read."""
        self._overlay.stood_in += 1
        if isinstance(action, Action):
            (staleness,) = (each for each in calculators(task) if isinstance(each, Staleness))
            with paths_from(action.directory):
                options, files = staleness.options, staleness.inputs_now({})
        else:
            options = {"actions": [_text(each) for each in task.actions]}
            files = file_snapshot([path for path in task.file_dep if not is_record(path)], {})
        content = sorted((path, state.mode, state.sha256) for path, state in files.items())
        needed = sorted((name, self._found[name].made) for name in task.task_dep if name in self._found)
        digest = Digest.of(fingerprint([task.name, options, content, needed]).encode())
        if isinstance(action, Action):
            with paths_from(action.directory):
                action.stand_in(digest)
        else:
            for target in task.targets:
                write_if_changed(target, f"# {digest}\n".encode())
        task.values = {OPTIONS: options, FILES: to_values(files), "digest": digest}


def _paths_read(task: Task) -> list[str]:
    reads = task.reads if isinstance(task, PipelineTask) else ()
    return [path for read in reads for path in read.paths]


def _text(action: object) -> str:
    """Return what a user's own action does, as far as it can be seen."""
    if isinstance(action, PythonAction):
        try:
            code = inspect.getsource(action.py_callable)
        except (OSError, TypeError):
            code = getattr(action.py_callable, "__qualname__", type(action.py_callable).__name__)
        return _ADDRESS.sub("", f"{code} {action.args} {action.kwargs}")
    return _ADDRESS.sub("", str(action._action if isinstance(action, CmdAction) else action))


def write_request(path: str, unknown: Sequence[str]) -> None:
    """Write a file that asks for outcomes: `unknown` are directories whose files are not in the tree.

    They are relative to the directory of the pipeline.
    """
    with open(path, "w", encoding="ascii") as file:
        json.dump({"unknown": list(unknown)}, file)


def read_request(path: str) -> list[str]:
    """Return the directories in a request; OSError or ValueError if the file is none."""
    with open(path, encoding="ascii") as file:
        return convert(json.load(file)["unknown"], list[str])


def write_outcomes(outcomes: Outcomes, path: str) -> None:
    """Write outcomes to the file of the request. Names of files that are not UTF-8 stay as Python has them."""
    # Strings of a kind of their own are strings there.
    content = to_builtins(outcomes, enc_hook=str)
    with open(path, "w", encoding="ascii") as file:
        json.dump({"outcomes": content}, file)


def read_outcomes(path: str) -> Outcomes:
    """Return the outcomes in a file; ValueError if it has none."""
    with open(path, encoding="ascii") as file:
        answer = json.load(file)
    if "outcomes" not in answer:
        raise ValueError(path)
    return convert(answer["outcomes"], Outcomes)
