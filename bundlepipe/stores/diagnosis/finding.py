"""One line of a diagnosis: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

# ok: as it should be. none: not there, not needed or not known, and no fault. failed: a fault.
# untried: it needs something that failed.
State = Literal["ok", "none", "failed", "untried"]


@dataclass(frozen=True)
class Finding:
    """What was found out about a host, a repository or this machine (`subject`) by one `check`.

    `message` is one line without secrets; of a fault it says how to mend it.
    """

    subject: str
    check: str
    state: State
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the fields by their names, as `schemas/diagnosis.schema.json` has them."""
        return asdict(self)
