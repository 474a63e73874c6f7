"""For tests of reports: three nested bundles, what a report says, and a report with texts that are no good."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from msgspec.structs import replace

from bundlepipe.documents.schemas.validator import schema_text
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.reports.content import (
    DONE,
    FAILED,
    INTERRUPTED,
    NEEDS,
    NOT_REACHED,
    START,
    UP_TO_DATE,
    Failure,
    Report,
    ReportedTask,
    Step,
)
from bundlepipe.pipeline.running.measuring import Amount
from bundlepipe.stores.http.traffic import Traffic
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
HOSTILE = "</pre></script><script>alert(1)</script> ]]> & \" ' \x1b[31m\x00 ```\n````\n| @user <!-- \ud7ff\uffff $x$"
WHY = [Reason("fileChanged", HOSTILE, HOSTILE)]


def reported_task(name: str, outcome: str = DONE, **fields: Any) -> ReportedTask:
    """Return a task that ran for one second, with these fields."""
    fixed: dict[str, Any] = {
        "doc": "", "reasons": [], "needs": [], "failure": None, "ready": 0.5, "checked": 0.75, "began": 1.0,
        "ended": 2.0, "lane": 1, "held_up_by": None, "because": None, "is_critical": False, "summary": "",
        "digest": "", "traffic": {}, "blobs": {},
    }  # fmt: skip
    return ReportedTask(name=name, outcome=outcome, **{**fixed, **fields})


NOT_RUN = {"ready": None, "checked": None, "began": None, "ended": None, "lane": None}
FAILURE = Failure("TaskFailed", HOSTILE.replace("\n", " "), HOSTILE, HOSTILE)
HOSTILE_REPORT = Report(
    version="1.2.3",
    began=1_700_000_000.25,
    seconds=5.0,
    outcome=FAILED,
    tasks=[
        reported_task(
            "push_bundle:a", summary=HOSTILE, reasons=WHY, digest="sha256:12", is_critical=True, doc=HOSTILE,
            traffic={"registry.example": Traffic(3, 2000, 50, 1)}, blobs={"present": Amount(2, 900)},
        ),
        reported_task(
            "push_bundle:b", FAILED, needs=["push_bundle:a"], failure=FAILURE, began=2.5, ended=4.0, is_critical=True,
            held_up_by="push_bundle:a", because=NEEDS,
        ),
        reported_task(
            "push_bundle:c", NOT_REACHED, **NOT_RUN, failure=Failure("UnmetDependency", "needs push_bundle:b", ""),
        ),
        reported_task("lock_bundle:a", UP_TO_DATE, checked=None, began=None, ended=0.25, ready=0.2, lane=None),
        reported_task("own " + HOSTILE, INTERRUPTED),
        reported_task("wrong", FAILED, failure=Failure("TaskError", "a defect", "Traceback")),
    ],
    path=[Step("push_bundle:a", START, 1.0, 1.0), Step("push_bundle:b", NEEDS, 0.5, 1.5)],
    traffic={"registry.example": Traffic(4, 2000, 80, 1)},
    shared=Traffic(1, 0, 30),
    errors=[HOSTILE],
)  # fmt: skip
EMPTY_REPORT = replace(HOSTILE_REPORT, tasks=[], path=[], traffic={}, shared=Traffic(), errors=[], outcome="succeeded")


def report_of(project: Project, path: str = "report.json") -> Any:
    """Return a report, which is valid by the schema."""
    report = json.loads(project.read(path))
    jsonschema.validate(report, json.loads(schema_text("report")))
    return report


def tasks_of(report: Any) -> dict[str, Any]:
    """Return the tasks of a report by name."""
    return {task["name"]: task for task in report["tasks"]}
