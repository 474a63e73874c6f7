"""The reports that a run writes, in every way of running doit, also if it fails or is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from bundlepipe.documents.schemas.validator import schema_text
from tests.support.project import DODO, Project, because
from tests.support.proxy import Proxy, Respond

ALL_FORMS = "out/report.html,out/report.json,out/trace.json,out/junit.xml,out/summary.md"
CHAIN = """\
bundles:
  leaf: {files: [leaf], lock: {}}
  middle: {files: [middle], lock: {include: [{bundle: leaf}]}}
  top: {files: [top], lock: {include: [{bundle: middle}]}}
"""
REPORTED = {"BUNDLEPIPE_REPORT": "report.json"}


@pytest.fixture
def chain(project: Project) -> Project:
    """Three bundles, each in the next one."""
    for name in ("leaf", "middle", "top"):
        project.write(f"{name}/config.yml", f"kind: {name}\n")
    project.pipeline(CHAIN)
    return project


def report_of(project: Project, path: str = "report.json") -> Any:
    """Return a report, which is valid by the schema."""
    report = json.loads(project.read(path))
    jsonschema.validate(report, json.loads(schema_text("report")))
    return report


def tasks_of(report: Any) -> dict[str, Any]:
    """Return the tasks of a report by name."""
    return {task["name"]: task for task in report["tasks"]}


def test_a_run_has_every_report_in_every_way(chain: Project, way: tuple[str, ...]) -> None:
    chain.doit(*way, "push_bundle", env={"BUNDLEPIPE_REPORT": ALL_FORMS})
    assert sorted(path.name for path in (chain.directory / "out").iterdir()) == [
        "junit.xml", "report.html", "report.json", "summary.md", "trace.json"
    ]  # fmt: skip
    report = report_of(chain, "out/report.json")
    tasks = tasks_of(report)
    assert report["outcome"] == "succeeded" and report["counts"]["done"] == 6
    assert tasks["push_bundle:top"]["digest"] == chain.digest("bundle", "top").partition("@")[2]
    assert because(tasks["push_bundle:top"]["reasons"]) == ["no local record"]
    assert tasks["lock_bundle:top"]["needs"] == ["push_bundle:middle"]
    assert tasks["lock_bundle:top"]["heldUpBy"] == {"task": "push_bundle:middle", "because": "needs"}
    for task in tasks.values():
        assert 0 <= task["ready"] <= task["checked"] <= task["began"] <= task["ended"] <= report["seconds"], task
    assert [step["task"] for step in report["criticalPath"]] == [
        f"{group}:{name}" for name in ("leaf", "middle", "top") for group in ("lock_bundle", "push_bundle")
    ]
    assert sum(step["waited"] + step["seconds"] for step in report["criticalPath"]) <= report["seconds"]


def test_what_was_up_to_date_is_reported_too(chain: Project) -> None:
    chain.doit()
    chain.write("middle/config.yml", "kind: Changed\n")
    chain.doit(env=REPORTED)
    tasks = tasks_of(report_of(chain))
    assert {name: task["state"] for name, task in tasks.items()} == {
        "lock_bundle:leaf": "upToDate", "push_bundle:leaf": "upToDate", "lock_bundle:middle": "unchanged",
        "push_bundle:middle": "done", "lock_bundle:top": "done", "push_bundle:top": "done",
    }  # fmt: skip
    assert because(tasks["push_bundle:middle"]["reasons"]) == ["middle/config.yml changed"]
    assert because(tasks["lock_bundle:top"]["reasons"]) == ["middle changed"]
    assert "summary" not in tasks["push_bundle:leaf"] and "began" not in tasks["push_bundle:leaf"]
    assert tasks["push_bundle:leaf"]["digest"].startswith("sha256:")


def test_traffic_is_told_by_task_and_host_in_every_way(chain: Project, proxy: Proxy, way: tuple[str, ...]) -> None:
    chain.environment["REGISTRY"] = f"{proxy.host}/{os.urandom(8).hex()}"
    proxy.fault("POST", "/leaf/", Respond(503))
    chain.doit(*way, env=REPORTED)
    report = report_of(chain)
    traffic = report["traffic"]
    assert traffic["requests"] == len(proxy.requests)
    assert traffic["sent"] == sum(exchange.bytes_up for exchange in proxy.requests)
    assert [host["host"] for host in traffic["hosts"]] == [proxy.host]
    assert traffic["retries"] == 1
    leaf = tasks_of(report)["push_bundle:leaf"]
    assert leaf["traffic"]["retries"] == 1 and leaf["traffic"]["hosts"][0]["host"] == proxy.host
    assert leaf["blobs"]["transferred"]["count"] == 2
    of_tasks = sum(task.get("traffic", {"requests": 0})["requests"] for task in report["tasks"])
    assert of_tasks + traffic["shared"]["requests"] == traffic["requests"]
    # All destinations were looked up before the first push.
    assert traffic["shared"]["requests"] >= 3

    # Without a record the registry is asked, which has it all.
    chain.doit("forget", "-a")
    chain.doit(*way, env=REPORTED)
    report = report_of(chain)
    assert report["blobs"]["transferred"]["count"] == 0 and report["blobs"]["present"]["count"] == 6
    assert tasks_of(report)["push_bundle:top"]["state"] == "unchanged"


def test_a_failed_run_is_reported_in_every_way(chain: Project, way: tuple[str, ...]) -> None:
    chain.write("middle/config.yml", "kind: [\n")
    run = chain.doit(*way, "--continue", env={"BUNDLEPIPE_REPORT": ALL_FORMS}, status=None)
    assert run.status != 0
    report = report_of(chain, "out/report.json")
    tasks = tasks_of(report)
    assert report["outcome"] == "failed"
    assert tasks["lock_bundle:middle"]["state"] == "failed"
    assert tasks["lock_bundle:middle"]["error"]["message"].startswith("middle/config.yml:2:1: not YAML")
    assert tasks["push_bundle:top"]["state"] == "notReached"
    assert tasks["push_bundle:middle"]["error"]["message"] == "needs lock_bundle:middle, which did not succeed"

    suites = ElementTree.fromstring(chain.read("out/junit.xml"))
    failed = suites.findall(".//testcase[failure]")
    assert [case.get("name") for case in failed] == ["lock_bundle:middle"]
    assert len(suites.findall(".//testcase[skipped]")) == 3
    assert "middle/config.yml:2:1: not YAML" in chain.read("out/summary.md")
    assert "middle/config.yml:2:1: not YAML" in chain.read("out/report.html")


def test_users_own_tasks_are_reported(chain: Project) -> None:
    own = """
