"""Output of a command while it works: its own lines, progress bars on a terminal, and warnings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bundlepipe.cli.parsing.command import Run
from bundlepipe.events import Emit, Event, HelperAwaited, OutputLine, Retrying, ignore


@contextmanager
def narrated(run: Run, name: str, tell: Callable[[Event], None] = ignore) -> Iterator[Emit]:
    """Return the emitter of a command: `tell` narrates, bars called `name` show transfers on a terminal."""
    if not sys.stderr.isatty():
        yield _emitter(run, tell, ignore)
        return
    from bundlepipe.progress.display import display, emitter

    display.begin()
    run.console.write = display.write
    try:
        yield _emitter(run, tell, emitter(name) if display.draws else ignore)
    finally:
        display.end()


def _emitter(run: Run, tell: Callable[[Event], None], draw: Emit) -> Emit:
    def emit(event: Event) -> None:
        match event:
            case Retrying():
                from bundlepipe.progress.display import retrying

                run.console.note(f"{run.tool.name}: {retrying(event)}")
            case HelperAwaited():
                from bundlepipe.progress.display import awaited

                run.console.note(f"{run.tool.name}: {awaited(event)}")
            case OutputLine(text):
                run.console.note(text)
            case _:
                tell(event)
                draw(event)

    return emit
