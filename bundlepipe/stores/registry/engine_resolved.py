"""Resolve tags by the Docker Engine, for registries that only it can reach."""

from __future__ import annotations

from bundlepipe.errors import AccessDenied, InvalidContent, InvalidDigest, Unreachable
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.engine.client import engine_client, engine_errors
from bundlepipe.stores.location import EngineLocation
from bundlepipe.stores.registry.store import RegistryStore


class EngineResolvedStore(RegistryStore):
    """A repository of a registry whose tags the Engine resolves, with Docker's credentials.

    Source: Docker Engine API, `GET /distribution/{name}/json`.
    """

    def resolve(self, tag: str) -> Digest:
        """Return the digest that `tag` names now; NotFound if there is none: one request by the Engine."""
        image = EngineLocation(self.repository.tagged(tag))
        client = engine_client()
        with engine_errors(f"{self.name}:{tag}, asked for by the Docker Engine"):
            answer = client.inspect_distribution(image.name)  # type: ignore[no-untyped-call]
        try:
            return Digest.parse(answer["Descriptor"]["digest"])
        except (KeyError, TypeError, InvalidDigest):
            raise InvalidContent(f"{self.name}:{tag}: the Docker Engine did not return its digest") from None

    def read_manifest(self, identifier: str) -> Manifest:
        """Return the manifest of a tag or digest; the Engine does not return its content, so it is fetched."""
        if ":" in identifier:
            return super().read_manifest(identifier)
        digest = self.resolve(identifier)
        try:
            return super().read_manifest(digest)
        except (AccessDenied, Unreachable) as error:
            raise type(error)(
                f"{error}: the Docker Engine resolves {self.name}:{identifier} to {digest}, but does not return "
                "its content: name a digest, or lock without a platform"
            ) from None
