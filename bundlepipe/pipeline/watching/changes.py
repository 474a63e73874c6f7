"""Changes of files as they happen, through the library watchfiles.

Directories are watched one by one instead of whole trees: what a pipeline leaves out, such as `.git` or
dependencies in a build context, may have more directories than the system can watch.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from bundlepipe.errors import BundlepipeError, printable

if TYPE_CHECKING:
    from watchfiles.main import FileChange

# Milliseconds: changes that follow one another within STEP belong together, for at most LONGEST. A TURN without
# changes ends, so that a run that has ended is noticed.
_STEP = 100
_LONGEST = 3000
_TURN = 200
# Directories may vanish between being listed and being watched.
_ATTEMPTS = 20

_Turns = Generator["set[FileChange]", None, None]


class Changes:
    """Collects changes in directories, from the moment of `watch`; for one thread."""

    def __init__(self) -> None:
        self._directories: frozenset[str] = frozenset()
        self._turns: _Turns | None = None
        self._seen: set[str] = set()
        self._has_lost_some = False

    def watch(self, directories: Iterable[str]) -> bool:
        """Watch these directories, each for its own entries; return whether changes in some may have been missed.

        Changes that were seen so far are kept. Raises BundlepipeError if the system does not allow it.
        """
        wanted, previous = frozenset(directories), self._turns
        is_more = self._has_lost_some or not wanted <= self._directories
        if not is_more and wanted == self._directories:
            return False
        turns = _begun(wanted)
        if previous:
            self._take(next(previous))
            previous.close()
        self._directories, self._turns, self._has_lost_some = wanted, turns, False
        return is_more

    def next(self) -> set[str]:
        """Return the absolute paths that changed; an empty set after a while without changes.

        Changes that follow one another quickly come together. Raises KeyboardInterrupt if a handler of signals
        raised anything.
        """
        assert self._turns
        self._take(next(self._turns))
        seen, self._seen = self._seen, set()
        return seen

    def close(self) -> None:
        """Stop."""
        if self._turns:
            self._turns.close()

    def _take(self, changes: set[FileChange]) -> None:
        paths = {os.path.normpath(path) for _, path in changes}
        self._seen |= paths
        # One that vanished and came back is another one for the system.
        self._has_lost_some |= not self._directories.isdisjoint(paths)


def _begun(directories: frozenset[str]) -> _Turns:
    """Return changes from now on; BundlepipeError if the system does not allow it."""
    from watchfiles import watch

    for _ in range(_ATTEMPTS):
        present = sorted(path for path in directories if os.path.isdir(path))
        turns = watch(
            *present,
            watch_filter=None,
            debounce=_LONGEST,
            step=_STEP,
            rust_timeout=_TURN,
            yield_on_timeout=True,
            recursive=False,
            ignore_permission_denied=True,
        )
        try:
            # The first turn begins it.
            return _with(next(turns), turns)
        except FileNotFoundError:
            continue
        except (OSError, RuntimeError) as error:
            # The library has an error of its own for limits, a RuntimeError.
            raise BundlepipeError(_impossible(len(present), error)) from None
    raise BundlepipeError("watch: directories vanish faster than they can be watched: start it again")


def _with(first: set[FileChange], turns: _Turns) -> _Turns:
    """Yield the changes of a turn that was taken, and then the others."""
    try:
        if first:
            yield first
        yield from turns
    finally:
        turns.close()


def _impossible(count: int, error: OSError | RuntimeError) -> str:
    return (
        f"watch: inputs in {count} director{'y' if count == 1 else 'ies'} cannot be watched: "
        f"{printable(str(error))}: raise the limits of the system "
        "(on Linux fs.inotify.max_user_watches and fs.inotify.max_user_instances), or set "
        "WATCHFILES_FORCE_POLLING=1, which compares files again and again"
    )
