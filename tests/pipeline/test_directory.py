"""Relative paths mean the directory of the pipeline, wherever tasks of the user's own go meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.support.project import Project

DECLARATIONS = """\
images:
  site: {files: [site], exclude: [drafts]}
bundles:
  b1: {files: [b1], lock: {config: [kbld.yml]}, lockOutput: locks/b1.yml}
  top: {files: [top, extra.yml], lock: {include: [{bundle: b1}, {image: site}]}}
copies:
  tar: {from: {bundle: top}, to: tar:dist/top.tar}
  layout: {from: tar:dist/top.tar, to: oci:dist/layout}
pulls:
  top: {from: {bundle: top}, to: build/top, recursive: true}
  locked: {from: {lock: locks/b1.yml}, to: build/locked}
renders:
  config:
    files: [b1, {run: [cat, values/values.yml], files: [values]}]
    locks: [b1/.imgpkg/images.yml]
    output: build/config.yml
"""
DODO = """\
import os, time
from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
ROOT = os.getcwd()

def go_elsewhere():
    os.chdir("x")

def task_elsewhere():
    return {"actions": [go_elsewhere]}
"""
# The directory is another one from before the first task of the pipeline until after the last one.
MEANWHILE = """
def go():
    os.chdir("x")
    open(os.path.join(ROOT, "gone"), "w").close()
    await_file("over")
    os.chdir(ROOT)

def await_file(name):
    for _ in range(600):
        if os.path.exists(os.path.join(ROOT, name)):
            return
        time.sleep(0.1)
    raise TimeoutError(name)

def generate():
    await_file("gone")
    with open(os.path.join(ROOT, "b1", "generated.yml"), "w") as file:
        file.write("kind: Generated\\n")

def task_meanwhile():
    return {"actions": [go]}

def task_generate():
    return {"actions": [generate], "targets": ["b1/generated.yml"], "uptodate": [True]}

def task_over():
    return {
        "actions": [lambda: open(os.path.join(ROOT, "over"), "w").close()],
        "task_dep": ["copy_bundle", "pull_bundle", "render_config"],
    }
