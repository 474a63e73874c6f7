"""The processes of `doit watch`: each look and each run loads dodo.py and the pipeline files again.

They execute the same command line; a variable of the environment tells what they are to do.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from bundlepipe.pipeline.watching.looking import Look

# Seconds that an interrupted run has to end.
_GRACE = 15.0
_ROLE = "BUNDLEPIPE_WATCH_ROLE"
Role = Literal["watch", "look", "run"]
# Requests for one run, not for all of them.
_ONCE = ("refresh=", "force=")


class CommandLine(Struct, frozen=True):
    """The command line of `doit watch`: its `program`, and all arguments after it."""

    program: Sequence[str]
    arguments: Sequence[str]

    @classmethod
    def own(cls, *, is_ours: bool) -> CommandLine:
        """Return that of this process, which runs doit, or our program (`is_ours`), or a program around doit."""
        arguments = sys.argv[1:]
        # Python takes its bytecode of a dodo.py for current if the size and the second of the last change are the same.
        python = [sys.executable, "-B"]
        start = len(sys.orig_argv) - len(arguments)
        if sys.orig_argv[start:] == arguments:
            return cls([*python, *sys.orig_argv[1:start]], arguments)
        return cls([*python, "-m", *(["bundlepipe", "doit"] if is_ours else ["doit"])], arguments)

    def once_started(self) -> CommandLine:
        """Return the command line of later runs: what was requested for one run is done by the first."""
        arguments = [argument for argument in self.arguments if not argument.startswith(_ONCE)]
        return CommandLine(self.program, arguments)


class Outcome(Struct, frozen=True):
    """The end of a look: its exit status, what it printed, and the look unless it failed before it could tell."""

    status: int
    output: str
    look: Look | None


def take_role() -> tuple[Role, int]:
    """Return what this process is to do, and a descriptor to exchange values by; its programs do not see it."""
    role, _, descriptor = os.environ.pop(_ROLE, "watch").partition(":")
    if role == "look":
        return "look", int(descriptor)
    return ("run", int(descriptor)) if role == "run" else ("watch", -1)


def is_child() -> bool:
    """Return whether this process was started to look or run."""
    return _ROLE in os.environ


def tell(look: Look, descriptor: int) -> None:
    """Send a look to the process that watches."""
    with open(descriptor, "wb", closefd=False) as file:
        file.truncate(0)
        file.seek(0)
        pickle.dump(look, file)


def changed_meanwhile(descriptor: int) -> frozenset[str]:
    """Return the absolute paths that changed while tasks ran that read them, for the process of the next run."""
    with open(descriptor, "rb") as file:
        # It is our own process that wrote it.
        changed: frozenset[str] = pickle.load(file)
    return changed


def look(command: CommandLine) -> Outcome:
    """Look at the tasks; an interruption ends the process."""
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as output:
        process = _started(command, f"look:{told.fileno()}", [told.fileno()], output)
        status = _awaited(process, process.wait)
        output.seek(0)
        told.seek(0)
        content = told.read()
        return Outcome(
            status,
            output.read().decode(errors="replace"),
            # It is our own process that wrote it.
            pickle.loads(content) if content else None,
        )


def run(command: CommandLine, changed: frozenset[str], meanwhile: Callable[[], object]) -> int:
    """Run the tasks, and call `meanwhile` until they have ended; return the exit status.

    `changed` are the absolute paths that changed while the tasks that read them ran before. An interruption,
    or any other exception of `meanwhile`, ends the run first.
    """
    sys.stdout.flush()
    with tempfile.TemporaryFile() as told:
        pickle.dump(changed, told)
        told.seek(0)
        process = _started(command, f"run:{told.fileno()}", [told.fileno()], None)

        def attend() -> int:
            while process.poll() is None:
                meanwhile()
            return process.wait()

        return _awaited(process, attend)


def _started(
    command: CommandLine, role: str, descriptors: Sequence[int], output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command.program, *command.arguments],
        env={**os.environ, _ROLE: role},
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        # Ctrl-C goes to this process alone, which then ends the other one: while that starts, it would print a
        # traceback, and the programs that it runs would get the signal twice.
        start_new_session=True,
    )


def _awaited(process: subprocess.Popen[bytes], wait: Callable[[], int]) -> int:
    try:
        return wait()
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and the programs that it runs, orderly; at once after a while, or another interruption."""
    try:
        _signal(process, signal.SIGTERM)
        process.wait(_GRACE)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    # The group may have ended just now.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
