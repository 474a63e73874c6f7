"""`doit plan --since`: what differs from a git revision is what a run does where that revision was run before."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import put_images
from tests.support.project import DODO, Project, because
from tests.support.revisions import CHAIN, IGNORED, plan, states, write_chain
from tests.support.services import Registry, program

COMMITS, PAIRS = 6, 6
# Of the slow test; 435 are all pairs.
MANY_COMMITS, MANY_PAIRS = 30, int(os.environ.get("SINCE_PAIRS", "35"))
# Without the caches of the pipeline and of Python.
OWN = ("--", ".", ":(exclude).bundlepipe", ":(exclude)__pycache__")
GROUPS = ("push_image", "push_bundle", "copy_bundle")
OWN_TASKS = """
def task_generate():
    return {"actions": ["cp source/text.txt generated/text.txt"], "file_dep": ["source/text.txt"],
            "targets": ["generated/text.txt"]}
"""


def git(directory: Path, *arguments: str) -> str:
    """Run git, and return what it printed."""
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        [program("git"), *who, *arguments], cwd=directory, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def chain(project: Project) -> Project:
    """A repository with a commit: an image in a bundle in another, and a bundle beside them."""
    write_chain(project)
    git(project.directory, "init", "-q")
    commit(project)
    return project


def commit(project: Project) -> str:
    """Commit everything, and return the commit."""
    git(project.directory, "add", "-A")
    git(project.directory, "commit", "-q", "--allow-empty", "-m", "a change")
    return git(project.directory, "rev-parse", "HEAD").strip()


class History:
    """A git history of random changes."""

    def __init__(self, project: Project, bases: str, chance: random.Random) -> None:
        self.project, self.chance, self._bases = project, chance, bases
        self._bundles = ["one", "two", "three"]
        self._version, self._labels = "1", 1
        self._programs = "echo"
        project.write("dodo.py", DODO + OWN_TASKS)
        project.write(".gitignore", IGNORED)
        project.write("source/text.txt", "text\n")
        project.write("generated/fixed.txt", "fixed\n")
        project.write("site/index.html", "hello")
        for name in self._bundles:
            self._rewrite(name)
        self._declare()
        git(project.directory, "init", "-q")

    def _declare(self) -> None:
        bundles: dict[str, Any] = {}
        for number, name in enumerate(self._bundles):
            include = [{"bundle": self._bundles[number - 1]}] if number % 3 else [{"image": "site"}]
            files = [name, *(["generated"] if number == 1 else []), *(["build/shown.yml"] if number == 2 else [])]
            bundles[name] = {"files": files, "lock": {"include": include}, "preservePermissions": True}
        shown = {"run": ["sh", "-c", f"{self._programs} 'kind: Shown'; cat source/text.txt >&2"]}
        declared = {
            "apiVersion": "bundlepipe.dev/v1alpha1",
            "kind": "Pipeline",
            "defaults": {"push": "${REGISTRY}/{name}:" + f"${{VERSION:-{self._version}}}"},
            "images": {"site": {"files": ["site"], "labels": {"number": str(self._labels)}}},
            "bundles": bundles,
            "renders": {"shown": {"files": [{**shown, "files": ["source"]}], "output": "build/shown.yml"}},
            "copies": {"last": {"from": {"bundle": self._bundles[-1]}, "to": "${REGISTRY}/copied"}},
        }
        self.project.write("bundlepipe.yml", json.dumps(declared, indent=1))

    def _rewrite(self, name: str, file: int = 0) -> None:
        image = f"image: {self._bases}:{self.chance.choice('ab')}\n" if self.chance.random() < 0.5 else ""
        self.project.write(f"{name}/file-{file}.yml", f"number: {self.chance.randint(0, 99)}\n{image}")

    def _add(self) -> None:
        added = f"further-{self.chance.randint(0, 3)}"
        if added not in self._bundles:
            self._bundles.append(added)
            self._rewrite(added)

    def _remove(self) -> None:
        if len(self._bundles) > 3:
            shutil.rmtree(self.project.directory / self._bundles.pop())

    def change(self) -> str:
        """Change something, and commit it."""
        name = self.chance.choice(self._bundles)
        directory = self.project.directory / name
        files = sorted(directory.glob("*.yml"))
        changes: tuple[Callable[[], object], ...] = (
            lambda: self._rewrite(name),
            lambda: self._rewrite(name, self.chance.randint(1, 5)),
            lambda: files[0].rename(directory / f"moved-{self.chance.randint(0, 9)}.yml"),
            lambda: files[0].chmod(self.chance.choice([0o644, 0o755])),
            lambda: self.project.write("site/index.html", str(self.chance.randint(0, 9))),
            lambda: self.project.write("source/text.txt", f"{self.chance.randint(0, 9)}\n"),
            lambda: setattr(self, "_labels", self.chance.randint(0, 3)),
            lambda: setattr(self, "_version", self.chance.choice("12")),
            self._add,
            self._remove,
        )
        self.chance.choice(changes)()
        self._declare()
        return commit(self.project)


def clone(source: Path, directory: Path, revision: str, environment: dict[str, str]) -> Project:
    """Return a checkout of a revision in a clone of its own."""
    git(source, "clone", "-q", str(source), str(directory))
    git(directory, "checkout", "-q", revision)
    return Project(directory, environment)


def check(
    project: Project, bases: str, registry: Registry, tmp_path: Path, *, commits: int, pairs: int, seed: int
) -> None:
    """Compare plans between commits of a history with runs in clones."""
    chance = random.Random(seed)
    history = History(project, bases, chance)
    made = [commit(project), *(history.change() for _ in range(commits - 1))]
    following = [*pairwise(range(len(made)))]
    others = [pair for pair in combinations(range(len(made)), 2) if pair not in following]
    chance.shuffle(others)
    chosen = [*following, *(pair[:: chance.choice([1, -1])] for pair in others)]
    for number, (old, new) in enumerate(chosen[:pairs]):
        environment = {**project.environment, "REGISTRY": str(registry.repository())}
        before = clone(project.directory, tmp_path / f"before-{number}", made[old], environment)
        now = clone(project.directory, tmp_path / f"now-{number}", made[new], environment)
        before.doit(*GROUPS)
        planned = plan(now, made[old], *GROUPS)
        run = now.doit(*GROUPS)
        foretold = {name for name, state in states(planned).items() if state == "run" and name.startswith(GROUPS)}
        executed = {name for name in run.executed if name.startswith(GROUPS)}
        assert foretold == executed, (
            f"seed {seed}, {old} to {new}: {git(project.directory, 'diff', made[old], made[new])}"
        )
        assert "maybe" not in states(planned).values()
        for task in planned["tasks"]:
            kind, _, name = task["name"].partition(":")
            if task["state"] == "run" and kind.startswith("push_") and "image" in task.get("result", {}):
                pushed = now.digest(kind.removeprefix("push_"), name)
                assert task["result"]["image"] == pushed, f"seed {seed}, {old} to {new}: {task}"


@pytest.fixture
def bases(registry: Registry) -> str:
    """A repository with images that tags name."""
    repository = registry.repository()
    store = Stores().repository(Repository(repository.registry, repository.path), writes=True)
    for name, manifest in zip("ab", put_images(store, 2), strict=True):
        store.put_manifest(manifest, name)
    return str(repository)


def test_what_differs_is_what_a_run_without_records_does(
    project: Project, bases: str, registry: Registry, tmp_path: Path
) -> None:
    check(project, bases, registry, tmp_path, commits=COMMITS, pairs=PAIRS, seed=int(os.environ.get("SEED", "1")))


@pytest.mark.slow
def test_what_differs_in_a_long_history(project: Project, bases: str, registry: Registry, tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    check(project, bases, registry, tmp_path, commits=MANY_COMMITS, pairs=MANY_PAIRS, seed=seed)


def test_a_changed_leaf_names_its_chain_with_digests(chain: Project) -> None:
    assert set(states(plan(chain, "HEAD")).values()) == {"none"}
    chain.write("site/index.html", "hello, world")
    # What git ignores is no part of either side.
    chain.write("other/.imgpkg/images.yml", "broken: [\n")
    document = plan(chain, "HEAD")
    assert {name for name, state in states(document).items() if state == "run"} == {
        "push_image:site", "lock_bundle:leaf", "push_bundle:leaf", "lock_bundle:middle", "push_bundle:middle"
    }  # fmt: skip
    tasks = {task["name"]: task for task in document["tasks"]}
    assert because(tasks["push_image:site"]["reasons"]) == ["site/index.html changed"]
    assert tasks["push_bundle:middle"]["needs"] == ["lock_bundle:middle"]
    chain.write("other/.imgpkg/images.yml", "")
    (chain.directory / "other/.imgpkg/images.yml").unlink()
    chain.doit("push_bundle")
    assert tasks["push_bundle:middle"]["result"]["image"] == chain.digest("bundle", "middle")


def test_it_says_why_and_exits_as_plans_do(chain: Project) -> None:
    assert chain.doit("plan", "--since", "HEAD", "--detailed-exitcode").stdout == "7 up to date\n"
    chain.write("leaf/new.yml", "kind: New\n")
    lines = chain.doit("plan", "--since", "HEAD", "--why", "push_bundle:middle").stdout.splitlines()
    assert lines[0] == "push_bundle:middle will run: middle/.imgpkg/images.yml changed"
    assert [line.strip() for line in lines if "leaf/new.yml" in line] == [
        "push_bundle:leaf will run: leaf/new.yml is new"
    ]
    assert "| will run `push_bundle:leaf` |" in chain.doit("plan", "--since", "HEAD", "--markdown").stdout
    chain.doit("plan", "--since", "HEAD", "--detailed-exitcode", status=2)


def test_tasks_that_are_new_and_gone(chain: Project) -> None:
    chain.pipeline(CHAIN.replace("other", "another"))
    (chain.directory / "other").rename(chain.directory / "another")
    document = plan(chain, "HEAD")
    assert document["removed"] == ["lock_bundle:other", "push_bundle:other"]
    reasons = {task["name"]: task["reasons"] for task in document["tasks"] if task["state"] != "none"}
    assert reasons["push_bundle:another"] == [
        {"code": "newTask", "subject": "push_bundle:another", "because": "HEAD has no such task"}
    ]
    assert reasons.keys() == {"lock_bundle:another", "push_bundle:another"}
    assert "\nno more there\n  lock_bundle:other\n  push_bundle:other\n" in chain.doit("plan", "--since", "HEAD").stdout


def test_an_earlier_revision_without_a_pipeline(chain: Project) -> None:
    git(chain.directory, "rm", "-q", "bundlepipe.yml", "dodo.py")
    commit(chain)
    chain.pipeline(CHAIN)
    chain.write("dodo.py", DODO)
    assert set(states(plan(chain, "HEAD")).values()) == {"run"}


def test_no_registry_is_asked_and_nothing_written(chain: Project) -> None:
    chain.environment["REGISTRY"] = "127.0.0.1:1"
    chain.write("other/config.yml", "image: 127.0.0.1:1/team/base:1\n")
    commit(chain)
    chain.write("leaf/config.yml", "kind: Changed\n")
    before = git(chain.directory, "status", "--porcelain", "--ignored", *OWN)
    document = plan(chain, "HEAD~1")
    tasks = {task["name"]: task for task in document["tasks"]}
    assert git(chain.directory, "status", "--porcelain", "--ignored", *OWN) == before
    # A digest that a registry decides is not told.
    assert tasks["push_bundle:other"]["state"] == "run" and "image" not in tasks["push_bundle:other"].get("result", {})
    assert tasks["push_bundle:leaf"]["result"]["image"].startswith("127.0.0.1:1/leaf@sha256:")


def test_what_cannot_be_foreseen_differs_as_its_input_does(chain: Project) -> None:
    program = {"run": ["cat", "templates/text.yml"], "files": ["templates"]}
    declared = {
        "images": {
            "built": {"build": {"context": "context"}},
            "printed": {"run": ["false"], "files": ["x"]},
        },
        "renders": {"shown": {"files": [program], "output": "build/shown.yml"}},
        "bundles": {
            "top": {"files": ["other", "build/shown.yml"], "lock": {"include": [{"image": "built"}]}},
            "beside": {"files": ["beside"], "lock": {"include": [{"image": "printed"}]}},
        },
        "pulls": {"foreign": {"from": "registry.example/some/bundle:1", "to": "vendored"}},
    }
    chain.pipeline("".join(f"{kind}: {json.dumps(things)}\n" for kind, things in declared.items()))
    chain.write("context/Dockerfile", "FROM scratch\nCOPY file /\n")
    for path in ("context/file", "templates/text.yml", "x", "beside/config.yml"):
        chain.write(path, "one\n")
    commit(chain)
    everything = (*GROUPS, "render_config", "pull_bundle", "lock_bundle")
    assert set(states(plan(chain, "HEAD", *everything)).values()) == {"none"}

    for path, changed in (
        ("context/file", {"push_image:built", "lock_bundle:top", "push_bundle:top"}),
        ("templates/text.yml", {"render_config:shown", "lock_bundle:top", "push_bundle:top"}),
        ("x", {"push_image:printed", "lock_bundle:beside", "push_bundle:beside"}),
    ):
        chain.write(path, "two\n")
        found = states(plan(chain, "HEAD", *everything))
        assert {name for name, state in found.items() if state == "run"} - {"lock_bundle:top"} == changed - {
            "lock_bundle:top"
        }, path
        assert "maybe" not in found.values()
        chain.write(path, "one\n")


def test_locks_of_the_same_tag_have_no_digest(chain: Project) -> None:
    for name in ("leaf", "other"):
        chain.write(f"{name}/config.yml", "image: registry.example/team/base:1\n")
    tasks = {task["name"]: task for task in plan(chain, "HEAD")["tasks"]}
    for name in ("leaf", "middle", "other"):
        assert tasks[f"push_bundle:{name}"]["state"] == "run"
        assert "image" not in tasks[f"push_bundle:{name}"].get("result", {})


def test_what_is_missing_in_git_may_run(chain: Project) -> None:
    chain.write(".gitignore", IGNORED + "leaf/\n")
    git(chain.directory, "rm", "-q", "-r", "--cached", "leaf")
    commit(chain)
    document = plan(chain, "HEAD")
    tasks = {task["name"]: task for task in document["tasks"]}
    assert tasks["lock_bundle:leaf"]["state"] == tasks["push_bundle:middle"]["state"] == "maybe"
    (reason,) = because(tasks["lock_bundle:leaf"]["reasons"])
    assert reason.startswith("not known from the files in git alone: ") and "leaf" in reason


def test_a_pipeline_below_the_root_of_its_repository(chain: Project) -> None:
    own = sorted(chain.directory.glob("[!.]*"))
    (chain.directory / "apps").mkdir()
    for path in own:
        path.rename(chain.directory / "apps" / path.name)
    (chain.directory / "apps/bundlepipe.yml").rename(chain.directory / "apps/deploy.yml")
    (chain.directory / "apps/dodo.py").unlink()
    commit(chain)
    below = Project(chain.directory / "apps", chain.environment)
    below.write("site/index.html", "changed")
    finished = subprocess.run(
        [sys.executable, "-m", "bundlepipe", "plan", "-f", "deploy.yml", "--since", "HEAD", "push_image"],
        cwd=below.directory, env={**os.environ, **chain.environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert finished.stdout.splitlines()[1].endswith("(site/index.html changed)")


def test_a_dodo_that_asks_git_gets_an_answer(chain: Project) -> None:
    asks = (
        "import os, subprocess\n"
        'described = subprocess.check_output(["git", "describe", "--always"], text=True)\n'
        'os.environ["VERSION"] = described.strip()\n'
    )
    chain.write("dodo.py", asks + DODO)
    commit(chain)
    assert set(states(plan(chain, "HEAD")).values()) == {"none"}


def test_revisions_that_cannot_be_compared(chain: Project, tmp_path: Path) -> None:
    def refusal(project: Project, revision: str) -> str:
        return project.doit("plan", "--since", revision, status=3).stderr

    assert refusal(chain, "v1") == "ERROR: revision 'v1': no such commit in this repository\n"
    assert "no such commit" in refusal(chain, "--all")
    assert "the first push of a branch has no commit before it" in refusal(chain, "0" * 40)
    commit(chain)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{chain.directory}", "shallow")
    shallow = Project(tmp_path / "shallow", chain.environment)
    assert "whose history is cut off: git fetch --unshallow" in refusal(shallow, "HEAD~1")
    shutil.rmtree(chain.directory / ".git")
    assert refusal(chain, "HEAD").endswith("is in no git repository, whose revisions could be compared\n")


def test_a_pipeline_that_was_broken(chain: Project) -> None:
    chain.write("bundlepipe.yml", "kind: [\n")
    commit(chain)
    chain.pipeline(CHAIN)
    told = chain.doit("plan", "--since", "HEAD", status=3).stderr
    assert told.startswith("ERROR: the pipeline at HEAD: cannot be read: bundlepipe.yml:2:1: not YAML")
