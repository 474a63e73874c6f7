"""GitLab CI: a pipeline that waits for its turn, its child that plans, and the child of that, made of the plan.

Of overlapping pushes, the later must plan when the earlier has pushed. A resource group is held by a trigger job until
the child pipeline ends (docs.gitlab.com/ci/resource_groups), so the job that plans is in that child, from the same
file; two jobs of one pipeline would each take the group by itself. No job of a child pipeline is in the group of its
parent, which would be a deadlock, and there are two levels of child pipelines, as many as GitLab allows.

What GitLab documents (docs.gitlab.com/administration/instance_limits, /user/gitlab_com, /ci/yaml): a job has at most
50 `needs`, a pipeline on GitLab.com 500 jobs in the free tier and 2,000 in the largest, a file with configuration 1 MB
by default, and the archive with the file that a child pipeline is made of 5 MB. A job with `needs` on another pipeline
waits for no stage, so what has too many of them takes its plan from a job of the child pipeline.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from bundlepipe.pipeline.ci.engines.common import (
    MARKDOWN,
    MERGED,
    PLAN,
    Place,
    change_directory,
    header,
    login,
    made_of_plan,
    merge_command,
    report_of,
    shown_in,
    title_of,
)
from bundlepipe.pipeline.ci.engines.workflow_text import InLine, Note, workflow_text
from bundlepipe.pipeline.ci.graph import CIGraph, Shard
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.records.state import CI_DIRECTORY

MOST_NEEDS = 50
MOST_JOBS = 2_000
MOST_JOBS_IN_FREE_TIER = 500
LARGEST_FILE = 1_000_000

CHILD = f"{CI_DIRECTORY}/child.yml"
_TEMPLATE = ".bundlepipe"
_PARENT = "PARENT_PIPELINE_ID"
# With merged results, and in a merge train, the branch that the merge request is merged into.
_BASE = "${CI_MERGE_REQUEST_TARGET_BRANCH_SHA:-$CI_MERGE_REQUEST_DIFF_BASE_SHA}"
_IS_CHILD = '$CI_PIPELINE_SOURCE == "parent_pipeline"'
_MERGE_REQUEST = '$CI_PIPELINE_SOURCE == "merge_request_event"'
# Nothing of the tasks: a job that a lost runner took with it does again only what is missing.
_OF_RUNNERS = ("runner_system_failure", "stuck_or_timeout_failure", "scheduler_failure", "data_integrity_failure")
# Jobs besides those of the shards.
_PLAN_JOB, _KEPT_PLAN_JOB, _REPORT_JOB, _IDLE_JOB = "plan", "kept-plan", "report", "nothing-to-do"


def gitlab(ci: CI, place: Place) -> str:
    """Return the pipeline for `.gitlab-ci.yml`, or for a file that it includes."""
    notes = [
        "A merge request shows what it affects. A push to the default branch has the tasks done that the registries",
        "lack: its child pipeline, of this file as well, has job 'plan', which divides them into shards, and job",
        "'shards', whose child pipeline has a job for each.",
    ]
    if ci.secrets:
        notes.append(f"Set in GitLab, masked and protected: {', '.join(ci.secrets)}.")
    return workflow_text(header("gitlab", place, *notes), _parent(ci, place))


def gitlab_child(ci: CI, graph: CIGraph, place: Place) -> str:
    """Return the child pipeline that does what a graph says; one of no shards has a job that does nothing."""
    return workflow_text([made_of_plan("gitlab", PLAN)], _child(ci, graph, place))


def _parent(ci: CI, place: Place) -> Mapping[Any, Any]:
    pushes = ["$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", *(["$CI_COMMIT_TAG"] if ci.git_tags else [])]
    in_turn = [{"if": f"{_IS_CHILD} && {push}"} for push in pushes]
    return {
        "stages": InLine(["plan", "run"]),
        Note(): None,
        _TEMPLATE: _template(ci, place),
        Note(): None,
        "affected": {
            "extends": _TEMPLATE,
            "stage": "plan",
            "rules": [{"if": _MERGE_REQUEST}],
            Note("The revision to compare with may be any number of commits ago."): None,
            "variables": {"GIT_DEPTH": "0"},
            "interruptible": True,
            "script": [
                shown_in(MARKDOWN, f'bundlepipe ci plan --since "{_BASE}" --markdown'),
                f"cat {MARKDOWN}",
            ],
            "artifacts": {"expose_as": "What the bundles change", "paths": [place.from_root(MARKDOWN)]},
        },
        Note(): None,
        _PLAN_JOB: {
            "extends": _TEMPLATE,
            "stage": "plan",
            "rules": in_turn,
            "script": [
                *login(ci),
                shown_in(MARKDOWN, f"bundlepipe ci plan --out {PLAN} --markdown"),
                f"cat {MARKDOWN}",
                f"bundlepipe ci gitlab --plan {PLAN} -o {CHILD}",
            ],
            "artifacts": {"paths": [place.from_root(each) for each in (PLAN, MARKDOWN, CHILD)]},
        },
        Note(): None,
        "shards": {
            "stage": "run",
            "needs": InLine([_PLAN_JOB]),
            "rules": in_turn,
            "inherit": {"variables": False},
            "variables": {_PARENT: "$CI_PIPELINE_ID"},
            "trigger": _trigger({"artifact": place.from_root(CHILD), "job": _PLAN_JOB}),
        },
        Note(): None,
        "bundles": {
            "stage": "run",
            "rules": [{"if": _IS_CHILD, "when": "never"}, *({"if": push} for push in pushes)],
            Note("Of two pushes, the later plans when the earlier is done."): None,
            "resource_group": f"{place.name} $CI_COMMIT_REF_NAME",
            "inherit": {"variables": False},
            "trigger": _trigger({"local": f"/{_own_path(place)}"}),
        },
    }


def _trigger(included: Mapping[str, str]) -> Mapping[str, Any]:
    return {"include": [included], "strategy": "depend", "forward": {"pipeline_variables": True}}


def _own_path(place: Place) -> str:
    """Return the path of the file itself, from the root of the repository: where GitLab looks unless it is known."""
    path = posixpath.normpath(place.from_root(place.path or ""))
    return path if place.path and not path.startswith("../") else ".gitlab-ci.yml"


def _child(ci: CI, graph: CIGraph, place: Place) -> Mapping[Any, Any]:
    if not graph.shards:
        idle = {"stage": "test", **_runner(ci), "variables": {"GIT_STRATEGY": "none"}}
        return {_IDLE_JOB: {**idle, "script": ["echo 'All tasks are up to date.'"]}}
    waves = [f"wave-{shards[0].wave}" for shards in graph.waves]
    jobs: dict[Any, Any] = {}
    for shard in graph.shards:
        jobs |= {Note(): None, Note(title_of(shard)): None, shard.name: _shard(shard)}
    return {
        "stages": InLine([_PLAN_JOB, *waves, _REPORT_JOB]),
        Note(): None,
        _TEMPLATE: _template(ci, place),
        Note(): None,
        ".shard": _shards(ci, place),
        Note(): None,
        Note("Jobs of this pipeline that wait for stages take the plan from here."): None,
        _KEPT_PLAN_JOB: {
            "stage": _PLAN_JOB,
            **_runner(ci),
            "needs": [_plan_of_parent()],
            "variables": {"GIT_STRATEGY": "none"},
            "script": ["echo 'The plan is an artifact of this job.'"],
            "artifacts": {"paths": [place.from_root(PLAN)]},
        },
        **jobs,
        Note(): None,
        _REPORT_JOB: {
            "extends": _TEMPLATE,
            "stage": _REPORT_JOB,
            "when": "always",
            "script": [merge_command(report_of("*"), PLAN, MERGED)],
            "artifacts": {"when": "always", "paths": [place.from_root(each) for each in MERGED]},
        },
    }


def _template(ci: CI, place: Place) -> Mapping[Any, Any]:
    # The checkout may belong to another user than that of the image.
    trusts = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "$CI_PROJECT_DIR"}
    variables = {"GIT_DEPTH": str(ci.depth), **trusts, **_variables(ci)}
    change = change_directory(place)
    return {
        **_runner(ci),
        "timeout": f"{ci.timeout} minutes",
        "retry": {"max": 2, "when": InLine(_OF_RUNNERS)},
        "variables": variables,
        "before_script": [*change, f"mkdir -p {CI_DIRECTORY}", ci.install],
    }


def _runner(ci: CI) -> dict[str, Any]:
    image = {"image": ci.gitlab.image} if ci.gitlab.image else {}
    return {**image, **({"tags": InLine(ci.gitlab.tags)} if ci.gitlab.tags else {})}


def _variables(ci: CI) -> dict[str, Any]:
    as_they_are = {
        name: {"value": value, "expand": False} if "$" in value else value for name, value in ci.variables.items()
    }
    return {**as_they_are, **ci.gitlab.variables}


def _shards(ci: CI, place: Place) -> Mapping[Any, Any]:
    reports = [report_of("$SHARD"), report_of("$SHARD", "xml")]
    return {
        "extends": _TEMPLATE,
        "script": [
            *login(ci),
            f'BUNDLEPIPE_REPORT="{",".join(reports)}" bundlepipe ci run "$SHARD" --plan {PLAN}',
        ],
        "artifacts": {
            "when": "always",
            "paths": [place.from_root(reports[0])],
            "reports": {"junit": place.from_root(reports[1])},
        },
    }


def _shard(shard: Shard) -> Mapping[Any, Any]:
    job: dict[Any, Any] = {"extends": ".shard", "stage": f"wave-{shard.wave}", "variables": {"SHARD": shard.name}}
    # One is for the plan.
    if len(shard.needs) < MOST_NEEDS:
        job["needs"] = [_plan_of_parent(), *({"job": name, "artifacts": False} for name in shard.needs)]
    else:
        job |= {Note("It needs more jobs than GitLab allows, so it waits for all earlier stages."): None}
        job["dependencies"] = InLine([_KEPT_PLAN_JOB])
    if shard.environment:
        job |= {"environment": {"name": shard.environment}, "resource_group": shard.environment}
    return job


def _plan_of_parent() -> Mapping[str, Any]:
    return {"pipeline": f"${_PARENT}", "job": _PLAN_JOB}


def exceeded(text: str) -> Iterator[str]:
    """Yield what of a child pipeline exceeds limits of GitLab, which administrators can raise."""
    jobs = text.count("\n  extends: .shard\n") + 2
    if jobs > MOST_JOBS_IN_FREE_TIER:
        yield (
            f"the child pipeline has {jobs} jobs; GitLab.com allows {MOST_JOBS_IN_FREE_TIER} in its free tier and "
            f"{MOST_JOBS} in its largest: lower 'shards' or 'waves' of ci"
        )
    if (size := len(text.encode())) > LARGEST_FILE:
        yield f"the child pipeline has {size} bytes; GitLab allows {LARGEST_FILE} by default: lower 'shards' of ci"
