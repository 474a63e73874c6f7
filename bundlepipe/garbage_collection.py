"""Run Python's search for cycles of objects rarely: it takes time, and finds next to nothing in a short process.

By default it runs after every 700 new objects and once more when the process ends. Nearly all objects of a
command or of a run of doit live as long as the process, so this was a fifth of the time of a small push.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects before the youngest are searched, and how often that happens before older ones are.
_THRESHOLDS = (50_000, 20, 100)


def collect_rarely() -> None:
    """From now on, search rarely, and not at the end of the process. For bundlepipe's own processes, not for a
    library.
    """
    if gc.get_threshold() != _THRESHOLDS:
        gc.set_threshold(*_THRESHOLDS)
        atexit.register(gc.freeze)


@contextmanager
def collection_paused() -> Iterator[None]:
    """Do not search within the context, for example while modules are imported."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
