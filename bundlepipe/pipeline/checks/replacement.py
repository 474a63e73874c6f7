"""Check which existing files the outputs of a pipeline would replace, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from bundlepipe.errors import OutputError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.declared.destinations import called
from bundlepipe.pipeline.declared.model import Bundle, Copy
from bundlepipe.pipeline.declared.paths import archives_in
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.records.state import recorded_prefixes
from bundlepipe.pipeline.running.replacing import lock_output, protected_from, pull_output, render_output, tar_files
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.verbs.outputs.kinds import is_configuration
from bundlepipe.verbs.outputs.replacing import FileOutput, Why

_COMPARED = "fails unless it would write the same"

# The position of its declaration, its name in messages, the path, and a function that returns why it
# may be replaced.
_Question = tuple[object, str, str, Callable[[], Why | None]]


def replacements(declared: Declared, base: str) -> tuple[list[str], list[str]]:
    """Return the outputs that must not be written, and those that replace files that git has: one line each.

    `base` is the directory of the pipeline, with the records of its tasks. A dodo.py may give the
    pipeline any prefix, so outputs recorded with any prefix count as its own.
    """
    problems: list[str] = []
    notes: list[str] = []
    by_prefix = [_questions(declared, base, Settings(prefix=prefix)) for prefix in recorded_prefixes(base)]
    for alike in zip(*by_prefix, strict=True):
        where, what, path, _ = alike[0]
        try:
            why = _best_answer([ask for *_, ask in alike])
        except OutputError as error:
            problems.append(f"{where}: {what}: {error}" if where else f"{what}: {error}")
            continue
        if why == "git":
            notes.append(f"{path}: {what} replaces it, which git has as it is")
        elif why is None:
            is_directory = os.path.isdir(anchored(path))
            condition = "replaces it only if that brings all of its files"
            notes.append(f"{path}: exists without a record: {what} {condition if is_directory else _COMPARED}")
    return problems, notes


def _best_answer(asked: Sequence[Callable[[], Why | None]]) -> Why | None:
    """Return the most permissive answer, or raise the first OutputError if all refuse."""
    answers: list[Why | None] = []
    errors: list[OutputError] = []
    for ask in asked:
        try:
            answers.append(ask())
        except OutputError as error:
            errors.append(error)
    if not answers:
        raise errors[0]
    # Its own output needs no message, and files that git has need a shorter one than unknown files.
    return min(answers, key=lambda why: (why is None, why == "git"))


def _check_rendered(output: FileOutput) -> Why | None:
    """Return why a rendered file may be written; None if it may equal the existing one."""
    output.check_place()
    try:
        return output.check()
    except OutputError:
        if is_configuration(output.path):
            return None
        raise


def _questions(declared: Declared, base: str, settings: Settings) -> Iterator[_Question]:
    inputs = declared.inputs()
    for pull in declared.pulls:
        protected = protected_from(pull, declared.paths, inputs, settings, base)
        output = pull_output(pull, protected, settings, base)
        yield pull.where, called(pull), pull.to, output.check_before
    for render in declared.renders:
        output_file = render_output(render, settings, base)
        yield render.where, called(render), render.output, partial(_check_rendered, output_file)
    for copy in declared.copies:
        for path in archives_in([copy.to]):
            for file in tar_files(copy, path, settings):
                yield copy.where, called(copy), file.path, file.check
    things: list[Bundle | Copy] = [*declared.bundles, *declared.copies]
    for thing in things:
        if thing.lock_output:
            yield thing.where, called(thing), thing.lock_output, lock_output(thing, thing.lock_output, settings).check
