"""Images built by the Docker Engine's classic builder, the one that needs nothing else installed.

Source: Docker Engine API 1.41, "ImageBuild", and the messages that an Engine 20.10 sends.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bundlepipe.concurrency.cancellation import cut_off_if_cancelled, raise_if_cancelled
from bundlepipe.errors import AccessDenied, InputError, ProgramError, StoreError, printable, shortened
from bundlepipe.events import Emit, OutputLine
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.temporary import temporary_file, temporary_room
from bundlepipe.oci.builds.buildkit_features import find_buildkit_feature
from bundlepipe.oci.builds.context import ContextFiles
from bundlepipe.oci.builds.context_archive import write_context
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.builders.engine_options import engine_options
from bundlepipe.stores.engine.client import engine_client, engine_errors, engine_words
from bundlepipe.stores.engine.store import EngineStore
from bundlepipe.stores.location import EngineLocation
from bundlepipe.stores.protocol import Source

if TYPE_CHECKING:
    from docker import APIClient
    from requests import Response

_KEPT_LINES = 20
_LONGEST_STEP = 200
# What a step writes to stderr comes in red.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STEP = re.compile(r"Step \d+/\d+ : ")
# What the builder itself says within a step.
_REMARKS = (" ---> ", "Removing intermediate container ")


@contextmanager
def engine_image(
    request: BuildRequest, files: ContextFiles, labels: Mapping[str, str], emit: Emit
) -> Iterator[tuple[Source, Manifest]]:
    """Build an image in the Engine, where it stays without a name; see `choice.built_image`."""
    _require_no_buildkit(files, request)
    options = engine_options(request, labels)
    # A file without a name is gone with the process, however that ends.
    with temporary_file(f"the context of {files.dockerfile}") as archive:
        dockerfile = _write_context(files, archive)
        archive.seek(0)
        image_id = _Build(files.dockerfile, emit).run(
            {**options, "fileobj": archive, "custom_context": True, "dockerfile": dockerfile}
        )
    source = EngineStore(EngineLocation(image_id))
    yield source, source.manifest


def _write_context(files: ContextFiles, archive: IO[bytes]) -> str:
    with temporary_room(f"the context of {files.dockerfile}"):
        return write_context(files, archive)


def _require_no_buildkit(files: ContextFiles, request: BuildRequest) -> None:
    with open(anchored(files.dockerfile), "rb") as file:
        found = find_buildkit_feature(file.read().decode("utf-8", "replace"), request.args)
    if found:
        raise InputError(
            f"{files.dockerfile}:{found.line}:1: {found.name} needs BuildKit: install docker buildx, or do without it"
        )


class _Build:
    """One build in the Engine: what it says, and what came of it."""

    def __init__(self, dockerfile: str, emit: Emit) -> None:
        self._command = f"docker build of {dockerfile}"
        self._emit = emit
        self._step = ""
        self._tail: deque[str] = deque(maxlen=_KEPT_LINES)
        self._unfinished = ""
        self._image_id: Digest | None = None

    def run(self, options: Mapping[str, Any]) -> Digest:
        """Return the ID of the image; errors are those of `engine_image`."""
        client = engine_client()
        with engine_errors(self._command):
            messages, response = _start_build(client, options)
        try:
            with closing(response), cut_off_if_cancelled(partial(_break_off, response)), engine_errors(self._command):
                for message in messages:
                    self._take(message)
        except StoreError:
            # An answer that was broken off has no end, or not the right one.
            raise_if_cancelled()
            raise
        raise_if_cancelled()
        if self._image_id is None:
            raise StoreError(f"{self._command}: the Docker Engine ended the build without an image")
        return self._image_id

    def _take(self, message: dict[str, Any]) -> None:
        if "error" in message:
            raise self._failure(message)
        if "stream" in message:
            text = _COLOUR.sub("", str(message["stream"]))
            if text.startswith(_REMARKS):
                self._end_line()
            *lines, self._unfinished = (self._unfinished + text).split("\n")
            for line in lines:
                self._tell(line)
        elif "status" in message and not message.get("progressDetail"):
            self._tell(f"{message['id']}: {message['status']}" if message.get("id") else str(message["status"]))
        elif "ID" in (message.get("aux") or {}):
            self._image_id = Digest.parse(message["aux"]["ID"])

    def _end_line(self) -> None:
        """Tell what a step printed without a line end: the builder goes on in the same line."""
        if self._unfinished:
            line, self._unfinished = self._unfinished, ""
            self._tell(line)

    def _tell(self, line: str) -> None:
        text = printable(line.rstrip("\r").rpartition("\r")[2].expandtabs())
        if _STEP.match(text):
            self._step = shortened(text, _LONGEST_STEP)
            self._tail.clear()
        elif text and not text.startswith(_REMARKS):
            self._tail.append(text)
        self._emit(OutputLine(text))

    def _failure(self, message: dict[str, Any]) -> ProgramError:
        self._end_line()
        detail = message.get("errorDetail") or {}
        status = detail.get("code")
        reason = f"exit status {status}" if status else engine_words(str(message["error"]))
        if self._tail and status:
            reason = f"{reason}: {self._tail[-1]}"
        where = f"failed in {self._step}" if self._step else "failed"
        return ProgramError(self._command, status, self._tail, f"{where}: {reason}")


_answers = threading.local()


def _remember_answer(response: Response, *_: Any, **__: Any) -> None:
    """Note the answer to a build: docker-py keeps it to itself, and giving up needs its connection."""
    if urlsplit(response.url).path.endswith("/build"):
        _answers.latest = response


def _start_build(client: APIClient, options: Mapping[str, Any]) -> tuple[Iterator[dict[str, Any]], Response]:
    from docker.credentials.errors import StoreError as HelperError

    hooks = client.hooks["response"]
    if _remember_answer not in hooks:
        hooks.append(_remember_answer)
    # Without `rm` and `forcerm` a build leaves its containers behind.
    try:
        messages = client.build(**options, decode=True, rm=True, forcerm=True)
    except HelperError as error:
        raise AccessDenied(f"credentials for the images to build upon: {engine_words(str(error))}") from None
    response: Response = vars(_answers).pop("latest")
    return messages, response


def _break_off(response: Response) -> None:
    """End an answer that another thread reads: the Engine then ends the build."""
    # It may just have come to its end.
    with suppress(RuntimeError, OSError):
        response.raw.shutdown()
