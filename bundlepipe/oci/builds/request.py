"""The request for an image build: its inputs and options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import INPUTS_LABEL

Builder = Literal["docker", "buildx"]


class BuildRequest(Struct, frozen=True):
    """An image build, with the options of `docker build` under the same names.

    `platform` is one platform, or several separated by commas. `raw_options` are additional options
    of the builder's command line. `builder` is "docker" for the Engine's classic builder, "buildx"
    for BuildKit by `docker buildx`; None uses buildx if it is installed.
    """

    context: BuildContext
    target: str | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform: str | None = None
    raw_options: Sequence[str] = ()
    pull: bool = False
    no_cache: bool = False
    builder: Builder | None = None

    def check(self) -> None:
        """Raise BundlepipeError for options that are refused before anything is read."""
        if INPUTS_LABEL in self.labels:
            raise BundlepipeError(f"label '{INPUTS_LABEL}' records the inputs of a build: use a different key")

    def inputs_digest(self, content: Digest) -> Digest:
        """Return the digest of everything that decides the image, given the digest of the context's content.

        Base images of the Dockerfile are not included: their tags may move. Nor are `pull`, `no_cache`
        and `builder`, which say how the image is built, not what it is.
        """
        document = {
            "content": content,
            "target": self.target,
            "args": dict(self.args),
            "labels": dict(self.labels),
            "platform": self.platform,
            "options": list(self.raw_options),
        }
        return Digest.of(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
