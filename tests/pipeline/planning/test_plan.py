"""`doit plan`: what it says, and what it leaves alone."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.kubernetes import StandIn
from tests.support.project import DODO, Project, because
from tests.support.terminal import Terminal

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas/plan.schema.json").read_text())
DECLARATIONS = """\
images:
  site: {files: [site]}
bundles:
  one: {files: [one], lock: {include: [{image: site}]}, lockOutput: locks/one.yml}
  two: {files: [two], lock: {include: [{bundle: one}]}}
pulls:
  one: {from: {bundle: one}, to: build/one}
"""


@pytest.fixture
def declared(project: Project) -> Project:
    """Two bundles, one in the other, and a pull."""
    project.pipeline(DECLARATIONS)
    project.write("site/index.html", "hello")
    project.write("one/config.yml", "kind: One\n")
    project.write("two/config.yml", "kind: Two\n")
    return project


def _plan(project: Project, *arguments: str, status: int = 0) -> dict[str, dict[str, Any]]:
    document = json.loads(project.doit("plan", "--json", *arguments, status=status).stdout)
    jsonschema.validate(document, SCHEMA)
    return {task["name"]: {**task, "why": because(task["reasons"])} for task in document["tasks"]}


def _states(project: Project, *arguments: str, status: int = 0) -> dict[str, str]:
    return {name: task["state"] for name, task in _plan(project, *arguments, status=status).items()}


def test_digests_are_known_before_anything_was_made(declared: Project) -> None:
    plan = _plan(declared)
    assert not (declared.directory / "two/.imgpkg").exists() and not (declared.directory / "locks").exists()
    assert not (declared.directory / ".bundlepipe/doit.db").exists()
    assert plan["push_bundle:one"]["result"]["files"] == [{"path": "locks/one.yml", "change": "created"}]
    assert plan["push_bundle:two"]["needs"] == ["lock_bundle:two"]

    declared.doit("push_bundle")
    for name in ("one", "two"):
        made = declared.read(f".bundlepipe/digests/bundle/{name}").strip()
        assert plan[f"push_bundle:{name}"]["result"]["image"] == made
    assert plan["push_image:site"]["result"]["image"] == declared.read(".bundlepipe/digests/image/site").strip()


def test_a_changed_leaf_shows_the_whole_chain(declared: Project) -> None:
    declared.doit()
    assert set(_states(declared).values()) == {"none"}
    declared.write("site/index.html", "hello again")

    plan = _plan(declared)
    assert set(plan) == {name for name, task in plan.items() if task["state"] == "run"}
    assert plan["push_image:site"]["why"] == ["site/index.html changed"]
    assert plan["push_bundle:two"]["why"] == ["two/.imgpkg/images.yml changed"]
    (entry,) = plan["lock_bundle:two"]["result"]["entries"]
    made = declared.digest("bundle", "one").rpartition("@")[2]
    assert entry == {"reference": "one", "old": made, "new": plan["push_bundle:one"]["result"]["digest"]}
    assert "\n    one  sha256:" in declared.doit("plan").stdout
    assert plan["lock_bundle:two"]["result"]["files"] == [{"path": "two/.imgpkg/images.yml", "change": "changed"}]


def test_a_task_needs_stale_ones_also_through_those_that_are_up_to_date(declared: Project) -> None:
    declared.doit()
    # The image is pushed again with another tag, and so has the same digest: its bundle is up to date.
    declared.pipeline(DECLARATIONS.replace("[site]}", "[site], tags: [more]}"))
    declared.write("two/config.yml", "kind: Changed\n")
    plan = _plan(declared)
    assert {name for name, task in plan.items() if task["state"] == "run"} == {
        "push_image:site",
        "lock_bundle:two",
        "push_bundle:two",
    }
    assert plan["lock_bundle:two"]["needs"] == ["push_image:site"]
    assert plan["push_bundle:two"]["needs"] == ["lock_bundle:two"]


def test_only_the_tasks_that_are_named_and_what_they_need_are_planned(declared: Project) -> None:
    assert set(_plan(declared, "push_bundle:one")) == {"push_image:site", "lock_bundle:one", "push_bundle:one"}


def test_what_copies_and_pulls_make_is_known_beyond_them(project: Project) -> None:
    """A copy to another host has read the layer of the bundle, and what it kept of it is gone when others read that."""
    project.pipeline(
        """\
