from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundlepipe.documents.schemas.validator import schema_text
from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.graph import CIGraph
from bundlepipe.pipeline.ci.sharding import sharded
from bundlepipe.pipeline.declared.ci import CI
from tests.support.shards import Document, PlanMaker, monorepo

SCHEMA: Any = json.loads(schema_text("ci-graph"))
LOCAL = ("lock_bundle", "pull_bundle", "render_config")
GROUPS = (*LOCAL, "push_image", "push_bundle", "copy_bundle", "apply_config", "")
ENVIRONMENTS = {"copy_bundle:p*": "production", "apply_config": "cluster", "*q": "other"}


@st.composite
def plans(draw: st.DrawFn, most: int = 14) -> Document:
    plan = PlanMaker()
    names: list[str] = []
    for number in range(draw(st.integers(0, most))):
        group = draw(st.sampled_from(GROUPS))
        name = (
            f"{group}:{draw(st.sampled_from('mpq'))}{number}" if group else f"{draw(st.sampled_from('or'))}wn{number}"
        )
        options: dict[str, Any] = {}
        if group == "copy_bundle":
            options["to"] = draw(st.sampled_from(["r.example/a:1", f"r.example/{number}", "tar:x.tar"]))
        elif group == "push_image":
            options = draw(st.sampled_from([{"context": "a"}, {"context": str(number)}, {"run": ["x"]}, {}]))
        if group in ("push_bundle", "copy_bundle") and draw(st.integers(0, 4)) == 0:
            options["lockOutput"] = f"{number}.yml"
        plan.add(
            name,
            *draw(st.sets(st.sampled_from(names), max_size=3) if names else st.just(set[str]())),
            own=not group,
            state=draw(st.sampled_from(["run", "run", "maybe", "none"])),
            known=draw(st.booleans()),
            unchanged=bool(group) and draw(st.integers(0, 4)) == 0,
            cost={"upload": draw(st.integers(0, 10**9)), "download": 0},
            **options,
        )
        names.append(name)
    return plan.document


SETTINGS = st.builds(
    CI,
    shards=st.integers(1, 4),
    waves=st.integers(1, 5),
    startup=st.sampled_from([0, 1, 30]),
    environments=st.sampled_from([{}, {}, ENVIRONMENTS]),
    repeat=st.sampled_from([[], ["rwn*"]]),
)
DURATIONS = st.dictionaries(st.from_regex(r"own[0-9]", fullmatch=True), st.floats(0, 100), max_size=3)


def _is_local(name: str, settings: CI) -> bool:
    return name.startswith(LOCAL) or (bool(settings.repeat) and name.startswith("rwn"))


def _environment(name: str, settings: CI) -> str | None:
    if not settings.environments:
        return None
    if name.startswith("copy_bundle:p"):
        return "production"
    return "cluster" if name.startswith("apply_config:") else "other" if name.endswith("q") else None


def _divided(document: Document, settings: CI, durations: dict[str, float]) -> CIGraph | None:
    """Return the graph; None if environments do not allow one."""
    try:
        return sharded(document, settings, durations=durations)
    except BundlepipeError as error:
        if settings.environments and ("have to run in one job" in str(error) or "do not fit into" in str(error)):
            return None
        raise


def _with_effect(document: Document, settings: CI) -> dict[str, Mapping[str, Any]]:
    """Return the tasks that change anything outside of their clones, with the local ones that these need."""
    every = {task["name"]: task for task in document["tasks"]}
    changing = {
        name: task
        for name, task in every.items()
        if task["state"] in ("run", "maybe") and not _is_done(task, document["saved"]["tasks"][name])
    }
    found, seen = set[str](), set[str]()
    waiting = [name for name in changing if not _is_local(name, settings)]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            found |= {name} & changing.keys()
            waiting.extend(every[name]["needs"])
    return {name: task for name, task in changing.items() if name in found}


