"""A look at the tasks of a run, in a process that has loaded them: their inputs, and why they would run.

Nothing runs, and no request is sent, as for `doit list -s`.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence

from doit.dependency import Dependency
from doit.task import Task
from msgspec import Struct

from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY
from bundlepipe.pipeline.declared.paths import absolute, normalise
from bundlepipe.pipeline.drawing.reading import TaskNeeds, kind_of
from bundlepipe.pipeline.pipeline import files_of_pipelines
from bundlepipe.pipeline.reasons import Code, Reason
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.edges import REFUSAL, PipelineTask, Reads, reached
from bundlepipe.pipeline.running.staleness import reasons_of
from bundlepipe.pipeline.running.status import own_reasons
from bundlepipe.pipeline.tasks.lock import SOURCES
from bundlepipe.pipeline.tasks.source_builds import directories_of_sources
from bundlepipe.pipeline.watching.inputs import Inputs
from bundlepipe.progress.phrases import few

# Where doit's settings are.
_SETTINGS = ("pyproject.toml", "doit.cfg")
# Those that also hold right after a run.
_OF_EVERY_RUN: frozenset[Code] = frozenset({"refreshAlways", "noDependencies", "conditionFalse"})
# Their words name an option, which many tasks have.
_ABOUT_OPTIONS: frozenset[Code] = frozenset({"optionChanged", "refreshRequested", "refreshAlways"})
_ALL_RUN = "-a runs every task"

_Judged = tuple[Task, Sequence[Reason]]


class Look(Struct, frozen=True):
    """What a run would find.

    `reasons` say why tasks would run, each once, in the order of the tasks; `usual` are those that hold for every
    run, whatever was changed. `written` are the absolute paths of inputs that locks wrote, and which are as these left
    them. If the tasks could not be loaded, `inputs` has only files that define them.
    """

    inputs: Inputs
    reasons: Sequence[str] = ()
    usual: Sequence[str] = ()
    written: frozenset[str] = frozenset()


def look_at(
    tasks: Iterable[Task], selected: Sequence[str] | None, dependencies: Dependency, dodo: str, *, always: bool
) -> Look:
    """Return a look at the tasks that a run of those `selected` comes to.

    `dodo` is the absolute path of the dodo.py that was asked for, whether or not there is one; `always`, all tasks
    run whatever their state. Raises what a run raises before its first task: InvalidCommand, InvalidDodoFile and
    InvalidTask.
    """
    # doit forgets records that another checker of files made; a command that looks leaves that to a run.
    dependencies.remove = lambda task_name: None
    found = TaskNeeds(tasks, dependencies)
    found.control.process(selected)
    names = reached(found.control.selected_tasks, lambda name: found.needs[name])
    chosen = [task for task in found.tasks.values() if task.name in names]
    reasons = [(task, _reasons_of(task, found, dependencies)) for task in chosen if _is_judged(task, dependencies)]
    defined = definitions(dodo)
    return Look(
        inputs=Inputs(
            directory=os.getcwd(),
            reads=tuple(read for task in chosen for read in _reads(task, dependencies)),
            definitions=defined.definitions,
            patterns=defined.patterns,
            outputs=frozenset(absolute(path) for task in chosen for path in _outputs(task)),
            of_others=frozenset(
                absolute(path) for task in chosen if not isinstance(task, PipelineTask) for path in task.file_dep
            ),
        ),
        reasons=_phrases(reasons, lambda code: code not in _OF_EVERY_RUN),
        usual=[
            *_phrases(reasons, lambda code: code in _OF_EVERY_RUN),
            *([_ALL_RUN] if always else []),
        ],
        written=frozenset(_written(reasons, chosen)),
    )


def _is_judged(task: Task, dependencies: Dependency) -> bool:
    return kind_of(task) not in ("group", "private") and not dependencies.status_is_ignore(task)


def _phrases(reasons: Sequence[_Judged], is_wanted: Callable[[Code], bool]) -> list[str]:
    """Return the wanted reasons, each once; with the names of the tasks if the words do not say what they are about."""
    tasks: dict[str, list[str]] = {}
    for task, found in reasons:
        for reason in found:
            if is_wanted(reason.code):
                named = tasks.setdefault(str(reason), [])
                if reason.subject == task.name or reason.code in _ABOUT_OPTIONS:
                    named.append(task.name)
    return [f"{few(named)}: {words}" if named else words for words, named in tasks.items()]


def _written(reasons: Sequence[_Judged], tasks: Iterable[Task]) -> Iterator[str]:
    """Yield what locks wrote and no one changed since: all that read it themselves are up to date."""
    lock_files = {task.pipeline: task.lock_file for task in tasks if isinstance(task, PipelineTask) and task.lock_file}
    kept, others = set[str](), set[str]()
    for task, found in reasons:
        if isinstance(task, PipelineTask) and kind_of(task) == "lock":
            paths = [absolute(path) for path in (*task.targets, *filter(None, [lock_files.get(task.pipeline)]))]
            is_stale = any(reason.code not in _OF_EVERY_RUN for reason in found)
            (others if is_stale else kept).update(paths)
    for path in kept - others:
        yield path
        directory = os.path.dirname(path)
        if os.path.basename(directory) == BUNDLE_DIRECTORY:
            # The lock may have made it.
            yield directory


def forget(tasks: Iterable[Task], changed: frozenset[str], dependencies: Dependency) -> None:
    """Make users' own tasks run which have a changed file, by its absolute path, as a dependency.

    doit records the state of a file after the task has run: a change meanwhile would never be noticed.
    """
    for task in tasks:
        if not isinstance(task, PipelineTask) and not changed.isdisjoint(map(absolute, task.file_dep)):
            dependencies.remove(task.name)


def definitions(dodo: str, error: BaseException | None = None) -> Inputs:
    """Return the files that define tasks, and no other inputs: those that were read, or met by an `error`."""
    files = files_of_pipelines()
    directory = os.getcwd()
    paths = {absolute(path) for path in (*files.paths, *_SETTINGS)}
    return Inputs(
        directory=directory,
        definitions=frozenset({*paths, dodo, *_own_modules({directory, os.path.dirname(dodo)}), *_met_by(error)}),
        patterns=files.patterns,
    )


def _own_modules(directories: set[str]) -> Iterator[str]:
    """Yield the files of modules in the project: what is installed does not change while a user works on it."""
    installed = {os.path.realpath(path) for path in (*sysconfig.get_paths().values(), sys.prefix)} - directories
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py"):
            path = os.path.abspath(path)
            if any(_is_in(path, each) for each in directories) and not any(
                _is_in(os.path.realpath(path), each) for each in installed
            ):
                yield path


def _is_in(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))


def _met_by(error: BaseException | None) -> Iterator[str]:
    """Yield the Python files of the project in which an error was raised, or which have a fault in their syntax."""
    here = os.getcwd()
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield os.path.abspath(error.filename)
        trace = error.__traceback__
        while trace is not None:
            path = os.path.abspath(trace.tb_frame.f_code.co_filename)
            if _is_in(path, here):
                yield path
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


def _reasons_of(task: Task, found: TaskNeeds, dependencies: Dependency) -> Sequence[Reason]:
    try:
        status = dependencies.get_status(task, found.tasks)
    except Exception as error:  # noqa: BLE001  (a user's condition; the run shows where it failed)
        words = f"its condition (uptodate) failed: {type(error).__name__}: {error}"
        return [Reason("conditionFailed", task.name, words)]
    if refusal := getattr(task, REFUSAL, None):
        return [Reason("failure", task.name, refusal)]
    if status.status == "error":
        missing = sorted(path for path in task.file_dep if not dependencies.checker.exists(path))
        return [Reason("fileMissing", path, f"{path} is missing") for path in missing]
    if status.status == "up-to-date":
        return ()
    return reasons_of(task) if isinstance(task, PipelineTask) else own_reasons(task, dependencies)


def _reads(task: Task, dependencies: Dependency) -> Iterator[Reads]:
    files = [path for path in map(normalise, task.file_dep) if not path.startswith(f"{STATE_DIRECTORY}{os.sep}")]
    watched = [normalise(path) for path in task.watch]
    if isinstance(task, PipelineTask):
        yield from task.reads
        files += filter(None, [task.lock_file])
        if kind_of(task) == "lock":
            # They are written by the task, but kept, and others may change them.
            files += task.targets
            sources = (dependencies.get_values(task.name) or {}).get(SOURCES, [])
            files += directories_of_sources(sources)
    if files or watched:
        yield Reads(task.name, [*files, *watched])


def _outputs(task: Task) -> Iterator[str]:
    if not (isinstance(task, PipelineTask) and kind_of(task) == "lock"):
        yield from map(normalise, task.targets)
