"""`doit watch`: runs when inputs change, and only then."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.git import commit_all, git
from tests.support.processes import is_running, until
from tests.support.project import DODO, FOUR_WAYS, HEADER, NESTED_BUNDLES, Project
from tests.support.watching import DOIT, WAITS, watching

ROOT = Path(__file__).parents[3]
CTRL_C = b"\x03"
# Ends a run while it lasts: a task that is done when the file `go` is there.
SLOW = """\
import os, pathlib, time
def wait():
    pathlib.Path("runs").open("a").write("x")
    while not os.path.exists("go"):
        time.sleep(0.01)
def task_slow():
    return {"actions": [wait], "file_dep": ["input"]}
"""
# Writes what another task has read before.
UNSEEN = """\
import time
def write():
    open("app/unseen", "w").write(str(time.time_ns()))
def task_zz():
    return {"actions": [write], "task_dep": ["push_bundle"]}
"""


@pytest.fixture
def nested(project: Project) -> Project:
    """A bundle `two`, which includes a bundle `one`."""
    project.write("bundlepipe.yml", NESTED_BUNDLES)
    for name in ("one", "two"):
        project.write(f"{name}/config.yml", f"kind: {name}\n")
    return project


def save_as_editors_do(path: Path, content: str) -> None:
    """Write a new file and give it the name of the old one, which is kept as a backup."""
    (path.parent / f".{path.name}.swp").write_text(content)
    path.rename(path.parent / f"{path.name}~")
    (path.parent / f".{path.name}.swp").rename(path)
    (path.parent / f"{path.name}~").unlink()


def test_a_day_at_a_terminal(nested: Project) -> None:
    good = nested.read("bundlepipe.yml")
    with watching(nested, "push_bundle", on_terminal=True) as watch:
        assert watch.until(WAITS)[0] == (
            "watch: lock_bundle:one, push_bundle:one, lock_bundle:two and 1 more: no local record"
        )

        nested.write("two/config.yml", "kind: edited\n")
        lines = watch.until(WAITS)
        assert lines[0] == "watch: two/config.yml changed"
        assert [line for line in lines if line.startswith(".  push_bundle")] == [
            line for line in lines if "push_bundle:two" in line
        ]

        save_as_editors_do(nested.directory / "one/config.yml", "kind: saved\n")
        lines = watch.until(WAITS)
        assert lines[0] == "watch: one/config.yml changed"
        assert any(line.startswith(".  push_bundle:two") for line in lines)

        nested.write("bundlepipe.yml", good.replace("lock: {inc", "lok: {inc"))
        assert watch.until(WAITS) == [
            "ERROR: bundlepipe.yml:6:23: unknown key 'lok', did you mean 'lock'?",
            "watch: waiting for changes",
        ]
        nested.write("two/config.yml", "kind: while-broken\n")
        nested.write("bundlepipe.yml", good)
        assert watch.until(WAITS)[0] == "watch: two/config.yml changed"

        nested.write("one/config.yml", "kind: quickly\n")
        watch.until("one/config.yml changed")
        nested.write("one/config.yml", "kind: twice\n")
        watch.until(WAITS)
        watch.press(CTRL_C)
        assert "watch: ended" in watch.ended(130)[-1]
    assert nested.doit("push_bundle").ran == []


def test_a_change_during_a_run_leads_to_one_more_after_it(project: Project) -> None:
    project.write("dodo.py", SLOW)
    project.write("input", "1")
    with watching(project, "slow") as watch:
        until((project.directory / "runs").exists)
        project.write("input", "2")
        time.sleep(0.5)
        project.write("input", "3")
        project.write("go", "")
        assert [line for line in watch.until(WAITS) if line.startswith("watch")] == [
            "watch: slow: no local record",
            "watch: input changed",
            "watch: waiting for changes",
        ]
    assert project.read("runs") == "xx"


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)],
)
@pytest.mark.parametrize("way", ["serial", "fork", "thread"])
def test_a_signal_ends_the_run_and_its_programs(project: Project, number: int, status: int, way: str) -> None:
    project.pipeline(
        "renders:\n  app: {files: [{run: [sh, -c, 'echo $$$$ > started; exec sleep 1000']}], output: out}\n"
    )
    with watching(project, *FOUR_WAYS[way], "render_config") as watch:
        started = project.directory / "started"
        until(lambda: started.exists() and started.read_text().endswith("\n"))
        watch.process.send_signal(number)
        assert watch.ended(status)[-1] == "interrupted: the next run does what is not finished"
    assert not is_running(int(started.read_text()))


def test_the_programs_of_users_tasks_end_as_well(project: Project) -> None:
    project.write("dodo.py", 'def task_long():\n    return {"actions": ["echo $$ > started; exec sleep 1000"]}\n')
    with watching(project) as watch:
        started = project.directory / "started"
        until(lambda: started.exists() and started.read_text().endswith("\n"))
        watch.process.send_signal(signal.SIGINT)
        watch.ended(130)
    assert not is_running(int(started.read_text()))


# Ignores what should end it, for as long as nobody kills it.
STUBBORN = """\
def task_stubborn():
    return {"actions": ["trap '' INT TERM HUP; echo $$ > started; while :; do sleep 0.1; done"]}
