"""Programs whose output is configuration: run once in a run of doit, however many tasks want it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bundlepipe.errors import BundlepipeError, InputError
from bundlepipe.files import write_if_changed
from bundlepipe.oci.inputs import Snapshot, file_snapshot, in_byte_order
from bundlepipe.pipeline.declaration import Program
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.state import STATE_DIRECTORY

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.verbs.configuration import Text

_OUTPUTS = os.path.join(STATE_DIRECTORY, "programs")
_NEVER_READ = ".git"


def options_of(program: Program) -> dict[str, object]:
    """Return everything but files that decides what a program does, as values of a task hold it."""
    return {"run": list(program.run), "files": list(program.files), "directory": program.directory}


def program_files(program: Program, before: Snapshot) -> Snapshot:
    """Return the state of every file that decides what a program does; InputError if one cannot be read."""
    return files_among(program.files, before)


def files_among(paths: Sequence[str], before: Snapshot) -> Snapshot:
    """Return the state of files and of all files in directories, but for `.git`; InputError if one cannot be read."""
    return file_snapshot(list(dict.fromkeys(_files_among(paths))), before)


def _files_among(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            yield from _files_below(path, frozenset())
        elif os.path.exists(path):
            yield path
        else:
            raise InputError(f"{path}: no such file or directory, though a program's output depends on it")


def _files_below(directory: str, above: frozenset[str]) -> Iterator[str]:
    """Yield the files in a directory, through links as well, but not round in circles."""
    real = os.path.realpath(directory)
    if real in above:
        return
    for child in in_byte_order(directory):
        path = f"{directory}/{child.name}"
        if child.is_dir():
            if child.name != _NEVER_READ:
                yield from _files_below(path, above | {real})
        elif child.is_file():
            yield path


def text_printed(program: Program, settings: Settings, emit: Emit) -> Text:
    """Return what a program prints, as configuration.

    What another task of this run got from it, when its files were as they are now, is used
    again. Raises BundlepipeError, in one line, if it is missing, fails, or prints nothing.
    """
    from bundlepipe.processes import command_text
    from bundlepipe.verbs.configuration import Text

    name = command_text(program.run)
    path = os.path.join(_OUTPUTS, hashlib.sha256(json.dumps(options_of(program)).encode()).hexdigest())
    state = program_files(program, {})
    stamp = json.dumps([settings.run_id, {file: entry.sha256 for file, entry in state.items()}]).encode()
    known = _known_output(path, stamp)
    if known is None:
        known = _run(program, emit)
        # Templates bring secrets.
        os.makedirs(_OUTPUTS, mode=0o700, exist_ok=True)
        write_if_changed(path, stamp + b"\n" + known)
    if not known.strip():
        raise BundlepipeError(f"{name}: printed nothing, expected configuration")
    return Text(name, known)


def _known_output(path: str, stamp: bytes) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read() if file.readline() == stamp + b"\n" else None
    except FileNotFoundError:
        return None


def _run(program: Program, emit: Emit) -> bytes:
    from bundlepipe.events import OutputLine
    from bundlepipe.processes import run_program

    return run_program(
        program.run, lambda line: emit(OutputLine(line)), directory=program.directory, captures_output=True
    )
