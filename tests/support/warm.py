"""Python processes that begin with everything loaded: forks of one that has imported it.

Tests run thousands of commands, and loading modules is most of what these do. A process is still
one of its own, with the directory, variables and streams that it is given, and nothing in it has
run before.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import pkgutil
import posix
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import bundlepipe

# What commands load beside the modules of bundlepipe.
_PACKAGES = ("docker", "doit.cmd_run", "doit.doit_cmd", "jsonschema", "multiprocessing.queues", "rich.console", "yaml")
# Variables that Python and the C library look at when they start, but for those that a fork can follow as well.
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_")
_FOLLOWED = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
_LARGEST_REQUEST = 1024 * 1024
_NUMBER = 4
_STREAMS = 3


def run_command(
    command: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes | None = None,
    timeout: float,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command and return what it wrote; warm if the Python of the tests runs it, a module or a script.

    timeout: seconds, after which the process is killed and subprocess.TimeoutExpired raised.
    """
    words = [os.fspath(word) for word in command]
    program = words[1:] if words[0] == sys.executable else words
    if (program[0] == "-m" or _is_script(program[0])) and _at_start(env) == _at_start(os.environ):
        return _forking().run(program, cwd, env, stdin, timeout)
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, check=False, timeout=timeout, **given)


@cache
def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.readline().rstrip() == b"#!" + os.fsencode(sys.executable)


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_AT_START) and name not in _FOLLOWED}


@cache
def _forking() -> _Forking:
    forking = _Forking()
    atexit.register(forking.stop)
    return forking


class _Forking:
    """The process that forks, seen from the tests."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from tests.support.warm import serve; serve()", str(theirs.fileno())],
                cwd=Path(__file__).parents[2],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """End it."""
        self._requests.close()
        self._process.wait()

    def run(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: bytes | None, timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in a fork of it."""
        mask = os.umask(0)
        os.umask(mask)
        request = json.dumps({"command": command, "cwd": os.fspath(cwd), "env": dict(env), "umask": mask}).encode()
        with contextlib.ExitStack() as opened:
            answers, theirs = (opened.enter_context(each) for each in socket.socketpair())
            ends = [os.pipe() for _ in range(_STREAMS)]
            written = opened.enter_context(open(ends[0][1], "wb", buffering=0))
            outputs = [opened.enter_context(open(reads, "rb")) for reads, _ in ends[1:]]
            given = [ends[0][0], ends[1][1], ends[2][1]]
            socket.send_fds(self._requests, [request], [theirs.fileno(), *given])
            theirs.close()
            for descriptor in given:
                os.close(descriptor)
            pid = _received(answers)
            with ThreadPoolExecutor(_STREAMS) as threads:
                threads.submit(_feed, written, stdin or b"")
                contents = [threads.submit(stream.read) for stream in outputs]
                answers.settimeout(timeout)
                try:
                    status = _received(answers)
                except TimeoutError:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, timeout) from None
                return subprocess.CompletedProcess(command, status, *(content.result(timeout) for content in contents))


def _feed(stream: IO[bytes], content: bytes) -> None:
    # A command may end without a look at its input.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(content)


def _received(answers: socket.socket) -> int:
    number = answers.recv(_NUMBER, socket.MSG_WAITALL)
    assert len(number) == _NUMBER, "the process that forks has ended"
    return int.from_bytes(number, sys.byteorder, signed=True)


def _sent(answers: socket.socket, number: int) -> None:
    answers.sendall(number.to_bytes(_NUMBER, sys.byteorder, signed=True))


def serve() -> None:
    """Fork for each request, until nobody asks any more."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    for name in (*_PACKAGES, *(each.name for each in pkgutil.walk_packages(bundlepipe.__path__, "bundlepipe."))):
        if not name.endswith(".__main__"):
            import_module(name)
    _save_coverage()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        content, descriptors, *_ = socket.recv_fds(requests, _LARGEST_REQUEST, 1 + _STREAMS)
        if not content:
            return
        if os.fork() == 0:
            requests.close()
            _fork_again(json.loads(content), socket.socket(fileno=descriptors[0]), descriptors[1:])
        for descriptor in descriptors:
            os.close(descriptor)


def _save_coverage() -> None:
    """Save what `coverage` has measured so far, if it does, or every fork would save it once more."""
    coverage = sys.modules.get("coverage")
    if coverage and (measured := coverage.Coverage.current()):
        measured.save()


def _fork_again(request: Mapping[str, Any], answers: socket.socket, streams: Sequence[int]) -> None:
    """Run what is asked for, in another fork for which this one waits, since only a parent can."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        for descriptor in streams:
            os.close(descriptor)
        _sent(answers, pid)
        _sent(answers, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        # Past what `coverage` makes of os._exit: nothing was run here that it could save.
        posix._exit(0)
    answers.close()
    _become(request, streams)
    try:
        _run(request["command"])
    except SystemExit as ended:
        _exit(ended)
    _exit(SystemExit())


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Give this process the directory, variables and streams of a request, as Python gives them to itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    for standard, descriptor in enumerate(streams):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding, "backslashreplace", closefd=False)  # noqa: SIM115
    sys.stdout.reconfigure(write_through=at_once)
    sys.stderr.reconfigure(write_through=at_once)


def _run(command: list[str]) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    if command[0] == "-m":
        sys.argv = command[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        sys.path[0] = os.path.dirname(os.path.realpath(command[0]))
        runpy.run_path(command[0], run_name="__main__")


def _exit(ended: SystemExit) -> None:
    """End as Python does, but do not take down one by one the modules that were loaded."""
    if not (ended.code is None or isinstance(ended.code, int)):
        sys.stderr.write(f"{ended.code}\n")
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        os._exit(120)
    os._exit(ended.code & 0xFF if isinstance(ended.code, int) else int(ended.code is not None))
