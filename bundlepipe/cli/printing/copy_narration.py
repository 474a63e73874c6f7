"""Narration of a copy, with a warning at the end about layers that were left out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from bundlepipe.cli.printing.console import Console
from bundlepipe.events import BlobDone, BlobStarted, CopyPlanned, Event
from bundlepipe.oci.digest import Digest
from bundlepipe.stores.archive.reader import count_present_layers, layer_file_name
from bundlepipe.stores.location import ArchiveLocation

if TYPE_CHECKING:
    from bundlepipe.verbs.copying.request import Copied, CopyRequest

_LEFT_OUT = (
    "Skipped the followings layer(s) due to it being non-distributable. If you would like to include "
    "non-distributable layers, use the --include-non-distributable-layers flag"
)
_NONE_THERE = "'--include-non-distributable-layers' flag provided, but no images contained a non-distributable layer."
_MANIFEST_FILE = "manifest.json"


class Narration:
    """Reports a copy, with imgpkg's lines."""

    def __init__(self, console: Console, request: CopyRequest) -> None:
        self._console = console
        self._to_tar = isinstance(request.destination, ArchiveLocation)
        self._includes_all = request.include_non_distributable

    def take(self, event: Event) -> None:
        """Report an event, if it is of interest."""
        if isinstance(event, CopyPlanned):
            self._export(event)
            self.line("writing layers..." if self._to_tar else f"importing {len(event.names)} images...")

    def end(self, copied: Copied) -> None:
        """Report the end of a copy."""
        if not self._to_tar:
            self.line("Tagging images")
        if copied.skipped:
            images = (
                f" - Image: {image}\n   Layers:" + "".join(f"\n     - {digest}" for digest in digests)
                for image, digests in self._ordered(copied.skipped)
            )
            self._warn("\n".join([_LEFT_OUT, *images]))
        elif self._includes_all and not copied.has_non_distributable:
            self._warn(_NONE_THERE)

    def _ordered(self, skipped: Mapping[str, tuple[Digest, ...]]) -> Iterable[tuple[str, tuple[Digest, ...]]]:
        return sorted(skipped.items())

    def line(self, text: str) -> None:
        """Report a text, in lines that begin with the name of the tool."""
        self._console.line("\n".join(f"copy | {line}" for line in text.split("\n")))

    def _export(self, planned: CopyPlanned) -> None:
        self.line(f"exporting {len(planned.names)} images...")
        for name in planned.names:
            self.line(f"will export {name}")
        self.line(f"exported {len(planned.names)} images")

    def _warn(self, text: str) -> None:
        """Warn about missing layers: on stdout if everything is narrated there, otherwise on stderr."""
        (self._console.line if self._console.narrates else self._console.note)(text)


class ImgpkgNarration(Narration):
    """Reports a copy exactly as imgpkg does: the files of a tar file, and warnings as lines."""

    def __init__(self, console: Console, request: CopyRequest) -> None:
        super().__init__(console, request)
        self._destination = request.destination
        self._resume = request.resume
        self._from_tar = isinstance(request.source, ArchiveLocation)
        self._files = WrittenFiles(self.line)

    def take(self, event: Event) -> None:
        """Report an event, if it is of interest."""
        super().take(event)
        if self._to_tar:
            self._files.take(event)

    def _export(self, planned: CopyPlanned) -> None:
        if self._from_tar:
            return
        super()._export(planned)
        if self._resume and isinstance(self._destination, ArchiveLocation) and os.path.isfile(self._destination.path):
            count = count_present_layers(self._destination.path)
            self.line(f"Going to reuse {count} layers from the tar already in disk")

    def _ordered(self, skipped: Mapping[str, tuple[Digest, ...]]) -> Iterable[tuple[str, tuple[Digest, ...]]]:
        return skipped.items()

    def _warn(self, text: str) -> None:
        self.line(f"Warning: {text}")


class WrittenFiles:
    """Reports the files of a tar file, as imgpkg and kbld do: each when it is written, with its duration."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._began: dict[str, float] = {}

    def take(self, event: Event) -> None:
        """Report an event, if it ends a file."""
        match event:
            case CopyPlanned():
                self._tell(_MANIFEST_FILE, 0)
            case BlobStarted(digest):
                self._began[digest] = time.perf_counter()
            case BlobDone(digest):
                now = time.perf_counter()
                self._tell(layer_file_name(Digest(digest)), now - self._began.get(digest, now))

    def _tell(self, name: str, seconds: float) -> None:
        self._line(f"done: file '{name}' ({duration(seconds)})")


def duration(seconds: float) -> str:
    """Return a duration in Go's notation: `1m2.5s`, `1.5s`, `20.25ms`, `3.5µs`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    if seconds >= 1:
        return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{_short(rest)}s"
    for unit, factor in (("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{_short(seconds * factor)}{unit}"
    return f"{round(seconds * 1e9)}ns" if seconds else "0s"


def _short(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
