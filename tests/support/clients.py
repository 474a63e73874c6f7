"""A client of registries as one process is one, with its events and pauses on record; and content to send."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import IO

from bundlepipe.events import Event, Retrying
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_LAYER, Descriptor, Manifest, docker_manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.keychains.credentials import Keychain
from bundlepipe.stores.registry.store import RegistryHost, RegistryStore
from bundlepipe.stores.settings import NetworkSettings, RegistrySettings


class Client:
    """Opens the repositories of registries; hosts are shared among them, as in one process.

    `pauses` has the seconds that were to be waited between attempts: nothing waits, but
    `during_pauses` is called. `now` is the time, which stands still until a test sets it.
    `timeout` is every limit in seconds; `network` stands in for it and for `tries`.
    """

    def __init__(
        self,
        settings: RegistrySettings | None = None,
        *,
        keychain: Keychain | None = None,
        transfers: int = 8,
        timeout: float = 10,
        tries: int = 5,
        network: NetworkSettings | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.pauses: list[float] = []
        self.during_pauses: Callable[[], object] = lambda: None
        self.now = 0.0
        self._settings = settings or RegistrySettings()
        self._keychain = keychain
        self._transfers = threading.BoundedSemaphore(transfers)
        self._network = network or NetworkSettings(response_header_timeout=timeout, tries=tries, stall_timeout=timeout)
        self._lock = threading.Lock()
        self._hosts: dict[str, RegistryHost] = {}

    def host(self, name: str) -> RegistryHost:
        """Return the one host object of a registry."""
        with self._lock:
            if name not in self._hosts:
                self._hosts[name] = RegistryHost(
                    name,
                    self._settings,
                    network=self._network,
                    transfers=self._transfers,
                    reporting=Reporting(self.events.append),
                    keychain=self._keychain,
                    sleep=self._pause,
                    clock=lambda: self.now,
                )
            return self._hosts[name]

    def store(self, repository: Repository, *, writes: bool = True, through: str | None = None) -> RegistryStore:
        """Open a repository; `through` is the host of a proxy in front of its registry."""
        if through is not None:
            repository = Repository(through, repository.path)
        return RegistryStore(self.host(repository.registry), repository, writes=writes)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.during_pauses()

    @property
    def retries(self) -> list[str]:
        """The reasons of all further attempts."""
        return [event.reason for event in self.events if isinstance(event, Retrying)]


class Content:
    """A blob: its bytes, its descriptor, and how often it was opened."""

    def __init__(self, data: bytes, media_type: str = DOCKER_LAYER) -> None:
        self.data = data
        self.descriptor = Descriptor(media_type, Digest.of(data), len(data))
        self.opened = 0

    def open(self) -> IO[bytes]:
        """Open the content, as `put_blob` does."""
        self.opened += 1
        return io.BytesIO(self.data)


def layer_of(size: int, seed: int = 1) -> Content:
    """Return a blob of `size` bytes that do not repeat within a chunk."""
    block = b"".join(number.to_bytes(4, "big") for number in range(seed, seed + 64 * 1024))
    return Content((block * (size // len(block) + 1))[:size])


def push_image(store: RegistryStore, *layers: Content, tag: str | None = "v1") -> Manifest:
    """Push an image of some layers (by default a small one) and return its manifest."""
    config = Content(b'{"rootfs":{"type":"layers","diff_ids":[]}}', DOCKER_CONFIG)
    contents = layers or (layer_of(1000),)
    for content in (config, *contents):
        store.put_blob(content.descriptor, content.open)
    manifest = docker_manifest(config.descriptor, tuple(content.descriptor for content in contents))
    store.put_manifest(manifest, tag)
    return manifest
