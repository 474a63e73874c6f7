"""GitHub Actions: one workflow for all graphs, whose jobs come from the plan as a matrix for each wave.

What GitHub documents: a matrix has at most 256 jobs, and outputs of a job at most 1 MB
(docs.github.com/en/actions/reference/limits). Conditions of jobs are read before their matrix, so an empty wave has
none. Secrets and settings reach commands by variables alone, never as a part of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bundlepipe.documents.yaml.writer import Plain
from bundlepipe.pipeline.ci.engines.common import Place, header, merge_command
from bundlepipe.pipeline.ci.engines.workflow_text import NOTHING, InLine, Note, workflow_text
from bundlepipe.pipeline.declared.ci import CI

_CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"
_SETUP_PYTHON = "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"
_UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"
_DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"

# In the shell, and in expressions: outside of the checkout, where no task packs it.
_FILES = "$RUNNER_TEMP/bundlepipe"
_FILES_IN_EXPRESSIONS = "${{ runner.temp }}/bundlepipe"
# In the log, as the summary of the job, and in a file; the shell's pipefail keeps a failure.
_SHOWN = f'tee -a "$GITHUB_STEP_SUMMARY" "{_FILES}/plan.md"'
_PLAN_ARTIFACT = "bundlepipe-plan"
_REPORT_ARTIFACT = "bundlepipe-report"
_ONLY_LOOKS = "github.event_name == 'pull_request' || github.event_name == 'merge_group'"
_HAS_WORK = "needs.plan.outputs.has_work == 'true'"
# Their write access is all there is, or has no weaker form.
_WITHOUT_READ = ("id-token",)


def github(ci: CI, place: Place) -> str:
    """Return the workflow for `.github/workflows`."""
    notes = (
        "A pull request shows what it affects, without secrets. A push has the tasks done that the registries lack:",
        "job 'plan' divides them into shards, and each shard of a wave is a job.",
    )
    return workflow_text(header("github", place, *notes), _workflow(ci, place))


def _workflow(ci: CI, place: Place) -> Mapping[Any, Any]:
    waves = [f"wave-{number}" for number in range(1, ci.waves + 1)]
    push: dict[str, Any] = {"branches": InLine([ci.github.branch])}
    if ci.git_tags:
        push["tags"] = InLine(["**"])
    workflow: dict[Any, Any] = {
        "name": place.name,
        Note(): None,
        Plain("on"): {"push": push, **dict.fromkeys(("pull_request", "merge_group", "workflow_dispatch"), NOTHING)},
        Note(): None,
        Note("Each job names the rights that it needs."): None,
        "permissions": {},
        Note(): None,
        Note("A push waits for the one before; a new commit of a pull request replaces the last one."): None,
        "concurrency": {
            "group": "${{ github.workflow }}-${{ github.event.pull_request.number || github.ref }}",
            "cancel-in-progress": "${{ github.event_name == 'pull_request' }}",
        },
    }
    if variables := _variables(ci):
        workflow |= {Note(): None, "env": variables}
    directory = {"working-directory": _literal(place.directory)} if place.directory else {}
    workflow |= {Note(): None, "defaults": {"run": {"shell": "bash", **directory}}}
    jobs: dict[Any, Any] = {"affected": _affected(ci), Note(): None, "plan": _plan(ci)}
    for number, wave in enumerate(waves):
        jobs |= {Note(): None, wave: _wave(ci, number, waves[:number])}
    jobs |= {Note(): None, "report": _report(ci, waves)}
    return workflow | {Note(): None, "jobs": jobs}


def _variables(ci: CI) -> dict[str, str]:
    return {**{name: _literal(value) for name, value in ci.variables.items()}, **ci.github.variables}


def _literal(text: str) -> str:
    """Return a text in which GitHub finds no expression."""
    return text.replace("${{", "$${{ '{{' }}")


def _affected(ci: CI) -> Mapping[Any, Any]:
    two = ci.depth and max(ci.depth, 2)
    checkout = _checkout(f"${{{{ github.event_name == 'merge_group' && '0' || '{two}' }}}}")
    return {
        **_job(ci, "what is affected", f"${{{{ {_ONLY_LOOKS} }}}}", {}),
        "steps": [
            Note("A pull request is checked out as it would be merged: its first parent is the branch. A merge queue"),
            Note("may have any number of commits since."),
            checkout,
            *_install(ci, has_secrets=False),
            {
                "name": "Show what differs, by the files alone",
                "env": {"BASE": "${{ github.event.merge_group.base_sha || 'HEAD^1' }}"},
                "run": f'mkdir -p "{_FILES}"\nbundlepipe ci plan --since "$BASE" --markdown | {_SHOWN}\n',
            },
            Note("For a workflow that comments on the pull request: this one has no right to."),
            _upload("bundlepipe-affected", "plan.md", {}),
        ],
    }


def _plan(ci: CI) -> Mapping[Any, Any]:
    permissions = {name: right if name in _WITHOUT_READ else "read" for name, right in ci.github.permissions.items()}
    return {
        **_job(ci, "plan", f"${{{{ !({_ONLY_LOOKS}) }}}}", permissions),
        "outputs": {
            "waves": "${{ steps.plan.outputs.waves }}",
            "has_work": "${{ steps.plan.outputs.has_work }}",
        },
        "steps": [
            _checkout(str(ci.depth)),
            *_install(ci),
            {
                "name": "Plan, and divide the tasks into shards",
                "id": "plan",
                **_env(_secrets(ci)),
                "run": f'mkdir -p "{_FILES}"\n'
                f'bundlepipe ci plan --out "{_FILES}/plan.json" --waves {ci.waves} --outputs "$GITHUB_OUTPUT" '
                f"--markdown | {_SHOWN}\n",
            },
            _upload(_PLAN_ARTIFACT, "", {"if-no-files-found": "error", "overwrite": True}),
        ],
    }


def _wave(ci: CI, number: int, earlier: Sequence[str]) -> Mapping[Any, Any]:
    shards = f"fromJSON(needs.plan.outputs.waves)[{number}]"
    # An empty wave is skipped, and skips no later one; a failure stops all that follow.
    condition = f"${{{{ !cancelled() && !failure() && {_HAS_WORK} && {shards}[0].shard != '' }}}}"
    # Without a name of its own, it has that of its wave, and if it is not skipped those of its shard and tasks.
    job = _job(ci, "", condition, ci.github.permissions, ["plan", *earlier])
    return {
        **job,
        "environment": "${{ matrix.environment }}",
        "strategy": {"fail-fast": False, "matrix": {"include": f"${{{{ {shards} }}}}"}},
        "steps": [
            _checkout(str(ci.depth)),
            *_install(ci),
            _download(_PLAN_ARTIFACT),
            {
                "name": "Do the tasks of the shard",
                "env": {
                    "SHARD": "${{ matrix.shard }}",
                    "BUNDLEPIPE_REPORT": f"{_FILES_IN_EXPRESSIONS}/report-${{{{ matrix.shard }}}}.json",
                    **_secrets(ci),
                },
                "run": f'bundlepipe ci run "$SHARD" --plan "{_FILES}/plan.json"',
            },
            _upload(
                f"{_REPORT_ARTIFACT}-${{{{ matrix.shard }}}}",
                "report-${{ matrix.shard }}.json",
                {"if-no-files-found": "ignore", "overwrite": True},
                always=True,
            ),
        ],
    }


def _report(ci: CI, waves: Sequence[str]) -> Mapping[Any, Any]:
    # It also becomes the summary of the job.
    merge = merge_command(f'"{_FILES}"/report-*.json', f'"{_FILES}/plan.json"', [f'"{_FILES}/report.html"'])
    return {
        **_job(ci, "report", f"${{{{ always() && {_HAS_WORK} }}}}", {}, ["plan", *waves]),
        "steps": [
            _checkout(str(ci.depth)),
            *_install(ci, has_secrets=False),
            _download(_PLAN_ARTIFACT),
            _download(f"{_REPORT_ARTIFACT}-*"),
            {"name": "Merge the reports, and fail if a task failed", "run": f"{merge}\n"},
            _upload(_REPORT_ARTIFACT, "report.html", {"overwrite": True}, always=True),
        ],
    }


def _job(
    ci: CI, name: str, condition: str, permissions: Mapping[str, str], needs: Sequence[str] = ()
) -> dict[Any, Any]:
    labels = [_literal(label) for label in ci.github.runs_on]
    return {
        **({"name": name} if name else {}),
        **({"needs": InLine(needs)} if needs else {}),
        "if": condition,
        "runs-on": labels[0] if len(labels) == 1 else InLine(labels),
        "timeout-minutes": ci.timeout,
        "permissions": {"contents": "read", **{name: _explained(right) for name, right in permissions.items()}},
    }


def _explained(right: str) -> Plain:
    return Plain(f"{right} # ci.github.permissions")


def _checkout(depth: str) -> Mapping[Any, Any]:
    options = {"persist-credentials": False, **({} if depth == "1" else {"fetch-depth": _number(depth)})}
    return {"uses": _pinned(_CHECKOUT), "with": options}


def _number(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def _install(ci: CI, *, has_secrets: bool = True) -> Iterator[Mapping[Any, Any]]:
    if ci.github.python:
        yield {"uses": _pinned(_SETUP_PYTHON), "with": {"python-version": _literal(ci.github.python)}}
    yield {"name": "Install bundlepipe", "run": _literal(ci.install)}
    if has_secrets and ci.login:
        yield {"name": "Log in", **_env(_secrets(ci)), "run": _literal(ci.login)}


def _secrets(ci: CI) -> dict[str, str]:
    return {name: f"${{{{ secrets.{name} }}}}" for name in ci.secrets}


def _env(variables: Mapping[str, str]) -> dict[str, Any]:
    return {"env": variables} if variables else {}


def _upload(name: str, path: str, options: Mapping[str, Any], *, always: bool = False) -> Mapping[Any, Any]:
    place = f"{_FILES_IN_EXPRESSIONS}/{path}" if path else _FILES_IN_EXPRESSIONS
    condition = {"if": "${{ always() }}"} if always else {}
    return {"uses": _pinned(_UPLOAD), **condition, "with": {"name": name, "path": place, **options}}


def _download(pattern: str) -> Mapping[Any, Any]:
    chosen = {"pattern": pattern, "merge-multiple": True} if "*" in pattern else {"name": pattern}
    return {"uses": _pinned(_DOWNLOAD), "with": {**chosen, "path": _FILES_IN_EXPRESSIONS}}


def _pinned(action: tuple[str, str]) -> Plain:
    """Return an action by its commit, which cannot move, with its release as a comment."""
    commit, release = action
    return Plain(f"{commit} # {release}")
