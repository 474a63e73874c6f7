"""push_image and push_bundle: push files as an image or bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from doit.task import Task
from msgspec.structs import replace

from bundlepipe.errors import InputError, NotRegular, StoreError
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.filesystem.snapshots import Snapshot, snapshot
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.destinations import destination_of
from bundlepipe.pipeline.declared.model import Bundle, Pushable, Source
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.records.state import digest_file, write_digest
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.running.clean import forgetting
from bundlepipe.pipeline.running.destination_lookups import LOOKUP_RESULT, DestinationLookup, LookupResult, look_up
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.spec import PipelineContext, Read, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Staleness, Values, options_of, to_values
from bundlepipe.progress.display import emitter
from bundlepipe.progress.phrases import short
from bundlepipe.stores.location import Location

if TYPE_CHECKING:
    from bundlepipe.verbs.outputs.replacing import FileOutput


def spec(thing: Pushable, context: PipelineContext) -> TaskSpec:
    """Return the task that pushes an image or bundle made of files."""
    destination, settings = destination_of(thing), context.settings
    pushed = spec_of_made(
        thing,
        settings,
        PushAction(thing, destination, settings),
        PushStaleness(thing, destination, settings),
        f"push {thing.kind} {thing.name} to {destination}",
        [(thing.files, thing.exclude)],
    )
    if not isinstance(thing, Bundle):
        return pushed
    return replace(
        pushed,
        targets=[thing.lock_output] if thing.lock_output else [],
        task_dep=[settings.task("lock_bundle", thing.name)] if thing.lock else [],
    )


def spec_of_made(
    thing: Pushable,
    settings: Settings,
    action: Action,
    uptodate: Staleness,
    doc: str,
    reads: Sequence[Read],
    source: Source | None = None,
) -> TaskSpec:
    """Return the task of an image or bundle, made by any method."""
    digest_path = digest_file(thing.kind, settings.record(thing.name))
    return TaskSpec(
        group=f"push_{thing.kind}",
        name=thing.name,
        action=action,
        uptodate=uptodate,
        doc=doc,
        records=[digest_path],
        clean=[forgetting(digest_path)],
        reads=reads,
        source=source,
        after=thing.after,
    )


def inputs_of(thing: Pushable) -> Inputs:
    """Return the inputs of an image or bundle."""
    return Inputs(list(thing.files), list(thing.exclude), thing.preserve_permissions)


def where_named(thing: Pushable, path: str) -> str:
    """Return the position of an input's declaration, to begin a message; empty if it is unknown."""
    if thing.where is None:
        return ""
    keys = (*thing.where.keys, "files", list(thing.files).index(path))
    return f"{Position(thing.where.path, keys)}: "


def _options(thing: Pushable, destination: Reference, settings: Settings) -> Values:
    return {**options_of(thing), "destination": placed(destination, settings)}


def placed(destination: Reference, settings: Settings) -> str:
    """Return a destination as values hold it: the same name in another directory is another destination."""
    host = settings.registries.get(destination.repository.registry)
    return f"{destination} in {host.layout}" if host and host.layout else str(destination)


class DestinationStaleness(Staleness):
    """Stale if its files and options changed, and with `verify=registry` its destination."""

    lookup: DestinationLookup

    def __init__(self, options: Values, destination: Reference, tags: Sequence[str], settings: Settings) -> None:
        super().__init__(options)
        self.lookup = DestinationLookup(destination, settings)
        self._tags = tags

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all tasks do; if nothing changed, check the destination if requested."""
        reasons = super().reasons(task, values)
        if OPTIONS not in values:
            result = self.announced.result(task.name, self.recorded)
        elif self.lookup.settings.verify and not reasons:
            result = self.announced.result(task.name, self.recorded) or look_up(self.lookup)
            reasons = mismatch(result, values["digest"], self.lookup.destination)
            for tag in self._tags:
                further = self.lookup.destination.repository.tagged(tag)
                reasons += mismatch(
                    look_up(DestinationLookup(further, self.lookup.settings)), values["digest"], further
                )
        else:
            return reasons
        if result:
            # The action, in any thread or process, need not ask again.
            task.meta[LOOKUP_RESULT] = result
        return reasons

    def reasons_of_destination(self, task: Task, values: Values) -> list[Reason]:
        """Look up the destination, together with those of all tasks without a local record."""
        result = self.announced.result(task.name, self.recorded) or look_up(self.lookup)
        return mismatch(result, values["digest"], self.lookup.destination)


class PushStaleness(DestinationStaleness):
    """The files of a push are its inputs."""

    compared = "the files of the push, its destination and other options"

    def __init__(self, thing: Pushable, destination: Reference, settings: Settings) -> None:
        super().__init__(_options(thing, destination, settings), destination, thing.tags, settings)
        self._inputs = inputs_of(thing)

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Walk the inputs."""
        return snapshot(self._inputs, before)


