"""The commands `ci github`, `gitlab`, `buildkite`, `argo` and `check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.ci import graph
from tests.support.command import Command, Result
from tests.support.git import commit_all, git
from tests.support.project import NESTED_BUNDLES

ENGINES = ("github", "gitlab", "buildkite", "argo")
WORKFLOW = ".github/workflows/bundles.yml"
RUNNING = "bundlepipe: running in .., where bundlepipe.yml is\n"


@pytest.fixture
def repository(pipeline: Command) -> Command:
    """A command in a git repository with a pipeline in its root."""
    git(pipeline.directory, "init", "-q")
    return pipeline


def set_ci(command: Command, settings: str) -> None:
    (command.directory / "bundlepipe.yml").write_text(f"{NESTED_BUNDLES}ci: {settings}\n")


def plan(command: Command, document: object) -> str:
    (command.directory / "plan.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return "plan.json"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_is_printed_or_written(repository: Command, engine: str) -> None:
    printed = repository("bundlepipe", "ci", engine).output
    assert printed.startswith(f"# Written by: bundlepipe ci {engine}\n")
    assert repository("bundlepipe", "ci", engine, "-o", "-").output == printed
    repository.silently("bundlepipe", "ci", engine, "-o", "new/bundles.yml")
    written = (repository.directory / "new/bundles.yml").read_text()
    # GitLab reads the file again, for the child pipeline.
    expected = printed.replace("local: /.gitlab-ci.yml\n", "local: /new/bundles.yml\n")
    assert written == expected.replace(f"ci {engine}\n", f"ci {engine} -o new/bundles.yml\n", 1)
    assert json.loads(repository("bundlepipe", "ci", engine, "--json").stdout)["Blocks"] == [printed]


def test_the_settings_are_those_of_the_pipeline(repository: Command) -> None:
    set_ci(repository, "{timeout: 7, github: {runsOn: [big]}}")
    jobs = yaml.safe_load(repository("bundlepipe", "ci", "github").output)["jobs"]
    assert {(job["timeout-minutes"], job["runs-on"]) for job in jobs.values()} == {(7, "big")}


def test_the_settings_of_a_dodo_py_are_found(repository: Command) -> None:
    (repository.directory / "dodo.py").write_text(
        "from bundlepipe import CI, DOIT_CONFIG, Pipeline\n"
        "first, second = Pipeline(ci=CI(timeout=7)), Pipeline(prefix='blue')\n"
    )
    assert "timeout-minutes: 7" in repository("bundlepipe", "ci", "github").output


VARIABLES = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults: {push: "${REGISTRY}/${PATH_}/{name}:${VERSION}"}
lock: "${LOCK}"
reports: ["${REPORT}"]
registries: {"r.example": {layout: "${LAYOUT}"}}
images:
  web: {run: ["${PROGRAM}", x]}
bundles:
  one: {files: ["${SOURCE}"], lock: {}}
  two: {files: [.]}
copies:
  one: {from: {bundle: typo}, to: "localhost:${PORT}/one:1"}
pulls:
  one: {from: "${IMAGE}@${DIGEST}", to: "${OUT}"}
renders:
  one: {files: ["${SOURCE}"], output: "${OUT}/r.yml", apply: {context: "${CONTEXT}"}}
"""
PATTERNS = ("*_image:web", "lock_bundle:one", "push_bundle", "copy_bundle:*", "pull_*", "render_config:one", "apply_*")


