"""Remove unused entries from the lock file, once all locks of the pipeline were seen in one run."""

from __future__ import annotations

from collections.abc import Mapping

from doit.exceptions import InvalidTask
from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import paths_from
from bundlepipe.pipeline.doit_adapter.internals import Calculator
from bundlepipe.pipeline.running.staleness import Staleness, Values
from bundlepipe.pipeline.running.status import is_looked_at
from bundlepipe.pipeline.tasks.lock import ENTRIES, RUN
from bundlepipe.pipeline.tasks.lock_file import change_entries, entries_at_first, from_list, read_entries


class UnusedEntries(Calculator):
    """Removes entries that no lock needs; called for a group, after all locks, in doit's main process.

    Records of earlier runs do not count, as configuration may have changed since: a run without
    some of the locks removes nothing. `checks` are those of all locks.
    """

    def __init__(self, path: str, checks: Mapping[str, Staleness], run_id: str) -> None:
        super().__init__()
        self._path = path
        self._checks = checks
        self._run_id = run_id

    def __call__(self, task: Task, values: Values) -> None:
        """Remove unused entries, without an opinion on whether the group is up to date. Raises InvalidTask."""
        if is_looked_at(task):
            return
        with paths_from(self.directory):
            self._remove()

    def __str__(self) -> str:
        """Return the purpose, for `doit info`."""
        return f"a search for unused entries of {self._path}"

    def _remove(self) -> None:
        recorded: dict[str, Values] = {name: self.recorded(name) for name in self._checks}
        if not all(check.is_current or recorded[name].get(RUN) == self._run_id for name, check in self._checks.items()):
            return
        used = {key for values in recorded.values() for key in from_list(values.get(ENTRIES, []))}
        try:
            if not read_entries(self._path).keys() <= used:
                # Entries added since this run began belong to another run, which knows what needs
                # them.
                unused = entries_at_first(self._path).keys() - used
                change_entries(self._path, lambda now: {key: now[key] for key in now.keys() - unused})
        except BundlepipeError as error:
            raise InvalidTask(str(error)) from None
        except OSError as error:
            raise InvalidTask(f"{self._path}: cannot be written: {error.strerror}") from None
