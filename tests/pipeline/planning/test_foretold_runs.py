"""A plan says what the run after it does: random pipelines, random edits, and each time a plan and then a run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.pipeline.records.groups import GROUPS
from bundlepipe.stores.opening import Stores
from tests.support.images import put_images
from tests.support.project import Project
from tests.support.proxy import Exchange, Proxy
from tests.support.services import Registry

PIPELINES, EDITS = 3, 6
# Of the slow test; 170 make a thousand rounds.
MANY_PIPELINES = int(os.environ.get("PLANNED_PIPELINES", "6"))
# Tasks of the user of the pipeline.
OWN = ("generate", "read")
READING = ("GET", "HEAD")


class Scene:
    """A pipeline of bundles that lock images of a registry, each other, and images made of files.

    With copies, and with pulls, renders and files that tasks of a user's own make, all of which bundles may include.
    """

    def __init__(self, project: Project, proxies: Sequence[Proxy], path: str, chance: random.Random) -> None:
        self.project, self.proxies, self.chance = project, proxies, chance
        # The same registry by two names, between which no blob can be mounted.
        self._host, self._elsewhere = (proxy.host for proxy in proxies)
        self._path = path
        self._bases = Repository(self._host, f"{self._path}/bases")
        self._made = put_images(Stores().repository(self._bases, writes=True), 6)
        self._version = 1
        self._tag: dict[str, int] = {}
        self._made_by_hand: list[str] = []
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
            host = self._host if chance.random() < 0.6 else self._elsewhere
            copies[f"copy-{number}"] = {"from": source, "to": f"{host}/{self._path}/copied-{number}"}
        declared: dict[str, Any] = {
            "apiVersion": "bundlepipe.dev/v1alpha1",
            "kind": "Pipeline",
            "defaults": {"push": f"{path}/{{name}}:${{VERSION:-1}}"},
            "images": images,
            "bundles": bundles,
            "copies": copies,
            "pulls": self._pulls(list(copies)),
            "renders": self._renders(),
            **({"lock": "bundlepipe.lock"} if chance.random() < 0.4 else {}),
        }
        self._declared = declared
        self._write_declared()
        self._generate()
        for name in (*self._images, *self._bundles):
            for number in range(chance.randint(1, 3)):
                self._write(name, number)

    def _pulls(self, copies: Sequence[str]) -> dict[str, Any]:
        pulls: dict[str, Any] = {}
        if self._images and self.chance.random() < 0.5:
            pulls["pulled"] = {"from": {"image": self._images[0]}, "to": f"{self._bundles[-1]}/pulled"}
        for number in range(self.chance.randint(0, 2)):
            source = {"copy": self.chance.choice(copies)} if copies and self.chance.random() < 0.5 else None
            pulls[f"pull-{number}"] = {
                "from": source or {"bundle": self.chance.choice(self._bundles)},
                "to": f"build/pull-{number}",
                "recursive": self.chance.random() < 0.5,
            }
        self._made_by_hand += [pull["to"] for pull in pulls.values()]
        return pulls

    def _renders(self) -> dict[str, Any]:
        renders: dict[str, Any] = {}
        for number in range(self.chance.randint(0, 2)):
            at = self.chance.randrange(len(self._bundles))
            name, later = self._bundles[at], self._bundles[at + 1 :]
            place = self.chance.choice([*later, "build"])
            renders[f"render-{number}"] = {
                "files": [name],
                "locks": [f"{name}/.imgpkg/images.yml"],
                "output": f"{place}/rendered-{number}.yml",
            }
        self._made_by_hand += [render["output"] for render in renders.values()]
        return renders

    def _generate(self) -> None:
        """Write a dodo.py, in some pipelines with a task that makes a file of a bundle, and one that reads a result."""
        dodo = "from bundlepipe import DOIT_CONFIG, Pipeline\npipeline = Pipeline.load()\n"
        if self.chance.random() < 0.4:
            target = f"{self.chance.choice(self._bundles)}/generated.yml"
            dodo += (
                "def task_generate():\n"
                f"    return {{'actions': ['cp seed {target}'], 'file_dep': ['seed'], 'targets': ['{target}']}}\n"
            )
            self._made_by_hand.append(target)
            self.project.write("seed", "kind: Generated\n")
        outputs = [render["output"] for render in self._declared["renders"].values()]
        if outputs and self.chance.random() < 0.5:
            copied = outputs[0]
            dodo += (
                "def task_read():\n"
                f"    return {{'actions': ['cp {copied} read'], 'file_dep': ['{copied}'], 'targets': ['read']}}\n"
            )
        self.project.write("dodo.py", dodo)

    @property
    def requests(self) -> list[Exchange]:
        """All requests since they were forgotten."""
        return [request for proxy in self.proxies for request in proxy.requests]

    def forget_requests(self) -> None:
        """Begin again."""
        for proxy in self.proxies:
            proxy.forget()

    def _write_declared(self) -> None:
        self.project.write("bundlepipe.yml", json.dumps(self._declared))

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
            self._change_option,
            self._change_seed,
            self._edit_made,
            self._remove_made,
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

    def _change_option(self, name: str) -> None:
        kind = "images" if name in self._images else "bundles"
        options: list[tuple[str, str, str, Any]] = [
            (kind, name, "labels", {"label": str(self.chance.randint(0, 3))}),
            (kind, name, "tags", ["tag"]),
        ]
        options += [("pulls", pull, "recursive", self.chance.random() < 0.5) for pull in self._declared["pulls"]]
        section, thing, key, value = self.chance.choice(options)
        self._declared[section][thing][key] = value
        self._write_declared()

    def _change_seed(self, _: str) -> None:
        self.project.write("seed", f"kind: Generated{self.chance.randint(0, 3)}\n")

    def _edit_made(self, _: str) -> None:
        for path in self._made_files():
            with path.open("a") as file:
                file.write("# edited\n")

    def _remove_made(self, _: str) -> None:
        for path in self._made_files():
            path.unlink()

    def _made_files(self) -> list[Path]:
        """Return a file that a task makes, if there is one now."""
        places = [self.project.directory / path for path in self._made_by_hand]
        files = [file for place in places for file in (place, *sorted(place.rglob("*"))) if file.is_file()]
        return self.chance.sample(files, min(1, len(files)))

    def _nothing(self, _: str) -> None:
        pass

    def arguments(self) -> list[str]:
        """Return the tasks of the next run, nearly always all of them, and variables of the command line."""
        groups = [group for group in GROUPS if group != "apply_config"]
        own = [name for name in OWN if f"task_{name}(" in self.project.read("dodo.py")]
        tasks = [*groups, *own] if self.chance.random() < 0.8 else ["push_bundle"]
        return [*tasks, *self.chance.choice([[], [], [], ["refresh=all"], ["verify=registry"]])]


@pytest.fixture
def proxies(registry: Registry, make_proxy: Callable[[str], Proxy]) -> Sequence[Proxy]:
    """Two proxies in front of one registry."""
    return [make_proxy(registry.host) for _ in range(2)]


def test_what_a_plan_says_is_what_a_run_does(project: Project, registry: Registry, proxies: Sequence[Proxy]) -> None:
    for seed in range(PIPELINES):
        _foretold(project, registry, proxies, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(PIPELINES, PIPELINES + MANY_PIPELINES))
def test_what_many_plans_say_is_what_runs_do(
    project: Project, registry: Registry, proxies: Sequence[Proxy], seed: int
) -> None:
    _foretold(project, registry, proxies, seed)


def _foretold(project: Project, registry: Registry, proxies: Sequence[Proxy], seed: int) -> None:
    path = registry.repository(f"seed-{seed}").path
    directory = Project(project.directory / str(seed), dict(project.environment))
    scene = Scene(directory, proxies, path, random.Random(seed))
    edited = "nothing yet"
    for _ in range(EDITS):
        _check(scene, f"seed {seed}: {edited}")
        edited = scene.edit()


def _check(scene: Scene, what: str) -> None:
    project, arguments, before = scene.project, scene.arguments(), _tree(scene.project.directory)
    scene.forget_requests()
    locks = _locks(project.directory)
    planned = project.doit("plan", "--json", *arguments, status=None)
    document = json.loads(planned.stdout)
    plan = {task["name"]: task for task in document["tasks"]}
    assert _tree(project.directory) == before, what
    assert [each.method for each in scene.requests if each.method not in READING] == [], what

    scene.forget_requests()
    run = project.doit("-c", "-v2", *arguments, status=None)
    what = f"{what} {arguments}\n{planned.stdout}\n{run.output}"
    errors = {name for name, task in plan.items() if task["state"] == "error"}
    assert bool(errors) == bool(run.status), what
    marks = {name: mark for name, mark in run.marks.items() if ":" in name or name in OWN}
    assert marks.keys() | errors == plan.keys(), what
    ran = {name for name, mark in marks.items() if mark != "--"}
    will, may = ({name for name, task in plan.items() if task["state"] == state} for state in ("run", "maybe"))
    assert will <= ran and ran - will <= may, what
    results = {name: task["result"] for name, task in plan.items() if "result" in task}
    for name, result in results.items():
        if "digest" in result:
            assert result["digest"][:19] in _line_of(run.stdout, name), f"{name} {what}"
            assert result.get("image", result["digest"]).endswith(result["digest"]), what
        assert result.get("unchanged", False) == (marks[name] == "="), f"{name} {what}"
        if name.startswith("lock_bundle:"):
            bundle = name.partition(":")[2]
            _check_entries(result.get("entries", []), locks.get(bundle, []), _locks(project.directory)[bundle], what)
    written = _changes(before, _tree(project.directory))
    foretold = [file for result in (*results.values(), document) for file in result.get("files", ())]
    changes = {file["path"]: file["change"] for file in foretold if file["path"] != "bundlepipe.lock"}
    assert changes.items() <= written.items(), what
    if not (may or errors) and all("cost" in plan[name] for name in will):
        assert {file["path"] for file in foretold} == written.keys(), what
        blobs = [each for each in scene.requests if "/manifests/" not in each.path]
        sent = sum(each.bytes_up for each in blobs if each.method in ("PUT", "PATCH"))
        assert sum(plan[name]["cost"]["upload"] for name in will) == sent, what
        if all("download" in plan[name]["cost"] for name in will):
            received = sum(each.bytes_down for each in blobs if each.method == "GET" and "/blobs/" in each.path)
            assert sum(plan[name]["cost"]["download"] for name in will) == received, what


def _check_entries(entries: Sequence[Mapping[str, str]], before: list[str], after: list[str], what: str) -> None:
    """Check that the entries are what distinguishes the digests of two states of an images.yml."""
    old, new = ({entry[side] for entry in entries if side in entry} for side in ("old", "new"))
    assert set(after) - set(before) <= new <= set(after), what
    assert set(before) - set(after) <= old <= set(before), what


def _locks(directory: Path) -> dict[str, list[str]]:
    """Return the digests in the images.yml of each bundle."""
    found = sorted(directory.glob("bundle-*/.imgpkg/images.yml"))
    return {path.parent.parent.name: re.findall(r"sha256:[0-9a-f]{64}", path.read_text()) for path in found}


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return what happened to each file but records."""
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return {
        path: "removed" if path not in after else "changed" if path in before else "created"
        for path in changed
        if not path.startswith(".bundlepipe")
    }


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
