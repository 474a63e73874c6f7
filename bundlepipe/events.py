"""What happens while a verb works: one stream of events.

Verbs and stores emit, doors (the task reporter, the command line) render. An emitter is
any callable that takes an event; it may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class EntryPacked:
    """A file or directory of the inputs is part of what is pushed; `name` is its path in there."""

    name: str
    is_directory: bool


@dataclass(frozen=True)
class ImageLaidOut:
    """The files of an image are about to be laid out; `kind` is "bundle", "image" or "nested bundle".

    depth: in how many bundles it is nested. again: it was laid out before, so it is not now.
    """

    image: str
    kind: str
    depth: int = 0
    again: bool = False


@dataclass(frozen=True)
class LayerLaidOut:
    """The layer `number` (from 1) of the `count` that the image before this has is about to be laid out."""

    digest: str
    number: int
    count: int


@dataclass(frozen=True)
class CopyPlanned:
    """Everything that a copy will see to is known: images (indexes included), distinct blobs and their bytes.

    `names` are where the images were found that are not just members of an index.
    """

    images: int
    blobs: int
    size: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlobStarted:
    """The transfer of a blob of `size` bytes began; once more, from its first byte, for each further attempt."""

    digest: str
    size: int


@dataclass(frozen=True)
class BlobAdvanced:
    """`count` further bytes of a blob were transferred."""

    digest: str
    count: int


@dataclass(frozen=True)
class BlobDone:
    """A blob is where it should be; `how` is "transferred", "mounted" or "present"."""

    digest: str
    size: int
    how: str


@dataclass(frozen=True)
class ImageDone:
    """An image or index is where it should be, all its blobs included; `how` is "copied" or "present"."""

    image: str
    how: str


@dataclass(frozen=True)
class HelperAwaited:
    """The credential helper `program` has not answered yet for a server; it may take `limit` seconds altogether."""

    program: str
    server: str
    limit: float


@dataclass(frozen=True)
class Retrying:
    """A request failed for `reason` and is tried again after `delay` seconds."""

    url: str
    reason: str
    delay: float


@dataclass(frozen=True)
class OutputLine:
    """Another program (a builder, a generator, kubectl) printed a line."""

    text: str


Event = (
    EntryPacked
    | ImageLaidOut
    | LayerLaidOut
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
    """Render nothing."""


_current: ContextVar[Emit] = ContextVar("emit", default=ignore)


@contextmanager
def emitting(emit: Emit) -> Iterator[None]:
    """Let `emit_here` emit by `emit` in this block: what is deep below has no other way to tell."""
    token = _current.set(emit)
    try:
        yield
    finally:
        _current.reset(token)


def emit_here(event: Event) -> None:
    """Emit by the emitter of the innermost `emitting` block of this thread, if any."""
    _current.get()(event)
