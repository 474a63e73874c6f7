"""The marks that git leaves in a file that it could not merge, also in its styles `diff3` and `zdiff3`."""

from __future__ import annotations

import re

from bundlepipe.documents.fault import Fault, shown

# At least seven characters: the attribute `conflict-marker-size` allows more.
_MARKER = re.compile(r"(?:<{7,}|\|{7,}|={7,}|>{7,})(?: .*)?")


def conflict_faults(text: str, advice: str) -> list[Fault]:
    """Return a fault for each conflict that was left in a text, or for the first mark that was left of one.

    `advice` says what to do about it.
    """
    marked = [
        (number, line) for number, line in enumerate(text.splitlines(), start=1) if _MARKER.fullmatch(line.rstrip())
    ]
    begun = [(number, line) for number, line in marked if line.startswith("<")] or marked[:1]
    return [
        Fault(number, 1, f"a merge conflict that git left here ({shown(line)}): {advice}") for number, line in begun
    ]
