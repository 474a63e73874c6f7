"""The project that the commands of `ci` work on: its settings, and paths as they are seen from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from bundlepipe.cli.parsing.command import Run
from bundlepipe.errors import BundlepipeError

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.ci import CI


class Project(Struct, frozen=True):
    """The settings of a project, its directory below the root of its repository, and where the command was called."""

    ci: CI
    directory: str
    called_from: str

    def seen(self, path: str) -> str:
        """Return a path of the command line as it is seen from the project's directory."""
        if os.path.isabs(path) or os.getcwd() == self.called_from:
            return path
        return os.path.relpath(os.path.join(self.called_from, path))

    def placed(self, path: str) -> str:
        """Return a path of the command line as a file in the repository says it: relative to the project's directory.

        An absolute path outside of the repository stays one.
        """
        if not os.path.isabs(path):
            return os.path.normpath(self.seen(path))
        here = os.path.realpath(os.curdir)
        root = here.removesuffix(self.directory)
        directory = os.path.realpath(os.path.dirname(path))
        is_inside = os.path.commonpath([root, directory]) == os.path.normpath(root)
        return os.path.relpath(os.path.join(directory, os.path.basename(path)), here) if is_inside else path


def refuse_empty_plan(plan: str | None) -> None:
    """Raise BundlepipeError for an empty --plan, as of a variable that is not set."""
    if plan == "":
        raise BundlepipeError("--plan: the name of the file is empty: name the plan that 'bundlepipe ci plan' saved")


def load_project(run: Run) -> Project:
    """Return the project here, or in the nearest directory above, after changing to its directory.

    No request is sent, and pipeline files need no variables of the environment but those in the settings and in paths
    of included files. Raises BundlepipeError if its tasks cannot be loaded.
    """
    from bundlepipe.cli.doit_program import load_tasks
    from bundlepipe.pipeline.ci.engines.written import directory_in_repository
    from bundlepipe.pipeline.ci.settings import ci_of
    from bundlepipe.pipeline.running.variables import settings_alone

    called_from = os.getcwd()
    with settings_alone():
        settings = ci_of(load_tasks(run.tool.name).task_list)
    return Project(settings, directory_in_repository(), called_from)
