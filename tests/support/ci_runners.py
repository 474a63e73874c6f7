"""Programs that carry out the files of engines of CI on this machine: act for GitHub's, gitlab-ci-local for GitLab's.

Each job is a process in a copy of the repository of its own, without a container. What the programs lack has a
stand-in: act the artifacts of GitHub, whose actions would come from the network, and gitlab-ci-local the artifacts of
another pipeline.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command import Command
from tests.support.git import git
from tests.support.monorepo import Monorepo
from tests.support.services import program, require

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_ACTION = re.compile(r"uses: (actions/(?:up|down)load-artifact)@(\w+)")
# An artifact is a directory of files. As with the real ones, an artifact has to be there, and is not replaced unasked.
_UPLOAD = """\
test "$OVERWRITE" = true || test ! -e "$STORE/$NAME" || { echo "artifact $NAME exists"; exit 1; }
test -e "$FROM" || { echo "no file: $FROM"; test "$IF_NONE" != error; exit; }
rm -rf "$STORE/$NAME"
mkdir -p "$STORE/$NAME"
if test -d "$FROM"; then cp -R "$FROM/." "$STORE/$NAME"; else cp "$FROM" "$STORE/$NAME"; fi
"""
_DOWNLOAD = """\
mkdir -p "$TO"
if test -n "$NAME"; then
  test -d "$STORE/$NAME" || { echo "no artifact $NAME"; exit 1; }
  cp -R "$STORE/$NAME/." "$TO"
else
  test "$MERGE" = true || { echo "only merging is supported"; exit 1; }
  for each in "$STORE"/$PATTERN; do test ! -d "$each" || cp -R "$each/." "$TO"; done
fi
"""
_ACTIONS = {
    "actions/upload-artifact": (
        _UPLOAD,
        {"NAME": "name", "FROM": "path", "IF_NONE": "if-no-files-found", "OVERWRITE": "overwrite"},
    ),
    "actions/download-artifact": (
        _DOWNLOAD,
        {"NAME": "name", "TO": "path", "PATTERN": "pattern", "MERGE": "merge-multiple"},
    ),
}
# One of a test's `bundlepipe`s waits for its end, so that the test can kill it.
_PROGRAM = """\
#!/bin/sh
printf '%s\\n' "$*" >> {calls}
{before}
if test "$1 $2 $3" = "ci run $(cat {victim} 2>&1)" && rm {victim}; then
  {program} "$@" &
  echo $! > {process}.new
  mv {process}.new {process}
  wait $!
  exit
