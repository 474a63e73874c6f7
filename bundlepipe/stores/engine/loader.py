"""The Docker Engine as a place that a copy goes to: single images, under the tags of one name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Descriptor, Platform
from bundlepipe.stores.engine.archive import diff_ids_of, load_stream
from bundlepipe.stores.engine.store import EngineStore, engine_platform, find_image, load_image, tag_image
from bundlepipe.stores.location import EngineLocation
from bundlepipe.stores.protocol import Source


class EngineLoader:
    """The images of an Engine under the name of a location; BundlepipeError for an image ID or digest."""

    kind = "the Docker Engine"

    def __init__(self, location: EngineLocation) -> None:
        if location.tag is None:
            raise BundlepipeError(f"{location}: the destination of a copy is a name: give docker-daemon:NAME[:TAG]")
        self._location = location

    @property
    def platform(self) -> Platform:
        """The platform whose images the Engine runs."""
        return engine_platform()

    def name_of(self, tag: str) -> str:
        """Return `docker-daemon:NAME:TAG`."""
        return str(self._location.tagged(tag))

    def has_images_of(self, source: Source) -> bool:
        """Tell whether a source is of the Engine as well."""
        return isinstance(source, EngineStore)

    def find(self, image: Digest | str) -> Digest | None:
        """Return the ID of the image with an ID or tag; None if there is none: one request."""
        return find_image(EngineLocation(image) if isinstance(image, Digest) else self._location.tagged(image))

    def load(
        self, config: bytes, layers: Sequence[tuple[Descriptor, Iterator[bytes]]], tags: Sequence[str], what: str
    ) -> Digest:
        """Load an image; InvalidContent for a configuration that is faulty, errors of `load_image`."""
        diff_ids_of(config, what)
        names = [self._location.tagged(tag) for tag in tags]
        load_image(load_stream(config, layers, [name.name for name in names]), f"{what} to {names[0]}")
        return EngineStore(names[0]).image_id

    def put_tag(self, image_id: Digest, tag: str) -> None:
        """Give an image of the Engine one more tag."""
        tag_image(image_id, self._location.tagged(tag))
