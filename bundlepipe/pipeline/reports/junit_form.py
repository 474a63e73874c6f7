"""The report as JUnit XML: a test suite for each group of tasks, a test case for each task.

It is valid by both schemas in use, those of Jenkins' xUnit plugin (junit-10.xsd) and of Ant
(github.com/windyroad/JUnit-Schema), so it has only what both allow.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from datetime import datetime, timezone
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from bundlepipe.pipeline.reports.content import (
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_REACHED,
    UNCHANGED,
    Failure,
    Report,
    ReportedTask,
)

# By which a file is recognised.
JUNIT_START = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- bundlepipe report -->\n'
# What XML 1.0 cannot have, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A defect, or a task that was cut off, is not a task that failed.
_FAILED = "TaskFailed"


def junit_of(report: Report) -> str:
    """Return a report as JUnit XML."""
    suites = Element("testsuites")
    groups: dict[str, list[ReportedTask]] = {}
    for task in report.tasks:
        groups.setdefault(task.group, []).append(task)
    for number, (group, tasks) in enumerate(groups.items()):
        _add_suite(suites, report, number, group, tasks)
    if report.errors:
        _add_errors(suites, report, len(groups))
    indent(suites)
    return JUNIT_START + tostring(suites, encoding="unicode") + "\n"


def xml_text(text: str) -> str:
    """Return a text with escapes such as `\\x1b` for the characters that XML cannot have."""
    return _FORBIDDEN.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


def _add_suite(suites: Element, report: Report, number: int, group: str, tasks: Sequence[ReportedTask]) -> None:
    suite = _suite(suites, report, number, group)
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for task in tasks:
        counts["tests"] += 1
        if counted := _add_case(suite, task):
            counts[counted] += 1
    suite.attrib.update({name: str(count) for name, count in counts.items()})
    suite.set("time", _time(sum(task.seconds or 0.0 for task in tasks)))
    _end_suite(suite)


def _suite(suites: Element, report: Report, number: int, name: str) -> Element:
    began = datetime.fromtimestamp(report.began, timezone.utc)
    suite = SubElement(suites, "testsuite", name=xml_text(name), package="bundlepipe", id=str(number))
    suite.set("hostname", xml_text(socket.gethostname()) or "localhost")
    # Neither schema allows a zone, and readers take it for UTC.
    suite.set("timestamp", began.strftime("%Y-%m-%dT%H:%M:%S"))
    properties = SubElement(suite, "properties")
    SubElement(properties, "property", name="bundlepipe.version", value=report.version)
    return suite


def _end_suite(suite: Element) -> None:
    SubElement(suite, "system-out")
    SubElement(suite, "system-err")


def _add_case(suite: Element, task: ReportedTask) -> str | None:
    """Add a test case; return what it counts as, besides a test."""
    case = SubElement(
        suite, "testcase", name=xml_text(task.name), classname=xml_text(task.group), time=_time(task.seconds or 0.0)
    )
    if task.outcome in (DONE, UNCHANGED):
        return None
    if task.outcome == FAILED and task.failure:
        is_failure = task.failure.kind == _FAILED
        _add_failure(case, "failure" if is_failure else "error", task.failure)
        return "failures" if is_failure else "errors"
    if task.outcome == INTERRUPTED:
        _add_failure(case, "error", Failure("Interrupted", "the run was interrupted while this task ran", ""))
        return "errors"
    reason = task.outcome
    if task.outcome == NOT_REACHED:
        reason += f": {task.failure.line}" if task.failure else ": the run ended before"
    SubElement(case, "skipped", message=xml_text(reason))
    return "skipped"


def _add_failure(case: Element, tag: str, failure: Failure) -> None:
    element = SubElement(case, tag, type=failure.kind, message=xml_text(failure.line))
    element.text = xml_text("\n".join(filter(None, [failure.text, failure.output]))) or None


def _add_errors(suites: Element, report: Report, number: int) -> None:
    """Add a suite for errors of no task: a run that doit aborted is not one that passed."""
    suite = _suite(suites, report, number, "run")
    for index, error in enumerate(report.errors, 1):
        case = SubElement(suite, "testcase", name=f"run {index}", classname="run", time=_time(0.0))
        first = error.strip().partition("\n")[0]
        _add_failure(case, "error", Failure("Aborted", first, error))
    count = str(len(report.errors))
    suite.attrib.update({"tests": count, "failures": "0", "errors": count, "skipped": "0", "time": _time(0.0)})
    _end_suite(suite)


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"
