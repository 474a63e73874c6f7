"""Loaders for doit: a directory with a bundlepipe.yml needs no dodo.py.

`PipelineLoader` is chosen in pyproject.toml by `[tool.doit]` `loader = "bundlepipe"`, or in
doit.cfg; `DirectoryLoader` is that of `bundlepipe doit`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from doit.cmd_base import DodoTaskLoader, NamespaceTaskLoader, opt_cwd, opt_dodo, opt_seek_file
from doit.exceptions import InvalidCommand, InvalidDodoFile
from doit.task import Task

from bundlepipe.pipeline.config import DOIT_CONFIG
from bundlepipe.pipeline.edges import depend_on_directories
from bundlepipe.pipeline.pipeline import DEFAULT_PATH, Pipeline

_DODO = "dodo.py"
_EXTENSIONS = (".yml", ".yaml")

_FILE_OPTION = {
    "section": "task loader",
    "name": "pipelineFile",
    "short": "f",
    "long": "file",
    "type": str,
    "default": DEFAULT_PATH,
    "help": "load tasks from pipeline FILE [default: %(default)s]",
}


class PipelineLoader(NamespaceTaskLoader):  # type: ignore[misc]
    """Loads the tasks of a pipeline file, with the DOIT_CONFIG that suits them."""

    cmd_options = (_FILE_OPTION,)

    def load_tasks(self, cmd: Any, pos_args: Any) -> Any:
        """Load the tasks, with the edges that doit does not see, whatever reporter there is."""
        return _connected(super().load_tasks(cmd, pos_args), cmd)

    def setup(self, opt_values: Any) -> None:
        """Take the file that the command line names."""
        self.namespace = _namespace(opt_values["pipelineFile"], self.config)


class DirectoryLoader(DodoTaskLoader):  # type: ignore[misc]
    """Loads the dodo.py of a directory, as doit does, or where there is none its bundlepipe.yml.

    The options are doit's own; a file that `-f` names is a pipeline if its name ends as that of a
    YAML file does.
    """

    cmd_options = (
        {
            **opt_dodo,
            "help": f"load tasks from FILE, a {_DODO} or a pipeline [default: {_DODO}, or else {DEFAULT_PATH}]",
        },
        opt_cwd,
        opt_seek_file,
    )

    def load_tasks(self, cmd: Any, pos_args: Any) -> Any:
        """Load the tasks, with the edges that doit does not see, whatever reporter there is."""
        return _connected(super().load_tasks(cmd, pos_args), cmd)

    def setup(self, opt_values: Any) -> None:
        """Take the file that there is; InvalidDodoFile where there is none."""
        seeks = opt_values["seek_file"] and opt_values["dodoFile"] == _DODO
        path = _pipeline_file(opt_values["dodoFile"], seeks)
        if path is None:
            super().setup(opt_values)
            return
        directory = opt_values["cwdPath"] or (os.path.dirname(path) if seeks else "")
        path = os.path.abspath(path)
        if directory:
            _change_directory(directory)
        self.namespace = _namespace(os.path.relpath(path), self.config)


def _connected(tasks: list[Task], command: Any) -> list[Task]:
    if command.execute_tasks:
        depend_on_directories({task.name: task for task in tasks})
    return tasks


def _pipeline_file(named: str, seeks: bool) -> str | None:
    """Return the path of the pipeline file that is meant, None where it is a dodo.py; `seeks` looks above, too."""
    if named != _DODO:
        return named if named.endswith(_EXTENSIONS) else None
    for directory in _upwards() if seeks else ("",):
        if os.path.exists(os.path.join(directory, _DODO)):
            return None
        path = os.path.join(directory, DEFAULT_PATH)
        if os.path.exists(path):
            return path
    place = "here, nor in a directory above" if seeks else "here"
    raise InvalidDodoFile(f"there is neither a {_DODO} nor a {DEFAULT_PATH} {place}: 'bundlepipe init' writes both")


def _upwards() -> Iterator[str]:
    directory = os.getcwd()
    yield directory
    while directory != (directory := os.path.dirname(directory)):
        yield directory


def _change_directory(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise InvalidCommand(f"{directory}: cannot run there: {error.strerror}") from None


def _namespace(path: str, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a dodo.py for a pipeline file would define."""
    # What the user's own configuration file says wins over what merely suits most.
    chosen = (config or {}).get("GLOBAL", {})
    return {
        "DOIT_CONFIG": {key: value for key, value in DOIT_CONFIG.items() if key not in chosen},
        "pipeline": Pipeline.load(path),
    }
