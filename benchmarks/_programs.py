"""The programs that are compared, and the work that they do: command lines that all of them have."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._content import write_files
from benchmarks._measure import run_once, scratch
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import put_bundle, put_images
from tests.support.services import Registry

_LOCK = """\
---
apiVersion: imgpkg.carvel.dev/v1alpha1
images: []
kind: ImagesLock
"""


@dataclass(frozen=True)
class Sizes:
    """How much is pushed and copied; text and files in bytes each."""

    texts: int = 6
    text: int = 24_700_000
    files: int = 5_000
    file: int = 4_600
    folders: int = 800
    images: int = 60


# Enough to see that everything runs.
SMALL = Sizes(texts=2, text=200_000, files=50, file=1_000, folders=5, images=3)


@dataclass(frozen=True)
class Program:
    """A version of bundlepipe, or imgpkg: `paths` has the command of each name that command lines begin with."""

    label: str
    paths: Mapping[str, str]


def installed(label: str, scripts: Path) -> Program:
    """Return the version of bundlepipe whose scripts are in this directory."""
    return Program(label, {name: str(scripts / name) for name in ("bundlepipe", "doit", "python")})


HERE = installed("bundlepipe", Path(sysconfig.get_path("scripts")))


@dataclass(frozen=True)
class Work:
    """A command line, which begins with the name of a program.

    arguments: makes it, given a name for outputs that no run had before.
    small: most of it is the start of the process.
    keeps: outputs stay, because a file system that has lost many files is slow to create others.
    project: where each program has a directory of its own, named by its label; else all run in the same one.
    budget: what bundlepipe may take, as a ratio to imgpkg or, if small, in seconds; 0 if there is none.
    """

    title: str
    arguments: Callable[[str], Sequence[str]]
    budget: float = 0
    small: bool = False
    keeps: bool = False
    project: str = ""


@dataclass
class Scene:
    """A directory and a registry on loopback, in which programs do their work; `sizes` has that of the content."""

    directory: Path
    host: str
    sizes: Sizes
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def prepare(self, name: str, *arguments: str) -> None:
        """Run a program of this checkout, given its name."""
        run_once([HERE.paths[name], *arguments], self.directory)

    def seconds(self, program: Program, work: Work) -> float:
        """Return how long a program takes for a work."""
        name = f"v{next(self._numbers)}"
        taken = run_once(*self._command(program, work, name))
        if not work.keeps:
            self._discard(name)
        return taken

    def instructions(self, program: Program, work: Work) -> int:
        """Return how many instructions a program executes for a work, by valgrind."""
        name = f"v{next(self._numbers)}"
        command, cwd = self._command(program, work, name)
        counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [*counting, *command], check=False, cwd=cwd, env=environment, capture_output=True, text=True
        )
        self._discard(name)
        collected = [line for line in done.stderr.splitlines() if "Collected :" in line]
        if done.returncode or not collected:
            sys.exit(f"{' '.join(command)} ended with exit status {done.returncode} in valgrind:\n{done.stderr}")
        return int(collected[-1].split()[-1])

    def _command(self, program: Program, work: Work, name: str) -> tuple[list[str], Path]:
        first, *others = work.arguments(name)
        directory = self.directory / work.project / program.label if work.project else self.directory
        return [program.paths[first], *others], directory

    def _discard(self, name: str) -> None:
        output = self.directory / name
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink(missing_ok=True)


@contextmanager
def scene(sizes: Sizes) -> Iterator[Scene]:
    """Start the registry; both it and the directory are removed afterwards."""
    with scratch() as directory:
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        try:
            yield Scene(directory, registry.host, sizes)
        finally:
            registry.stop()


def text(scene: Scene) -> Iterator[Work]:
    """Push and pull few large files, which compress to a quarter."""
    write_files(scene.directory / "text", scene.sizes.texts, scene.sizes.text, 1)
    yield from _push_and_pull(scene, "text", f"{scene.sizes.texts * scene.sizes.text / 1e6:.0f} MB of text", 0.39, 0.55)


def files(scene: Scene) -> Iterator[Work]:
    """Push and pull many small files."""
    write_files(scene.directory / "files", scene.sizes.files, scene.sizes.file, scene.sizes.folders)
    yield from _push_and_pull(scene, "files", f"{scene.sizes.files:,} small files", 0.72, 0.85, keeps=True)


def _push_and_pull(
    scene: Scene, folder: str, title: str, push: float, pull: float, *, keeps: bool = False
) -> Iterator[Work]:
    there = f"{scene.host}/there/{folder}:1"
    scene.prepare("bundlepipe", "push", "-i", there, "-f", folder)
    # A repository of its own each time, to which all blobs have to be sent.
    yield Work(
        f"push of {title}",
        lambda name: ("bundlepipe", "push", "-i", f"{scene.host}/{name}/{folder}:1", "-f", folder),
        push,
    )
    yield Work(f"pull of {title}", lambda name: ("bundlepipe", "pull", "-i", there, "-o", name), pull, keeps=keeps)


def copy(scene: Scene) -> Iterator[Work]:
    """Copy and describe a bundle of many images of three layers."""
    stores, source = Stores(), Repository(scene.host, "source/images")
    images = put_images(stores.repository(source, writes=True), scene.sizes.images, own=3)
    bundle = Repository(scene.host, "source/bundle").tagged("1")
    put_bundle(stores, bundle, [source.at(image.digest) for image in images])
    there, several = f"{scene.host}/there/copied", f"{scene.sizes.images} images"
    within = ("bundlepipe", "copy", "-b", str(bundle), "--to-repo")
    to_tar = ("bundlepipe", "copy", "-b", str(bundle), "--to-tar")
    from_tar = ("bundlepipe", "copy", "--tar", "bundle.tar", "--to-repo")
    scene.prepare(*within, there)
    scene.prepare(*to_tar, "bundle.tar")
    yield Work(f"copy of {several} in a registry", lambda name: (*within, f"{scene.host}/{name}/copied"), 0.45)
    yield Work("copy of them again", lambda _: (*within, there))
    yield Work(f"copy of {several} to a tar file", lambda name: (*to_tar, name), 0.8)
    yield Work("copy of the tar file to a registry", lambda name: (*from_tar, f"{scene.host}/{name}/copied"), 0.65)
    yield Work(f"describe of {several}", lambda _: ("bundlepipe", "describe", "-b", f"{there}:1"), 0.9)


def small(scene: Scene) -> Iterator[Work]:
    """Commands that have little to do: what remains is the start of the process."""
    lock = scene.directory / "three/.imgpkg/images.yml"
    lock.parent.mkdir(parents=True)
    lock.write_text(_LOCK)
    for number in range(2):
        (scene.directory / f"three/config-{number}.yml").write_text(f"number: {number}\n")
    there = f"{scene.host}/there/three"
    push = ("bundlepipe", "push", "-f", "three", "-b")
    scene.prepare(*push, f"{there}:1")
    yield Work("push of 3 files", lambda name: (*push, f"{scene.host}/{name}/three:1"), 0.18, small=True)
    yield Work("push of them again", lambda _: (*push, f"{there}:1"), 0.15, small=True)
    yield Work("pull of 3 files", lambda name: ("bundlepipe", "pull", "-b", f"{there}:1", "-o", name), 0.18, small=True)
    yield Work("describe of a small bundle", lambda _: ("bundlepipe", "describe", "-b", f"{there}:1"), 0.18, small=True)
    yield Work("list of tags", lambda _: ("bundlepipe", "tag", "list", "-i", there), 0.18, small=True)
    yield Work("version", lambda _: ("bundlepipe", "version"), small=True)


Groups = Mapping[str, Callable[[Scene], Iterator[Work]]]
GROUPS: Groups = {"files": files, "text": text, "copy": copy, "small": small}
