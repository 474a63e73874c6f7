"""What happens while a verb works: one stream of events.

Verbs and stores emit, doors (the task reporter, the command line) render. An emitter is
any callable that takes an event; it may be called from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class CopyPlanned:
    """Everything that a copy will see to is known: images (indexes included), distinct blobs and their bytes."""

    images: int
    blobs: int
    size: int


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
class Retrying:
    """A request failed for `reason` and is tried again after `delay` seconds."""

    url: str
    reason: str
    delay: float


@dataclass(frozen=True)
class OutputLine:
    """Another program (a builder, a generator, kubectl) printed a line."""

    text: str


Event = CopyPlanned | BlobStarted | BlobAdvanced | BlobDone | ImageDone | Retrying | OutputLine
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Render nothing."""
