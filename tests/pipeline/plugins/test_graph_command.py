"""`doit graph`: the tasks, what they need and their states, without a run, a request or a change."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.documents.schemas.validator import check
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.pipeline.records.groups import GROUPS
from tests.support.project import DODO, Project, because
from tests.support.proxy import Proxy

MADE = [group for group in GROUPS if group != "apply_config"]
# What each needs by the declaration, and by the configuration of `app`, which names the image `site`.
NEEDS = {
    "push_image:site": [],
    "lock_bundle:base": [],
    "push_bundle:base": ["lock_bundle:base"],
    "lock_bundle:app": ["push_bundle:base", "push_image:site"],
    "push_bundle:app": ["lock_bundle:app"],
    "copy_bundle:app": ["push_bundle:app"],
    "pull_bundle:app": ["push_bundle:app"],
    "render_config:app": ["lock_bundle:app"],
}


@pytest.fixture
def declared(project: Project) -> Project:
    """A pipeline whose lock finds by itself that it needs an image."""
    return project.declare_each_kind()


def tasks(project: Project, *arguments: str) -> dict[str, dict[str, Any]]:
    text = project.doit("graph", "--json", *arguments).stdout
    check(load_one(text.encode(), "graph.json"), "graph")
    found = json.loads(text)["tasks"]
    return {task["name"]: {**task, "why": because(task.get("reasons", []))} for task in found}


def needs(project: Project, *arguments: str) -> dict[str, list[str]]:
    return {name: task["needs"] for name, task in tasks(project, *arguments).items()}


def states(project: Project, *arguments: str) -> dict[str, str]:
    return {name: task["state"] for name, task in tasks(project, *arguments).items()}


def files(project: Project) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in project.directory.rglob("*") if path.is_file()}


def dodo(project: Project, text: str) -> None:
    project.write("dodo.py", DODO + text)


def test_tasks_need_what_a_run_would_do_before_them(declared: Project) -> None:
    before = needs(declared)
    assert before == NEEDS
    ran = declared.doit("-n", "0", *reversed(MADE)).ran
    assert sorted(ran) == sorted(NEEDS)
    assert all(ran.index(need) < ran.index(name) for name, needed in NEEDS.items() for need in needed)
    assert needs(declared) == before


def test_kinds_and_targets(declared: Project) -> None:
    found = tasks(declared)
    kinds = {name: task["kind"] for name, task in found.items()}
    assert set(kinds.values()) == {"image", "lock", "push", "copy", "pull", "render"}
    assert all(name.startswith((kind, f"push_{kind}")) for name, kind in kinds.items())
    assert found["pull_bundle:app"]["targets"] == ["build/app"]
    assert found["push_bundle:app"]["targets"] == []


def test_states_are_those_of_a_plan(declared: Project) -> None:
    assert set(states(declared).values()) == {"stale"}
    assert tasks(declared)["push_bundle:app"]["why"] == ["no local record"]
    declared.doit(*MADE)
    assert set(states(declared).values()) == {"up-to-date"}
    declared.write("base/config.yml", "kind: Changed\n")
    found = tasks(declared)
    assert {name for name, task in found.items() if task["state"] == "up-to-date"} == {"push_image:site"}
    assert {task["state"] for task in found.values()} == {"up-to-date", "stale"}
    assert found["lock_bundle:base"]["why"] == ["base/config.yml changed"]
    assert found["lock_bundle:app"]["why"] == ["base changed"]
    assert found["push_bundle:app"]["why"] == ["app/.imgpkg/images.yml changed"]
    planned = json.loads(declared.doit("plan", "--json", *MADE).stdout)["tasks"]
    assert {task["name"]: task["reasons"] for task in planned} == {
        name: task["reasons"] for name, task in found.items()
    }
    # What an ignored task would make is not made, so nothing follows from it.
    declared.doit("ignore", "push_bundle:base")
    assert states(declared)["push_bundle:base"] == states(declared)["push_bundle:app"] == "ignored"
    assert "state" not in tasks(declared, "--no-status")["push_bundle:app"]


def test_looking_changes_and_asks_nothing(project: Project, proxy: Proxy) -> None:
    project.environment["REGISTRY"] = f"{proxy.host}/graph"
    project.pipeline(
        "verify: registry\nbundles:\n  app: {files: [app], lock: {files: [{run: [./show], files: [show]}]}}\n"
    )
    project.write("app/config.yml", "kind: App\n")
    project.write("show", '#!/bin/sh\necho >> runs\necho "kind: Shown"\n').chmod(0o755)
    for arguments in ((), ("verify=registry",)):
        project.doit("graph", "--html", *arguments)
    assert not proxy.requests
    assert not (project.directory / "runs").exists()
    project.doit()
    asked, state = len(proxy.requests), files(project)
    for path in ("app/config.yml", "show"):
        project.write(path, project.read(path))
    assert set(states(project, "--private").values()) == {"up-to-date"}
    # doit itself forgets a record of another checker when it is looked at.
    project.doit("graph", "--check_file_uptodate", "timestamp")
    assert (len(proxy.requests), files(project)) == (asked, state)


def test_users_tasks_are_there_and_private_ones_are_folded(declared: Project) -> None:
    dodo(
        declared,
        """
