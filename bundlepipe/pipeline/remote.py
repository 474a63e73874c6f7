"""Asking destinations what they hold: for many tasks at once where that is possible.

Where our reporter is active it announces, when a run begins, every push that the run may
come to. The first of them that needs an answer sends all questions together; without the
reporter each is asked when its turn comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import DEFAULT_TAG, Reference
from bundlepipe.pipeline.settings import Settings

ANSWER = "answer"


@dataclass(frozen=True)
class Answer:
    """What a destination's tag names now; `manifest` is None if it names nothing."""

    manifest: Manifest | None


@dataclass(frozen=True)
class Question:
    """What a push wants to know."""

    destination: Reference
    settings: Settings


GetSaved = Callable[[str, str], Any]

_lock = threading.Lock()
_announced: dict[str, Question] = {}
_answers: dict[str, Answer] = {}


def ask(question: Question) -> Answer:
    """Ask one destination: one request. Raises StoreError."""
    from bundlepipe.stores.homes import find_manifest

    destination = question.destination
    store = question.settings.homes.repository(destination.repository, writes=True)
    return Answer(find_manifest(store, destination.tag or DEFAULT_TAG))


def announce(questions: Mapping[str, Question]) -> None:
    """Take the questions, by task name, that a run may come to ask."""
    with _lock:
        _announced.clear()
        _answers.clear()
        _announced.update(questions)


def ask_together(task_name: str, get_saved: GetSaved) -> Answer | None:
    """Return the answer for an announced task, asking for all that need one; None if it was not announced.

    Only tasks without local state are asked for, or all where the destination is verified.
    A destination that does not answer has no answer here: the task's action asks again,
    and reports what is wrong.
    """
    with _lock:
        if task_name in _announced:
            needed = {
                name: question
                for name, question in _announced.items()
                if name == task_name or question.settings.verify or not get_saved(name, "_values_:")
            }
            for name in needed:
                del _announced[name]
            _answers.update(_ask_all(needed.items()))
        return _answers.pop(task_name, None)


def _ask_all(questions: Iterable[tuple[str, Question]]) -> dict[str, Answer]:
    from bundlepipe.verbs.parallel import in_parallel

    def answer(item: tuple[str, Question]) -> tuple[str, Answer | None]:
        name, question = item
        try:
            return name, ask(question)
        except BundlepipeError:
            return name, None

    return {name: answer for name, answer in in_parallel(answer, questions) if answer}
