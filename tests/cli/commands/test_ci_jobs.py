"""The commands `ci plan`, `ci run` and `ci report`: one plan, carried out by jobs in clones of their own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bundlepipe.documents.plan.saved import SavedPlan
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.command import Command, Result
from tests.support.git import commit_all, git
from tests.support.images import put_images
from tests.support.planned import SCHEMA
from tests.support.services import Registry

SCHEMAS = Path(__file__).parents[3] / "schemas"
GRAPH_SCHEMA = json.loads((SCHEMAS / "ci-graph.schema.json").read_text())
REPORT_SCHEMA = json.loads((SCHEMAS / "report.schema.json").read_text())
PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults: {{push: "{place}/{{name}}:1"}}
images:
  site: {{files: [site]}}
bundles:
  one: {{files: [one], lock: {{include: [{{image: site}}]}}}}
  two: {{files: [two], lock: {{include: [{{image: site}}]}}}}
  all: {{files: [all], lock: {{include: [{{bundle: one}}, {{bundle: two}}]}}}}
copies:
  all: {{from: {{bundle: all}}, to: "{place}/copied:1"}}
ci: {{tasks: [push_bundle, copy_bundle], startup: 0, shards: 2}}
"""
NAMES = ("site", "one", "two", "all")


class Jobs:
    """A repository of nested bundles, and its jobs."""

    def __init__(self, command: Command, registry: Registry) -> None:
        self.command = command
        self.directory = command.directory
        self.place = registry.repository("jobs")
        self._outside = Repository(self.place.registry, f"{self.place.path}/outside")
        self._made = put_images(Stores().repository(self._outside, writes=True), 2)
        self.move_tag(0)
        (self.directory / "bundlepipe.yml").write_text(PIPELINE.format(place=self.place))
        for name in NAMES:
            self.write(name, f"kind: {name}\n")
        self.write("one", f"kind: One\nimage: {self._outside}:1\n")
        (self.directory / ".gitignore").write_text(".bundlepipe\n.imgpkg\n")
        self.plan_file = self.directory.parent / "plan.json"
        self.reports = self.directory.parent / "reports"

    def write(self, name: str, text: str) -> None:
        (self.directory / name).mkdir(exist_ok=True)
        (self.directory / name / "config.yml").write_text(text)

    def move_tag(self, number: int) -> str:
        """Let the tag of the outside image name another one; return its digest."""
        manifest = self._made[number]
        Stores().repository(self._outside, writes=True).put_manifest(manifest, "1")
        return str(manifest.digest)

    def plan(self, *arguments: str | Path) -> dict[str, Any]:
        result = self.command("bundlepipe", "ci", "plan", "--out", self.plan_file, *arguments)
        assert result.status == 0, result
        document: dict[str, Any] = json.loads(self.plan_file.read_text())
        jsonschema.validate(document, SCHEMA)
        return document

    def run(self, shard: str, *options: str) -> Result:
        clone = self.directory.parent / "clone"
        shutil.rmtree(clone, ignore_errors=True)
        shutil.copytree(self.directory, clone, ignore=shutil.ignore_patterns(".bundlepipe", ".imgpkg"))
        report = self.reports / f"{shard}.json"
        reports = {"BUNDLEPIPE_REPORT": str(report)}
        return self.command(
            "bundlepipe", "ci", "run", shard, "--plan", self.plan_file, *options, cwd=clone, env=reports
        )

    def run_all(self, shards: Iterable[str]) -> None:
        for shard in shards:
            done = self.run(shard)
            assert done.status == 0, done

    def report(self, *arguments: str | Path) -> Result:
        return self.command("bundlepipe", "ci", "report", self.reports, "--plan", self.plan_file, *arguments)

    def pushed(self) -> dict[str, str]:
        """Return the digests that the tags name."""
        names = {name: name for name in NAMES} | {"copied": "copied"}
        repositories = {
            name: Repository(self.place.registry, f"{self.place.path}/{path}") for name, path in names.items()
        }
        return {name: str(Stores().repository(repository).resolve("1")) for name, repository in repositories.items()}


