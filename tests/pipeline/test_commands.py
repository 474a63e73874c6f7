"""doit's commands on a pipeline: as a doit user expects."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bundlepipe.pipeline.records.groups import GROUPS
from tests.support.project import Project
from tests.support.services import require

DECLARATIONS = """\
images:
  site: {files: [site]}
bundles:
  one: {files: [one], lock: {include: [{image: site}]}, lockOutput: locks/one.yml}
pulls:
  one: {from: {bundle: one}, to: build/one}
"""


@pytest.fixture
def declared(project: Project) -> Project:
    """A pipeline with a task of every kind."""
    project.pipeline(DECLARATIONS)
    project.write("site/index.html", "hello")
    project.write("one/config.yml", "kind: One\n")
    return project


def test_list_shows_groups_with_one_line_docs(declared: Project) -> None:
    lines = declared.doit("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(GROUPS)
    assert all(len(line.split()) > 1 for line in lines)


def test_list_all_shows_every_task(declared: Project) -> None:
    output = declared.doit("list", "--all").stdout
    for task in ("push_image:site", "lock_bundle:one", "push_bundle:one", "pull_bundle:one"):
        assert task in output
    assert "_named_images" not in output


def test_list_status_is_known_without_running(declared: Project) -> None:
    assert "R push_bundle:one" in declared.doit("list", "--all", "-s").stdout
    declared.doit("pull_bundle")
    listed = declared.doit("list", "--all", "-s").stdout
    for task in ("push_image:site", "lock_bundle:one", "push_bundle:one", "pull_bundle:one"):
        assert f"U {task}" in listed


def test_info_tells_targets_and_status(declared: Project) -> None:
    output = declared.doit("info", "push_bundle:one", status=None).stdout
    assert ".bundlepipe/digests/bundle/one" in output
    assert "locks/one.yml" in output
    assert "lock_bundle:one" in output


def test_an_empty_pipeline_has_groups_and_nothing_to_do(project: Project) -> None:
    project.pipeline("", defaults="")
    assert project.doit().ran == []
    assert project.doit("list").stdout.count("\n") == len(GROUPS)


def test_an_empty_pipeline_in_python(project: Project) -> None:
    project.write("dodo.py", "from bundlepipe import DOIT_CONFIG, Pipeline\npipeline = Pipeline()\n")
    assert project.doit().ran == []


def test_clean_removes_outputs_and_nothing_else(declared: Project) -> None:
    declared.doit("push_bundle", "pull_bundle")
    declared.doit("clean", "-a")
    present = {path: (declared.directory / path).exists() for path in (
        "build/one", ".bundlepipe/digests/bundle/one", ".bundlepipe/digests/image/site",
        "one/config.yml", "one/.imgpkg/images.yml", "site/index.html", "build/registry/one/index.json",
    )}  # fmt: skip
    assert present == {
        "build/one": False, ".bundlepipe/digests/bundle/one": False, ".bundlepipe/digests/image/site": False,
        "one/config.yml": True, "one/.imgpkg/images.yml": True, "site/index.html": True,
        "build/registry/one/index.json": True,
    }  # fmt: skip
    assert set(declared.doit("push_bundle").marks.values()) <= {"=", "--"}


def test_bare_clean_follows_dependencies_and_keeps_images_yml(declared: Project) -> None:
    declared.doit()
    declared.doit("clean")
    assert (declared.directory / "one/.imgpkg/images.yml").exists()
    assert not (declared.directory / ".bundlepipe/digests/bundle/one").exists()


def test_a_dry_clean_says_what_it_would_remove_and_removes_nothing(declared: Project) -> None:
    declared.doit("push_bundle", "pull_bundle")
    output = declared.doit("clean", "-n", "-a").stdout
    assert "build/one" in output and ".bundlepipe/digests/bundle/one" in output
    assert (declared.directory / "build/one/config.yml").exists()
    assert declared.doit("push_bundle", "pull_bundle").ran == []


def test_clean_leaves_a_directory_that_the_pull_did_not_make(declared: Project) -> None:
    declared.write("build/one/precious.txt", "mine")
    output = declared.doit("clean", "pull_bundle:one").stdout
    assert "not removing" in output
    assert (declared.directory / "build/one/precious.txt").exists()


def test_forget_makes_tasks_ask_again(declared: Project) -> None:
    declared.doit()
    declared.doit("forget", "push_bundle:one")
    run = declared.doit()
    assert run.marks["push_bundle:one"] == "="
    assert run.marks["push_image:site"] == "--"


def test_ignore_is_remembered(declared: Project) -> None:
    declared.doit("ignore", "push_bundle:one")
    assert declared.doit().marks.get("push_bundle:one") is None


def test_continue_pushes_the_rest_when_one_bundle_is_broken(project: Project) -> None:
    names = ["a", "b", "c", "d", "e"]
    project.pipeline("bundles:\n" + "".join(f"  {name}: {{files: [{name}]}}\n" for name in names))
    for name in names:
        project.bundle(name)
    (project.directory / "c/.imgpkg/images.yml").write_text("kind: Wrong\n")
    run = project.doit("--continue", status=2)
    assert run.executed == {f"push_bundle:{name}" for name in names if name != "c"}
    assert run.stdout.count("TaskFailed - taskid:push_bundle:c\nc/.imgpkg/images.yml:1:") == 1
    assert "Traceback" not in run.output and "stdout" not in run.output and "UnmetDependency" not in run.output
    (project.directory / "c/.imgpkg/images.yml").write_bytes((project.directory / "a/.imgpkg/images.yml").read_bytes())
    assert project.doit("--continue").ran == ["push_bundle:c"]


def test_works_with_doits_own_reporter_and_database(declared: Project) -> None:
    declared.write(
        "dodo.py", 'from bundlepipe import Pipeline\nDOIT_CONFIG = {"backend": "json"}\npipeline = Pipeline.load()\n'
    )
    output = declared.doit("push_bundle").stdout
    assert ".  push_bundle:one\n" in output
    assert declared.doit("push_bundle").stdout.count("-- ") == 3
    declared.write("one/config.yml", "kind: Changed\n")
    assert ".  push_bundle:one\n" in declared.doit("push_bundle").stdout


def test_reporter_can_be_chosen_on_the_command_line(declared: Project) -> None:
    assert ".  push_bundle:one\n" in declared.doit("-r", "console").stdout


def test_the_loader_plugin_needs_no_dodo(declared: Project) -> None:
    (declared.directory / "dodo.py").unlink()
    declared.write("pyproject.toml", '[tool.doit]\nloader = "bundlepipe"\n')
    assert "push_bundle:one" in declared.doit().executed
    assert declared.doit().ran == []
    (declared.directory / "bundlepipe.yml").rename(declared.directory / "other.yml")
    assert "bundlepipe.yml" in declared.doit(status=3).stderr
    assert declared.doit("-f", "other.yml").ran == []


def test_the_users_own_configuration_wins_over_the_loaders(declared: Project) -> None:
    (declared.directory / "dodo.py").unlink()
    declared.write("pyproject.toml", '[tool.doit]\nloader = "bundlepipe"\nreporter = "console"\n')
    assert ".  push_bundle:one\n" in declared.doit().stdout


def test_values_are_there_for_a_users_own_tasks(declared: Project) -> None:
    task = """
