"""How benchmarks measure: whole processes, in turn with their reference, medians and ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Command = Sequence[str]
DOIT = (sys.executable, "-m", "doit")


# Linux counts the memory of the parent as a peak of a new process, so a small process starts it.
_PEAK_LAUNCHER = """
import os, sys
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run_once(command: Command, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Run a command, which must succeed; return wall-clock seconds."""
    # The caller may have switched the writing of bytecode off; users have it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(env or {})}
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.run(
            command, check=False, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        seconds = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} ended with exit status {process.returncode}:\n{output.read().decode()}")
    return seconds


def peak_megabytes(command: Command, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    """Run a command, which must succeed; return its largest resident memory in MB."""
    launcher = [sys.executable, "-I", "-S", "-c", _PEAK_LAUNCHER, *command]
    process = subprocess.run(
        launcher, check=False, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True
    )
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with exit status {process.returncode}:\n{process.stdout}")
    # Linux counts in KiB, macOS in bytes.
    return int(process.stderr.split()[-1]) * (1 if sys.platform == "darwin" else 1024) / 1e6


def in_turn(commands: Sequence[Callable[[], float]], rounds: int, warm_up: int = 1) -> list[list[float]]:
    """Run each in turn, so that a machine whose speed drifts treats all alike; return the seconds of each.

    Every other round runs backwards, so that none always follows the same one.
    """
    samples: list[list[float]] = [[] for _ in commands]
    for number in range(warm_up + rounds):
        for collected, command in list(zip(samples, commands, strict=True))[:: -1 if number % 2 else 1]:
            sample = command()
            if number >= warm_up:
                collected.append(sample)
    return samples


def ratio(samples: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median of the ratios of neighbouring runs."""
    return statistics.median(a / b for a, b in zip(samples, reference, strict=True))


def report(what: str, measured: str, budget: str) -> None:
    """Print a row."""
    print(f"{what:<58} {measured:<44} budget {budget}", flush=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="bundlepipe-bench-") as directory:
        yield Path(directory)
