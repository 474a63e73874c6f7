"""Unpack layers into a directory.

Archives are treated as hostile: names cannot leave the directory, sizes and numbers stay within
declared limits, links and devices are left out (as imgpkg does). Layers apply in the order of the
OCI image layer specification: later ones win, whiteouts remove.

The calling thread reads, verifies and decompresses a layer while a second one writes it; only the
first ever waits for a network. It also computes the DiffID, so that a layer is checked without
being read again.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from bundlepipe.errors import IntegrityError, OutputError, UnsafeArchive
from bundlepipe.filesystem.snapshots import FileState, Snapshot, directory_state, extracted_state
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers.decompress import decompress
from bundlepipe.oci.layers.tar import BLOCK, Member, read_member
from bundlepipe.oci.layers.tree import Tree

if TYPE_CHECKING:
    from hashlib import _Hash

# Enough to let one thread run while the other creates a directory or waits for a disk.
_BLOCKS_AHEAD = 64

# Average allowance for headers, extended ones included; PAX records seldom fill one block.
_HEADER_ALLOWANCE = 4096
_HEADER_BASE_ALLOWANCE = 4 * 1024 * 1024

_LONGEST_SHOWN_NAME = 200

# Content, a fault of the stream at this point, or its end.
_Block = bytes | UnsafeArchive | None


class Limits(Struct, frozen=True):
    """The most that the layers of an image may unpack to, in total.

    `size` counts the bytes of content, including entries that are left out or replaced later;
    `entries` counts entries of the archives and the directories that they imply. Headers are
    allowed 4 KiB per entry.
    """

    size: int = 64 * 1024**3
    entries: int = 1_000_000


class LayerContent(NamedTuple):
    """The expected content of a layer: its digest in the manifest, and its DiffID in the configuration."""

    digest: Digest
    diff_id: Digest


class Unpacked(Struct, frozen=True):
    """The content of the directory: the total number of files, and the names at its top in byte order."""

    files: int
    names: tuple[str, ...]


class _OtherContent(IntegrityError):
    """A layer does not match the image configuration."""


class _LimitExceeded(UnsafeArchive):
    """The layers exceed the limits: reading stops at once."""


def unpack(
    layers: Iterable[Iterable[bytes]],
    directory: str,
    *,
    limits: Limits | None = None,
    what: str = "image",
    expected: Sequence[LayerContent] = (),
    states: Snapshot | None = None,
) -> Unpacked:
    """Unpack layers, the base first, into a directory.

    A layer is an iterable of chunks (plain, gzip or zstd) that raises unless the chunks are the
    right blob; it is consumed to the end, beyond that of the archive, so that it can. `directory`
    is new, empty, and has the default mode; after an error it is incomplete and has to be removed.

    Absolute names are relative to the directory. Files get the permission bits in the archive, the
    owner's for everyone if there are no others; directories the default mode, or their own if it
    has bits for group or others. The umask applies; set-user-ID, set-group-ID and sticky bits are
    dropped. Times are those of the extraction.

    `expected`, if given, says what each layer has to hold: besides the digest, the DiffID in the
    image configuration.

    `states`, if given, gets the state of the directory and of everything in it, by path, so that
    nothing has to be read again.

    Raises UnsafeArchive for a name that leaves the directory, for content beyond `limits` and for a
    damaged archive; IntegrityError for a layer that is not the `expected` one; OutputError if the
    file system refuses; whatever `layers` raise, which takes precedence over a damaged layer.
    Messages begin with `what`.
    """
    budget = _Budget(limits or Limits())
    written: dict[bytes, FileState] | None = None if states is None else {}
    try:
        tree = Tree(os.fsencode(directory), budget.count_entry)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written: {error.strerror}") from None
    for number, layer in enumerate(layers, 1):
        tree.begin_layer()
        writer = _Writer(tree, budget, written)
        try:
            _unpack_layer(iter(layer), writer, expected[number - 1] if expected else None)
        except (UnsafeArchive, OutputError, _OtherContent) as error:
            raise type(error)(f"{what}: layer {number}: {error}") from None
    files = 0
    for path, is_file in tree.walk():
        files += is_file
        if states is not None and written is not None:
            states[os.fsdecode(path)] = written[path] if is_file else directory_state()
    return Unpacked(files, tuple(tree.names()))


def _unpack_layer(chunks: Iterator[bytes], writer: _Writer, expected: LayerContent | None) -> None:
    hasher = expected.diff_id.hasher() if expected else None
    try:
        writer.start()
        writer.feed(chunks, hasher)
        if not isinstance(writer.error, (_LimitExceeded, OutputError)):
            # That the layer is the wrong one matters more than what is damaged in it.
            for _ in chunks:
                pass
    finally:
        writer.close()
        close: Callable[[], None] | None = getattr(chunks, "close", None)
        if close:
            close()
    if writer.error:
        raise writer.error
    if expected and hasher and Digest.from_hasher(hasher) != expected.diff_id:
        raise writer.damage or _OtherContent(
            f"{expected.digest} has the DiffID {Digest.from_hasher(hasher)}, where the image configuration "
            f"says {expected.diff_id}: the image is faulty: have it built or copied again"
        )


class _Budget:
    """The remaining allowance of the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = limits.size
        self._entries = limits.entries
        self._headers = _HEADER_BASE_ALLOWANCE + limits.entries * _HEADER_ALLOWANCE

    def count_entry(self) -> None:
        self._entries -= 1
        if self._entries < 0:
            raise _LimitExceeded(f"the image has more than {self._limits.entries} entries, the limit")

    def count_content(self, size: int) -> None:
        self._size -= size
        if self._size < 0:
            raise _LimitExceeded(f"the image holds more than {self._limits.size} bytes, the limit")

    def count_header(self, size: int) -> None:
        self._headers -= size
        if self._headers < 0:
            raise _LimitExceeded("the headers of the image take more space than is allowed for its entries")


