"""Tell where ours differs from what is recorded: `python -m tests.peers.compare imgpkg copy-03 kbld`.

Words that are the name of a tool choose it; others choose the cases that have them in their names.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from tests.peers.all_cases import TOOLS, cases_of
from tests.peers.ours import run_ours
from tests.peers.play import play
from tests.peers.record import RECORDINGS, VARIES
from tests.peers.scene import open_stage

_PARTS = ("status", "stdout", "stderr", "files", "repositories")


def recorded(tool: str) -> dict[str, dict[str, Any]]:
    """Return what is recorded of a tool, by the names of cases."""
    cases: dict[str, dict[str, Any]] = json.loads((RECORDINGS / f"{tool}.json").read_text())["cases"]
    return cases


def differences(expected: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """Yield the parts that differ, a line each, by what counts: not what varies, nor an order that does."""
    for part in _PARTS:
        one, other = expected[part], found[part]
        if part in expected.get("varying", ()) or one == VARIES:
            continue
        if part in ("stdout", "stderr") and expected.get("is_unordered"):
            one, other = sorted(one.splitlines()), sorted(other.splitlines())
        if one != other and (part != "stdout" or _documents(one) != _documents(other)):
            yield f"{part}:\n    - {one!r}\n    + {other!r}"


def _documents(text: object) -> object:
    """Return the documents of a YAML text, which kbld writes anew and ours leaves as it was; others as they are."""
    if isinstance(text, str):
        try:
            found = list(yaml.safe_load_all(text))
        except yaml.YAMLError:
            return text
        if any(isinstance(document, dict) for document in found):
            return [document for document in found if document is not None]
    return text


def compare(tool: str, words: list[str]) -> int:
    """Print what differs; return of how many cases."""
    expected, differing, parts = recorded(tool), 0, Counter[str]()
    cases = [case for case in cases_of(tool) if not words or any(word in case.name for word in words)]
    with open_stage() as stage:
        for case in cases:
            lines = list(differences(expected[case.name], play(case, stage, run_ours).to_json()))
            parts.update(line.partition(":")[0] for line in lines)
            differing += bool(lines)
            if lines:
                print(f"{case.name}: {tool} {' '.join(case.arguments)}")
                print(*(f"  {line}" for line in lines), sep="\n")
    print(f"{tool}: {differing} of {len(cases)} differ: {dict(parts)}")
    return differing


if __name__ == "__main__":
    chosen = [word for word in sys.argv[1:] if word in TOOLS] or list(TOOLS)
    others = [word for word in sys.argv[1:] if word not in TOOLS]
    sys.exit(1 if sum([compare(tool, others) for tool in chosen]) else 0)