def task_show():
    return {
        "actions": ["echo got %(digest)s"], "getargs": {"digest": ("push_bundle:one", "digest")},
        "task_dep": ["push_bundle:one"], "verbosity": 2,
    }
"""
    declared.write("dodo.py", declared.read("dodo.py") + task)
    declared.doit()
    digest = declared.digest("bundle", "one").partition("@")[2]
    assert f"got {digest}" in declared.doit("show").stdout


def test_a_target_can_be_asked_for(declared: Project) -> None:
    assert "pull_bundle:one" in declared.doit("build/one").executed


NOOP = """
import sys
from doit.doit_cmd import DoitMain
status = DoitMain().run(sys.argv[1:])
heavy = {"docker", "jsonschema", "urllib3", "rich", "yaml", "deflate", "isal", "requests", "semver"} & set(sys.modules)
print("heavy:", sorted(heavy))
sys.exit(status)
"""
EVERYTHING = """\
images:
  site: {files: [site]}
  web: {build: {context: web}}
  tool: {run: [cat, made], files: [made]}
bundles:
  app:
    files: [app]
    lock:
      files: [app/config.yml, {run: [cat, chart.yml], files: [chart.yml]}]
      config: [kbld.yml]
pulls: {app: {from: {bundle: app}, to: build/app}}
renders: {app: {files: [build/app/config.yml], locks: [build/app/.imgpkg/images.yml], output: build/app.yml}}
"""


def _assert_imports_nothing_heavy(project: Project, task: str) -> None:
    project.write("noop.py", NOOP)
    finished = subprocess.run(
        [sys.executable, "noop.py", task],
        check=False,
        cwd=project.directory,
        env={**os.environ, **project.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    assert "\n. " not in f"\n{finished.stdout}"
    assert "heavy: []" in finished.stdout


def test_nothing_to_do_imports_nothing_heavy(declared: Project) -> None:
    declared.doit()
    _assert_imports_nothing_heavy(declared, "push_bundle")


def test_nothing_to_do_with_a_lock_file_imports_nothing_heavy(project: Project) -> None:
    put = 'images: {site: {files: [site], push: "layout.localhost/vendor/site:1"}}\n'
    project.pipeline(put)
    project.write("site/index.html", "hello")
    project.doit("push_image")
    project.pipeline("lock: bundlepipe.lock\nbundles: {app: {files: [app], lock: {}}}\n")
    project.write("app/config.yml", "image: layout.localhost/vendor/site:1\n")
    project.doit()
    _assert_imports_nothing_heavy(project, "push_bundle")
    # What git brings for others is read once.
    entry = f"- reference: a.example/other:1\n  digest: sha256:{'ab' * 32}\n"
    project.write("bundlepipe.lock", project.read("bundlepipe.lock").replace("images:\n\n", f"images:\n\n{entry}\n"))
    project.doit("lock_bundle:app")
    _assert_imports_nothing_heavy(project, "push_bundle:app")


def test_nothing_to_build_lock_or_render_imports_nothing_heavy(project: Project) -> None:
    require("docker")
    digest = "sha256:" + "ab" * 32
    project.pipeline(EVERYTHING)
    project.write("web/Dockerfile", "FROM scratch\nCOPY page /\n")
    project.write("web/page", "hello")
    project.write("site/index.html", "hello")
    project.doit("push_image:site")
    project.write("made", project.digest("image", "site"))
    project.write("app/config.yml", "- image: web\n- image: tool\n")
    project.write("chart.yml", f"image: nginx@{digest}\n")
    rule = "{image: other, newImage: a.example/other, tagSelection: {semver: {constraints: 1.x}}}"
    project.write("kbld.yml", f"apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides: [{rule}]\n")
    # Without the images that are not there, a pull does not move the lock: nothing is relocated.
    project.doit("render_config")
    _assert_imports_nothing_heavy(project, "render_config")


def test_dumpdb_prints_the_records_of_the_database_of_the_dodo(project: Project) -> None:
    project.pipeline("images:\n  site: {files: [site]}\n  other: {files: [site]}\n")
    project.write("site/index.html", "hello")
    refused = project.doit("dumpdb", status=3)
    assert refused.stderr == "ERROR: .bundlepipe/doit.db: no such file: no task has run here yet\n"
    project.doit("push_image:site")
    lines = project.doit("dumpdb").stdout.splitlines()
    names = {line.partition(" -> ")[0] for line in lines if " -> " in line}
    assert names == {"push_image:site", "_generated_inputs"}
    assert any("'site/index.html'" in line for line in lines)


def test_dumpdb_reads_the_database_that_the_command_line_names(project: Project) -> None:
    project.pipeline("images:\n  site: {files: [site]}\n")
    project.write("site/index.html", "hello")
    project.doit("run", "--db-file", "other.db", "push_image")
    assert "push_image:site -> {" in project.doit("dumpdb", "--db-file", "other.db").stdout
    (project.directory / "dodo.py").unlink()
    assert "push_image:site -> " in project.doit("dumpdb", "--db-file", "other.db", "--backend", "bundlepipe").stdout


def test_dumpdb_of_other_databases_is_doits_own(project: Project) -> None:
    project.write("dodo.py", "def task_other():\n    return {'actions': ['true']}\n")
    project.doit("--backend", "dbm")
    run = project.doit("dumpdb")
    assert run.stdout.startswith("DBM type is ")
    assert "other" in run.stdout
