"""Show transfers to users: bars on a terminal, one line per image elsewhere.

All output goes to stderr, as results are on stdout. Bars are drawn in the process that has our
reporter, since it knows what else is printed; worker processes print lines. doit imports this
module in every run: drawing code is imported when something is drawn.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from bundlepipe.events import Emit, Event, HelperAwaited, Retrying
    from bundlepipe.progress.bars import LiveRegion
    from bundlepipe.progress.transfers import Transfers

# The terminals that rich also treats as unable to move the cursor.
_DUMB = ("dumb", "unknown")


class Display:
    """Shows the transfers of all tasks of a process, and other output meanwhile.

    If it `is_brief`, as there are more tasks than lines on a screen, images have no lines. If it `is_silent`, as for
    work that is only foreseen, nothing is shown. `begin` and `end` enclose a run. All methods may be called by several
    threads at once.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset to the state before any run, as a forked process must: bars and threads are its parent's."""
        self._lock = threading.Lock()
        self._region: LiveRegion | None = None
        self._hearers: dict[str, Emit] = {}
        self._has_ended = False
        self.draws = False
        self.is_brief = False
        self.is_silent = False

    def begin(self) -> None:
        """Start drawing, if there is a terminal."""
        with self._lock:
            self._has_ended = False
            self.draws = _is_terminal(sys.__stderr__) and os.environ.get("TERM", "").lower() not in _DUMB

    def end(self) -> None:
        """Restore the terminal; threads that an interruption left behind draw and print nothing more."""
        with self._lock:
            self._has_ended = True
            self._close()

    @contextmanager
    def heard(self, task_name: str, emit: Emit) -> Iterator[None]:
        """In this context, also pass the events of a task to `emit`."""
        self._hearers[task_name] = emit
        try:
            yield
        finally:
            del self._hearers[task_name]

    def hearer(self, task_name: str) -> Emit | None:
        """Return where the events of a task are also passed to, if anywhere."""
        return self._hearers.get(task_name)

    def show(self, transfers: Transfers) -> None:
        """Draw the state of these transfers, until `finish` is called with the name of their task."""
        self._draw(lambda region: region.add(transfers))

    def head(self, line: str) -> None:
        """Draw a line with the state of the run, until it ends or is replaced; on a terminal only."""
        if self.draws:
            self._draw(lambda region: region.head(line))

    def finish(self, task_name: str) -> None:
        """Remove the bars of a task."""
        with self._lock:
            if self._region and not self._region.remove(task_name):
                self._close()

    def write(self, text: str, stream: TextIO) -> None:
        """Write a text to a stream immediately; on a terminal, above the bars."""
        with self._lock:
            if self._region and _is_terminal(stream):
                self._region.write(text)
            else:
                stream.write(text)
                stream.flush()

    def tell(self, line: str) -> None:
        """Write a line to stderr."""
        if sys.__stderr__ and not self._has_ended:
            self.write(f"   {line}\n", sys.__stderr__)

    def _draw(self, add: Callable[[LiveRegion], None]) -> None:
        from bundlepipe.progress.bars import LiveRegion

        with self._lock:
            if self._has_ended or not sys.__stderr__:
                return
            region = self._region or LiveRegion(sys.__stderr__)
            add(region)
            if not self._region:
                self._region = region
                region.start()

    def _close(self) -> None:
        if self._region:
            self._region.close()
        self._region = None


display = Display()
atexit.register(display.end)
os.register_at_fork(after_in_child=display.forget)


def emitter(task_name: str) -> Emit:
    """Return the emitter for one run of a task; other tasks may have events of the same blobs.

    On a terminal these are bars, once there is something to wait for, until the task ends. Elsewhere it
    is a line for each image; pushes and pulls, which have no images to count, print nothing. Images that
    were already there are listed too, so that the output of a copy names all its images, but only once it
    transfers something: a copy that changes nothing prints nothing here. Output of other programs is
    printed as lines everywhere, on a terminal above the bars.
    """
    if display.is_silent:
        from bundlepipe.events import ignore

        return ignore
    shown = _shown(task_name)
    hearer = display.hearer(task_name)
    if not hearer:
        return shown

    def emit(event: Event) -> None:
        hearer(event)
        shown(event)

    return emit


def _shown(task_name: str) -> Emit:
    from bundlepipe.events import OutputLine
    from bundlepipe.progress.transfers import EventLines, Transfers, output_line

    if not display.draws:
        return EventLines(task_name, display.tell, tells_images=not display.is_brief).take
    transfers = Transfers(task_name)

    def show(event: Event) -> None:
        if isinstance(event, OutputLine):
            display.tell(output_line(task_name, event.text))
            return
        transfers.take(event)
        if transfers.starts_to_matter():
            display.show(transfers)

    return show


def tell_retries(event: Event) -> None:
    """Report retries; other events of stores are in results."""
    from bundlepipe.events import HelperAwaited, Retrying

    if isinstance(event, Retrying):
        display.tell(retrying(event))
    elif isinstance(event, HelperAwaited):
        display.tell(awaited(event))


def retrying(event: Retrying) -> str:
    """Return the line that reports a retry."""
    return f"{event.url}: {event.reason}, retrying in {event.delay:.1f} s"


def awaited(event: HelperAwaited) -> str:
    """Return the line that reports a slow credential helper."""
    return f"waiting up to {event.limit:g} s for {event.program} to return credentials for {event.server}"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
