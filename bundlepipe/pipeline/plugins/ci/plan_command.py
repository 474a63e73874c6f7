"""`bundlepipe ci plan`: a plan that is divided into jobs, saved for the machines that carry it out."""

from __future__ import annotations

import dataclasses
import json as json_format
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from doit.control import TaskControl
from doit.exceptions import InvalidCommand

from bundlepipe.errors import BundlepipeError, quoted
from bundlepipe.filesystem.files import read_document
from bundlepipe.limits import LARGEST_PLAN
from bundlepipe.pipeline.ci.checkout import check_commit, commit_here
from bundlepipe.pipeline.ci.graph import CIGraph, shard_as_json
from bundlepipe.pipeline.ci.outputs import write_outputs
from bundlepipe.pipeline.ci.settings import ci_of
from bundlepipe.pipeline.ci.sharding import sharded
from bundlepipe.pipeline.ci.text import graph_markdown, graph_text
from bundlepipe.pipeline.declared.ci import CI, MOST_SHARDS, MOST_WAVES
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.planning.markdown import plan_markdown
from bundlepipe.pipeline.planning.plan import Plan, json_text
from bundlepipe.pipeline.plugins.options import seen_from, switch
from bundlepipe.pipeline.plugins.plan_command import PlanCommand, refuse_empty, selected_tasks
from bundlepipe.pipeline.plugins.planned_run import planned_run

# Options of `doit plan`, with what they are here if that is something else.
_OF_PLAN = {
    "json": "print the graph of jobs as JSON; with --since, what differs",
    "markdown": "print the plan and its jobs as Markdown, for a summary; with --since, what differs",
    "plan_file": "also save the plan with its shards to FILE, for 'bundlepipe ci run SHARD --plan FILE'",
    "plan_force": None,
    "since": None,
}


def _number(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "long": name, "type": int, "default": None, "metavar": "N", "help": text}


def _file(name: str, text: str, *, long: str = "") -> dict[str, Any]:
    return {"name": name, "long": long or name, "type": str, "default": None, "metavar": "FILE", "help": text}


