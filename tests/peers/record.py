"""Store what the real programs do: `python -m tests.peers.record imgpkg kbld`, with those programs on PATH.

Each command line runs twice, on two scenes. What differs between the two runs of the real
program differs by chance: lines that come in another order are stored as such, and an
output that differs otherwise is not compared.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.peers.all_cases import cases_of
from tests.peers.cases import Case
from tests.peers.outcome import Outcome
from tests.peers.play import play, program
from tests.peers.scene import Stage, open_stage

RECORDINGS = Path(__file__).parent / "recordings"
# In the place of an output that is another each time.
VARIES = "(varies)"


def _record(case: Case, stage: Stage, path: str) -> dict[str, Any]:
    first, second = (play(case, stage, program(path), suffix) for suffix in ("", "-again"))
    second = Outcome(**json.loads(json.dumps(second.to_json()).replace(f"{case.name}-again", case.name)))
    changes: dict[str, Any] = {}
    is_unordered = False
    for stream in ("stdout", "stderr"):
        one, other = getattr(first, stream), getattr(second, stream)
        if one != other:
            is_unordered = True
            if sorted(one.splitlines()) != sorted(other.splitlines()):
                changes[stream] = VARIES
    first = replace(first, **changes)
    varying = [part for part in ("status", "files", "repositories") if getattr(first, part) != getattr(second, part)]
    return {
        "arguments": list(case.arguments),
        **first.to_json(),
        **({"is_unordered": True} if is_unordered else {}),
        **({"varying": varying} if varying else {}),
    }


def main(tools: list[str]) -> None:
    """Record all cases of some tools."""
    for tool in tools:
        path = shutil.which(tool)
        if path is None:
            sys.exit(f"{tool} is not on PATH")
        version = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout.strip()
        with open_stage() as stage:
            found = {case.name: _record(case, stage, path) for case in cases_of(tool)}
        content = {"version": version, "cases": found}
        (RECORDINGS / f"{tool}.json").write_text(
            json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        print(f"{tool}: {len(found)} command lines of {version.splitlines()[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
