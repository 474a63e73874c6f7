"""`doit plan`: what a run would do, without doing it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from doit import get_initial_workdir, get_var
from doit.cmd_base import DoitCmdBase
from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.doit_adapter.internals import variables
from bundlepipe.pipeline.planning.markdown import plan_markdown
from bundlepipe.pipeline.planning.plan import Plan
from bundlepipe.pipeline.planning.text import Paint, plan_text, why_text
from bundlepipe.pipeline.plugins.empty_groups import nothing_chosen
from bundlepipe.pipeline.plugins.loader import PROJECT_FILES
from bundlepipe.pipeline.plugins.options import switch
from bundlepipe.pipeline.plugins.planned_run import answer_request, planned_run
from bundlepipe.pipeline.plugins.screen import height_of, wants_all
from bundlepipe.pipeline.plugins.told_errors import ToldErrors
from bundlepipe.pipeline.running.edges import PipelineTask, producers, reached

if TYPE_CHECKING:
    from bundlepipe.pipeline.planning.saving import PlanSaver
    from bundlepipe.verbs.outputs.replacing import FileOutput

_WORK = 2


class PlanCommand(ToldErrors, DoitCmdBase):  # type: ignore[misc]
    """Prints what a run would do with each task, why, and what would come of it."""

    name = "plan"
    doc_purpose = "show what a run would do"
    doc_usage = "[TASK/TARGET...]"
    doc_description = (
        "Nothing is changed: neither files nor registries nor the records of tasks. Digests are those that a run "
        "will make. It reads what a run reads, from registries as well."
    )
    cmd_options: tuple[dict[str, Any], ...] = (
        switch("json", "print the plan as JSON"),
        switch("markdown", "print the plan as Markdown, for a pull request"),
        {
            "name": "why",
            "long": "why",
            "type": str,
            "default": "",
            "help": "print why this task runs, down to the files",
        },
        {
            "name": "plan_file",
            "long": "out",
            "type": str,
            "default": None,
            "metavar": "FILE",
            "help": "also save the plan to FILE, which 'doit plan=FILE' carries out",
        },
        switch("plan_force", "replace FILE even if it is not a plan and would be lost", long="force"),
        switch("offline", "ask no registry: what only one knows stays open"),
        {
            "name": "since",
            "long": "since",
            "type": str,
            "default": None,
            "metavar": "REVISION",
            "help": "plan what differs from this git revision, by files alone: no registry is asked",
        },
        {
            "name": "outcomes",
            "long": "outcomes",
            "type": str,
            "default": None,
            "metavar": "FILE",
            "help": "answer the request in FILE with what tasks make of the files alone: --since compares two of these",
        },
        switch("diff", "ask kubectl what applies would change in the cluster"),
        switch("detailed_exitcode", "exit with 2 if anything would change, or may", long="detailed-exitcode"),
    )
    execute_tasks = True

    def execute(self, params: Mapping[str, Any], args: Sequence[str]) -> Any:
        """Keep the file that the loader reads, by its option, and the current directory, and execute."""
        self._file: str = params.get("dodoFile") or params["pipelineFile"]
        # Whether it is the first one that is found of those that a project may have.
        self._seeks = params.get("dodoFile") == PROJECT_FILES[0]
        self._called_from = os.getcwd()
        return super().execute(params, args)

    def _execute(
        self,
        json: bool,
        markdown: bool,
        why: str,
        plan_file: str | None,
        plan_force: bool,
        offline: bool,
        since: str | None,
        outcomes: str | None,
        diff: bool,
        detailed_exitcode: bool,
    ) -> int:
        end_quietly()
        _refuse_contradictions(
            {"--json": json, "--markdown": markdown, "--why": bool(why)},
            {"--out": plan_file is not None, "--offline": offline, "--since": since is not None, "--diff": diff},
        )
        refuse_empty({"--out": plan_file, "--since": since})
        if why and not self.sel_default_tasks:
            raise InvalidCommand(f"--why {why} is about this task alone: leave out {' '.join(self.sel_tasks)}")
        output = self._output(plan_file, force=plan_force) if plan_file else None
        control = TaskControl(self.task_list)
        if outcomes:
            control.process([name for name in control.tasks if not name.startswith("_")])
            answer_request(control, self.dep_manager, outcomes)
            return 0
        control.process([why] if why else self.sel_tasks)
        if output:
            _refuse_input(str(plan_file), output.path, control)
        if since:
            plan = self._plan_since(since, control, [why] if why else self.sel_tasks)
        else:
            plan = self._plan(control, output, offline=offline, asks_clusters=diff)
        if json:
            self.outstream.write(plan.as_json())
        elif markdown:
            self.outstream.write(plan_markdown(plan))
        elif why:
            self.outstream.write(why_text(plan, _asked(plan, why, control), _paint(self.outstream)))
        else:
            most = None if wants_all() else height_of(self.outstream)
            nothing = "" if plan.tasks else nothing_chosen(control.tasks, control.selected_tasks)
            self.outstream.write(f"{nothing}\n" if nothing else plan_text(plan, most, _paint(self.outstream)))
        if any(task.state == "error" for task in plan.tasks):
            return 1
        return _WORK if detailed_exitcode and plan.has_work else 0

    def _plan(self, control: TaskControl, output: FileOutput | None, *, offline: bool, asks_clusters: bool) -> Plan:
        """Plan a run, and save the plan if there is an `output`."""
        saver = _saver() if output else None
        runner = planned_run(control, self.dep_manager, offline=offline, asks_clusters=asks_clusters, saver=saver)
        plan = runner.plan
        if saver and output:
            self._save(output, saver.document(plan, runner.open_tasks, selected_tasks(control)))
        return plan

    def _plan_since(self, revision: str, control: TaskControl, asked: Sequence[str] | None) -> Plan:
        from bundlepipe.pipeline.planning.since import Chosen, plan_since

        given = [f"{name}={value}" for name, value in (variables() or {}).items()]
        files: Sequence[str] = PROJECT_FILES
        if not self._seeks:
            directory, name = os.path.split(os.path.join(get_initial_workdir() or os.getcwd(), self._file))
            files = [os.path.relpath(os.path.join(os.path.realpath(directory), name), os.path.realpath(os.getcwd()))]
            given += ["-f", *files]
        chosen = Chosen(asked, reached(control.selected_tasks, lambda name: control.tasks[name].task_dep))
        try:
            return plan_since(revision, files, given, chosen)
        except BundlepipeError as error:
            raise InvalidCommand(str(error)) from None

    def _output(self, path: str, *, force: bool) -> FileOutput:
        """Return the file for a saved plan; InvalidCommand if it may not be written."""
        from bundlepipe.pipeline.planning.saving import plan_output

        output = plan_output(os.path.join(self._called_from, path), force=force)
        try:
            output.check()
        except BundlepipeError as error:
            raise InvalidCommand(str(error)) from None
        return output

    def _save(self, output: FileOutput, text: str) -> None:
        try:
            output.write(text.encode())
        except OSError as error:
            raise InvalidCommand(f"{output.path}: cannot be written: {error.strerror}") from None


def selected_tasks(control: TaskControl) -> list[str]:
    """Return the tasks that a plan is made for: those that were named, or that doit runs by default; groups alone."""
    chosen = set(control.selected_tasks)
    tasks = [control.tasks[name] for name in control.selected_tasks]
    return [
        task.name
        for task in tasks
        if task.subtask_of not in chosen and not (isinstance(task, PipelineTask) and task.name.startswith("_"))
    ]


def _refuse_contradictions(forms: Mapping[str, bool], asked: Mapping[str, bool]) -> None:
    """Raise InvalidCommand for options, by their names, that exclude each other."""
    if get_var("plan"):
        raise InvalidCommand("plan= carries out a saved plan, and is for runs: plan without it")
    if sum(forms.values()) > 1:
        raise InvalidCommand(f"{', '.join([*forms][:-1])} and {[*forms][-1]} exclude each other: give one of them")
    for other in ("--offline", "--since"):
        if asked["--diff"] and asked[other]:
            raise InvalidCommand(f"--diff asks the cluster, and {other} asks nothing: give one of them")
    if asked["--since"] and asked["--out"]:
        raise InvalidCommand("--out saves what a run would do, and --since shows what differs: give one of them")


def refuse_empty(given: Mapping[str, str | None]) -> None:
    """Raise InvalidCommand for an option, by its name, whose value is empty, as of a variable that is not set."""
    for option, value in given.items():
        if value == "":
            raise InvalidCommand(f"{option} has an empty value, as '' and \"$VARIABLE\" without a value are")


def _refuse_input(given: str, path: str, control: TaskControl) -> None:
    """Raise InvalidCommand if the file for a saved plan is among what its tasks read: saving it would change that."""
    names = reached(control.selected_tasks, lambda name: control.tasks[name].task_dep)
    reads = [read for name in sorted(names) for read in getattr(control.tasks[name], "reads", ())]
    for reader, _ in producers(reads, {path: "--out"}):
        raise InvalidCommand(
            f"--out {given}: {reader} reads the files there, so the plan would be out of date as soon as it is saved: "
            "write it elsewhere, or exclude it"
        )


def _saver() -> PlanSaver:
    from bundlepipe.pipeline.planning.saving import PlanSaver

    return PlanSaver()


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
