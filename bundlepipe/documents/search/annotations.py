"""Origins of images in kbld's format: the annotations of resources and of ImagesLock entries.

Both are YAML in a string. An origin is a mapping with one key: `local` (`path`), `git` (`remoteURL`, `sha`,
`dirty`, `tags`), `resolved` (`url`, `tag`), `platformSelected` (`index`, `os`, `architecture`, `variant`),
`preresolved` (`url`) or `tagged` (`tags`). An image that configuration names by digest has no origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bundlepipe.documents.yaml.writer import text_of

# On resources: the images they contain.
IMAGES_ANNOTATION = "kbld.k14s.io/images"
# On entries of an ImagesLock: the origins of the image.
ORIGINS_ANNOTATION = "kbld.carvel.dev/origins"

Origin = Mapping[str, Any]


def resolved_origin(url: str, tag: str | None) -> Origin:
    """Return the origin of an image resolved by a registry from `url`, by tag if it had one."""
    return {"resolved": {"tag": tag, "url": url} if tag else {"url": url}}


def preresolved_origin(url: str) -> Origin:
    """Return the origin of an image that configuration names in its resolved form."""
    return {"preresolved": {"url": url}}


def platform_origin(index: str, os: str | None, architecture: str | None, variant: str | None) -> Origin:
    """Return the origin of an image selected from an index by the given parts of a platform."""
    fields = {"index": index, "os": os, "architecture": architecture, "variant": variant}
    return {"platformSelected": {name: value for name, value in fields.items() if value}}


def tagged_origin(tags: Iterable[str]) -> Origin:
    """Return the origin of an image that got additional tags when it was pushed."""
    return {"tagged": {"tags": list(tags)}}


def local_origin(path: str) -> Origin:
    """Return the origin of an image that was built from a directory."""
    return {"local": {"path": path}}


def git_origin(sha: str, *, dirty: bool, remote_url: str, tags: Sequence[str] = ()) -> Origin:
    """Return the origin of an image that was built from a commit; `dirty` means with uncommitted changes."""
    git: dict[str, Any] = {"dirty": dirty, "remoteURL": remote_url, "sha": sha}
    if tags:
        git["tags"] = list(tags)
    return {"git": git}


def images_text(images: Iterable[tuple[str, Sequence[Origin]]]) -> str:
    """Return the value of `kbld.k14s.io/images` for images with their reference and origins.

    Each is listed once, in order; without any it is `null`.
    """
    listed: list[dict[str, Any]] = []
    for url, origins in images:
        image = {"origins": [*origins], "url": url} if origins else {"url": url}
        if image not in listed:
            listed.append(image)
    return text_of(listed) if listed else "null\n"


def origins_text(origins: Sequence[Origin]) -> str:
    """Return the value of `kbld.carvel.dev/origins`."""
    return text_of(origins)