def _is_done(task: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    """Return whether a task has nothing to do in any clone: a tar file is in one only."""
    return "result" in task and not _stays(task["name"], saved)


def _stays(name: str, saved: Mapping[str, Any]) -> bool:
    """Return whether other jobs cannot find what a task made."""
    options = saved.get("options", {})
    is_copy = "to" in options
    is_made_again = "digest" not in saved.get("values", {}) and ("run" in options or is_copy)
    is_in_clone = "tar:" in str(options.get("to")) or (is_copy and "lockOutput" in options)
    return name.startswith(("own", "rwn")) or is_made_again or is_in_clone


def _copied_twice(first: str, **given: Any) -> Document:
    """Return the plan of a bundle with a result that stays in a clone, and two copies of it."""
    plan = PlanMaker().add(first, **given).bundle("app", first, known=False)
    for name in ("one", "two"):
        plan.copy(name, "push_bundle:app", to=f"{name}.example/app")
    return plan.document


@settings(max_examples=200)
@example(_copied_twice("push_image:made", known=False, run=["make"]), CI(startup=0), {})
@example(_copied_twice("own1", own=True), CI(startup=0), {})
@example(_copied_twice("rwn1", own=True), CI(startup=0, repeat=["rwn*"]), {})
@given(plans(), SETTINGS, DURATIONS)
def test_jobs_do_each_stale_task_once_and_in_order(
    document: Document, settings: CI, durations: dict[str, float]
) -> None:
    graph = _divided(document, settings, durations)
    if graph is None:
        return
    tasks = _with_effect(document, settings)
    done = [name for shard in graph.shards for name in shard.tasks]
    assert sorted(done) == sorted(tasks)
    assert len(graph.waves) <= settings.waves
    assert [wave[0].wave for wave in graph.waves] == list(range(1, len(graph.waves) + 1))
    assert all(len(wave) <= settings.shards for wave in graph.waves)
    _check_edges(graph, {task["name"]: task for task in document["tasks"]}, settings)
    _check_results(graph, document, settings)
    for shard in graph.shards:
        positions = [list(tasks).index(name) for name in shard.tasks]
        assert positions == sorted(positions)
        found = {_environment(name, settings) for name in shard.tasks if not _is_local(name, settings)}
        assert {name or "" for name in found} <= {shard.environment}
    assert sharded(json.loads(json.dumps(document)), settings, durations=durations) == graph
    jsonschema.validate(json.loads(graph.as_json()), SCHEMA)


def _check_edges(graph: CIGraph, tasks: Mapping[str, Mapping[str, Any]], settings: CI) -> None:
    """Check what each shard needs against the edges between tasks, followed one by one."""
    by_name = {shard.name: shard for shard in graph.shards}
    shard_of = {name: shard for shard in graph.shards for name in shard.tasks}
    for shard in graph.shards:
        inputs, waiting, seen = set[str](), list(shard.tasks), set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            for needed in tasks[name]["needs"]:
                # What has nothing to do is in no shard.
                if needed in shard_of and shard_of[needed] is not shard and not _is_local(needed, settings):
                    inputs.add(needed)
                    # Other jobs must not need what stays in a clone.
                    assert not needed.startswith(("own", "rwn"))
                else:
                    waiting.append(needed)
        assert set(shard.inputs) == inputs
        reached = _reached(shard.name, by_name)
        assert {shard_of[name].name for name in inputs} <= reached
        assert all(by_name[other].wave < shard.wave for other in reached)
        for other in shard.needs:
            without = set[str]().union(*(_reached(each, by_name) for each in shard.needs if each != other))
            assert other not in without


def _check_results(graph: CIGraph, document: Document, settings: CI) -> None:
    """Check that each shard has, does again, or can find the results of all that it needs, each by what that needs."""
    tasks, saved = {task["name"]: task for task in document["tasks"]}, document["saved"]["tasks"]
    shard_of = {name: shard for shard in graph.shards for name in shard.tasks}
    for shard in graph.shards:
        waiting, seen = list(shard.tasks), set[str]()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if shard_of.get(name, shard) is not shard and not _is_local(name, settings):
                assert not _stays(name, saved[name]), f"{shard.name} cannot have {name}"
                if name.startswith("apply_config:"):
                    continue
                if "digest" in saved[name]["values"] and "lockOutput" not in saved[name]["options"]:
                    # It is taken over from the plan.
                    continue
            waiting.extend(tasks[name]["needs"])


def _reached(name: str, by_name: Mapping[str, Any]) -> set[str]:
    found = set[str]()
    for other in by_name[name].needs:
        found |= {other} | _reached(other, by_name)
    return found


def test_a_plan_with_nothing_to_do_has_no_jobs() -> None:
    document = PlanMaker().bundle("one", state="none").document
    graph = sharded(document, CI(), commit="abc")
    assert graph.shards == () and graph.waves == []
    jsonschema.validate(json.loads(graph.as_json()), SCHEMA)
    assert json.loads(graph.as_json())["commit"] == "abc"


def test_everything_can_be_asked_for() -> None:
    plan = PlanMaker().bundle("one", state="none").bundle("two", state="none").bundle("three", state="none")
    # A plan shows no needs of tasks that are up to date, but the files of each.
    for task in plan.tasks:
        task["needs"] = []
    record = ".bundlepipe/digests/bundle/one"
    plan.saved["push_bundle:one"]["records"] = {record: "r.example/one@sha256:0"}
    plan.saved["lock_bundle:two"]["files"] = plan.saved["lock_bundle:three"]["files"] = {record: {}, "two/a.yml": {}}
    assert sharded(plan.document, CI(startup=0)).shards == ()
    graph = sharded(plan.document, CI(startup=0), everything=True)
    assert [(shard.tasks, shard.inputs) for shard in graph.shards] == [
        (["lock_bundle:one", "push_bundle:one"], []),
        (["lock_bundle:two", "push_bundle:two"], ["push_bundle:one"]),
        (["lock_bundle:three", "push_bundle:three"], ["push_bundle:one"]),
    ]


def test_a_bundle_comes_after_those_in_it_also_if_its_lock_is_as_it_was() -> None:
    # So it is if every commit pushes with a tag of its own.
    plan = PlanMaker().bundle("leaf", cost={"upload": 10**9, "download": 0})
    for name in ("one", "two"):
        plan.add(f"lock_bundle:{name}", "push_bundle:leaf", unchanged=True)
        plan.add(f"push_bundle:{name}", f"lock_bundle:{name}", cost={"upload": 10**9, "download": 0})
    graph = sharded(plan.document, CI(startup=0))
    assert [(shard.tasks, shard.needs, shard.inputs) for shard in graph.shards] == [
        (["lock_bundle:leaf", "push_bundle:leaf"], [], []),
        (["push_bundle:one"], ["1-01"], ["push_bundle:leaf"]),
        (["push_bundle:two"], ["1-01"], ["push_bundle:leaf"]),
    ]


def test_names_costs_and_edges() -> None:
    plan = PlanMaker().add("push_image:web", cost={"upload": 5, "download": 0}, destination="r.example/web:1")
    for number in range(3):
        plan.bundle(f"b{number}", "push_image:web", cost={"upload": 10, "download": 2})
    plan.copy("all", *(f"push_bundle:b{number}" for number in range(3)), "push_image:web", to="r.example/all")
    durations = {"push_image:web": 20.0} | {f"push_bundle:b{number}": 100.0 for number in range(3)}
    durations |= {f"lock_bundle:b{number}": 1.0 for number in range(3)}
    graph = sharded(plan.document, CI(startup=5), durations=durations)
    assert [shard.name for shard in graph.shards] == ["1-01", "2-01", "2-02", "2-03", "3-01"]
    first, second, *_, last = graph.shards
    assert (second.tasks, second.needs, second.inputs) == (
        ["lock_bundle:b0", "push_bundle:b0"],
        ["1-01"],
        ["push_image:web"],
    )
    assert (first.seconds, second.seconds, second.upload, second.download) == (20.0, 101.0, 20, 4)
    assert last.needs == ["2-01", "2-02", "2-03"]
    assert last.inputs == ["push_image:web", "push_bundle:b0", "push_bundle:b1", "push_bundle:b2"]


def test_names_are_as_wide_as_a_wave() -> None:
    plan = PlanMaker()
    for number in range(120):
        plan.bundle(f"b{number}")
    names = [shard.name for shard in sharded(plan.document, CI(shards=256)).shards]
    assert names[0] == "1-001" and names[-1] == "1-120"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"tasks": []}, "says what a run would do, but not of what: make one that can be carried out with 'doit plan"),
        (
            PlanMaker().add("push_bundle:a", state="error", reason=("failure", "a/x.yml:\nis no YAML")).document,
            "cannot run, as planned: push_bundle:a (a/x.yml:\\nis no YAML): correct that, and plan again",
        ),
        (
            PlanMaker()
            .add("copy_bundle:z", state="error", reason=("taskCannotRun", "push_bundle:0 cannot run"), to="r.example/z")
            .add("push_bundle:0", state="error")
            .add("push_bundle:1", state="error", reason=("fileMissing", "1 is missing"))
            .document,
            "cannot run, as planned: push_bundle:0; push_bundle:1 (1 is missing); and 1 more: correct that",
        ),
        (
            PlanMaker().add("a", own=True, state="error", reason=("taskCannotRun", "_b cannot run")).document,
            "cannot run, as planned: a (_b cannot run): correct that, and plan again",
        ),
        (
            PlanMaker().add("one", "two", own=True).add("two", "one", own=True).document,
            "one waits for itself, by the plan: plan again",
        ),
    ],
)
def test_plans_that_cannot_be_carried_out(document: Document, message: str) -> None:
    with pytest.raises(BundlepipeError, match=re.escape(message)):
        sharded(document, CI())


