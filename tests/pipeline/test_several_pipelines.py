"""Several pipelines in one dodo.py: prefixes keep the names of their tasks, and what is remembered of them, apart."""

from __future__ import annotations

import json
import shutil

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.pipeline.checks.replacement import replacements
from bundlepipe.pipeline.declared.reading import read_pipeline
from bundlepipe.pipeline.records.groups import GROUPS
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from tests.support.images import file_layer, put_image
from tests.support.project import EMPTY_LOCK, FOUR_WAYS, HEADER, Project

TEAMS = ("blue", "green")
DODO = """\
from bundlepipe import DOIT_CONFIG, Pipeline
blue = Pipeline.load("blue/bundlepipe.yml", prefix="blue")
green = Pipeline.load("green/bundlepipe.yml"{})
"""
PIPELINE = """\
defaults: {{push: "layout.localhost/{team}/{{name}}:1"}}
images: {{site: {{files: [site]}}}}
bundles: {{app: {{files: [app], lock: {{}}, lockOutput: app.lock.yml}}}}
copies: {{c: {{from: {{bundle: app}}, to: "tar:../out/{team}.tar"}}}}
pulls:
  g: {{from: {{copy: c}}, to: ../out/{team}}}
  again: {{from: "layout.localhost/{team}/app:1", to: ../out/{team}-again}}
renders: {{r: {{files: [app/c.yml], locks: [app/.imgpkg/images.yml], output: ../out/{team}.yml}}}}
"""
MADE = {
    *("push_image:site", "lock_bundle:app", "push_bundle:app", "copy_bundle:c"),
    *("pull_bundle:g", "pull_bundle:again", "render_config:r"),
}
ALL = ("push_bundle", "pull_bundle", "render_config")


def tasks_of(prefix: str) -> set[str]:
    return {f"{prefix}_{task}" if prefix else task for task in MADE}


@pytest.fixture
def teams(project: Project) -> Project:
    for team in TEAMS:
        project.write(f"{team}/bundlepipe.yml", HEADER + PIPELINE.format(team=team))
        project.write(f"{team}/app/c.yml", "image: site\n")
        project.write(f"{team}/site/x", team)
    project.write("dodo.py", DODO.format(', prefix="green"'))
    return project


def make(project: Project, *options: str) -> set[str]:
    """Push, then do all the rest, some of which takes what was pushed by reference; return what ran."""
    return project.doit(*options).executed | project.doit(*options, *ALL).executed


@pytest.mark.parametrize("way", ["serial", "thread", "fork"])
@pytest.mark.parametrize("prefix", ["green", ""])
def test_pipelines_of_the_same_names_do_not_get_into_each_others_way(teams: Project, prefix: str, way: str) -> None:
    teams.write("dodo.py", DODO.format(f", prefix={prefix!r}"))
    assert make(teams, *FOUR_WAYS[way]) == tasks_of("blue") | tasks_of(prefix)
    assert teams.doit(*FOUR_WAYS[way], *ALL).ran == []
    for team, record in (("blue", "blue:app"), ("green", f"{prefix}:app" if prefix else "app")):
        assert teams.digest("bundle", record).startswith(f"layout.localhost/{team}/app@")
        image = teams.digest("image", record.replace("app", "site"))
        assert teams.read(f"out/{team}.yml") == f"image: {image}\n"
        assert teams.read(f"out/{team}/c.yml") == "image: site\n"


def test_a_change_in_one_runs_nothing_of_the_other(teams: Project) -> None:
    make(teams)
    teams.write("blue/site/x", "changed")
    assert set(teams.doit(*ALL).ran) <= tasks_of("blue")
    assert teams.read("out/green.yml") != teams.read("out/blue.yml")


def test_the_groups_without_prefix_hold_the_tasks_of_all(teams: Project) -> None:
    listed = teams.doit("list").stdout.split("\n")
    assert {line.split()[0] for line in listed if line} == {
        f"{prefix}{group}" for group in GROUPS for prefix in ("", "blue_", "green_")
    }
    assert teams.doit("green_push_bundle").executed == {
        *("green_push_image:site", "green_lock_bundle:app", "green_push_bundle:app")
    }
    assert {task for task in teams.doit().executed if "push_bundle" in task} == {"blue_push_bundle:app"}


def test_each_is_cleaned_by_itself(teams: Project) -> None:
    make(teams)
    teams.doit("clean", "blue_pull_bundle:g", "blue_copy_bundle:c", "blue_render_config:r")
    out = {path.name for path in (teams.directory / "out").iterdir()}
    assert out == {"blue-again", "green", "green-again", "green.tar", "green.yml"}


def test_variables_select_by_prefix_or_in_all(teams: Project) -> None:
    make(teams)
    (one,) = teams.doit("pull_bundle", "refresh=blue_pull_bundle:again").ran
    assert one == "blue_pull_bundle:again"
    both = teams.doit("pull_bundle", "refresh=again").ran
    assert {task for task in both if "pull" in task} == {"blue_pull_bundle:again", "green_pull_bundle:again"}
    error = teams.doit("list", "refresh=blue_pull_bundle:agian", status=3).stderr
    assert "there is no such task for it; the nearest of " in error and "blue_pull_bundle:again" in error


