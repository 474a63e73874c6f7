"""Open the store for a location."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from bundlepipe.errors import StoreError
from bundlepipe.events import Emit, ignore
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import DEFAULT_REGISTRY, DOCKER_HUB_ALIASES, Reference, Repository
from bundlepipe.stores.http.reporting import Reporting
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.location import ArchiveLocation, EngineLocation, LayoutLocation, Location, Place
from bundlepipe.stores.protocol import Root, Source, Store, Target
from bundlepipe.stores.settings import (
    DEFAULT_LAYOUT_DIRECTORY,
    DEFAULT_NETWORK,
    LAYOUT_HOST,
    NetworkSettings,
    RegistrySettings,
)

if TYPE_CHECKING:
    from bundlepipe.stores.keychains.credentials import Keychain
    from bundlepipe.stores.registry.store import RegistryHost, RegistryStore

# More parallel transfers gain nothing on a fast network and fail on a slow one.
CONCURRENT_TRANSFERS = 8


class Stores:
    """Opens stores, given the settings of each registry host.

    `registries` maps hosts to their settings; `layout.localhost`, backed by `build/registry`, is
    built in; `network` applies to every host. Connections, tokens and the limit on concurrent
    transfers, `concurrency`, are shared by all stores of one `Stores` within a process. `keychain`
    supplies credentials; by default bundlepipe's usual sources are searched, and opening a registry
    raises StoreError for invalid variables. As a context manager it closes its connections at the
    end; otherwise they are closed with the process. `trace` is called with blocks of lines that show
    the HTTP traffic without secrets, by several threads but one at a time.
    """

    def __init__(
        self,
        registries: Mapping[str, RegistrySettings] | None = None,
        *,
        network: NetworkSettings = DEFAULT_NETWORK,
        concurrency: int = CONCURRENT_TRANSFERS,
        keychain: Keychain | None = None,
        trace: Callable[[str], None] | None = None,
        emit: Emit = ignore,
    ) -> None:
        self._registries = {LAYOUT_HOST: RegistrySettings(layout=DEFAULT_LAYOUT_DIRECTORY)}
        for host, settings in (registries or {}).items():
            self._registries[DEFAULT_REGISTRY if host in DOCKER_HUB_ALIASES else host] = settings
        self._network = network
        self._reporting = Reporting(emit, trace)
        self._keychain = keychain
        self._lock = threading.Lock()
        self._transfers = threading.BoundedSemaphore(concurrency)
        self._hosts: dict[tuple[int, str], RegistryHost] = {}
        # One each, however many images of a copy come from the same repository.
        self._repositories: dict[tuple[RegistryHost, Repository, bool], RegistryStore] = {}

    def __enter__(self) -> Stores:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections that are kept for reuse. Later requests open new ones."""
        with self._lock:
            own = [key for key in self._hosts if key[0] == os.getpid()]
            hosts = [self._hosts.pop(key) for key in own]
            self._repositories.clear()
        for host in hosts:
            host.close()

    def repository(self, repository: Repository, *, writes: bool = False) -> Store:
        """Return the store of a repository; `writes` says that it will be pushed to."""
        settings = self._registries.get(repository.registry, RegistrySettings())
        if settings.layout is not None:
            return LayoutStore(os.path.join(settings.layout, repository.path), repository)
        host = self._host(repository.registry, settings)
        if settings.resolve == "engine":
            from bundlepipe.stores.registry.engine_resolved import EngineResolvedStore

            return EngineResolvedStore(host, repository, writes=writes)
        from bundlepipe.stores.registry.store import RegistryStore

        with self._lock:
            key = (host, repository, writes)
            if key not in self._repositories:
                self._repositories[key] = RegistryStore(host, repository, writes=writes)
            return self._repositories[key]

    def destination(self, place: Place, *, as_kbld: bool = False) -> Target:
        """Return the destination of a copy; with `as_kbld` a tar file is as `kbld package` writes it."""
        if isinstance(place, ArchiveLocation):
            from bundlepipe.stores.archive.target import ArchiveTarget

            return ArchiveTarget(place, as_kbld=as_kbld)
        if isinstance(place, EngineLocation):
            from bundlepipe.stores.engine.loader import EngineLoader

            return Target(place.tag, open_loader=lambda: EngineLoader(place))
        if isinstance(place, LayoutLocation):
            return Target(place.tag, open_store=lambda: LayoutStore(place.directory))
        return Target(open_store=lambda: self.repository(place, writes=True))

    def roots(self, location: Location) -> Iterable[Root]:
        """Return the roots at a location, which are read when iterated; NotFound immediately for a missing file."""
        if isinstance(location, ArchiveLocation):
            from bundlepipe.stores.archive.reader import ArchiveStore

            return ArchiveStore(location.path).roots()
        if isinstance(location, LayoutLocation):
            return LayoutStore(location.directory).roots(location.tag)
        if isinstance(location, EngineLocation):
            from bundlepipe.stores.engine.store import EngineStore

            return EngineStore(location).roots()
        return self._named(location)

    def locate(self, location: Location) -> tuple[Source, Manifest]:
        """Return the source and the manifest of a location; NotFound if there is none."""
        root = sole_root(self.roots(location), location)
        return root.source, root.source.read_manifest(root.identifier)

    def _named(self, reference: Reference) -> Iterator[Root]:
        yield Root(
            source=self.repository(reference.repository),
            identifier=reference.identifier,
            tag=None if reference.digest else reference.identifier,
            tag_beside=reference.tag if reference.digest else None,
            name=str(reference),
        )

    def _host(self, name: str, settings: RegistrySettings) -> RegistryHost:
        # A push to a layout needs no HTTP client, whose import takes as long as the push.
        from bundlepipe.stores.keychains.chain import find_keychain
        from bundlepipe.stores.registry.store import RegistryHost

        # A forked child must not share its parent's connections.
        key = (os.getpid(), name)
        with self._lock:
            if key not in self._hosts:
                if self._keychain is None:
                    self._keychain = find_keychain(os.environ, "bundlepipe")
                self._hosts[key] = RegistryHost(
                    name,
                    settings,
                    network=self._network,
                    transfers=self._transfers,
                    keychain=self._keychain,
                    reporting=self._reporting,
                )
            return self._hosts[key]


def sole_root(roots: Iterable[Root], location: object) -> Root:
    """Return the root that a location means if it means one; StoreError if that is ambiguous."""
    everything = list(roots)
    candidates = [root for root in everything if root.is_root] or everything
    if len(candidates) == 1:
        return candidates[0]
    references = ", ".join(str(root.reference) for root in candidates)
    raise StoreError(
        f"{location} holds {len(candidates)} images and does not say which one is meant "
        f"({references}): copy it to a repository, and name the image there"
    )
