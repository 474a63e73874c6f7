"""Buildkite: a pipeline that plans and reports, and steps between the two that it makes of the plan.

What Buildkite documents (buildkite.com/docs/pipelines): an upload has at most 500 jobs, uploaded steps come right after
the one that uploads them, `$$` is a dollar sign for the upload, which replaces variables otherwise, and jobs of a
concurrency group start in the order in which their builds did. So a build whose first and last steps share a group
waits for the earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.engines.common import (
    MARKDOWN,
    MERGED,
    PLAN,
    Place,
    change_directory,
    header,
    made_of_plan,
    merge_command,
    report_of,
    setup,
    shown_in,
    title_of,
)
from bundlepipe.pipeline.ci.engines.workflow_text import InLine, Note, workflow_text
from bundlepipe.pipeline.ci.graph import CIGraph, Shard
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.records.state import CI_DIRECTORY

MOST_JOBS = 500
# Of agents that were lost, or stopped by those who run them.
_LOST = (-1, 255)
_IS_PULL_REQUEST = "build.pull_request.id != null"
_PLAN_STEP = "plan"


def buildkite(ci: CI, place: Place) -> str:
    """Return the pipeline for `.buildkite/pipeline.yml`."""
    notes = [
        "A pull request shows what it affects. A build of the default branch has the tasks done that the registries",
        "lack: step 'plan' divides them into shards, and uploads a step for each.",
    ]
    if ci.secrets:
        notes.append(f"Set as secrets of the cluster: {', '.join(ci.secrets)}.")
    return workflow_text(header("buildkite", place, *notes), _static(ci, place))


def buildkite_steps(ci: CI, graph: CIGraph, place: Place) -> str:
    """Return the steps to upload that do what a graph says; BundlepipeError if they are too many for an upload."""
    if len(graph.shards) > MOST_JOBS:
        raise BundlepipeError(
            f"the graph has {len(graph.shards)} shards, and Buildkite takes {MOST_JOBS} jobs in an upload: "
            "lower 'shards' or 'waves' of ci"
        )
    # An upload needs a step; this one takes no agent.
    steps: list[Any] = [] if graph.shards else [{"wait": ""}]
    for shard in graph.shards:
        steps += [Note(), _shard(ci, shard, place)] if steps else [_shard(ci, shard, place)]
    return workflow_text([made_of_plan("buildkite", PLAN)], {**_variables(ci), "steps": steps})


def _static(ci: CI, place: Place) -> Mapping[Any, Any]:
    is_push = "build.pull_request.id == null && (build.branch == pipeline.default_branch"
    is_push += " || build.tag != null)" if ci.git_tags else ")"
    one_at_a_time = {"concurrency": 1, "concurrency_group": f"{place.name}/$BUILDKITE_PIPELINE_SLUG"}
    return {
        **_variables(ci),
        "steps": [
            {
                "label": "what is affected",
                "if": _IS_PULL_REQUEST,
                **_settings(ci, has_secrets=False),
                "command": _script(
                    ci,
                    place,
                    'git fetch --quiet origin "$BUILDKITE_PULL_REQUEST_BASE_BRANCH"',
                    shown_in(MARKDOWN, 'bundlepipe ci plan --since "$(git merge-base HEAD FETCH_HEAD)" --markdown'),
                    f"buildkite-agent annotate --context bundlepipe < {MARKDOWN}",
                    has_secrets=False,
                ),
            },
            Note(),
            Note("Of two builds, the later plans when the earlier has reported."),
            {
                "label": "plan",
                "key": _PLAN_STEP,
                "if": is_push,
                **one_at_a_time,
                **_settings(ci),
                "command": _script(
                    ci,
                    place,
                    shown_in(MARKDOWN, f"bundlepipe ci plan --out {PLAN} --markdown"),
                    f"buildkite-agent annotate --context bundlepipe < {MARKDOWN}",
                    f"buildkite-agent artifact upload {PLAN}",
                    f"bundlepipe ci buildkite --plan {PLAN} > {CI_DIRECTORY}/steps.yml",
                    f"buildkite-agent pipeline upload {CI_DIRECTORY}/steps.yml",
                ),
            },
            Note(),
            Note("The steps of the shards come here."),
            {"wait": "", "continue_on_failure": True, "if": is_push},
            Note(),
            {
                "label": "report",
                "if": is_push,
                **one_at_a_time,
                **_settings(ci, has_secrets=False),
                "allow_dependency_failure": True,
                "command": _script(
                    ci,
                    place,
                    f"buildkite-agent artifact download {PLAN} . --step {_PLAN_STEP}",
                    f"buildkite-agent artifact download '{report_of('*')}' . || true",
                    "failed=0",
                    merge_command(report_of("*"), PLAN, MERGED) + " || failed=$?",
                    f"buildkite-agent artifact upload {MERGED[0]}",
                    f"buildkite-agent annotate --context bundlepipe-report < {MERGED[1]}",
                    "exit $failed",
                    has_secrets=False,
                ),
            },
        ],
    }


def _shard(ci: CI, shard: Shard, place: Place) -> Mapping[Any, Any]:
    alone: dict[str, Any] = {}
    if shard.environment:
        alone = {"concurrency": 1, "concurrency_group": _literal(f"bundlepipe/{shard.environment}")}
    report = report_of("$SHARD")
    return {
        "label": _literal(f"{shard.name} {title_of(shard)}"),
        "key": _key(shard.name),
        "depends_on": InLine([_PLAN_STEP, *map(_key, shard.needs)]),
        **alone,
        **_settings(ci),
        "env": {"SHARD": shard.name, "BUNDLEPIPE_REPORT": report_of(shard.name)},
        "command": _script(
            ci,
            place,
            f"buildkite-agent artifact download {PLAN} . --step {_PLAN_STEP}",
            "failed=0",
            f'bundlepipe ci run "$SHARD" --plan {PLAN} || failed=$?',
            f'test ! -e "{report}" || buildkite-agent artifact upload "{report}"',
            "exit $failed",
        ),
    }


def _key(shard: str) -> str:
    return f"shard-{shard}"


def _settings(ci: CI, *, has_secrets: bool = True) -> dict[str, Any]:
    return {
        **({"agents": {"queue": _literal(ci.buildkite.queue)}} if ci.buildkite.queue else {}),
        **({"secrets": InLine(ci.secrets)} if has_secrets and ci.secrets else {}),
        "timeout_in_minutes": ci.timeout,
        "retry": {"automatic": [{"exit_status": status, "limit": 2} for status in _LOST]},
    }


def _variables(ci: CI) -> dict[Any, Any]:
    variables = {**{name: _literal(value) for name, value in ci.variables.items()}, **ci.buildkite.variables}
    return {"env": variables, Note(): None} if variables else {}


def _script(ci: CI, place: Place, *commands: str, has_secrets: bool = True) -> str:
    begin = setup(ci) if has_secrets else [ci.install]
    lines = [*change_directory(place), f"rm -rf {CI_DIRECTORY}", f"mkdir -p {CI_DIRECTORY}", *begin, *commands]
    return _literal("\n".join(["set -eu", *lines, ""]))


def _literal(text: str) -> str:
    """Return a text in which the upload of a pipeline replaces nothing."""
    return text.replace("$", "$$")
