"""The tar of a build context for the Docker Engine: the same files give the same bytes.

Source: what the `docker` program sends to the classic builder, and how that builder removes
Dockerfile and `.dockerignore` from the files it can copy (moby, `builder/remotecontext/detect.go`).
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from typing import IO, cast

from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.inputs import Entry, read_file
from bundlepipe.oci.builds.context import IGNORE_FILE, ContextFiles, read_link
from bundlepipe.oci.layers.chunks import ChunkFile

_PERMISSION_BITS = 0o7777


def write_context(files: ContextFiles, archive: IO[bytes]) -> str:
    """Write the archive of a context and return the Dockerfile's name in it.

    Owner 0, time 0. A Dockerfile that the build cannot copy is sent with a `.dockerignore` that
    makes the Engine remove both. Raises InputError for files that changed since they were walked.
    """
    dockerfile, additions = _hidden_files(files)
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in files.entries:
            if entry.name not in additions:
                _add(tar, entry)
        for name, content in additions.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return dockerfile


def _hidden_files(files: ContextFiles) -> tuple[str, dict[str, bytes]]:
    """Return the name that the Dockerfile gets, and the files to send besides those that can be copied."""
    dockerfile = files.dockerfile_entry
    if files.shows_dockerfile:
        return dockerfile.name, {}
    content = b"".join(read_file(dockerfile))
    if dockerfile.name and os.path.basename(files.ignore_file) == IGNORE_FILE:
        with open(anchored(files.ignore_file), "rb") as file:
            return dockerfile.name, {dockerfile.name: content, IGNORE_FILE: file.read()}
    name = f".dockerfile.{hashlib.sha256(content).hexdigest()[:20]}"
    shown = files.by_name.get(IGNORE_FILE)
    patterns = b"".join(read_file(shown)) if shown else IGNORE_FILE.encode()
    return name, {name: content, IGNORE_FILE: patterns + b"\n" + name.encode()}


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.name)
    info.mode = entry.status.st_mode & _PERMISSION_BITS
    if entry.is_directory:
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(entry.status.st_mode):
        info.type = tarfile.SYMTYPE
        info.linkname = read_link(entry)
    else:
        info.size = entry.status.st_size
    tar.addfile(info, cast(IO[bytes], io.BufferedReader(ChunkFile(read_file(entry)))) if info.isreg() else None)
