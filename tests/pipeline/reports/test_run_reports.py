"""What reports of a run say, in every way of running doit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from xml.etree import ElementTree

from tests.support.junit import junit_faults
from tests.support.project import DODO, Project, because
from tests.support.proxy import Proxy, Respond
from tests.support.reports import ALL_FORMS, REPORTED, report_of, tasks_of
from tests.support.trace_events import trace_faults


def test_a_run_has_every_report_in_every_way(chain: Project, way: tuple[str, ...]) -> None:
    chain.doit(*way, "push_bundle", env={"BUNDLEPIPE_REPORT": ALL_FORMS})
    assert sorted(path.name for path in (chain.directory / "out").iterdir()) == [
        "junit.xml", "report.html", "report.json", "summary.md", "trace.json"
    ]  # fmt: skip
    assert list(junit_faults(ElementTree.fromstring(chain.read("out/junit.xml")))) == []
    assert list(trace_faults(json.loads(chain.read("out/trace.json")))) == []
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
    assert list(junit_faults(suites)) == []
    assert list(trace_faults(json.loads(chain.read("out/trace.json")))) == []
    failed = suites.findall(".//testcase[failure]")
    assert [case.get("name") for case in failed] == ["lock_bundle:middle"]
    assert len(suites.findall(".//testcase[skipped]")) == 3
    assert "middle/config.yml:2:1: not YAML" in chain.read("out/summary.md")
    assert "middle/config.yml:2:1: not YAML" in chain.read("out/report.html")


def test_no_part_of_a_secret_is_left_by_cuts_and_lines(chain: Project) -> None:
    own = """
import os, sys

def wrong():
    sys.stdout.write(os.environ["LONG_TOKEN"] + "x" * 9_980)
    raise ValueError(os.environ["SIGNING_KEY"])

def task_wrong():
    return {"actions": [wrong]}

def task_stripped():
    return {"actions": ["echo $WITH_END_PASS; exit 1"]}
"""
    chain.write("dodo.py", DODO + own)
    secrets = {
        "LONG_TOKEN": "0123456789-abcdefghij-ABCDEFGHIJ", "SIGNING_KEY": "-----FIRST LINE-----\n  c2Vjb25k\nc2hvcnQ=",
        "WITH_END_PASS": "hunter22\n",
    }  # fmt: skip
    chain.doit("-n", "0", "--continue", "wrong", "stripped", env={"BUNDLEPIPE_REPORT": ALL_FORMS, **secrets}, status=2)
    tasks = tasks_of(report_of(chain, "out/report.json"))
    assert tasks["wrong"]["error"]["output"] == "***" + "x" * 9_980
    assert tasks["wrong"]["error"]["message"] == "PythonAction Error: ValueError: ***"
    assert tasks["stripped"]["error"]["output"] == "***"
    for path in ALL_FORMS.split(","):
        text = chain.read(path)
        for part in ("abcdefghij", "ABCDEFGHIJ", "FIRST LINE", "c2Vjb25k", "c2hvcnQ=", "hunter22"):
            assert part not in text, (path, part)


def test_only_the_end_of_long_output_is_reported(chain: Project) -> None:
    printed = "print('first'); print('x' * 10_000); print('last'); raise SystemExit(1)"
    chain.write(
        "dodo.py",
        f"""{DODO}
def task_wrong():
    return {{"actions": [{[sys.executable, "-c", printed]!r}]}}
""",
    )
    chain.doit("wrong", env=REPORTED, status=1)
    output = tasks_of(report_of(chain))["wrong"]["error"]["output"]
    assert output == "x" * 9_994 + "\nlast\n"


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


def test_names_of_other_bytes_are_reported_in_every_form(chain: Project) -> None:
    own = """
def task_files():
    yield {"name": "bad\\udcff", "actions": ["true"]}
    yield {"name": "user", "actions": ["true"], "task_dep": ["files:bad\\udcff"]}
"""
    chain.write("dodo.py", DODO + own)
    run = chain.doit("-n", "0", "files", env={"BUNDLEPIPE_REPORT": ALL_FORMS, "PYTHONIOENCODING": "utf-8:replace"})
    assert "cannot be made" not in run.output
    tasks = tasks_of(report_of(chain, "out/report.json"))
    assert tasks["files:user"]["needs"] == ["files:bad\\udcff"]
    assert tasks["files:user"]["heldUpBy"]["task"] == "files:bad\\udcff"
    for path in ALL_FORMS.split(","):
        assert "udcff" in chain.read(path)


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