def task_wrong():
    return {"actions": ["echo seen; echo told >&2; exit 3"], "meta": {"why": 1, "checked": "mine", "measured": 2}}

def task_after():
    return {"actions": ["true"], "task_dep": ["wrong", "push_bundle:leaf"]}
"""
    chain.write("dodo.py", DODO + own)
    secret = {"DEPLOY_TOKEN": "exit 3"}
    chain.doit("-n", "0", "--continue", "after", env={**REPORTED, **secret}, status=2)
    tasks = tasks_of(report_of(chain))
    assert tasks["wrong"]["state"] == "failed"
    assert tasks["wrong"]["error"]["message"].startswith("Command failed: 'echo seen; echo told >&2; ***' returned 3")
    assert tasks["wrong"]["error"]["output"] == "seen\ntold\n"
    assert tasks["after"]["state"] == "notReached"
    assert tasks["after"]["needs"] == ["push_bundle:leaf", "wrong"]


def test_a_run_that_doit_aborts_is_reported(chain: Project) -> None:
    own = """
def task_spoil():
    return {"actions": ["rm -f .bundlepipe/doit.db && mkdir .bundlepipe/doit.db"]}

def task_after():
    return {"actions": ["true"], "task_dep": ["spoil"]}
"""
    chain.write("dodo.py", DODO + own)
    chain.doit("-n", "0", "after", env={"BUNDLEPIPE_REPORT": "report.json,junit.xml,summary.md"}, status=2)
    report = report_of(chain)
    assert report["outcome"] == "failed"
    assert ["what spoil did cannot be recorded" in error for error in report["errors"]] == [True]
    assert tasks_of(report)["after"]["state"] == "notReached"
    suites = ElementTree.fromstring(chain.read("junit.xml"))
    assert [case.get("name") for case in suites.findall(".//testcase[error]")][-1] == "run 1"
    assert "what spoil did cannot be recorded" in chain.read("summary.md")


def test_ignored_tasks_and_set_ups_are_reported(chain: Project) -> None:
    own = """
def task_prepare():
    return {"actions": ["true"]}

def task_use():
    return {"actions": ["true"], "setup": ["prepare"]}
"""
    chain.write("dodo.py", DODO + own)
    chain.doit("ignore", "push_bundle:leaf")
    chain.doit("-n", "0", "use", "push_bundle:leaf", env={"BUNDLEPIPE_REPORT": "report.json,page.html,trace.json"})
    report = report_of(chain)
    tasks = tasks_of(report)
    assert tasks["push_bundle:leaf"]["state"] == "ignored"
    assert tasks["use"]["heldUpBy"] == {"task": "prepare", "because": "needs"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_reported(chain: Project, way: tuple[str, ...], number: int) -> None:
    wait = """
def task_wait():
    return {"actions": ["touch waiting; exec sleep 60"], "task_dep": ["push_bundle:leaf"]}

def task_after():
    return {"actions": ["true"], "task_dep": ["wait"]}