@pytest.fixture
def jobs(command: Command, registry: Registry) -> Jobs:
    """A repository of nested bundles, which is not in git yet."""
    return Jobs(command, registry)


def _shards(document: dict[str, Any]) -> list[str]:
    return [shard["name"] for shard in document["shards"]]


def _planned(document: dict[str, Any]) -> dict[str, str]:
    results = {
        task["name"].partition(":")[2]: task.get("result", {})
        for task in document["tasks"]
        if "copy" not in task["name"]
    }
    return {name: results[name]["digest"] for name in NAMES}


def test_jobs_push_what_was_planned_although_a_tag_moved_and_then_nothing_is_left(jobs: Jobs) -> None:
    document = jobs.plan()
    assert _shards(document) == ["1-01", "2-01", "2-02", "3-01"]
    jobs.move_tag(1)
    jobs.run_all(_shards(document))
    planned = _planned(document)
    assert jobs.pushed() == {**planned, "copied": planned["all"]}

    reported = jobs.report("-o", jobs.directory / "report.html", "-o", jobs.directory / "all.json")
    assert (reported.status, reported.stdout, reported.stderr) == (0, "", "")
    merged = json.loads((jobs.directory / "all.json").read_text())
    assert {task["name"]: task["job"] for task in merged["tasks"]} == {
        task: shard["name"] for shard in document["shards"] for task in shard["tasks"]
    }
    assert (jobs.directory / "report.html").read_text().startswith("<!DOCTYPE html>")

    jobs.move_tag(0)
    assert jobs.plan()["shards"] == []
    again = jobs.command("bundlepipe", "ci", "plan")
    assert (again.stdout, again.status) == ("nothing to do: no jobs\n", 0)


def test_a_job_that_failed_is_run_again_and_does_only_what_is_missing(jobs: Jobs) -> None:
    document = jobs.plan()
    jobs.run("1-01")
    jobs.run("2-01")
    failed = jobs.run("3-01")
    assert failed.status == 2 and "run the job of shard 2-02 again" in failed.stdout
    report = jobs.report()
    assert report.status == 1
    assert "2-02: left no report: its job did not run, or ended before it could write one" in report.stdout
    jobs.run_all(["2-02", "3-01"])
    assert jobs.report().status == 0
    again = jobs.run("2-01")
    assert "unchanged" in again.stdout and again.status == 0
    assert jobs.pushed()["all"] == _planned(document)["all"]


def test_a_changed_leaf_is_a_chain_of_jobs(jobs: Jobs) -> None:
    jobs.run_all(_shards(jobs.plan()))
    jobs.write("two", "kind: Changed\n")
    document = jobs.plan("--shards", "4")
    assert [task for shard in document["shards"] for task in shard["tasks"] if "lock" not in task] == [
        "push_bundle:two",
        "push_bundle:all",
        "copy_bundle:all",
    ]


def test_a_plan_of_another_commit_is_refused(jobs: Jobs) -> None:
    commit_all(jobs.directory)
    document = jobs.plan()
    first = git(jobs.directory, "rev-parse", "HEAD").strip()
    assert document["commit"] == first
    assert jobs.run("1-01").status == 0
    (jobs.directory / "README").write_text("more\n")
    commit_all(jobs.directory)
    second = git(jobs.directory, "rev-parse", "HEAD").strip()
    refused = jobs.run("1-01")
    assert refused.status == 3
    assert refused.stderr == (
        f"ERROR: {jobs.plan_file}: was made for commit {first[:12]}, and this is {second[:12]}: check that commit out, "
        "or plan again\n"
    )


def test_a_plan_that_is_divided_anew_keeps_its_commit_and_is_refused_in_another(jobs: Jobs) -> None:
    commit_all(jobs.directory)
    first = jobs.plan()["commit"]
    (jobs.directory / "README").write_text("more\n")
    divided = jobs.directory.parent / "divided.json"
    command = ("bundlepipe", "ci", "plan", "--plan", jobs.plan_file, "--out", divided)
    assert jobs.command(*command).status == 0
    assert json.loads(divided.read_text())["commit"] == first
    commit_all(jobs.directory)
    refused = jobs.command(*command)
    assert (refused.status, refused.stderr.count("\n")) == (3, 1)
    assert refused.stderr.startswith(f"ERROR: {jobs.plan_file}: was made for commit {first[:12]}, and this is ")
    # A directory that is no checkout has no commit of its own.
    shutil.rmtree(jobs.directory / ".git")
    assert jobs.command(*command).status == 0
    assert json.loads(divided.read_text())["commit"] == first