class CIPlanCommand(PlanCommand):
    """Plans a run, divides it into jobs, and saves both."""

    doc_purpose = "plan a run that is divided into jobs of a CI engine"
    doc_description = (
        "Without TASK it is for the tasks of ci: in bundlepipe.yml, or those that doit runs. The saved plan is what "
        "each job gets: 'bundlepipe ci run SHARD --plan FILE' does the tasks of one. With --since nothing is saved: "
        "it prints what differs from a git revision, without a registry, for a pull request."
    )
    cmd_options = (
        *(
            {**option, "help": _OF_PLAN[option["name"]] or option["help"]}
            for option in PlanCommand.cmd_options
            if option["name"] in _OF_PLAN
        ),
        _file("earlier", "divide this saved plan instead of making one", long="plan"),
        _number("shards", "at most N jobs at once"),
        _number("waves", "at most N jobs one after the other"),
        _number("startup", "what a job takes before its first task, in seconds"),
        _file("durations", "how long tasks took: the JSON report of an earlier run, or of a merged one"),
        switch("every", "also tasks that are up to date", long="all"),
        _file("outputs", "append waves= and has_work= for $GITHUB_OUTPUT, or write a file each into this directory"),
    )

    def _execute(  # type: ignore[override]
        self,
        json: bool,
        markdown: bool,
        plan_file: str | None,
        plan_force: bool,
        since: str | None,
        earlier: str | None,
        shards: int | None,
        waves: int | None,
        startup: int | None,
        durations: str | None,
        every: bool,
        outputs: str | None,
    ) -> int:
        end_quietly()
        given = {
            "--out": plan_file,
            "--since": since,
            "--plan": earlier,
            "--durations": durations,
            "--outputs": outputs,
        }
        refuse_empty(given)
        if since:
            sizes = {"--shards": shards, "--waves": waves, "--startup": startup}
            _refuse_with_since({**given, **sizes, "--since": None, "--all": every or None})
            try:
                self.sel_tasks = self._selected(self._settings(shards, waves, startup))
            except BundlepipeError as error:
                raise InvalidCommand(str(error)) from None
            with self._naming_the_place():
                return super()._execute(json, markdown, "", None, False, False, since, None, False, False)
        if earlier and not self.sel_default_tasks:
            raise InvalidCommand(f"--plan {earlier} has its tasks already: leave out {' '.join(self.sel_tasks or ())}")
        if json and markdown:
            raise InvalidCommand("--json and --markdown exclude each other: give one of them")
        try:
            settings = self._settings(shards, waves, startup)
            output = self._output(plan_file, force=plan_force) if plan_file else None
            known = self._measured(durations) if durations else {}
            plan, document = self._planned(settings) if earlier is None else self._read(earlier)
            commit = commit_here() if earlier is None else document.get("commit", "")
            graph = sharded(document, settings, durations=known, everything=every, commit=commit)
            document = {**document, "shards": [shard_as_json(shard) for shard in graph.shards]}
            if graph.commit:
                document["commit"] = graph.commit
            if output:
                self._save(output, json_text(document))
            if outputs:
                write_outputs(graph, settings, self._from_here(outputs))
        except BundlepipeError as error:
            raise InvalidCommand(str(error)) from None
        self.outstream.write(_told(plan, graph, is_json=json, is_markdown=markdown))
        return 0

    def _from_here(self, path: str) -> str:
        return seen_from(self._called_from, path)

    def _settings(self, shards: int | None, waves: int | None, startup: int | None) -> CI:
        found = ci_of(self.task_list)
        given = {"shards": shards, "waves": waves, "startup": startup}
        for name, (least, most) in {"shards": (1, MOST_SHARDS), "waves": (1, MOST_WAVES), "startup": (0, None)}.items():
            value = given[name]
            if value is not None and not least <= value <= (value if most is None else most):
                limits = f"from {least} to {most}" if most else f"{least} or more"
                raise InvalidCommand(f"--{name} {value}: expected a number {limits}")
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(found, **chosen)

    def _planned(self, settings: CI) -> tuple[Plan, dict[str, Any]]:
        """Plan the tasks that are selected; return the plan, and its document."""
        from bundlepipe.pipeline.planning.saving import PlanSaver

        control = TaskControl(self.task_list)
        with self._naming_the_place():
            control.process(self._selected(settings))
        saver = PlanSaver()
        runner = planned_run(control, self.dep_manager, offline=False, saver=saver)
        plan = runner.plan
        text = saver.document(plan, runner.open_tasks, selected_tasks(control))
        document: dict[str, Any] = json_format.loads(text)
        return plan, document

    @contextmanager
    def _naming_the_place(self) -> Iterator[None]:
        """Say of an unknown task where its name is: doit's message names a command that there is not."""
        try:
            yield
        except InvalidCommand as error:
            if error.not_found is None:
                raise
            where = "ci: tasks: " if self.sel_default_tasks else ""
            what = f"{where}{quoted(error.not_found)} is no task and no target"
            raise InvalidCommand(f"{what}: 'bundlepipe doit list --all' shows the tasks") from None

    def _selected(self, settings: CI) -> Sequence[str] | None:
        """Return the tasks of the command line, or else those of the settings, or those that doit runs."""
        chosen: Sequence[str] | None = self.sel_tasks
        return list(settings.tasks) if self.sel_default_tasks and settings.tasks else chosen

    def _read(self, path: str) -> tuple[Plan | None, dict[str, Any]]:
        from bundlepipe.documents.plan.saved import SavedPlan

        check_commit(self._from_here(path))
        content = read_document(self._from_here(path), LARGEST_PLAN)
        SavedPlan.parse(content, path)
        document: dict[str, Any] = json_format.loads(content)
        return None, document

    def _measured(self, path: str) -> dict[str, float]:
        from bundlepipe.pipeline.ci.dividing.costs import measured

        return measured(self._from_here(path))


def _refuse_with_since(given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value is not None:
            raise InvalidCommand(f"{option} is for a plan of a run, and --since shows what differs: give one of them")


def _told(plan: Plan | None, graph: CIGraph, *, is_json: bool, is_markdown: bool) -> str:
    if is_json:
        return graph.as_json()
    if is_markdown:
        return "".join([f"{plan_markdown(plan)}\n" if plan else "", graph_markdown(graph)])
    return graph_text(graph)
