"""Events that verbs and stores emit while they work: transfers, progress, retries, output.

Front ends (the task reporter, the command line) render them. An emitter is any callable that takes
an event; several threads may call it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct


class EntryPacked(Struct, frozen=True):
    """A file or directory of the inputs was packed; `name` is its path in the layer."""

    name: str
    is_directory: bool


class UnpackingImage(Struct, frozen=True):
    """The layers of an image are about to be unpacked; `kind` is "bundle", "image" or "nested bundle".

    depth: how many bundles it is nested in.
    again: it was unpacked before, so it is skipped now.
    """

    image: str
    kind: str
    depth: int = 0
    again: bool = False


class UnpackingLayer(Struct, frozen=True):
    """Layer `number` (from 1) of the current image's `count` layers is about to be unpacked."""

    digest: str
    number: int
    count: int


class CopyPlanned(Struct, frozen=True):
    """The extent of a copy is known: images (indexes included), distinct blobs and their bytes.

    `names` are the locations where images were found, except those that are just members of an index.
    """

    images: int
    blobs: int
    size: int
    names: tuple[str, ...] = ()


class BlobStarted(Struct, frozen=True):
    """The transfer of a blob of `size` bytes began, or began again from its first byte for a retry."""

    digest: str
    size: int


class BlobAdvanced(Struct, frozen=True):
    """`count` more bytes of a blob were transferred."""

    digest: str
    count: int


class BlobDone(Struct, frozen=True):
    """A blob is at the destination; `how` is "transferred", "mounted" or "present"."""

    digest: str
    size: int
    how: str


class ImageDone(Struct, frozen=True):
    """An image or index is at the destination with all its blobs; `how` is "copied" or "present"."""

    image: str
    how: str


class HelperAwaited(Struct, frozen=True):
    """The credential helper `program` has not yet responded for a server; it may take `limit` seconds in total."""

    program: str
    server: str
    limit: float


class Retrying(Struct, frozen=True):
    """A request failed for `reason` and is retried after `delay` seconds."""

    url: str
    reason: str
    delay: float


class OutputLine(Struct, frozen=True):
    """Another program (a builder, a generator, kubectl) printed a line."""

    text: str


Event = (
    EntryPacked
    | UnpackingImage
    | UnpackingLayer
    | CopyPlanned
    | BlobStarted
    | BlobAdvanced
    | BlobDone
    | ImageDone
    | HelperAwaited
    | Retrying
    | OutputLine
)
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore the event."""


_current: ContextVar[Emit] = ContextVar("emit", default=ignore)


@contextmanager
def emitting(emit: Emit) -> Iterator[None]:
    """Make `emit_here` emit by `emit` in this block, for code deep below that has no emitter passed to it."""
    token = _current.set(emit)
    try:
        yield
    finally:
        _current.reset(token)


def emit_here(event: Event) -> None:
    """Emit by the emitter of this thread's innermost `emitting` block, if any."""
    _current.get()(event)
