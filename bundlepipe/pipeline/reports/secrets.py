"""Secrets in the environment, which messages of users' own tasks may quote."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAMES = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
# A shorter value, such as `true`, would blot out ordinary words.
_SHORTEST = 6


def secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of the variables whose names say that they are secret.

    bundlepipe's own errors have none: stores redact what servers quote. But doit shows the command of a task that
    failed, and a report is kept longer, and read by more people, than a terminal.
    """
    for name, value in environment.items():
        if len(value) >= _SHORTEST and _NAMES.search(name) and not value.startswith("/"):
            yield value