registries: {other.localhost: {layout: other}}
bundles:
  one: {files: [one], lock: {}}
images:
  two: {files: [two/one/config.yml]}
copies:
  away: {from: {bundle: one}, to: other.localhost/away}
  back: {from: {copy: away}, to: layout.localhost/back}
pulls:
  one: {from: {copy: back}, to: two/one}
  two: {from: {image: two}, to: build/two}
"""
    )
    project.write("one/config.yml", "kind: One\n")
    groups = ("copy_bundle", "pull_bundle")
    plan = _plan(project, *groups)
    assert {task["state"] for task in plan.values()} == {"run"}
    assert {file["path"]: file["change"] for file in plan["pull_bundle:one"]["result"]["files"]} == {
        "two/one/.imgpkg/images.yml": "created", "two/one/config.yml": "created"
    }  # fmt: skip
    assert all("result" in task for task in plan.values())
    project.doit(*groups)
    for kind, name in (("bundle", "one"), ("image", "two"), ("copy", "back"), ("pull", "two")):
        group = {"bundle": "push_bundle", "image": "push_image", "copy": "copy_bundle", "pull": "pull_bundle"}[kind]
        assert plan[f"{group}:{name}"]["result"]["image"] == project.digest(kind, name)


def test_what_depends_on_an_unknown_outcome_may_run(declared: Project) -> None:
    declared.write(
        "dodo.py",
        DODO + "def task_made():\n    return {'actions': ['echo x > one/made.yml'], 'targets': ['one/made.yml']}\n",
    )
    declared.doit()
    (declared.directory / "one/made.yml").unlink()
    plan = _plan(declared)
    assert plan["made"]["state"] == "run"
    assert plan["push_image:site"]["state"] == "none"
    assert plan["push_bundle:one"]["state"] == "maybe"
    assert "may change it" in " ".join(plan["push_bundle:two"]["why"])
    assert plan["push_bundle:two"]["state"] == "maybe"
    declared.write("one/config.yml", "kind: Changed\n")
    assert _states(declared)["push_bundle:one"] == "run"


def test_a_task_that_cannot_run_is_an_error_and_so_are_those_that_need_it(declared: Project) -> None:
    declared.write("one/config.yml", "image: registry.example:x:y\n")
    (declared.directory / "site/index.html").unlink()
    (declared.directory / "site").rmdir()
    plan = _plan(declared, status=1)
    assert plan["push_image:site"]["state"] == "error"
    assert "site: cannot be read" in plan["push_image:site"]["why"][0]
    assert plan["lock_bundle:one"]["why"] == ["push_image:site cannot run"]
    assert plan["push_bundle:two"]["state"] == "error"


def test_the_exit_status_may_say_whether_there_is_something_to_do(declared: Project) -> None:
    assert declared.doit("plan").status == 0
    declared.doit("plan", "--detailed-exitcode", status=2)
    declared.doit()
    assert declared.doit("plan", "--detailed-exitcode").stdout == "5 up to date\n"
    declared.doit("forget", "-a")
    found = declared.doit("plan", "--detailed-exitcode").stdout
    assert found.startswith("will run and change nothing\n") and found.endswith("\n5 to run without a change\n")


def test_why_tells_the_chain_down_to_the_file(declared: Project) -> None:
    declared.doit()
    declared.write("site/index.html", "hello again")
    assert declared.doit("plan", "--why", "push_bundle:two").stdout.splitlines() == [
        "push_bundle:two will run: two/.imgpkg/images.yml changed",
        "  lock_bundle:two will run: one changed",
        "    push_bundle:one will run: one/.imgpkg/images.yml changed",
        "      lock_bundle:one will run: site changed",
        "        push_image:site will run: site/index.html changed",
    ]
    assert "push_bundle:two will run" in declared.doit("plan", "--why", "push_bundle").stdout
    declared.doit()
    assert declared.doit("plan", "--why", "push_bundle:two").stdout == "push_bundle:two is up to date\n"
    assert declared.doit("plan", "--why", "lock_bundle").stdout.count("is up to date") == 2


def test_a_group_without_tasks_is_told_and_others_are_named(project: Project) -> None:
    project.pipeline("images:\n  site: {files: [site]}\n")
    project.write("site/index.html", "hello")
    told = "nothing to do: push_bundle has no tasks; name others, such as push_image\n"
    assert project.doit().stdout == project.doit("plan").stdout == project.doit("-n", "0").stdout == told
    assert project.doit("pull_bundle", "push_bundle").stdout == (
        "nothing to do: pull_bundle, push_bundle have no tasks; name others, such as push_image\n"
    )
    assert "nothing to do" not in project.doit("push_bundle", "push_image").stdout
    assert "nothing to do" not in project.doit("plan", "push_bundle", "push_image").stdout


def test_a_plan_is_not_saved_in_what_its_tasks_read(declared: Project) -> None:
    refused = declared.doit("plan", "--out", "site/plan.json", "push_image", status=3)
    assert refused.stderr == (
        "ERROR: --out site/plan.json: push_image:site reads the files there, so the plan would be out of date as soon "
        "as it is saved: write it elsewhere, or exclude it\n"
    )
    assert not (declared.directory / "site/plan.json").exists()
    declared.doit("plan", "--out", "plan.json", "push_image")


def test_the_text_is_short_and_coloured_on_a_terminal_alone(declared: Project) -> None:
    lines = declared.doit("plan", "push_bundle:one").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("will", "push_image:site", "lock_bundle:one", "site", "push_bundle:one", "3")
    ]
    assert lines[1].endswith("(no local record)") and lines[-1].startswith("3 to run, ")
    command = [sys.executable, "-m", "doit", "plan", "push_bundle:one"]
    shown = {}
    for name, value in {"TERM": "xterm", "NO_COLOR": "1"}.items():
        terminal = Terminal(columns=150)
        assert terminal.run(command, cwd=declared.directory, env={**declared.environment, name: value}) == 0
        shown[name] = terminal.output
    assert "\x1b[1;32mwill run\x1b[0m" in shown["TERM"] and "\x1b[2m(no local record)\x1b[0m" in shown["TERM"]
    assert shown["NO_COLOR"].splitlines() == lines
    screen = Terminal(rows=4)
    screen.run(command, cwd=declared.directory, env={**declared.environment, "NO_COLOR": "1"})
    assert "each task: BUNDLEPIPE_SHOW=all; why one runs: --why TASK" in screen.output


def test_markdown_is_a_table_that_content_cannot_break(declared: Project) -> None:
    declared.doit()
    declared.write("one/a | `b.yml", "x\n")
    text = declared.doit("plan", "--markdown", "push_bundle:one").stdout
    row = next(line for line in text.splitlines() if "push_bundle:one" in line)
    assert "<code>one/a &#124; &#96;b.yml is new</code>" in row and row.count(" | ") == 2
    assert text.startswith("| task | result | why |\n|---|---|---|\n")
    assert declared.doit("plan", "--markdown", "push_image").stdout == "1 up to date\n"


def test_one_form_at_a_time(declared: Project) -> None:
    refused = declared.doit("plan", "--json", "--markdown", status=3)
    assert "--json, --markdown and --why exclude each other" in refused.stderr


def test_kubectl_says_what_an_apply_would_change(project: Project) -> None:
    """It compares what a render will write, which is nowhere yet."""
    stand_in = StandIn(
        project.directory / "bin",
        """
