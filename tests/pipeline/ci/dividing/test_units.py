from __future__ import annotations

from typing import Any

import pytest

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.dividing.joining import strongly_connected
from bundlepipe.pipeline.ci.dividing.stale import StaleTask, stale_tasks
from bundlepipe.pipeline.ci.dividing.units import units_of
from bundlepipe.pipeline.declared.ci import CI
from tests.support.shards import PlanMaker


def units(plan: PlanMaker, settings: CI | None = None) -> set[frozenset[str]]:
    """Return the names of the tasks of each unit."""
    tasks = stale_tasks(plan.document, settings or CI(), {})
    return {frozenset(tasks[number].name for number in unit.tasks) for unit in units_of(tasks) if unit.tasks}


def needs(plan: PlanMaker, settings: CI | None = None) -> dict[str, set[str]]:
    """Return what each unit needs, both by the names of their last tasks; through passages."""
    tasks = stale_tasks(plan.document, settings or CI(), {})
    found = units_of(tasks)
    of: list[set[str]] = []
    for unit in found:
        of.append(set())
        for other in unit.needs:
            of[-1] |= of[other] if found[other].is_passage else {tasks[found[other].tasks[-1]].name}
    return {tasks[unit.tasks[-1]].name: each for unit, each in zip(found, of, strict=True) if unit.tasks}


def two_bundles(plan: PlanMaker, *before: str) -> PlanMaker:
    """Add two bundles that need the same."""
    return plan.bundle("one", *before).bundle("two", *before)


def test_a_lock_is_with_its_push_and_pushes_are_apart() -> None:
    plan = two_bundles(PlanMaker().add("push_image:web", destination="r.example/web:1"), "push_image:web")
    assert units(plan) == {
        frozenset({"push_image:web"}),
        frozenset({"lock_bundle:one", "push_bundle:one"}),
        frozenset({"lock_bundle:two", "push_bundle:two"}),
    }
    assert needs(plan) == {
        "push_image:web": set(),
        "push_bundle:one": {"push_image:web"},
        "push_bundle:two": {"push_image:web"},
    }


def test_a_chain_is_one_unit() -> None:
    plan = PlanMaker().bundle("leaf").bundle("mid", "push_bundle:leaf")
    plan.copy("mid", "push_bundle:mid", to="mirror.example/mid")
    assert len(units(plan)) == 1
    assert len(units(plan, CI(environments={"copy_bundle": "production"}))) == 2


def test_what_a_users_task_makes_is_used_in_its_job() -> None:
    plan = two_bundles(PlanMaker().add("generate", own=True), "generate").bundle("three", "push_bundle:one")
    plan.bundle("four", "push_bundle:one")
    assert frozenset({"generate", "lock_bundle:one", "push_bundle:one", "lock_bundle:two", "push_bundle:two"}) in units(
        plan
    )
    # What needs a push of that job may be anywhere.
    assert frozenset({"lock_bundle:three", "push_bundle:three"}) in units(plan)
    # A task that may be repeated runs wherever it is needed, and is counted once.
    assert units(plan, CI(repeat=["gen*"])) == {
        frozenset({"generate", "lock_bundle:one", "push_bundle:one"}),
        frozenset({"lock_bundle:two", "push_bundle:two"}),
        frozenset({"lock_bundle:three", "push_bundle:three"}),
        frozenset({"lock_bundle:four", "push_bundle:four"}),
    }


@pytest.mark.parametrize(
    ("options", "is_together"),
    [
        ({"known": False}, True),
        ({"known": False, "context": "web"}, True),
        ({"lockOutput": "web.lock.yml"}, True),
        ({}, False),
    ],
)
def test_what_stays_is_needed_to_find_a_result_that_is_open(options: dict[str, Any], is_together: bool) -> None:
    plan = PlanMaker().add("push_image:made", known=False, run=["make"])
    plan.add("push_image:web", "push_image:made", destination="r.example/web:1", **options)
    plan.copy("one", "push_image:web", to="a.example/web").copy("two", "push_image:web", to="b.example/web")
    assert (len(units(plan)) == 1) == is_together


