"""The command `ci report`: the reports of all jobs of a plan as one."""

from __future__ import annotations

import click

from bundlepipe.cli.commands.ci.project import refuse_empty_plan
from bundlepipe.cli.parsing.command import PATH, Command, Option, Run

_FAILED = 1


@click.command(
    cls=Command,
    examples={
        "Merge the reports of all jobs into a page": "ci report reports --plan plan.json -o report.html",
        "Print two reports as one, as Markdown": "ci report one.json two.json",
    },
)
@click.argument("reports", nargs=-1, type=PATH, metavar="REPORT.json...")
@click.option("--plan", cls=Option, metavar="FILE", help="the plan that ci plan has saved, with all shards")
@click.option(
    "-o",
    "--output",
    "outputs",
    cls=Option,
    multiple=True,
    metavar="FILE",
    help="write the merged report; its ending chooses the form, as in BUNDLEPIPE_REPORT; may be repeated",
)
@click.pass_obj
def report(run: Run, reports: tuple[str, ...], plan: str | None, outputs: tuple[str, ...]) -> int:
    """Merge the JSON reports of the jobs of a plan.

    Directories stand for the reports below them. Without -o, Markdown is printed; in GitHub
    Actions the summary of the step gets it as well. The exit status is 1 if a task failed, or if no
    report has a task of the plan. Reports of other plans are left out.
    """
    import os

    from bundlepipe.errors import OutputError, quoted
    from bundlepipe.pipeline.ci.merged_report import merged_report
    from bundlepipe.pipeline.reports.content import SUCCEEDED
    from bundlepipe.pipeline.reports.kinds import EXPECTED, kind_of
    from bundlepipe.pipeline.reports.markdown_form import markdown_of
    from bundlepipe.pipeline.reports.writing import STEP_SUMMARY, appended, written

    for path in outputs:
        if kind_of(path) is None:
            raise click.BadParameter(f"{quoted(path)}: expected {EXPECTED}", param_hint="-o")
    refuse_empty_plan(plan)
    merged, left_out = merged_report(reports, plan)
    for line in left_out:
        run.console.note(f"{run.tool.name}: {line}")
    faults = [fault for path in outputs for fault in written(merged, path)]
    if summary := os.environ.get(STEP_SUMMARY):
        faults += appended(merged, summary)
    if faults:
        raise OutputError("\n".join(faults))
    if not outputs:
        run.console.block(markdown_of(merged))
    return 0 if merged.outcome == SUCCEEDED else _FAILED
