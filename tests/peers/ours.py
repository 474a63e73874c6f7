"""Ours in the place of the real programs, in this process: hundreds of processes would take minutes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from bundlepipe.cli.program import run
from tests.peers.cases import Case
from tests.peers.scene import Scene


def run_ours(case: Case, scene: Scene, arguments: list[str]) -> tuple[int, str, str]:
    """Run a command line of a case by ours, under the name of its tool."""
    environment = scene.environment(case.environment)
    with _process(scene.directory, environment, scene.fill(case.stdin)) as (stdout, stderr):
        status = run(case.tool, arguments)
    return status, _text(stdout), _text(stderr)


@contextmanager
def _process(
    directory: Path, environment: Mapping[str, str], stdin: str
) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    """Give this process the directory, variables and streams of another one for a while."""
    streams = [io.TextIOWrapper(io.BytesIO(content)) for content in (stdin.encode(), b"", b"")]
    before = os.getcwd()
    os.chdir(directory)
    try:
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            # What is retried in vain takes no time.
            mock.patch("bundlepipe.stores.http.retries._FIRST_DELAY", 0),
            mock.patch.multiple("sys", stdin=streams[0], stdout=streams[1], stderr=streams[2]),
        ):
            yield streams[1], streams[2]
    finally:
        os.chdir(before)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    content = stream.buffer
    assert isinstance(content, io.BytesIO)
    return content.getvalue().decode()