def test_all_that_needs_an_open_result_is_in_the_job_of_what_stays() -> None:
    plan = PlanMaker().add("push_image:made", known=False, run=["make"]).bundle("app", "push_image:made", known=False)
    for name in ("one", "two"):
        plan.copy(name, "push_bundle:app", to=f"{name}.example/app")
    assert len(units(plan)) == 1
    plan = two_bundles(PlanMaker().add("generate", own=True).bundle("app", "generate", known=False), "push_bundle:app")
    assert len(units(plan)) == 1
    assert units(plan, CI(repeat=["generate"])) == {
        frozenset({"generate", "lock_bundle:app", "push_bundle:app"}),
        frozenset({"lock_bundle:one", "push_bundle:one"}),
        frozenset({"lock_bundle:two", "push_bundle:two"}),
    }
    # Nothing of an apply is taken over.
    plan = PlanMaker().add("generate", own=True).add("apply_config:crds", "generate", known=False)
    plan.add("apply_config:one", "apply_config:crds").add("apply_config:two", "apply_config:crds")
    assert len(units(plan)) == 3


def test_a_users_task_is_used_through_local_tasks() -> None:
    plan = PlanMaker().add("generate", own=True).add("render_config:app", "generate")
    plan.add("apply_config:app", "render_config:app").add("apply_config:other", "render_config:app")
    plan.add("render_config:unused", "generate")
    assert len(units(plan)) == 1


def test_local_tasks_lead_to_what_they_need() -> None:
    plan = PlanMaker().add("push_image:web", destination="r.example/web:1").add("pull_bundle:base", "push_image:web")
    plan.add("render_config:a", "pull_bundle:base").add("apply_config:a", "render_config:a")
    plan.add("render_config:b", "pull_bundle:base").add("apply_config:b", "render_config:b")
    assert units(plan) == {
        frozenset({"push_image:web"}),
        frozenset({"pull_bundle:base", "render_config:a", "apply_config:a"}),
        frozenset({"render_config:b", "apply_config:b"}),
    }
    assert needs(plan)["apply_config:b"] == {"push_image:web"} == needs(plan)["apply_config:a"]


def test_local_tasks_that_no_task_needs_are_in_no_job() -> None:
    plan = PlanMaker().add("pull_bundle:one").add("pull_bundle:two").add("lock_bundle:three", "pull_bundle:two")
    assert units(plan) == set()
    plan.add("apply_config:four", "lock_bundle:three")
    assert units(plan) == {frozenset({"pull_bundle:two", "lock_bundle:three", "apply_config:four"})}


def test_the_tasks_of_a_pipeline_with_a_prefix_are_known() -> None:
    plan = PlanMaker().add("infra_push_image:web", prefix="infra", destination="r.example/web:1")
    for name in ("one", "two"):
        plan.add(f"infra_lock_bundle:{name}", "infra_push_image:web", prefix="infra")
        plan.add(
            f"infra_push_bundle:{name}", f"infra_lock_bundle:{name}", prefix="infra", destination=f"r.example/{name}:1"
        )
    assert len(units(plan)) == 3
    # A user's own task of the same name is not of the pipeline.
    assert len(units(two_bundles(PlanMaker().add("push_image:web", own=True), "push_image:web"))) == 1


@pytest.mark.parametrize(
    ("name", "options", "is_together"),
    [
        ("push_image:web", {"run": ["make"], "known": False, "state": "maybe"}, True),
        ("push_image:web", {"run": ["make"]}, False),
        ("push_image:web", {"context": "web", "known": False}, False),
        ("push_image:web", {"from": "docker-daemon:web", "to": "r.example/web:1", "known": False}, True),
        ("push_image:web", {"destination": "layout.localhost/web:1 in build/registry"}, True),
        ("copy_bundle:web", {"to": "r.example/web"}, False),
        ("copy_bundle:web", {"to": "r.example/web", "lockOutput": "web.lock.yml"}, True),
        ("copy_bundle:web", {"to": "r.example/web", "known": False}, True),
        ("copy_bundle:web", {"to": "tar:web.tar"}, True),
        ("copy_bundle:web", {"to": "oci:web:1"}, True),
        ("copy_bundle:web", {"to": "docker-daemon:web"}, True),
        ("copy_bundle:web", {"to": "layout.localhost/web in build/registry"}, True),
    ],
)
def test_what_other_jobs_cannot_find_stays_with_what_needs_it(
    name: str, options: dict[str, object], is_together: bool
) -> None:
    plan = two_bundles(PlanMaker().add(name, **options), name)  # type: ignore[arg-type]
    assert (len(units(plan)) == 1) == is_together


