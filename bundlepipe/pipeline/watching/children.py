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
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from bundlepipe.pipeline.watching.looking import Look

# Seconds that an interrupted run, and the programs that it leaves, have to end; and after which a line says so.
_GRACE = 15.0
_PATIENCE = 1.0
# Seconds between two glances at the programs.
_GLANCE = 0.05
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
    """Return what this process is to do, and a descriptor to exchange values by; its programs do not see it.

    From here on a child ends with its programs, as by SIGTERM, if the process that watches ends.
    """
    role, *descriptors = os.environ.pop(_ROLE, "watch").split(":")
    if role not in ("look", "run"):
        return "watch", -1
    told, alive = map(int, descriptors)
    for descriptor in (told, alive):
        os.set_inheritable(descriptor, False)
    threading.Thread(target=_end_with, args=[alive], daemon=True).start()
    return ("look" if role == "look" else "run"), told


def _end_with(alive: int) -> None:
    """Wait until the process that watches has ended, in whatever way; then end this one and its programs."""
    # Nothing is ever written: its end is the end of the pipe.
    os.read(alive, 1)
    group = os.getpgrp()
    _signal(group, signal.SIGTERM)
    time.sleep(_GRACE)
    _signal(group, signal.SIGKILL)


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
        with _child(command, "look", told, output) as process:
            status = process.wait()
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
        with _child(command, "run", told, None) as process:
            while process.poll() is None:
                meanwhile()
        return process.wait()


@contextmanager
def _child(
    command: CommandLine, role: Role, told: IO[bytes], output: IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, which sees the end of this one; an exception ends it, and the programs that it runs."""
    alive, ours = os.pipe()
    try:
        process = _started(command, role, [told.fileno(), alive], output)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(alive)
    try:
        yield process
    except BaseException:
        _end(process)
        raise
    finally:
        os.close(ours)


def _started(
    command: CommandLine, role: Role, descriptors: Sequence[int], output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command.program, *command.arguments],
        env={**os.environ, _ROLE: ":".join([role, *map(str, descriptors)])},
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        # Ctrl-C goes to this process alone, which then ends the other one: while that starts, it would print a
        # traceback, and the programs that it runs would get the signal twice.
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and the programs that it runs, orderly; at once after a while, or another interruption."""
    group, began, has_told = process.pid, time.monotonic(), False
    try:
        _signal(group, signal.SIGTERM)
        while process.poll() is None or _has_members(group):
            waited = time.monotonic() - began
            if waited > _GRACE:
                break
            if waited > _PATIENCE and not has_told:
                has_told = True
                sys.stderr.write("watch: waiting for the run and its programs to end; Ctrl-C ends them at once\n")
            time.sleep(_GLANCE)
    except KeyboardInterrupt:
        pass  # the second one: they end at once
    if process.poll() is None or _has_members(group):
        _signal(group, signal.SIGKILL)
        process.wait()


def _has_members(group: int) -> bool:
    """Return whether processes of a group are running; those that have ended but were not awaited are not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not os.path.isdir("/proc/self"):
        return True
    # The first process of a container may await none.
    return any(_runs_in(group, name) for name in os.listdir("/proc") if name.isdigit())


def _runs_in(group: int, process: str) -> bool:
    """Return whether a process runs in a group: proc_pid_stat(5)."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            state, _, its_group, *_ = file.read().rpartition(b")")[2].split()
    except OSError:
        return False  # it ended meanwhile
    return int(its_group) == group and state not in (b"Z", b"X")


def _signal(group: int, number: int) -> None:
    # The group may have ended just now; on macOS one that has only unawaited processes gives the other error.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
