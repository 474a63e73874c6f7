"""Store what the real programs do: `python -m tests.peers.record imgpkg kbld`, with those programs on PATH.

Other words choose the cases that have them in their names, and `--changed` those that are not recorded as
they are; what is recorded of others stays.

Each command line runs twice, on two scenes. What differs between the two runs of the real
program differs by chance: lines that come in another order are stored as such, and an
output that differs otherwise is not compared.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.peers.all_cases import TOOLS, cases_of
from tests.peers.cases import Case
from tests.peers.differences import PARTS, VARIES
from tests.peers.play import play, program
from tests.peers.scene import Stage, open_stage

RECORDINGS = Path(__file__).parent / "recordings"


@cache
def recorded(tool: str) -> dict[str, dict[str, Any]]:
    """Return what is recorded of a tool, by the names of cases."""
    cases: dict[str, dict[str, Any]] = json.loads((RECORDINGS / f"{tool}.json").read_text())["cases"]
    return cases


def program_of(tool: str) -> str:
    """Return the path of the real program of a tool; exits if there is none on PATH."""
    path = shutil.which(tool)
    if path is None:
        sys.exit(f"{tool} is not on PATH")
    return path


def _has_no_order(arguments: Sequence[str]) -> bool:
    """Tell whether output that came twice in the same order did so by chance: from maps of Go, or side by side."""
    command = next(iter(arguments), "")
    if command in ("package", "unpackage", "relocate", "pkg"):
        return True
    return (command == "describe" and arguments[-1] != "yaml") or "--to-tar" in arguments


def observe_twice(case: Case, stage: Stage, path: str) -> dict[str, Any]:
    """Return what the program `path` does with a case, as it is recorded."""
    one, other = (play(case, stage, program(path), number).to_json() for number in (1, 2))
    varying = [part for part in PARTS if one[part] != other[part]]
    streams = {part for part in varying if part in ("stdout", "stderr")}
    changed = {part: VARIES for part in streams if sorted(one[part].splitlines()) != sorted(other[part].splitlines())}
    others = [part for part in varying if part not in streams]
    return {
        "case": case.recorded_by(),
        "arguments": list(case.arguments),
        **one,
        **changed,
        **({"is_unordered": True} if streams or _has_no_order(case.arguments) else {}),
        **({"varying": others} if others else {}),
    }


def record(tool: str, words: list[str]) -> None:
    """Record the chosen cases of a tool, and keep what is recorded of others that there still are."""
    path = program_of(tool)
    version = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout.strip()
    known = recorded(tool)
    cases = cases_of(tool)
    chosen = [case for case in cases if not words or _is_chosen(case, known, words)]
    with open_stage() as stage:
        found = {case.name: observe_twice(case, stage, path) for case in chosen}
    found = {case.name: found.get(case.name) or known[case.name] for case in cases}
    content = {"version": version, "cases": found}
    (RECORDINGS / f"{tool}.json").write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{tool}: {len(chosen)} command lines of {version.splitlines()[0]}")


def _is_chosen(case: Case, known: dict[str, dict[str, Any]], words: list[str]) -> bool:
    if "--changed" in words and known.get(case.name, {}).get("case") != case.recorded_by():
        return True
    return any(word in case.name for word in words)


if __name__ == "__main__":
    others = [word for word in sys.argv[1:] if word not in TOOLS]
    for each in sys.argv[1:]:
        if each in TOOLS:
            record(each, others)