@pytest.mark.parametrize(
    ("group", "one", "two", "is_together"),
    [
        ("copy_bundle", {"to": "r.example/all:1"}, {"to": "r.example/all:2"}, True),
        ("copy_bundle", {"to": "r.example/all"}, {"to": "r.example/other"}, False),
        ("copy_bundle", {"to": "oci:all:1"}, {"to": "oci:./all:2"}, True),
        ("copy_bundle", {"to": "docker-daemon:all:1"}, {"to": "docker-daemon:all"}, True),
        ("push_image", {"context": "all", "target": "a"}, {"context": "./all", "target": "b"}, True),
        ("push_image", {"context": "a"}, {"context": "b"}, False),
        ("push_image", {"destination": "r.example/all:1"}, {"destination": "r.example/all:2"}, False),
        ("lock_bundle", {"config": ["kbld.yml"], "known": False}, {"config": ["kbld.yml"], "known": False}, True),
        ("lock_bundle", {"config": ["kbld.yml"]}, {"config": ["kbld.yml"]}, False),
    ],
)
def test_tasks_that_would_do_work_twice_are_together(
    group: str, one: dict[str, object], two: dict[str, object], is_together: bool
) -> None:
    plan = PlanMaker().add(f"{group}:one", **one).add(f"{group}:two", **two)  # type: ignore[arg-type]
    assert (len(units(plan)) == 1) == is_together


def test_units_that_need_each_other_are_one() -> None:
    # Both copies go to one place, and a bundle between them needs the first: it is in the job too.
    plan = PlanMaker().copy("base", to="r.example/all:1").bundle("app", "copy_bundle:base")
    plan.copy("app", "push_bundle:app", to="r.example/all:2")
    two_bundles(plan, "copy_bundle:base")
    assert units(plan) == {
        frozenset({"copy_bundle:base", "lock_bundle:app", "push_bundle:app", "copy_bundle:app"}),
        frozenset({"lock_bundle:one", "push_bundle:one"}),
        frozenset({"lock_bundle:two", "push_bundle:two"}),
    }


PRODUCTION = CI(environments={"copy_bundle:*": "production", "*:local": "production", "*:other": "another"})


