"""What pipelines load for the commands that need the settings of CI alone: these, and tasks with no more than a name.

The other keys of pipeline files are not looked at, so their variables need not be set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from doit.task import Task
from msgspec import Struct

from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.declared.interpolation import Keys
from bundlepipe.pipeline.declared.reading import KINDS, Declared, PipelineFiles, Reading
from bundlepipe.pipeline.records.groups import GROUPS, group_name
from bundlepipe.pipeline.running.edges import GENERATED_INPUTS, PipelineTask

_READ = ("ci", "include")
# The groups with a task of each declaration, or only of those that have a key.
_GROUPS: Mapping[str, Mapping[str, str | None]] = {
    "images": {"push_image": None},
    "bundles": {"lock_bundle": "lock", "push_bundle": None},
    "copies": {"copy_bundle": None},
    "pulls": {"pull_bundle": None},
    "renders": {"render_config": None, "apply_config": "apply"},
}


class DeclaredSettings(Struct):
    """The settings of CI that a pipeline declares, and the groups and names of its tasks."""

    ci: CI | None
    tasks: Iterable[tuple[str, str]]


def settings_of(declared: Declared) -> DeclaredSettings:
    """Return the settings of a pipeline that is declared in Python."""
    tasks = [
        (group, thing.name)
        for section in KINDS
        for thing in getattr(declared, section)
        for group, key in _GROUPS[section].items()
        if not key or getattr(thing, key)
    ]
    return DeclaredSettings(declared.ci, tasks)


def read_settings(path: str, environment: Mapping[str, str], prefix: str, files: PipelineFiles) -> DeclaredSettings:
    """Return the settings in the pipeline file at `path`, or in one that it includes.

    Arguments and errors are those of `read_pipeline`; in other keys, only faults against the schema are found.
    """
    reading = _Reading(environment, path, prefix, files)
    reading.read_all()
    return DeclaredSettings(reading.declared.ci, reading.tasks)


class _Reading(Reading):
    def __init__(self, environment: Mapping[str, str], path: str, prefix: str, files: PipelineFiles) -> None:
        super().__init__(environment, path, prefix, files)
        self.tasks: list[tuple[str, str]] = []

    def substituted(self, data: dict[str, Any], faulty: Callable[[Keys, str], None]) -> dict[str, Any]:
        """Return what is read of a file, and note the tasks of the rest."""
        for section, groups in _GROUPS.items():
            for name, value in (data.get(section) or {}).items():
                self.tasks += ((group, name) for group, key in groups.items() if not key or value.get(key) is not None)
        return super().substituted({key: data[key] for key in _READ if key in data}, faulty)


def named_tasks(settings: DeclaredSettings, prefix: str, shared: dict[str, Task]) -> Iterator[Task]:
    """Yield the tasks of a pipeline, which do nothing, one of them with the settings.

    `shared` are the groups with the tasks of all pipelines of a dodo.py.
    """
    for group in GROUPS:
        if prefix:
            yield PipelineTask(group_name(group, prefix), None, has_subtask=True)
        if group not in shared:
            shared[group] = PipelineTask(group, None, has_subtask=True)
            yield shared[group]
    private = PipelineTask(group_name(GENERATED_INPUTS, prefix), None, pipeline=prefix)
    private.ci = settings.ci
    yield private
    for group, name in settings.tasks:
        own = group_name(group, prefix)
        yield PipelineTask(f"{own}:{name}", None, pipeline=prefix, subtask_of=own)
