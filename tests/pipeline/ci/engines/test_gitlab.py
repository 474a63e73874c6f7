"""The pipelines for GitLab CI: the edges of the graph, GitLab's limits, and settings as they are."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given

from bundlepipe import CI, GitLab
from bundlepipe.pipeline.ci.engines import gitlab as engine
from bundlepipe.pipeline.ci.engines.common import Place
from bundlepipe.pipeline.ci.engines.gitlab import exceeded, gitlab, gitlab_child
from bundlepipe.pipeline.ci.graph import CIGraph
from tests.support.ci import BELOW, FULL, ROOT, graph, hostile, parsed, texts

OF_PARENT = {"pipeline": "$PARENT_PIPELINE_ID", "job": "plan"}


def child(of: CIGraph, ci: CI = CI()) -> Any:  # noqa: B008  (a value that never changes)
    return parsed(gitlab_child(ci, of, ROOT))


def jobs_of(pipeline: Any) -> dict[str, Any]:
    return {name: job for name, job in pipeline.items() if name != "stages" and not name.startswith(".")}


def needed(job: Any) -> set[str]:
    return {each["job"] for each in job.get("needs", []) if "pipeline" not in each}


def has_login(job: Any) -> bool:
    return isinstance(job, dict) and FULL.login in [*job.get("before_script", ()), *job.get("script", ())]


def test_a_merge_request_only_shows_what_is_affected() -> None:
    jobs = jobs_of(parsed(gitlab(FULL, ROOT)))
    of_merge_requests = {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}
    assert [name for name, job in jobs.items() if of_merge_requests in job["rules"]] == ["affected"]
    assert jobs["affected"]["variables"] == {"GIT_DEPTH": "0"}
    is_child = '$CI_PIPELINE_SOURCE == "parent_pipeline"'
    for tags, rest in ((True, jobs), (False, parsed(gitlab(CI(), ROOT)))):
        pushes = ["$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", *(["$CI_COMMIT_TAG"] if tags else [])]
        assert rest["bundles"]["rules"] == [{"if": is_child, "when": "never"}, *({"if": push} for push in pushes)]
        for name in ("plan", "shards"):
            assert rest[name]["rules"] == [{"if": f"{is_child} && {push}"} for push in pushes]


@pytest.mark.parametrize(
    ("place", "path"),
    [
        (ROOT, "/bundles.yml"),
        (BELOW, "/apps/.ci/apps.yml"),
        (Place(path="../.gitlab-ci.yml", directory="apps"), "/.gitlab-ci.yml"),
        (Place(), "/.gitlab-ci.yml"),
        (Place(directory="apps"), "/.gitlab-ci.yml"),
        (Place(path="../elsewhere.yml"), "/.gitlab-ci.yml"),
    ],
)
def test_a_push_plans_in_a_child_pipeline_that_one_push_has_at_a_time(place: Place, path: str) -> None:
    jobs = jobs_of(parsed(gitlab(FULL, place)))
    locked = {name: job["resource_group"] for name, job in jobs.items() if "resource_group" in job}
    # What is in the child pipeline and needs the group as well would wait for ever.
    assert locked == {"bundles": f"{place.name} $CI_COMMIT_REF_NAME"}
    assert jobs["bundles"]["trigger"]["include"] == [{"local": path}]
    # The group is held until the child pipeline has ended.
    assert jobs["bundles"]["trigger"]["strategy"] == jobs["shards"]["trigger"]["strategy"] == "depend"


def test_only_jobs_that_use_registries_log_in() -> None:
    """Variables of merge requests lack what is protected: a login there fails."""
    jobs = {**parsed(gitlab(FULL, ROOT)), **child(graph(2, 1), FULL)}
    assert {name for name, job in jobs.items() if has_login(job)} == {"plan", ".shard"}
    assert jobs["plan"]["script"][0] == jobs[".shard"]["script"][0] == FULL.login


def test_the_child_pipeline_is_what_the_plan_makes() -> None:
    for place in (ROOT, BELOW):
        jobs = parsed(gitlab(FULL, place))
        trigger = jobs["shards"]["trigger"]
        (included,) = trigger["include"]
        assert included["job"] == "plan" and included["artifact"] in jobs["plan"]["artifacts"]["paths"]
        assert trigger["strategy"] == "depend"
        assert jobs["shards"]["variables"] == {"PARENT_PIPELINE_ID": "$CI_PIPELINE_ID"}
        # Commands are in the directory of the pipeline, artifacts are seen from the root.
        written = next(line for line in jobs["plan"]["script"] if "--plan" in line).split()[-1]
        assert included["artifact"] == place.from_root(written)
        changes = [f"cd {shlex.quote(place.directory)}"] if place.directory else []
        assert jobs[".bundlepipe"]["before_script"][: len(changes)] == changes


def test_jobs_have_the_edges_of_their_shards() -> None:
    of = graph(3, 2, 4, needs=2)
    jobs = child(of)
    for shard in of.shards:
        job = jobs[shard.name]
        assert job["stage"] == f"wave-{shard.wave}"
        assert OF_PARENT in job["needs"]
        assert needed(job) == set(shard.needs)
        assert not any(each["artifacts"] for each in job["needs"] if "pipeline" not in each)
        assert job["variables"] == {"SHARD": shard.name}
    assert jobs["stages"] == ["plan", "wave-1", "wave-2", "wave-3", "report"]


def test_the_report_comes_after_everything_and_has_the_plan() -> None:
    jobs = child(graph(2, 1))
    report = jobs["report"]
    assert (report["stage"], report["when"]) == (jobs["stages"][-1], "always")
    # Without needs, it has the artifacts of all earlier jobs.
    assert not {"needs", "dependencies"} & report.keys()
    assert jobs["kept-plan"]["artifacts"]["paths"][0] in report["script"][0]
    assert jobs["kept-plan"]["needs"] == [OF_PARENT]
    assert jobs[".shard"]["artifacts"]["when"] == "always"
    assert jobs[".shard"]["artifacts"]["reports"]["junit"].endswith(".xml")


def test_a_plan_without_work_has_a_job() -> None:
    jobs = jobs_of(child(CIGraph(shards=())))
    assert list(jobs) == ["nothing-to-do"]


@pytest.mark.parametrize(("count", "waits"), [(49, False), (50, True), (70, True)])
def test_a_shard_of_too_many_needs_waits_for_the_stages_before(count: int, waits: bool) -> None:
    job = child(graph(70, 1, needs=count))["2-01"]
    if waits:
        # With a need on another pipeline it would wait for no stage.
        assert "needs" not in job and job["dependencies"] == ["kept-plan"]
    else:
        assert len(job["needs"]) == engine.MOST_NEEDS and "dependencies" not in job


def test_environments_are_deployed_to_one_at_a_time() -> None:
    job = child(graph(2, 1, environment="production/eu"))["2-01"]
    assert (job["environment"], job["resource_group"]) == ({"name": "production/eu"}, "production/eu")


def test_two_thousand_bundles_are_within_the_limits_of_gitlab() -> None:
    of = graph(256, 200, 40, 8, 1, needs=60, environment="production")
    assert sum(len(shard.tasks) for shard in of.shards) > 1_000
    text = gitlab_child(FULL, of, ROOT)
    jobs = jobs_of(parsed(text))
    assert len(jobs) == len(of.shards) + 2 <= engine.MOST_JOBS
    assert max(len(job.get("needs", [])) for job in jobs.values()) <= engine.MOST_NEEDS
    assert len(text.encode()) < engine.LARGEST_FILE
    (told,) = exceeded(text)
    assert told.startswith("the child pipeline has 507 jobs; GitLab.com allows 500 in its free tier and 2000 in its")
    assert list(exceeded(gitlab_child(FULL, graph(256, 200), ROOT))) == []


def test_a_pipeline_that_is_too_large_is_told() -> None:
    told = list(exceeded(gitlab_child(CI(), graph(*[256] * 20, needs=49), ROOT)))
    assert [each.partition(";")[0].partition(" has ")[2].split()[1] for each in told] == ["jobs", "bytes"]


@given(install=texts, login=texts, value=hostile, own=hostile, image=hostile)
def test_settings_reach_jobs_as_they_are(install: str, login: str, value: str, own: str, image: str) -> None:
    ci = CI(install=install, login=login, variables={"V": value}, gitlab=GitLab(image=image, variables={"OWN": own}))
    for pipeline in (parsed(gitlab(ci, ROOT)), child(graph(1), ci)):
        template = pipeline[".bundlepipe"]
        assert template["before_script"][-1] == install
        assert next(pipeline[name]["script"][0] for name in ("plan", ".shard") if name in pipeline) == login
        assert template.get("image", "") == image
        kept = template["variables"]["V"]
        assert kept == ({"value": value, "expand": False} if "$" in value else value)
        assert template["variables"]["OWN"] == own
    assert list(jobs_of(parsed(gitlab(ci, ROOT)))) == ["affected", "plan", "shards", "bundles"]
