"""A session of `doit watch`: look, run, wait for changes, and again."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.pipeline.watching import children
from bundlepipe.pipeline.watching.changes import Changes
from bundlepipe.pipeline.watching.children import CommandLine
from bundlepipe.pipeline.watching.inputs import Inputs, Watched
from bundlepipe.pipeline.watching.looking import Look
from bundlepipe.progress.phrases import few

# Runs in a row during each of which the same files changed: then one of the tasks writes them.
_MOST_REPEATS = 3
_MOST_LOOKS = 5
_UP_TO_DATE = "everything is up to date"
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Session:
    """Runs the tasks of a command line once, and again after each change of their inputs."""

    def __init__(self, command: CommandLine) -> None:
        self._command = command
        self._changes = Changes()
        # Of the last pipeline that could be loaded, and with what could not be loaded since.
        self._good = Inputs("")
        self._watched = Watched(self._good)
        self._is_running = self._is_waiting = False
        self._error_shown = ""
        self._repeated: frozenset[str] = frozenset()
        self._repeats = 0

    def work(self) -> int:
        """Run and watch until a signal ends it; return the exit status, that of the first look if it fails.

        Raises BundlepipeError if the system cannot watch the inputs, or if their directory was removed.
        """
        signals: list[int] = []
        try:
            with _ended_by(_ENDING, signals):
                return self._work()
        except KeyboardInterrupt:
            was_busy = self._is_running
            sys.stderr.write("interrupted: the next run does what is not finished\n" if was_busy else "watch: ended\n")
            return 128 + (signals[0] if signals else signal.SIGINT)
        finally:
            self._changes.close()

    def _work(self) -> int:
        outcome = children.look(self._command.once_started())
        if outcome.status or outcome.look is None:
            sys.stderr.write(outcome.output)
            return outcome.status or 1
        self._good = outcome.look.inputs
        self._watch(self._good)
        during, status = self._run(outcome.look.reasons or outcome.look.usual or [_UP_TO_DATE])
        self._command = self._command.once_started()
        while True:
            look = self._look()
            again = self._reasons_after_run(during, look, has_failed=status != 0) if look else ()
            if again:
                during, status = self._run(again, during & self._good.of_others)
            else:
                self._say_waiting(status)
                during, status = self._run(self._reasons_to_come())

    def _watch(self, inputs: Inputs) -> bool:
        """Watch inputs; return whether changes of some of them may have been missed."""
        self._watched = Watched(inputs)
        return self._changes.watch(self._watched.directories())

    def _look(self) -> Look | None:
        """Look at the tasks as they are now, and watch their inputs; None, and an error shown, if they are faulty."""
        self._require_directory()
        self._watch(self._watched.inputs)
        look = None
        # Where directories come and go all the time, the next changes are waiting after that many.
        for _ in range(_MOST_LOOKS):
            outcome = children.look(self._command)
            if outcome.status or outcome.look is None:
                if outcome.look:
                    self._watch(self._good.with_definitions(outcome.look.inputs))
                self._show_error(outcome.output or f"watch: the tasks cannot be loaded: exit status {outcome.status}\n")
                return None
            look, self._good = outcome.look, outcome.look.inputs
            if not self._watch(self._good):
                break
        self._error_shown = ""
        return look

    def _require_directory(self) -> None:
        """Raise BundlepipeError if the directory of the run, or this process's own, is not there any more."""
        directory = self._good.directory
        try:
            # That of the same name may be another one.
            os.getcwd()
            is_there = os.path.isdir(directory)
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise BundlepipeError(f"watch: {printable(directory)} was removed or renamed: start it again")

    def _show_error(self, text: str) -> None:
        if text != self._error_shown:
            self._error_shown = text
            sys.stdout.flush()
            sys.stderr.write(text)
            sys.stderr.flush()
            self._is_waiting = False

    def _say_waiting(self, status: int = 0) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            _say(f"exit status {status}; waiting for changes" if status else "waiting for changes")

    def _reasons_to_come(self) -> Sequence[str]:
        """Wait for changes after which there is something to do, and return why."""
        while True:
            changed: set[str] = set()
            while not changed:
                self._require_directory()
                changed = self._watched.relevant(self._changes.next())
            look = self._look()
            if look and (look.reasons or look.usual):
                self._repeats = 0
                return look.reasons or look.usual
            if look:
                _say(f"nothing to do ({_phrase(self._watched.inputs.shown(changed))} changed)")
            self._say_waiting()

    def _run(self, reasons: Sequence[str], missed: frozenset[str] = frozenset()) -> tuple[frozenset[str], int]:
        """Run the tasks; return the inputs that changed meanwhile, and the exit status.

        `missed` are those that users' own tasks read before they changed.
        """
        _say(_phrase(reasons))
        changed: set[str] = set()
        self._is_running, self._is_waiting = True, False
        status = children.run(self._command, missed, lambda: changed.update(self._changes.next()))
        while last := self._changes.next():
            changed |= last
        self._is_running = False
        return frozenset(self._watched.relevant(changed)), status

    def _reasons_after_run(self, during: frozenset[str], look: Look, *, has_failed: bool) -> Sequence[str]:
        """Return why what changed `during` a run requires another one; nothing if it does not.

        What the run itself wrote does not: it left no task with a reason to run, but those of every run. A run that
        failed leaves tasks with reasons in any case, so there what its locks wrote is left out.
        """
        if has_failed:
            during -= look.written
        reasons = look.reasons if during else ()
        if not reasons and self._watched.definitions_among(during):
            reasons = look.usual
        missed = self._watched.inputs.shown(during & look.inputs.of_others)
        reasons = reasons or [f"{path} changed" for path in missed]
        if not reasons:
            return ()
        self._repeats = self._repeats + 1 if during == self._repeated else 1
        self._repeated = during
        if self._repeats <= _MOST_REPEATS:
            return reasons
        names = _phrase(self._watched.inputs.shown(during))
        _say(
            f"{names} changed in each of the last {self._repeats} runs: a task writes what others read: "
            "declare it as a target of that task"
        )
        return ()


def _phrase(items: Sequence[str]) -> str:
    return few([printable(item) for item in items])


def _say(text: str) -> None:
    sys.stdout.write(f"watch: {text}\n")
    sys.stdout.flush()


@contextmanager
def _ended_by(numbers: Sequence[signal.Signals], received: list[int]) -> Iterator[None]:
    """Let signals end the session as Ctrl-C does; those that were received are noted."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    # What is ignored, as SIGHUP by nohup, stays so.
    previous = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number in numbers if previous[number] != signal.SIG_IGN]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, previous[number])
