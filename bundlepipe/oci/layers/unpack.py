"""Unpack layers into a directory.

Archives are treated as hostile: names cannot leave the directory, sizes and numbers stay within
declared limits, links and devices are left out (as imgpkg does). Layers apply in the order of the
OCI image layer specification: later ones win, whiteouts remove.

The calling thread reads, verifies and decompresses a layer while a second one writes it; only the
first ever waits for a network. The second one also computes the DiffID, so that a layer is checked
without being read again: a core has as much to do for either thread.
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
from bundlepipe.oci.layers.archive import Archive, Block
from bundlepipe.oci.layers.decompress import decompress
from bundlepipe.oci.layers.tar import BLOCK, Link, Member, read_member
from bundlepipe.oci.layers.tree import Tree

if TYPE_CHECKING:
    from hashlib import _Hash

# Enough to let one thread run while the other creates a directory or waits for a disk.
_BLOCKS_AHEAD = 16

# Average allowance for headers, extended ones included; PAX records seldom fill one block.
_HEADER_ALLOWANCE = 4096
_HEADER_BASE_ALLOWANCE = 4 * 1024 * 1024

_LONGEST_SHOWN_NAME = 200


class Limits(Struct, frozen=True):
    """The most that the layers of an image may unpack to, in total.

    `size` counts the bytes of content, including entries that are left out or replaced later;
    `entries` counts entries of the archives and the directories that they imply. Headers, and data
    after the end of an archive, are allowed 4 KiB per entry.
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
    links: dict[str, Link] | None = None,
    ignores_umask: bool = False,
) -> Unpacked:
    """Unpack layers, the base first, into a directory.

    A layer is an iterable of chunks (plain, gzip or zstd) that raises unless the chunks are the
    right blob; it is consumed to the end, beyond that of the archive, so that it can. `directory`
    is new, empty, and has the default mode; after an error it is incomplete and has to be removed.

    Absolute names are relative to the directory. Files get the permission bits in the archive, the
    owner's for everyone if there are no others; directories the default mode, or their own if it
    has bits for group or others. The umask applies, with `ignores_umask` not to files; set-user-ID,
    set-group-ID and sticky bits are dropped. Times are those of the extraction.

    `expected`, if given, says what each layer has to hold: besides the digest, the DiffID in the
    image configuration.

    `states`, if given, gets the state of the directory and of everything in it, by path, so that
    nothing has to be read again. `links`, if given, gets the links that are left out, by path.

    Raises UnsafeArchive for a name that leaves the directory, for content beyond `limits` and for a
    damaged archive; IntegrityError for a layer that is not the `expected` one; OutputError if the
    file system refuses; whatever `layers` raise, which takes precedence over a damaged layer.
    Messages begin with `what`.
    """
    budget = _Budget(limits or Limits())
    written: dict[bytes, FileState] | None = None if states is None else {}
    try:
        root, keeps_links = os.fsencode(directory), links is not None
        tree = Tree(root, budget.count_entry, ignores_umask=ignores_umask, keeps_links=keeps_links)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written: {error.strerror}") from None
    for number, layer in enumerate(layers, 1):
        tree.begin_layer()
        content = expected[number - 1] if expected else None
        writer = _Writer(tree, budget, content.diff_id.hasher() if content else None, written)
        try:
            _unpack_layer(iter(layer), writer, content)
        except (UnsafeArchive, OutputError, _OtherContent) as error:
            raise type(error)(f"{what}: layer {number}: {error}") from None
    files = 0
    for path, is_file in tree.walk():
        files += is_file
        if states is not None and written is not None:
            states[os.fsdecode(path)] = written[path] if is_file else directory_state()
    if links is not None:
        links.update((os.fsdecode(path), link) for path, link in tree.links())
    return Unpacked(files, tuple(tree.names()))


def _unpack_layer(chunks: Iterator[bytes], writer: _Writer, expected: LayerContent | None) -> None:
    try:
        writer.start()
        writer.feed(chunks)
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
    if expected and writer.diff_id != expected.diff_id:
        raise writer.damage or _OtherContent(
            f"{expected.digest} has the DiffID {writer.diff_id}, where the image configuration "
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

    def count_overhead(self, size: int) -> None:
        self._headers -= size
        if self._headers < 0:
            raise _LimitExceeded("headers, and what follows the archives, take more space than its entries are allowed")


class _Writer:
    """A thread that writes the archive it is fed to a tree, and hashes all of it with a `hasher`.

    `error` is what made it stop early. Even then it consumes its input, so that no thread blocks.
    `damage` is a fault of the compressed stream, perhaps only after the end of the archive.
    """

    def __init__(
        self, tree: Tree, budget: _Budget, hasher: _Hash | None, written: dict[bytes, FileState] | None
    ) -> None:
        self._tree = tree
        self._budget = budget
        self._hasher = hasher
        self._written = written
        self._blocks: queue.Queue[Block] = queue.Queue(_BLOCKS_AHEAD)
        # A daemon, since a second interrupt may end `close` before the thread has ended.
        self._thread = threading.Thread(target=self._run, name="unpack", daemon=True)
        self._is_done = False
        self.error: BaseException | None = None
        self.damage: UnsafeArchive | None = None

    @property
    def diff_id(self) -> Digest | None:
        """The digest of the archive, once the thread has ended; None without a hasher."""
        return Digest.from_hasher(self._hasher) if self._hasher else None

    def start(self) -> None:
        """Start the thread; `close` has to follow."""
        self._thread.start()

    def feed(self, chunks: Iterator[bytes]) -> None:
        """Pass the archive in a layer's chunks to the thread as far as it needs it."""
        try:
            for block in decompress(chunks):
                if self._is_done:
                    return
                self._blocks.put(block)
        except UnsafeArchive as error:
            # Damage after the block in which the archive ends is harmless, and the thread knows which
            # that is.
            self.damage = error
            self._blocks.put(error)

    def close(self) -> None:
        """Let the thread finish, and wait until it has."""
        self._blocks.put(None)
        # The thread is not alive yet if an interrupt came while it started; it will then end without help.
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        archive = Archive(self._next_block, self._budget.count_overhead)
        try:
            _write_entries(archive, self._tree, self._budget, self._written)
            if self._hasher:
                # Data after the end of the archive is part of the DiffID, and may be large.
                archive.drain(is_counted=True)
        except BaseException as error:  # noqa: BLE001  (raised by the thread that feeds)
            self.error = error
        self._is_done = True
        archive.drain()

    def _next_block(self) -> Block:
        block = self._blocks.get()
        if self._hasher and isinstance(block, bytes):
            self._hasher.update(block)
        return block


def _write_entries(archive: Archive, tree: Tree, budget: _Budget, written: dict[bytes, FileState] | None) -> None:
    while (member := read_member(archive.read)) is not None:
        try:
            budget.count_entry()
            budget.count_content(member.size)
            _write_entry(member, archive, tree, written)
        except UnsafeArchive as error:
            raise type(error)(f"entry '{_shown(member.name)}': {error}") from None
        except OSError as error:
            raise OutputError(f"entry '{_shown(member.name)}': cannot be written: {error.strerror}") from None


def _write_entry(member: Member, archive: Archive, tree: Tree, written: dict[bytes, FileState] | None) -> None:
    created: tuple[int, bytes] | None = None
    if member.is_file:
        created = tree.create_file(member.name, member.mode)
    elif member.is_directory:
        tree.create_directory(member.name, member.mode)
    else:
        tree.omit(member.name, member.link)
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
