"""Names in the Docker Engine for images that other programs put there, and that are on their way elsewhere."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from bundlepipe.errors import NotFound
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.engine_client import engine_client, engine_errors
from bundlepipe.stores.location import EngineLocation


@contextlib.contextmanager
def temporary_name() -> Iterator[EngineLocation]:
    """Give a name that no image has, for one that is made now; name and image are gone at the end.

    Raises StoreError.
    """
    location = EngineLocation(Reference.parse(f"bundlepipe-build:{secrets.token_hex(8)}"))
    try:
        yield location
    finally:
        client = engine_client()
        # What failed may not have made an image.
        with contextlib.suppress(NotFound), engine_errors(str(location)):
            client.remove_image(location.name)
