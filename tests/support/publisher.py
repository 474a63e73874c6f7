"""Publishes generations of a directory, to be killed: `python -m tests.support.publisher TARGET`.

A generation is a number of files that all hold the same number, so that a mixture shows.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
from pathlib import Path
from unittest import mock

from bundlepipe.filesystem.replace import replace_directory

FILES = 6


def fill(directory: str, generation: int) -> None:
    """Write a generation."""
    os.mkdir(os.path.join(directory, "below"))
    for number in range(FILES):
        Path(directory, "below" if number % 2 else ".", str(number)).write_text(str(generation))


def generation_of(directory: Path) -> int | None:
    """Return the generation in a directory, None if it is absent; AssertionError if it is a mixture."""
    if not directory.exists():
        return None
    contents = [Path(directory, "below" if number % 2 else ".", str(number)).read_text() for number in range(FILES)]
    assert len(set(contents)) == 1, contents
    assert sum(len(files) for _, _, files in os.walk(directory)) == FILES
    return int(contents[0])


def _publish(target: str, generation: int) -> None:
    with replace_directory(target) as directory:
        fill(directory, generation)


def _killed_at(step: int, target: str, generation: int) -> bool:
    """Publish in a process that is killed before its `step`th call to the system; tell whether it came so far."""
    process = os.fork()
    if process == 0:
        steps = itertools.count(1)

        def kill_in_time(event: str, _: object) -> None:
            if event.startswith(("os.", "open", "fcntl.", "ctypes.")) and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill_in_time)
        _publish(target, generation)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    return os.WIFSIGNALED(status)


def kill_at_every_step(target: str) -> None:
    """Print, for each step of a publication, what a kill there left, and what is there once the next one failed."""
    for step in itertools.count(1):
        _publish(target, -step)
        was_killed = _killed_at(step, target, step)
        left = generation_of(Path(target))
        with contextlib.suppress(ZeroDivisionError), replace_directory(target):
            _ = 1 / 0
        _say(step, left, generation_of(Path(target)))
        if not was_killed:
            return


def _say(*words: int | None) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Publish for ever, or be killed at every step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--start", type=int, default=1)
    parser.add_argument("--count", type=int)
    parser.add_argument("--two-steps", action="store_true")
    parser.add_argument("--kill-at-every-step", action="store_true")
    arguments = parser.parse_args()
    if arguments.two_steps:
        mock.patch("bundlepipe.filesystem.replace.exchange", return_value=False).start()
    if arguments.kill_at_every_step:
        kill_at_every_step(arguments.target)
        return
    generations = itertools.islice(itertools.count(arguments.start), arguments.count)
    for generation in generations:
        _publish(arguments.target, generation)
        _say(generation)


if __name__ == "__main__":
    main()
