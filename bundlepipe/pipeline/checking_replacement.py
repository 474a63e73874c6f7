"""What the outputs of a pipeline would replace that is there now, told before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bundlepipe.errors import OutputError
from bundlepipe.pipeline.checking_outputs import declared_inputs
from bundlepipe.pipeline.declaration import Bundle, Copy
from bundlepipe.pipeline.destinations import called
from bundlepipe.pipeline.paths import archives_in
from bundlepipe.pipeline.reading import Declared
from bundlepipe.pipeline.replacing import lock_output, protected_from, pull_output, render_output, tar_files
from bundlepipe.pipeline.settings import Settings
from bundlepipe.verbs.replacing import Why

# Where it is declared, what the messages call it, the path, and what tells why that may be replaced.
_Question = tuple[object, str, str, Callable[[], Why | None]]


def replacements(declared: Declared, base: str) -> tuple[list[str], list[str]]:
    """Return the outputs that must not be written, and those that replace what git has: a line each.

    `base` is the directory of the pipeline, where the records of its tasks are.
    """
    problems: list[str] = []
    notes: list[str] = []
    for where, what, path, ask in _questions(declared, base):
        try:
            why = ask()
        except OutputError as error:
            problems.append(f"{where}: {what}: {error}" if where else f"{what}: {error}")
            continue
        if why == "git":
            notes.append(f"{path}: {what} replaces it, which git has as it is")
        elif why is None:
            notes.append(f"{path}: exists without a record: {what} replaces it only if that brings all of its files")
    return problems, notes


def _questions(declared: Declared, base: str) -> Iterator[_Question]:
    settings = Settings()
    inputs = declared_inputs(declared)
    for pull in declared.pulls:
        protected = protected_from(pull, declared.paths, inputs, base)
        output = pull_output(pull, protected, settings, base)
        # Somebody else's pull may have made it: then the task compares.
        ask = output.check_before if output.may_be_pulled() else output.check
        yield pull.where, called(pull), pull.to, ask
    for render in declared.renders:
        yield render.where, called(render), render.output, render_output(render, settings, base).check
    for copy in declared.copies:
        for path in archives_in([copy.to]):
            for file in tar_files(copy, path, settings, base):
                yield copy.where, called(copy), file.path, file.check
    things: list[Bundle | Copy] = [*declared.bundles, *declared.copies]
    for thing in things:
        if thing.lock_output:
            yield thing.where, called(thing), thing.lock_output, lock_output(thing, thing.lock_output, settings).check
