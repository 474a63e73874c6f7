"""Settings of registries: for one host (`registries` of a pipeline file), and for all of them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from bundlepipe.errors import StoreError, quoted
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference, Repository

# The host that a directory backs by default.
LAYOUT_HOST = "layout.localhost"
DEFAULT_LAYOUT_DIRECTORY = "build/registry"
# Total seconds to wait between the attempts at one request.
DEFAULT_PATIENCE = 300.0
PATIENCE_VARIABLE = "BUNDLEPIPE_PATIENCE"
_NOT_IN_A_PATH = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class RegistrySettings:
    """Settings of one registry host; every field has a default, and a JSON type.

    layout: the directory that backs the host instead of a server; its repositories are OCI image
    layouts below it.
    ca: a file of PEM certificates that are trusted in addition to the system's.
    insecure: plain HTTP may be used if the host does not speak TLS.
    concurrency: the number of blobs that are transferred from or to the host at once.
    resolve: "engine" lets the Docker Engine resolve tags, if only it can reach the host.
    """

    layout: str | None = None
    ca: str | None = None
    insecure: bool = False
    concurrency: int | None = None
    resolve: Literal["engine"] | None = None


class NetworkSettings(Struct, frozen=True):
    """Settings for requests to every registry, besides those declared for a host; the flags are imgpkg's.

    authorities: files of PEM certificates that are trusted in addition to the system's
    (`--registry-ca-cert-path`).
    verify_certificates: whether certificates of servers are checked (`--registry-verify-certs`).
    insecure: plain HTTP may be used for any host that does not speak TLS (`--registry-insecure`).
    response_header_timeout: seconds to wait for the head of a response, and at most to connect; None or 0
    sets no limit (`--registry-response-header-timeout`).
    tries: how often a request is sent before it fails (`--registry-retry-count`).
    stall_timeout: seconds to connect, and between two pieces of a body.
    patience: total seconds to wait between all attempts at one request, including those of `Retry-After`;
    None means `$BUNDLEPIPE_PATIENCE`, or 300.
    """

    authorities: Sequence[str] = ()
    verify_certificates: bool = True
    insecure: bool = False
    response_header_timeout: float | None = 30.0
    tries: int = 5
    stall_timeout: float = 30.0
    patience: float | None = None

    @property
    def connect_timeout(self) -> float:
        """Seconds to connect, TLS included."""
        return min(self.response_header_timeout or self.stall_timeout, self.stall_timeout)


def patience(network: NetworkSettings, environ: Mapping[str, str]) -> float:
    """Return the total seconds to wait between attempts at one request; StoreError for an invalid variable."""
    if network.patience is not None:
        return network.patience
    text = environ.get(PATIENCE_VARIABLE)
    if not text:
        return DEFAULT_PATIENCE
    if not (text.isascii() and text.isdigit()):
        raise StoreError(f"{PATIENCE_VARIABLE}: {quoted(text)} is not a number of seconds: write 300, say")
    return float(text)


def local_reference(name: str, digest: Digest) -> Reference:
    """Return the reference for an image that came from no registry, since tar files need one."""
    path = _NOT_IN_A_PATH.sub("-", name.lower()).strip("-")
    return Repository(LAYOUT_HOST, path or "layout").at(digest)


def docker_directory(environ: Mapping[str, str]) -> str:
    """Return the directory of Docker's configuration: `$DOCKER_CONFIG`, or `~/.docker` if that is not set."""
    return anchored(environ.get("DOCKER_CONFIG") or os.path.join(os.path.expanduser("~"), ".docker"))


# The default settings for requests to registries.
DEFAULT_NETWORK = NetworkSettings()
