"""The workflow for GitHub Actions: which jobs run on which event, with which rights, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundlepipe import CI, GitHub
from bundlepipe.pipeline.ci.engines.github import github
from tests.support.ci import BELOW, FULL, ROOT, github_text, hostile, parsed, texts
from tests.support.github_runs import WorkflowRun

WORKFLOW = parsed(github(CI(waves=3), ROOT))
ALL_WAVES = ("wave-1", "wave-2", "wave-3")


def outputs(*waves: int) -> dict[str, str]:
    """Return the outputs of the job that plans so many shards for each wave."""
    found = [
        [{"shard": f"{wave}-{number:02}", "environment": "", "title": "x"} for number in range(1, count + 1)]
        for wave, count in enumerate(waves, 1)
    ]
    return {"waves": json.dumps(found), "has_work": "true" if any(waves) else "false"}


def results(event: str, planned: Mapping[str, str], failing: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the results of all jobs but those that were skipped."""
    run = WorkflowRun(WORKFLOW, {"github.event_name": event})
    return {name: result for name, result in run.run(planned, failing).items() if result != "skipped"}


@pytest.mark.parametrize("event", ["pull_request", "merge_group"])
def test_what_may_not_push_only_shows_what_is_affected(event: str) -> None:
    assert results(event, {}) == {"affected": "success"}
    job = WORKFLOW["jobs"]["affected"]
    assert job["permissions"] == {"contents": "read"}
    assert "secrets." not in json.dumps(parsed(github(FULL, ROOT))["jobs"]["affected"])


@pytest.mark.parametrize("event", ["push", "workflow_dispatch"])
def test_a_push_has_all_waves_done_that_have_shards(event: str) -> None:
    assert results(event, outputs(4, 2, 1)) == dict.fromkeys(["plan", *ALL_WAVES, "report"], "success")
    assert results(event, outputs(4, 0, 0)) == dict.fromkeys(["plan", "wave-1", "report"], "success")
    assert results(event, outputs(0, 1, 0)) == dict.fromkeys(["plan", "wave-2", "report"], "success")


def test_a_matrix_has_the_shards_of_its_wave() -> None:
    run = WorkflowRun(WORKFLOW, {"github.event_name": "push"})
    run.run(outputs(256, 3, 0))
    assert run.matrices == {"wave-1": 256, "wave-2": 3}


def test_nothing_to_do_is_no_work_for_other_jobs() -> None:
    assert results("push", outputs(0, 0, 0)) == {"plan": "success"}


def test_a_failed_wave_stops_later_ones_and_is_reported() -> None:
    failed = results("push", outputs(4, 2, 1), failing=("wave-1",))
    assert failed == {"plan": "success", "wave-1": "failure", "report": "success"}
    # Across a wave that was skipped.
    failed = results("push", outputs(4, 0, 1), failing=("wave-1",))
    assert failed == {"plan": "success", "wave-1": "failure", "report": "success"}


def test_a_plan_that_fails_stops_everything() -> None:
    assert results("push", outputs(4), failing=("plan",)) == {"plan": "failure"}


def steps(workflow: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, job in workflow["jobs"].items():
        yield from ((name, step) for step in job["steps"])


def test_only_jobs_that_use_registries_have_secrets_and_rights() -> None:
    workflow = parsed(github(FULL, ROOT))
    assert workflow["permissions"] == {}
    with_secrets = {name for name, step in steps(workflow) if "secrets." in json.dumps(step)}
    assert with_secrets == {"plan", *ALL_WAVES}
    rights = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert rights["affected"] == rights["report"] == {"contents": "read"}
    assert rights["plan"] == {"contents": "read", "packages": "read", "id-token": "write"}
    assert rights["wave-2"] == {"contents": "read", "packages": "write", "id-token": "write"}


def test_commands_have_no_expressions_and_checkouts_keep_no_credentials() -> None:
    for _, step in steps(parsed(github(FULL, BELOW))):
        assert "${{" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        if "uses" in step:
            assert len(step["uses"].partition("@")[2]) == 40


def test_the_history_is_as_deep_as_a_comparison_needs() -> None:
    def depth(name: str, ci: CI) -> Any:
        job = parsed(github(ci, ROOT))["jobs"][name]
        return job["steps"][0]["with"].get("fetch-depth")

    assert depth("affected", CI()) == "${{ github.event_name == 'merge_group' && '0' || '2' }}"
    assert depth("affected", CI(depth=50)) == "${{ github.event_name == 'merge_group' && '0' || '50' }}"
    assert depth("affected", CI(depth=0)) == "${{ github.event_name == 'merge_group' && '0' || '0' }}"
    assert (depth("plan", CI()), depth("wave-1", CI(depth=50)), depth("plan", CI(depth=0))) == (None, 50, 0)


def test_a_pipeline_below_the_root_works_in_its_directory() -> None:
    workflow = parsed(github(CI(), BELOW))
    assert workflow["defaults"] == {"run": {"shell": "bash", "working-directory": "apps/a b"}}
    assert workflow["name"] == "apps"


def test_the_events_are_those_of_the_settings() -> None:
    assert WORKFLOW["on"]["push"] == {"branches": ["main"]}
    push = parsed(github(CI(git_tags=True, github=GitHub(branch="release/*")), ROOT))["on"]["push"]
    assert push == {"branches": ["release/*"], "tags": ["**"]}


@given(install=texts, login=texts, value=hostile, label=texts, own=hostile)
@example(install="0", login="0", value="", label="0", own="0\n\n")
@example(install="0", login="0", value="\n", label="0", own="\n")
def test_settings_reach_commands_as_they_are(install: str, login: str, value: str, label: str, own: str) -> None:
    ci = CI(
        waves=1,
        install=install,
        login=login,
        variables={"V": value},
        github=GitHub(runs_on=[label, "x"], variables={"OWN": own}),
    )
    workflow = parsed(github(ci, ROOT))
    assert github_text(workflow["env"]["V"]) == value
    assert workflow["env"]["OWN"] == own
    job = workflow["jobs"]["wave-1"]
    by_name = {step.get("name"): step for step in job["steps"]}
    assert github_text(by_name["Install bundlepipe"]["run"]) == install
    assert github_text(by_name["Log in"]["run"]) == login
    assert [github_text(each) for each in job["runs-on"]] == [label, "x"]
    assert list(workflow["jobs"]) == ["affected", "plan", "wave-1", "report"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_what_is_quoted_for_github_is_the_text(text: str) -> None:
    from bundlepipe.pipeline.ci.engines.github import _literal

    assert github_text(_literal(text)) == text
