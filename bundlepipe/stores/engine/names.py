"""Names in the Docker Engine for images that other programs put there, and that are on their way elsewhere."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from bundlepipe.errors import NotFound, StoreError
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.engine.client import engine_client, engine_errors
from bundlepipe.stores.location import EngineLocation


@contextlib.contextmanager
def temporary_name() -> Iterator[EngineLocation]:
    """Give a name that no image has, for one that is made now; name and image are gone at the end.

    Raises StoreError where the image cannot be removed after the work with it succeeded. Where
    the work fails, its own error is raised, whatever comes of the removal.
    """
    location = EngineLocation(Reference.parse(f"bundlepipe-build:{secrets.token_hex(8)}"))
    try:
        yield location
    except BaseException:
        # The Engine itself may be missing: the reason why the work failed says more than that the
        # Engine did not answer to the removal.
        with contextlib.suppress(StoreError):
            _remove(location)
        raise
    _remove(location)


def _remove(location: EngineLocation) -> None:
    client = engine_client()
    # What failed may not have made an image.
    with contextlib.suppress(NotFound), engine_errors(str(location)):
        client.remove_image(location.name)
