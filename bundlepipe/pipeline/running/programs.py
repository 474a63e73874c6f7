"""Run programs that print configuration, once in a run of doit, even for several tasks."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bundlepipe.concurrency.cancellation import Cancelled
from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import locked, write_if_changed
from bundlepipe.pipeline.declared.model import Program, paths_among, programs_among
from bundlepipe.pipeline.records.read_files import files_among
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.staleness import Values, fingerprint, options_of

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.verbs.images.texts import Text

_OUTPUTS = os.path.join(STATE_DIRECTORY, "programs")


def options_of_files(files: Sequence[str | Program]) -> Values:
    """Return the files and programs that are read, as values of a task."""
    return {"files": paths_among(files), "programs": [options_of(program) for program in programs_among(files)]}


def files_of_programs(files: Sequence[str | Program]) -> list[str]:
    """Return the files and directories that programs among some files read."""
    return [path for program in programs_among(files) for path in program.files]


def text_printed(program: Program, settings: Settings, emit: Emit) -> Text:
    """Return a program's output, as configuration.

    The output, or failure, that another task of this run got is reused if the program's files are
    unchanged. Raises BundlepipeError, in one line, if the program is missing, fails, or prints
    nothing.
    """
    from bundlepipe.verbs.images.texts import Text

    # By the command as it is written: values of variables change, and would each leave a directory.
    directory = os.path.join(_OUTPUTS, fingerprint([program.shown, list(program.files), program.directory]))
    # Templates may contain secrets.
    os.makedirs(anchored(_OUTPUTS), mode=0o700, exist_ok=True)
    os.makedirs(anchored(directory), exist_ok=True)
    # Tasks with the same program run one at a time, in threads, processes, or other runs.
    with locked(directory):
        output = _output(program, os.path.join(directory, "output"), settings, emit)
    if not output.strip():
        raise BundlepipeError(f"{program.shown}: printed nothing, expected configuration")
    return Text(program.shown, output)


def _output(program: Program, path: str, settings: Settings, emit: Emit) -> bytes:
    files = files_among(program.files, {}, with_bundles_own=True)
    state = [settings.run_id, options_of(program), {file: entry.sha256 for file, entry in files.items()}]
    try:
        with open(anchored(path), "rb") as file:
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
    from bundlepipe.concurrency.processes import run_program
    from bundlepipe.events import OutputLine

    return run_program(
        program.run,
        lambda line: emit(OutputLine(line)),
        directory=program.directory,
        captures_output=True,
        shown=program.shown,
    )
