"""Write the reports of a run, each whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from doit.task import Task

from bundlepipe.errors import printable
from bundlepipe.filesystem.files import write_file
from bundlepipe.pipeline.reports.content import Report
from bundlepipe.pipeline.reports.kinds import Kind, kind_of
from bundlepipe.pipeline.reports.making import made_report
from bundlepipe.pipeline.reports.markdown_form import markdown_of
from bundlepipe.pipeline.reports.recorder import Recorder
from bundlepipe.pipeline.reports.secrets import secrets_of
from bundlepipe.redaction import Redactor

_STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def write_reports(
    recorder: Recorder,
    tasks: Mapping[str, Task],
    outcomes: Mapping[str, str],
    errors: Sequence[str],
    environment: Mapping[str, str],
    *,
    is_complete: bool,
) -> list[str]:
    """Write all reports of a run, and append Markdown to the summary of a step of GitHub Actions, if this is one.

    `outcomes` are those of all tasks to be reported, by name. `errors` are those of no task; a run that is not
    complete was interrupted, or ended by them. Directories are made. Returns an error line for each report that
    cannot be written.
    """
    redactor = Redactor()
    redactor.keep(*secrets_of(environment))
    report = made_report(recorder, tasks, outcomes, errors, redactor.redact, is_complete=is_complete)
    written = [(os.path.join(recorder.directory, path), path) for path in recorder.paths]
    faults = [fault for path, given in written for fault in _written(report, path, given)]
    if step_summary := environment.get(_STEP_SUMMARY):
        faults += _appended(report, step_summary)
    return faults


def _written(report: Report, path: str, given: str) -> Iterator[str]:
    kind = kind_of(path)
    if kind is None:
        raise ValueError(f"{given}: not the path of a report")
    content = _form(kind)(report)
    try:
        write_file(path, content.encode())
    except FileExistsError:
        directory = printable(os.path.dirname(given))
        yield f"{printable(given)}: the report cannot be written: {directory} is not a directory"
    except OSError as error:
        yield f"{printable(given)}: the report cannot be written: {error.strerror}"


def _appended(report: Report, path: str) -> Iterator[str]:
    # A step's earlier lines may lack the end of the last.
    content = "\n" + markdown_of(report)
    try:
        with open(path, "ab") as file:
            file.write(content.encode())
    except OSError as error:
        yield f"{printable(path)} ({_STEP_SUMMARY}): the report cannot be added: {error.strerror}"


def _form(kind: Kind) -> Callable[[Report], str]:
    """Return the function that makes the text of a report; each form is imported only if it is wanted."""
    if kind is Kind.HTML:
        from bundlepipe.pipeline.reports.page.page import page_of

        return page_of
    if kind is Kind.TRACE:
        from bundlepipe.pipeline.reports.trace_form import trace_of

        return trace_of
    if kind is Kind.JUNIT:
        from bundlepipe.pipeline.reports.junit_form import junit_of

        return junit_of
    if kind is Kind.JSON:
        from bundlepipe.pipeline.reports.json_form import json_of

        return json_of
    return markdown_of
