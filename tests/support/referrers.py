"""A registry with the referrers API of OCI 1.1, which the registry program of most systems does not have yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import OCI_INDEX
from tests.support.proxy import Exchange, Fault, Header, Proxy, Respond
from tests.support.services import Registry

_REFERRERS = re.compile(r"/v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)")
_MANIFEST = re.compile(r"/v2/.+/manifests/sha256[:-](?P<encoded>[0-9a-f]{64})(\.imgpkg)?")


class ReferrersProxy(Proxy):
    """A proxy that lists referrers, going by what the registry behind it has in its files.

    To the upload of a manifest with a subject (by digest or internal tag, where the
    registry has seen it before) it adds the header that says so.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        super().__init__(registry.host)

    def record(self, exchange: Exchange) -> tuple[Fault, ...]:
        """Remember a request; answer it in the registry's place if it asks for referrers."""
        faults = super().record(exchange)
        path = urlsplit(exchange.path).path
        if exchange.method == "GET" and (match := _REFERRERS.fullmatch(path)):
            return (*faults, self._listed(match["name"], match["digest"]))
        if exchange.method == "PUT" and (match := _MANIFEST.fullmatch(path)):
            subject = self._document(f"sha256:{match['encoded']}").get("subject")
            return (*faults, Header("OCI-Subject", subject["digest"])) if subject else faults
        return faults

    def _listed(self, name: str, subject: str) -> Respond:
        entries = [
            {
                "mediaType": document["mediaType"],
                "digest": digest,
                "size": self._registry.blob_file(digest).stat().st_size,
                "artifactType": document["artifactType"],
            }
            for digest, document in self._manifests(name)
            if document.get("subject", {}).get("digest") == subject
        ]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return Respond(200, {"Content-Type": OCI_INDEX}, json.dumps(index).encode())

    def _manifests(self, name: str) -> Iterator[tuple[Digest, dict[str, Any]]]:
        root = self._registry.directory / "content/docker/registry/v2/repositories"
        for path in sorted((root / name / "_manifests/revisions/sha256").glob("*/link")):
            digest = Digest(path.read_text())
            yield digest, self._document(digest)

    def _document(self, digest: str) -> dict[str, Any]:
        file = self._registry.blob_file(digest)
        document: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
        return document
