"""lock check: which locks a run would change, without a network."""

from __future__ import annotations

import shutil

import pytest

from tests.support.command import Command, Result
from tests.support.git import commit_all
from tests.support.services import require

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
{lock}defaults: {{push: "layout.localhost/{{name}}:1"}}
bundles:
  library: {{files: [library], lock: {{}}}}
  shop: {{files: [shop], lock: {{include: [{{bundle: library}}]}}}}
"""
SHOP = "shop/.imgpkg/images.yml"
LIBRARY = "library/.imgpkg/images.yml"


class Project:
    """Two bundles, of which one locks the other."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.directory = command.directory
        self.declare()
        for name in ("library", "shop"):
            self.write(f"{name}/config.yml", f"kind: {name}\n")

    def declare(self, lock: str = "") -> None:
        (self.directory / "bundlepipe.yml").write_text(PIPELINE.format(lock=lock))

    def write(self, path: str, text: str) -> None:
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_text(text)

    def lock(self) -> None:
        done = self.command("bundlepipe", "doit", "lock_bundle")
        assert done.status == 0, done.stderr

    def forget(self) -> None:
        """Be a fresh clone: without records and destinations."""
        for name in (".bundlepipe", "build"):
            shutil.rmtree(self.directory / name)

    def check(self, *arguments: str) -> Result:
        return self.command("bundlepipe", "lock", "check", *arguments)


@pytest.fixture
def project(command: Command) -> Project:
    return Project(command)


def test_missing_locks(project: Project) -> None:
    checked = project.check()
    assert checked.status == 1
    assert checked.stdout.splitlines() == [
        f"{LIBRARY} is missing: run 'doit lock_bundle:library', and commit it",
        f"{SHOP} is missing: run 'doit lock_bundle:shop', and commit it",
    ]
    assert not (project.directory / LIBRARY).exists()


def test_current_locks_with_and_without_records(project: Project) -> None:
    project.lock()
    assert project.check() == Result(0, "", "")
    project.forget()
    assert project.check() == Result(0, "", "")
    assert not (project.directory / "build").exists()


def test_a_nested_bundle_that_changed(project: Project) -> None:
    project.lock()
    project.forget()
    project.write("library/config.yml", "kind: Changed\n")
    checked = project.check()
    told = f"{SHOP} is out of date (library): run 'doit lock_bundle:shop', and commit it\n"
    assert checked == Result(1, told, "")
    assert project.check("push_bundle:library") == Result(0, "", "")
    assert project.check("push_bundle:shop").stdout == told


def test_a_reference_without_a_digest(project: Project) -> None:
    project.lock()
    project.write("shop/other.yml", "image: registry.example/new:1\n")
    checked = project.check()
    assert checked.status == 1
    assert checked.stdout.startswith(f"{SHOP} lacks an entry: what registry.example/new:1 names is not known")
    assert checked.stdout.endswith(": run 'doit lock_bundle:shop', and commit it\n")


def test_locks_that_are_always_refreshed_are_not_judged(project: Project) -> None:
    project.lock()
    text = (project.directory / "bundlepipe.yml").read_text().replace("lock: {}", "lock: {refresh: always}")
    (project.directory / "bundlepipe.yml").write_text(text)
    project.write("library/other.yml", "image: registry.example/new:1\n")
    checked = project.check("lock_bundle:library")
    assert (checked.status, checked.stdout) == (0, "")
    assert checked.stderr.startswith("lock_bundle:library: not checked, ")


def test_a_lock_that_cannot_be_made(project: Project) -> None:
    project.write("shop/other.yml", "image: 'not a reference'\n")
    checked = project.check()
    assert checked.status == 1
    assert "lock_bundle:shop cannot run: shop/other.yml:1:8: " in checked.stdout


def test_a_lock_file_instead_of_untracked_locks(project: Project) -> None:
    require("git")
    project.declare("lock: bundlepipe.lock\n")
    checked = project.check()
    assert checked.stdout == "bundlepipe.lock is missing: run 'doit lock_bundle:library', and commit it\n"
    project.lock()
    project.write(".gitignore", ".bundlepipe\nbuild\n.imgpkg\n")
    commit_all(project.directory)
    project.forget()
    shutil.rmtree(project.directory / "shop/.imgpkg")
    assert project.check() == Result(0, "", "")
    project.write("shop/other.yml", "image: registry.example/new:1\n")
    assert project.check().stdout.startswith("bundlepipe.lock lacks an entry: what registry.example/new:1 names")


def test_locks_that_git_ignores(project: Project) -> None:
    require("git")
    project.write(".gitignore", ".imgpkg\n")
    commit_all(project.directory)
    assert project.check() == Result(0, "", "")


def test_a_pipeline_without_locks(project: Project) -> None:
    text = (project.directory / "bundlepipe.yml").read_text().replace(", lock: {}", "")
    project.write("bundlepipe.yml", text.replace(", lock: {include: [{bundle: library}]}", ""))
    assert project.check() == Result(0, "", "")
