"""A finding: one line of a diagnosis, with its result and how to fix a fault."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import asdict

# ok: works. none: absent, not needed or unknown, and not a fault. failed: a fault. untried: depends
# on a failed check.
State = Literal["ok", "none", "failed", "untried"]


class Finding(Struct, frozen=True):
    """The result of one `check` of a host, a repository or this machine (`subject`).

    `message` is one line without secrets; for a fault it says how to fix it.
    """

    subject: str
    check: str
    state: State
    message: str

    def as_json(self) -> dict[str, str]:
        """Return the fields by name, as in `schemas/diagnosis.schema.json`."""
        return asdict(self)