def test_variables_of_the_environment_are_needed_in_the_settings_alone(repository: Command) -> None:
    environments = json.dumps(dict.fromkeys(PATTERNS, "production"))
    settings = f'ci: {{variables: {{DEPTH: "${{DEPTH:-three}}"}}, environments: {environments}}}\n'
    pipeline = repository.directory / "bundlepipe.yml"
    pipeline.write_text(VARIABLES + settings)
    assert "DEPTH: three\n" in repository("bundlepipe", "ci", "github").output
    (repository.directory / "dodo.py").write_text(
        "from bundlepipe import DOIT_CONFIG, Pipeline\n"
        "blue, green = Pipeline.load('bundlepipe.yml', prefix='blue'), Pipeline(prefix='green')\n"
    )
    failed = repository("bundlepipe", "ci", "github").failed
    assert "no task matches 'lock_bundle:one'" in failed and "'push_bundle'" not in failed
    (repository.directory / "dodo.py").unlink()

    pipeline.write_text(VARIABLES + settings.replace(":-three", "").replace("lock_bundle:one", "lock_bundle:two"))
    assert repository("bundlepipe", "ci", "github").failed == (
        "bundlepipe: Error: bundlepipe.yml:18:25: environment variable DEPTH is not set: set it, or write "
        "${DEPTH:-DEFAULT}\n"
    )
    assert "no task matches 'lock_bundle:two'" in repository("bundlepipe", "ci", "github", env={"DEPTH": "3"}).failed
    assert not (repository.directory / ".bundlepipe").exists()


def test_settings_in_an_included_file_are_never_left_out(repository: Command) -> None:
    pipeline = repository.directory / "bundlepipe.yml"
    pipeline.write_text(f'{NESTED_BUNDLES}include: ["${{CONF}}/*.yml"]\n')
    (repository.directory / "conf").mkdir()
    (repository.directory / "conf/ci.yml").write_text(
        "apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\nci: {timeout: 7}\n"
    )
    assert "environment variable CONF is not set" in repository("bundlepipe", "ci", "github").failed
    assert "timeout-minutes: 7" in repository("bundlepipe", "ci", "github", env={"CONF": "conf"}).output


def test_from_a_directory_below_paths_are_seen_from_there(repository: Command) -> None:
    below = repository.directory / "one"
    written = repository("bundlepipe", "ci", "github", "-o", f"../{WORKFLOW}", cwd=below)
    assert (written.status, written.stderr) == (0, RUNNING)
    assert (
        (repository.directory / WORKFLOW).read_text().startswith(f"# Written by: bundlepipe ci github -o {WORKFLOW}\n")
    )
    repository.silently("bundlepipe", "ci", "check", WORKFLOW)
    assert repository("bundlepipe", "ci", "check", f"../{WORKFLOW}", cwd=below).status == 0


def test_a_pipeline_below_the_root_of_its_repository(command: Command) -> None:
    git(command.directory, "init", "-q")
    project = command.directory / "apps"
    project.mkdir()
    (project / "bundlepipe.yml").write_text("apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n")
    assert command("bundlepipe", "ci", "github", "-o", f"../{WORKFLOW}", cwd=project).output == ""
    text = (command.directory / WORKFLOW).read_text()
    assert text.startswith(f"# Written by: cd apps && bundlepipe ci github -o ../{WORKFLOW}\n")
    assert "working-directory: apps" in text
    assert "up to date" in command("bundlepipe", "ci", "check", "--tty", cwd=project).stdout


def test_an_absolute_path_is_written_as_seen_from_the_project(command: Command, tmp_path: Path) -> None:
    git(command.directory, "init", "-q")
    project = command.directory / "apps"
    project.mkdir()
    (project / "bundlepipe.yml").write_text("apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n")
    linked = tmp_path / "linked"
    linked.symlink_to(command.directory)
    for file in (command.directory / ".gitlab-ci.yml", linked / ".gitlab-ci.yml"):
        assert command("bundlepipe", "ci", "gitlab", "-o", file, cwd=project).output == ""
        text = file.read_text()
        assert text.startswith("# Written by: cd apps && bundlepipe ci gitlab -o ../.gitlab-ci.yml\n")
        for arguments in ((), (file,)):
            told = command("bundlepipe", "ci", "check", "--tty", *arguments, cwd=project)
            assert told.status == 0 and told.stdout.startswith("../.gitlab-ci.yml: up to date\n")