def test_environments_that_need_more_waves() -> None:
    plan = PlanMaker().bundle("one").copy("one", "push_bundle:one", to="prod.example/one")
    plan.bundle("two", "copy_bundle:one")
    document = plan.document
    assert len(sharded(document, CI(waves=3, environments={"copy_bundle": "production"})).shards) == 3
    with pytest.raises(BundlepipeError) as error:
        sharded(document, CI(waves=2, environments={"copy_bundle": "production"}))
    assert str(error.value) == (
        "the tasks do not fit into 2 waves of 8 jobs, since those of different environments cannot share a job: raise "
        "ci.waves or ci.shards, or give fewer tasks an environment in ci.environments"
    )


@pytest.mark.parametrize(("bundles", "depth"), [(2000, 3), (2000, 2000), (10_000, 5)])
def test_thousands_of_bundles(bundles: int, depth: int) -> None:
    document = monorepo(bundles, depth)
    graph = sharded(document, CI(shards=50))
    done = sorted(name for shard in graph.shards for name in shard.tasks)
    assert done == sorted(task["name"] for task in document["tasks"])
    assert len(graph.waves) <= 5
    # GitLab takes at most 50 needs of a job.
    assert max(len(shard.needs) for shard in graph.shards) <= 50


def test_a_plan_has_the_shards_of_a_graph() -> None:
    plan: Any = json.loads(schema_text("plan"))
    assert {name: plan["$defs"][name] for name in SCHEMA["$defs"]} == SCHEMA["$defs"]
    assert plan["properties"]["shards"]["items"] == SCHEMA["properties"]["shards"]["items"]
