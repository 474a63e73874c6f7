"""A plan as Markdown, for a pull request: a table of the tasks with something to do, and the totals."""

from __future__ import annotations

from bundlepipe.documents.markdown import as_code
from bundlepipe.pipeline.planning.plan import Plan, PlannedTask
from bundlepipe.pipeline.planning.text import TITLES, entry_lines, result_of, totals
from bundlepipe.progress.phrases import code_fence, counted, few

_HEAD = ["| task | result | why |", "|---|---|---|"]
# GitHub's comments have at most 65,536 characters, which far fewer rows than these do not reach.
_MOST_ROWS = 150
_LONGEST = 50_000


def plan_markdown(plan: Plan) -> str:
    """Return a plan as Markdown: what changes nothing is counted, and so are rows that are too many; failures first."""
    tasks = [task for task in plan.tasks if task.has_work]
    tasks.sort(key=lambda task: task.state != "error")
    rows, size = list[str](), 0
    for task in tasks[:_MOST_ROWS]:
        row = _row(task)
        size += len(row)
        if size > _LONGEST:
            break
        rows.append(row)
    if len(rows) < len(tasks):
        rows.append(f"| {counted(len(tasks) - len(rows), 'more task')} | | |")
    rows += [f"| {as_code(file.path)} {file.change} | | |" for file in plan.files]
    rows += [f"| no more there: {as_code(name)} | | |" for name in plan.removed]
    lines = [*_HEAD, *rows, ""] if rows else []
    for task in tasks:
        size += len(task.diff or "")
        if task.diff and size <= _LONGEST:
            fence = code_fence(task.diff)
            lines += [f"{as_code(task.name)} would change in the cluster:", "", f"{fence}diff", *task.diff.splitlines()]
            lines += [fence, ""]
        elif task.diff:
            lines += [f"What {as_code(task.name)} would change in the cluster is too long to be shown here.", ""]
    return "".join(f"{line}\n" for line in [*lines, totals(plan)])


def _row(task: PlannedTask) -> str:
    summary, *others = result_of(task)
    entries = [as_code(line) for line in entry_lines(task)]
    result = ", ".join([*([as_code(summary)] if summary else []), *others])
    result = "<br>".join([*([result] if result else []), *entries])
    why = few([as_code(reason.because) for reason in task.reasons])
    return f"| {TITLES[task.state]} {as_code(task.name)} | {result} | {why} |"
