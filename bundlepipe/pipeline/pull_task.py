"""pull_bundle."""

from __future__ import annotations

import os
from collections.abc import Sequence

from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.inputs import Inputs, Snapshot, file_snapshot, snapshot
from bundlepipe.oci.reference import Reference
from bundlepipe.oci.remove import remove_tree
from bundlepipe.pipeline.action import SUMMARY, UNCHANGED, Action, short
from bundlepipe.pipeline.declaration import LockSource, Pull, Source
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.staleness import FILES, OPTIONS, Staleness, Values, to_values
from bundlepipe.pipeline.state import made_output, read_digest, record_output, write_digest
from bundlepipe.stores.location import Location, parse_location

KIND = "pull"
_FRESH = "fresh"


def options_of(pull: Pull) -> Values:
    """Return everything but digests that decides what is pulled where."""
    return {
        "from": _source_text(pull.source),
        "to": pull.to,
        "recursive": pull.recursive,
        "maxSize": pull.max_size,
    }


def _source_text(source: Source) -> str:
    if isinstance(source, str):
        return source
    return source.path if isinstance(source, LockSource) else f"{source.kind}:{source.name}"


class PullStaleness(Staleness):
    """A pull is stale by its source's digest and by any change in the directory it made."""

    def __init__(self, pull: Pull, settings: Settings) -> None:
        super().__init__(options_of(pull))
        self._pull = pull
        self._settings = settings

    def reasons(self, task: Task, values: Values) -> list[str]:
        """Compare as all tasks do; a refresh asks for the source's tag again."""
        reasons = super().reasons(task, values)
        refresh = self._refresh_reasons()
        if refresh and not reasons:
            task.meta[_FRESH] = values
        return [*refresh, *reasons]

    def files_now(self, before: Snapshot) -> Snapshot:
        """Walk the directory that was pulled, and look at the lock file that names the source."""
        source = self._pull.source
        lock = file_snapshot([source.path], before) if isinstance(source, LockSource) else {}
        return {**snapshot(Inputs([self._pull.to], exclude=()), before), **lock}

    def _refresh_reasons(self) -> list[str]:
        if not isinstance(self._pull.source, str):
            return []
        if self._pull.refresh == "always":
            return ["refresh: always"]
        asked = self._settings.refreshes(self._pull.name, self._pull.source)
        return ["refresh asked for"] if asked else []


class PullAction(Action):
    """Pulls into the directory and records what was pulled."""

    def __init__(self, pull: Pull, pipeline_files: Sequence[str], inputs: Sequence[str], settings: Settings) -> None:
        super().__init__()
        self._pull = pull
        self._pipeline_files = pipeline_files
        self._inputs = inputs
        self._settings = settings

    def work(self) -> Values:
        """Replace the directory by what the source holds."""
        from bundlepipe.oci.unpack import Limits
        from bundlepipe.verbs.pull import pull

        declared, homes = self._pull, self._settings.homes
        location = _location(declared.source)
        fresh: Values | None = (self.task.meta or {}).get(_FRESH)
        if fresh and homes.locate(location)[1].digest == fresh["digest"]:
            return {**fresh, UNCHANGED: True, SUMMARY: f"{declared.to} unchanged, {short(fresh['digest'])}"}
        lock = declared.source.path if isinstance(declared.source, LockSource) else None
        before = file_snapshot([lock], {}) if lock else {}
        pulled = pull(
            location,
            declared.to,
            homes,
            recursive=declared.recursive,
            limits=Limits(size=declared.max_size) if declared.max_size else None,
            protected=self._protected(),
        )
        made = f"{pulled.store_name}@{pulled.digest}"
        record_output(declared.name, declared.to)
        write_digest(KIND, declared.name, made)
        return {
            "digest": str(pulled.digest),
            "image": made,
            UNCHANGED: False,
            SUMMARY: f"{declared.to} from {pulled.store_name} {short(pulled.digest)}",
            OPTIONS: options_of(declared),
            FILES: to_values({**pulled.snapshot, **before}),
        }

    def _protected(self) -> Sequence[str]:
        """Return what must not be replaced: inputs too, unless they can only come from this pull."""
        to = self._pull.to
        if made_output(self._pull.name, to) or not os.path.isdir(to) or not os.listdir(to):
            return self._pipeline_files
        return [*self._pipeline_files, *self._inputs]


def _location(source: Source) -> Location:
    if isinstance(source, str):
        return parse_location(source)
    if isinstance(source, LockSource):
        return _read_bundle_lock(source.path)
    return read_digest(source.kind, source.name)


def _read_bundle_lock(path: str) -> Reference:
    from bundlepipe.documents.bundle_lock import BundleLock

    try:
        with open(path, "rb") as file:
            return BundleLock.parse(file.read(), path).image
    except OSError as error:
        raise BundlepipeError(f"{path}: cannot be read: {error.strerror}") from None


def remove_pulled(task_name: str, pull: Pull, dryrun: bool) -> None:
    """Remove the directory of a pull: what `doit clean` does. A directory that this pull did not make stays."""
    if not os.path.lexists(pull.to):
        return
    if os.path.islink(pull.to) or not made_output(pull.name, pull.to):
        print(f"{task_name} - not removing '{pull.to}', which was not made by this pull")
        return
    print(f"{task_name} - removing dir '{pull.to}'")
    if not dryrun:
        remove_tree(os.fsencode(pull.to))