"""
    chain.write("dodo.py", chain.read("dodo.py") + wait)
    process = subprocess.Popen(
        [sys.executable, "-m", "doit", *way, "after"],
        cwd=chain.directory,
        env={**os.environ, **chain.environment, **REPORTED},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (chain.directory / "waiting").exists():
        assert process.poll() is None
    os.killpg(process.pid, number)
    output, errors = process.communicate(timeout=50)
    assert process.returncode != 0, output + errors
    report = report_of(chain)
    assert report["outcome"] == "interrupted"
    tasks = tasks_of(report)
    # Workers may not have told yet what they began.
    assert tasks["wait"]["state"] in ("interrupted", "notReached")
    assert tasks["after"]["state"] == "notReached"
    assert tasks["push_bundle:leaf"]["state"] == "done"


def test_the_pipeline_file_declares_reports_and_the_environment_others(chain: Project) -> None:
    chain.pipeline(f"reports: ['reports/${{NAME:-all}}.json']\n{CHAIN}")
    chain.doit()
    assert report_of(chain, "reports/all.json")["counts"]["done"] == 6
    chain.doit(env={"NAME": "again"})
    assert report_of(chain, "reports/again.json")["counts"]["upToDate"] == 6
    chain.doit(env={"BUNDLEPIPE_REPORT": " other.json, ,other.md", "NAME": "never"})
    assert report_of(chain, "other.json")
    assert not (chain.directory / "reports/never.json").exists()


def test_a_dodo_declares_reports(chain: Project) -> None:
    declared = """
from pathlib import Path
from bundlepipe import DOIT_CONFIG, Bundle, Pipeline
pipeline = Pipeline(
    bundles=[Bundle(name="leaf", files=["leaf"], push="layout.localhost/leaf")], reports=[Path("own") / "report.json"]
)
"""
    chain.write("dodo.py", declared)
    chain.bundle("leaf")
    chain.doit()
    assert report_of(chain, "own/report.json")["counts"]["done"] == 1


def test_reports_of_no_kind_are_refused(chain: Project) -> None:
    run = chain.doit(env={"BUNDLEPIPE_REPORT": "report.json,report.pdf"}, status=2)
    expected = "expected a path that ends in .html, .md, .xml (JUnit), trace.json (a trace) or .json"
    assert f"BUNDLEPIPE_REPORT: report.pdf: {expected}" in run.output
    assert not (chain.directory / ".bundlepipe/digests").exists()
    chain.pipeline(f"reports: [report.json, report.pdf]\n{CHAIN}")
    assert f"bundlepipe.yml:5:24: reports: report.pdf: {expected}" in chain.refusal()
    assert "Pipeline: reports[0]: expected" in chain.refusal_in_python(reports=[3])


def test_reports_in_inputs_and_outputs_are_refused(chain: Project) -> None:
    chain.pipeline(f"reports: [leaf/report.json]\n{CHAIN}")
    assert "its input leaf holds leaf/report.json, which every run changes" in chain.refusal()
    chain.pipeline(
        f"reports: [build/leaf/report.json]\npulls: {{leaf: {{from: {{bundle: leaf}}, to: build/leaf}}}}\n{CHAIN}"
    )
    assert "the report, build/leaf/report.json, lies in build/leaf, which pull 'leaf' replaces" in chain.refusal()


def test_a_report_that_cannot_be_written_fails_the_run_unless_it_failed_already(chain: Project) -> None:
    chain.write("file", "in the way")
    wanted = {"BUNDLEPIPE_REPORT": "file/report.json,fine.json"}
    run = chain.doit(env=wanted, status=3)
    expected = "ERROR: file/report.json: the report cannot be written: file is not a directory"
    assert run.stderr.splitlines()[-1] == expected
    assert "Traceback" not in run.output
    assert report_of(chain, "fine.json")["outcome"] == "succeeded"
    # The tasks did what they did.
    assert set(chain.doit().marks.values()) == {"--"}

    chain.write("middle/config.yml", "kind: [\n")
    failed = chain.doit("-n", "0", env=wanted, status=1)
    assert expected in failed.stderr.splitlines()


def test_a_report_replaces_one_and_leaves_no_other_file(chain: Project) -> None:
    chain.write("out/report.json", "old")
    before = set(os.listdir(chain.directory / "out"))
    chain.doit(env={"BUNDLEPIPE_REPORT": "out/report.json"})
    assert set(os.listdir(chain.directory / "out")) == before
    assert report_of(chain, "out/report.json")


def test_the_summary_of_a_step_is_appended_if_reports_are_wanted(chain: Project, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before")
    step = {"GITHUB_STEP_SUMMARY": str(summary)}
    chain.doit(env=step)
    assert summary.read_text() == "before"
    chain.doit(env={**step, **REPORTED})
    assert re.match(r"before\n### ✅ bundlepipe: succeeded in \d+\.\d s\n\n6 up to date\.", summary.read_text())
    missing = {"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "summary.md")}
    run = chain.doit(env={**missing, **REPORTED}, status=3)
    assert "(GITHUB_STEP_SUMMARY): the report cannot be added: No such file or directory" in run.stderr


IMPORTED = """
import sys
from doit.doit_cmd import DoitMain
status = DoitMain().run(sys.argv[1:])
print(status, sorted(name for name in sys.modules if "reports" in name or name.endswith("measuring")))
"""


def test_a_run_without_reports_imports_nothing_of_them(chain: Project) -> None:
    for _ in range(2):
        finished = subprocess.run(
            [sys.executable, "-c", IMPORTED, "-n", "0"],
            cwd=chain.directory,
            env={**os.environ, **chain.environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert finished.stdout.splitlines()[-1] == "0 []"
