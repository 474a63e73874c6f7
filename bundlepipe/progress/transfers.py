"""Add up the events of a task's transfers; other modules draw them.

Threads add events while another one reads the state.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from bundlepipe.events import BlobAdvanced, BlobDone, BlobStarted, CopyPlanned, Event, ImageDone, OutputLine
from bundlepipe.progress.phrases import short

# Smaller and faster transfers end before a user has read a bar.
_SMALL = 1_000_000
_SOON = 0.5
# Seconds over which the speed is averaged.
_PERIOD = 10.0


class Transfer(Struct, frozen=True):
    """A blob in transfer: `done` of its `size` bytes."""

    digest: str
    size: int
    done: int


class Standing(Struct, frozen=True):
    """The state of a task: bytes of all its blobs, bytes per second, blobs, images (no images: not a copy)."""

    task_name: str
    done: int
    size: int
    speed: float
    mounted: int
    present: int
    images_done: int
    images: int
    running: tuple[Transfer, ...]


class Transfers:
    """Counts the events of a task. `clock` returns seconds."""

    def __init__(self, task_name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.task_name = task_name
        self._clock = clock
        self._lock = threading.Lock()
        self._planned = CopyPlanned(0, 0, 0)
        self._running: dict[str, Transfer] = {}
        self._done: dict[str, BlobDone] = {}
        self._images: set[str] = set()
        self._received = 0
        self._started = clock()
        self._samples: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._matters = False

    def take(self, event: Event) -> None:
        """Count an event. A blob that starts again has no bytes until it advances."""
        with self._lock:
            match event:
                case CopyPlanned():
                    self._planned = event
                case BlobStarted(digest, size):
                    self._done.pop(digest, None)
                    self._running[digest] = Transfer(digest, size, 0)
                case BlobAdvanced(digest, count):
                    self._advance(digest, count)
                case BlobDone(digest):
                    self._running.pop(digest, None)
                    self._done[digest] = event
                case ImageDone(image):
                    self._images.add(image)

    def starts_to_matter(self) -> bool:
        """Return True once, when there is enough to wait for; blobs already there need no waiting."""
        with self._lock:
            is_idle = not self._running and all(event.how == "present" for event in self._done.values())
            if self._matters or is_idle:
                return False
            done, size = self._sum()
            self._matters = size - done >= _SMALL or self._clock() - self._started >= _SOON
            return self._matters

    def standing(self) -> Standing:
        """Return the state of the task; `done` never exceeds `size`."""
        with self._lock:
            done, size = self._sum()
            ways = [event.how for event in self._done.values()]
            return Standing(
                task_name=self.task_name,
                done=done,
                size=size,
                speed=self._speed(),
                mounted=ways.count("mounted"),
                present=ways.count("present"),
                images_done=min(len(self._images), self._planned.images),
                images=self._planned.images,
                running=tuple(self._running.values()),
            )

    def _advance(self, digest: str, count: int) -> None:
        transfer = self._running.get(digest)
        if transfer:
            self._received += count
            self._running[digest] = Transfer(digest, transfer.size, min(transfer.size, transfer.done + count))

    def _sum(self) -> tuple[int, int]:
        """Return the finished bytes, and the total: a push or pull learns its blobs on the way."""
        finished = sum(event.size for event in self._done.values())
        running = self._running.values()
        known = finished + sum(transfer.size for transfer in running)
        return finished + sum(transfer.done for transfer in running), max(self._planned.size, known)

    def _speed(self) -> float:
        """Return the transferred bytes per second; mounts, which take no time, would distort it."""
        now = self._clock()
        self._samples.append((now, self._received))
        while len(self._samples) > 2 and self._samples[1][0] < now - _PERIOD:
            self._samples.popleft()
        since, before = self._samples[0]
        return (self._received - before) / (now - since) if now > since else 0.0


def output_line(task_name: str, text: str) -> str:
    """Return a line that another program printed, with the name of the task."""
    return f"{task_name}  {text}"


class EventLines:
    """Reports the images of a copy, each once, and output of other programs, in lines with the name of the task."""

    def __init__(self, task_name: str, tell: Callable[[str], None], *, tells_images: bool = True) -> None:
        self._task_name = task_name
        self._tell = tell
        self._tells_images = tells_images
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._told: set[str] = set()
        self._changes = False

    def take(self, event: Event) -> None:
        """Report a finished image, or keep it until something is known to change."""
        with self._lock:
            match event:
                case ImageDone() if not self._tells_images:
                    pass
                case ImageDone(image, "present") if not self._changes:
                    self._held.append(image)
                case ImageDone(image, how):
                    self._line(image, how)
                    self._release(how)
                case BlobDone(_, _, how):
                    self._release(how)
                case OutputLine(text):
                    self._tell(output_line(self._task_name, text))

    def _release(self, how: str) -> None:
        if how != "present":
            self._changes = True
            for image in self._held:
                self._line(image, "present")
            self._held.clear()

    def _line(self, image: str, how: str) -> None:
        if image in self._told:
            return
        self._told.add(image)
        name, at, digest = image.partition("@")
        self._tell(f"{self._task_name}  {name}{at}{short(digest) if at else ''}  {how}")
