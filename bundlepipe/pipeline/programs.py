"""Programs whose output is configuration: run once in a run of doit, however many tasks want it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bundlepipe.cancellation import Cancelled
from bundlepipe.errors import BundlepipeError, InputError
from bundlepipe.files import locked, write_if_changed
from bundlepipe.oci.inputs import Snapshot, file_snapshot, in_byte_order
from bundlepipe.pipeline.declaration import Program
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.state import STATE_DIRECTORY

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.verbs.configuration import Text

_OUTPUTS = os.path.join(STATE_DIRECTORY, "programs")
# What every run changes, or nobody reads. A layout is what a registry is elsewhere.
_NEVER_READ = frozenset({".git", STATE_DIRECTORY})
_LAYOUT_MARK = "oci-layout"
_BUNDLES_OWN = frozenset({".imgpkg"})


def options_of(program: Program) -> dict[str, object]:
    """Return everything but files that decides what a program does, as values of a task hold it."""
    return {"run": fingerprint(list(program.run)), "files": list(program.files), "directory": program.directory}


def fingerprint(value: object) -> str:
    """Return what stands for a JSON-able value where it may hold secrets."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def files_among(paths: Sequence[str], before: Snapshot, *, with_bundles_own: bool = False) -> Snapshot:
    """Return the state of files, and of the files in directories: not what runs of doit themselves write there.

    Bundles' own directories (`.imgpkg`), which locks write, are looked at only
    `with_bundles_own`. Raises InputError if something cannot be read.
    """
    left_out = _NEVER_READ if with_bundles_own else _NEVER_READ | _BUNDLES_OWN
    return file_snapshot(list(dict.fromkeys(_files_among(paths, left_out))), before)


def _files_among(paths: Sequence[str], left_out: frozenset[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            yield from _files_below(path, left_out, frozenset())
        elif os.path.exists(path):
            yield path
        else:
            raise InputError(f"{path}: no such file or directory, though a program's output depends on it")


def _files_below(directory: str, left_out: frozenset[str], above: frozenset[str]) -> Iterator[str]:
    """Yield the files in a directory, through links as well, but not round in circles."""
    real = os.path.realpath(directory)
    if real in above:
        return
    children = in_byte_order(directory)
    if any(child.name == _LAYOUT_MARK for child in children):
        return
    for child in children:
        path = f"{directory}/{child.name}"
        if child.is_dir():
            if child.name not in left_out:
                yield from _files_below(path, left_out, above | {real})
        elif child.is_file():
            yield path


def text_printed(program: Program, settings: Settings, emit: Emit) -> Text:
    """Return what a program prints, as configuration.

    What another task of this run got from it, when its files were as they are now, is used
    again, a failure as well. Raises BundlepipeError, in one line, if it is missing, fails, or
    prints nothing.
    """
    from bundlepipe.verbs.configuration import Text

    directory = os.path.join(_OUTPUTS, fingerprint(options_of(program)))
    # Templates bring secrets.
    os.makedirs(_OUTPUTS, mode=0o700, exist_ok=True)
    os.makedirs(directory, exist_ok=True)
    # Tasks that want the same are let in one by one, whether they are threads, processes, or other runs.
    with locked(directory):
        output = _output(program, os.path.join(directory, "output"), settings, emit)
    if not output.strip():
        raise BundlepipeError(f"{program.shown}: printed nothing, expected configuration")
    return Text(program.shown, output)


def _output(program: Program, path: str, settings: Settings, emit: Emit) -> bytes:
    files = files_among(program.files, {}, with_bundles_own=True)
    state = [settings.run_id, {file: entry.sha256 for file, entry in files.items()}]
    try:
        with open(path, "rb") as file:
            known = json.loads(file.readline())
            content = file.read()
    except (FileNotFoundError, ValueError):
        known = {}
    if known.get("state") == state:
        if known["problem"]:
            raise BundlepipeError(known["problem"])
        return content
    try:
        output = _run(program, emit)
    except Cancelled:
        raise
    except BundlepipeError as error:
        _store(path, state, str(error), b"")
        raise
    _store(path, state, None, output)
    return output


def _store(path: str, state: object, problem: str | None, output: bytes) -> None:
    write_if_changed(path, json.dumps({"state": state, "problem": problem}).encode() + b"\n" + output)


def _run(program: Program, emit: Emit) -> bytes:
    from bundlepipe.events import OutputLine
    from bundlepipe.processes import run_program

    return run_program(
        program.run,
        lambda line: emit(OutputLine(line)),
        directory=program.directory,
        captures_output=True,
        shown=program.shown,
    )
