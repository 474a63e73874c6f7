"""A running `doit watch`, whose output a test waits for.

with watching(project, "push_bundle") as watch:
    project.write("app/config.yml", "kind: Other\n")
    assert "watch: app/config.yml changed" in watch.until(WAITS)
"""

from __future__ import annotations

import os
import pty
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.project import Project

WAITS = r"^watch: .*waiting for changes$"
DOIT = (sys.executable, "-m", "doit")
# Gives its terminal to the program whose arguments follow, so that Ctrl-C reaches it.
_WITH_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@contextmanager
def _signals_taken() -> Iterator[None]:
    # A shell lets what it starts in the background ignore these, and so do the processes that this starts.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# Seconds: who waits longer waits for something that does not come.
_LONGEST = 60


class Watch:
    """A process of `doit watch`, on a terminal of its own if that is asked for."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str], *, on_terminal: bool
    ) -> None:
        self._terminal, output = pty.openpty() if on_terminal else os.pipe()
        with _signals_taken():
            self.process = subprocess.Popen(
                [sys.executable, "-c", _WITH_TERMINAL, *command] if on_terminal else command,
                cwd=directory,
                env=environment,
                stdin=output if on_terminal else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        os.close(output)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, key: bytes) -> None:
        """Press a key on the terminal."""
        os.write(self._terminal, key)

    def until(self, pattern: str) -> list[str]:
        """Return the lines from the last ones returned up to one that a pattern is found in."""
        lines: list[str] = []
        while not lines or not re.search(pattern, lines[-1]):
            lines.append(self._next(f"{pattern!r} after {lines}"))
        return lines

    def rest(self) -> list[str]:
        """Return the lines up to the end."""
        lines: list[str] = []
        while (line := self._lines.get(timeout=_LONGEST)) is not None:
            lines.append(line)
        return lines

    def ended(self, status: int) -> list[str]:
        """Return the last lines of a process that ends by itself, with this exit status."""
        lines = self.rest()
        assert self.process.wait(_LONGEST) == status, lines
        return lines

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(_LONGEST)
        self._reader.join(_LONGEST)
        os.close(self._terminal)

    def _next(self, wanted: str) -> str:
        try:
            line = self._lines.get(timeout=_LONGEST)
        except queue.Empty:
            line = None
        assert line is not None, f"there is no {wanted}"
        return line

    def _read(self) -> None:
        rest = b""
        try:
            while data := os.read(self._terminal, 65536):
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    self._lines.put(line.decode().rstrip("\r"))
        except OSError:
            pass  # Linux tells by EIO that nobody has the other end of a terminal any more
        if rest:
            self._lines.put(rest.decode())
        self._lines.put(None)


@contextmanager
def watching(
    project: Project, *arguments: str, command: Sequence[str] = (*DOIT, "watch"), on_terminal: bool = False
) -> Iterator[Watch]:
    """Watch a project while the context lasts."""
    environment = {**os.environ, **project.environment}
    watch = Watch([*command, *arguments], project.directory, environment, on_terminal=on_terminal)
    try:
        yield watch
    finally:
        watch.stop()
