"""Read single files from a layer without unpacking it."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator

from bundlepipe.errors import UnsafeArchive
from bundlepipe.limits import LARGEST_DOCUMENT, in_words
from bundlepipe.oci.layers.chunks import ChunkFile
from bundlepipe.oci.layers.decompress import decompress
from bundlepipe.oci.layers.tar import padding, read_member

_SKIP = 1 << 20


def read_files(
    chunks: Iterator[bytes], names: Collection[str], what: str, largest: int = LARGEST_DOCUMENT
) -> dict[str, bytes]:
    """Return the content of the named regular files of a layer, as far as it has them.

    `chunks` are those of a layer (plain, gzip or zstd); they are consumed to the end, so that a
    stream which verifies itself there can do so. If the archive has a name twice, the last entry
    counts. Raises UnsafeArchive, naming `what`, for a damaged archive and a file of more than
    `largest` bytes, and whatever `chunks` raises.
    """
    try:
        found = _search(io.BufferedReader(ChunkFile(decompress(chunks)), _SKIP), names, largest)
    except UnsafeArchive as error:
        # A wrong layer is a better message than a damaged one.
        for _ in chunks:
            pass
        raise UnsafeArchive(f"{what}: {error}") from None
    for _ in chunks:
        pass
    return found


def _search(archive: io.BufferedReader, names: Collection[str], largest: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while (member := read_member(archive.read)) is not None:
        name = member.name.decode(errors="replace").removeprefix("./")
        end = member.size + len(padding(member.size))
        if not member.is_file or name not in names:
            _skip(archive, end)
            continue
        if member.size > largest:
            most = in_words(largest)
            raise UnsafeArchive(f"'{name}' has {member.size} bytes, more than the {most} that such a document may have")
        content = archive.read(end)
        if len(content) < member.size:
            raise UnsafeArchive(f"the archive ends within '{name}'")
        found[name] = content[: member.size]
    return found


def _skip(archive: io.BufferedReader, size: int) -> None:
    while size > 0:
        skipped = len(archive.read(min(size, _SKIP)))
        if not skipped:
            raise UnsafeArchive("the archive ends within a file")
        size -= skipped
