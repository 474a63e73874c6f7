"""Run programs that build and push images: their last line of output is the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bundlepipe.concurrency.processes import run_program
from bundlepipe.errors import BundlepipeError, InvalidReference, command_text, quoted
from bundlepipe.events import Emit, OutputLine, ignore
from bundlepipe.oci.reference import Reference


def run_builder(
    command: Sequence[str],
    *,
    directory: str | None = None,
    environment: Mapping[str, str] | None = None,
    shown: str | None = None,
    emit: Emit = ignore,
) -> Reference:
    """Run a builder and return the `REPOSITORY@DIGEST` on the last line of its output.

    Its stderr is emitted while it runs; `shown` is the command in messages. Raises BundlepipeError
    for any other last line, and what `run_program` raises.
    """
    name = command_text(command) if shown is None else shown
    line = last_line(command, directory=directory, environment=environment, shown=name, emit=emit)
    try:
        reference = Reference.parse(line)
    except InvalidReference:
        raise _no_digest(name, line) from None
    if reference.digest is None:
        raise _no_digest(name, line)
    return reference.with_digest(reference.digest)


def last_line(
    command: Sequence[str],
    *,
    directory: str | None,
    environment: Mapping[str, str] | None,
    shown: str | None = None,
    emit: Emit,
) -> str:
    """Run a program and return the last non-empty line of its stdout; "" if there is none."""
    output = run_program(
        command,
        lambda line: emit(OutputLine(line)),
        directory=directory,
        environment=environment,
        captures_output=True,
        shown=shown,
    )
    lines = output.decode("utf-8", "replace").split("\n")
    return next(filter(None, map(str.strip, reversed(lines))), "")


def _no_digest(command: str, line: str) -> BundlepipeError:
    said = f"its last line is {quoted(line, 200)}" if line else "it printed nothing"
    return BundlepipeError(f"{command}: {said}: expected the image that was pushed, as REPOSITORY@sha256:DIGEST")