def test_a_name_of_one_pipeline_is_known_to_the_others(teams: Project) -> None:
    teams.write("blue/bundlepipe.yml", HEADER + PIPELINE.format(team="blue").replace("again:", "only:"))
    teams.doit("list", "refresh=only")
    teams.doit("list", "force=only")
    assert "refresh=none: nothing has that name" in teams.doit("list", "refresh=none", status=3).stderr


SAME = {
    "no prefix": (
        'one = Pipeline.load("blue/bundlepipe.yml")\ntwo = Pipeline()\n',
        "two pipelines in one dodo.py, blue/bundlepipe.yml and one declared in Python, have no prefix",
    ),
    "one prefix": (
        'one = Pipeline.load("blue/bundlepipe.yml", prefix="x")\ntwo = Pipeline(prefix="x")\n',
        "blue/bundlepipe.yml and one declared in Python, have the same prefix 'x'",
    ),
    "two names": ("one = two = Pipeline()\n", "the dodo.py has two names for one pipeline, one declared in Python"),
    "no name": (
        'one = Pipeline(prefix="Blue:1")\n',
        "Pipeline: prefix: 'Blue:1' is not a prefix: expected up to 200 lower-case",
    ),
    "no text": ("one = Pipeline(prefix=1)\n", "Pipeline: prefix: expected a string, found the number 1"),
}


@pytest.mark.parametrize(("pipelines", "problem"), SAME.values(), ids=SAME)
def test_what_cannot_be_told_apart_is_one_clear_error(teams: Project, pipelines: str, problem: str) -> None:
    teams.write("dodo.py", f"from bundlepipe import Pipeline\n{pipelines}")
    run = teams.doit("list", status=3)
    assert problem in run.stderr and run.stderr.count("\n") == 1


def test_a_faulty_record_names_the_task_with_its_prefix(teams: Project) -> None:
    teams.doit("blue_push_image:site")
    teams.write(".bundlepipe/digests/image/blue:site", "not a reference")
    run = teams.doit("blue_lock_bundle", status=1)
    assert ".bundlepipe/digests/image/blue:site: is damaged" in run.stdout
    assert "run doit blue_push_image:site" in run.stdout


def _with_bundles(project: Project, files: dict[str, str]) -> None:
    for team in TEAMS:
        head = f'{HEADER}defaults: {{push: "layout.localhost/{team}/{{name}}:1"}}\n'
        pull = f"pulls: {{g: {{from: {{bundle: app}}, to: ../out/{team}}}}}\n"
        project.write(f"{team}/bundlepipe.yml", f"{head}bundles: {{app: {{files: [{files[team]}]}}}}\n{pull}")
        project.write(f"{team}/app/.imgpkg/images.yml", EMPTY_LOCK)
        project.write(f"{team}/app/{team}.yml", "kind: App\n")
    project.write("dodo.py", DODO.format(', prefix="green"'))


def test_a_task_waits_for_what_another_pipeline_makes(project: Project) -> None:
    _with_bundles(project, {"blue": "app", "green": "app, ../out/blue/blue.yml"})
    ran = project.doit("green_push_bundle").ran
    assert ran == ["blue_push_bundle:app", "blue_pull_bundle:g", "green_push_bundle:app"]
    project.doit("green_pull_bundle")
    assert (project.directory / "out/green/blue.yml").exists()


@pytest.mark.parametrize("way", ["serial", "thread", "fork"])
def test_pipelines_that_need_one_another_fail(project: Project, way: str) -> None:
    _with_bundles(project, {"blue": "app, ../out/green/green.yml", "green": "app, ../out/blue/blue.yml"})
    run = project.doit(*FOUR_WAYS[way], "pull_bundle", status=1)
    assert "which needs this task in turn (" in run.stdout
    assert "1 failed, 3 not reached" in run.stdout


CREATOR = """
from doit import create_after
def task_source():
    return {"actions": ["true"]}
@create_after(executed="source")
def task_generate():
    yield {"name": "both", "actions": ["echo kind: X | tee blue/app/x.yml > green/app/x.yml"],
           "targets": ["blue/app/x.yml", "green/app/x.yml"]}
"""


@pytest.mark.parametrize("way", ["serial", "thread"])
def test_each_waits_for_what_is_created_later(teams: Project, way: str) -> None:
    teams.write("dodo.py", DODO.format(', prefix="green"') + CREATOR)
    ran = teams.doit(*FOUR_WAYS[way], "push_bundle").ran
    assert ran.index("generate:both") < min(ran.index(f"{team}_lock_bundle:app") for team in TEAMS)
    for team in TEAMS:
        teams.doit(f"{team}_pull_bundle:g")
        assert teams.read(f"out/{team}/x.yml") == "kind: X\n"


