"""Write a tar file with the bytes of `imgpkg copy --to-tar`, layers in any order.

All manifests are known before the first layer arrives, and with them the offset of every byte, so
layers are written in parallel, in any order, and the file is always the same. Until it is complete
it is `.NAME.partial` in the same directory: a copy resumes with the verified layers in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

from bundlepipe.errors import IntegrityError, StoreError
from bundlepipe.filesystem.base_directory import anchored, as_given
from bundlepipe.filesystem.files import read_at, write_at
from bundlepipe.limits import LARGEST_ARCHIVE_MANIFEST, in_words
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers import tar
from bundlepipe.oci.manifest import DOCKER_LAYER, Descriptor, Manifest
from bundlepipe.stores.archive import manifest as archive_manifest
from bundlepipe.stores.archive.manifest import ArchivedManifest
from bundlepipe.stores.archive.reader import Span, layer_file_name, scan
from bundlepipe.stores.protocol import OpenContent, Source
from bundlepipe.stores.verification import verified

_MODE = 0o644
_CHUNK = 1 << 20


class ArchiveWriter:
    """Writes the archive to `path`, where it appears when the `with` block ends without an error.

    `entries` are what is copied, `layers` the sizes of the layers that it contains. With `resume`,
    verified layers are reused from an interrupted copy and from an archive at `path`; if that is
    the same archive, it `is_complete` and stays. `about_to` is called just before the archive is
    renamed to `path`; if it raises, `path` and the partial file, which the next copy resumes from,
    stay. With `as_kbld` its manifest.json is that of kbld. Raises StoreError if the file system
    refuses, and while another process writes the same archive.
    """

    def __init__(
        self,
        path: str,
        entries: Sequence[ArchivedManifest],
        layers: Mapping[Digest, int],
        *,
        resume: bool,
        about_to: Callable[[], object] = lambda: None,
        as_kbld: bool = False,
    ) -> None:
        self._given = path
        # The target of a link is replaced, and the link stays.
        place = anchored(path)
        self._path = os.path.realpath(place) if os.path.islink(place) else place
        directory, name = os.path.split(self._path)
        self._partial = os.path.join(directory, f".{name}.partial")
        self._previous = os.path.join(directory, f".{name}.previous")
        self._resume = resume
        self._about_to = about_to
        self._blocks: list[tuple[int, bytes]] = []
        self._spans: dict[Digest, Span] = {}
        manifest = archive_manifest.to_bytes(entries, as_kbld=as_kbld)
        if len(manifest) > LARGEST_ARCHIVE_MANIFEST:
            raise StoreError(
                f"{self.name}: {archive_manifest.FILE_NAME} would have more than the "
                f"{in_words(LARGEST_ARCHIVE_MANIFEST)} that are read of one: copy into several tars"
            )
        if excess := archive_manifest.excess(manifest, entries):
            raise StoreError(f"{self.name}: {archive_manifest.FILE_NAME} {excess}: copy into several tars")
        self._size = self._arrange(manifest, layers)
        self._earlier: list[tuple[str, dict[str, Span]]] = []
        self._descriptor = -1
        self._goes_on = False
        self.is_complete = False

    def _arrange(self, manifest: bytes, layers: Mapping[Digest, int]) -> int:
        """Compute the offset of every byte; return the size of the archive."""
        head = tar.header(archive_manifest.FILE_NAME, _MODE, len(manifest), tar.REGULAR)
        head += manifest + tar.padding(len(manifest))
        self._blocks.append((0, head))
        position = len(head)
        for digest in sorted(layers):
            header = tar.header(layer_file_name(digest), _MODE, layers[digest], tar.REGULAR)
            self._blocks.append((position, header))
            self._spans[digest] = Span(position + len(header), layers[digest])
            position += len(header) + layers[digest]
            padding = tar.padding(layers[digest])
            self._blocks.append((position, padding))
            position += len(padding)
        self._blocks.append((position, tar.END_OF_ARCHIVE))
        return position + len(tar.END_OF_ARCHIVE)

    @property
    def name(self) -> str:
        """`tar:FILE`."""
        return f"tar:{self._given}"

    @property
    def repository(self) -> None:
        """None: images in an archive do not belong to a registry yet."""
        return None

    @property
    def keeps_untagged(self) -> bool:
        """True."""
        return True

    def __enter__(self) -> ArchiveWriter:
        with self._translated():
            if os.path.isdir(self._path):
                raise StoreError(
                    f"{self.name}: cannot be written: there is a directory: name a file",
                    drop_in=f"Creating file '{self._given}': open {self._given}: is a directory",
                )
            if os.path.exists(self._path) and not os.path.isfile(self._path):
                # A tar file is put in place by a rename, which would remove a device or pipe.
                raise StoreError(f"{self.name}: cannot be written: there is a device or pipe: name a file")
            self.is_complete = self._resume and self._is_there()
            if self.is_complete:
                self._remove_leftovers()
                return self
            os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
            self._descriptor = self._open_partial()
            try:
                self._begin()
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_complete:
            return
        try:
            if kind is None:
                self._about_to()
                with self._translated():
                    os.replace(self._partial, self._path)
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._previous)
        finally:
            with self._translated():
                self._close()

    def put_blob(self, blob: Descriptor, open_content: OpenContent) -> bool:
        """Write a layer, and return whether it had to be transferred; configurations are in manifest.json."""
        span = self._spans.get(blob.digest)
        if self.is_complete or span is None:
            return False
        if (self._goes_on and self._verifies(self._descriptor, blob)) or self._takes_over(blob, span):
            return False
        with open_content() as content:
            self._write(blob, span, iter(lambda: content.read(_CHUNK), b""))
        return True

    def mount_blob(self, blob: Descriptor, source: Source) -> bool:
        """Return False: an archive cannot mount blobs."""
        return False

    def put_manifest(self, manifest: Manifest, tag: str | None = None) -> None:
        """Do nothing: manifest.json already has it."""

    def put_referrers(self, index: Manifest, subject: Digest) -> bool:
        """Do nothing: manifest.json, which is new, already has the index."""
        return True

    def _is_there(self) -> bool:
        """Return whether the file at `path` is this archive, with every layer verified."""
        try:
            with open(self._path, "rb") as file:
                descriptor = file.fileno()
                blobs = (Descriptor(DOCKER_LAYER, digest, span.size) for digest, span in self._spans.items())
                return self._is_arranged_so(descriptor) and all(self._verifies(descriptor, blob) for blob in blobs)
        except OSError:
            return False

    def _remove_leftovers(self) -> None:
        """Remove the leftovers of an interrupted copy, unless another process is writing there now."""
        if os.path.exists(self._partial) or os.path.exists(self._previous):
            with contextlib.suppress(StoreError):
                self._descriptor = self._open_partial()
                for path in (self._partial, self._previous):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)
                self._close()

    def _close(self) -> None:
        # A descriptor that is closed twice may belong to another file by then.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open_partial(self) -> int:
        while True:
            descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise StoreError(f"{self.name}: another process is writing it: wait for it to end") from None
            # Between the two calls another process may have finished, and the file may be the
            # archive.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(self._partial)):
                    return descriptor
            os.close(descriptor)

    def _begin(self) -> None:
        self._goes_on = self._resume and self._is_arranged_so(self._descriptor)
        if not self._goes_on:
            self._set_partial_aside()
            self._check_space()
            os.truncate(self._descriptor, self._size)
            for offset, block in self._blocks:
                write_at(self._descriptor, block, offset)
        if self._resume:
            for path in (self._previous, self._path):
                with contextlib.suppress(OSError), open(path, "rb") as file:
                    self._earlier.append((path, scan(file, as_given(path), may_be_cut=True)))

    def _is_arranged_so(self, descriptor: int) -> bool:
        """Return whether a partial file has the layout of this archive."""
        return os.fstat(descriptor).st_size == self._size and all(
            os.pread(descriptor, len(block), offset) == block for offset, block in self._blocks
        )

    def _set_partial_aside(self) -> None:
        """Start a new partial file, keeping that of another archive as a source of layers."""
        if self._resume and os.fstat(self._descriptor).st_size:
            os.replace(self._partial, self._previous)
            self._close()
            self._descriptor = self._open_partial()
        os.truncate(self._descriptor, 0)

    def _check_space(self) -> None:
        free = shutil.disk_usage(os.path.dirname(self._path) or ".").free
        if free < self._size:
            raise StoreError(f"{self.name}: needs {self._size} bytes, but only {free} are free there")

    def _verifies(self, descriptor: int, blob: Descriptor) -> bool:
        span = self._spans[blob.digest]
        if _has_hole(descriptor, span):
            return False
        try:
            for _ in verified(read_at(descriptor, *span), blob, self.name):
                pass
        except IntegrityError:
            return False
        return True

    def _takes_over(self, blob: Descriptor, span: Span) -> bool:
        """Write a layer from an earlier archive; False if none has it."""
        for path, spans in self._earlier:
            found = spans.get(layer_file_name(blob.digest))
            if found is None or found.size != blob.size:
                continue
            with contextlib.suppress(IntegrityError, OSError), open(path, "rb") as file:
                if not _has_hole(file.fileno(), found):
                    self._write(blob, span, read_at(file.fileno(), *found))
                    return True
        return False

    def _write(self, blob: Descriptor, span: Span, chunks: Iterator[bytes]) -> None:
        position = span.offset
        for chunk in verified(chunks, blob, self.name):
            with self._translated():
                write_at(self._descriptor, chunk, position)
            position += len(chunk)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.name}: cannot be written: {error.strerror}") from None


def _has_hole(descriptor: int, span: Span) -> bool:
    """Return whether a part was certainly never written; False if the file system cannot tell, so that it is read."""
    if not span.size or not hasattr(os, "SEEK_HOLE"):
        return False
    try:
        return os.lseek(descriptor, span.offset, os.SEEK_HOLE) < span.offset + span.size
    except OSError:
        return False