def test_what_an_engine_has_to_know_is_appended_or_in_files(jobs: Jobs, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_text("before=1\n")
    jobs.plan("--outputs", output, "--waves", "4")
    lines = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert lines.pop("before") == "1"
    waves = json.loads(lines["waves"])
    assert [[job["shard"] for job in wave] for wave in waves] == [["1-01"], ["2-01", "2-02"], ["3-01"], []]
    assert lines["has_work"] == "true"
    assert [json.loads(lines[f"wave-{number}"]) for number in range(1, 5)] == waves
    (tmp_path / "directory").mkdir()
    jobs.plan("--outputs", tmp_path / "directory", "--waves", "4")
    assert {path.name: path.read_text() for path in (tmp_path / "directory").iterdir()} == lines


def test_forms_of_the_graph(jobs: Jobs) -> None:
    text = jobs.command("bundlepipe", "ci", "plan").stdout.splitlines()
    assert text[0].startswith("wave 1: 1 job, 1 task, about 1 s")
    assert text[-1].startswith("4 jobs in 3 waves, 8 tasks, about ")
    document = json.loads(jobs.command("bundlepipe", "ci", "plan", "--json").stdout)
    jsonschema.validate(document, GRAPH_SCHEMA)
    assert _shards(document) == ["1-01", "2-01", "2-02", "3-01"]
    markdown = jobs.command("bundlepipe", "ci", "plan", "--markdown").stdout
    assert "`push_bundle:all`" in markdown and "| 2 | 2-01 | 2 |" in markdown


def test_a_saved_plan_is_divided_without_a_request(jobs: Jobs) -> None:
    jobs.plan()
    divided = jobs.directory.parent / "divided.json"
    dead = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}
    command = (
        "bundlepipe",
        "ci",
        "plan",
        "--plan",
        jobs.plan_file,
        "--shards",
        "1",
        "--startup",
        "60",
        "--out",
        divided,
    )
    done = jobs.command(*command, env=dead)
    assert done.status == 0, done
    assert _shards(json.loads(divided.read_text())) == ["1-01"]
    before, after = (SavedPlan.parse(path.read_bytes(), str(path)) for path in (jobs.plan_file, divided))
    # Shards of one name have other tasks, so reports of the one division do not fit the other.
    assert before.saved.salt == after.saved.salt and before.identity != after.identity


def test_names_of_files_that_are_not_utf_8_are_no_hindrance_to_engines(jobs: Jobs) -> None:
    os.close(os.open(os.fsencode(jobs.directory / "site") + b"/\xff.html", os.O_CREAT | os.O_WRONLY))
    shards = _shards(jobs.plan())
    child = jobs.command("bundlepipe", "ci", "gitlab", "--plan", jobs.plan_file)
    assert set(shards) <= set(yaml.safe_load(child.output))


def test_measured_durations_decide_instead_of_estimates(jobs: Jobs) -> None:
    jobs.run_all(_shards(jobs.plan()))
    jobs.report("-o", jobs.directory.parent / "all.json")
    report = json.loads((jobs.directory.parent / "all.json").read_text())
    for task in report["tasks"]:
        task["ended"] = task["began"] + (100.0 if task["name"] == "push_bundle:one" else 1.0)
    (jobs.directory.parent / "all.json").write_text(json.dumps(report))
    document = jobs.plan("--all", "--durations", jobs.directory.parent / "all.json")
    costs = {task: shard["cost"]["seconds"] for shard in document["shards"] for task in shard["tasks"]}
    assert costs["push_bundle:one"] >= 100 > costs["push_bundle:two"]


