"""What a plan job hands on to an engine that has to know its waves: variables, in a file or a directory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.files import write_file
from bundlepipe.pipeline.ci.graph import CIGraph, Shard
from bundlepipe.pipeline.declared.ci import CI


def write_outputs(graph: CIGraph, settings: CI, path: str) -> None:
    """Append `NAME=VALUE` lines to a file, as GitHub Actions reads `$GITHUB_OUTPUT`; in a directory, a file for each.

    `waves` is a JSON list of as many waves as the settings have, each a list of jobs; `has_work` is `true` or
    `false`; `wave-1` and so on are the single waves. Raises OutputError.
    """
    values = _values(graph, settings)
    try:
        if os.path.isdir(path):
            for name, value in values.items():
                write_file(os.path.join(path, name), value.encode())
            return
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _values(graph: CIGraph, settings: CI) -> Mapping[str, str]:
    waves: list[list[dict[str, Any]]] = [[] for _ in range(settings.waves)]
    for shard in graph.shards:
        waves[shard.wave - 1].append(_job(shard))
    return {
        "waves": _compact(waves),
        "has_work": _compact(bool(graph.shards)),
        **{f"wave-{number}": _compact(wave) for number, wave in enumerate(waves, 1)},
    }


def _job(shard: Shard) -> dict[str, str]:
    return {"shard": shard.name, "environment": shard.environment}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
