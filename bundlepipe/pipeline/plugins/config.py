"""The default DOIT_CONFIG for a pipeline; a dodo.py may use it, change it or define its own."""

from __future__ import annotations

import os
from typing import Any

from bundlepipe.pipeline.plugins.reporter import PipelineReporter
from bundlepipe.pipeline.records.state import STATE_DIRECTORY

DOIT_CONFIG: dict[str, Any] = {
    "default_tasks": ["push_bundle"],
    "reporter": PipelineReporter,
    "backend": "bundlepipe",
    "dep_file": os.path.join(STATE_DIRECTORY, "doit.db"),
    "num_process": 4,
    "par_type": "thread",
}
