"""Declarations become doit's tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.reference import DEFAULT_TAG
from bundlepipe.pipeline.declared.contexts import context_of, is_ignored
from bundlepipe.pipeline.declared.destinations import destination_of, outputs_of, tag_of_push
from bundlepipe.pipeline.declared.model import (
    Apply,
    Build,
    Bundle,
    BundleSource,
    Copy,
    CopySource,
    Earlier,
    Image,
    ImageCopy,
    ImageSource,
    MadeHere,
    Program,
    Pull,
    Pushable,
    Render,
    Source,
    images_lock_path,
    paths_among,
    programs_among,
    search_exclude,
    searched_paths,
)
from bundlepipe.pipeline.declared.outputs import declared_inputs
from bundlepipe.pipeline.declared.paths import Ignores, is_excluded
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.graph.generated_inputs import GeneratedInputs
from bundlepipe.pipeline.graph.lock_unused import UnusedEntries
from bundlepipe.pipeline.graph.name_search import NameSearch
from bundlepipe.pipeline.records.groups import GROUPS, group_name
from bundlepipe.pipeline.records.state import digest_file, tag_file
from bundlepipe.pipeline.running.action import Action
from bundlepipe.pipeline.running.clean import Clean
from bundlepipe.pipeline.running.edges import (
    GENERATED_INPUTS,
    PipelineTask,
    Reads,
    find_cycle,
    is_bundles_own,
    producers,
)
from bundlepipe.pipeline.running.ordering import edges_to, tasks_before, unordered_beside
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.sources import described, paths_read
from bundlepipe.pipeline.running.staleness import Staleness
from bundlepipe.pipeline.running.status import GroupStatus
from bundlepipe.pipeline.tasks.apply import ApplyAction, ApplyStaleness
from bundlepipe.pipeline.tasks.copy import KIND as COPY
from bundlepipe.pipeline.tasks.copy import CopyAction, CopyStaleness, remove_archives
from bundlepipe.pipeline.tasks.images import BuildAction, BuildStaleness, ProgramAction, ProgramStaleness
from bundlepipe.pipeline.tasks.lock import LockAction, LockStaleness, refreshed_locks
from bundlepipe.pipeline.tasks.pull import KIND as PULL
from bundlepipe.pipeline.tasks.pull import PullAction, PullStaleness, remove_pulled
from bundlepipe.pipeline.tasks.push import PushAction, PushStaleness
from bundlepipe.pipeline.tasks.render import RenderAction, RenderStaleness, remove_rendered
from bundlepipe.stores.location import ARCHIVE_PREFIX, EngineLocation, LayoutLocation, parse_location

# Paths that a task reads, and what is left out below them.
Read = tuple[Sequence[str], Sequence[str] | Ignores]

_NAME_SEARCH = "_named_images"


def create_tasks(declared: Declared, settings: Settings, shared: dict[str, Task] | None = None) -> Iterator[Task]:
    """Yield the tasks of a pipeline whose declarations have no faults, groups first.

    `shared` are the groups that hold the tasks of all pipelines of a dodo.py, which this one adds to.
    Raises InvalidDodoFile if tasks need one another.
    """
    graph = _Graph(declared, settings)
    tasks = list(graph.tasks())
    graph.connect(tasks)
    by_name = {task.name: task for task in tasks}
    cycle = find_cycle(lambda name: [dep for dep in by_name[name].task_dep if dep in by_name], by_name)
    if cycle:
        raise InvalidDodoFile(f"these tasks need one another: {' -> '.join(cycle)}: break the circle")
    yield from graph.groups(tasks, {} if shared is None else shared)
    yield PipelineTask(
        group_name(GENERATED_INPUTS, settings.prefix),
        None,
        doc="tasks that generate inputs",
        uptodate=[GeneratedInputs(graph.reads, settings.prefix)],
    )
    yield from tasks


class _Graph:
    """The tasks of one pipeline, and what each of them reads."""

    def __init__(self, declared: Declared, settings: Settings) -> None:
        self._declared = declared
        self._settings = settings
        self.reads: list[Reads] = []
        self._lock_checks: dict[str, LockStaleness] = {}
        self._refreshed = refreshed_locks(declared.bundles, settings)
        self._made_here: dict[str, MadeHere] = {
            **{image.name: ImageSource(image.name) for image in declared.images},
            **{bundle.name: BundleSource(bundle.name) for bundle in declared.bundles},
        }

    def tasks(self) -> Iterator[Task]:
        """Yield every task but the groups, without the edges between outputs and inputs."""
        for image in self._declared.images:
            yield self._image(image)
        for bundle in self._declared.bundles:
            if bundle.lock:
                yield self._name_search(bundle)
                yield self._lock(bundle)
            yield self._push(bundle)
        for copy in self._declared.copies:
            yield self._copy(copy)
        for pull in self._declared.pulls:
            yield self._pull(pull)
        for render in self._declared.renders:
            yield self._render(render)
            if render.apply:
                yield self._apply(render, render.apply)

    def groups(self, tasks: Sequence[Task], shared: dict[str, Task]) -> Iterator[Task]:
        """Yield the groups of this pipeline, and those of all pipelines that are not in `shared` yet."""
        prefix = self._settings.prefix
        for group, doc in GROUPS.items():
            own = group_name(group, prefix)
            members = [task.name for task in tasks if task.subtask_of == own]
            # All locks have run or were up to date when the turn of such a group comes.
            unused = self._unused_entries() if group in ("lock_bundle", "push_bundle") else []
            if prefix:
                yield _group(own, f"{doc}, of {prefix}", members, unused)
                members, unused = [own], []
            if group in shared:
                shared[group].task_dep.extend(members)
                shared[group].uptodate.extend((entries, [], {}) for entries in unused)
            else:
                shared[group] = _group(group, doc, members, unused)
                yield shared[group]

    def _unused_entries(self) -> list[UnusedEntries]:
        """Return what removes entries that no lock has from the lock file, if there is one."""
        path = self._settings.lock_file
        return [UnusedEntries(path, self._lock_checks, self._settings.run_id)] if path else []

    def connect(self, tasks: Sequence[Task]) -> None:
        """Add an edge wherever a task reads what another of these makes."""
        by_name = {task.name: task for task in tasks}
        state_targets = {digest_file(kind, self._settings.record(name)) for kind, name in self._digests()}
        state_targets |= {tag_file(self._settings.record(copy.name)) for copy in self._declared.copies}
        targets = {target: task.name for task in tasks for target in task.targets if target not in state_targets}
        found = producers(self.reads, targets) if targets else ()
        for reader, producer in (*found, *self._local_edges()):
            task = by_name[reader]
            if producer not in task.task_dep:
                task.task_dep.append(producer)

    def _local_edges(self) -> Iterator[tuple[str, str]]:
        """Yield (task, copy) for every task that reads what a copy puts into an OCI image layout or the Docker Engine.

        Copies may share a layout by tags, so it is no target, which only one task could have.
        """
        written = (
            (self._settings.task("copy_bundle", copy.name), parse_location(copy.to)) for copy in self._declared.copies
        )
        writers = [(name, to) for name, to in written if isinstance(to, LayoutLocation | EngineLocation)]
        readers: list[tuple[str, Source]] = [
            *(
                (self._settings.task("push_image", image.name), image.source)
                for image in self._declared.images
                if image.source
            ),
            *((self._settings.task("copy_bundle", copy.name), copy.source) for copy in self._declared.copies),
            *((self._settings.task("pull_bundle", pull.name), pull.source) for pull in self._declared.pulls),
        ]
        for reader, source in readers:
            location = parse_location(source) if writers and isinstance(source, str) else None
            if isinstance(location, LayoutLocation | EngineLocation):
                same = (writer for writer, to in writers if _may_be_same(location, to))
                yield from ((reader, writer) for writer in same if writer != reader)

    def _digests(self) -> Iterator[tuple[str, str]]:
        for made in self._made_here.values():
            yield made.kind, made.name
        for copy in self._declared.copies:
            yield COPY, copy.name
        for pull in self._declared.pulls:
            yield PULL, pull.name

    def _image(self, image: Image) -> Task:
        if image.build:
            return self._build(image, image.build)
        if image.source:
            return self._take(image, image.source)
        return self._run(image, image.program) if image.program else self._push(image)

    def _push(self, thing: Pushable) -> Task:
        destination = destination_of(thing)
        targets = [digest_file(thing.kind, self._settings.record(thing.name))]
        task_dep: list[str] = []
        if isinstance(thing, Bundle):
            if thing.lock_output:
                targets.append(thing.lock_output)
            if thing.lock:
                task_dep.append(self._settings.task("lock_bundle", thing.name))
        return self._task(
            f"push_{thing.kind}",
            thing.name,
            PushAction(thing, destination, self._settings),
            doc=f"push {thing.kind} {thing.name} to {destination}",
            uptodate=[PushStaleness(thing, destination, self._settings)],
            targets=targets,
            task_dep=task_dep,
            clean=[Clean(_forget_digest, {"path": targets[0]})],
            reads=[(thing.files, thing.exclude)],
            after=thing.after,
        )

    def _build(self, image: Image, build: Build) -> Task:
        destination, context = destination_of(image), context_of(build)
        return self._made_image(
            image,
            BuildAction(image, build, destination, self._settings),
            BuildStaleness(image, build, destination, self._settings),
            f"build image {image.name} and push it to {destination}",
            [([build.context], is_ignored(context)), (context.decisive_files, ())],
        )

    def _run(self, image: Image, program: Program) -> Task:
        destination = destination_of(image) if image.push else None
        to = f" and copy it to {destination}" if destination else ""
        return self._made_image(
            image,
            ProgramAction(image, program, destination, self._settings),
            ProgramStaleness(image, program, destination, self._settings),
            f"make image {image.name} by {program.shown.partition(' ')[0]}{to}",
            [(program.files, is_bundles_own)],
        )

    def _take(self, image: Image, source: str) -> Task:
        destination = destination_of(image)
        copy = ImageCopy(
            name=image.name,
            source=source,
            to=str(destination.repository.tagged(destination.tag or DEFAULT_TAG)),
            tags=image.tags,
            refresh=image.refresh,
            where=image.where,
        )
        return self._made_image(
            image,
            CopyAction(copy, None, self._settings),
            CopyStaleness(copy, None, self._settings),
            f"copy {described(source)} to {destination}",
            [(paths_read(source), ())],
        )

    def _made_image(self, image: Image, action: Action, staleness: Staleness, doc: str, reads: Sequence[Read]) -> Task:
        """Return the task of an image that is not packed from files."""
        digest_path = digest_file(image.kind, self._settings.record(image.name))
        return self._task(
            "push_image",
            image.name,
            action,
            doc=doc,
            uptodate=[staleness],
            targets=[digest_path],
            clean=[Clean(_forget_digest, {"path": digest_path})],
            reads=reads,
            after=image.after,
        )

    def _lock(self, bundle: Bundle) -> Task:
        assert bundle.lock
        # Once for all: a path that does not exist yet may be a directory or a file when the lock runs.
        lock_path = images_lock_path(bundle)
        included = [item for item in bundle.lock.include if not isinstance(item, str)]
        staleness = LockStaleness(bundle, lock_path, self._settings, self._refreshed)
        self._lock_checks[self._settings.task("lock_bundle", bundle.name)] = staleness
        return self._task(
            "lock_bundle",
            bundle.name,
            LockAction(bundle, lock_path, self._made_here, self._settings, self._images_locks),
            doc=f"lock the images of bundle {bundle.name}",
            uptodate=[staleness],
            targets=[lock_path],
            calc_dep=[self._settings.task(_NAME_SEARCH, bundle.name)],
            reads=_reads_of_lock(bundle),
            after=bundle.after,
            **edges_to(included, self._settings),
        )

    def _name_search(self, bundle: Bundle) -> Task:
        name = self._settings.task(_NAME_SEARCH, bundle.name)
        self.reads.extend(Reads(name, *reads) for reads in _reads_of_lock(bundle))
        lock_task = self._settings.task("lock_bundle", bundle.name)
        search = NameSearch(bundle, lock_task, self._made_here, self._settings)
        return PipelineTask(
            name,
            None,
            doc=f"find which images made here bundle {bundle.name} names",
            uptodate=[search],
            calc_dep=[group_name(GENERATED_INPUTS, self._settings.prefix)],
            task_dep=tasks_before(bundle.after, self._settings),
            pipeline=self._settings.prefix,
        )

    def _copy(self, copy: Copy) -> Task:
        task_name, record = self._settings.task("copy_bundle", copy.name), self._settings.record(copy.name)
        digest_path, tag_path = digest_file(COPY, record), tag_file(record)
        source_tag = tag_of_push(copy.source, self._pushables)
        edges = self._edges(copy.source)
        if isinstance(copy.source, CopySource):
            edges["file_dep"].append(tag_file(self._settings.record(copy.source.name)))
        excluded = [item.removeprefix(ARCHIVE_PREFIX) for item in copy.exclude]
        return self._task(
            "copy_bundle",
            copy.name,
            CopyAction(copy, source_tag, self._settings, unordered_beside(copy, self._declared.copies)),
            doc=f"copy {described(copy.source)} to {copy.to}",
            uptodate=[CopyStaleness(copy, source_tag, self._settings)],
            targets=[digest_path, tag_path, *outputs_of(copy)],
            clean=[
                *(Clean(_forget_digest, {"path": path}) for path in (digest_path, tag_path)),
                Clean(remove_archives, {"task_name": task_name, "copy": copy, "record": record}),
            ],
            reads=[([*paths_read(copy.source), *excluded], ())],
            after=copy.after,
            **edges,
        )

    def _pull(self, pull: Pull) -> Task:
        task_name, record = self._settings.task("pull_bundle", pull.name), self._settings.record(pull.name)
        digest_path = digest_file(PULL, record)
        task = self._task(
            "pull_bundle",
            pull.name,
            PullAction(pull, self._declared.paths, self._inputs, self._settings),
            doc=f"pull {described(pull.source)} to {pull.to}",
            uptodate=[PullStaleness(pull, self._settings)],
            targets=[digest_path, pull.to],
            clean=[
                Clean(
                    remove_pulled,
                    {"task_name": task_name, "pull": pull, "record": record, "protected": self._declared.paths},
                ),
                Clean(_forget_digest, {"path": digest_path}),
            ],
            reads=[(paths_read(pull.source), ())],
            after=pull.after,
            **self._edges(pull.source),
        )
        task.directory = pull.to
        return task

    def _render(self, render: Render) -> Task:
        task_name, record = self._settings.task("render_config", render.name), self._settings.record(render.name)
        return self._task(
            "render_config",
            render.name,
            RenderAction(render, self._settings),
            doc=f"render {render.output}",
            uptodate=[RenderStaleness(render)],
            targets=[render.output],
            clean=[Clean(remove_rendered, {"task_name": task_name, "render": render, "record": record})],
            reads=[
                (paths_among(render.files), is_bundles_own),
                ([*render.locks, *render.config, *_program_files(render.files)], ()),
            ],
            after=render.after,
        )

    def _apply(self, render: Render, apply: Apply) -> Task:
        return self._task(
            "apply_config",
            render.name,
            ApplyAction(render.output, apply),
            doc=f"apply {render.output}",
            uptodate=[ApplyStaleness(render.name, render.output, apply, self._settings)],
            reads=[([render.output, *filter(None, [apply.kubeconfig])], ())],
        )

    @cached_property
    def _images_locks(self) -> list[str]:
        return [images_lock_path(bundle) for bundle in self._declared.bundles if bundle.lock]

    def _edges(self, source: Source) -> dict[str, list[str]]:
        if not isinstance(source, BundleSource | ImageSource | CopySource):
            return {}
        return edges_to([source], self._settings)

    @property
    def _pushables(self) -> list[Pushable]:
        return [*self._declared.images, *self._declared.bundles]

    @cached_property
    def _inputs(self) -> list[str]:
        """Return every declared input."""
        return declared_inputs(self._declared)

    def _task(
        self,
        group: str,
        name: str,
        action: Action,
        *,
        reads: Sequence[Read],
        after: Sequence[Earlier] = (),
        calc_dep: Sequence[str] = (),
        task_dep: Sequence[str] = (),
        **attributes: Any,
    ) -> PipelineTask:
        task_name = self._settings.task(group, name)
        found = [Reads(task_name, paths, exclude) for paths, exclude in reads if paths]
        if found:
            self.reads.extend(found)
            calc_dep = [*calc_dep, group_name(GENERATED_INPUTS, self._settings.prefix)]
        return PipelineTask(
            task_name,
            [action],
            subtask_of=group_name(group, self._settings.prefix),
            pipeline=self._settings.prefix,
            calc_dep=calc_dep,
            task_dep=[*task_dep, *tasks_before(after, self._settings)],
            # Nothing is captured, so there is nothing to show again after a failure.
            io={"capture": False},
            verbosity=2,
            **attributes,
        )


def _group(name: str, doc: str, members: Sequence[str], unused: Sequence[UnusedEntries]) -> Task:
    uptodate = [GroupStatus(), *unused]
    return PipelineTask(name, None, doc=doc, has_subtask=True, task_dep=members, uptodate=uptodate)


def _reads_of_lock(bundle: Bundle) -> list[Read]:
    assert bundle.lock
    return [
        (searched_paths(bundle), partial(_is_not_searched, search_exclude(bundle))),
        (bundle.lock.config, ()),
        (_program_files(bundle.lock.files or ()), is_bundles_own),
    ]


def _is_not_searched(exclude: Sequence[str], name: str) -> bool:
    return is_bundles_own(name) or is_excluded(name, exclude)


def _program_files(files: Sequence[str | Program]) -> list[str]:
    return [path for program in programs_among(files) for path in program.files]


def _may_be_same(location: LayoutLocation | EngineLocation, other: LayoutLocation | EngineLocation) -> bool:
    """Tell whether two locations may be one image; one of a layout without a tag may be any there."""
    if isinstance(location, EngineLocation) or isinstance(other, EngineLocation):
        return str(location) == str(other)
    tags = {location.tag, other.tag}
    return location.directory == other.directory and (None in tags or len(tags) == 1)


def _forget_digest(path: str, dryrun: bool) -> None:
    """Remove the record of what was made: `doit clean` removes no more of a push."""
    if os.path.exists(anchored(path)):
        print(f"removing file '{path}'")
        if not dryrun:
            os.remove(anchored(path))
