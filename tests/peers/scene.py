"""Where a command line runs: an empty directory, and repositories of a registry."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store
from tests.support.services import Registry

_NO_PROXY_HERE = "http://127.0.0.1:1"


class Link(str):
    """What stands in the place of a file's content: it is a symbolic link, to this path."""

    __slots__ = ()


@dataclass
class Stage:
    """A registry with what cases begin with, which is made once for all that begin with the same; and a directory."""

    registry: Registry
    directory: Path
    made: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """Give a stage with a registry of its own."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "registry"
        home.mkdir()
        registry = Registry(home)
        try:
            yield Stage(registry, Path(directory))
        finally:
            registry.stop()


@dataclass
class Scene:
    """A directory to run in, repositories that are there, and those that the command may make.

    Command lines and files call the former `{prefix}/NAME`, and the latter `{own}/NAME`.
    name: the first part of the path of what the command makes. known_as: what stands in its place
    in what is observed, as long as that.
    """

    directory: Path
    stage: Stage
    name: str
    known_as: str
    source: str = ""
    stores: Stores = field(default_factory=Stores)
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        """The registry of the stage."""
        return self.stage.registry

    def set_up(self, name: str, make: Callable[[Scene], object]) -> None:
        """Make what there is before, below the path `name`, unless another scene of the stage has done that."""
        self.source = name
        if name not in self.stage.made:
            make(self)
            self.stage.made[name] = dict(self.digests)
        self.digests = dict(self.stage.made[name])
        for path, content in self.stage.files.get(name, {}).items():
            (self.directory / path).write_bytes(content)

    def keep(self, path: str) -> None:
        """Let a file that was made for all that begin with the same be in the directory of each."""
        self.stage.files.setdefault(self.source, {})[path] = (self.directory / path).read_bytes()

    def repository(self, name: str) -> Repository:
        """Return a repository that is there before."""
        return Repository(self.registry.host, f"{self.source}/{name}")

    def store(self, name: str) -> Store:
        """Open such a repository for writing."""
        return self.stores.repository(self.repository(name), writes=True)

    def fill(self, text: str) -> str:
        """Put this scene's names in the place of `{prefix}`, `{own}`, `{host}` and `{NAME}` of a digest."""
        host = self.registry.host
        names = {"prefix": f"{host}/{self.source}", "own": f"{host}/{self.name}", "host": host, **self.digests}
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def write(self, files: Mapping[str, str]) -> None:
        """Write files, and links, into the directory."""
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Link):
                path.symlink_to(content)
            else:
                path.write_text(self.fill(content))

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a command: those that are given, and nothing of this machine's settings.

        Other hosts are behind a proxy that is not there, so that no command leaves the machine.
        """
        home = self.directory.parent / "home"
        home.mkdir(exist_ok=True)
        filled = {name: self.fill(value) for name, value in given.items()}
        proxies = {"HTTP_PROXY": _NO_PROXY_HERE, "HTTPS_PROXY": _NO_PROXY_HERE, "NO_PROXY": "127.0.0.1,localhost"}
        return {"PATH": os.environ["PATH"], "HOME": str(home), **proxies, **filled}