"""
GROUPS = ("push_image", "push_bundle", "copy_bundle", "pull_bundle", "render_config")
# What differs from run to run, and from file system to file system.
_NOT_COMPARED = (".bundlepipe/doit.db", ".bundlepipe/programs", ".bundlepipe/pipeline", "__pycache__", "gone", "over")


def _write_sources(project: Project, where: str, word: str) -> None:
    for bundle in ("b1", "top"):
        project.write(f"{where}{bundle}/config.yml", f"kind: {word}\nname: {bundle}\n")
    project.write(f"{where}kbld.yml", "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n")
    project.write(f"{where}extra.yml", f"kind: {word}\n")
    project.write(f"{where}values/values.yml", f"kind: Values\nword: {word}\n")
    project.write(f"{where}site/index.html", word)
    project.write(f"{where}site/drafts/page.html", word)


@pytest.fixture
def project(project: Project) -> Project:
    """A project of all kinds of tasks, and a directory `x` in it where all is other than here."""
    project.pipeline(DECLARATIONS)
    project.write("dodo.py", DODO)
    _write_sources(project, "", "right")
    _write_sources(project, "x/", "WRONG")
    return project


def _tree(directory: Path) -> dict[str, str]:
    """Return the files and directories in a directory, by their paths, with what is in them."""
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if not any(part in name for part in _NOT_COMPARED):
            found[name] = hashlib.sha256(_content(path)).hexdigest() if path.is_file() else ""
    return found


def _content(path: Path) -> bytes:
    if ".bundlepipe/outputs/" in str(path):
        return b""  # which file or directory was made, by what the file system calls it
    if path.name != "index.json":
        return path.read_bytes()
    # Images are copied side by side, and listed as they are done.
    return json.dumps(sorted(json.loads(path.read_text())["manifests"], key=json.dumps)).encode()


def _expected(project: Project) -> dict[str, str]:
    """Return what comes of the same declarations where nobody changes the directory."""
    reference = Project(project.directory.parent / "reference", project.environment)
    reference.pipeline(DECLARATIONS)
    reference.write("dodo.py", DODO)
    _write_sources(reference, "", "right")
    reference.doit("-n", "0", *GROUPS)
    made = _tree(reference.directory)
    del made["dodo.py"]
    return made


def _assert_as_expected(project: Project, expected: dict[str, str], decoy: dict[str, str]) -> None:
    made = _tree(project.directory)
    assert {name: made[name] for name in made if name.split("/")[0] not in ("x", "dodo.py")} == expected
    assert _tree(project.directory / "x") == decoy
    with tarfile.open(project.directory / "dist/top.tar") as archive:
        assert archive.getnames()[0] == "manifest.json"


def _assert_settled(project: Project) -> None:
    assert project.doit("-n", "0", *GROUPS).ran == []


@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "1", "-P", "process"), ("-n", "1", "-P", "thread")])
def test_a_task_that_stays_elsewhere_takes_no_other_along(project: Project, options: tuple[str, ...]) -> None:
    expected, decoy = _expected(project), _tree(project.directory / "x")
    run = project.doit(*options, "elsewhere", *GROUPS)
    assert str(project.directory) not in run.output
    _assert_as_expected(project, expected, decoy)
    _assert_settled(project)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_begin_where_the_pipeline_is(project: Project, method: str) -> None:
    guard = f"import multiprocessing\nmultiprocessing.set_start_method({method!r}, force=True)\n"
    project.write("dodo.py", guard + DODO)
    expected, decoy = _expected(project), _tree(project.directory / "x")
    project.doit("-n", "1", "-P", "process", "elsewhere", *GROUPS)
    _assert_as_expected(project, expected, decoy)
    _assert_settled(project)


def test_a_thread_of_a_user_may_be_elsewhere_meanwhile(project: Project) -> None:
    project.write("dodo.py", DODO + MEANWHILE)
    decoy = _tree(project.directory / "x")
    run = project.doit("-n", "4", "-P", "thread", "meanwhile", "over")
    assert "TaskFailed" not in run.output and "TaskError" not in run.output
    assert _tree(project.directory / "x") == decoy
    assert project.read("build/top/config.yml") == "kind: right\nname: top\n"
    assert project.read("build/locked/generated.yml") == "kind: Generated\n"
    assert "WRONG" not in project.read("build/config.yml")
    assert "word: right" in project.read("build/config.yml")
    _assert_settled(project)


def test_nothing_to_do_stays_nothing_to_do_elsewhere(project: Project) -> None:
    project.doit("-n", "0", *GROUPS)
    assert project.doit("-n", "0", "elsewhere", *GROUPS).ran == ["elsewhere"]


def test_changes_are_seen_from_elsewhere(project: Project) -> None:
    project.doit("-n", "0", *GROUPS)
    project.write("b1/config.yml", "kind: changed\n")
    run = project.doit("-n", "0", "elsewhere", "pull_bundle")
    assert "push_bundle:b1" in run.ran
    assert "b1/config.yml changed" in run.stdout
    assert project.read("build/locked/config.yml") == "kind: changed\n"


def test_the_users_own_dependencies_are_looked_for_in_the_pipelines_directory(project: Project) -> None:
    more = """
def task_report():
    return {
        "actions": [lambda: None],
        "file_dep": ["locks/b1.yml"],
        "task_dep": ["push_bundle:b1"],
    }
"""
    project.write("dodo.py", DODO + more)
    project.doit("-n", "0", "elsewhere", "report")
    run = project.doit("-n", "0", "elsewhere", "report")
    assert "-- report" in run.stdout.splitlines()


def test_errors_name_paths_as_they_were_given(project: Project) -> None:
    (project.directory / "site/index.html").unlink()
    os.symlink("nowhere", project.directory / "site/index.html")
    run = project.doit("-n", "0", "elsewhere", "push_image:site", status=1)
    assert "Expected file 'site/index.html' to be a regular file" in run.output
    (project.directory / "dist").write_text("in the way")
    run = project.doit("-n", "0", "elsewhere", "copy_bundle:layout", status=None)
    assert str(project.directory) not in run.output.replace(str(project.directory / "x"), "")


def test_clean_removes_what_is_in_the_pipelines_directory(project: Project) -> None:
    project.doit("-n", "0", *GROUPS)
    decoy = _tree(project.directory / "x")
    project.write("dodo.py", DODO.replace('"actions": [go_elsewhere]', '"actions": [], "clean": [go_elsewhere]'))
    run = project.doit("clean", "elsewhere", "pull_bundle:top", "render_config:config", "copy_bundle:tar")
    assert "removing dir 'build/top'" in run.stdout
    assert not any((project.directory / path).exists() for path in ("build/top", "build/config.yml", "dist/top.tar"))
    assert _tree(project.directory / "x") == decoy
