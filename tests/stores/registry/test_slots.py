"""The limits on concurrent transfers: kept, and never a reason to wait for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import pytest

from bundlepipe.stores.registry.slots import TransferSlots
from bundlepipe.stores.settings import RegistrySettings
from tests.support.clients import Client, layer_of
from tests.support.services import Registry


class Gauge:
    """Counts how many are inside at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        # Long enough for all other threads to come in, if they may.
        threading.Event().wait(0.02)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1


def _crowd(slots: list[TransferSlots], gauges: list[Gauge], size: int = 8) -> None:
    def work(number: int) -> None:
        with slots[number % len(slots)].slot(), gauges[number % len(slots)]:
            pass

    with ThreadPoolExecutor(size) as pool:
        list(pool.map(work, range(size)))


def test_the_overall_limit_holds_for_all_hosts_together() -> None:
    overall, gauge = threading.BoundedSemaphore(2), Gauge()
    _crowd([TransferSlots(overall, None), TransferSlots(overall, 5)], [gauge, gauge])

    assert gauge.most == 2


def test_a_host_may_have_a_limit_of_its_own() -> None:
    overall, limited, free = threading.BoundedSemaphore(6), Gauge(), Gauge()
    _crowd([TransferSlots(overall, 1), TransferSlots(overall, None)], [limited, free])

    assert limited.most == 1
    assert free.most > 1


def test_a_transfer_within_a_transfer_counts_as_one() -> None:
    overall = threading.BoundedSemaphore(1)
    source, target = TransferSlots(overall, 1), TransferSlots(overall, 1)
    with target.slot(), source.slot(), source.slot():
        assert not overall.acquire(blocking=False)
    assert overall.acquire(blocking=False)


def test_copies_in_both_directions_do_not_wait_for_each_other() -> None:
    overall, start = threading.BoundedSemaphore(2), threading.Barrier(2)
    hosts = [TransferSlots(overall, 1), TransferSlots(overall, 1)]

    def copy(outer: TransferSlots, inner: TransferSlots) -> None:
        with outer.slot():
            start.wait()
            with inner.slot():
                pass

    # Not in a pool, which would wait for ever for what waits for ever.
    copies = [threading.Thread(target=copy, args=pair, daemon=True) for pair in (hosts, hosts[::-1])]
    for thread in copies:
        thread.start()
    for thread in copies:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in copies)


def test_a_slot_may_be_given_back_by_another_thread() -> None:
    overall = threading.BoundedSemaphore(1)
    slots = TransferSlots(overall, 1)
    held = slots.slot()
    held.__enter__()
    other = threading.Thread(target=held.__exit__, args=(None, None, None))
    other.start()
    other.join()

    # This thread knows that it holds nothing any more: it has to wait like all others.
    overall.acquire()
    waiting = threading.Thread(target=overall.release)
    waiting.start()
    with slots.slot():
        waiting.join()
        assert not overall.acquire(blocking=False)


def test_a_limit_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 slots"):
        TransferSlots(threading.Semaphore(1), 0)


def test_a_registry_is_not_given_more_than_its_limit(registry: Registry) -> None:
    client = Client(RegistrySettings(concurrency=1), transfers=4)
    store = client.store(registry.repository())
    layers = [layer_of(400_000, seed) for seed in range(4)]
    for layer in layers:
        store.put_blob(layer.descriptor, layer.open)
    first = iter(store.read_blob(layers[0].descriptor))
    next(first)
    done = threading.Event()

    def read() -> None:
        assert b"".join(store.read_blob(layers[1].descriptor)) == layers[1].data
        done.set()

    other = threading.Thread(target=read)
    other.start()
    assert not done.wait(0.1)
    assert len(list(first)) == 1
    other.join()
    assert done.is_set()


def test_uploads_take_their_turn_as_well(registry: Registry) -> None:
    client = Client(RegistrySettings(concurrency=1), transfers=4)
    store, first, second = client.store(registry.repository()), layer_of(1000, 1), layer_of(1000, 2)
    reading, may_go_on = threading.Event(), threading.Event()

    def open_slowly() -> IO[bytes]:
        reading.set()
        may_go_on.wait()
        return first.open()

    uploads = [
        threading.Thread(target=store.put_blob, args=(first.descriptor, open_slowly)),
        threading.Thread(target=store.put_blob, args=(second.descriptor, second.open)),
    ]
    uploads[0].start()
    reading.wait()
    uploads[1].start()
    uploads[1].join(timeout=0.2)
    opened_too_early = second.opened
    may_go_on.set()
    for upload in uploads:
        upload.join()
    assert not opened_too_early
    assert store.has_blob(first.descriptor)
    assert store.has_blob(second.descriptor)