def task_generate():
    return {"actions": ["true"], "targets": ["base/made.yml"], "task_dep": ["_prepare"]}
def task__prepare():
    return {"actions": ["true"], "task_dep": ["fetch"]}
def task_fetch():
    return {"actions": ["true"], "doc": "fetch <things>"}
def task_check():
    return {"actions": ["true"], "file_dep": ["build/app/config.yml", "app.tar"], "setup": ["server"]}
def task_server():
    return {"actions": ["true"]}
def task_every():
    return {"actions": None, "task_dep": ["push_*:app", "check"]}
""",
    )
    found = tasks(declared)
    assert {name: found[name]["needs"] for name in ("generate", "fetch", "check", "server", "every")} == {
        "generate": ["fetch"],
        "fetch": [],
        "check": ["copy_bundle:app", "pull_bundle:app", "server"],
        "server": [],
        "every": ["check", "push_bundle:app"],
    }
    assert found["lock_bundle:base"]["needs"] == ["generate"]
    assert found["push_bundle:base"]["needs"] == ["generate", "lock_bundle:base"]
    assert found["check"]["setup"] == ["server"]
    assert [found[name]["kind"] for name in ("generate", "every")] == ["task", "group"]
    assert found["fetch"]["why"] == ["it has no dependencies, so it always runs"]
    private = tasks(declared, "-p")
    assert private["generate"]["needs"] == ["_prepare"]
    assert private["_prepare"]["kind"] == "private"
    assert "_named_images:app" in private["lock_bundle:app"]["needs"]


def test_a_setup_task_makes_nothing_unknown_and_others_do(declared: Project) -> None:
    dodo(
        declared,
        """
def task_kept():
    return {"actions": ["touch kept"], "file_dep": ["site/index.html"], "targets": ["kept"], "setup": ["server"]}
def task_after():
    return {"actions": ["touch after"], "file_dep": ["site/index.html"], "targets": ["after"], "task_dep": ["server"]}
def task_server():
    return {"actions": ["true"]}
def task_lost():
    return {"actions": ["true"], "file_dep": ["nowhere"]}
def task_later():
    return {"actions": ["true"], "file_dep": ["build/app.yml"]}
def task_asks():
    return {"actions": ["true"], "uptodate": [lambda: 1 / 0]}
