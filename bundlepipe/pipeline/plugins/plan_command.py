"""`doit plan`: what a run would do, without doing it."""

from __future__ import annotations

import os
from typing import TextIO

from doit.cmd_base import DoitCmdBase
from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.planning.markdown import plan_markdown
from bundlepipe.pipeline.planning.plan import Plan
from bundlepipe.pipeline.planning.text import Paint, plan_text, why_text
from bundlepipe.pipeline.plugins.options import switch
from bundlepipe.pipeline.plugins.planned_run import planned_run
from bundlepipe.pipeline.plugins.screen import height_of, wants_all

_WORK = 2


class PlanCommand(DoitCmdBase):  # type: ignore[misc]
    """Prints what a run would do with each task, why, and what would come of it."""

    name = "plan"
    doc_purpose = "show what a run would do"
    doc_usage = "[TASK/TARGET...]"
    doc_description = (
        "Nothing is changed: neither files nor registries nor the records of tasks. Digests are those that a run "
        "will make. It reads what a run reads, from registries as well."
    )
    cmd_options = (
        switch("json", "print the plan as JSON"),
        switch("markdown", "print the plan as Markdown, for a pull request"),
        {
            "name": "why",
            "long": "why",
            "type": str,
            "default": "",
            "help": "print why this task runs, down to the files",
        },
        switch("offline", "ask no registry: what only one knows stays open"),
        switch("diff", "ask kubectl what applies would change in the cluster"),
        switch("detailed_exitcode", "exit with 2 if there is something to do", long="detailed-exitcode"),
    )
    execute_tasks = True

    def _execute(self, json: bool, markdown: bool, why: str, offline: bool, diff: bool, detailed_exitcode: bool) -> int:
        end_quietly()
        if json + markdown + bool(why) > 1:
            raise InvalidCommand("--json, --markdown and --why exclude each other: give one of them")
        if offline and diff:
            raise InvalidCommand("--diff asks the cluster, and --offline nobody: give one of them")
        control = TaskControl(self.task_list)
        control.process([why] if why else self.sel_tasks)
        runner = planned_run(control, self.dep_manager, offline=offline, asks_clusters=diff)
        plan = runner.plan
        if json:
            self.outstream.write(plan.as_json())
        elif markdown:
            self.outstream.write(plan_markdown(plan))
        elif why:
            self.outstream.write(why_text(plan, _asked(plan, why, control), _paint(self.outstream)))
        else:
            most = None if wants_all() else height_of(self.outstream)
            self.outstream.write(plan_text(plan, most, _paint(self.outstream)))
        if any(task.state == "error" for task in plan.tasks):
            return 1
        return _WORK if detailed_exitcode and plan.has_work else 0


def _asked(plan: Plan, name: str, control: TaskControl) -> list[str]:
    """Return the task that is asked for; for a group, its members that are not up to date, or all if they all are."""
    states = {task.name: task.state for task in plan.tasks}
    if name in states:
        return [name]
    members = [member for member in control.tasks[name].task_dep if member in states]
    return [member for member in members if states[member] != "none"] or members


def _paint(stream: TextIO) -> Paint:
    """Return colours for a terminal, unless the environment refuses them."""
    return Paint(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
