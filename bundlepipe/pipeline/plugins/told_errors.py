"""Errors in the command lines of our commands of doit, in our words: doit's own are long, and name its internals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

# What Python's getopt says, with all options after it.
_UNPARSABLE = re.compile(r"Error parsing (?P<what>\w+): (?P<said>.*?) \(parsing options: ", re.DOTALL)
_UNKNOWN = re.compile(r"option (?P<option>\S+) not recognized")


class ToldErrors:
    """The first base class of a command, which tells a faulty option, and a task that does not exist, in a line."""

    name: str
    bin_name: str
    task_list: Sequence[Any]

    def parse_execute(self, in_args: Sequence[str]) -> Any:
        """Parse the arguments, and execute; InvalidCommand for a faulty command line."""
        try:
            return super().parse_execute(in_args)  # type: ignore[misc]
        except CmdParseError as error:
            if found := _UNPARSABLE.match(str(error)):
                said = _UNKNOWN.sub(r"unknown option \g<option>", found["said"])
                if found["what"] == "Task":
                    # Behind a task doit looks for the options of that.
                    said = f"{said} behind a task: options of the command stand before the tasks"
                raise InvalidCommand(f"{said}: '{self._help()}' lists the options") from None
            raise
        except InvalidCommand as error:
            if error.not_found is None:
                raise
            from bundlepipe.pipeline.declared.suggestions import no_such_task

            raise InvalidCommand(no_such_task(error.not_found, [task.name for task in self.task_list])) from None

    def _help(self) -> str:
        is_of_doit = self.bin_name.split()[-1:] != ["bundlepipe"]
        return f"{self.bin_name} help {self.name}" if is_of_doit else f"{self.bin_name} {self.name} --help"
