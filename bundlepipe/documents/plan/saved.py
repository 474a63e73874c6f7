"""Saved plans, as `doit plan --out` writes them: beside the plan, all that a run needs to do just that.

A plan without the key `saved`, as `doit plan --json` prints it, says what a run would do, but not of what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError, DocumentError, printable, quoted
from bundlepipe.filesystem.snapshots import FileState, Snapshot
from bundlepipe.oci.digest import Digest

_SCHEMA = "plan"
State = Literal["none", "run", "maybe", "error"]
# As in the schema.
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_Digest = Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")]
_Mode = Annotated[str, Meta(pattern="^[0-7]{1,5}$")]
_Salt = Annotated[str, Meta(pattern="^([0-9a-f]{2})+$")]
# Begins what stands for a value that may be a secret.
SEAL = "scrypt:"
# Hexadecimal digits, enough to tell the plans of a project apart.
_IDENTITY = 16
# Of scrypt: a guess at a secret costs about 50 ms.
_COST = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}


class SavedFile(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A file by its content, or a directory; `mode` is octal, and empty if it does not matter."""

    sha256: _Hash | None = None
    mode: _Mode = ""

    @property
    def state(self) -> FileState:
        """The state to compare: it has no time stamps, so it vouches for no file."""
        return FileState(int(self.mode or "0", 8), self.sha256, 0, 0, 0, 0)


def saved_files(snapshot: Snapshot) -> dict[str, SavedFile]:
    """Return a snapshot as another machine can compare it."""
    return {
        path: SavedFile(state.sha256, f"{state.mode:04o}" if state.mode else "")
        for path, state in sorted(snapshot.items())
    }