class _Writer:
    """A thread that writes the archive it is fed to a tree.

    `error` is what made it stop early. Even then it consumes its input, so that no thread blocks.
    `damage` is a fault of the compressed stream, perhaps only after the end of the archive.
    """

    def __init__(self, tree: Tree, budget: _Budget, written: dict[bytes, FileState] | None) -> None:
        self._tree = tree
        self._budget = budget
        self._written = written
        self._blocks: queue.Queue[_Block] = queue.Queue(_BLOCKS_AHEAD)
        # A daemon, since a second interrupt may end `close` before the thread has ended.
        self._thread = threading.Thread(target=self._run, name="unpack", daemon=True)
        self._is_done = False
        self.error: BaseException | None = None
        self.damage: UnsafeArchive | None = None

    def start(self) -> None:
        """Start the thread; `close` has to follow."""
        self._thread.start()

    def feed(self, chunks: Iterator[bytes], hasher: _Hash | None) -> None:
        """Pass the archive in a layer's chunks to the thread as far as it needs it, and all of it to a hasher."""
        try:
            for block in decompress(chunks):
                if hasher:
                    hasher.update(block)
                if not self._is_done:
                    self._blocks.put(block)
                elif self.error or not hasher:
                    return
                else:
                    # Data after the end of the archive is part of the DiffID, and may be large.
                    self._budget.count_content(len(block))
        except _LimitExceeded:
            raise
        except UnsafeArchive as error:
            # Damage after the end of the archive is harmless, and the thread knows where the end
            # is.
            self.damage = error
            self._blocks.put(error)

    def close(self) -> None:
        """Let the thread finish, and wait until it has."""
        self._blocks.put(None)
        # The thread is not alive yet if an interrupt came while it started; it will then end without help.
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        archive = _Archive(self._blocks.get, self._budget)
        try:
            _write_entries(archive, self._tree, self._budget, self._written)
        except BaseException as error:  # noqa: BLE001  (raised by the thread that feeds)
            self.error = error
        self._is_done = True
        archive.drain()


class _Archive:
    """The blocks of an archive, read in portions of any size."""

    def __init__(self, next_block: Callable[[], _Block], budget: _Budget) -> None:
        self._next_block = next_block
        self._budget = budget
        self._block = b""
        self._position = 0
        self._has_ended = False

    def read(self, size: int) -> bytes:
        """Return `size` bytes of headers, fewer at the end."""
        self._budget.count_header(size)
        start = self._position
        end = start + size
        if end <= len(self._block):
            self._position = end
            return self._block[start:end]
        parts: list[bytes] = []
        while size and self._fill():
            part = self._block[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def copy(self, size: int, descriptor: int, update: Callable[[memoryview], None] | None = None) -> None:
        """Write the next `size` bytes to a file and pass them to `update`; UnsafeArchive if the archive ends before."""
        while size:
            if not self._fill():
                raise UnsafeArchive("the archive ends within its content")
            portion = memoryview(self._block)[self._position : self._position + size]
            # A signal or a full disk may cut a write short; the next one shows which.
            written = os.write(descriptor, portion)
            if update:
                update(portion[:written])
            self._position += written
            size -= written

    def skip(self, size: int) -> None:
        """Skip the next `size` bytes; UnsafeArchive if the archive ends before."""
        while size:
            if not self._fill():
                raise UnsafeArchive("the archive ends within its content")
            skipped = min(size, len(self._block) - self._position)
            self._position += skipped
            size -= skipped

    def drain(self) -> None:
        """Consume all remaining blocks."""
        while not self._has_ended:
            self._has_ended = self._next_block() is None

    def _fill(self) -> bool:
        """Ensure that the block has at least one byte, unless the archive has ended."""
        if self._position < len(self._block):
            return True
        if self._has_ended:
            return False
        block = self._next_block()
        if isinstance(block, UnsafeArchive):
            raise block
        self._has_ended = block is None
        self._block = block or b""
        self._position = 0
        return not self._has_ended


def _write_entries(archive: _Archive, tree: Tree, budget: _Budget, written: dict[bytes, FileState] | None) -> None:
    while (member := read_member(archive.read)) is not None:
        try:
            budget.count_entry()
            budget.count_content(member.size)
            _write_entry(member, archive, tree, written)
        except UnsafeArchive as error:
            raise type(error)(f"entry '{_shown(member.name)}': {error}") from None
        except OSError as error:
            raise OutputError(f"entry '{_shown(member.name)}': cannot be written: {error.strerror}") from None


def _write_entry(member: Member, archive: _Archive, tree: Tree, written: dict[bytes, FileState] | None) -> None:
    created: tuple[int, bytes] | None = None
    if member.is_file:
        created = tree.create_file(member.name, member.mode)
    elif member.is_directory:
        tree.create_directory(member.name, member.mode)
    else:
        tree.omit(member.name)
    if created is None:
        archive.skip(member.size)
    else:
        descriptor, path = created
        try:
            if written is None:
                archive.copy(member.size, descriptor)
            else:
                hasher = hashlib.sha256()
                archive.copy(member.size, descriptor, hasher.update)
                written[path] = extracted_state(os.fstat(descriptor), hasher.hexdigest())
        finally:
            os.close(descriptor)
    archive.skip(-member.size % BLOCK)


def _shown(name: bytes) -> str:
    """Return a name in a form that fits on one line of any terminal."""
    text = name[:_LONGEST_SHOWN_NAME].decode(errors="backslashreplace")
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown if len(name) <= _LONGEST_SHOWN_NAME else shown + "..."
