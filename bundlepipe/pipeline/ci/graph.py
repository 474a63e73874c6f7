"""The graph of jobs that does what a plan says; no engine is known here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from bundlepipe.documents.schemas import API_VERSION

KIND = "CIGraph"


class Shard(Struct, frozen=True, kw_only=True):
    """Tasks that one job does, in their order.

    `name` is `WAVE-NUMBER`, such as `2-03`; waves count from 1. `needs` are the shards that must have succeeded before,
    without those that one of them needs; all are of earlier waves. `inputs` are the tasks of earlier shards whose
    results its own tasks use. `seconds` is an estimate, `upload` and `download` are bytes of blobs, as far as they are
    known. `environment` is the protected environment that all of the tasks belong to, empty for none.
    """

    name: str
    wave: int
    tasks: Sequence[str]
    needs: Sequence[str] = ()
    inputs: Sequence[str] = ()
    seconds: float = 0.0
    upload: int = 0
    download: int = 0
    environment: str = ""


class CIGraph(Struct, frozen=True, kw_only=True):
    """The shards, by wave and number. `commit` is the git commit of the plan, empty if it is unknown."""

    shards: Sequence[Shard]
    commit: str = ""

    @property
    def waves(self) -> list[list[Shard]]:
        """The shards by wave; no wave is empty."""
        found: dict[int, list[Shard]] = {}
        for shard in self.shards:
            found.setdefault(shard.wave, []).append(shard)
        return [found[wave] for wave in sorted(found)]

    def as_json(self) -> str:
        """Return the graph as JSON, by `schemas/ci-graph.schema.json`."""
        document: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
        if self.commit:
            document["commit"] = self.commit
        document["shards"] = [shard_as_json(shard) for shard in self.shards]
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def shard_as_json(shard: Shard) -> dict[str, Any]:
    """Return a shard as it is in the JSON of a graph, and of a saved plan."""
    return {
        "name": shard.name,
        "wave": shard.wave,
        "tasks": list(shard.tasks),
        "needs": list(shard.needs),
        "inputs": list(shard.inputs),
        "cost": {"seconds": round(shard.seconds, 3), "upload": shard.upload, "download": shard.download},
        **({"environment": shard.environment} if shard.environment else {}),
    }
