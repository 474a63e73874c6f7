"""Stores of a plan: they keep what is written to themselves, and count what a run will transfer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

import bundlepipe.stores.planned as planned
from bundlepipe.filesystem.overlay import Unforeseen
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.planned import PlannedStores, Transfers
from bundlepipe.stores.protocol import Store
from bundlepipe.verbs.shared.blobs import pass_on_blob, send_blob
from tests.support.images import put_images
from tests.support.services import Registry


@pytest.fixture
def place(registry: Registry) -> Repository:
    """A repository with an image."""
    return registry.repository()


@pytest.fixture
def image(place: Repository) -> Manifest:
    """The image."""
    return put_images(Stores().repository(place, writes=True), 1)[0]


@pytest.fixture
def transfers() -> Transfers:
    """What is counted."""
    return Transfers()


@pytest.fixture
def stores(transfers: Transfers) -> PlannedStores:
    """Stores of a plan."""
    return PlannedStores({}, transfers)


def _ignore(event: object) -> None:
    pass


def _content(store: Store, image: Manifest) -> bytes:
    return b"".join(store.read_blob(image.layers[0]))


def test_what_is_read_counts_as_received_and_in_part_it_is_not_known(
    stores: PlannedStores, transfers: Transfers, place: Repository, image: Manifest
) -> None:
    layer, store = image.layers[0], stores.repository(place)
    assert len(_content(store, image)) == layer.size
    assert transfers.take() == (0, layer.size) and transfers.take() == (0, 0)
    with closing(store.read_blob(layer)):
        pass
    assert transfers.take() == (0, 0)
    transfers.receive(5, is_all=False)
    transfers.receive(7)
    assert transfers.take() == (0, None) and transfers.take() == (0, 0)


def test_a_copy_sends_and_receives_and_is_read_from_where_it_came_from(
    stores: PlannedStores, transfers: Transfers, place: Repository, image: Manifest, registry: Registry
) -> None:
    layer, to = image.layers[0], registry.repository("copied")
    destination, source = stores.repository(to, writes=True), stores.repository(place)
    pass_on_blob(source, destination, layer, _ignore)
    assert transfers.take() == (layer.size, layer.size)
    pass_on_blob(source, destination, layer, _ignore)
    assert transfers.take() == (0, 0)
    assert _content(stores.repository(to), image) == _content(source, image)
    assert transfers.take() == (0, 2 * layer.size)
    assert not Stores().repository(to).has_blob(layer)


def test_what_was_read_before_is_not_received_again(
    stores: PlannedStores, transfers: Transfers, place: Repository, image: Manifest, registry: Registry
) -> None:
    layer, source = image.layers[0], stores.repository(place)
    destination = stores.repository(registry.repository("sent"), writes=True)

    def gone() -> None:
        raise ValueError("closed")

    opened: Callable[[], object] = gone
    send_blob(destination, layer, opened, _ignore, source)  # type: ignore[arg-type]
    assert transfers.take() == (layer.size, 0)
    assert _content(destination, image) == _content(source, image)


def test_a_mounted_blob_is_neither_sent_nor_received(
    stores: PlannedStores, transfers: Transfers, place: Repository, image: Manifest, registry: Registry
) -> None:
    layer, source = image.layers[0], stores.repository(place)
    destination = stores.repository(registry.repository("mounted"), writes=True)
    assert destination.mount_blob(layer, source) and source.mount_blob(layer, source)
    assert transfers.take() == (0, 0)
    assert _content(destination, image) == _content(source, image)
    other = stores.repository(Repository("layout.localhost", "other"), writes=True)
    assert not other.mount_blob(layer, source)


def test_a_plan_reads_no_large_blob(
    stores: PlannedStores, place: Repository, image: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planned, "_LARGEST_READ", image.layers[0].size - 1)
    with pytest.raises(Unforeseen, match=rf"{image.layers[0].size} bytes, which only a run reads$"):
        _content(stores.repository(place), image)