""",
    )
    declared.doit("kept", "after")
    found = tasks(declared)
    assert found["kept"]["state"] == "up-to-date"
    assert (found["after"]["state"], found["after"]["why"]) == ("unknown", ["server may change it"])
    assert (found["lost"]["state"], found["lost"]["why"]) == ("error", ["nowhere is missing, and no task makes it"])
    assert (found["later"]["state"], found["later"]["why"]) == ("stale", ["no local record"])
    assert found["asks"]["state"] == "error"
    assert found["asks"]["why"] == ["its condition failed: ZeroDivisionError: division by zero"]


def test_groups_are_shown_where_a_task_needs_them_or_all_on_request(declared: Project) -> None:
    dodo(declared, 'def task_release():\n    return {"actions": ["true"], "task_dep": ["push_bundle"]}\n')
    found = tasks(declared)
    assert {name for name, task in found.items() if task["kind"] == "group"} == {"push_bundle"}
    assert found["push_bundle"]["needs"] == ["push_bundle:app", "push_bundle:base"]
    assert found["push_bundle"]["why"] == ["is to run: push_bundle:app, push_bundle:base"]
    assert GROUPS.keys() <= tasks(declared, "--groups").keys()
    declared.doit("push_bundle")
    assert tasks(declared)["push_bundle"]["state"] == "up-to-date"


def test_only_what_a_task_needs_and_what_needs_it(declared: Project) -> None:
    chain = {"lock_bundle:base", "push_bundle:base"}
    app = {"lock_bundle:app", "push_bundle:app", "copy_bundle:app", "pull_bundle:app", "render_config:app"}
    assert needs(declared, "--of", "push_bundle:base").keys() == chain | app
    assert needs(declared, "--of", "render_config:app").keys() == chain | {
        "push_image:site", "lock_bundle:app", "render_config:app"
    }  # fmt: skip
    assert needs(declared, "--of", "lock_bundle:base")["lock_bundle:app"] == ["push_bundle:base"]
    assert needs(declared, "pull_bundle") == needs(declared, "build/app") == needs(declared, "pull_*")
    both = needs(declared, "--of", "push_image:site", "--of", "lock_bundle:base")
    assert both == NEEDS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("push_bundel:app", "there is no such task, and no task makes it; the nearest of 15: push_bundle:app, "),
        ("nothing_*", "there is no such task, and no task makes it; there are 15, such as apply_config, "),
        ("apply_config", "it has no tasks that are shown"),
    ],
)
def test_an_unknown_task_is_an_error_that_names_the_nearest(declared: Project, name: str, why: str) -> None:
    for arguments in (["--of", name], [name]):
        run = declared.doit("graph", *arguments, status=3)
        assert run.stderr.startswith(f"ERROR: '{name}': {why}")
        assert run.stdout == ""


def test_a_pipeline_with_a_prefix_has_the_same_kinds(declared: Project) -> None:
    loads = 'one = Pipeline.load("bundlepipe.yml", prefix="one")\n'
    declared.write("dodo.py", "from bundlepipe import DOIT_CONFIG, Pipeline\n" + loads)
    found = tasks(declared)
    assert {name.removeprefix("one_"): task["kind"] for name, task in found.items()} == {
        name: task["kind"] for name, task in zip(NEEDS, found.values(), strict=True)
    }
    assert found["one_lock_bundle:app"]["needs"] == ["one_push_bundle:base", "one_push_image:site"]
    assert found["one_push_image:site"]["kind"] == "image"


def test_tasks_that_need_one_another_are_an_error(declared: Project) -> None:
    dodo(
        declared,
        """
def task_one():
    return {"actions": ["true"], "task_dep": ["two"]}
def task_two():
    return {"actions": ["true"], "setup": ["one"]}
