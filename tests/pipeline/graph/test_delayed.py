"""Tasks of the user's own that doit creates only while it runs, and that make what is pushed."""

from __future__ import annotations

import pytest

from tests.support.project import DODO, Project

IMPORTS = "from doit import create_after\n"
SOURCE = """
def task_source():
    return {"actions": ["mkdir -p build && cp list.txt build/list.txt"], "targets": ["build/list.txt"]}
"""
# One file of the bundle for each line of a file that another task makes.
CREATOR = """
@create_after({options})
def task_generate():
    for name in open("build/list.txt").read().split():
        target = f"one/{{name}}.yml"
        yield {{{name}, "actions": [f"echo kind: {{name}} > {{target}}"], "targets": [target]{more}}}
"""


def dodo(options: str = "executed='source'", *, name: str = "'name': name", more: str = "") -> str:
    """Return what a dodo.py has besides the pipeline: `name` and `more` are of the tasks that are created."""
    return IMPORTS + SOURCE + CREATOR.format(options=options, name=name, more=more)


@pytest.fixture
def generated(project: Project) -> Project:
    """A project whose bundle has files that tasks make which are created when it is known which they are."""
    project.pipeline("bundles: {one: {files: [one], lock: {}}, other: {files: [other]}}")
    project.bundle("one")
    project.bundle("other")
    project.write("list.txt", "first second\n")
    return project


def append(project: Project, text: str) -> None:
    """Add to the dodo.py."""
    project.write("dodo.py", project.read("dodo.py") + text)


WAYS = ["executed='source'", "executed='source', creates=['generate']", "executed='source', target_regex='one/.*'"]


@pytest.mark.parametrize("options", WAYS)
@pytest.mark.parametrize("task", ["push_bundle:one", "push_bundle"])
def test_what_is_created_later_is_waited_for(generated: Project, way: tuple[str, ...], options: str, task: str) -> None:
    append(generated, dodo(options))
    run = generated.doit("run", *way, task)
    assert run.ran.index("generate:first") < run.ran.index("lock_bundle:one") < run.ran.index("push_bundle:one")
    assert run.ran.index("generate:second") < run.ran.index("push_bundle:one")
    digest = generated.digest("bundle", "one")
    # Nothing was missing: with all files there the same is pushed again.
    generated.write("dodo.py", DODO)
    assert generated.doit("push_bundle:one").marks["push_bundle:one"] == "--"
    assert generated.digest("bundle", "one") == digest


def test_what_is_created_later_is_waited_for_where_a_task_has_changed_the_directory(generated: Project) -> None:
    here = generated.directory
    of_here = dodo().replace("mkdir", f"cd {here} && mkdir").replace('"one/', f'"{here}/one/')
    append(generated, of_here.replace('open("', f'open("{here}/'))
    append(generated, "\nimport os\ndef task_elsewhere():\n    return {'actions': [lambda: os.chdir('/')]}\n")
    run = generated.doit("run", "elsewhere", "push_bundle:one")
    assert run.ran[:2] == ["elsewhere", "source"]
    assert run.ran.index("generate:first") < run.ran.index("lock_bundle:one")


def test_tasks_of_another_name_than_their_creators_are_waited_for(generated: Project) -> None:
    append(generated, dodo(name="'basename': f'make-{name}'"))
    assert generated.doit("push_bundle:one").ran[:3] == ["source", "make-first", "make-second"]


def test_created_tasks_run_only_for_those_who_read_what_they_make(generated: Project) -> None:
    append(generated, dodo())
    assert generated.doit("push_bundle:other").executed == {"source", "push_bundle:other"}


def test_a_target_regex_that_tells_of_other_paths_spares_the_wait(generated: Project) -> None:
    append(generated, dodo("executed='source', target_regex='one/.*[.]yml'"))
    assert generated.doit("push_bundle:other").ran == ["push_bundle:other"]


@pytest.mark.parametrize("regex", ["one/?.*", "on.*", ".*", "one/x|other", r"o\.x|.*", "other?n?e?"])
def test_a_target_regex_that_may_match_an_input_does_not_spare_it(generated: Project, regex: str) -> None:
    append(generated, dodo(f"executed='source', target_regex={regex!r}", name="'name': name"))
    wanted = "other" if regex.startswith("other") else "one"
    assert "source" in generated.doit(f"push_bundle:{wanted}", status=None).ran


