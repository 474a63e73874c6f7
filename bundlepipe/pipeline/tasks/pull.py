"""pull_bundle: unpack a bundle or image into a directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from doit.task import Task

from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.dangerous import refuse_dangerous
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.remove import remove_tree
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot, snapshot
from bundlepipe.pipeline.declared.model import LockSource, Pull
from bundlepipe.pipeline.declared.paths import archives_in
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.records.state import (
    digest_file,
    forget_output,
    intend_output,
    made_output,
    record_output,
    write_digest,
)
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.running.clean import Clean, forgetting, removed
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.sources import (
    IMAGE_ID,
    STAMPS,
    SourceStaleness,
    described,
    image_id,
    location_of,
    paths_read,
    stamps,
)
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Values, options_of, to_values
from bundlepipe.progress.display import emitter
from bundlepipe.progress.phrases import short

_FRESH = "fresh"


def spec(pull: Pull, context: PipelineContext) -> TaskSpec:
    """Return the task that pulls."""
    settings, pipeline_files = context.settings, context.declared.paths
    task_name, record = settings.task("pull_bundle", pull.name), settings.record(pull.name)
    digest_path = digest_file(Pull.kind, record)
    return TaskSpec(
        group="pull_bundle",
        name=pull.name,
        action=PullAction(pull, pipeline_files, context.inputs, settings),
        uptodate=PullStaleness(pull, settings),
        doc=f"pull {described(pull.source)} to {pull.to}",
        records=[digest_path],
        targets=[pull.to],
        directory=pull.to,
        clean=[
            Clean(remove_pulled, task_name=task_name, pull=pull, record=record, protected=pipeline_files),
            forgetting(digest_path),
        ],
        reads=[(paths_read(pull.source), ())],
        source=pull.source,
        after=pull.after,
    )


class PullStaleness(SourceStaleness):
    """Stale if its source's digest, or anything in the directory it made, changed."""

    compared = "the source of the pull, the directory that it made, and its options"

    def __init__(self, pull: Pull, settings: Settings) -> None:
        super().__init__(pull, options_of(pull), settings)
        self._pull = pull

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare; if only a refresh is requested, the action may find nothing to pull."""
        reasons = super().reasons(task, values)
        if reasons and reasons == self.refresh_reasons():
            task.meta[_FRESH] = values
        return reasons

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the lock file that names the source."""
        source = self._pull.source
        return file_snapshot([source.path], before) if isinstance(source, LockSource) else {}

    def outputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the pulled directory."""
        return snapshot(Inputs([self._pull.to], exclude=()), before)


class PullAction(Action):
    """Pulls into the directory and records what was pulled."""

    def __init__(self, pull: Pull, pipeline_files: Sequence[str], inputs: Sequence[str], settings: Settings) -> None:
        super().__init__()
        self._pull = pull
        self._pipeline_files = pipeline_files
        self._inputs = inputs
        self._settings = settings

    @property
    def is_foreseen(self) -> bool:
        """True."""
        return True

    def work(self) -> Values:
        """Replace the directory with the files of the source."""
        from bundlepipe.oci.layers.unpack import Limits
        from bundlepipe.pipeline.running.replacing import protected_from, pull_output
        from bundlepipe.verbs.pull import pull

        declared, stores = self._pull, self._settings.stores
        protected = protected_from(declared, self._pipeline_files, self._inputs, self._settings)
        output = pull_output(declared, protected, self._settings)
        record = self._settings.record(declared.name)
        location = location_of(declared.source, self._settings)
        fresh: Values | None = (self.task.meta or {}).get(_FRESH)
        if fresh and stores.locate(location)[1].digest == fresh["digest"]:
            return {**fresh, UNCHANGED: True, SUMMARY: f"{declared.to} unchanged, {short(fresh['digest'])}"}
        lock = declared.source.path if isinstance(declared.source, LockSource) else None
        before = file_snapshot([lock], {}) if lock else {}
        read = stamps(archives_in([str(declared.source)]))
        image = image_id(declared.source)
        pulled = pull(
            location,
            declared.to,
            stores,
            recursive=declared.recursive,
            limits=Limits(size=declared.max_size) if declared.max_size else None,
            replaces=output,
            about_to=partial(intend_output, Pull.kind, record, declared.to),
            emit=emitter(self.task.name),
        )
        made = f"{pulled.store_name}@{pulled.digest}"
        record_output(Pull.kind, record, declared.to)
        write_digest(Pull.kind, record, made)
        return {
            "digest": str(pulled.digest),
            "image": made,
            UNCHANGED: False,
            SUMMARY: f"{declared.to} from {pulled.store_name} {short(pulled.digest)}",
            OPTIONS: options_of(declared),
            FILES: to_values({**pulled.snapshot, **before}),
            STAMPS: read,
            IMAGE_ID: image,
        }

    def adopt(self) -> None:
        """Record the directory as that of this pull."""
        record_output(Pull.kind, self._settings.record(self._pull.name), self._pull.to)


def remove_pulled(task_name: str, pull: Pull, record: str, protected: Sequence[str], dryrun: bool) -> None:
    """Remove the directory of a pull: what `doit clean` does.

    A directory that this pull did not make stays, and so does one that no pull would replace: one
    that contains a repository, a mount point or one of the `protected` paths.
    """
    if not os.path.lexists(anchored(pull.to)):
        return
    is_directory = os.path.isdir(anchored(pull.to)) and not os.path.islink(anchored(pull.to))
    if not is_directory or not made_output(Pull.kind, record, pull.to):
        print(f"{task_name} - not removing '{pull.to}', which was not made by this pull")
        return
    check = partial(refuse_dangerous, pull.to, protected)
    remove = partial(remove_tree, os.fsencode(anchored(pull.to)))
    if removed(task_name, pull.to, "dir", check, lambda: None if dryrun else remove()) and not dryrun:
        forget_output(Pull.kind, record)