""",
    )
    told = declared.doit("graph", status=3).stderr
    assert told.startswith("ERROR: these tasks need one another: ") and told.endswith(": break the cycle\n")


def test_a_dependency_that_does_not_exist_is_doits_error(declared: Project) -> None:
    dodo(declared, 'def task_one():\n    return {"actions": ["true"], "task_dep": ["two"]}\n')
    assert declared.doit("graph", status=3).stderr == "ERROR: one. Task dependency 'two' does not exist.\n"


def test_a_file_gets_the_form_of_its_name(declared: Project) -> None:
    assert declared.doit("graph", "-o", "out/graph.html").stdout == ""
    assert declared.read("out/graph.html").startswith("<!doctype html>")
    declared.doit("graph", "--output=out/graph.html", "--dot")
    assert "digraph" in declared.read("out/graph.html")
    assert declared.doit("graph", "-o", "-").stdout.startswith("%% bundlepipe graph: ")
    assert "choose one form" in declared.doit("graph", "--dot", "--svg", status=3).stderr
    refused = declared.doit("graph", "-o", "site/index.html", status=3).stderr
    assert refused.startswith(
        "ERROR: site/index.html: exists, but it is not a graph of tasks, and git does not have it"
    )
    assert declared.read("site/index.html") == "hello"
    declared.doit("graph", "-o", "site/index.html", "--force")
    assert declared.read("site/index.html").startswith("<!doctype html>")
    (declared.directory / "directory.svg").mkdir()
    assert declared.doit("graph", "-o", "site/index.html/graph.dot", status=3).stderr == (
        "ERROR: site/index.html/graph.dot: cannot be written: site/index.html is not a directory\n"
    )
    assert "is a directory: name a file" in declared.doit("graph", "-o", "directory.svg", status=3).stderr


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc, in which nobody can create files")
def test_a_file_that_cannot_be_written_is_an_error_in_one_line(declared: Project) -> None:
    assert declared.doit("graph", "-o", "/proc/graph.dot", status=3).stderr == (
        "ERROR: /proc/graph.dot: cannot be written: No such file or directory\n"
    )


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_redirected_output_may_be_named_as_a_file(declared: Project, path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"this system has no {path}")
    assert declared.doit("graph", "--dot", "-o", path).stdout.startswith("// bundlepipe graph")
    with open(declared.directory / "log", "wb") as log:
        log.write(b"before\n")
        log.flush()
        subprocess.run(
            [sys.executable, "-m", "doit", "graph", "--dot", "-o", path],
            check=True,
            cwd=declared.directory,
            env={**os.environ, **declared.environment},
            stdout=log,
            timeout=120,
        )
    assert declared.read("log").startswith("before\n// bundlepipe graph")


def test_a_pipe_is_written_to(declared: Project) -> None:
    os.mkfifo(declared.directory / "pipe")
    with subprocess.Popen(["cat", "pipe"], cwd=declared.directory, stdout=subprocess.PIPE, text=True) as reader:
        declared.doit("graph", "--dot", "-o", "pipe")
        assert reader.communicate(timeout=60)[0].startswith("// bundlepipe graph")


def test_a_file_without_a_name_is_an_error(declared: Project) -> None:
    expected = "ERROR: -o: the name of the file is empty: name a file, or - for the output\n"
    assert declared.doit("graph", "--output=", "--dot", status=3).stderr == expected


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_an_error_in_one_line(declared: Project) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "doit", "graph"],
            check=False,
            cwd=declared.directory,
            env={**os.environ, **declared.environment},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    message = f"ERROR: the output cannot be written: {os.strerror(errno.ENOSPC)}\n"
    assert (ended.returncode, ended.stderr) == (1, message)


def test_a_picture_of_too_many_arrows_has_none_and_a_line_says_so(declared: Project) -> None:
    dodo(
        declared,
        """
def task_low():
    for number in range(101):
        yield {"name": str(number), "actions": ["true"]}

def task_high():
    for number in range(100):
        yield {"name": str(number), "actions": ["true"], "task_dep": [f"low:{one}" for one in range(101)]}
""",
    )
    run = declared.doit("graph", "--svg", "--no-status", "--of", "low")
    assert 'class="edge"' not in run.stdout and run.stdout.count('class="task ') == 201
    assert "graph: there are more than 10000 arrows, so none is drawn: choose a part with --of, or" in run.stderr
    assert declared.doit("graph", "--html", "--no-status").stderr == ""


def test_a_file_is_named_from_where_doit_was_called(declared: Project, tmp_path: Path) -> None:
    below = declared.directory / "app"
    inside = Project(below, declared.environment)
    inside.doit("graph", "-k", "-o", "graph.svg")
    assert (below / "graph.svg").read_text().startswith("<!-- bundlepipe graph -->")


def test_documents_are_utf8_whatever_the_terminal_uses(declared: Project) -> None:
    run = declared.doit("graph", "--dot", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert "● push_bundle:app" in run.stdout


def test_a_chart_that_mermaid_would_refuse_is_printed_with_a_warning(project: Project) -> None:
    bundles = "".join(
        f"  b{number}: {{files: [b{number}], lock: {{include: [{{bundle: base}}]}}}}\n" for number in range(260)
    )
    project.pipeline(f"bundles:\n  base: {{files: [base], lock: {{}}}}\n{bundles}")
    for number in range(260):
        project.write(f"b{number}/config.yml", "kind: B\n")
    project.write("base/config.yml", "kind: Base\n")
    run = project.doit("graph", "--no-status")
    assert run.stdout.count("-->") == 521
    assert run.stderr.endswith(
        "graph: Mermaid draws at most 500 arrows and 50000 characters unless it is configured otherwise: "
        "choose a part with --of, or --html\n"
    )
    assert project.doit("graph", "--dot", "--no-status").stderr == ""
