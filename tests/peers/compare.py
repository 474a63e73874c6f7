"""Tell where ours differs: `python -m tests.peers.compare imgpkg copy-03 kbld`, with `--live` from programs on PATH.

Words that are the name of a tool choose it; others choose the cases that have them in their names.
Without `--live` it is compared with what is recorded.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.peers.all_cases import TOOLS, cases_of
from tests.peers.cases import Case
from tests.peers.differences import differences
from tests.peers.ours import run_ours
from tests.peers.play import play
from tests.peers.record import observe_twice, program_of, recorded
from tests.peers.scene import Stage, open_stage


def differing(case: Case, stage: Stage, *, live: bool) -> Iterator[tuple[str, object, object]]:
    """Yield the parts in which ours differs from what is recorded, or from what the program on PATH does now."""
    expected = observe_twice(case, stage, program_of(case.tool)) if live else recorded(case.tool)[case.name]
    return differences(expected, play(case, stage, run_ours).to_json())


def compare(tool: str, words: list[str], *, live: bool) -> int:
    """Print what differs; return of how many cases."""
    count, parts = 0, Counter[str]()
    cases = [case for case in cases_of(tool) if not words or any(word in case.name for word in words)]
    with open_stage() as stage:
        for case in cases:
            found = list(differing(case, stage, live=live))
            parts.update(part for part, _, _ in found)
            count += bool(found)
            if found:
                print(f"{case.name}: {tool} {' '.join(case.arguments)}")
            for part, one, other in found:
                print(f"  {part}:\n    - {one!r}\n    + {other!r}")
    print(f"{tool}: {count} of {len(cases)} differ: {dict(parts)}")
    return count


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--live"]
    chosen = [word for word in words if word in TOOLS] or list(TOOLS)
    others = [word for word in words if word not in TOOLS]
    sys.exit(1 if sum([compare(tool, others, live="--live" in sys.argv) for tool in chosen]) else 0)
