"""For tests of reports: three nested bundles, and what a report says."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from bundlepipe.documents.schemas.validator import schema_text
from tests.support.project import Project

ALL_FORMS = "out/report.html,out/report.json,out/trace.json,out/junit.xml,out/summary.md"
CHAIN = """\
bundles:
  leaf: {files: [leaf], lock: {}}
  middle: {files: [middle], lock: {include: [{bundle: leaf}]}}
  top: {files: [top], lock: {include: [{bundle: middle}]}}
"""
REPORTED = {"BUNDLEPIPE_REPORT": "report.json"}
ONLY_REPORTER = "from bundlepipe import DOIT_CONFIG\n"
# More than a pipe holds, in tasks one after another.
LOTS = """
def task_lots():
    for number in range(50):
        yield {"name": str(number), "actions": ["true"], "task_dep": [f"lots:{number - 1}"] if number else []}
"""


def report_of(project: Project, path: str = "report.json") -> Any:
    """Return a report, which is valid by the schema."""
    report = json.loads(project.read(path))
    jsonschema.validate(report, json.loads(schema_text("report")))
    return report


def tasks_of(report: Any) -> dict[str, Any]:
    """Return the tasks of a report by name."""
    return {task["name"]: task for task in report["tasks"]}