def mismatch(result: LookupResult, digest: str, destination: Reference) -> list[Reason]:
    """Return how a destination differs from what was made; empty if it does not."""
    if result.problem:
        return [Reason("destinationUnknown", str(destination), f"{destination} cannot be asked")]
    if result.manifest is None:
        return [not_there(destination)]
    return [] if result.manifest.digest == digest else [is_another(destination)]


def not_there(destination: Location | str) -> Reason:
    """Return the reason for an image that is not at its destination."""
    return Reason("destinationMissing", str(destination), f"{destination} is not there")


def is_another(destination: Location | str) -> Reason:
    """Return the reason for another image at the destination."""
    return Reason("destinationDiffers", str(destination), f"{destination} is another image")


class PushAction(Action):
    """Pushes, records the digest, writes the BundleLock."""

    decisive_options = ("destination", "tags")
    finds_result = True

    def __init__(self, thing: Pushable, destination: Reference, settings: Settings) -> None:
        super().__init__()
        self._thing = thing
        self._destination = destination
        self._settings = settings

    @property
    def is_foreseen(self) -> bool:
        """True."""
        return True

    def work(self) -> Values:
        """Push the image of the inputs; nothing is uploaded if the destination has it."""
        from bundlepipe.verbs.push import NOT_ASKED, PushRequest, push

        thing = self._thing
        lock = _lock_output(thing, self._settings)
        if lock:
            lock.check()
        request = PushRequest(
            inputs=inputs_of(thing),
            destination=self._destination,
            is_bundle=isinstance(thing, Bundle),
            labels=thing.labels,
            tags=thing.tags,
            foretold=self.foretold,
            absence_advice=self.absence_advice,
        )
        stores = self._settings.stores
        result = result_for(self.task)
        try:
            pushed = push(
                request,
                stores,
                result.manifest if result else NOT_ASKED,
                takes_snapshot=True,
                emit=emitter(self.task.name),
            )
        except NotRegular as error:
            raise InputError(f"{where_named(thing, error.root)}{error}") from error
        if lock:
            write_bundle_lock(lock, pushed.reference, request.tag)
        return {
            **made_values(thing, pushed.reference, str(self._destination), self._settings, was_there=pushed.was_there),
            OPTIONS: _options(thing, self._destination, self._settings),
            FILES: to_values(pushed.snapshot),
        }


def result_for(task: Task) -> LookupResult | None:
    """Return the lookup result for a task's destination, if there is one; StoreError if it is unknown."""
    result: LookupResult | None = (task.meta or {}).get(LOOKUP_RESULT)
    if result and result.problem:
        raise StoreError(result.problem)
    return result


def made_values(thing: Pushable, image: Reference, place: str, settings: Settings, *, was_there: bool) -> Values:
    """Record what was made and return its values; `place` is its location in messages."""
    write_digest(thing.kind, settings.record(thing.name), str(image))
    digest = str(image.digest)
    return {
        "digest": digest,
        "image": str(image),
        UNCHANGED: was_there,
        SUMMARY: f"{place} {'unchanged, ' if was_there else ''}{short(digest)}",
    }


def _lock_output(thing: Pushable, settings: Settings) -> FileOutput | None:
    if not isinstance(thing, Bundle) or not thing.lock_output:
        return None
    from bundlepipe.pipeline.running.replacing import lock_output

    return lock_output(thing, thing.lock_output, settings)


def write_bundle_lock(output: FileOutput, image: Reference, tag: str) -> None:
    """Write the BundleLock of a pushed bundle, as `imgpkg push --lock-output` does."""
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

    output.write(BundleLock(image, tag).to_bytes())
