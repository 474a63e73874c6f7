"""Progress bars at the bottom of a terminal. Imports rich, so it is only imported when there is something to draw."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from bundlepipe.progress.phrases import human_size, short
from bundlepipe.progress.transfers import Standing, Transfer, Transfers

_LINES = 8
_INTERVAL = 0.1
_NUMBERS_WIDTH = len("100%  999.9 MB of 999.9 MB  999.9 MB/s  0:00:00 left")
_BAR_WIDTHS = (6, 30)
# Seconds; a longer time is not shown.
_LONGEST = 100 * 3600
_DIGEST_WIDTH = len("  sha256:") + 12


class LiveRegion:
    """A few lines that change in place, with text written above them.

    Only its own thread touches the terminal: Ctrl-C reaches only the main thread, so no line is
    left half drawn, and no emitter or writer waits for the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, force_terminal=True, force_jupyter=False, highlight=False)
        self._heading = ""
        self._shown: tuple[Transfers, ...] = ()
        self._written = ""
        self._lock = threading.Lock()
        self._waking = threading.Event()
        self._closing = threading.Event()
        # Programs in other tasks write to stdout and stderr themselves, and doit replaces both: they stay unchanged.
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._thread = threading.Thread(target=self._draw, name="progress", daemon=True)

    def start(self) -> None:
        """Start drawing; there has to be something to draw by then."""
        self._thread.start()

    def head(self, line: str) -> None:
        """Draw a line above the bars from now on."""
        self._heading = line
        self._waking.set()

    def add(self, transfers: Transfers) -> None:
        """Also draw these transfers."""
        with self._lock:
            self._shown = (*self._shown, transfers)
        self._waking.set()

    def remove(self, task_name: str) -> bool:
        """Stop drawing the transfers of a task, unless nothing else is left; return whether something is."""
        with self._lock:
            left = tuple(transfers for transfers in self._shown if transfers.task_name != task_name)
            is_empty = not left and not self._heading
            # rich before 13.9 leaves an empty line of a region that was empty at the end.
            self._shown = self._shown if is_empty else left
            return not is_empty

    def write(self, text: str) -> None:
        """Write above the bars, soon. An incomplete line waits for its end."""
        with self._lock:
            self._written += text
        self._waking.set()

    def close(self) -> None:
        """Remove the bars, restore the cursor, and write the rest; may be called again if interrupted."""
        self._closing.set()
        self._waking.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            rest, self._written = self._written, ""
        if rest:
            self._console.out(rest, highlight=False, end="")

    def _draw(self) -> None:
        with self._live:
            while True:
                is_last = self._closing.is_set()
                self._write_lines()
                self._live.refresh()
                if is_last:
                    return
                self._waking.wait(_INTERVAL)
                self._waking.clear()

    def _write_lines(self) -> None:
        with self._lock:
            lines, newline, self._written = self._written.rpartition("\n")
        if newline:
            self._console.out(lines, highlight=False)

    def _render(self) -> RenderableType:
        width, height = self._console.size
        standings = [transfers.standing() for transfers in self._shown]
        # The last column stays free: some terminals move to the next line immediately.
        width = max(1, width - 1)
        heading = [_text(self._heading, width)] if self._heading else []
        lines = max(1, min(_LINES, height - 2 - len(heading)))
        return Group(*heading, *render(standings, lines=lines, width=width))


def render(standings: Sequence[Standing], *, lines: int, width: int) -> Iterator[RenderableType]:
    """Yield at most `lines` lines: the state of each task, then, as far as there is room, its transfers."""
    if not standings:
        return
    shown = standings if len(standings) <= lines else standings[: lines - 1]
    is_detailed = sum(1 + bool(standing.images) for standing in standings) <= lines
    room = lines - sum(1 + (is_detailed and bool(standing.images)) for standing in shown)
    label_width = min(max((_DIGEST_WIDTH, *(len(standing.task_name) for standing in shown))), width // 2)
    for index, standing in enumerate(shown):
        yield _bar(standing.task_name, standing, label_width, width, _pace(standing))
        if is_detailed and standing.images:
            yield _text(f"  {_details(standing)}", width)
        running = standing.running[: room // (len(shown) - index)] if len(shown) == len(standings) else ()
        room -= len(running)
        for transfer in running:
            yield _bar(f"  {short(transfer.digest)}", transfer, label_width, width)
    if len(shown) < len(standings):
        yield _text(f"and {len(standings) - len(shown)} more", width)


def _bar(label: str, shown: Standing | Transfer, label_width: int, width: int, pace: str = "") -> RenderableType:
    """Return one line; if it is too narrow, the bar is dropped first, then the end of the numbers."""
    done, size = shown.done, shown.size
    numbers = f"{100 * done // size if size else 100:3}%  {human_size(done)} of {human_size(size)}{pace}"
    least, most = _BAR_WIDTHS
    bar_width = min(most, width - label_width - _NUMBERS_WIDTH - 2)
    # A blob without bytes is complete from its start.
    bar = ProgressBar(total=size or 1, completed=done if size else 1, width=bar_width)
    bars = [bar] if bar_width >= least else []
    rest = max(1, width - label_width - 1 - len(bars) * (bar_width + 1))
    widths = (label_width, *[bar_width] * len(bars), rest)
    table = Table.grid(*(Column(width=each) for each in widths), padding=(0, 1, 0, 0))
    table.add_row(_text(label, label_width), *bars, _text(numbers, rest))
    return table


def _pace(standing: Standing) -> str:
    """Return the text after the amount: the speed and, if it is known, the remaining time."""
    if not standing.speed:
        return ""
    left = (standing.size - standing.done) / standing.speed
    shown = f"  {timedelta(seconds=round(left))} left" if left < _LONGEST else ""
    return f"  {human_size(standing.speed)}/s{shown}"


def _text(text: str, width: int) -> Text:
    # Not by rich's ellipsis, which some encodings lack.
    return Text(text[:width], no_wrap=True, overflow="crop")


def _details(standing: Standing) -> str:
    return (
        f"{standing.images_done}/{standing.images} images, {standing.mounted} blobs mounted, "
        f"{standing.present} already there"
    )
