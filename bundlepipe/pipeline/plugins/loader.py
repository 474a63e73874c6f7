"""Loaders for doit: a directory with a bundlepipe.yml needs no dodo.py.

`PipelineLoader` is chosen in pyproject.toml by `[tool.doit]` `loader = "bundlepipe"`, or in
doit.cfg; `DirectoryLoader` is that of `bundlepipe doit`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from doit import loader
from doit.cmd_base import DodoTaskLoader, NamespaceTaskLoader, opt_cwd, opt_dodo, opt_seek_file
from doit.exceptions import InvalidCommand, InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.doit_adapter.settings import check_settings
from bundlepipe.pipeline.pipeline import DEFAULT_PATH, Pipeline
from bundlepipe.pipeline.plugins.config import DOIT_CONFIG
from bundlepipe.pipeline.running.edges import depend_on_directories

_DODO = "dodo.py"
_EXTENSIONS = (".yml", ".yaml")
# Files that mark a directory for `bundlepipe doit`; the first one found is used.
PROJECT_FILES = (_DODO, DEFAULT_PATH)

_DEFAULT_TASKS = "default_tasks"

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
    """Loads the tasks of a pipeline file, with the default DOIT_CONFIG."""

    cmd_options = (_FILE_OPTION,)

    def load_tasks(self, cmd: Any, pos_args: Any) -> Any:
        """Load the tasks, with the edges that doit does not see, for any reporter."""
        return _connected(super().load_tasks(cmd, pos_args), cmd)

    def setup(self, opt_values: Any) -> None:
        """Use the file that the command line names; InvalidCommand for settings that doit cannot use."""
        if any({"num_process", "reporter"} & set(section) for section in (self.config or {}).values()):
            try:
                check_settings()
            except BundlepipeError as error:
                raise InvalidCommand(str(error)) from None
        self.namespace = _namespace(opt_values["pipelineFile"], self.config, opt_values)


class DirectoryLoader(DodoTaskLoader):  # type: ignore[misc]
    """Loads the dodo.py of a directory, as doit does, or its bundlepipe.yml if there is none.

    The options are doit's own; a file given by `-f` is a pipeline if its name ends like a YAML
    file's.
    """

    cmd_options = (
        {
            **opt_dodo,
            "help": f"load tasks from FILE, a {_DODO} or a pipeline [default: {_DODO}, or else {DEFAULT_PATH}]",
        },
        opt_cwd,
        opt_seek_file,
    )

    def __init__(self, above: str | None = None) -> None:
        super().__init__()
        self._directories = ["", *filter(None, [above])]

    def load_tasks(self, cmd: Any, pos_args: Any) -> Any:
        """Load the tasks, with the edges that doit does not see, for any reporter."""
        return _connected(super().load_tasks(cmd, pos_args), cmd)

    def setup(self, opt_values: Any) -> None:
        """Use the file here or in a directory above; InvalidDodoFile if there is none."""
        named, seeks = opt_values["dodoFile"], opt_values["seek_file"]
        path = _found(list(_upwards()) if seeks else self._directories) if named == _DODO else named
        if not path.endswith(_EXTENSIONS):
            super().setup({**opt_values, "dodoFile": path})
            return
        directory = opt_values["cwdPath"] or (os.path.dirname(path) if named == _DODO else "")
        path = os.path.abspath(path)
        if directory:
            _change_directory(directory)
        self.namespace = _namespace(os.path.relpath(path), self.config, opt_values)


def _connected(tasks: list[Task], command: Any) -> list[Task]:
    if command.execute_tasks:
        depend_on_directories({task.name: task for task in tasks})
    return tasks


def _found(directories: Iterable[str]) -> str:
    """Return the path of the first dodo.py or pipeline file in some directories."""
    for directory in directories:
        for name in PROJECT_FILES:
            path = os.path.join(directory, name)
            if os.path.exists(path):
                return path
    raise InvalidDodoFile(
        f"there is neither a {_DODO} nor a {DEFAULT_PATH} here, nor in a directory above: 'bundlepipe init' writes both"
    )


def _upwards() -> Iterator[str]:
    directory = os.getcwd()
    yield directory
    while directory != (directory := os.path.dirname(directory)):
        yield directory


def _change_directory(directory: str) -> None:
    # As doit does for a dodo.py: doit.get_initial_workdir() says where doit was called.
    loader.initial_workdir = os.getcwd()
    try:
        os.chdir(directory)
    except OSError as error:
        raise InvalidCommand(f"{directory}: cannot run there: {error.strerror}") from None


def _namespace(path: str, config: Mapping[str, Any] | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a dodo.py for a pipeline file would define; `options` are those of the command that runs."""
    # The user's own configuration file takes precedence over defaults.
    chosen = dict((config or {}).get("GLOBAL", {}))
    for section in (config or {}).values():
        # Loaders do not get the name of the command, but its options have the values of its section.
        chosen |= {key: value for key, value in section.items() if str(options.get(key)) == str(value)}
    defaults = {key: value for key, value in DOIT_CONFIG.items() if key not in chosen}
    if _DEFAULT_TASKS in chosen:
        # Not an option of any command, so doit itself takes it only from a dodo.py.
        defaults[_DEFAULT_TASKS] = _names(chosen[_DEFAULT_TASKS])
    return {"DOIT_CONFIG": defaults, "pipeline": Pipeline.load(path)}


def _names(value: Any) -> list[str]:
    """Return names of tasks from TOML, where they are a list, or doit.cfg, where they are a text."""
    if isinstance(value, str):
        return value.replace(",", " ").split()
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return value
    raise InvalidCommand(f"{_DEFAULT_TASKS}, where doit's settings are: expected a list of names of tasks")
