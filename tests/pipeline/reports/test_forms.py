"""The forms of a report: well-formed whatever texts are in it, and read by others."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from doit.task import Task
from msgspec.structs import replace

from bundlepipe.documents.schemas.validator import schema_text
from bundlepipe.events import BlobDone
from bundlepipe.pipeline.reports.content import (
    FAILED,
    Failure,
    Report,
)
from bundlepipe.pipeline.reports.json_form import json_of
from bundlepipe.pipeline.reports.junit_form import junit_of, xml_text
from bundlepipe.pipeline.reports.kinds import Kind, kind_of
from bundlepipe.pipeline.reports.making import made_report
from bundlepipe.pipeline.reports.markdown_form import markdown_of
from bundlepipe.pipeline.reports.page import page
from bundlepipe.pipeline.reports.page.markup import seconds
from bundlepipe.pipeline.reports.page.page import page_of
from bundlepipe.pipeline.reports.recorder import Recorder
from bundlepipe.pipeline.reports.trace_form import trace_of
from bundlepipe.pipeline.reports.writing import write_reports
from bundlepipe.pipeline.running.measuring import Amount, measured
from bundlepipe.progress.display import display
from tests.support.junit import junit_faults
from tests.support.reports import EMPTY_REPORT, HOSTILE, HOSTILE_REPORT, reported_task
from tests.support.trace_events import trace_faults


@pytest.mark.parametrize("report", [HOSTILE_REPORT, EMPTY_REPORT])
def test_json_is_valid_by_the_schema(report: Report) -> None:
    document = json.loads(json_of(report))
    jsonschema.validate(document, json.loads(schema_text("report")))
    assert document["began"] == "2023-11-14T22:13:20.250Z"


def test_json_has_what_happened() -> None:
    document = json.loads(json_of(HOSTILE_REPORT))
    first, second, third, fresh, *_ = document["tasks"]
    assert first["traffic"]["hosts"] == [
        {"host": "registry.example", "requests": 3, "sent": 2000, "received": 50, "retries": 1}
    ]
    assert first["blobs"]["present"] == {"count": 2, "bytes": 900}
    assert first["summary"] == HOSTILE
    assert second["heldUpBy"] == {"task": "push_bundle:a", "because": "needs"} and second["seconds"] == 1.5
    assert third["error"] == {"kind": "UnmetDependency", "message": "needs push_bundle:b"} and "began" not in third
    assert fresh["state"] == "upToDate" and "seconds" not in fresh
    assert document["counts"] == {
        "done": 1, "unchanged": 0, "upToDate": 1, "ignored": 0, "failed": 2, "interrupted": 1, "notReached": 1
    }  # fmt: skip


@pytest.mark.parametrize("report", [HOSTILE_REPORT, EMPTY_REPORT])
def test_junit_keeps_the_rules_of_both_schemas(report: Report) -> None:
    assert list(junit_faults(ElementTree.fromstring(junit_of(report)))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id="0"', 'id="7"'), ('failures="1"', 'failures="2"'), ("<system-out />", ""), (' package="bundlepipe"', ""),
        ("2023-11-14T22:13:20", "2023-11-14T22:13:20Z"), ("<skipped ", "<ignored "), ("properties>", "property>"),
    ],
)  # fmt: skip
def test_the_rules_of_junit_find_faults(old: str, new: str) -> None:
    assert list(junit_faults(ElementTree.fromstring(junit_of(HOSTILE_REPORT).replace(old, new))))


def test_junit_has_a_case_for_each_task_as_both_schemas_order_it() -> None:
    suites = ElementTree.fromstring(junit_of(HOSTILE_REPORT))
    assert not suites.attrib
    assert [suite.get("name") for suite in suites] == [
        "push_bundle", "lock_bundle", xml_text("own " + HOSTILE).partition(":")[0], "wrong", "run"
    ]  # fmt: skip
    pushes = suites[0]
    counts = {name: pushes.get(name) for name in ("tests", "failures", "errors", "skipped", "time", "id", "package")}
    assert counts == {
        "tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "2.500", "id": "0",
        "package": "bundlepipe",
    }  # fmt: skip
    assert pushes.get("timestamp") == "2023-11-14T22:13:20"
    for suite in suites:
        assert [child.tag for child in suite] == [
            "properties", *(["testcase"] * int(suite.get("tests", ""))), "system-out", "system-err"
        ]  # fmt: skip
        for case in suite.iter("testcase"):
            assert len(case) <= 1 and set(case.attrib) == {"name", "classname", "time"}
    assert [child.tag for case in suites.iter("testcase") for child in case] == [
        "failure", "skipped", "skipped", "error", "error", "error"
    ]  # fmt: skip
    failure = suites.find(".//failure")
    assert failure is not None and failure.text and failure.get("type") == "TaskFailed"
    assert "<script>alert(1)</script>" in failure.text and "\\x1b[31m\\x00" in failure.text
    assert [case.get("message") for case in suites.iter("skipped")] == [
        "not reached: needs push_bundle:b",
        "up to date",
    ]


@pytest.mark.parametrize("report", [HOSTILE_REPORT, EMPTY_REPORT])
def test_a_trace_keeps_the_rules_of_its_format(report: Report) -> None:
    assert list(trace_faults(json.loads(trace_of(report)))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"ph": "X"', '"ph": "Y"'), ('"ph": "X"', '"ph": "B"'), ('"ts": 2500000', '"ts": -1'),
        ('"bp": "e"', '"bp": "x"'), ('"thread_name"', '"name_of_thread"'), ('"ts": 1000000', '"ts": 2000000'),
        ('"dur": 1500000', '"dur": "1500000"'), ('"displayTimeUnit": "ms"', '"displayTimeUnit": "s"'),
        ('"ph": "s"', '"ph": "f", "bp": "e"'),
    ],
)  # fmt: skip
def test_the_rules_of_traces_find_faults(old: str, new: str) -> None:
    text = trace_of(HOSTILE_REPORT)
    assert old in text
    assert list(trace_faults(json.loads(text.replace(old, new))))


def test_a_trace_has_what_viewers_need() -> None:
    trace = json.loads(trace_of(HOSTILE_REPORT))
    events = trace["traceEvents"]
    assert trace["displayTimeUnit"] == "ms"
    assert {event["ph"] for event in events} == {"M", "X", "s", "f"}
    assert all(isinstance(event["pid"], int) and isinstance(event["tid"], int) for event in events)
    slices = {(event["name"], event["tid"]): event for event in events if event["ph"] == "X"}
    assert slices["push_bundle:b", 1]["ts"] == 2_500_000 and slices["push_bundle:b", 1]["dur"] == 1_500_000
    assert slices["lock_bundle:a", 0]["dur"] == 50_000
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names == {0: "checks", 1: "worker 1"}
    begin, end = (next(event for event in events if event["ph"] == phase) for phase in "sf")
    assert begin["id"] == end["id"] and begin["cat"] == end["cat"] and begin["name"] == end["name"]
    before, after = slices["push_bundle:a", 1], slices["push_bundle:b", 1]
    assert before["ts"] <= begin["ts"] < before["ts"] + before["dur"] and end["ts"] == after["ts"] and end["bp"] == "e"
    assert json.loads(trace_of(EMPTY_REPORT))["traceEvents"]


def test_markdown_quotes_texts_so_that_they_stay_texts() -> None:
    text = markdown_of(HOSTILE_REPORT)
    assert text.startswith("### ❌ bundlepipe: failed in 5.0 s\n")
    assert "2 blobs (900 B) did not have to be transferred" in text
    fenced = re.findall(r"^(`{5})text\n(.*?)\n\1$", text, re.MULTILINE | re.DOTALL)
    assert len(fenced) == 2 and all("````" in block and "\\x1b[31m" in block for _, block in fenced)
    rest = re.sub(r"^(`{3,})text\n.*?\n\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "<script>" not in rest and "&#60;script&#62;" in rest
    assert "&#64;user" in rest and "@" not in rest
    rows = [line for line in rest.splitlines() if line.startswith("| `push")]
    assert len(rows) == 4 and {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {5, 6}


def test_markdown_of_many_tasks_is_short() -> None:
    failure = Failure("TaskFailed", "x", "é" * 50_000)
    names = (f"push_bundle:{'n' * 190}{number:05}" for number in range(3000))
    many = [reported_task(name, FAILED, failure=failure) for name in names]
    text = markdown_of(replace(HOSTILE_REPORT, tasks=many, path=[], errors=[]))
    assert len(text.encode()) < 512 * 1024
    assert "2980 more tasks failed." in text


class _Page(HTMLParser):
    """Collects elements, attributes and texts; fails where elements are not closed in order."""

    EMPTY_REPORT = ("meta", "input", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.elements: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in self.EMPTY_REPORT:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY_REPORT:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("report", [HOSTILE_REPORT, EMPTY_REPORT])
def test_the_page_is_whole_and_needs_nothing_else(report: Report) -> None:
    text = page_of(report)
    page = _Page(text)
    assert all(link.startswith("#task-") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.elements.count("script") == 1 and page.elements.count("style") == 1
    assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
    assert re.search(r"url\(|@import|https?://", text) is None
    assert "default-src 'none'" in text


def test_scripts_and_styles_of_a_page_are_only_its_own() -> None:
    text = page_of(HOSTILE_REPORT)
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in text
    assert "unsafe-inline" not in text


def test_the_page_shows_texts_as_they_are() -> None:
    page = _Page(page_of(HOSTILE_REPORT))
    shown = "".join(page.texts)
    assert shown.count("<script>alert(1)</script>") >= 5
    assert "\\x1b[31m\\x00" in shown and "\x1b" not in shown
    assert page.elements.count("tr") == 2 + 1 + len(HOSTILE_REPORT.tasks)


def test_a_long_path_is_folded_up() -> None:
    short = page_of(HOSTILE_REPORT)
    long = _Page(page_of(replace(HOSTILE_REPORT, path=[*HOSTILE_REPORT.path] * 20)))
    assert "The longest: " not in short
    shown = "".join(long.texts)
    assert "The longest: push_bundle:b (1.5 s), push_bundle:b (1.5 s)" in shown and "All 40 tasks" in shown


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/report.json", Kind.JSON), ("trace.json", Kind.TRACE), ("a/run.trace.json", Kind.TRACE),
        ("TRACE.JSON", Kind.TRACE), ("trace.json/x.md", Kind.MARKDOWN), ("x.htm", Kind.HTML), ("x.HTML", Kind.HTML),
        ("junit.xml", Kind.JUNIT), ("report", None), ("a.html/b", None), ("report.txt", None), ("", None),
    ],
)  # fmt: skip
def test_the_kind_follows_from_the_name(path: str, kind: Kind | None) -> None:
    assert kind_of(path) is kind


def test_a_form_that_cannot_be_made_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(report: Report) -> str:
        raise ValueError("no idea")

    monkeypatch.setattr(page, "page_of", wrong)
    recorder = Recorder(["a.html", "b.json", "c.md"])
    recorder.directory = str(tmp_path)
    faults = write_reports(recorder, {}, {}, [], {}, is_complete=True)
    assert faults == ["a.html: the report cannot be made: a defect of bundlepipe: ValueError('no idea')"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "c.md"]


@pytest.mark.parametrize(
    ("outcomes", "errors", "is_complete", "outcome"),
    [
        ({}, [], True, "succeeded"),
        ({"a": "done"}, [], True, "succeeded"),
        ({"a": "done"}, ["wrong"], True, "failed"),
        ({"a": "done"}, ["wrong"], False, "failed"),
        ({"a": "done"}, [], False, "interrupted"),
        ({"a": "failed"}, [], True, "failed"),
        ({"a": "not reached"}, [], True, "failed"),
    ],
)
def test_the_outcome_of_a_run(outcomes: dict[str, str], errors: list[str], is_complete: bool, outcome: str) -> None:
    tasks = {name: Task(name, None) for name in outcomes}
    report = made_report(Recorder([]), tasks, outcomes, errors, str, is_complete=is_complete)
    assert report.outcome == outcome


def test_a_blob_counts_once_as_it_was_reported_last() -> None:
    made = Task("a", None)
    with measured(made):
        hearer = display.hearer("a")
        assert hearer
        for digest, size, how in (("1", 10, "present"), ("2", 5, "mounted"), ("1", 10, "transferred")):
            hearer(BlobDone(digest, size, how))
    assert made.meta["measured"].blobs == {"transferred": Amount(1, 10), "mounted": Amount(1, 5)}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "0.000 s"), (0.5, "0.5 s"), (59.96, "1 min 0 s"), (3599.6, "1 h 0 min"), (3723, "1 h 2 min")],
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text
