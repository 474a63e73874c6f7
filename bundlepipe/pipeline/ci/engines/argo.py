"""Argo Workflows: a workflow that plans, does each wave as a loop over its shards, and reports.

As Argo Workflows documents (argo-workflows.readthedocs.io: loops, enhanced-depends-logic, key-only-artifacts,
synchronization): a loop over an empty list is skipped, a task may depend on another one's being skipped, artifacts by
key alone are kept in the cluster's artifact repository, where a key may also name all that begin with it, and whatever
is between `{{` and `}}` is replaced, without a way to quote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.engines.common import (
    MERGED,
    PLAN,
    Place,
    header,
    merge_command,
    report_of,
    setup,
)
from bundlepipe.pipeline.ci.engines.workflow_text import InLine, Note, workflow_text
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.records.state import CI_DIRECTORY

_SOURCE = "/src"
_PLAN_IN_SHARDS = "/tmp/plan.json"
_OUTPUTS = "/tmp/outputs"
_REPORTS = "/tmp/reports"
# What the kubelet would replace in arguments and variables, or take for a quoted dollar sign.
_DOLLAR = re.compile(r"\$(?=[$(])")
_STATES = ("Succeeded", "Skipped", "Failed", "Errored", "Omitted")


def argo(ci: CI, place: Place) -> str:
    """Return the Workflow; BundlepipeError for settings that Argo would replace parts of."""
    _refuse_expressions(ci, place)
    notes = [
        "For argo submit, or kubectl create -f. Task 'plan' divides what the registries lack into shards; each shard",
        "of a wave is a pod. With the parameter base, a revision, it only shows what differs from it.",
        "Plans and reports are kept in the cluster's artifact repository.",
    ]
    if ci.secrets:
        notes.append(f"The Secret {ci.argo.secret} has the keys {', '.join(ci.secrets)}.")
    return workflow_text(header("argo", place, *notes), _workflow(ci, place))


def _refuse_expressions(ci: CI, place: Place) -> None:
    settings = {
        "install": ci.install,
        "login": ci.login or "",
        **{f"variables.{name}": value for name, value in ci.variables.items()},
        **{f"environments.{name}": value for name, value in ci.environments.items()},
        "the directory of the pipeline": place.directory,
    }
    for name, value in settings.items():
        if "{{" in value:
            raise BundlepipeError(
                f"ci: {name}: Argo Workflows replaces what is in {{{{ and }}}}, and has no way to quote it: "
                "write it otherwise, or set it in argo.variables"
            )


def _workflow(ci: CI, place: Place) -> Mapping[Any, Any]:
    spec: dict[Any, Any] = {
        "entrypoint": "bundles",
        **({"serviceAccountName": ci.argo.service_account} if ci.argo.service_account else {}),
        "arguments": {"parameters": _parameters(ci)},
        Note("One workflow at a time: two would do the same work twice."): None,
        "synchronization": {"mutexes": [{"name": _name(place)}]},
        "templates": [
            {"name": "bundles", "dag": {"failFast": False, "tasks": _tasks(ci)}},
            Note(),
            _plan(ci, place),
            Note(),
            _shard(ci, place, "shard"),
            Note(),
            *([_shard(ci, place, "shard-in-environment"), Note()] if ci.environments else []),
            _report(ci, place),
        ],
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{_name(place)}-"},
        "spec": spec,
    }


def _name(place: Place) -> str:
    """Return the name of the workflow as Kubernetes takes it."""
    return re.sub("[^a-z0-9]+", "-", place.name.lower())[:50].strip("-") or "bundles"


def _parameters(ci: CI) -> list[Mapping[str, Any]]:
    repository = {"value": ci.argo.repository} if ci.argo.repository else {}
    return [
        {"name": "repository", **repository},
        {"name": "revision", "value": ci.argo.revision},
        {"name": "base", "value": ""},
    ]


def _tasks(ci: CI) -> list[Any]:
    tasks: list[Any] = [{"name": "plan", "template": "plan"}]
    before = ["plan"]
    for number in range(1, ci.waves + 1):
        wave = [_wave(number, before, "shard", "== ''" if ci.environments else "")]
        if ci.environments:
            wave.append(_wave(number, before, "shard-in-environment", "!= ''"))
        tasks += wave
        before = [task["name"] for task in wave]
    ended = " && ".join(f"({' || '.join(f'{name}.{state}' for state in _STATES)})" for name in before)
    report = {
        "name": "report",
        "template": "report",
        "depends": f"plan.Succeeded && {ended}",
        "when": "'{{tasks.plan.outputs.parameters.has-work}}' == 'true'",
        "arguments": {"parameters": [_commit()]},
    }
    return [*tasks, Note("Whatever became of the waves."), report]


def _wave(number: int, before: Sequence[str], template: str, condition: str) -> dict[str, Any]:
    name = f"wave-{number}" if template == "shard" else f"wave-{number}-in-environment"
    earlier = [f"({each}.Succeeded || {each}.Skipped)" for each in before if each != "plan"]
    parameters = [{"name": "shard", "value": "{{item.shard}}"}, _commit()]
    if template != "shard":
        parameters.append({"name": "environment", "value": "{{item.environment}}"})
    return {
        "name": name,
        "template": template,
        "depends": " && ".join(["plan.Succeeded", *earlier]),
        "withParam": f"{{{{tasks.plan.outputs.parameters.wave-{number}}}}}",
        **({"when": f"'{{{{item.environment}}}}' {condition}"} if condition else {}),
        "arguments": {"parameters": parameters},
    }


def _commit() -> Mapping[str, str]:
    """Return the commit that was planned: the revision may be another one by now."""
    return {"name": "commit", "value": "{{tasks.plan.outputs.parameters.commit}}"}


def _plan(ci: CI, place: Place) -> Mapping[Any, Any]:
    waves = [f"wave-{number}" for number in range(1, ci.waves + 1)]
    empty = [f"echo '[]' > {_OUTPUTS}/{wave}" for wave in waves]
    return {
        "name": "plan",
        **_limits(ci),
        "inputs": {"artifacts": [_checkout(ci, "{{workflow.parameters.revision}}")]},
        "outputs": {
            "parameters": [
                _output("commit", "commit"),
                _output("has-work", "has_work"),
                *(_output(wave, wave) for wave in waves),
            ],
            "artifacts": [_artifact(ci, "plan", f"{_directory(place)}/{PLAN}", "plan.json", optional=True)],
        },
        "container": _container(
            ci,
            place,
            f"mkdir -p {_OUTPUTS}",
            f"git rev-parse HEAD > {_OUTPUTS}/commit",
            'if [ -n "$BASE" ]; then',
            '  bundlepipe ci plan --since "$BASE"',
            f"  echo false > {_OUTPUTS}/has_work",
            *(f"  {line}" for line in empty),
            "else",
            f"  bundlepipe ci plan --out {PLAN} --waves {ci.waves} --outputs {_OUTPUTS}",
            "fi",
            variables={"BASE": "{{workflow.parameters.base}}"},
        ),
    }


def _shard(ci: CI, place: Place, name: str) -> Mapping[Any, Any]:
    is_in_environment = name != "shard"
    parameters = ["shard", "commit", *(["environment"] if is_in_environment else [])]
    lock = {"mutexes": [{"name": "{{inputs.parameters.environment}}"}]}
    report = report_of("{{inputs.parameters.shard}}")
    return {
        "name": name,
        **_limits(ci),
        **({"synchronization": lock} if is_in_environment else {}),
        "inputs": {
            "parameters": [{"name": each} for each in parameters],
            "artifacts": [
                _checkout(ci, "{{inputs.parameters.commit}}"),
                _artifact(ci, "plan", f"{_PLAN_IN_SHARDS}", "plan.json"),
            ],
        },
        "outputs": {
            "artifacts": [
                _artifact(
                    ci,
                    "report",
                    f"{_directory(place)}/{report}",
                    "reports/report-{{inputs.parameters.shard}}.json",
                    optional=True,
                )
            ]
        },
        "container": _container(
            ci,
            place,
            f'bundlepipe ci run "$SHARD" --plan {_PLAN_IN_SHARDS}',
            variables={"SHARD": "{{inputs.parameters.shard}}", "BUNDLEPIPE_REPORT": report},
        ),
    }


def _report(ci: CI, place: Place) -> Mapping[Any, Any]:
    return {
        "name": "report",
        **_limits(ci),
        "inputs": {
            "parameters": [{"name": "commit"}],
            "artifacts": [
                _checkout(ci, "{{inputs.parameters.commit}}"),
                _artifact(ci, "plan", f"{_PLAN_IN_SHARDS}", "plan.json"),
                _artifact(ci, "reports", _REPORTS, "reports", optional=True),
            ],
        },
        "outputs": {
            "artifacts": [_artifact(ci, "report", f"{_directory(place)}/{MERGED[0]}", "report.html", optional=True)]
        },
        "container": _container(
            ci,
            place,
            merge_command(f"{_REPORTS}/report-*.json", f"{_PLAN_IN_SHARDS}", MERGED),
            has_secrets=False,
        ),
    }


def _limits(ci: CI) -> Mapping[str, Any]:
    return {
        "activeDeadlineSeconds": 60 * ci.timeout,
        # Of pods that were evicted or lost, not of failed tasks.
        "retryStrategy": {"limit": 2, "retryPolicy": "OnError"},
    }


def _checkout(ci: CI, revision: str) -> Mapping[str, Any]:
    git: dict[str, Any] = {"repo": "{{workflow.parameters.repository}}", "revision": revision}
    if ci.argo.git_secret:
        for key in ("username", "password"):
            git[f"{key}Secret"] = {"name": ci.argo.git_secret, "key": key}
    return {"name": "source", "path": _SOURCE, "git": git}


def _artifact(ci: CI, name: str, path: str, key: str, *, optional: bool = False) -> Mapping[str, Any]:
    return {
        "name": name,
        "path": path,
        **({"optional": True} if optional else {}),
        "archive": {"none": {}},
        ci.argo.artifacts: {"key": f"{{{{workflow.name}}}}/{key}"},
    }


def _output(name: str, file: str) -> Mapping[str, Any]:
    return {"name": name, "valueFrom": {"path": f"{_OUTPUTS}/{file}"}}


def _directory(place: Place) -> str:
    return f"{_SOURCE}/{place.directory}".rstrip("/")


def _literal(text: str) -> str:
    """Return a text in which the kubelet replaces nothing."""
    return _DOLLAR.sub("$$", text)


def _container(
    ci: CI, place: Place, *commands: str, variables: Mapping[str, str] | None = None, has_secrets: bool = True
) -> Mapping[str, Any]:
    secrets = ci.secrets if has_secrets else ()
    begin = setup(ci) if has_secrets else [ci.install]
    # The checkout belongs to another user than the one who runs git.
    trusts = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": _SOURCE}
    literal = {name: _literal(value) for name, value in ci.variables.items()}
    plain = {**literal, **ci.argo.variables, **trusts, **(variables or {})}
    return {
        "image": ci.argo.image,
        "workingDir": _directory(place),
        "command": InLine(["sh", "-ec"]),
        "args": [_literal("\n".join([f"mkdir -p {CI_DIRECTORY}", *begin, *commands, ""]))],
        "env": [
            *({"name": name, "value": value} for name, value in plain.items()),
            *({"name": name, "valueFrom": {"secretKeyRef": {"name": ci.argo.secret, "key": name}}} for name in secrets),
        ],
        "resources": {"requests": {"cpu": ci.argo.cpu, "memory": ci.argo.memory}},
    }