def test_a_file_outside_of_the_repository_says_nothing_of_the_machine(repository: Command, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere/ci.yml"
    repository.silently("bundlepipe", "ci", "github", "-o", elsewhere)
    assert elsewhere.read_text() == repository("bundlepipe", "ci", "github").output
    repository.silently("bundlepipe", "ci", "check", elsewhere)
    set_ci(repository, "{timeout: 7}")
    told = f"out of date: write it again with: bundlepipe ci github -o {elsewhere}\n"
    assert repository("bundlepipe", "ci", "check", elsewhere).stderr.endswith(told)


def test_files_that_define_the_tasks_are_never_replaced(repository: Command) -> None:
    directory = repository.directory
    set_ci(repository, "{timeout: 7}\ninclude: [more.yml]")
    (directory / "more.yml").write_text("apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n")
    (directory / "linked.yml").symlink_to("more.yml")
    commit_all(directory)
    for name in ("bundlepipe.yml", directory / "bundlepipe.yml", "more.yml", "linked.yml"):
        for options in ((), ("--force",)):
            told = f"bundlepipe: Error: {name}: defines the tasks of this project: name another file\n"
            assert repository("bundlepipe", "ci", "github", "-o", name, *options).failed == told
    assert git(directory, "status", "--porcelain", "--untracked-files=no") == ""


def test_a_file_that_would_be_lost_is_replaced_by_force_alone(repository: Command) -> None:
    mine = repository.directory / "mine.yml"
    mine.write_text("on: push\n")
    refused = repository("bundlepipe", "ci", "gitlab", "-o", "mine.yml").failed
    assert refused.startswith("bundlepipe: Error: mine.yml: exists, but 'bundlepipe ci' did not write it")
    assert mine.read_text() == "on: push\n"
    repository.silently("bundlepipe", "ci", "gitlab", "-o", "mine.yml", "--force")
    repository.silently("bundlepipe", "ci", "github", "-o", "mine.yml")


@pytest.mark.parametrize("engine", ["gitlab", "buildkite"])
def test_a_plan_becomes_jobs(repository: Command, engine: str) -> None:
    made = plan(repository, {"kind": "Plan", "tasks": [], **json.loads(graph(2, 1).as_json())})
    printed = repository("bundlepipe", "ci", engine, "--plan", made).output
    assert [name for name in ("1-01", "1-02", "2-01", "3-01") if name in printed] == ["1-01", "1-02", "2-01"]
    (repository.directory / ".bundlepipe/ci").mkdir(parents=True)
    for _ in range(2):
        repository.silently("bundlepipe", "ci", engine, "--plan", made, "-o", ".bundlepipe/ci/jobs.yml")
    assert (repository.directory / ".bundlepipe/ci/jobs.yml").read_text() == printed


def test_a_child_pipeline_of_many_jobs_is_told(repository: Command) -> None:
    made = plan(repository, graph(250, 250).as_json())
    told = repository("bundlepipe", "ci", "gitlab", "--plan", made)
    assert (told.status, told.stderr.count("\n")) == (0, 1)
    assert told.stderr.startswith("bundlepipe: the child pipeline has 502 jobs; GitLab.com allows 500 in its free tier")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"tasks": []}, "plan.json: has no shards: make a plan with 'bundlepipe ci plan --out plan.json'"),
        ("{", "plan.json: expected a plan with shards: "),
        ({"shards": [{"name": "1"}]}, "plan.json: expected a plan with shards: Object missing required field `wave`"),
        ({"shards": [{"name": "1-1;x", "wave": 1, "tasks": []}]}, "plan.json: '1-1;x' is no name of a shard: expected"),
    ],
)
def test_a_plan_that_has_no_shards_is_an_error(repository: Command, document: object, told: str) -> None:
    made = plan(repository, document)
    assert told in repository("bundlepipe", "ci", "gitlab", "--plan", made).failed


