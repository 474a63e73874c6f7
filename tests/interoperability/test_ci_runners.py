"""The files that `bundlepipe ci` writes, carried out by programs that run such files, in a monorepo."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.ci_runners import RUNNERS
from tests.support.command import Command
from tests.support.git import git
from tests.support.monorepo import MIDDLES, Monorepo, TwoRegistries, two_registries
from tests.support.proxy import Delay
from tests.support.services import require

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("engine", RUNNERS)]

# Seconds: until the proxy is closed.
_FOR_GOOD = 3600


class Scene:
    """A monorepo, what carries out its jobs, and the registries that these fill, which are empty at first."""

    def __init__(self, room: Path, registries: TwoRegistries, engine: str, shards: int) -> None:
        self._room = room
        self._clones = count(1)
        self._command = Command(room, room / "links")
        self._command.env.update(registries.places)
        self.registries = registries
        self.repository = Monorepo(room / "repository", registries.places, shards=shards)
        self.runner = RUNNERS[engine](self.repository, self._command, room / "runner")

    def clone(self, revision: str = "HEAD") -> Path:
        """Return a clone with a revision checked out."""
        return self.repository.clone(self._room / f"clone{next(self._clones)}", revision)

    def one_run(self, revision: str = "HEAD") -> dict[str, str]:
        """Return the content of registries that were empty before one run of doit did all."""
        self.registries.empty()
        return self.registries.one_run(self.clone(revision), self._command)

    def planned_shards(self) -> dict[str, list[str]]:
        """Return the tasks of each shard, as anyone would plan them now."""
        file = self._room / "plan.json"
        done = self._command("bundlepipe", "ci", "plan", "--out", file, cwd=self.clone())
        assert done.status == 0, done
        return _shards(json.loads(file.read_text()))


@pytest.fixture(scope="module")
def _registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRegistries]:
    require("registry")
    with two_registries(tmp_path_factory.mktemp("registries")) as registries:
        yield registries


@pytest.fixture
def scene(tmp_path: Path, _registries: TwoRegistries, engine: str, shards: int) -> Scene:
    """What a test begins with."""
    _registries.empty()
    return Scene(tmp_path, _registries, engine, shards)


def _shards(plan: dict[str, Any]) -> dict[str, list[str]]:
    return {shard["name"]: shard["tasks"] for shard in plan["shards"]}


@pytest.mark.parametrize("shards", [4, 16])
def test_jobs_do_what_one_run_does_and_then_only_the_plan_has_work(scene: Scene, shards: int) -> None:
    registries, runner = scene.registries, scene.runner
    expected = scene.one_run()
    registries.empty()

    done = runner.run()

    assert done.status == 0, done.output
    assert registries.content() == expected
    assert set(registries.put_manifests().values()) == {1}
    planned = _shards(runner.plan)
    assert runner.shards == sorted(planned)
    # Leaves may be done together with others that the same bundle includes.
    assert min(shards, MIDDLES) <= max(Counter(name.partition("-")[0] for name in planned).values()) <= shards
    assert runner.calls[-1].startswith("ci report ")

    registries.forget()
    again = runner.run()

    assert again.status == 0, again.output
    assert _shards(runner.plan) == {}
    assert {tuple(call.split()[:2]) for call in runner.calls} <= {("ci", "plan"), ("ci", "gitlab")}
    assert {request.split()[0] for request in registries.requests} <= {"GET", "HEAD"}
    assert registries.content() == expected


@pytest.mark.parametrize("shards", [4])
def test_only_the_chain_of_a_changed_leaf_is_done(scene: Scene) -> None:
    registries, runner = scene.registries, scene.runner
    scene.repository.change("leaf03")
    expected = scene.one_run()
    before = scene.one_run("HEAD^")
    changed = {name.partition(":")[0] for name, digest in expected.items() if before.get(name) != digest}
    assert {"m/leaf03", "m/mid03", "m/top00", "s/top00"} <= changed
    assert "m/leaf04" not in changed
    registries.forget()

    done = runner.run()

    assert done.status == 0, done.output
    assert registries.content() == before | expected
    put = registries.put_manifests()
    assert {path.partition("/manifests/")[0] for path in put} == changed
    assert set(put.values()) == {1}
    planned = _shards(runner.plan)
    assert runner.shards == sorted(planned)
    # Locks are no part of the commits: jobs also write those of what their bundles include.
    places = {"push_image": "m", "push_bundle": "m", "copy_bundle": "s"}
    sent = [task.split(":") for tasks in planned.values() for task in tasks if not task.startswith("lock_bundle:")]
    assert {f"{places[kind]}/{name}" for kind, name in sent} == changed


@pytest.mark.parametrize("shards", [4])
def test_after_a_job_was_killed_the_rest_is_done_and_nothing_twice(scene: Scene, engine: str) -> None:
    registries, runner = scene.registries, scene.runner
    expected = scene.one_run()
    registries.empty()
    shard, bundles = _shard_of_several_bundles(scene.planned_shards())
    # One bundle is pushed when the job is killed, and another one is on its way.
    manifests = f"/({'|'.join(bundles)})/manifests/1$"
    registries.proxies[0].fault("PUT", manifests, Delay(_FOR_GOOD), skip=1)
    runner.mark(shard)
    with runner.running() as process:
        while process.poll() is None and not _are_one_done_and_one_delayed(registries, manifests):
            time.sleep(0.05)
        assert runner.marked_process is not None
        os.kill(runner.marked_process, signal.SIGKILL)
    pushed = registries.put_manifests()

    # gitlab-ci-local succeeds although its child pipeline failed.
    assert process.returncode != 0 or engine == "gitlab"
    assert _with_all_after(shard, runner.plan) & {*runner.shards} == {shard}
    assert 0 < len([path for path in pushed if re.search(manifests, path)]) < len(bundles)
    again = runner.run()

    assert again.status == 0, again.output
    assert registries.content() == expected
    put = registries.put_manifests()
    assert pushed < put
    assert {times for path, times in put.items() if path.endswith("/1")} == {1}
    # The tag that keeps a bundle from being deleted is written before its own.
    under_way = {f"m/{bundle}" for bundle in bundles if f"m/{bundle}/manifests/1" not in pushed}
    assert {path.partition("/manifests/")[0] for path, times in put.items() if times > 1} <= under_way
    # The jobs are divided anew, of what is left.
    assert runner.shards == sorted(_shards(runner.plan))


def _are_one_done_and_one_delayed(registries: TwoRegistries, manifests: str) -> bool:
    seen = [seen for seen in registries.proxies[0].requests if seen.method == "PUT" and re.search(manifests, seen.path)]
    return {201, None} <= {each.status for each in seen} and len(seen) > 1


def _with_all_after(shard: str, plan: dict[str, Any]) -> set[str]:
    found = {shard}
    for each in plan["shards"]:
        if not found.isdisjoint(each["needs"]):
            found.add(each["name"])
    assert len(found) > 1
    return found


def _shard_of_several_bundles(shards: dict[str, list[str]]) -> tuple[str, list[str]]:
    """Return the shard in the second wave that pushes most, and its bundles."""
    pushed = {
        name: [task.removeprefix("push_bundle:") for task in tasks if task.startswith("push_bundle:")]
        for name, tasks in shards.items()
        if name.startswith("2-")
    }
    return max(pushed.items(), key=lambda each: len(each[1]))


@pytest.mark.parametrize("shards", [4])
def test_a_proposal_shows_what_it_affects_without_a_registry(scene: Scene) -> None:
    directory = scene.repository.directory
    git(directory, "switch", "--quiet", "--create", "proposal")
    scene.repository.change("leaf03")
    git(directory, "switch", "--quiet", "--create", "merged", "main")
    git(directory, "merge", "--quiet", "--no-ff", "proposal")

    done = scene.runner.run(merge=True)

    assert done.status == 0, done.output
    assert scene.registries.requests == []
    assert [call.split()[:3] for call in scene.runner.calls] == [["ci", "plan", "--since"]]
    for name in ("push_bundle:leaf03", "push_bundle:mid03", "copy_bundle:top00"):
        assert name in done.output
    assert "leaf04" not in done.output
