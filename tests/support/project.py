"""A project directory in which doit runs as a user runs it: as a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import BundlepipeError, DocumentError
from bundlepipe.pipeline.checks.declarations import faults
from bundlepipe.pipeline.checks.python_values import checked_declarations
from bundlepipe.pipeline.declared.reading import KINDS, Declared, read_pipeline
from bundlepipe.pipeline.graph.tasks import create_tasks
from bundlepipe.pipeline.running.run import Settings
from tests.support.warm import run_command

DODO = """\
from bundlepipe import DOIT_CONFIG, Pipeline
pipeline = Pipeline.load("bundlepipe.yml")
"""
HEADER = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
"""
DEFAULTS = """\
defaults:
  push: "${REGISTRY:-layout.localhost}/{name}:${VERSION:-dev}"
"""
EMPTY_LOCK = """\
---
apiVersion: imgpkg.carvel.dev/v1alpha1
images: []
kind: ImagesLock
"""

# A bundlepipe.yml of a bundle that includes another.
NESTED_BUNDLES = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults: {push: "layout.localhost/{name}:1"}
bundles:
  one: {files: [one], lock: {}}
  two: {files: [two], lock: {include: [{bundle: one}]}}
"""
# A task of each kind but an apply.
EACH_KIND = """\
images:
  site: {files: [site]}
bundles:
  base: {files: [base], lock: {}}
  app: {files: [app], lock: {include: [{bundle: base}]}}
copies:
  app: {from: {bundle: app}, to: "tar:app.tar"}
pulls:
  app: {from: {bundle: app}, to: build/app}
renders:
  app: {files: [app], locks: [app/.imgpkg/images.yml], output: build/app.yml}
"""


@dataclass(frozen=True)
class Run:
    """What a run of doit printed, by task where our reporter wrote it."""

    status: int
    stdout: str
    stderr: str

    @property
    def marks(self) -> dict[str, str]:
        """The mark of each task: `.` executed, `=` unchanged, `--` up to date."""
        lines = (line.split() for line in self.stdout.splitlines())
        return {words[1]: words[0] for words in lines if len(words) > 1 and words[0] in (".", "=", "--")}

    @property
    def executed(self) -> set[str]:
        """The tasks that ran and did something."""
        return {task for task, mark in self.marks.items() if mark == "."}

    @property
    def ran(self) -> list[str]:
        """The tasks that ran, in the order they finished."""
        return [task for task, mark in self.marks.items() if mark != "--"]

    @property
    def output(self) -> str:
        """Both streams."""
        return self.stdout + self.stderr


@dataclass
class Project:
    """A directory with a dodo.py and a bundlepipe.yml."""

    directory: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, content: str | bytes) -> Path:
        """Write a file, with its directories."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def pipeline(self, declarations: str, defaults: str = DEFAULTS) -> None:
        """Write bundlepipe.yml."""
        self.write("bundlepipe.yml", HEADER + defaults + declarations)

    def bundle(self, name: str, **files: str) -> None:
        """Write the directory of a bundle without lock: an empty images.yml and one file, or those given."""
        self.write(f"{name}/.imgpkg/images.yml", EMPTY_LOCK)
        for file, content in (files or {"config": f"kind: {name}\n"}).items():
            self.write(f"{name}/{file}.yml", content)

    def declare_each_kind(self) -> Project:
        """Write a pipeline with a task of each kind but an apply, in which a lock finds that it needs an image."""
        self.pipeline(EACH_KIND)
        self.write("site/index.html", "hello")
        self.write("base/config.yml", "kind: Base\n")
        self.write("app/config.yml", "image: site\n")
        return self

    def doit(self, *arguments: str, env: Mapping[str, str] | None = None, status: int | None = 0) -> Run:
        """Run doit; its exit status must be `status` unless that is None."""
        finished = run_command(
            [sys.executable, "-m", "doit", *arguments],
            cwd=self.directory,
            env={**os.environ, **self.environment, **(env or {})},
            timeout=120,
        )
        run = Run(finished.returncode, finished.stdout.decode(), finished.stderr.decode())
        assert status in (None, run.status), f"exit status {run.status}\n{run.stdout}\n{run.stderr}"
        return run

    def tasks(self, env: Mapping[str, str] | None = None) -> dict[str, Task]:
        """Return the tasks of bundlepipe.yml, by name, made in this process.

        Raises InvalidDodoFile where doit reports an error; any other exception would be a traceback of doit.
        """
        environment = {**os.environ, **self.environment, **(env or {})}
        return self._tasks(lambda: read_pipeline("bundlepipe.yml", environment, remembers=False))

    def refusal(self, env: Mapping[str, str] | None = None) -> str:
        """Return what `doit list` writes to stderr for a bundlepipe.yml that is refused, found in this process."""
        return _refusal(lambda: self.tasks(env))

    def refusal_in_python(self, **given: Any) -> str:
        """Return what `doit list` writes to stderr for a refused `Pipeline(**given)`, found in this process."""
        nothing = {**dict.fromkeys(KINDS, ()), "registries": None, "verify": None}
        return _refusal(lambda: self._tasks(lambda: checked_declarations({**nothing, **given})))

    def _tasks(self, read: Callable[[], Declared]) -> dict[str, Task]:
        with _within(self.directory):
            try:
                declared = read()
                if problems := faults(declared):
                    raise DocumentError(problems)
            except BundlepipeError as error:
                raise InvalidDodoFile(str(error)) from None
            settings = Settings(registries=declared.registries, lock_file=declared.lock_file)
            return {task.name: task for task in create_tasks(declared, settings)}

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return (self.directory / path).read_text()

    def digest(self, kind: str, name: str) -> str:
        """Return the recorded `repository@digest` of something made."""
        return self.read(f".bundlepipe/digests/{kind}/{name}").strip()


def _refusal(make: Callable[[], object]) -> str:
    try:
        make()
    except InvalidDodoFile as error:
        return f"ERROR: {error}\n"
    raise AssertionError("the pipeline is not refused")


@contextmanager
def _within(directory: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def because(reasons: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the sentences of reasons in JSON."""
    return [reason["because"] for reason in reasons]


FOUR_WAYS = {
    "serial": ("-n", "0"),
    "fork": ("-n", "4", "-P", "process"),
    "forkserver": ("-n", "4", "-P", "process"),
    "thread": ("-n", "4", "-P", "thread"),
}
