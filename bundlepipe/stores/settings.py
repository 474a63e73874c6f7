"""What a user declares about a registry host: the `registries` of a pipeline file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# The host that a directory backs unless something else is declared.
LAYOUT_HOST = "layout.localhost"
DEFAULT_LAYOUT_DIRECTORY = "build/registry"


@dataclass(frozen=True)
class RegistrySettings:
    """What is known about one registry host; every field has a default, and a JSON type.

    layout: the directory that backs the host instead of a server; its repositories are
        OCI image layouts below it.
    ca: a file of PEM certificates that are trusted beside the system's.
    insecure: plain HTTP may be used where the host does not speak TLS.
    concurrency: the number of blobs that are transferred from or to the host at once.
    resolve: "engine" lets the Docker Engine resolve tags, where it alone reaches the host.
    """

    layout: str | None = None
    ca: str | None = None
    insecure: bool = False
    concurrency: int | None = None
    resolve: Literal["engine"] | None = None