def test_what_differs_is_told_of_the_tasks_of_the_settings_or_those_named(jobs: Jobs) -> None:
    commit_all(jobs.directory)
    jobs.write("two", "kind: Changed\n")
    for named, are_there in [([], True), (["push_bundle"], False)]:
        told = jobs.command("bundlepipe", "ci", "plan", "--since", "HEAD", *named).output
        assert "push_bundle:all" in told
        assert ("copy_bundle:all" in told) is are_there


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--shards", "0"], "--shards 0: expected a number from 1 to 256"),
        (["plan", "--startup", "-1"], "--startup -1: expected a number 0 or more"),
        (["plan", "--json", "--markdown"], "--json and --markdown exclude each other: give one of them"),
        (["plan", "--since", "HEAD", "--out", "x"], "--out is for a plan of a run, and --since shows what differs"),
        (["plan", "--since", "HEAD", "--shards", "2"], "--shards is for a plan of a run, and --since shows"),
        (["plan", "--since", "HEAD", "--startup", "0"], "--startup is for a plan of a run, and --since shows"),
        (["plan", "--since", "HEAD", "--durations", "x"], "--durations is for a plan of a run, and --since shows"),
        (["plan", "--since", "HEAD", "--all"], "--all is for a plan of a run, and --since shows"),
        (["plan", "--plan", "x.json", "push_bundle"], "--plan x.json has its tasks already: leave out push_bundle"),
        (["plan", "nope"], "ERROR: 'nope' is no task and no target: 'bundlepipe doit list --all' shows the tasks"),
        (["plan", "--durations", "none.json"], "none.json: "),
        (["plan", "--outputs", "no/such/file"], "no/such/file: cannot be written: No such file or directory"),
        (["plan", "--plan", "none.json"], "none.json: cannot be read: No such file or directory"),
        (["run", "1-01"], "--plan is missing: name the file that 'bundlepipe ci plan --out FILE' has saved"),
        (["run", "--plan", "plan.json"], "expected the name of one shard of plan.json, and none is given"),
        (
            ["run", "1-01", "1-02", "--plan", "plan.json"],
            "expected the name of one shard of plan.json, and 2 are given",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(jobs: Jobs, arguments: list[str], message: str) -> None:
    failed = jobs.command("bundlepipe", "ci", *arguments)
    assert failed.status == 3
    assert failed.stderr.startswith("ERROR: ") and message in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_an_unknown_task_of_the_settings_is_told_with_its_place(jobs: Jobs) -> None:
    path = jobs.directory / "bundlepipe.yml"
    path.write_text(path.read_text().replace("tasks: [push_bundle, copy_bundle]", "tasks: [nope]"))
    commit_all(jobs.directory)
    told = "ERROR: ci: tasks: 'nope' is no task and no target: 'bundlepipe doit list --all' shows the tasks\n"
    for options in ((), ("--since", "HEAD")):
        failed = jobs.command("bundlepipe", "ci", "plan", *options)
        assert (failed.status, failed.stderr) == (3, told)


def test_options_may_stand_behind_tasks(jobs: Jobs) -> None:
    done = jobs.command("bundlepipe", "ci", "plan", "push_bundle:one", "--out", jobs.plan_file)
    assert done.status == 0, done
    shards = json.loads(jobs.plan_file.read_text())["shards"]
    assert "push_bundle:two" not in {task for shard in shards for task in shard["tasks"]}


def test_the_help_of_plan_says_what_it_prints_and_saves(jobs: Jobs) -> None:
    told = " ".join(jobs.command("bundlepipe", "ci", "plan", "--help").stdout.split())
    assert "print the graph of jobs as JSON" in told
    assert "for 'bundlepipe ci run SHARD --plan FILE'" in told and "doit plan=" not in told


def test_reports_that_are_none_are_refused(jobs: Jobs) -> None:
    jobs.plan()
    (jobs.directory / "x.json").write_text("{}")
    failed = jobs.command("bundlepipe", "ci", "report", "x.json")
    assert "x.json:1:1: has no kind, expected a Report" in failed.failed
    assert "'x.foo': expected a path that ends in" in jobs.command("bundlepipe", "ci", "report", "-o", "x.foo").failed
    assert "--plan: the name of the file is empty" in jobs.command("bundlepipe", "ci", "report", "--plan", "").failed
    assert "there is no report: name the .json files" in jobs.command("bundlepipe", "ci", "report").failed
    (jobs.directory / "kept.html").write_text("precious")
    kept = jobs.command("bundlepipe", "ci", "report", "--plan", jobs.plan_file, "-o", "kept.html")
    assert "kept.html: exists, but it is not a report of a run" in kept.failed


def test_reports_of_another_plan_or_of_none_are_left_out(jobs: Jobs) -> None:
    jobs.run_all(_shards(jobs.plan()))
    plan, other = jobs.plan_file, jobs.directory.parent / "other.json"
    shutil.copy(jobs.reports / "1-01.json", jobs.reports / "again.json")
    without = json.loads((jobs.reports / "1-01.json").read_text())
    assert len(without.pop("plan")) == 16
    (jobs.reports / "none.json").write_text(json.dumps(without))
    jobs.plan_file = other
    left = [name for name in _shards(jobs.plan("--all")) if name != "1-01"]
    jobs.run("1-01")
    told = jobs.report("-o", jobs.reports / "all.json")
    assert told.status == 1
    assert told.stderr.splitlines() == [
        f"bundlepipe: {jobs.reports}/2-01.json: left out: it is of another plan than {other}",
        f"bundlepipe: {jobs.reports}/2-02.json: left out: it is of another plan than {other}",
        f"bundlepipe: {jobs.reports}/3-01.json: left out: it is of another plan than {other}",
        f"bundlepipe: {jobs.reports}/again.json: left out: it is of another plan than {other}",
        f"bundlepipe: {jobs.reports}/none.json: left out: it is of a run that carried out no saved plan, not {other}",
    ]
    merged = json.loads((jobs.reports / "all.json").read_text())
    jsonschema.validate(merged, REPORT_SCHEMA)
    states = {task["name"]: task["state"] for task in merged["tasks"]}
    assert {states[task] for shard in json.loads(other.read_text())["shards"] for task in shard["tasks"]} == {
        "unchanged",
        "notReached",
    }
    assert {error.partition(":")[0] for error in merged["errors"]} == set(left)
    jobs.plan_file = plan
    again = jobs.report()
    assert f"{jobs.reports}/all.json: left out: it is of another plan than {plan}" in again.stderr
    (jobs.reports / "all.json").write_text(
        json.dumps({**merged, "plan": json.loads((jobs.reports / "again.json").read_text())["plan"]})
    )
    assert f"{jobs.reports}/all.json: left out: it is not of one shard of {plan}" in jobs.report().stderr


def test_a_dodo_py_without_settings_of_doit_gets_reports_as_well(jobs: Jobs) -> None:
    (jobs.directory / "dodo.py").write_text(
        "from bundlepipe import Pipeline\npipeline = Pipeline.load('bundlepipe.yml')\n"
    )
    jobs.run_all(_shards(jobs.plan()))
    assert jobs.report().status == 0
    chosen = jobs.run("1-01", "-r", "zero")
    assert (chosen.status, chosen.stdout) == (0, "")
    (jobs.directory / "dodo.py").write_text(
        (jobs.directory / "dodo.py").read_text() + "DOIT_CONFIG = {'reporter': 'zero'}\n"
    )
    declared = jobs.run("1-01")
    assert (declared.status, declared.stdout) == (0, "")
    assert "[default: bundlepipe]" in jobs.command("bundlepipe", "ci", "run", "--help").stdout


def test_reports_in_a_directory_are_found_by_their_kind(jobs: Jobs) -> None:
    jobs.run_all(_shards(jobs.plan()))
    for path in jobs.reports.iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    (jobs.reports / "other.json").write_text('{"kind": "Other"}')
    (jobs.reports / "broken.json").write_text("{")
    assert jobs.report().status == 0


def test_the_summary_of_a_github_job_gets_the_merged_report(jobs: Jobs, tmp_path: Path) -> None:
    jobs.run_all(_shards(jobs.plan()))
    summary = tmp_path / "summary.md"
    variables = {"GITHUB_STEP_SUMMARY": str(summary)}
    done = jobs.command("bundlepipe", "ci", "report", jobs.reports, "--plan", jobs.plan_file, env=variables)
    assert done.status == 0
    assert summary.read_text() == "\n" + done.stdout
