"""Make the graph from doit's tasks: which are shown, and what each needs, late edges included.

doit finds some edges only in a run. Here they are found as for `doit list -s`, without one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from doit.control import TaskControl
from doit.dependency import Dependency
from doit.exceptions import InvalidCommand, InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import quoted
from bundlepipe.pipeline.declared.suggestions import no_such_task
from bundlepipe.pipeline.doit_adapter.internals import save_nothing
from bundlepipe.pipeline.drawing.model import GraphTask, TaskGraph, TaskKind, folded
from bundlepipe.pipeline.records.groups import GROUPS, group_name
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.edges import PipelineTask, depend_on_directories, find_cycle, reached
from bundlepipe.pipeline.running.status import take_late_edges

_KINDS: dict[str, TaskKind] = {
    "push_image": "image",
    "lock_bundle": "lock",
    "push_bundle": "push",
    "copy_bundle": "copy",
    "pull_bundle": "pull",
    "render_config": "render",
    "apply_config": "apply",
}


class TaskNeeds:
    """All tasks of a run of doit, under its `control`, and what each of them needs.

    Raises InvalidTask and InvalidDodoFile, as a run does, for dependencies that do not exist, and for cycles.
    """

    def __init__(self, tasks: Iterable[Task], dependencies: Dependency) -> None:
        # doit forgets records that another checker of files made; a command that looks leaves that to a run.
        save_nothing(dependencies)
        # It expands patterns, and connects files with the tasks that make them, as in a run.
        self.control = TaskControl(list(tasks))
        self.tasks: dict[str, Task] = dict(self.control.tasks)
        self._targets: dict[str, str] = self.control.targets
        depend_on_directories(self.tasks)
        for task in self.tasks.values():
            take_late_edges(task, dependencies, self.tasks)
        # A set-up task runs only if the task that names it is to run.
        self.before = {name: sorted(self._before(task)) for name, task in self.tasks.items()}
        self.needs = {
            name: sorted({*self.before[name], *task.setup_tasks} - {name}) for name, task in self.tasks.items()
        }
        cycle = find_cycle(lambda name: self.needs[name], self.tasks)
        if cycle:
            raise InvalidDodoFile(f"these tasks need one another: {' -> '.join(cycle)}: break the cycle")

    def graph(self, *, groups: bool = False, private: bool = False) -> TaskGraph:
        """Return the graph of the tasks that are shown; edges through others are folded.

        A group is shown with `groups`, and where a task needs it as a whole: an edge from each of its members
        would be as many.
        """
        hidden = {name for name in self.tasks if name.startswith("_") and not private}
        if not groups:
            hidden |= {name for name in self.tasks if _is_group(self.tasks[name])} - set(self._needed_groups(hidden))
        needs, before = folded(self.needs, hidden), folded(self.before, hidden)
        return TaskGraph(
            [
                _graph_task(self.tasks[name], needed, sorted({*needed} - {*before[name]}))
                for name, needed in needs.items()
            ]
        )

    def named(self, texts: Iterable[str], graph: TaskGraph) -> list[str]:
        """Return the tasks that texts name, which are tasks, groups, targets or patterns; InvalidCommand for others."""
        return sorted({name for text in texts for name in self._named(text, graph)})

    def _named(self, text: str, graph: TaskGraph) -> list[str]:
        if "*" in text:
            found = [name for name in graph.numbers if fnmatchcase(name, text)]
        else:
            found = self._shown(self._targets.get(text, text), graph)
        if found:
            return found
        if text in self.tasks:
            raise InvalidCommand(f"{quoted(text)}: it has no tasks that are shown")
        raise InvalidCommand(no_such_task(text, list(self.tasks)))

    def _shown(self, name: str, graph: TaskGraph) -> list[str]:
        """Return the task, or what is shown in place of a hidden one: the next that it needs. Else nothing."""
        found = reached([name], lambda one: () if one in graph.numbers else self.needs.get(one, ()))
        return sorted(found & graph.numbers.keys())

    def _before(self, task: Task) -> set[str]:
        named = {*task.task_dep, *task.calc_dep}
        made = {self._targets[path] for path in task.file_dep if path in self._targets}
        return (named | made) & self.tasks.keys() - {task.name}

    def _needed_groups(self, hidden: Collection[str]) -> Iterator[str]:
        """Yield the groups that tasks need: not only other groups, nor tasks that are hidden and no task needs."""
        groups = {name for name in self.tasks if _is_group(self.tasks[name])}
        through = folded(self.needs, hidden)
        for name, needed in through.items():
            if name not in groups:
                yield from groups.intersection(needed)


def _is_group(task: Task) -> bool:
    """Return whether a task only has others as sub-tasks, as groups of a pipeline and of generators do."""
    return bool(task.has_subtask) and not task.actions


def _graph_task(task: Task, needs: list[str], setup: list[str]) -> GraphTask:
    # Records are internal to a pipeline.
    targets = [target for target in task.targets if not target.startswith(f"{STATE_DIRECTORY}/")]
    return GraphTask(task.name, kind_of(task), task.doc or "", needs, setup, targets)


def kind_of(task: Task) -> TaskKind:
    """Return the kind of a task: for one of a pipeline by its group, whatever the prefix."""
    if task.name.startswith("_"):
        return "private"
    if not task.actions:
        return "group"
    if isinstance(task, PipelineTask):
        return _by_group(task.pipeline).get(task.subtask_of or "", "task")
    return "task"


def _by_group(prefix: str) -> Mapping[str, TaskKind]:
    return {group_name(group, prefix): _KINDS[group] for group in GROUPS}
