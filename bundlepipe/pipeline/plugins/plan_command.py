"""`doit plan`: what a run would do, without doing it."""

from __future__ import annotations

from doit.cmd_base import DoitCmdBase
from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.planning.plan import Plan
from bundlepipe.pipeline.plugins.options import switch
from bundlepipe.pipeline.plugins.planned_run import planned_run

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
        switch("detailed_exitcode", "exit with 2 if there is something to do", long="detailed-exitcode"),
    )
    execute_tasks = True

    def _execute(self, json: bool, markdown: bool, why: str, offline: bool, detailed_exitcode: bool) -> int:
        end_quietly()
        if json + markdown + bool(why) > 1:
            raise InvalidCommand("--json, --markdown and --why exclude each other: give one of them")
        control = TaskControl(self.task_list)
        control.process([why] if why else self.sel_tasks)
        runner = planned_run(control, self.dep_manager, offline=offline)
        plan = runner.plan
        if why:
            self.outstream.write(_why(plan, why, control))
        else:
            self.outstream.write(plan.as_json() if json else plan.as_markdown() if markdown else plan.as_text())
        if any(task.state == "error" for task in plan.tasks):
            return 1
        return _WORK if detailed_exitcode and plan.has_work else 0


def _why(plan: Plan, name: str, control: TaskControl) -> str:
    """Return why a task runs; for a group, why its members do."""
    members = [name] if any(task.name == name for task in plan.tasks) else control.tasks[name].task_dep
    planned = {task.name for task in plan.tasks}
    return "".join(plan.why(member) for member in members if member in planned)
