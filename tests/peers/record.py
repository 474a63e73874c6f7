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
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.peers.all_cases import cases_of
from tests.peers.cases import Case
from tests.peers.outcome import Outcome, observe
from tests.peers.scene import Scene, Stage
from tests.support.services import Registry

RECORDINGS = Path(__file__).parent / "recordings"
# In the place of an output that is another each time.
VARIES = "(varies)"


def run_case(case: Case, program: str, stage: Stage, directory: Path, suffix: str = "") -> Outcome:
    """Return what comes of a case, run by a program as a process in a new directory below `directory`."""
    work = directory / f"{case.name}{suffix}" / "work"
    work.mkdir(parents=True)
    scene = Scene(work, stage, f"{case.name}{suffix}")
    with scene.homes:
        case.prepare(scene)
        done = scene.run(program, case.arguments, case.stdin, case.environment)
        return observe(scene, done.returncode, done.stdout, done.stderr)


def _record(case: Case, program: str, stage: Stage, directory: Path) -> dict[str, Any]:
    first, second = (run_case(case, program, stage, directory, suffix) for suffix in ("", "-again"))
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
        program = shutil.which(tool)
        if program is None:
            sys.exit(f"{tool} is not on PATH")
        version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.strip()
        with tempfile.TemporaryDirectory() as directory:
            registry_directory = Path(directory) / "registry"
            registry_directory.mkdir()
            registry = Registry(registry_directory)
            stage = Stage(registry)
            try:
                found = {case.name: _record(case, program, stage, Path(directory)) for case in cases_of(tool)}
            finally:
                registry.stop()
        content = {"version": version, "cases": found}
        (RECORDINGS / f"{tool}.json").write_text(
            json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        print(f"{tool}: {len(found)} command lines of {version.splitlines()[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
