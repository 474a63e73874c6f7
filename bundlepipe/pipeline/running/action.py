"""The action of all tasks: called by doit, shown to users as one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from doit.action import BaseAction
from doit.exceptions import BaseFail, TaskError, TaskFailed
from msgspec import Struct

from bundlepipe.concurrency.cancellation import Cancellation, cancellable
from bundlepipe.concurrency.termination import end_orderly, ending_behind
from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.base_directory import as_given, base_directory, paths_from
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.filesystem.overlay import Unforeseen
from bundlepipe.oci.digest import Digest
from bundlepipe.pipeline.records.state import is_record
from bundlepipe.pipeline.running.edges import REFUSAL
from bundlepipe.progress.display import display
from bundlepipe.stores.http.traffic import traffic

if TYPE_CHECKING:
    from bundlepipe.verbs.shared.foretold import Foretold

SUMMARY = "summary"
UNCHANGED = "unchanged"
# In `task.meta`, which workers return even if a task fails: the process, and its traffic so far.
TRAFFIC = "traffic"


class CarriedTask(Protocol):
    """What a saved plan that is carried out has of one task."""

    @property
    def foretold(self) -> Foretold | None:
        """What it foretold of the images that the task pushes or copies, if anything."""
        ...

    @property
    def absence_advice(self) -> str | None:
        """What to do if the result is not there, for a task that only finds what another job has made."""
        ...

    def carry_out(self, action: Action) -> dict[str, Any]:
        """Do the work as planned, and return its values; BundlepipeError if that is not possible."""
        ...

    def check_output(self, path: str, content: bytes) -> None:
        """Raise BundlepipeError if a file that is about to be written is not that of the plan."""
        ...


class Action(BaseAction):  # type: ignore[misc]
    """Runs `work` and passes its values to doit; a user's error fails the task without a traceback.

    A separate class, since doit's PythonAction replaces `sys.stdout` for the whole process, which
    breaks threads. `carried` is there in a run that carries out a plan.
    """

    carried: CarriedTask | None = None

    def __init__(self) -> None:
        self.task: Any = None
        self.out: str | None = None
        self.err: str | None = None
        self.result: dict[str, Any] | None = None
        self.values: dict[str, Any] = {}
        self.directory = base_directory()

    def execute(self, out: Any = None, err: Any = None) -> BaseFail | None:
        """Do the work; return the failure for doit to report, or None."""
        end_orderly()
        display.is_brief = getattr(self.task, "is_told_briefly", False)
        if refusal := getattr(self.task, REFUSAL, None):
            return TaskFailed(refusal)
        outer = sys.exc_info()[1]
        # Other tasks may have changed the current directory.
        with paths_from(self.directory), _measured(self.task):
            try:
                # An interruption cancels everything that can be cancelled: pauses, connections,
                # programs.
                self.values = cancellable(Cancellation(), self._work_now)
            except Exception as error:  # noqa: BLE001  (whatever it is, other tasks go on)
                # Errors during clean-up after an interruption must not hide it.
                if ending := ending_behind(error, outer):
                    raise ending from None
                return failure_of(error)
            finally:
                if self.task:
                    self.task.meta = {**(self.task.meta or {}), TRAFFIC: (os.getpid(), traffic.counted())}
        self.result = {"digest": self.values.get("digest", "")}
        return None

    @property
    def is_foreseen(self) -> bool:
        """Whether a plan can do the work: it only reads, writes through `filesystem`, and writes to stores."""
        return False

    def foresee(self) -> dict[str, Any]:
        """Return the values that the work will have, in a plan: it is done with the plan's files and stores.

        Raises Unforeseen if they depend on what is known only when it is done, and whatever the work raises.
        """
        if refusal := getattr(self.task, REFUSAL, None):
            raise BundlepipeError(refusal)
        if not self.is_foreseen:
            raise Unforeseen
        with paths_from(self.directory):
            return self.work()

    # The names of the options that the digest of the result does not cover; None for all.
    decisive_options: Collection[str] | None = None

    def stand_in(self, digest: Digest) -> None:
        """Write stand-ins of the task's outputs, in a comparison of two trees: they differ if `digest` does."""
        for target in self.task.targets:
            if not is_record(target):
                path = os.path.join(target, "stand-in") if target == self.task.directory else target
                write_if_changed(path, f"# {digest}\n".encode())

    def _work_now(self) -> dict[str, Any]:
        return self.carried.carry_out(self) if self.carried else self.work()

    @property
    def foretold(self) -> Foretold | None:
        """What a plan that is carried out foretold of the images that the task pushes or copies, if anything."""
        return self.carried.foretold if self.carried else None

    # Whether the work can find what another job has made, and make nothing: see `absence_advice`.
    finds_result = False

    @property
    def absence_advice(self) -> str | None:
        """What to do if the result is not there, if another job makes it; None if this task does."""
        return self.carried.absence_advice if self.carried else None

    # Whether it makes one file from others, and checks it before it is written: by `check_output`.
    checks_output = False

    def check_output(self, path: str, content: bytes) -> None:
        """Raise BundlepipeError if a file that is about to be written is not that of the plan that is carried out."""
        if self.carried:
            self.carried.check_output(path, content)

    def adopt(self) -> None:
        """Record outputs that are as a plan says as the task's own."""

    def work(self) -> dict[str, Any]:
        """Do the task's work; return JSON-able values.

        `SUMMARY` is a short text of what was done; `UNCHANGED` says whether there was nothing to
        change.
        """
        raise TypeError(f"{type(self).__name__} does not say what its work is")

    def __str__(self) -> str:
        return f"bundlepipe: {type(self).__name__}"


def handed_on(declared: Any, request: type[Struct], *, but: Collection[str] = ()) -> dict[str, Any]:
    """Return those fields of a declaration that a verb's request has by the same names, except those in `but`."""
    names = (name for name in request.__struct_fields__ if name not in but)
    return {name: getattr(declared, name) for name in names if hasattr(declared, name)}


def _measured(task: Any) -> AbstractContextManager[None]:
    if not getattr(task, "is_reported", False):
        return nullcontext()
    from bundlepipe.pipeline.running.measuring import measured

    return measured(task)


def failure_of(error: Exception) -> BaseFail:
    """Return the failure that doit reports for an exception."""
    if isinstance(error, BundlepipeError):
        return TaskFailed(str(error))
    if isinstance(error, OSError):
        where = as_given(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else "writing"
        return TaskFailed(f"{printable(where)}: {error.strerror or error}")
    # doit shows the traceback of a defect.
    return TaskError(f"a defect of bundlepipe: {type(error).__name__}", error)
