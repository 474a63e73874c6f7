"""Limit concurrent transfers of blobs: one limit for all hosts, and one for each host that sets its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol


class Limit(Protocol):
    """The interface of `threading.Semaphore`."""

    def acquire(self) -> bool:
        """Wait for a slot and take it."""
        ...

    def release(self) -> None:
        """Release the slot."""
        ...


class _Holder:
    """The slots that one thread holds: of any kind, and of a host with a limit of its own."""

    def __init__(self) -> None:
        self.slots = 0
        self.limited_slots = 0


class _Holders(threading.local):
    def __init__(self) -> None:
        self.own = _Holder()


_holders = _Holders()


class TransferSlots:
    """Slots for the transfers of one host.

    `overall` is shared by all hosts, `own` is the number of slots of this host (None: no limit of
    its own). A transfer within a transfer of the same thread (a blob that is downloaded while it is
    uploaded elsewhere) counts as one: if it waited for a second slot of `overall`, copies could
    deadlock. For the same reason a thread that holds a slot of one limited host takes one of
    another limited host only if it is free, and goes on without one otherwise.
    """

    def __init__(self, overall: Limit, own: int | None) -> None:
        if own is not None and own < 1:
            raise ValueError(f"no transfer could ever start with {own} slots")
        self._overall = overall
        self._own = threading.Semaphore(own) if own is not None else None

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot; another thread than the one that took it may release it."""
        holder = _holders.own
        with ExitStack() as held:
            if holder.slots == 0:
                self._overall.acquire()
                held.callback(self._overall.release)
            if self._own is not None and self._own.acquire(blocking=holder.limited_slots == 0):
                held.callback(self._own.release)
                holder.limited_slots += 1
                held.callback(_give_back_limited, holder)
            holder.slots += 1
            held.callback(_give_back, holder)
            yield


def _give_back(holder: _Holder) -> None:
    holder.slots -= 1


def _give_back_limited(holder: _Holder) -> None:
    holder.limited_slots -= 1