fi
exec {program} "$@"
"""
_PLAN = ".bundlepipe/ci/plan.json"


@dataclass(frozen=True)
class Ended:
    """How a run of all jobs ended."""

    status: int
    output: str


class Runner(ABC):
    """Carries out the jobs of a repository, which it gives the file for them; all else is written below `room`."""

    engine: str
    service: str
    file: str

    def __init__(self, repository: Monorepo, command: Command, room: Path) -> None:
        require(self.service)
        self.directory = repository.directory
        self.room = room
        for name in ("home", "tmp", "bin"):
            (room / name).mkdir(parents=True)
        self._calls, self._victim, self._process = (room / name for name in ("calls", "victim", "process"))
        self._write_program()
        done = command("bundlepipe", "ci", self.engine, "-o", self.file, cwd=self.directory)
        assert done.status == 0, done
        repository.commit()

    def run(self, *, merge: bool = False) -> Ended:
        """Carry out the jobs of a push to the main branch, or of a proposal whose merge with it is checked out."""
        with self.running(merge=merge) as process:
            pass
        return Ended(process.returncode, (self.room / "output").read_text(errors="replace"))

    @contextmanager
    def running(self, *, merge: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """Begin to carry out jobs; when the context ends, they have ended."""
        self._calls.unlink(missing_ok=True)
        self._forget()
        with (self.room / "output").open("wb") as output:
            process = subprocess.Popen(
                self._arguments(merge),
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()

    @property
    def calls(self) -> list[str]:
        """The arguments of each `bundlepipe` of the last run, in the order of their starts."""
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    @property
    def shards(self) -> list[str]:
        """The shards whose jobs ran, sorted by name."""
        return sorted(call.split()[2] for call in self.calls if call.startswith("ci run "))

    @property
    def plan(self) -> dict[str, Any]:
        """The plan of the last run."""
        document: dict[str, Any] = json.loads(self._plan_file.read_text())
        return document

    def mark(self, shard: str) -> None:
        """Let `marked_process` tell the process of the next job of a shard."""
        self._victim.write_text(shard)

    @property
    def marked_process(self) -> int | None:
        """The process of the shard that was marked, once it runs."""
        return int(self._process.read_text()) if self._process.exists() else None

    def _write_program(self) -> None:
        paths = {"calls": self._calls, "victim": self._victim, "process": self._process}
        script = _PROGRAM.format(
            before=self._before_program(),
            program=shlex.quote(str(_SCRIPTS / "bundlepipe")),
            **{name: shlex.quote(str(path)) for name, path in paths.items()},
        )
        path = self.room / "bin/bundlepipe"
        path.write_text(script)
        path.chmod(0o755)

    def _environment(self) -> dict[str, str]:
        """Return variables without those of whoever runs the tests, and with a home directory of its own."""
        kept = ("LANG", "COVERAGE_PROCESS_CONFIG", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "DOCKER_CONFIG")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{self.room / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.room / "home"),
            "TMPDIR": str(self.room / "tmp"),
        }

    @property
    @abstractmethod
    def _plan_file(self) -> Path: ...

    @abstractmethod
    def _arguments(self, merge: bool) -> Sequence[str]: ...

    @abstractmethod
    def _forget(self) -> None:
        """Remove what the last run left."""

    def _before_program(self) -> str:
        return ""


class Act(Runner):
    """act, which the tests' requirements install, for GitHub's workflows."""

    engine, service, file = "github", "bash", ".github/workflows/bundles.yml"

    @property
    def _plan_file(self) -> Path:
        return self._store / "bundlepipe-plan/plan.json"

    @property
    def _store(self) -> Path:
        return self.room / "artifacts"

    def _arguments(self, merge: bool) -> Sequence[str]:
        event = self.room / "event.json"
        event.write_text(json.dumps({"pull_request": {"number": 1, "base": {"ref": "main"}}} if merge else {}))
        actions = set(_ACTION.findall((self.directory / self.file).read_text()))
        # act evaluates the matrix also of a job that it is to skip, and the outputs of a skipped job are expressions
        # for it: of the jobs for a pull request it can run the one alone that is not skipped.
        return [
            str(_SCRIPTS / "act"),
            *(("pull_request", "--job", "affected") if merge else ("push",)),
            *("--eventpath", str(event), "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server"),
            *(f"--local-repository={action}@{at}={self._stand_in(action)}" for action, at in sorted(actions)),
        ]

    def _forget(self) -> None:
        shutil.rmtree(self._store, ignore_errors=True)
        self._store.mkdir()

    def _stand_in(self, action: str) -> Path:
        script, inputs = _ACTIONS[action]
        variables = {variable: f"${{{{ inputs.{each} }}}}" for variable, each in inputs.items()}
        step = {"shell": "sh", "env": {**variables, "STORE": str(self._store)}, "run": script}
        runs = {"using": "composite", "steps": [step]}
        path = self.room / action / "action.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": action, "inputs": {each: {} for each in inputs.values()}, "runs": runs}))
        return path.parent


class GitLabCILocal(Runner):
    """gitlab-ci-local, a program of Node.js, for GitLab's pipelines."""

    engine, service, file = "gitlab", "gitlab-ci-local", ".gitlab-ci.yml"

    def __init__(self, repository: Monorepo, command: Command, room: Path) -> None:
        require("rsync")
        super().__init__(repository, command, room)

    @property
    def _plan_file(self) -> Path:
        return self.directory / _PLAN

    def _arguments(self, merge: bool) -> Sequence[str]:
        variables = {"CI_DEFAULT_BRANCH": "main"}
        if merge:
            base = git(self.directory, "rev-parse", "HEAD^1").strip()
            variables |= {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_DIFF_BASE_SHA": base}
        return [
            program(self.service),
            *("--shell-isolation", "--force-shell-executor"),
            *(word for name, value in variables.items() for word in ("--variable", f"{name}={value}")),
        ]

    def _forget(self) -> None:
        for name in (".gitlab-ci-local", ".bundlepipe"):
            shutil.rmtree(self.directory / name, ignore_errors=True)

    def _before_program(self) -> str:
        # The artifacts of the parent pipeline are put into the repository.
        return (
            'case "$1 $2" in "ci run" | "ci report") '
            f"mkdir -p .bundlepipe/ci; test -e {_PLAN} || cp {shlex.quote(str(self._plan_file))} {_PLAN} ;; esac"
        )


RUNNERS: dict[str, type[Runner]] = {each.engine: each for each in (Act, GitLabCILocal)}