@pytest.mark.parametrize(
    ("plan", "one", "other", "why"),
    [
        (
            PlanMaker().add("generate", own=True).copy("app", "generate", to="r.example/app"),
            "generate (of no environment)",
            "copy_bundle:app (of the environment production)",
            "what generate makes is only in the clone of its job",
        ),
        (
            PlanMaker().copy("app", to="r.example/all:1").add("push_image:web", to="r.example/all:2"),
            "copy_bundle:app (of the environment production)",
            "push_image:web (of no environment)",
            "all with the destination r.example/all do",
        ),
        (
            two_bundles(PlanMaker().add("pull_bundle:local"), "pull_bundle:local"),
            "pull_bundle:local (of the environment production)",
            "lock_bundle:one (of no environment)",
            "what pull_bundle:local makes is only in the clone of its job",
        ),
        (
            PlanMaker().add("lock_bundle:local").add("push_bundle:a", "lock_bundle:local", destination="r.example/a:1"),
            "lock_bundle:local (of the environment production)",
            "push_bundle:a (of no environment)",
            "what lock_bundle:local makes is only in the clone of its job",
        ),
        (
            PlanMaker()
            .bundle("local", known=False)
            .add("push_bundle:a", "push_bundle:local", destination="r.example/a:1"),
            "lock_bundle:local (of the environment production)",
            "push_bundle:a (of no environment)",
            "what lock_bundle:local makes is only in the clone of its job",
        ),
        (
            PlanMaker()
            .add("pull_bundle:local")
            .add("pull_bundle:other", "pull_bundle:local")
            .add("push_image:other", "pull_bundle:other", destination="r.example/a:1")
            .add("push_bundle:other", "pull_bundle:other", destination="r.example/b:1"),
            "pull_bundle:local (of the environment production)",
            "pull_bundle:other (of the environment another)",
            "what pull_bundle:local makes is only in the clone of its job",
        ),
        (
            PlanMaker()
            .add("push_image:base", to="r.example/all:1")
            .copy("app", "push_image:base", to="r.example/app")
            .add("push_image:web", "copy_bundle:app", to="r.example/all:2"),
            "push_image:base (of no environment)",
            "copy_bundle:app (of the environment production)",
            "all with the destination r.example/all do",
        ),
    ],
)
def test_tasks_of_different_environments_cannot_be_joined(plan: PlanMaker, one: str, other: str, why: str) -> None:
    with pytest.raises(BundlepipeError) as error:
        units(plan, PRODUCTION)
    advice = ", or add generate to ci.repeat if it makes the same in every job" if "generate" in one else ""
    assert str(error.value) == (
        f"{one} and {other} have to run in one job, since {why}: give both the same environment in ci.environments"
        f"{advice}"
    )


def test_a_users_task_between_environments_may_be_repeated() -> None:
    plan = PlanMaker().add("generate", own=True).bundle("app", "generate", known=False)
    plan.copy("app", "push_bundle:app", to="r.example/app")
    with pytest.raises(BundlepipeError) as error:
        units(plan, PRODUCTION)
    assert str(error.value).endswith(
        ": give both the same environment in ci.environments, or add generate to ci.repeat if it makes the same in "
        "every job"
    )
    repeated = CI(environments=PRODUCTION.environments, repeat=["generate"])
    assert units(plan, repeated) == {
        frozenset({"generate", "lock_bundle:app", "push_bundle:app"}),
        frozenset({"copy_bundle:app"}),
    }


def test_local_tasks_have_the_environment_of_what_needs_them() -> None:
    plan = PlanMaker().add("pull_bundle:base").copy("app", "pull_bundle:base", to="r.example/app")
    plan.bundle("one", "pull_bundle:base")
    tasks = stale_tasks(plan.document, PRODUCTION, {})
    assert {
        tuple(tasks[number].name for number in unit.tasks): unit.environment for unit in units_of(tasks) if unit.tasks
    } == {("pull_bundle:base", "copy_bundle:app"): "production", ("lock_bundle:one", "push_bundle:one"): ""}


def test_a_local_task_that_many_need_and_that_needs_many_is_one_node() -> None:
    plan = PlanMaker()
    for number in range(300):
        plan.add(f"push_image:i{number}", destination=f"r.example/i{number}:1")
    plan.add("index", *(f"push_image:i{number}" for number in range(300)), own=True)
    for number in range(300):
        plan.bundle(f"b{number}", "index")
    tasks = stale_tasks(plan.document, CI(repeat=["index"]), {})
    assert sum(len(unit.needs) for unit in units_of(tasks)) == 600


def test_strongly_connected_sets_are_found_in_deep_graphs() -> None:
    edges = {number: [number + 1] for number in range(5000)} | {5000: [2], 5001: [5000, 5001]}
    assert [sorted(each) for each in strongly_connected(edges)] == [list(range(2, 5001))]


def test_set_up_tasks_come_before_those_that_need_them() -> None:
    plan = PlanMaker().add("test", "database", own=True).add("database", own=True)
    tasks = stale_tasks(plan.document, CI(), {})
    assert [task.name for task in tasks] == ["database", "test"]
    assert isinstance(tasks[0], StaleTask)