class SavedTask(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a task is to be done with, and what comes of it.

    `pipeline` is the prefix of its pipeline, None for a user's own task. `files` are those that it reads, with
    the records of what it needs; None if they are known only when other tasks have run. `archives` are the hashes of
    tar files, `outputs` those of the files that it will have written, `records` the contents of the records of a task
    whose result is known, and `values` what the task returns. `state` is that of a task that the plan does not show.
    """

    pipeline: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, SavedFile] | None = None
    archives: Mapping[str, _Hash] = field(default_factory=dict)
    outputs: Mapping[str, _Hash] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    state: State | Literal[""] = ""


class SavedLookup(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A reference, with a selection among its tags and a platform, and the digest that it was resolved to."""

    reference: str
    digest: _Digest
    tags: str = ""
    platform: str = ""


class Saved(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a plan was made of.

    `variables` are those of the command line; `selected` the tasks that it was made for.
    `open` are paths that only tasks with an unknown outcome write. `destinations` are the digests that the tags of
    destinations named, None for one that named nothing.
    """

    salt: _Salt
    variables: Mapping[str, str] = field(default_factory=dict)
    selected: Sequence[str] | None = None
    open: Sequence[str] = ()
    resolved: Sequence[SavedLookup] = ()
    destinations: Mapping[str, _Digest | None] = field(default_factory=dict)
    tasks: Mapping[str, SavedTask] = field(default_factory=dict)


class SavedShard(Struct, frozen=True):
    """The tasks of one job, in a plan that is divided into jobs; `needs` are the shards before it."""

    name: str
    tasks: Sequence[str]
    needs: Sequence[str] = ()


class _Task(Struct, frozen=True):
    name: str
    state: State
    # Texts, or mappings with a subject: for messages only.
    reasons: Sequence[Any] = ()


class _Document(Struct, frozen=True, kw_only=True):
    apiVersion: Literal["bundlepipe.dev/v1alpha1"]  # noqa: N815  (a key of the document)
    kind: Literal["Plan"]
    tasks: Sequence[_Task]
    saved: Saved | UnsetType = UNSET
    shards: Sequence[SavedShard] = ()


class SavedPlan(Struct, frozen=True):
    """A plan that can be carried out; `path` is the name of its file in messages.

    Of a plan that is divided into jobs, a run may carry out one `shard`.
    """

    path: str
    saved: Saved
    states: Mapping[str, str]
    shards: Sequence[SavedShard] = ()
    shard: SavedShard | None = None

    @classmethod
    def parse(cls, content: bytes, path: str) -> SavedPlan:
        """Parse a file. Raises DocumentError for a faulty one, BundlepipeError for one that cannot be carried out."""
        document = _document(content, path)
        if document.saved is UNSET:
            raise BundlepipeError(
                f"{path}: says what a run would do, but not of what: make a plan that can be carried out with "
                f"'doit plan --out {path}'"
            )
        for task in document.tasks:
            if task.state == "error":
                why = f" ({_text(task.reasons[0])})" if task.reasons else ""
                raise BundlepipeError(
                    f"{path}: {printable(task.name)} cannot run{why}, so the plan cannot be carried out: correct that, "
                    "and plan again"
                )
        states = {task.name: task.state for task in document.tasks}
        saved = document.saved.tasks
        states.update((name, task.state) for name, task in saved.items() if task.state and name.startswith("_"))
        return cls(path, document.saved, states, document.shards)

    @property
    def resolved(self) -> dict[tuple[str, str, str], Digest]:
        """The digests by lookup: a reference, its selection among tags, and its platform."""
        return {(each.reference, each.tags, each.platform): Digest(each.digest) for each in self.saved.resolved}

    @property
    def identity(self) -> str:
        """What tells this plan from all others, and from itself when it is divided otherwise; it says nothing else."""
        shards = [[shard.name, *shard.tasks] for shard in self.shards]
        return hashlib.sha256(json.dumps([self.saved.salt, shards]).encode()).hexdigest()[:_IDENTITY]

    def of_shard(self, name: str) -> SavedPlan:
        """Return the plan for a run that does one shard; BundlepipeError if there is none of this name."""
        found = next((shard for shard in self.shards if shard.name == name), None)
        if found is None:
            there = ", ".join(shard.name for shard in self.shards)
            has = f"its shards are {there}" if there else "it has none: make it with 'bundlepipe ci plan --out'"
            raise BundlepipeError(f"{self.path}: has no shard {quoted(name)}: {has}")
        return replace(self, shard=found)

    @property
    def selected(self) -> Sequence[str] | None:
        """The tasks of the run, None for the default: those of its shard, or those that the plan was made for."""
        return self.shard.tasks if self.shard else self.saved.selected

    def elsewhere(self) -> dict[str, str]:
        """Return the tasks that are not of this run's shard, with the shard of each; empty for those of none."""
        if self.shard is None:
            return {}
        shard_of = {task: shard.name for shard in self.shards for task in shard.tasks}
        own = set(self.shard.tasks)
        return {name: shard_of.get(name, "") for name in self.states if name not in own}

    def task(self, name: str) -> SavedTask | None:
        """Return what the plan has of a task; None if it is not in the plan."""
        return self.saved.tasks.get(name) if name in self.states else None


def _text(reason: Any) -> str:
    if isinstance(reason, Mapping):
        return printable(str(reason["because"]))
    return printable(str(reason))


def _document(content: bytes, path: str) -> _Document:
    """Return the content of a file. Only faults need the schema, which takes seconds for thousands of tasks."""
    try:
        # Not by msgspec, which refuses the escapes of names of files that are not UTF-8.
        return msgspec.convert(json.loads(content), _Document)
    except (ValueError, RecursionError):
        pass
    try:
        return msgspec.convert(_checked_data(content, path), _Document, strict=False)
    except RecursionError:
        raise DocumentError([f"{path}: is nested too deeply to be a plan"]) from None


def _checked_data(content: bytes, path: str) -> Any:
    from bundlepipe.documents.schemas import validator
    from bundlepipe.documents.yaml.reader import load_one

    document = load_one(content, path)
    validator.check(document, _SCHEMA)
    if not isinstance(document.data, dict):
        raise DocumentError([f"{path}:1:1: expected a plan"])
    return document.data


def sealed(secret: str, salt: str) -> str:
    """Return what stands in a plan for the fingerprint of a value that may be a secret.

    Plans are shown to others, and a fast hash of a short secret can be guessed.
    """
    return f"{SEAL}{_sealed(secret, salt)}"


@cache
def _sealed(secret: str, salt: str) -> str:
    return hashlib.scrypt(secret.encode(), salt=bytes.fromhex(salt), **_COST).hex()
