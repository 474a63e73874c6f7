"""Read and write files: atomically, with size limits, and in parts by several threads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO

from bundlepipe.errors import InputError, as_go
from bundlepipe.filesystem.base_directory import anchored, anchored_output
from bundlepipe.limits import LARGEST_DOCUMENT, in_words

_PREFIX = ".incoming-"
_CHUNK = 1 << 20
# Paths of redirected output, whose file must not be replaced by another.
_STREAMS = ("/dev/fd/", "/dev/stdout", "/dev/stderr", "/proc/")


def is_utf8(name: str) -> bool:
    """Return whether a name or argument, in which other bytes are surrogates (PEP 383), is UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_file(path: str) -> bytes:
    """Return the content of an input file; InputError if it cannot be read."""
    with _opened(path) as file:
        return file.read()


def read_document(path: str, largest: int = LARGEST_DOCUMENT) -> bytes:
    """Return the content of a document; InputError if it cannot be read or exceeds the limit, in bytes."""
    with _opened(path) as file:
        return read_bounded(file, path, largest)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    try:
        with open(anchored(path), "rb") as file:
            yield file
    except IsADirectoryError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", drop_in=as_go("read", path, error)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", drop_in=as_go("open", path, error)) from None


def read_bounded(file: IO[bytes], what: str, largest: int = LARGEST_DOCUMENT) -> bytes:
    """Return the rest of a file that holds a document; InputError, calling it `what`, if it exceeds the limit."""
    content = file.read(largest + 1)
    if len(content) > largest:
        raise InputError(f"{what}: has more than {in_words(largest)}, the most that such a document may have")
    return content


def is_stream(path: str) -> bool:
    """Return whether a path is a device or a pipe, which is written to instead of being replaced."""
    return path.startswith(_STREAMS) or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def write_to_stream(path: str, content: bytes) -> None:
    """Write to a device, a pipe, or the end of redirected output. Raises OSError."""
    with open(path, "ab") as stream:
        stream.write(content)


def write_if_changed(
    path: str,
    content: bytes,
    *,
    about_to: Callable[[os.stat_result], object] = lambda status: None,
    mode: int | None = None,
) -> bool:
    """Write a file as `write_file` does unless it has the `content` already; return whether it was written.

    An unchanged file is not touched, so its time stamps stay. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError), open(anchored(path), "rb") as file:
        if file.read() == content:
            return False
    write_file(path, content, about_to=about_to, mode=mode)
    return True


def write_file(
    path: str,
    content: bytes,
    *,
    about_to: Callable[[os.stat_result], object] = lambda status: None,
    mode: int | None = None,
) -> None:
    """Write `content` to the file at `path`, whole or not at all. Missing directories are created.

    `about_to` gets the status of the new file just before the rename. `mode` are the permissions of
    a file that did not exist, if not those of the umask; an existing file keeps its own. Raises
    OSError.
    """
    existing, path = anchored(path), anchored_output(path)
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, exist_ok=True)
    with incoming(directory) as file:
        file.write(content)
        file.flush()
        if mode is not None:
            os.fchmod(file.fileno(), stat.S_IMODE(os.stat(existing).st_mode) if os.path.exists(existing) else mode)
        about_to(os.fstat(file.fileno()))
        os.replace(file.name, path)


@contextlib.contextmanager
def incoming(directory: str) -> Iterator[IO[bytes]]:
    """Create a temporary file in `directory` for the caller to rename into place; otherwise it is removed.

    The file is locked while it is written, which distinguishes it from files that a killed process left:
    `remove_abandoned` removes those.
    """
    file = _locked_file(directory)
    try:
        yield file
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(file.name)
        file.close()


def _locked_file(directory: str) -> IO[bytes]:
    while True:
        path = os.path.join(anchored(directory), _PREFIX + os.urandom(8).hex())
        file = open(path, "xb")  # noqa: SIM115  (the caller closes it)
        fcntl.flock(file, fcntl.LOCK_EX)
        # Between the two calls another process may have removed the file as abandoned.
        if os.path.exists(path):
            return file
        file.close()


def is_incoming(path: str) -> bool:
    """Return whether a path has the name of such a temporary file."""
    return os.path.basename(path).startswith(_PREFIX)


def remove_abandoned(directory: str) -> None:
    """Remove incomplete files that killed processes left in `directory`."""
    directory = anchored(directory)
    for name in os.listdir(directory):
        if name.startswith(_PREFIX):
            with contextlib.suppress(OSError), open(os.path.join(directory, name), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(file.name)


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the lock of a directory, against other processes and other threads."""
    descriptor = os.open(anchored(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_at(descriptor: int, offset: int, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of a file from `offset` on, fewer at its end; threads may share the file. Raises OSError."""
    end = offset + size
    while offset < end and (chunk := os.pread(descriptor, min(_CHUNK, end - offset), offset)):
        offset += len(chunk)
        yield chunk


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data` to a file from `offset` on; threads may share the file. Raises OSError."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
