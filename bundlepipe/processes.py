"""Other programs, run as part of a task: what they print is told line by line while they run."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from bundlepipe.cancellation import Cancelled, is_cancelled
from bundlepipe.errors import ProgramError, ProgramMissing, printable, shortened

TakeLine = Callable[[str], None]

_KEPT_LINES = 20
_LONGEST_COMMAND = 200
# Seconds: how often a program that prints nothing is looked after, and how long one may take to end.
_GLANCE = 0.2
_GRACE = 5.0


def run_program(
    command: Sequence[str],
    take_line: TakeLine,
    *,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    captures_output: bool = False,
) -> bytes:
    """Run a program to its end and return what it wrote to stdout.

    Each line that it writes to stderr goes to `take_line` as it comes, from another thread;
    so does stdout, and nothing is returned, unless `captures_output`. `environment` holds
    variables beside those of this process. Raises ProgramMissing where there is no such
    program, ProgramError if it ends by a signal or with another exit status than 0, and
    Cancelled if this work is given up meanwhile, after ending the program.
    """
    process = _started(command, directory, environment, stdin is not None, captures_output)
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    captured: list[bytes] = []

    def take(line: str) -> None:
        tail.append(line)
        take_line(line)

    workers = [threading.Thread(target=_tell_lines, args=(process.stderr or process.stdout, take), daemon=True)]
    if captures_output:
        workers.append(threading.Thread(target=_capture, args=(process.stdout, captured), daemon=True))
    if stdin is not None:
        workers.append(threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True))
    try:
        for worker in workers:
            worker.start()
        _await(process)
    finally:
        _end(process)
        # A program may leave another one behind that keeps the pipes open: nobody waits for that.
        for worker in workers:
            worker.join(_GRACE)
    if process.returncode:
        raise ProgramError(command_text(command), process.returncode, tail)
    return b"".join(captured)


def command_text(command: Sequence[str]) -> str:
    """Return a command as messages show it: quoted as for a shell, one line, of bounded length."""
    return shortened(shlex.join(command), _LONGEST_COMMAND)


def _started(
    command: Sequence[str],
    directory: str | None,
    environment: Mapping[str, str] | None,
    has_input: bool,
    captures_output: bool,
) -> subprocess.Popen[bytes]:
    if directory is not None and not os.path.isdir(directory):
        raise ProgramError(command_text(command), None, (), f"{directory}: no such directory to run it in")
    try:
        return subprocess.Popen(
            list(command),
            cwd=directory,
            env={**os.environ, **environment} if environment else None,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if captures_output else subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise ProgramMissing(command[0]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProgramError(command_text(command), None, (), f"cannot be started: {reason}") from None


def _await(process: subprocess.Popen[bytes]) -> None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GLANCE)
            return
        if is_cancelled():
            raise Cancelled("given up, since other work failed")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, gently at first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tell_lines(stream: IO[bytes] | None, take_line: TakeLine) -> None:
    assert stream
    with stream:
        for line in stream:
            take_line(printable(line.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2].expandtabs()))


def _capture(stream: IO[bytes] | None, captured: list[bytes]) -> None:
    assert stream
    with stream:
        captured.append(stream.read())


def _feed(stream: IO[bytes] | None, content: bytes) -> None:
    assert stream
    # A program need not read all of its input.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(content)
