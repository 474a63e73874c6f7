"""Run other programs as part of a task, passing on their output line by line."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import os
import re
import selectors
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import IO

from bundlepipe.concurrency.cancellation import raise_if_cancelled, uninterrupted
from bundlepipe.errors import ProgramError, ProgramMissing, command_text, printable
from bundlepipe.filesystem.base_directory import anchored

TakeLine = Callable[[str], None]

_KEPT_LINES = 20
# Characters: output without line ends is passed on in pieces, so that memory is bounded.
_LONGEST_LINE = 65536
_CHUNK = 65536
# Seconds: how often a silent program is checked, and how long one may take to end.
_GLANCE = 0.2
_GRACE = 5.0
# More than a pipe holds, in chunks: what is left to read from a program that has ended.
_LAST_CHUNKS = 32
# ECMA-48, section 5.4: sequences that move the cursor and set colours.
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")

_running: set[subprocess.Popen[bytes]] = set()


def run_program(
    command: Sequence[str],
    take_line: TakeLine,
    *,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    without: Collection[str] = (),
    stdin: bytes | None = None,
    captures_output: bool = False,
    shown: str | None = None,
) -> bytes:
    """Run a program to its end and return what it wrote to stdout.

    Each line that it writes to stderr goes to `take_line` as it comes; so does stdout, and nothing is
    returned, unless `captures_output`. If a program overwrites a line, as for progress bars, only its
    last state is passed on; lines of more than 64 Ki characters come in pieces. `environment` holds
    variables in addition to those of this process, except those that `without` names; `shown` is the
    command in messages, if its arguments may be secret. Processes that the program leaves running are
    not waited for. Raises ProgramMissing if there is no such program, ProgramError if it ends by a
    signal or with an exit status other than 0, and Cancelled if this work is cancelled meanwhile.
    Cancellation, and any exception of `take_line`, end the program.
    """
    name = command_text(command) if shown is None else shown
    inherited = {key: value for key, value in os.environ.items() if key not in without}
    variables = {**inherited, **(environment or {})}
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    captured = bytearray()

    def take(line: str) -> None:
        tail.append(line)
        take_line(line)

    lines = _Lines(take)
    with contextlib.ExitStack() as ending:
        # A signal during this would leave a program running.
        with uninterrupted:
            process = _started(command, name, directory, variables, stdin is not None, captures_output)
            _running.add(process)
            ending.callback(_dismiss, process)
        selector = ending.enter_context(selectors.DefaultSelector())
        _read(selector, process.stderr or process.stdout, lines.take)
        if captures_output:
            _read(selector, process.stdout, captured.extend)
        if stdin is not None:
            _write(selector, process.stdin, stdin)
        _attend(process, selector)
        lines.end()
        _await(process)
    if process.returncode:
        raise ProgramError(name, process.returncode, tail)
    return bytes(captured)


def _started(
    command: Sequence[str],
    name: str,
    directory: str | None,
    variables: Mapping[str, str],
    has_input: bool,
    captures_output: bool,
) -> subprocess.Popen[bytes]:
    if directory is not None and not os.path.isdir(anchored(directory)):
        raise ProgramError(name, None, (), f"{directory}: no such directory to run it in")
    place = anchored(os.curdir if directory is None else directory)
    try:
        return subprocess.Popen(
            list(command),
            cwd=None if place == os.curdir else place,
            env=variables,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if captures_output else subprocess.STDOUT,
            bufsize=0,
        )
    except FileNotFoundError:
        program = os.path.join(place, command[0]) if os.sep in command[0] else command[0]
        if not shutil.which(program, path=variables.get("PATH")):
            raise ProgramMissing(name.partition(" ")[0]) from None
        reason = "the interpreter that its first line names is missing"
    except (OSError, ValueError) as error:
        reason = error.strerror or "unknown error" if isinstance(error, OSError) else str(error)
    raise ProgramError(name, None, (), f"cannot be started: {reason}")


class _Lines:
    """Splits a program's output into lines."""

    def __init__(self, take_line: TakeLine) -> None:
        self._take_line = take_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def take(self, content: bytes) -> None:
        """Pass on complete lines."""
        *whole, self._rest = self._rest_and(self._decoder.decode(content)).split("\n")
        for line in whole:
            self._tell(line)
        if len(self._rest) > _LONGEST_LINE:
            self._tell(self._rest)
            self._rest = ""

    def end(self) -> None:
        """Pass on a last line without line end."""
        rest = self._rest_and(self._decoder.decode(b"", final=True))
        if rest:
            self._tell(rest)

    def _rest_and(self, text: str) -> str:
        # Text before a carriage return is overwritten and need not be kept; one at the end may belong to the
        # line end.
        start = self._rest.rfind("\r", 0, -1) + 1
        return self._rest[start:] + text

    def _tell(self, line: str) -> None:
        shown = _CONTROL_SEQUENCE.sub("", line.rstrip("\r").rpartition("\r")[2])
        self._take_line(printable(shown.expandtabs()))


def _read(selector: selectors.BaseSelector, stream: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
    """Register a stream with the selector, with the function that takes its next chunk."""
    assert stream

    def work() -> None:
        chunk = os.read(stream.fileno(), _CHUNK)
        if chunk:
            take(chunk)
        else:
            selector.unregister(stream)

    selector.register(stream, selectors.EVENT_READ, work)


def _write(selector: selectors.BaseSelector, stream: IO[bytes] | None, content: bytes) -> None:
    """Register a stream with the selector, with the function that writes the next piece, and closes it at last."""
    assert stream
    os.set_blocking(stream.fileno(), False)
    rest = memoryview(content)

    def work() -> None:
        nonlocal rest
        try:
            rest = rest[os.write(stream.fileno(), rest[:_CHUNK]) :] if rest else rest
        except BrokenPipeError:
            # A program need not read all of its input.
            rest = rest[:0]
        if not rest:
            selector.unregister(stream)
            stream.close()

    selector.register(stream, selectors.EVENT_WRITE, work)


def _attend(process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> None:
    """Handle events until all pipes are closed, or the program has ended and its output is read."""
    chunks_left = _LAST_CHUNKS
    while selector.get_map() and chunks_left:
        has_ended = process.poll() is not None
        ready = selector.select(0 if has_ended else _GLANCE)
        if has_ended:
            chunks_left = chunks_left - 1 if ready else 0
        for key, _ in ready:
            key.data()
        raise_if_cancelled()


def _await(process: subprocess.Popen[bytes]) -> None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GLANCE)
            return
        raise_if_cancelled()


def _dismiss(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, and close its pipes."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()
    _end(process)
    _running.discard(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, first by SIGTERM."""
    if process.poll() is None:
        process.terminate()
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _end_all() -> None:
    """End programs of threads that an interruption left behind: the threads cannot end them."""
    for process in list(_running):
        _end(process)


atexit.register(_end_all)
os.register_at_fork(after_in_child=_running.clear)
