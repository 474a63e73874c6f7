"""Directories to push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.oci.reference import Reference


def write_bundle(directory: Path, files: Mapping[str, str], images: Sequence[Reference] = ()) -> Path:
    """Write a bundle of some files, whose images.yml names some images; return the directory."""
    lock = ImagesLock(tuple(ImageRef(image, {KBLD_ID: image.repository.path}) for image in images))
    (directory / ".imgpkg").mkdir(parents=True)
    (directory / ".imgpkg/images.yml").write_bytes(lock.to_bytes())
    for name, content in files.items():
        (directory / name).write_text(content)
    return directory
