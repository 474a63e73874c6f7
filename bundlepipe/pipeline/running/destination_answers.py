"""Look up what destinations hold, for many tasks in parallel if possible.

When a run begins, our reporter announces every push that the run may run. The first of them that
needs a result sends all requests together; without the reporter each is sent when its task's turn
comes.
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
    """The manifest that a destination's tag names now; `manifest` is None if there is none, or it is unknown.

    `problem` is why it is unknown; the action reports it, and does not ask again.
    """

    manifest: Manifest | None
    problem: str | None = None


@dataclass(frozen=True)
class Question:
    """A push's lookup of its destination."""

    destination: Reference
    settings: Settings


def ask(question: Question) -> Answer:
    """Look up one destination: one request."""
    from bundlepipe.stores.protocol import find_manifest

    destination = question.destination
    try:
        store = question.settings.stores.repository(destination.repository, writes=True)
        return Answer(find_manifest(store, destination.identifier))
    except BundlepipeError as error:
        return Answer(None, str(error))


class Announced:
    """The lookups, by task name, that a run may need; may be used by several threads at once."""

    def __init__(self, questions: Mapping[str, Question]) -> None:
        self._lock = threading.Lock()
        self._questions = dict(questions)
        self._answers: dict[str, Answer] = {}

    def answer(self, task_name: str, recorded: Callable[[str], object]) -> Answer | None:
        """Return the result for a task, with those of all that need one; None if it was not announced.

        Only for tasks without a local record, or for all if the destination is verified.
        """
        with self._lock:
            if task_name in self._questions:
                needed = {
                    name: question
                    for name, question in self._questions.items()
                    if name == task_name or question.settings.verify or not recorded(name)
                }
                for name in needed:
                    del self._questions[name]
                self._answers.update(_ask_all(needed))
            return self._answers.pop(task_name, None)


def _ask_all(questions: Mapping[str, Question]) -> dict[str, Answer]:
    from bundlepipe.concurrency.parallel import in_parallel

    return dict(zip(questions, in_parallel(ask, questions.values()), strict=True))