def test_a_target_regex_that_is_wrong_is_told(generated: Project) -> None:
    append(generated, dodo("executed='source', target_regex='elsewhere/.*'"))
    # Whether the push comes before that or not is up to doit, which has what waits in sets of objects.
    run = generated.doit("--continue", "generate", "push_bundle:one", status=2)
    assert not (generated.directory / "one/first.yml").exists()
    assert (
        "task 'generate:first' makes one/first.yml, which 'lock_bundle:one' reads and could not wait for: its "
        "creator's target_regex 'elsewhere/.*' does not match that path: correct it" in run.output
    )
    assert "Traceback" not in run.output


def test_tasks_that_the_command_line_names_are_created_once(generated: Project) -> None:
    append(generated, dodo())
    assert generated.doit("generate:second", "push_bundle:one").executed >= {"generate:first", "push_bundle:one"}


def test_what_is_created_after_the_push_itself_is_refused(generated: Project, way: tuple[str, ...]) -> None:
    append(generated, dodo("executed='push_bundle'").replace("build/list.txt", "list.txt"))
    run = generated.doit("run", *way, "push_bundle", "generate", status=1)
    assert (
        "task 'generate:first' makes one/first.yml, which 'lock_bundle:one' reads and could not wait for: it is "
        "created after 'push_bundle' only: create it earlier, or exclude that path from 'lock_bundle:one'" in run.output
    )
    assert not (generated.directory / "one/first.yml").exists()


def test_what_a_target_regex_puts_into_an_input_after_its_push_is_refused(generated: Project) -> None:
    creator = dodo("executed='push_bundle:one', target_regex='one/made/.*'").replace("build/list.txt", "list.txt")
    append(generated, creator)
    run = generated.doit("push_bundle:one", status=1)
    assert (
        "one/made, which it reads, is where task 'generate' writes by its target_regex 'one/made/.*', but that is "
        "created after 'push_bundle:one' only: create it earlier, or exclude that path" in run.output
    )
    assert run.executed == set()


def test_what_has_nothing_to_do_with_the_push_may_be_created_after_it(generated: Project) -> None:
    append(generated, dodo("executed='push_bundle'").replace("build/list.txt", "list.txt").replace("one/", "out-"))
    assert generated.doit("push_bundle", "generate").executed >= {"push_bundle:one", "generate:first"}


def test_creators_that_come_after_one_anothers_pushes_do_not_wait_for_ever(generated: Project) -> None:
    creators = "".join(
        f"""
@create_after(executed="push_bundle:{first}")
def task_after_{first}():
    yield {{"name": "x", "actions": ["touch out-{first}"], "targets": ["out-{first}"]}}
"""
        for first in ("one", "other")
    )
    append(generated, IMPORTS + creators)
    assert generated.doit().executed >= {"push_bundle:one", "push_bundle:other"}


@pytest.mark.parametrize("created", [True, False])
def test_a_task_that_needs_the_push_itself_is_refused_by_name(
    generated: Project, way: tuple[str, ...], *, created: bool
) -> None:
    text = dodo(more=", 'task_dep': ['push_bundle:other']").replace('"one/', '"other/').replace('f"one/', 'f"other/')
    if not created:
        generated.write("build/list.txt", "first\n")
        text = text.replace("@create_after(executed='source')\n", "")
    append(generated, text)
    run = generated.doit("run", *way, "push_bundle:other", status=1)
    assert (
        "other/first.yml, which it reads, is made by task 'generate:first', which needs this task in turn "
        "(push_bundle:other -> generate:first -> push_bundle:other): break the cycle, or exclude that path"
        in run.output
    )
    assert "push_bundle:other" not in run.executed


def test_nothing_is_pushed_where_creating_is_not_reached(generated: Project) -> None:
    append(generated, dodo().replace("cp list.txt", "false; cp list.txt").replace("mkdir -p build &&", ""))
    (generated.directory / "list.txt").unlink()
    run = generated.doit("--continue", "push_bundle:one", status=None)
    assert run.status != 0
    assert "push_bundle:one" not in run.executed
