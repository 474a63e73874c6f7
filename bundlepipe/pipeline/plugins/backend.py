"""A database for doit that survives a kill: each task that ran appends one line.

doit writes its own databases at the end of a run, so a killed run loses all records, and concurrent
runs lose each other's. Here a task's record is appended, under a lock, when its last part was set;
nothing is rewritten in place.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import IO, Any, Protocol

from doit.exceptions import InvalidDodoFile, InvalidTask

from bundlepipe.filesystem.files import incoming
from bundlepipe.pipeline.doit_adapter.internals import LAST_PART

# A file with more superseded than live lines than this is compacted.
_COMPACT_ABOVE = 3
_SEPARATOR = b"\t"
# Names of files that are not UTF-8 hold surrogates, and tasks may be named for files.
_OTHERS = "surrogatepass"


class Codec(Protocol):
    """doit's encoding of records: its JSONCodec, or a class the user configured."""

    def encode(self, data: Any) -> str:
        """Return a record as one line of text."""
        ...

    def decode(self, data: str) -> Any:
        """Decode a record; ValueError if it is invalid."""
        ...


class AppendOnlyDB:
    """doit's interface of a backend (see doit.dependency.JsonDB) on an append-only file.

    A line is a task's name, a tab and its encoded record; a line without a record means that the
    task was forgotten. A last line cut short by a kill is ignored.
    """

    desc = "one appended line per task: keeps the records of a killed run"

    def __init__(self, name: str, codec: Codec, *, module_name: str | None = None) -> None:
        self.name = name
        # Users' actions may change the directory.
        self._path = os.path.abspath(name)
        self._codec = codec
        self._encoded: dict[str, bytes] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._unsaved: set[str] = set()
        self._line_count = 0
        try:
            with open(name, "rb") as file:
                self._encoded, self._line_count = _read_lines(file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise InvalidDodoFile(f"{name}: the database of earlier runs cannot be read: {error.strerror}") from None

    def get(self, task_id: str, dependency: str) -> Any:
        """Return one part of a task's record; None if there is none."""
        return self._record(task_id).get(dependency)

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name and record of every task, in file order."""
        return ((task_id, self._record(task_id)) for task_id in self._encoded)

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Set one part of a task's record; the last part that doit sets makes the record durable."""
        self._record(task_id)[dependency] = value
        self._unsaved.add(task_id)
        if dependency == LAST_PART:
            self._save(task_id)

    def in_(self, task_id: str) -> bool:
        """Return whether there is a record of the task."""
        return task_id in self._encoded or bool(self._records.get(task_id))

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        self._records[task_id] = {}
        self._unsaved.discard(task_id)
        if task_id in self._encoded:
            self._append(task_id, b"")

    def remove_all(self) -> None:
        """Forget all tasks."""
        for task_id in list(self._encoded):
            self.remove(task_id)

    def dump(self) -> None:
        """Make durable what doit sets outside of runs (ignore), and compact a file of mostly superseded lines."""
        for task_id in list(self._unsaved):
            self._save(task_id)
        if self._line_count > _COMPACT_ABOVE * len(self._encoded) + 100:
            self._compact()

    def _save(self, task_id: str) -> None:
        self._unsaved.discard(task_id)
        self._append(task_id, self._codec.encode(self._records[task_id]).encode())

    def _record(self, task_id: str) -> dict[str, Any]:
        if task_id not in self._records:
            encoded = self._encoded.get(task_id)
            try:
                self._records[task_id] = self._codec.decode(encoded.decode()) if encoded else {}
            except ValueError:
                # A line cut short by a kill just after a brace; the task counts as never run.
                self._records[task_id] = {}
        return self._records[task_id]

    def _append(self, task_id: str, encoded: bytes) -> None:
        if self._encoded.get(task_id, b"") == encoded:
            return
        try:
            with self._locked_file() as file:
                os.write(file.fileno(), _line(task_id, encoded))
        except OSError as error:
            raise InvalidTask(f"{self.name}: what {task_id} did cannot be recorded: {error.strerror}") from None
        self._line_count += 1
        if encoded:
            self._encoded[task_id] = encoded
        else:
            self._encoded.pop(task_id, None)

    def _compact(self) -> None:
        with self._locked_file() as file:
            file.seek(0)
            encoded, self._line_count = _read_lines(file)
            with incoming(os.path.dirname(self._path)) as fresh:
                fresh.writelines(_line(task_id, record) for task_id, record in encoded.items())
                fresh.flush()
                os.replace(fresh.name, self._path)

    @contextlib.contextmanager
    def _locked_file(self) -> Iterator[IO[bytes]]:
        """Open the file for appending, under a lock; another run may just have replaced it with a compacted one."""
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        while True:
            with open(self._path, "a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file.fileno()), os.stat(self._path)):
                        _end_cut_line(file)
                        yield file
                        return


def _line(task_id: str, encoded: bytes) -> bytes:
    return task_id.encode(errors=_OTHERS) + _SEPARATOR + encoded + b"\n"


def _end_cut_line(file: IO[bytes]) -> None:
    """End a line cut short by a kill, so that the next one is not lost with it."""
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            os.write(file.fileno(), b"\n")


def _read_lines(file: IO[bytes]) -> tuple[dict[str, bytes], int]:
    """Return the latest encoded record of every task, and the number of lines."""
    encoded: dict[str, bytes] = {}
    count = 0
    for line in file:
        count += 1
        task_id, separator, record = line.partition(_SEPARATOR)
        if not separator or not (record.endswith(b"}\n") or record == b"\n"):
            continue
        if record == b"\n":
            encoded.pop(task_id.decode(errors=_OTHERS), None)
        else:
            encoded[task_id.decode(errors=_OTHERS)] = record[:-1]
    return encoded, count
