"""The pipelines for Buildkite: the edges of the graph, its limits, and settings as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from bundlepipe import CI, Buildkite
from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.engines.buildkite import MOST_JOBS, buildkite, buildkite_steps
from bundlepipe.pipeline.ci.graph import CIGraph
from tests.support.ci import BELOW, FULL, ROOT, graph, hostile, parsed, texts, uploaded_text

IS_PUSH = "build.pull_request.id == null && (build.branch == pipeline.default_branch)"


def steps_of(text: str) -> list[Any]:
    steps: list[Any] = parsed(text)["steps"]
    return steps


def test_pull_requests_only_show_what_is_affected() -> None:
    affected, plan, wait, report = steps_of(buildkite(FULL, ROOT))
    assert affected["if"] == "build.pull_request.id != null"
    assert "secrets" not in affected
    assert {step["if"] for step in (plan, wait, report)} == {IS_PUSH[:-1] + " || build.tag != null)"}
    assert {step["if"] for step in steps_of(buildkite(CI(), ROOT))[1:]} == {IS_PUSH}


def test_the_report_comes_after_the_uploaded_steps_whatever_became_of_them() -> None:
    _, plan, wait, report = steps_of(buildkite(FULL, ROOT))
    assert plan["command"].rstrip().splitlines()[-1].startswith("buildkite-agent pipeline upload ")
    assert wait == {"wait": "", "continue_on_failure": True, "if": plan["if"]}
    assert report["allow_dependency_failure"] is True
    # A build begins when the one before has reported.
    gates = [(step["concurrency"], step["concurrency_group"]) for step in (plan, report)]
    assert gates == [(1, "bundles/$BUILDKITE_PIPELINE_SLUG")] * 2


def test_steps_have_the_edges_of_their_shards() -> None:
    of = graph(3, 2, 4, needs=2, environment="production")
    steps = {step["env"]["SHARD"]: step for step in steps_of(buildkite_steps(FULL, of, ROOT))}
    for shard in of.shards:
        step = steps[shard.name]
        assert step["depends_on"] == ["plan", *(f"shard-{name}" for name in shard.needs)]
        assert step["key"] == f"shard-{shard.name}"
        assert step.get("concurrency_group") == ("bundlepipe/production" if shard.environment else None)
        assert step.get("concurrency") == (1 if shard.environment else None)
        assert step["secrets"] == list(FULL.secrets)


def test_a_plan_without_work_takes_no_agent() -> None:
    assert steps_of(buildkite_steps(CI(), CIGraph(shards=()), ROOT)) == [{"wait": ""}]


def test_more_steps_than_an_upload_takes_are_an_error() -> None:
    assert len(steps_of(buildkite_steps(CI(), graph(250, 250), ROOT))) == MOST_JOBS
    with pytest.raises(BundlepipeError, match="has 501 shards, and Buildkite takes 500 jobs in an upload: lower"):
        buildkite_steps(CI(), graph(250, 250, 1), ROOT)


def test_a_pipeline_below_the_root_works_in_its_directory() -> None:
    for step in (*steps_of(buildkite(CI(), BELOW)), *steps_of(buildkite_steps(CI(), graph(1), BELOW))):
        if "command" in step:
            assert "cd 'apps/a b'\n" in step["command"]


@given(install=texts, login=texts, value=hostile, own=hostile, queue=texts)
def test_settings_reach_steps_as_they_are(install: str, login: str, value: str, own: str, queue: str) -> None:
    ci = CI(
        install=install, login=login, variables={"V": value}, buildkite=Buildkite(queue=queue, variables={"O": own})
    )
    static, uploaded = buildkite(ci, ROOT), buildkite_steps(ci, graph(1), ROOT)
    for text in (static, uploaded):
        pipeline = parsed(text)
        assert uploaded_text(pipeline["env"]["V"]) == value
        assert pipeline["env"]["O"] == own
        for step in pipeline["steps"]:
            if "command" in step:
                assert f"\n{install}\n" in uploaded_text(step["command"])
                assert uploaded_text(step["agents"]["queue"]) == queue
    assert f"\n{login}\n" in uploaded_text(steps_of(uploaded)[0]["command"])
    assert (len(steps_of(static)), len(steps_of(uploaded))) == (4, 1)
