"""Report traffic with registries: events, an HTTP trace, and redaction of secrets."""

from __future__ import annotations

from bundlepipe.events import Emit, ignore
from bundlepipe.redaction import Redactor
from bundlepipe.stores.http.trace import Trace, Write


class Reporting:
    """`emit` takes events, `trace` passes the HTTP exchanges to `write`, and `redactor` collects all secrets."""

    def __init__(self, emit: Emit = ignore, write: Write | None = None) -> None:
        self.emit = emit
        self.redactor = Redactor()
        self.trace = Trace(write, self.redactor) if write else None
