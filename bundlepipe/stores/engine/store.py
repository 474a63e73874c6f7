"""Read an image of the Docker Engine as a source."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator
from functools import cached_property
from typing import Any

from bundlepipe.errors import NotFound, StoreError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Manifest, Platform
from bundlepipe.stores.engine.archive import SavedImage
from bundlepipe.stores.engine.client import engine_client, engine_errors, engine_words
from bundlepipe.stores.location import EngineLocation
from bundlepipe.stores.protocol import Root
from bundlepipe.stores.settings import local_reference

# What uname says on 32-bit ARM; the Engine calls all of them "arm".
_ARM_VARIANTS = {"armv5": "v5", "armv6": "v6", "armv7": "v7"}


class EngineStore:
    """One image of the Engine as a source.

    An image in an Engine has no manifest and no compressed layers. They are made when they
    are first asked for, by `docker save`; the configuration, and so the image ID, stays.
    """

    is_closed = False

    def __init__(self, location: EngineLocation) -> None:
        self._location = location

    @property
    def name(self) -> str:
        """`docker-daemon:NAME:TAG`."""
        return str(self._location)

    @property
    def repository(self) -> None:
        """None: what is in an Engine has no place in a registry yet."""
        return None

    @property
    def is_local(self) -> bool:
        """True."""
        return True

    def roots(self) -> Iterator[Root]:
        """Yield the image, by its ID; NotFound if there is none."""
        location = self._location
        yield Root(
            source=self,
            identifier=self.image_id,
            tag=location.tag,
            reference=local_reference(location.repository or "image", self.image_id),
            name=location.name if location.repository else None,
            image_id=self.image_id,
        )

    @cached_property
    def image_id(self) -> Digest:
        """What the Engine calls the image whatever its names are; NotFound if there is none."""
        found = find_image(self._location)
        if found is None:
            raise NotFound(f"{self.name}: the Docker Engine has no such image: build it, or load it")
        return found

    @cached_property
    def _saved(self) -> SavedImage:
        return SavedImage(_save(self.image_id, self.name), self.name)

    @property
    def manifest(self) -> Manifest:
        """The manifest, the same for the same image; errors are those of SavedImage."""
        return self._saved.manifest

    def resolve(self, tag: str) -> Digest:
        """Return the digest of the image's manifest if this is its tag; else NotFound."""
        if tag != self._location.tag:
            raise NotFound(f"{self.name}: there is no {tag} in a single image of the Docker Engine")
        return self.manifest.digest

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the image's manifest for its tag, digest or image ID; else NotFound."""
        if identifier not in (self.image_id, self.manifest.digest):
            self.resolve(identifier)
        return self.manifest

    def has_manifest(self, digest: Digest) -> bool:
        """Tell whether this is the image's manifest."""
        return digest == self.manifest.digest

    def read_blob(self, blob: Descriptor) -> Generator[bytes, None, None]:
        """Yield the verified content of the configuration or of a compressed layer; NotFound for another blob."""
        return self._saved.read_blob(blob)

    def has_blob(self, blob: Descriptor) -> bool:
        """Tell whether this is a blob of the image."""
        return self._saved.has_blob(blob)

    def list_tags(self) -> Iterator[str]:
        """Yield the tag."""
        return iter(filter(None, [self._location.tag]))

    def read_referrers(self, digest: Digest, tags: Collection[str] | None = None) -> None:
        """Return None: an Engine keeps no referrers."""
        return


def find_image(location: EngineLocation) -> Digest | None:
    """Return the ID of an image in the Engine, None if it has none of this name: one request. Raises StoreError."""
    client = engine_client()
    try:
        with engine_errors(str(location)):
            found = client.inspect_image(location.name)  # type: ignore[no-untyped-call]
    except NotFound:
        return None
    return Digest.parse(found["Id"])


def engine_platform() -> Platform:
    """Return the platform whose images the Engine runs. Raises StoreError."""
    client = engine_client()
    with engine_errors("the platform of the Docker Engine"):
        version = client.version()
        machine = str(client.info()["Architecture"]) if version["Arch"] == "arm" else ""
    return Platform(version["Os"], version["Arch"], _ARM_VARIANTS.get(machine[:5]))


def load_image(stream: Iterable[bytes], what: str) -> None:
    """Give the Engine a tar of `load_stream`; StoreError, naming `what`, if it does not like it."""
    client = engine_client()
    with engine_errors(what):
        for message in client.load_image(stream, quiet=True):  # type: ignore[no-untyped-call]
            _raise_if_refused(message, what)


def tag_image(image_id: Digest, location: EngineLocation) -> None:
    """Give an image of the Engine one more name. Raises StoreError."""
    client = engine_client()
    with engine_errors(str(location)):
        client.tag(image_id, location.repository, location.tag)


def _save(image_id: Digest, what: str) -> Iterator[bytes]:
    client = engine_client()
    with engine_errors(what):
        yield from client.get_image(image_id)


def _raise_if_refused(message: dict[str, Any], what: str) -> None:
    if "error" in message:
        raise StoreError(f"{what}: the Docker Engine did not load it: {engine_words(str(message['error']))}")