echo "diff -u -N /tmp/LIVE-1/v1.x /tmp/MERGED-2/v1.x"
echo "--- /tmp/LIVE-1/v1.x 2026"; echo "+++ /tmp/MERGED-2/v1.x 2026"
sed 's/^/+/' "${2#--filename=}"; exit 1
""",
    )
    project.environment["PATH"] = f"{stand_in.directory}:{os.environ['PATH']}"
    project.pipeline("renders:\n  app: {files: [src], output: out.yml, apply: {}}\n")
    project.write("src/app.yml", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a}\n")
    name = "apply_config:app"
    assert "diff" not in _plan(project, name)[name].get("result", {}) and not stand_in.calls
    found = _plan(project, "--diff", name)[name]["result"]["diff"].splitlines()
    assert found[:2] == ["--- cluster/v1.x", "+++ rendered/v1.x"] and "+kind: ConfigMap" in found
    assert not (project.directory / "out.yml").exists() and stand_in.calls[0][0] == "diff"
    text = project.doit("plan", "--diff", name).stdout
    assert f"\n{name} would change in the cluster\n  --- cluster/v1.x\n  +++ rendered/v1.x\n" in text
    assert "```diff\n--- cluster/v1.x\n" in project.doit("plan", "--diff", "--markdown", name).stdout
    stand_in.plays("exit 0")
    assert f"{name} would change nothing in the cluster\n" in project.doit("plan", "--diff", name).stdout
    stand_in.plays("echo error: no cluster >&2; exit 2")
    failed = _plan(project, "--diff", name)[name]
    assert failed["why"][-1].endswith("kubectl failed with exit status 2: error: no cluster")
    assert failed["state"] == "run" and "result" not in failed
    assert "give one of them" in project.doit("plan", "--diff", "--offline", status=3).stderr


def test_the_order_of_tasks_is_the_same_in_each_plan(project: Project) -> None:
    """Although doit has dependencies in sets, which Python orders by numbers that differ from process to process."""
    names = [f"b{number}" for number in range(6)]
    bundles = "".join(f"  {name}: {{files: [{name}], lock: {{}}}}\n" for name in names)
    locks = [f"{name}/.imgpkg/images.yml" for name in reversed(names)]
    project.pipeline(
        f"bundles:\n{bundles}renders:\n  all: {{files: [b0], locks: {json.dumps(locks)}, output: out.yml}}\n"
    )
    for name in names:
        project.write(f"{name}/config.yml", f"kind: {name}\n")
    for seed in ("1", "2", "3"):
        project.environment["PYTHONHASHSEED"] = seed
        assert [*_plan(project, "render_config")] == [*(f"lock_bundle:{name}" for name in names), "render_config:all"]
    both = [f"{task}_bundle:{name}" for name in names for task in ("lock", "push")]
    assert [*_plan(project, "push_bundle", "lock_bundle")] == both


def test_what_a_created_task_waited_for_comes_first(project: Project) -> None:
    project.pipeline("bundles: {}\n")
    project.write(
        "dodo.py",
        f"{DODO}from doit import create_after\n"
        "def task_user():\n    return {'actions': ['true'], 'task_dep': ['late']}\n"
        "@create_after(executed='early')\n"
        "def task_late():\n    yield {'name': 'x', 'actions': ['true']}\n"
        "def task_early():\n    return {'actions': ['true']}\n",
    )
    for chosen in (["late"], ["late", "early"], ["late:x"], ["l*"]):
        assert [*_plan(project, *chosen)] == ["early", "late:x"], chosen
    assert [*_plan(project, "user")] == ["early", "late:x", "user"]


def test_offline_no_registry_is_asked(project: Project) -> None:
    """At the address nobody listens."""
    project.pipeline(
        "bundles:\n  one: {files: [one], lock: {}}\n  two: {files: [two], lock: {}}\n",
        'defaults: {push: "127.0.0.1:9/{name}:1"}\n',
    )
    project.write("one/config.yml", "kind: One\n")
    project.write("two/config.yml", "image: 127.0.0.1:9/other:1\n")
    plan = _plan(project, "--offline")
    assert plan["push_bundle:one"]["result"]["image"].startswith("127.0.0.1:9/one@sha256:")
    assert plan["lock_bundle:two"]["state"] == "run" and plan["push_bundle:two"]["state"] == "run"
    assert plan["lock_bundle:two"]["why"][-1].endswith("is not known without asking the registry")
    assert "result" not in plan["push_bundle:two"]
