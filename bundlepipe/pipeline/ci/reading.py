"""Read the graph of jobs from a saved plan, or from what `bundlepipe ci plan --json` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from bundlepipe.errors import BundlepipeError, DocumentError, printable, quoted
from bundlepipe.filesystem.files import read_document
from bundlepipe.limits import LARGEST_PLAN
from bundlepipe.pipeline.ci.graph import CIGraph, Shard

# It becomes part of names of jobs and files.
_NAME = re.compile(r"[0-9]+-[0-9]+")


class _Cost(Struct, frozen=True):
    seconds: float = 0.0
    upload: int = 0
    download: int = 0


class _Shard(Struct, frozen=True, kw_only=True):
    name: str
    wave: int
    tasks: Sequence[str]
    needs: Sequence[str] = ()
    inputs: Sequence[str] = ()
    cost: _Cost = _Cost()
    environment: str = ""


class _Document(Struct, frozen=True):
    shards: Sequence[_Shard] | None = None
    commit: str = ""


def read_graph(path: str) -> CIGraph:
    """Return the graph in a file.

    Raises InputError for a file that cannot be read, DocumentError for one that is no such document, BundlepipeError
    for a plan without shards.
    """
    shown = printable(path)
    try:
        # Not by msgspec alone, which refuses the escapes of names of files that are not UTF-8.
        document = msgspec.convert(json.loads(read_document(path, LARGEST_PLAN)), _Document)
    except ValueError as error:
        raise DocumentError([f"{shown}: expected a plan with shards: {error}"]) from None
    if document.shards is None:
        raise BundlepipeError(f"{shown}: has no shards: make a plan with 'bundlepipe ci plan --out {shown}'")
    for shard in document.shards:
        if not _NAME.fullmatch(shard.name):
            raise DocumentError([f"{shown}: {quoted(shard.name)} is no name of a shard: expected WAVE-NUMBER"])
    return CIGraph(shards=[_made(shard) for shard in document.shards], commit=document.commit)


def _made(shard: _Shard) -> Shard:
    return Shard(
        name=shard.name,
        wave=shard.wave,
        tasks=shard.tasks,
        needs=shard.needs,
        inputs=shard.inputs,
        seconds=shard.cost.seconds,
        upload=shard.cost.upload,
        download=shard.cost.download,
        environment=shard.environment,
    )