def test_errors_are_lines(repository: Command) -> None:
    for arguments, told in {
        ("github", "-o", ""): "-o: the name of the file is empty: name a file, or - for the output",
        ("github", "-o", "one"): "one: is a directory: name a file",
        (
            "gitlab",
            "--plan",
            "",
        ): "--plan: the name of the file is empty: name the plan that 'bundlepipe ci plan' saved",
        ("gitlab", "--plan", "none.json"): "none.json: cannot be read: No such file or directory",
        ("argo", "-o", "bundlepipe.yml/x"): "bundlepipe.yml/x: cannot be written: bundlepipe.yml is not a directory",
    }.items():
        failed = repository("bundlepipe", "ci", *arguments).failed
        assert failed.startswith(f"bundlepipe: Error: {told}") and failed.count("\n") == 1, failed
    set_ci(repository, "{install: 'x {{y}}'}")
    assert "ci: install: Argo Workflows replaces" in repository("bundlepipe", "ci", "argo").failed
    set_ci(repository, "{secrets: [a-b]}")
    assert "'a-b' is no name of an environment variable" in repository("bundlepipe", "ci", "github").failed


def test_what_is_out_of_date_is_told_with_a_diff_and_the_command_that_mends_it(repository: Command) -> None:
    repository.silently("bundlepipe", "ci", "github", "-o", WORKFLOW)
    repository.silently("bundlepipe", "ci", "gitlab", "-o", ".gitlab-ci.yml")
    repository.silently("bundlepipe", "ci", "check")
    set_ci(repository, "{gitlab: {image: python:3.14}}")
    told = repository("bundlepipe", "ci", "check")
    mend = "bundlepipe ci gitlab -o .gitlab-ci.yml"
    assert told.status == 1
    assert told.stderr == f"bundlepipe: Error: .gitlab-ci.yml: out of date: write it again with: {mend}\n"
    assert told.stdout.splitlines()[0] == ".gitlab-ci.yml:"
    assert "-  image: python:3.13" in told.stdout and "+  image: python:3.14" in told.stdout
    repository.silently(*mend.split())
    repository.silently("bundlepipe", "ci", "check")


def test_a_repository_without_written_files_is_told(repository: Command) -> None:
    told = repository("bundlepipe", "ci", "check")
    note = "bundlepipe: there is no workflow that 'bundlepipe ci' wrote for this pipeline\n"
    assert (told.status, told.stdout, told.stderr) == (0, "", note)
    assert "none.yml: cannot be read: No such file" in repository("bundlepipe", "ci", "check", "none.yml").failed


def test_a_repository_that_git_cannot_use_is_no_missing_one(command: Command) -> None:
    git(command.directory, "init", "-q")
    project = command.directory / "apps"
    project.mkdir()
    (project / "bundlepipe.yml").write_text("apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n")
    made = plan(command, {**json.loads(graph(1).as_json()), "commit": "0" * 40})
    owned = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    root = command.directory.resolve()
    for arguments in (
        ("gitlab", "--plan", f"../{made}"),
        ("check",),
        ("plan", "--out", "new.json"),
        ("run", "1-01", "--plan", f"../{made}"),
    ):
        told = command("bundlepipe", "ci", *arguments, cwd=project, env=owned)
        assert told.status != 0 and "detected dubious ownership in repository at" in told.stderr, told
        assert f": git config --global --add safe.directory {root}\n" in told.stderr


def test_a_repository_without_git_is_an_error_and_a_directory_without_one_is_not(pipeline: Command) -> None:
    empty = pipeline.directory / "programs"
    empty.mkdir()

    def called() -> Result:
        return pipeline("bundlepipe", "ci", "github", env={"PATH": str(empty)})

    assert called().output.startswith("# Written by: bundlepipe ci github\n")
    (pipeline.directory / ".git").mkdir()
    told = f"{pipeline.directory.resolve()}: is a git repository, but git is not on PATH: install it\n"
    assert called().failed == f"bundlepipe: Error: {told}"


def test_nothing_is_asked_of_a_registry(repository: Command) -> None:
    text = NESTED_BUNDLES.replace("layout.localhost/", "127.0.0.1:9/")
    (repository.directory / "bundlepipe.yml").write_text(text)
    for engine in ENGINES:
        assert repository("bundlepipe", "ci", engine).output
    assert not (repository.directory / ".bundlepipe/doit.db").exists()
