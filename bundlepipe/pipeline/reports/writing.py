"""Write the reports of a run, each whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from doit.task import Task

from bundlepipe.errors import OutputError, printable
from bundlepipe.filesystem.base_directory import anchored, paths_from
from bundlepipe.filesystem.files import write_file
from bundlepipe.pipeline.reports.content import Report
from bundlepipe.pipeline.reports.kinds import Kind, kind_of
from bundlepipe.pipeline.reports.making import made_report
from bundlepipe.pipeline.reports.markdown_form import markdown_of
from bundlepipe.pipeline.reports.recorder import Recorder
from bundlepipe.pipeline.reports.secrets import secrets_of
from bundlepipe.redaction import Redactor
from bundlepipe.verbs.outputs.replacing import FileOutput, ReplacePolicy, followed

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
_POLICY = ReplacePolicy(unknown="it is not a report of a run", advice="remove it, or name another file")
# Bytes, enough for what each form begins with.
_START = 200


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
    with paths_from(recorder.directory):
        faults = [fault for path in recorder.paths for fault in written(report, path)]
    if step_summary := environment.get(STEP_SUMMARY):
        faults += appended(report, step_summary)
    return faults


def written(report: Report, path: str) -> Iterator[str]:
    """Write one report; its kind follows from the name of the file. Yield an error line if that is impossible."""
    kind = kind_of(path)
    if kind is None:
        raise ValueError(f"{path}: not the path of a report")
    try:
        content = _form(kind)(report).encode()
    except Exception as error:  # noqa: BLE001  (whatever it is, the other reports are written)
        yield f"{printable(path)}: the report cannot be made: a defect of bundlepipe: {printable(repr(error))}"
        return
    try:
        output = FileOutput(followed(path), _POLICY)
        if output.check_place() and not _is_report(output.path):
            yield f"{printable(path)}: exists, but {_POLICY.unknown}: {_POLICY.advice}"
            return
        write_file(output.path, content)
    except OutputError as error:
        yield str(error)
    except OSError as error:
        yield f"{printable(path)}: the report cannot be written: {error.strerror}"


def _is_report(path: str) -> bool:
    """Return whether a file is empty, or begins as reports do.

    Nothing else is replaced, not even what git has: the variable may have been set for another project.
    """
    from bundlepipe.pipeline.reports.json_form import JSON_START
    from bundlepipe.pipeline.reports.junit_form import JUNIT_START
    from bundlepipe.pipeline.reports.markdown_form import MARKDOWN_STARTS
    from bundlepipe.pipeline.reports.page.page import PAGE_START
    from bundlepipe.pipeline.reports.trace_form import TRACE_START

    starts = (JSON_START, JUNIT_START, *MARKDOWN_STARTS, PAGE_START, TRACE_START)
    with open(anchored(path), "rb") as file:
        start = file.read(_START)
    return not start or start.startswith(tuple(each.encode() for each in starts))


def appended(report: Report, path: str) -> Iterator[str]:
    """Append Markdown to the summary of a step of GitHub Actions; yield an error line if that is impossible."""
    # A step's earlier lines may lack the end of the last.
    content = "\n" + markdown_of(report)
    try:
        with open(path, "ab") as file:
            file.write(content.encode())
    except OSError as error:
        yield f"{printable(path)} ({STEP_SUMMARY}): the report cannot be added: {error.strerror}"


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
