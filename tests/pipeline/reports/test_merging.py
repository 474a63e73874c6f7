"""The reports of the jobs of a plan, merged into one, and reports read from their JSON."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from bundlepipe.documents.plan.saved import SavedShard
from bundlepipe.errors import DocumentError
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.reports.content import (
    DONE,
    FAILED,
    NEEDS,
    NOT_REACHED,
    UNCHANGED,
    UP_TO_DATE,
    WORKER,
    Failure,
    Report,
    ReportedTask,
    Step,
)
from bundlepipe.pipeline.reports.json_form import json_of
from bundlepipe.pipeline.reports.merging import merged
from bundlepipe.pipeline.reports.reading import read_report
from bundlepipe.pipeline.running.measuring import Amount
from bundlepipe.stores.http.traffic import Traffic

HOST = "registry.example"
SHARDS = [SavedShard("1-01", ["push:a", "push:b"]), SavedShard("2-01", ["push:c"], needs=["1-01"])]


def _task(name: str, began: float, ended: float, outcome: str = DONE, **others: object) -> ReportedTask:
    task = ReportedTask(
        name=name,
        doc=f"do {name}",
        outcome=outcome,
        reasons=[Reason("noLocalRecord", name, "no local record")],
        needs=[],
        failure=None,
        ready=began,
        checked=began,
        began=None if outcome == UP_TO_DATE else began,
        ended=ended,
        lane=None if outcome == UP_TO_DATE else 1,
        held_up_by=None,
        because=None,
        is_critical=False,
        summary=f"made {name}",
        digest="sha256:1",
        traffic={HOST: Traffic(2, 30, 40, 1)},
        blobs={"transferred": Amount(1, 30), "mounted": Amount(), "present": Amount()},
    )
    return replace(task, **others)


def _report(job: str, began: float, *tasks: ReportedTask, outcome: str = "succeeded", **others: object) -> Report:
    report = Report(
        version="1.0",
        job=job,
        began=began,
        seconds=max((task.ended or 0.0 for task in tasks), default=0.0) + 1,
        outcome=outcome,
        tasks=tasks,
        path=[],
        traffic={HOST: Traffic(3 * len(tasks), 30, 40, 1)},
        shared=Traffic(1, 0, 0, 0),
        errors=[],
    )
    return replace(report, **others)


def _jobs() -> list[Report]:
    first = _report("1-01", 1000, _task("push:a", 0, 2), _task("push:b", 2, 5, held_up_by="push:a", because=WORKER))
    second = _report(
        "2-01", 1010, _task("push:b", 0, 0.5, UNCHANGED), _task("push:c", 1, 4, needs=["push:b"]), errors=["lost"]
    )
    return [second, first]


def test_a_report_is_read_as_it_was_written() -> None:
    failed = _task("push:b", 2, 5, FAILED, failure=Failure("TaskFailed", "no", "no way", "out"), held_up_by="push:a")
    report = _report("1-01", 1000.25, _task("push:a", 0, 2), replace(failed, because=NEEDS), outcome="failed")
    report = replace(
        report, plan="0123456789abcdef", path=[Step("push:a", "start", 0.0, 2.0)], shared=Traffic(), errors=["it broke"]
    )
    assert json.loads(json_of(read_report(json_of(report).encode(), "report.json"))) == json.loads(json_of(report))


@pytest.mark.parametrize("content", ["", "[]", '{"kind": "Report"}', json.dumps({"kind": "Plan"})])
def test_other_content_is_refused_with_its_position(content: str) -> None:
    with pytest.raises(DocumentError, match=r"^x/report.json:1:1: "):
        read_report(content.encode(), "x/report.json")


def test_another_kind_of_document_is_told_in_one_line() -> None:
    for document, told in (
        ({"kind": "Plan", **{f"key{number}": 1 for number in range(200)}}, "is a document of the kind 'Plan'"),
        ({f"key{number}": 1 for number in range(200)}, "has no kind"),
    ):
        with pytest.raises(DocumentError) as raised:
            read_report(json.dumps(document).encode(), "plan.json")
        expected = "expected a Report, as BUNDLEPIPE_REPORT=FILE.json writes"
        assert str(raised.value) == f"plan.json:1:1: {told}, {expected}"


@pytest.mark.parametrize(
    "began", ["2026-02-31T00:00:00Z", "yesterday", "2026-02-01T00:00:00", "0001-01-01T00:00:00+23:59"]
)
def test_a_time_that_there_is_not_is_told_with_its_position(began: str) -> None:
    document = json.loads(json_of(_report("1-01", 1000, _task("push:a", 0, 2)))) | {"began": began}
    with pytest.raises(DocumentError, match=r"^x.json:\d+:\d+: ") as raised:
        read_report(json.dumps(document, indent=2).encode(), "x.json")
    told = f"'{began}' is no time, expected one such as 2026-02-28T00:00:00Z"
    assert str(raised.value).endswith(told)


def test_tasks_are_shown_as_their_own_jobs_report_them_with_times_from_the_first_on() -> None:
    report = merged(_jobs(), SHARDS)
    times = {task.name: (task.job, task.began, task.ended, task.lane) for task in report.tasks}
    assert times == {
        "push:a": ("1-01", 0, 2, 1),
        "push:b": ("1-01", 2, 5, 1),
        "push:c": ("2-01", 11, 14, 1),
    }
    assert (report.began, report.seconds, report.jobs, report.lanes) == (1000, 15, 2, 1)
    assert [(step.task, step.because, step.waited) for step in report.path] == [
        ("push:a", "start", 0),
        ("push:b", WORKER, 0),
        ("push:c", NEEDS, 6),
    ]
    assert report.outcome == "succeeded" and report.errors == ["2-01: lost"]
    # What the second job spent to find push:b belongs to none of the tasks that are shown.
    assert report.traffic == {HOST: Traffic(12, 60, 80, 2)}
    assert report.shared == Traffic(6, 0, 0, 0)


def test_jobs_that_ran_at_once_have_lanes_of_their_own() -> None:
    reports = [_report("1-01", 1000, _task("push:a", 0, 9)), _report("1-02", 1001, _task("push:b", 0, 2))]
    report = merged([*reports, _report("2-01", 1020, _task("push:c", 0, 1))], None)
    assert {task.name: task.lane for task in report.tasks} == {"push:a": 1, "push:b": 2, "push:c": 1}


def test_without_a_plan_the_job_that_did_most_is_shown() -> None:
    report = merged(_jobs())
    assert {task.name: (task.job, task.outcome) for task in report.tasks} == {
        "push:a": ("1-01", DONE),
        "push:b": ("1-01", DONE),
        "push:c": ("2-01", DONE),
    }


def test_a_job_without_report_is_a_failure_that_is_named() -> None:
    report = merged(_jobs()[1:], SHARDS)
    assert report.outcome == "failed"
    assert report.errors == ["2-01: left no report: its job did not run, or ended before it could write one"]
    assert {task.name: task.outcome for task in report.tasks} == {"push:a": DONE, "push:b": DONE, "push:c": NOT_REACHED}
    assert merged([], SHARDS).counts == {NOT_REACHED: 3}


def test_a_task_that_no_report_has_is_not_reached() -> None:
    first, second = _jobs()[1], _jobs()[0]
    report = merged([replace(first, tasks=first.tasks[:1]), second], SHARDS)
    assert report.outcome == "failed"
    assert {task.name: task.outcome for task in report.tasks} == {"push:a": DONE, "push:c": DONE, "push:b": NOT_REACHED}
    why = "its run ended before it came there, or was not one of the whole shard"
    assert report.errors == ["2-01: lost", f"1-01: its report lacks push:b: {why}"]
    assert (
        merged([replace(first, tasks=[]), second], SHARDS)
        .errors[1]
        .startswith("1-01: its report lacks push:a and 1 more: ")
    )


def test_names_that_are_not_utf_8_are_those_of_the_report() -> None:
    report = merged([_report("1-01", 1000, _task("push:\\udcff", 0, 1))], [SavedShard("1-01", ["push:\udcff"])])
    assert (report.outcome, report.counts) == ("succeeded", {DONE: 1})


def test_reports_of_jobs_that_the_plan_does_not_have_do_not_count() -> None:
    other = _report("1-02", 900, _task("push:d", 0, 9, FAILED), outcome="failed", errors=["lost"])
    assert merged([*_jobs(), other], SHARDS) == merged(_jobs(), SHARDS)


def test_a_job_is_shown_after_those_that_it_needs_although_clocks_differ() -> None:
    second, first = _jobs()
    report = merged([first, replace(second, began=900)], SHARDS)
    assert (report.began, report.seconds) == (1000, 11)
    assert {task.name: task.began for task in report.tasks} == {"push:a": 0, "push:b": 2, "push:c": 7}
    assert [step.task for step in report.path] == ["push:a", "push:b", "push:c"]
    # Through a job without a report.
    shards = [SHARDS[0], SavedShard("2-01", ["push:d"], needs=["1-01"]), SavedShard("3-01", ["push:c"], needs=["2-01"])]
    through = merged([first, replace(second, job="3-01", began=900)], shards)
    assert {task.name: task.began for task in through.tasks if task.name == "push:c"} == {"push:c": 7}


def test_of_two_reports_of_a_job_the_later_counts() -> None:
    failed = _report(
        "2-01", 1005, _task("push:c", 0, 1, FAILED, failure=Failure("TaskFailed", "no", "no")), outcome="failed"
    )
    report = merged([*_jobs(), failed], SHARDS)
    assert report.outcome == "succeeded"
    assert {task.name: task.outcome for task in report.tasks} == dict.fromkeys(("push:a", "push:b", "push:c"), DONE)


def test_a_failure_to_find_what_another_job_made_is_told() -> None:
    failure = Failure("TaskFailed", "push:b is not there", "push:b is not there")
    second = _report(
        "2-01",
        1010,
        _task("push:b", 0, 1, FAILED, failure=failure),
        replace(_task("push:c", 1, 1, NOT_REACHED), began=None, ended=None, lane=None, ready=None),
        outcome="failed",
    )
    report = merged([_jobs()[1], second], SHARDS)
    assert report.outcome == "failed"
    assert report.errors == ["2-01: push:b: push:b is not there"]
    assert [task.name for task in report.tasks] == ["push:a", "push:b", "push:c"]


def test_reports_without_the_name_of_a_job_are_merged_as_well() -> None:
    reports = [_report("", 1000, _task("push:a", 0, 1)), _report("", 1001, _task("push:b", 0, 1))]
    assert [(task.name, task.job) for task in merged(reports).tasks] == [
        ("push:a", "report 1"),
        ("push:b", "report 2"),
    ]
