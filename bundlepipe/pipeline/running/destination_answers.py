"""Asking destinations what they hold: for many tasks at once where that is possible.

Where our reporter is active it announces, when a run begins, every push that the run may
come to. The first of them that needs an answer sends all questions together; without the
reporter each is asked when its turn comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.running.run import Settings

ANSWER = "answer"


@dataclass(frozen=True)
class Answer:
    """What a destination's tag names now; `manifest` is None if it names nothing, or that cannot be told.

    `problem` is why it cannot be told; the action reports it, and does not ask again.
    """

    manifest: Manifest | None
    problem: str | None = None


@dataclass(frozen=True)
class Question:
    """What a push wants to know."""

    destination: Reference
    settings: Settings


_lock = threading.Lock()
_announced: dict[str, Question] = {}
_answers: dict[str, Answer] = {}


def ask(question: Question) -> Answer:
    """Ask one destination: one request."""
    from bundlepipe.stores.protocol import find_manifest

    destination = question.destination
    try:
        store = question.settings.homes.repository(destination.repository, writes=True)
        return Answer(find_manifest(store, destination.identifier))
    except BundlepipeError as error:
        return Answer(None, str(error))


def announce(questions: Mapping[str, Question]) -> None:
    """Take the questions, by task name, that a run may come to ask."""
    with _lock:
        _announced.clear()
        _answers.clear()
        _announced.update(questions)


def ask_together(task_name: str, recorded: Callable[[str], object]) -> Answer | None:
    """Return the answer for an announced task, asking for all that need one; None if it was not announced.

    Only tasks without local state are asked for, or all where the destination is verified.
    """
    with _lock:
        if task_name in _announced:
            needed = {
                name: question
                for name, question in _announced.items()
                if name == task_name or question.settings.verify or not recorded(name)
            }
            for name in needed:
                del _announced[name]
            _answers.update(_ask_all(needed))
        return _answers.pop(task_name, None)


def _ask_all(questions: Mapping[str, Question]) -> dict[str, Answer]:
    from bundlepipe.concurrency.parallel import in_parallel

    return dict(zip(questions, in_parallel(ask, questions.values()), strict=True))
