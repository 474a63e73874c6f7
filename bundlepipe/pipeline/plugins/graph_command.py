"""`doit graph`: the tasks and what they need as Mermaid, DOT, JSON, SVG or an HTML page.

doit loads it only for this command, and for help and completion, so it imports what it needs when it runs.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from bundlepipe.errors import BundlepipeError, OutputError
from bundlepipe.pipeline.doit_adapter.closed_output import end_quietly
from bundlepipe.pipeline.plugins.options import seen_from, switch
from bundlepipe.pipeline.plugins.told_errors import ToldErrors

if TYPE_CHECKING:
    from bundlepipe.pipeline.drawing.forms import Form
    from bundlepipe.pipeline.drawing.model import TaskGraph

# Names of the standard output.
_STANDARD = ("-", "/dev/stdout")


class GraphCommand(ToldErrors, DoitCmdBase):  # type: ignore[misc]
    """Prints or writes the graph of tasks; nothing runs, and no request is sent."""

    name = "graph"
    doc_purpose = "show tasks and what they need as Mermaid, DOT, JSON, SVG or HTML"
    doc_usage = "[TASK ...]"
    doc_description = (
        "An arrow goes from a task to those that need it. With TASK, as with --of, only what it needs and what "
        "needs it. The state of each task is that of doit plan --offline, without programs."
    )
    cmd_options = (
        switch("mermaid", "print a flow chart of Mermaid (the default)"),
        switch("dot", "print DOT, for Graphviz"),
        switch("json", "print JSON, by the schema that bundlepipe schema graph prints"),
        switch("svg", "print a picture"),
        switch("html", "print a page by itself, in which you can search and choose tasks"),
        {
            "name": "graph_file",
            "short": "o",
            "long": "output",
            "type": str,
            "default": None,
            "metavar": "FILE",
            "help": "write to FILE; its ending chooses the form: .mmd, .dot, .json, .svg, .html",
        },
        switch("graph_force", "replace FILE even if it is not a graph and would be lost", long="force"),
        {
            "name": "of",
            "long": "of",
            "type": list,
            "default": [],
            "metavar": "TASK",
            "help": "only this task, group or target, what it needs and what needs it; may be repeated",
        },
        switch("groups", "show all groups, not only those that a task needs"),
        switch("private", "show private tasks (start with '_')", short="p"),
        switch("hide_status", "show no states", long="no-status"),
    )

    def execute(self, params: Any, args: Sequence[str]) -> Any:
        """Load the tasks so that looking at them sends no request."""
        end_quietly()
        # The file is named from here, wherever the tasks are.
        self._called_from = os.getcwd()
        from bundlepipe.pipeline.running.variables import without_requests

        with without_requests():
            return super().execute(params, args)

    def _execute(
        self,
        mermaid: bool,
        dot: bool,
        json: bool,
        svg: bool,
        html: bool,
        graph_file: str | None,
        graph_force: bool,
        of: Sequence[str],
        groups: bool,
        private: bool,
        hide_status: bool,
        pos_args: Sequence[str],
    ) -> int:
        from bundlepipe.pipeline.drawing.forms import chosen_form

        flags: dict[Form, bool] = {"mermaid": mermaid, "dot": dot, "json": json, "svg": svg, "html": html}
        path = None if graph_file is None or graph_file in _STANDARD else seen_from(self._called_from, graph_file)
        try:
            if graph_file == "":
                raise BundlepipeError("-o: the name of the file is empty: name a file, or - for the output")
            form = chosen_form([form for form, asked in flags.items() if asked], path)
            graph = self._graph([*of, *pos_args], groups=groups, private=private, has_states=not hide_status)
            self._put(graph, form, path, force=graph_force)
        except BundlepipeError as error:
            raise InvalidCommand(str(error)) from None
        return 0

    def _graph(self, of: Sequence[str], *, groups: bool, private: bool, has_states: bool) -> TaskGraph:
        from bundlepipe.pipeline.drawing.reading import TaskNeeds
        from bundlepipe.pipeline.plugins.planned_run import states_of

        found = TaskNeeds(self.task_list, self.dep_manager)
        graph = found.graph(groups=groups, private=private)
        if of:
            graph = graph.around(found.named(of, graph))
        return graph.with_states(states_of(found, self.dep_manager)) if has_states else graph

    def _put(self, graph: TaskGraph, form: Form, path: str | None, *, force: bool) -> None:
        from bundlepipe.filesystem.files import is_stream, write_to_stream
        from bundlepipe.pipeline.drawing.forms import graph_file, text_of

        output = graph_file(path, force=force) if path and not is_stream(path) else None
        if output:
            output.check()
        text = text_of(graph, form, os.path.basename(os.getcwd()) or os.sep)
        try:
            if output:
                output.write(text.encode())
            elif path:
                write_to_stream(path, text.encode())
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
        if not path:
            self._print(text)
        if form == "mermaid":
            self._warn_of_size(graph, text)
        if form == "svg":
            self._warn_of_arrows(graph)

    def _print(self, text: str) -> None:
        if isinstance(self.outstream, io.TextIOWrapper):
            # Documents are UTF-8 whatever the terminal uses.
            self.outstream.reconfigure(encoding="utf-8")
        self.outstream.write(text)

    def _warn_of_arrows(self, graph: TaskGraph) -> None:
        from bundlepipe.pipeline.drawing.layout.thinning import MOST_EDGES, is_dense

        if is_dense(graph.drawn_needs):
            sys.stderr.write(
                f"{self.bin_name} graph: there are more than {MOST_EDGES} arrows, so none is drawn: "
                "choose a part with --of, or --html, whose page draws those of a chosen task\n"
            )

    def _warn_of_size(self, graph: TaskGraph, text: str) -> None:
        from bundlepipe.pipeline.drawing.texts import (
            MOST_MERMAID_CHARACTERS,
            MOST_MERMAID_EDGES,
            is_too_large_for_mermaid,
        )

        if is_too_large_for_mermaid(graph, text):
            sys.stderr.write(
                f"{self.bin_name} graph: Mermaid draws at most {MOST_MERMAID_EDGES} arrows and "
                f"{MOST_MERMAID_CHARACTERS} characters unless it is configured otherwise: "
                "choose a part with --of, or --html\n"
            )
