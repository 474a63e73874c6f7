"""What makes a push stale, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import Project

DECLARATIONS = """\
bundles:
  one: {files: [one], labels: {team: "${TEAM:-blue}"}}
  two: {files: [two]}
"""


@pytest.fixture
def pushed(project: Project) -> Project:
    """Two bundles, pushed and settled: the second run has nothing to do."""
    project.pipeline(DECLARATIONS)
    project.bundle("one", config="kind: One\n", other="kind: Other\n")
    project.bundle("two")
    (project.directory / "one/sub").mkdir()
    assert project.doit().executed == {"push_bundle:one", "push_bundle:two"}
    assert project.doit().ran == []
    return project


def _rewrite_with_old_times(path: Path) -> None:
    before = path.stat()
    path.write_text("kind: Uno\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns


CHANGES: dict[str, Callable[[Path], object]] = {
    "chmod": lambda one: (one / "config.yml").chmod(0o755),
    "new empty directory": lambda one: (one / "new").mkdir(),
    "new file": lambda one: (one / "sub/new.yml").write_text("kind: New\n"),
    "deleted file": lambda one: (one / "other.yml").unlink(),
    "deleted directory": lambda one: (one / "sub").rmdir(),
    "renamed file": lambda one: (one / "other.yml").rename(one / "another.yml"),
    "content": lambda one: (one / "config.yml").write_text("kind: Changed\n"),
    "content with the old times": lambda one: _rewrite_with_old_times(one / "config.yml"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_pushes_exactly_the_bundle_concerned(pushed: Project, change: str) -> None:
    before = pushed.digest("bundle", "one")
    CHANGES[change](pushed.directory / "one")
    assert pushed.doit().executed == {"push_bundle:one"}
    assert pushed.digest("bundle", "one") != before
    assert pushed.doit().ran == []


def test_a_changed_label_pushes_the_bundle(pushed: Project) -> None:
    run = pushed.doit(env={"TEAM": "red"})
    assert run.executed == {"push_bundle:one"}
    assert "(labels changed)" in run.stdout


def test_a_changed_version_pushes_to_the_new_tag(pushed: Project) -> None:
    run = pushed.doit(env={"VERSION": "2"})
    assert run.executed == {"push_bundle:one", "push_bundle:two"}
    assert pushed.doit(env={"VERSION": "2"}).ran == []


def test_going_back_to_an_earlier_version_uploads_nothing(pushed: Project) -> None:
    pushed.doit(env={"VERSION": "2"})
    run = pushed.doit()
    assert set(run.marks.values()) == {"="}


def test_touch_pushes_nothing(pushed: Project) -> None:
    for file in pushed.directory.glob("one/*.yml"):
        file.touch()
    assert pushed.doit().ran == []


def test_group_and_other_permissions_do_not_count(pushed: Project) -> None:
    (pushed.directory / "one/config.yml").chmod(0o600)
    assert pushed.doit().ran == []


def test_a_lost_state_asks_the_destination_and_uploads_nothing(pushed: Project) -> None:
    digests = [pushed.digest("bundle", name) for name in ("one", "two")]
    for path in sorted((pushed.directory / ".bundlepipe").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert pushed.doit().marks == {"push_bundle:one": "=", "push_bundle:two": "="}
    assert [pushed.digest("bundle", name) for name in ("one", "two")] == digests


def test_a_missing_digest_is_recorded_again(pushed: Project) -> None:
    before = pushed.digest("bundle", "two")
    (pushed.directory / ".bundlepipe/digests/bundle/two").unlink()
    assert pushed.doit().marks["push_bundle:two"] == "="
    assert pushed.digest("bundle", "two") == before


def test_an_edit_during_the_push_is_stale_afterwards(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one], lockOutput: one.lock.yml}}")
    project.bundle("one")
    project.doit()
    # What a task records was taken before it read, so a later edit differs from it.
    config = project.directory / "one/config.yml"
    status = config.stat()
    config.write_text("kind: two\n")
    os.utime(config, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert project.doit().executed == {"push_bundle:one"}


def test_always_asks_again_and_uploads_nothing(pushed: Project) -> None:
    assert pushed.doit("-a").marks == {"push_bundle:one": "=", "push_bundle:two": "="}


def test_verify_asks_destinations_of_tasks_that_are_fresh(pushed: Project) -> None:
    assert pushed.doit("verify=registry").ran == []
    (pushed.directory / "build/registry/two/index.json").unlink()
    assert pushed.doit().ran == []
    run = pushed.doit("verify=registry")
    assert run.executed == {"push_bundle:two"}
    assert "layout.localhost/two:dev is not there" in run.stdout
    assert pushed.doit("verify=registry").ran == []


def test_verify_is_taken_from_the_environment_and_the_file_too(pushed: Project) -> None:
    (pushed.directory / "build/registry/two/index.json").unlink()
    assert pushed.doit(env={"BUNDLEPIPE_VERIFY": "registry"}).executed == {"push_bundle:two"}
    (pushed.directory / "build/registry/one/index.json").unlink()
    pushed.pipeline("verify: registry\n" + DECLARATIONS)
    assert pushed.doit().executed == {"push_bundle:one"}


def test_a_tag_moved_by_others_is_moved_back_under_verify(pushed: Project) -> None:
    index = pushed.directory / "build/registry/one/index.json"
    at_first = index.read_bytes()
    before = pushed.digest("bundle", "one")
    (pushed.directory / "one/config.yml").write_text("kind: Changed\n")
    pushed.doit()
    index.write_bytes(at_first)
    run = pushed.doit("verify=registry")
    assert run.executed == {"push_bundle:one"}
    assert "is another image" in run.stdout
    assert pushed.digest("bundle", "one") != before


def test_a_layout_that_moves_is_pushed_to_again(project: Project) -> None:
    registries = "registries: {staging.localhost: {layout: DIR}}\n"
    declared = "bundles: {one: {files: [one], push: staging.localhost/one}}"
    project.pipeline(registries.replace("DIR", "build/one") + declared)
    project.bundle("one")
    project.doit()
    project.pipeline(registries.replace("DIR", "build/two") + declared)
    run = project.doit()
    assert run.executed == {"push_bundle:one"} and "destination changed" in run.stdout
    assert (project.directory / "build/two/one/index.json").exists()


def test_verify_asks_further_tags_too(project: Project) -> None:
    declared = "bundles: {one: {files: [one], tags: [latest]}}"
    project.pipeline(declared)
    project.bundle("one")
    project.doit()
    index = project.directory / "build/registry/one/index.json"
    index.write_text(index.read_text().replace('"latest"', '"other"'))
    assert project.doit().ran == []
    run = project.doit("verify=registry")
    assert "layout.localhost/one:latest is not there" in run.stdout
    assert project.doit("verify=registry").ran == []
