"""What to build an image from, and how: the values that a build is asked for by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bundlepipe.errors import BundlepipeError
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import INPUTS_LABEL

Builder = Literal["docker", "buildx"]


@dataclass(frozen=True)
class BuildRequest:
    """A build, with the options that `docker build` has under these names.

    `platform` is one platform, or several with commas between. `raw_options` are further
    options of the builder's command line. `builder` is "docker" for the Engine's classic
    builder, "buildx" for BuildKit by `docker buildx`; None takes buildx where it is installed.
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
        """Raise BundlepipeError for what is refused before anything is read."""
        if INPUTS_LABEL in self.labels:
            raise BundlepipeError(f"label '{INPUTS_LABEL}' is how built images are told apart: use a different key")

    def inputs_digest(self, content: Digest) -> Digest:
        """Return the digest of everything that decides the image, given that of the context's content.

        Not of the images that the Dockerfile builds upon: their tags may move. `pull`,
        `no_cache` and `builder` say how the image is made, and not what it is.
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
