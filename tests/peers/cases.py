"""Command lines to compare: what there is before, what is run, and with which input."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.peers.scene import Scene

SetUp = Callable[[Scene], object]


def nothing(scene: Scene) -> None:
    """Leave the scene empty."""


@dataclass(frozen=True)
class Case:
    """A command line of `tool`, or several divided by `&&`, and the scene that they run in.

    name: unique among the tool's; also the first part of the path of the repositories that
    it makes. set_up: makes what other cases may share, so the command must leave it as it is.
    Arguments, files, input and environment are filled in as `Scene.fill` does.
    """

    name: str
    tool: str
    arguments: tuple[str, ...]
    set_up: SetUp = nothing
    files: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def lines(self) -> list[list[str]]:
        """Return the arguments of each command line."""
        lines: list[list[str]] = [[]]
        for argument in self.arguments:
            if argument == "&&":
                lines.append([])
            else:
                lines[-1].append(argument)
        return lines

    def recorded_by(self) -> str:
        """Return a digest of all that it consists of but what `set_up` makes: a recording is of this case alone."""
        parts = (self.arguments, self.set_up.__name__, dict(self.files), self.stdin, dict(self.environment))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def prepare(self, scene: Scene) -> None:
        """Make what there is before the command runs."""
        scene.set_up(self.set_up.__name__.strip("_"), self.set_up)
        scene.write(self.files)


class Cases:
    """Collects command lines of a tool, which all begin with the same words; `group` and a counter name them."""

    def __init__(self, tool: str, group: str, *words: str) -> None:
        self.found: list[Case] = []
        self._tool = tool
        self._group = group
        self._words = words

    def add(
        self,
        *lines: str,
        set_up: SetUp = nothing,
        files: Mapping[str, str] | None = None,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Add command lines, written as in a shell, that run in the same scene."""
        for line in lines:
            name = f"{self._group}-{len(self.found):03}"
            arguments = (*self._words, *shlex.split(line))
            self.found.append(Case(name, self._tool, arguments, set_up, files or {}, stdin, environment or {}))