"""


def pid_in(path: Path) -> int:
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_a_second_interruption_ends_programs_that_ignore_the_first(project: Project) -> None:
    project.write("dodo.py", STUBBORN)
    with watching(project, on_terminal=True) as watch:
        program = pid_in(project.directory / "started")
        watch.press(CTRL_C)
        watch.until("^.*watch: waiting for the run and its programs to end; Ctrl-C ends them at once$")
        assert is_running(program)
        watch.press(CTRL_C)
        assert watch.ended(130)[-1].endswith("interrupted: the next run does what is not finished")
        assert not is_running(program)


@pytest.mark.parametrize("dodo", [SLOW, 'def task_long():\n    return {"actions": ["echo $$ > runs; sleep 1000"]}\n'])
def test_a_run_ends_if_the_process_that_watches_is_killed(project: Project, dodo: str) -> None:
    project.write("dodo.py", dodo.replace('write("x")', 'write(f"{os.getpid()}\\n")'))
    project.write("input", "1")
    with watching(project) as watch:
        program = pid_in(project.directory / "runs")
        watch.process.kill()
        until(lambda: not is_running(program))


def test_a_checkout_of_hundreds_of_files_is_pushed_whole(project: Project) -> None:
    project.pipeline("bundles:\n  app: {files: [app]}\n")
    project.bundle("app", **{f"config{number}": "kind: One\n" for number in range(300)})
    project.write(".gitignore", ".bundlepipe\n")
    commit_all(project.directory)
    git(project.directory, "checkout", "--quiet", "-b", "other")
    for number in range(300):
        project.write(f"app/config{number}.yml", "kind: Other\n")
    for number in range(300):
        project.write(f"app/new{number}/config.yml", "kind: New\n")
    commit_all(project.directory)
    git(project.directory, "checkout", "--quiet", "main")
    with watching(project, "push_bundle") as watch:
        watch.until(WAITS)
        for branch in ("other", "main", "other"):
            git(project.directory, "checkout", "--quiet", branch)
            watch.until(WAITS)
            project.write("app/config0.yml", f"kind: After{branch}\n")
            watch.until(WAITS)
            git(project.directory, "checkout", "--quiet", ".")
            watch.until(WAITS)
    assert project.doit("push_bundle").ran == []


def test_directories_may_vanish_and_come_back(nested: Project) -> None:
    with watching(nested, "push_bundle") as watch:
        watch.until(WAITS)
        os.rename(nested.directory / "one", nested.directory / "elsewhere")
        assert "watch: exit status 1; waiting for changes" in watch.until(WAITS)
        os.rename(nested.directory / "elsewhere", nested.directory / "one")
        watch.until(WAITS)
        nested.write("one/config.yml", "kind: after\n")
        assert watch.until(WAITS)[0] == "watch: one/config.yml changed"
        nested.write("one/deep/er/config.yml", "kind: new\n")
        assert watch.until(WAITS)[0] == "watch: one/deep/er/config.yml is new, one/deep is new, one/deep/er is new"
        nested.write("one/deep/er/config.yml", "kind: newer\n")
        assert watch.until(WAITS)[0] == "watch: one/deep/er/config.yml changed"


def test_what_changes_nothing_runs_nothing(nested: Project) -> None:
    nested.write("other/file", "not an input")
    with watching(nested, "push_bundle") as watch:
        watch.until(WAITS)
        nested.write("other/file", "changed")
        nested.write(".git/index", "changed")
        os.utime(nested.directory / "two/config.yml")
        assert watch.until("^watch") == ["watch: nothing to do (two/config.yml changed)"]


def test_outputs_of_runs_cause_no_runs(project: Project) -> None:
    project.pipeline("bundles:\n  app: {files: [app], lock: {refresh: always}}\n")
    project.write("app/config.yml", "kind: App\n")
    project.write("source", "1")
    project.write(
        "dodo.py",
        f"{DODO}\n"
        "def task_generate():\n"
        "    copy = 'cat source > app/generated.yml'\n"
        "    return {'actions': [copy], 'file_dep': ['source'], 'targets': ['app/generated.yml']}\n",
    )
    with watching(project, "push_bundle") as watch:
        assert sum(line.startswith("watch") for line in watch.until(WAITS)) == 2
        project.write("source", "2")
        assert sum(line.startswith("watch") for line in watch.until(WAITS)) == 2


def test_what_a_run_wrote_before_it_failed_causes_no_other_one(project: Project) -> None:
    project.write("bundlepipe.yml", NESTED_BUNDLES.replace("layout.localhost", "127.0.0.1:1"))
    for name in ("one", "two"):
        project.write(f"{name}/config.yml", f"kind: {name}\n")
    with watching(project, "push_bundle") as watch:
        lines = watch.until("waiting for changes$")
        assert [line for line in lines if line.startswith("watch")][1:] == ["watch: exit status 1; waiting for changes"]
        assert (project.directory / "one/.imgpkg/images.yml").exists()
        project.write("one/.imgpkg/images.yml", "")
        lines = watch.until("waiting for changes$")
        assert [line for line in lines if line.startswith("watch")][1:] == ["watch: exit status 1; waiting for changes"]
        assert "one/.imgpkg/images.yml changed" in lines[0]


def test_files_behind_links_count(nested: Project) -> None:
    outside = nested.directory.parent / "outside"
    outside.mkdir()
    os.rename(nested.directory / "bundlepipe.yml", outside / "bp.yml")
    (outside / "input").write_text("1")
    (nested.directory / "bundlepipe.yml").symlink_to(outside / "bp.yml")
    (nested.directory / "linked").symlink_to("../outside/input")
    nested.write("dodo.py", f"{DODO}\ndef task_own():\n    return {{'actions': ['true'], 'file_dep': ['linked']}}\n")
    with watching(nested, "own", "push_bundle") as watch:
        watch.until(WAITS)
        (outside / "input").write_text("another one")
        assert watch.until(WAITS)[0] == "watch: linked changed"
        (outside / "bp.yml").write_text(NESTED_BUNDLES.replace("bundles:", "bundels:"))
        assert "bundlepipe.yml:" in watch.until(WAITS)[0]


@pytest.mark.parametrize("way", ["removed", "renamed"])
def test_it_ends_if_its_directory_is_gone(nested: Project, way: str) -> None:
    with watching(nested, "push_bundle") as watch:
        watch.until(WAITS)
        if way == "removed":
            shutil.rmtree(nested.directory)
        else:
            os.rename(nested.directory, nested.directory.parent / "elsewhere")
        assert watch.ended(3)[-1] == f"ERROR: watch: {nested.directory} was removed or renamed: start it again"


def test_a_task_that_changes_the_inputs_of_others_unseen_runs_a_few_times(project: Project) -> None:
    project.pipeline("bundles:\n  app: {files: [app]}\n")
    project.bundle("app")
    project.write("dodo.py", DODO + UNSEEN)
    with watching(project, "push_bundle", "zz") as watch:
        lines = watch.until(WAITS)
    assert (
        "watch: app/unseen changed in each of the last 4 runs: a task writes what others read: "
        "declare it as a target of that task"
    ) in lines


def test_files_that_define_the_tasks_count(nested: Project) -> None:
    nested.write("bundlepipe.yml", NESTED_BUNDLES.replace("defaults:", 'include: ["more/*.yml"]\ndefaults:'))
    nested.write("helper.py", "NAME = 'one'\n")
    nested.write(
        "dodo.py", f"import helper\n{DODO}\ndef task_say():\n    return {{'actions': ['echo ' + helper.NAME]}}\n"
    )
    with watching(nested, "-v", "2", "push_bundle", "say") as watch:
        assert "one" in watch.until(WAITS)
        nested.write("helper.py", "NAME = 'a longer one'\n")
        assert "a longer one" in watch.until(WAITS)
        nested.bundle("three")
        nested.write(
            "more/three.yml", f"{HEADER}bundles:\n  three: {{files: [../three], push: layout.localhost/three}}\n"
        )
        assert any("push_bundle:three" in line for line in watch.until(WAITS))
        nested.write("three/config.yml", "kind: changed\n")
        assert watch.until(WAITS)[0] == "watch: three/config.yml changed"
        nested.write("helper.py", "NAME = \n")
        assert any("SyntaxError" in line for line in watch.until(WAITS))
        nested.write("helper.py", "NAME = 'mended'\n")
        assert "mended" in watch.until(WAITS)


def test_all_tasks_run_if_that_is_asked_for(nested: Project) -> None:
    with watching(nested, "-a", "push_bundle") as watch:
        watch.until(WAITS)
        os.utime(nested.directory / "two/config.yml")
        lines = watch.until(WAITS)
        assert lines[0] == "watch: -a runs every task"
        assert any(line.startswith("=  push_bundle:one") for line in lines)


def test_a_pipeline_that_is_broken_during_the_first_run_is_watched_on(project: Project) -> None:
    project.write("dodo.py", SLOW)
    project.write("input", "1")
    with watching(project, "slow") as watch:
        until((project.directory / "runs").exists)
        project.write("dodo.py", SLOW.replace("return {", "return ["))
        project.write("go", "")
        assert any("SyntaxError" in line for line in watch.until(WAITS))
        project.write("input", "2")
        project.write("dodo.py", SLOW)
        assert watch.until(WAITS)[0] == "watch: input changed"


def test_the_howto_shows_what_is_printed(project: Project) -> None:
    def blocks(page: str, language: str) -> list[str]:
        text = (ROOT / "docs/how-to" / page).read_text()
        return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)

    project.write("bundlepipe.yml", blocks("plan-a-run.md", "yaml")[0])
    project.write("library/config.yml", "kind: Library\n")
    project.write("shop/config.yml", "kind: Shop\n")
    first, second = blocks("watch.md", "text")
    with watching(project, "-n", "0") as watch:
        assert watch.until(WAITS) == first.splitlines()
        project.write("library/config.yml", "kind: Library # changed\n")
        assert watch.until(WAITS) == second.splitlines()


def test_requests_for_one_run_are_for_the_first(nested: Project) -> None:
    nested.doit("push_bundle")
    with watching(nested, "push_bundle", "refresh=all") as watch:
        assert any("refresh requested" in line for line in watch.until(WAITS))
        nested.write("two/config.yml", "kind: edited\n")
        assert not any("refresh requested" in line for line in watch.until(WAITS))


@pytest.mark.parametrize(
    ("broken", "arguments", "told"),
    [
        (False, ["push_bundel"], "ERROR: 'push_bundel': there is no such task"),
        (True, ["push_bundle"], "ERROR: bundlepipe.yml:6:23: unknown key 'lok'"),
    ],
)
def test_what_is_wrong_at_the_start_ends_it(nested: Project, broken: bool, arguments: list[str], told: str) -> None:
    if broken:
        nested.write("bundlepipe.yml", NESTED_BUNDLES.replace("lock: {inc", "lok: {inc"))
    with watching(nested, *arguments) as watch:
        assert watch.ended(3)[0].startswith(told)


def test_the_command_finds_the_pipeline_as_doit_does(nested: Project) -> None:
    (nested.directory / "dodo.py").unlink()
    (nested.directory / "below").mkdir()
    below = Project(nested.directory / "below", nested.environment)
    with watching(below, "push_bundle", command=[sys.executable, "-m", "bundlepipe", "watch"]) as watch:
        lines = watch.until(WAITS)
        assert lines[0] == "bundlepipe: running in .., where bundlepipe.yml is"
        nested.write("two/config.yml", "kind: edited\n")
        assert watch.until(WAITS)[0] == "watch: two/config.yml changed"


def test_it_says_which_library_is_missing(nested: Project) -> None:
    hidden = (
        "import sys; sys.modules['watchfiles'] = None; sys.argv[0] = 'doit'; "
        "from doit.doit_cmd import DoitMain; sys.exit(DoitMain().run(sys.argv[1:]))"
    )
    with watching(nested, command=[sys.executable, "-c", hidden, "watch"]) as watch:
        assert watch.ended(3) == ["ERROR: watch needs the library watchfiles: pip install 'bundlepipe[watch]'"]


def test_settings_of_runs_hold(nested: Project) -> None:
    nested.write("doit.cfg", "[run]\nreporter = zero\n")
    nested.write("dodo.py", DODO.replace("import DOIT_CONFIG, ", "import ") + "DOIT_CONFIG = {'backend': 'json'}\n")
    with watching(nested, "push_bundle", command=[*DOIT, "watch"]) as watch:
        assert watch.until(WAITS) == [
            "watch: lock_bundle:one, push_bundle:one, lock_bundle:two and 1 more: no local record",
            "watch: waiting for changes",
        ]