def test_each_guards_what_it_reads_itself(teams: Project) -> None:
    early = CREATOR.replace("true", "cat out/blue.yml out/green.yml").replace(
        '"actions": ["cat', '"task_dep": ["render_config"], "actions": ["cat'
    )
    teams.write("dodo.py", DODO.format(', prefix="green"') + early)
    for team in TEAMS:
        teams.write(f"{team}/app/c.yml", "kind: App\n")
    run = teams.doit("generate", status=1)
    assert "task 'generate:both' makes blue/app/x.yml" in run.stdout or "green/app/x.yml" in run.stdout


def test_after_means_tasks_of_the_own_pipeline(teams: Project) -> None:
    text = HEADER + PIPELINE.format(team="blue")
    teams.write(
        "blue/bundlepipe.yml", text.replace("files: [site]", "files: [site], after: [mine, 'pull_bundle:again']")
    )
    teams.write("dodo.py", DODO.format(', prefix="green"') + 'def task_mine():\n    return {"actions": ["true"]}\n')
    needed = teams.doit("info", "blue_push_image:site", status=1).stdout
    assert "- mine" in needed and "- blue_pull_bundle:again" in needed


VENDOR = "vendor/db"


def _locking(teams: Project, *, green: str) -> dict[str, str]:
    """Let each pipeline lock to the digest of an image that others made; return the lock files."""
    locks = {"blue": "blue.lock", "green": green}
    for team, lock in locks.items():
        layout = RegistrySettings(layout=str(teams.directory / team / "build/registry"))
        store = Stores({"layout.localhost": layout}).repository(Repository("layout.localhost", VENDOR), writes=True)
        put_image(store, file_layer("content", team), tag=team)
        teams.write(f"{team}/app/c.yml", f"image: layout.localhost/{VENDOR}:{team}\n")
        teams.write(f"{team}/bundlepipe.yml", f"{HEADER}lock: ../{lock}\n{PIPELINE.format(team=team)}")
    return locks


def test_each_has_a_lock_file_from_which_unused_entries_go(teams: Project) -> None:
    for prefix in ("green", ""):
        teams.write("dodo.py", DODO.format(f", prefix={prefix!r}"))
        locks = _locking(teams, green="green.lock")
        teams.doit("lock_bundle")
        for team, lock in locks.items():
            assert teams.read(lock).count("- reference") == 1 and f"{VENDOR}:{team}" in teams.read(lock)
        before = teams.read("green.lock")
        teams.write("blue/app/c.yml", "image: site\n")
        teams.doit("lock_bundle")
        assert "- reference" not in teams.read("blue.lock") and teams.read("green.lock") == before
        teams.write("green/app/c.yml", "image: site\n")
        teams.doit("lock_bundle")
        assert "- reference" not in teams.read("green.lock")


def test_lock_files_are_not_read_again_for_one_another(teams: Project) -> None:
    _locking(teams, green="green.lock")
    teams.doit("lock_bundle")
    record = teams.read(".bundlepipe/lock-file.json")
    assert teams.doit("lock_bundle").ran == []
    assert teams.read(".bundlepipe/lock-file.json") == record
    assert set(json.loads(record)) == {"blue.lock", "green.lock"}


def test_one_lock_file_for_two_is_an_error(teams: Project) -> None:
    _locking(teams, green="blue.lock")
    error = teams.doit("list", status=3).stderr
    assert "blue/bundlepipe.yml and green/bundlepipe.yml, have the same lock file blue.lock, " in error
    assert error.count("\n") == 1


def test_outputs_of_one_are_not_those_of_another(teams: Project) -> None:
    make(teams)
    teams.write("dodo.py", DODO.replace("blue/", "other/").replace('prefix="blue"', 'prefix="other"').format(""))
    teams.write("other/bundlepipe.yml", HEADER + PIPELINE.format(team="blue"))
    teams.write("other/app/c.yml", "image: site\n")
    teams.write("other/site/x", "other")
    run = teams.doit("other_render_config", status=1)
    assert "out/blue.yml" in run.stdout and "doit other_render_config:r force=r" in run.stdout
    teams.doit("other_render_config", "force=other_render_config:r")


def test_a_check_knows_what_was_made_with_any_prefix(teams: Project) -> None:
    teams.write("bundlepipe.yml", teams.read("blue/bundlepipe.yml").replace("../out", "out"))
    teams.write("dodo.py", 'from bundlepipe import Pipeline\nblue = Pipeline.load(prefix="blue")\n')
    teams.write("app/c.yml", "image: site\n")
    teams.write("site/x", "x")
    make(teams)
    declared, base = read_pipeline(str(teams.directory / "bundlepipe.yml"), {}, remembers=False), str(teams.directory)
    assert replacements(declared, base)[0] == []
    shutil.rmtree(teams.directory / ".bundlepipe")
    assert [note for note in replacements(declared, base)[1] if "out/blue.yml" in note]
