"""Contexts to build, and what the images have that were built of them."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

from bundlepipe.oci.layers.decompress import decompress
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.engine.client import engine_client
from bundlepipe.stores.protocol import Source
from tests.support.services import program


def write_files(directory: Path, files: dict[str, str]) -> Path:
    """Write files with their contents below a directory, and return that."""
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)
    return directory


def add_shell(directory: Path) -> Path:
    """Put a static busybox into a directory, so that an image made from scratch can run something; return that."""
    shutil.copy(program("busybox"), directory / "busybox")
    return directory


def image_files(source: Source, manifest: Manifest) -> dict[str, bytes]:
    """Return the contents of the regular files in an image, by their path."""
    contents = {}
    for layer in manifest.layers:
        content = b"".join(decompress(source.read_blob(layer)))
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file:
                    contents[member.name] = file.read()
    return contents


def remove_images(label: str) -> None:
    """Remove the images of the Engine that have a label, `KEY=VALUE`.

    What they were built upon stays: a test beside this one may be building upon it now.
    """
    client = engine_client()
    for image in client.images(filters={"label": label}, quiet=True):
        client.remove_image(image, force=True, noprune=True)
