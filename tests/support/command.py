"""The installed command, run as a process under each of its names."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.secrets import leaks
from tests.support.warm import run_command

# macOS has another bash, neither /proc nor /dev/full, and no names that are not UTF-8.
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux alone")


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def failed(self) -> str:
        """The error of a command that failed, as it should: nothing on stdout, exit status 1."""
        assert (self.status, self.stdout) == (1, ""), self
        return self.stderr

    @property
    def output(self) -> str:
        """The output of a command that succeeded and had nothing to remark."""
        assert (self.status, self.stderr) == (0, ""), self
        return self.stdout


class Command:
    """Runs `bundlepipe`, or a link to it of another name, in `directory`; `env` has variables for all runs."""

    def __init__(self, directory: Path, links: Path) -> None:
        self.directory = directory
        self.env: dict[str, str] = {}
        self._links = links
        program = Path(sysconfig.get_path("scripts")) / "bundlepipe"
        assert program.exists(), f"{program}: the project is not installed for {sys.executable}"
        links.mkdir()
        for name in ("bundlepipe", "imgpkg", "kbld"):
            (links / name).symlink_to(program)

    def __call__(
        self,
        *command: str | Path,
        stdin: str | bytes | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command whose first word is the name to run under."""
        done = self.process(*command, stdin=stdin, cwd=cwd, env=env)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def silently(self, *command: str | Path) -> None:
        """Run a command that succeeds and prints nothing."""
        assert self(*command).output == ""

    def process(
        self,
        *command: str | Path,
        stdin: str | bytes | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command and return what it wrote as bytes."""
        name, *arguments = map(str, command)
        done = run_command(
            [self._links / name, *arguments],
            cwd=cwd or self.directory,
            env=self.environment(env),
            stdin=None if stdin is None else _bytes(stdin),
            timeout=120,
        )
        leaking = leaks([("stdout", done.stdout.decode(errors="replace")), ("stderr", done.stderr.decode())])
        assert not leaking, f"{name} {arguments[:1]}: a secret is in {leaking}"
        return done

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables of a run; the names are on PATH, as scripts want them."""
        path = f"{self._links}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, **self.env, **(env or {})}


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
