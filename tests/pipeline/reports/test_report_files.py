"""Where reports are written, and what they may replace."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.git import git
from tests.support.project import Project
from tests.support.reports import ALL_FORMS, CHAIN, LOTS, ONLY_REPORTER, REPORTED, report_of


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


@pytest.mark.parametrize(("reporter", "name"), [("console", "ConsoleReporter"), ("json", "JsonReporter")])
def test_another_reporter_writes_no_reports_and_a_line_says_so(chain: Project, reporter: str, name: str) -> None:
    said = f"no report is written: {name} writes none: use bundlepipe's, -r bundlepipe\n"
    assert chain.doit("-r", reporter, env=REPORTED).stderr == said
    chain.pipeline(f"reports: [report.json]\n{CHAIN}")
    assert chain.doit("-r", reporter).stderr == said
    assert chain.doit("-r", reporter, env={"BUNDLEPIPE_REPORT": ""}).stderr == said
    assert chain.doit("list").stderr == chain.doit("plan").stderr == ""
    assert not (chain.directory / "report.json").exists()
    assert chain.doit().stderr == ""


def test_reports_of_no_kind_are_refused(chain: Project) -> None:
    run = chain.doit(env={"BUNDLEPIPE_REPORT": "report.json,report.pdf"}, status=3)
    expected = "expected a path that ends in .html or .htm, .md, .xml (JUnit), trace.json (a trace) or .json"
    assert (run.stdout, run.stderr) == ("", f"ERROR: BUNDLEPIPE_REPORT: report.pdf: {expected}\n")
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
    expected = "ERROR: file/report.json: cannot be written: file is not a directory"
    assert run.stderr.splitlines()[-1] == expected
    assert "Traceback" not in run.output
    assert report_of(chain, "fine.json")["outcome"] == "succeeded"
    # The tasks did what they did.
    assert set(chain.doit().marks.values()) == {"--"}

    chain.write("middle/config.yml", "kind: [\n")
    failed = chain.doit("-n", "0", env=wanted, status=1)
    assert expected in failed.stderr.splitlines()


def test_a_report_replaces_reports_and_leaves_no_other_file(chain: Project) -> None:
    chain.write("out/report.json", "")
    (chain.directory / "out/junit.xml").symlink_to("other.xml")
    for _ in range(2):
        chain.doit(env={"BUNDLEPIPE_REPORT": ALL_FORMS})
    names = ["junit.xml", "other.xml", "report.html", "report.json", "summary.md", "trace.json"]
    assert sorted(os.listdir(chain.directory / "out")) == names
    assert (chain.directory / "out/junit.xml").is_symlink()
    assert report_of(chain, "out/report.json")["counts"]["upToDate"] == 6


@pytest.mark.parametrize("is_declared", [False, True])
def test_nothing_but_a_report_is_replaced_and_the_run_goes_on(chain: Project, is_declared: bool) -> None:
    chain.write("package.json", '{"name": "shop"}\n')
    (chain.directory / "link.json").symlink_to("package.json")
    for name in ("README.md", "page.html", "pom.xml", "x.trace.json"):
        chain.write(name, f"precious {name}")
    # Also not what git has.
    git(chain.directory, "init", "--quiet")
    git(chain.directory, "add", "README.md")
    git(chain.directory, "commit", "--quiet", "-m", "first")
    paths = ["README.md", "package.json", "link.json", "page.html", "pom.xml", "x.trace.json", "fine.json"]
    if is_declared:
        chain.pipeline(f"reports: [{', '.join(paths)}]\n{CHAIN}")
    run = chain.doit(env={} if is_declared else {"BUNDLEPIPE_REPORT": ",".join(paths)}, status=3)
    assert run.stderr.splitlines() == [
        f"ERROR: {path}: exists, but it is not a report of a run: remove it, or name another file"
        for path in paths[:-1]
    ]
    assert chain.read("package.json") == '{"name": "shop"}\n'
    assert [chain.read(name) for name in ("README.md", "pom.xml")] == ["precious README.md", "precious pom.xml"]
    assert report_of(chain, "fine.json")["counts"]["done"] == 6


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("leaf/report.json", "its input leaf holds leaf/report.json, which every run changes"),
        (".bundlepipe/x.json", "BUNDLEPIPE_REPORT: the report would replace .bundlepipe/x.json: write it elsewhere"),
        (".git/x.json", ".git/x.json is in a repository of git: write it elsewhere"),
    ],
)
def test_reports_that_the_environment_wants_are_checked_as_declared_ones_are(
    chain: Project, path: str, words: str
) -> None:
    for given in (path, str(chain.directory / path)):
        run = chain.doit(env={"BUNDLEPIPE_REPORT": f"fine.json,{given}"}, status=3)
        assert words in run.stderr
        assert not (chain.directory / path).exists() and not (chain.directory / "fine.json").exists()


def test_records_of_runs_are_no_place_for_reports_without_a_pipeline_either(chain: Project) -> None:
    chain.write("dodo.py", ONLY_REPORTER + LOTS)
    run = chain.doit("lots", env={"BUNDLEPIPE_REPORT": ".bundlepipe/x.json"}, status=3)
    expected = "BUNDLEPIPE_REPORT: .bundlepipe/x.json: .bundlepipe is for records of runs: write it elsewhere"
    assert (run.stdout, run.stderr) == ("", f"ERROR: {expected}\n")


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
