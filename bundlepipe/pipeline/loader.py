"""A loader for doit: a directory with a bundlepipe.yml needs no dodo.py.

Chosen in pyproject.toml by `[tool.doit]` `loader = "bundlepipe"`, or in doit.cfg.
"""

from __future__ import annotations

from typing import Any

from doit.cmd_base import NamespaceTaskLoader

from bundlepipe.pipeline.config import DOIT_CONFIG
from bundlepipe.pipeline.pipeline import DEFAULT_PATH, Pipeline

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

    def setup(self, opt_values: Any) -> None:
        """Take the file that the command line names."""
        # What the user's own configuration file says wins over what merely suits most.
        chosen = (self.config or {}).get("GLOBAL", {})
        config = {key: value for key, value in DOIT_CONFIG.items() if key not in chosen}
        self.namespace = {"DOIT_CONFIG": config, "pipeline": Pipeline.load(opt_values["pipelineFile"])}
