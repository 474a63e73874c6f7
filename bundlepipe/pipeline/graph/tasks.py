"""Create the tasks of a pipeline, by kind, in groups, with the edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.declared.model import BundleSource, CopySource, ImageSource
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.doit_adapter.internals import add_calculators
from bundlepipe.pipeline.graph.generated_inputs import GeneratedInputs
from bundlepipe.pipeline.graph.lock_unused import UnusedEntries
from bundlepipe.pipeline.records.groups import GROUPS, group_name
from bundlepipe.pipeline.running.edges import GENERATED_INPUTS, PipelineTask, Reads, find_cycle, producers
from bundlepipe.pipeline.running.ordering import edges_to, tasks_before
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.status import GroupStatus
from bundlepipe.pipeline.tasks import apply, copy, images, lock, name_search, pull, push, render
from bundlepipe.stores.location import EngineLocation, LayoutLocation, parse_location

if TYPE_CHECKING:
    from bundlepipe.documents.plan.saved import SavedPlan

# The specifications of a pipeline's tasks by name.
Specs = Mapping[str, TaskSpec]


def create_tasks(declared: Declared, settings: Settings, shared: dict[str, Task] | None = None) -> Iterator[Task]:
    """Yield the tasks of a pipeline without faults, groups first.

    `shared` are the groups with the tasks of all pipelines of a dodo.py, which this one adds to.
    Raises InvalidDodoFile for cycles of tasks.
    """
    specs = {settings.task(spec.group, spec.name): spec for spec in _specs(PipelineContext(declared, settings))}
    if settings.plan:
        specs = _carried_out(settings.plan, specs, settings)
    tasks = {name: _task(name, spec, settings) for name, spec in specs.items()}
    reads = [read for task in tasks.values() for read in task.reads]
    _connect(tasks, specs, reads)
    cycle = find_cycle(lambda name: [dep for dep in tasks[name].task_dep if dep in tasks], tasks)
    if cycle:
        raise InvalidDodoFile(f"these tasks need one another: {' -> '.join(cycle)}: break the cycle")
    yield from _groups(specs, settings, {} if shared is None else shared)
    generated = PipelineTask(
        group_name(GENERATED_INPUTS, settings.prefix),
        None,
        pipeline=settings.prefix,
        doc="tasks that generate inputs",
        uptodate=[GeneratedInputs(reads, settings.prefix)],
    )
    generated.reports = list(declared.reports)
    generated.lock_file = settings.lock_file
    generated.shard = settings.plan.shard.name if settings.plan and settings.plan.shard else None
    generated.plan = settings.plan.identity if settings.plan else None
    generated.ci = declared.ci
    yield generated
    yield from tasks.values()


def _carried_out(plan: SavedPlan, specs: Specs, settings: Settings) -> dict[str, TaskSpec]:
    """Return the specifications, held against a saved plan from now on; InvalidDodoFile for one of another pipeline."""
    from bundlepipe.pipeline.carrying_out.elsewhere import AdoptAction, with_adopted
    from bundlepipe.pipeline.carrying_out.pipeline_tasks import (
        carried_by,
        check_options,
        check_records,
        check_tasks,
    )

    specs = with_adopted(plan, specs, settings)
    try:
        check_tasks(plan, specs, settings.prefix)
        for name, spec in specs.items():
            check_records(plan, name, spec.records)
            if spec.action and not isinstance(spec.action, AdoptAction):
                check_options(plan, name, spec.uptodate.options)
                if spec.action.carried is None:
                    spec.uptodate.carried = spec.action.carried = carried_by(plan, name)
    except BundlepipeError as error:
        raise InvalidDodoFile(str(error)) from None
    return specs


def _specs(context: PipelineContext) -> Iterator[TaskSpec]:
    declared = context.declared
    for image in declared.images:
        yield images.spec(image, context)
    for bundle in declared.bundles:
        if bundle.lock:
            yield name_search.spec(bundle, bundle.lock, context)
            yield lock.spec(bundle, bundle.lock, context)
        yield push.spec(bundle, context)
    for copied in declared.copies:
        yield copy.spec(copied, context)
    for pulled in declared.pulls:
        yield pull.spec(pulled, context)
    for rendered in declared.renders:
        yield render.spec(rendered, context)
        if rendered.apply:
            yield apply.spec(rendered, rendered.apply, context)


def _task(name: str, spec: TaskSpec, settings: Settings) -> PipelineTask:
    made = [*spec.needs, *([spec.source] if isinstance(spec.source, BundleSource | ImageSource | CopySource) else ())]
    edges = edges_to(made, settings)
    generated = [group_name(GENERATED_INPUTS, settings.prefix)] if any(paths for paths, _ in spec.reads) else []
    of_group: dict[str, Any] = {}
    if spec.action:
        # Nothing is captured, so a failure has nothing to show again.
        of_group = {"subtask_of": group_name(spec.group, settings.prefix), "io": {"capture": False}, "verbosity": 2}
    task = PipelineTask(
        name,
        [spec.action] if spec.action else None,
        pipeline=settings.prefix,
        doc=spec.doc,
        uptodate=[spec.uptodate],
        targets=[*spec.records, *spec.targets],
        clean=spec.clean,
        file_dep=[*edges["file_dep"], *spec.file_dep],
        task_dep=[*edges["task_dep"], *spec.task_dep, *tasks_before(spec.after, settings)],
        calc_dep=[*spec.calc_dep, *generated],
        **of_group,
    )
    task.directory = spec.directory
    task.reads = [Reads(name, *read) for read in spec.reads if read[0]]
    return task


def _connect(tasks: Mapping[str, Task], specs: Specs, reads: Sequence[Reads]) -> None:
    """Add an edge from each task to the tasks that make what it reads."""
    targets = {target: name for name, spec in specs.items() for target in spec.targets}
    known: dict[str, set[str]] = {}
    for reader, producer in (*producers(reads, targets), *_local_edges(specs)):
        if reader not in known:
            known[reader] = set(tasks[reader].task_dep)
        if producer not in known[reader]:
            known[reader].add(producer)
            tasks[reader].task_dep.append(producer)


def _local_edges(specs: Specs) -> Iterator[tuple[str, str]]:
    """Yield (task, copy) for every task that reads what a copy writes to an OCI image layout or the Docker Engine.

    Copies may share a layout by tags, so it is not a target, which only one task could have.
    """
    writers: dict[str, dict[str | None, list[tuple[int, str]]]] = {}
    for number, (writer, location) in enumerate(_local((name, spec.puts) for name, spec in specs.items())):
        place, tag = _place_and_tag(location)
        writers.setdefault(place, {}).setdefault(tag, []).append((number, writer))
    for reader, location in _local((name, spec.source) for name, spec in specs.items()):
        place, tag = _place_and_tag(location)
        by_tag = writers.get(place, {})
        # An image of a layout without a tag may be any image there.
        found = (writer for each in ((tag, None) if tag else by_tag) for writer in by_tag.get(each, ()))
        yield from ((reader, writer) for _, writer in sorted(found) if writer != reader)


def _local(places: Iterable[tuple[str, object]]) -> Iterator[tuple[str, LayoutLocation | EngineLocation]]:
    for name, place in places:
        location = parse_location(place) if isinstance(place, str) else None
        if isinstance(location, LayoutLocation | EngineLocation):
            yield name, location


def _place_and_tag(location: LayoutLocation | EngineLocation) -> tuple[str, str | None]:
    """Return the directory and tag of an image in a layout, or the whole name of one in the Engine."""
    if isinstance(location, EngineLocation):
        return str(location), None
    return location.directory, location.tag


def _groups(specs: Specs, settings: Settings, shared: dict[str, Task]) -> Iterator[Task]:
    """Yield the groups of this pipeline, and those of all pipelines that are not yet in `shared`."""
    for group, doc in GROUPS.items():
        own = group_name(group, settings.prefix)
        members = [name for name, spec in specs.items() if spec.group == group]
        # When doit comes to this group, all locks have run or were up to date.
        unused = _unused_entries(specs, settings) if group in ("lock_bundle", "push_bundle") else []
        if settings.prefix:
            yield _group(own, f"{doc}, of {settings.prefix}", members, unused)
            members, unused = [own], []
        if group in shared:
            shared[group].task_dep.extend(members)
            add_calculators(shared[group], unused)
        else:
            shared[group] = _group(group, doc, members, unused)
            yield shared[group]


def _group(name: str, doc: str, members: Sequence[str], unused: Sequence[UnusedEntries]) -> Task:
    uptodate = [GroupStatus(), *unused]
    return PipelineTask(name, None, doc=doc, has_subtask=True, task_dep=members, uptodate=uptodate)


def _unused_entries(specs: Specs, settings: Settings) -> list[UnusedEntries]:
    """Return the object that removes unused entries from the lock file, if there is one."""
    checks = {name: spec.uptodate for name, spec in specs.items() if spec.group == "lock_bundle"}
    return [UnusedEntries(settings.lock_file, checks, settings.run_id)] if settings.lock_file else []
