"""A plan says what the run after it does: random pipelines, random edits, and each time a plan and then a run."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import put_images
from tests.support.project import Project
from tests.support.proxy import Proxy
from tests.support.services import Registry

PIPELINES, EDITS = 3, 6
# Of the slow test; 170 make a thousand rounds.
MANY_PIPELINES = int(os.environ.get("PLANNED_PIPELINES", "12"))
READING = ("GET", "HEAD")


class Scene:
    """A pipeline of bundles that lock images of a registry, each other, and images made of files; and copies."""

    def __init__(self, project: Project, proxy: Proxy, place: Repository, chance: random.Random) -> None:
        self.project, self.proxy, self.chance = project, proxy, chance
        self._host, self._path = place.registry, place.path
        self._bases = Repository(self._host, f"{self._path}/bases")
        self._made = put_images(Stores().repository(self._bases, writes=True), 6)
        self._version = 1
        self._tag: dict[str, int] = {}
        for name in ("a", "b"):
            self.move(name)
        self._declare()

    def move(self, name: str) -> None:
        """Let a tag name another image."""
        self._tag[name] = (self._tag.get(name, -1) + self.chance.randint(1, 5)) % len(self._made)
        Stores().repository(self._bases, writes=True).put_manifest(self._made[self._tag[name]], name)

    def _declare(self) -> None:
        chance, path = self.chance, f"{self._host}/{self._path}"
        self._images = [f"image-{n}" for n in range(chance.randint(0, 2))]
        self._bundles = [f"bundle-{n}" for n in range(chance.randint(1, 5))]
        images = {name: {"files": [name]} for name in self._images}
        bundles: dict[str, Any] = {}
        for number, name in enumerate(self._bundles):
            earlier = chance.sample(self._bundles[:number], chance.randint(0, min(2, number)))
            lock = {"include": [{"bundle": each} for each in earlier]}
            bundles[name] = {"files": [name], "lock": lock, "preservePermissions": chance.random() < 0.5}
        copies: dict[str, Any] = {}
        for number in range(chance.randint(0, 3)):
            source = {"bundle": chance.choice(self._bundles)}
            if copies and chance.random() < 0.5:
                source = {"copy": chance.choice(list(copies))}
            copies[f"copy-{number}"] = {"from": source, "to": f"{path}/copied-{number}"}
        pulls: dict[str, Any] = {}
        if self._images and chance.random() < 0.5:
            pulls["pulled"] = {"from": {"image": self._images[0]}, "to": f"{self._bundles[-1]}/pulled"}
        declared = {
            "apiVersion": "bundlepipe.dev/v1alpha1",
            "kind": "Pipeline",
            "defaults": {"push": f"{path}/{{name}}:${{VERSION:-1}}"},
            "images": images,
            "bundles": bundles,
            "copies": copies,
            "pulls": pulls,
            **({"lock": "bundlepipe.lock"} if chance.random() < 0.4 else {}),
        }
        self.project.write("bundlepipe.yml", json.dumps(declared))
        for name in (*self._images, *self._bundles):
            for number in range(chance.randint(1, 3)):
                self._write(name, number)

    def _write(self, name: str, number: int) -> None:
        text = f"number: {self.chance.randint(0, 10**6)}\n"
        if name in self._bundles:
            named = [f"{self._bases}:{self.chance.choice('ab')}", *self._images]
            text += f"image: {self.chance.choice(named)}\n" if self.chance.random() < 0.7 else ""
        self.project.write(f"{name}/file-{number}.yml", text)

    def edit(self) -> str:
        """Change something; return what."""
        edits = (
            self._rewrite,
            self._rewrite,
            self._add,
            self._remove,
            self._change_mode,
            self._move_tag,
            self._change_version,
            self._forget,
            self._replace_pushed,
            self._remove_lock,
            self._nothing,
        )
        edit = self.chance.choice(edits)
        name = self.chance.choice([*self._images, *self._bundles])
        edit(name)
        return f"{edit.__name__} {name}"

    def _rewrite(self, name: str) -> None:
        self._write(name, 0)

    def _add(self, name: str) -> None:
        self._write(name, self.chance.randint(3, 9))

    def _remove(self, name: str) -> None:
        files = self._files(name)
        if len(files) > 1:
            self.chance.choice(files).unlink()

    def _change_mode(self, name: str) -> None:
        self.chance.choice(self._files(name)).chmod(self.chance.choice([0o644, 0o600, 0o755]))

    def _files(self, name: str) -> list[Path]:
        return sorted((self.project.directory / name).glob("*.yml"))

    def _move_tag(self, _: str) -> None:
        self.move(self.chance.choice("ab"))

    def _change_version(self, _: str) -> None:
        self._version += 1
        self.project.environment["VERSION"] = str(self._version)

    def _forget(self, _: str) -> None:
        for record in sorted((self.project.directory / ".bundlepipe").rglob("*")):
            if record.is_file() and self.chance.random() < 0.3:
                record.unlink()

    def _replace_pushed(self, name: str) -> None:
        pushed = Reference.parse(f"{self._host}/{self._path}/{name}:{self._version}")
        store = Stores().repository(pushed.repository, writes=True)
        store.put_manifest(put_images(store, 1)[0], pushed.tag)

    def _remove_lock(self, name: str) -> None:
        (self.project.directory / name / ".imgpkg/images.yml").unlink(missing_ok=True)

    def _nothing(self, _: str) -> None:
        pass

    def arguments(self) -> list[str]:
        """Return variables of the command line for the next run."""
        return self.chance.choice([[], [], [], ["refresh=all"], ["verify=registry"]])


def test_what_a_plan_says_is_what_a_run_does(project: Project, registry: Registry, proxy: Proxy) -> None:
    for seed in range(PIPELINES):
        _foretold(project, registry, proxy, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PIPELINES, PIPELINES + MANY_PIPELINES))
def test_what_many_plans_say_is_what_runs_do(project: Project, registry: Registry, proxy: Proxy, seed: int) -> None:
    _foretold(project, registry, proxy, seed)


def _foretold(project: Project, registry: Registry, proxy: Proxy, seed: int) -> None:
    place = Repository(proxy.host, registry.repository(f"seed-{seed}").path)
    directory = Project(project.directory / str(seed), dict(project.environment))
    directory.write("dodo.py", "from bundlepipe import DOIT_CONFIG, Pipeline\npipeline = Pipeline.load()\n")
    scene = Scene(directory, proxy, place, random.Random(seed))
    edited = "nothing yet"
    for _ in range(EDITS):
        _check(scene, f"seed {seed}: {edited}")
        edited = scene.edit()


def _check(scene: Scene, what: str) -> None:
    project, proxy, arguments = scene.project, scene.proxy, scene.arguments()
    before, asked = _tree(project.directory), len(proxy.requests)
    planned = project.doit("plan", "--json", *arguments, status=None)
    document = json.loads(planned.stdout)
    plan = {task["name"]: task for task in document["tasks"]}
    assert _tree(project.directory) == before, what
    assert [each.method for each in proxy.requests[asked:] if each.method not in READING] == [], what

    asked = len(proxy.requests)
    run = project.doit("-c", "-v2", *arguments, status=None)
    what = f"{what} {arguments}\n{planned.stdout}\n{run.output}"
    errors = {name for name, task in plan.items() if task["state"] == "error"}
    assert bool(errors) == bool(run.status), what
    marks = {name: mark for name, mark in run.marks.items() if ":" in name}
    assert marks.keys() | errors == plan.keys(), what
    ran = {name for name, mark in marks.items() if mark != "--"}
    will, may = ({name for name, task in plan.items() if task["state"] == state} for state in ("run", "maybe"))
    assert will <= ran and ran - will <= may, what
    for name, task in plan.items():
        if "image" in task.get("result", {}):
            digest = task["result"]["image"].rpartition("@")[2]
            assert digest[:19] in _line_of(run.stdout, name), f"{name} {what}"
    written = {path: content for path, content in _tree(project.directory).items() if before.get(path) != content}
    foretold = {path for task in plan.values() for path in task.get("result", {}).get("files", ())}
    foretold.update(document.get("files", ()))
    sent = sum(each.bytes_up for each in proxy.requests[asked:] if each.method in ("PUT", "PATCH"))
    manifests = sum(each.bytes_up for each in proxy.requests[asked:] if "/manifests/" in each.path)
    if not may and all("cost" in plan[name] for name in will):
        assert foretold >= {path for path in written if not path.startswith(".bundlepipe")}, what
        assert sum(task.get("cost", {}).get("upload", 0) for task in plan.values()) == sent - manifests, what


def _line_of(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.split()[1:2] == [name])


def _tree(directory: Path) -> dict[str, str]:
    return dict(_files(directory))


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != "pipeline.json" and path.parent.name != "__pycache__":
            yield (
                str(path.relative_to(directory)),
                f"{path.stat().st_mode} {hashlib.sha256(path.read_bytes()).hexdigest()}",
            )
