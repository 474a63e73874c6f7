"""What differs from the same pipeline at a git revision, without any registry."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.base_directory import base_directory
from bundlepipe.filesystem.snapshots import differences
from bundlepipe.pipeline.planning.checkouts import Repository
from bundlepipe.pipeline.planning.plan import Plan, PlannedFile, PlannedTask
from bundlepipe.pipeline.planning.tree_outcomes import Outcome, Outcomes, read_outcomes
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.edges import reached
from bundlepipe.pipeline.running.staleness import FILES, changed_options, file_reason, from_values


def plan_since(revision: str, files: Sequence[str], arguments: Sequence[str], selected: Collection[str]) -> Plan:
    """Return the plan of a run in the working tree, where the revision was run before.

    Both are taken as git has them, without ignored files. `files` are those that doit may read the tasks from, and
    `arguments` what else it is told; `selected` are the tasks of the plan. Raises BundlepipeError if the repository
    lacks the revision, or the pipeline there cannot be read.
    """
    directory = os.path.realpath(base_directory())
    repository = Repository.of(directory)
    commit = repository.commit(revision)
    with tempfile.TemporaryDirectory(prefix="bundlepipe-since-") as scratch:
        trees = [os.path.join(scratch, name) for name in ("before", "now")]
        repository.check_out(commit, trees[0])
        repository.copy_working_tree(trees[1])
        before, now = (
            _outcomes(os.path.join(tree, repository.below), files, arguments, repository.variables(tree), what)
            for tree, what in zip(trees, (f"the pipeline at {revision}", "the pipeline"), strict=True)
        )
    return compared(before, now, revision, selected)


def _outcomes(
    directory: str, files: Sequence[str], arguments: Sequence[str], variables: Mapping[str, str], what: str
) -> Outcomes:
    """Return the outcomes of the pipeline in a directory; none if there is no pipeline."""
    if not any(os.path.exists(os.path.join(directory, file)) for file in files):
        return {}
    finished = subprocess.run(
        [sys.executable, "-m", "bundlepipe", "doit", "plan", "--outcomes", *arguments],
        cwd=directory,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return read_outcomes(finished.stdout)
    except ValueError:
        told = (finished.stderr.strip() or finished.stdout.strip() or "no reason given").splitlines()
        raise BundlepipeError(f"{what}: cannot be read: {printable(told[0])}") from None


def compared(before: Outcomes, now: Outcomes, revision: str, selected: Collection[str]) -> Plan:
    """Return the plan that two outcomes make: `now` in place of `before`, which `revision` has."""
    tasks: dict[str, PlannedTask] = {}
    wanted = reached([name for name in now if name in selected], lambda name: now[name].needs)
    for name, outcome in now.items():
        if name not in wanted:
            continue
        needs = [each for each in outcome.needs if each in tasks and tasks[each].state != "none"]
        old = before.get(name)
        if outcome.problem is not None:
            reasons = [Reason("notForeseen", name, f"not known from the files in git alone: {outcome.problem}")]
            tasks[name] = PlannedTask(name=name, state="maybe", reasons=reasons, needs=needs)
        elif old and old.made == outcome.made:
            tasks[name] = PlannedTask(name=name, state="none", needs=needs)
        else:
            tasks[name] = PlannedTask(
                name=name,
                state="run",
                reasons=_reasons(name, old, outcome, revision, needs),
                needs=needs,
                image=outcome.image,
                summary=outcome.summary,
                files=_changed_files(old.outputs if old else {}, outcome.outputs),
            )
    return Plan(tuple(tasks.values()), removed=tuple(name for name in before if name not in now))


def _changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[PlannedFile]:
    changed = [path for path in now if now[path] != before.get(path)]
    return [PlannedFile(path, "changed" if path in before else "created") for path in changed]


def _reasons(name: str, before: Outcome | None, now: Outcome, revision: str, needs: Sequence[str]) -> list[Reason]:
    """Return why a task runs: by its options and the files that it reads, else by the tasks that it needs."""
    if before is None:
        return [Reason("newTask", name, f"{revision} has no such task")]
    if before.problem is not None:
        return [Reason("notForeseen", name, f"not known at {revision}: {before.problem}")]
    changes = differences(from_values({FILES: before.files}), from_values({FILES: now.files}))
    read = [file_reason(code, path) for path, code in changes if path not in now.outputs]
    reasons = [*changed_options(before.options, now.options), *read]
    return reasons or [Reason("resultChanged", need, f"{need} changed") for need in needs]
