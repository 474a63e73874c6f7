"""The section `ci`: a pipeline has one, which no run without it imports, and whose changes make nothing stale."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bundlepipe import CI, GitHub
from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.settings import ci_of
from bundlepipe.pipeline.running.edges import PipelineTask
from tests.support.project import HEADER, NESTED_BUNDLES, Project
from tests.support.warm import run_command

IMPORTS = """
import sys
from doit.doit_cmd import DoitMain
status = DoitMain().run(sys.argv[1:])
print("imported:", "bundlepipe.pipeline.declared.ci" in sys.modules)
sys.exit(status)
"""


@pytest.fixture
def nested(project: Project) -> Project:
    project.bundle("one")
    project.bundle("two")
    project.write("bundlepipe.yml", NESTED_BUNDLES)
    return project


def test_two_files_with_the_section_are_an_error(project: Project) -> None:
    project.write("bundlepipe.yml", f"{HEADER}include: [more.yml]\nci: {{shards: 2}}\n")
    project.write("more.yml", f"{HEADER}ci: {{shards: 2}}\n")
    told = "more.yml:3:5: ci is at bundlepipe.yml:4:5 already: a pipeline has one: join the two"
    assert project.refusal() == f"ERROR: {told}\n"


def test_an_included_file_may_have_the_section(project: Project) -> None:
    project.write("bundlepipe.yml", f"{HEADER}include: [more.yml]\n")
    project.write("more.yml", f"{HEADER}ci: {{shards: 2, github: {{runsOn: [self-hosted, linux]}}}}\n")
    assert ci_of(list(project.tasks().values())) == CI(shards=2, github=GitHub(runs_on=["self-hosted", "linux"]))


def test_tasks_without_the_section_have_the_defaults(nested: Project) -> None:
    assert ci_of(list(nested.tasks().values())) == CI()


def test_two_pipelines_with_settings_are_an_error() -> None:
    tasks = [PipelineTask(f"_{name}", None, pipeline=name) for name in ("", "blue")]
    for task in tasks:
        task.ci = CI()
    with pytest.raises(BundlepipeError, match=r"several pipelines .*, the one without a prefix and 'blue': keep"):
        ci_of(tasks)


@pytest.mark.parametrize(("other", "named"), [("prefix='green'", "'green'"), ("", "the one without a prefix")])
def test_two_files_of_a_dodo_file_with_the_section_are_an_error(nested: Project, other: str, named: str) -> None:
    for name in ("one", "two"):
        text = NESTED_BUNDLES.replace("layout.localhost/", f"layout.localhost/{name}-")
        nested.write(f"{name}.yml", f"{text}ci: {{shards: 2}}\n")
    loads = f"a = Pipeline.load('one.yml', prefix='blue')\nb = Pipeline.load('two.yml', {other})\n"
    nested.write("dodo.py", f"from bundlepipe import Pipeline\n{loads}")
    command = [sys.executable, "-m", "bundlepipe", "ci", "plan"]
    refused = run_command(command, cwd=nested.directory, env=os.environ, timeout=120)
    told = f"ERROR: several pipelines of the dodo.py have settings of CI, 'blue' and {named}: keep those of one\n"
    assert refused.stderr.decode() == told


GENERATING = """
from bundlepipe import Pipeline
pipeline = Pipeline.load("bundlepipe.yml")
def task_generate():
    yield {"name": "one", "actions": ["true"]}
    yield {"basename": "generate-more", "actions": ["true"]}
@create_after(executed="generate")
def task_late():
    yield {"name": "one", "actions": ["true"]}
"""


def test_patterns_that_match_no_task_are_errors(nested: Project) -> None:
    nested.write("dodo.py", f"from doit import create_after\n{GENERATING}")
    matching = "push_bundle:one: a, 'copy_bundle:*': b, lock_bundle: c, 'gen*:one': d, 'late:*': e, 'late:one': f"
    section = f"ci:\n  environments: {{{matching}}}\n  repeat: ['generate:o*', generate-more, 'late:x', 'late*']\n"
    nested.write("bundlepipe.yml", NESTED_BUNDLES + section)
    command = [sys.executable, "-m", "bundlepipe", "ci", "github"]
    assert run_command(command, cwd=nested.directory, env=os.environ, timeout=120).returncode == 0
    section = (
        "ci:\n  environments: {'push_bundle:two': a, 'copy_bundle:prod': a}\n  repeat: [push_bundle, generate:two]\n"
    )
    nested.write("bundlepipe.yml", NESTED_BUNDLES + section)
    refused = run_command(command, cwd=nested.directory, env=os.environ, timeout=120)
    advice = "correct the pattern, or remove it"
    none = "no task matches 'copy_bundle:prod', so the environment 'a' protects none"
    assert [line for line in refused.stderr.decode().splitlines() if "ci:" in line] == [
        f"bundlepipe.yml:8:60: ci: environments: {none}: {advice}",
        f"bundlepipe.yml:9:12: ci: repeat: no task of your own matches 'push_bundle': {advice}",
        f"bundlepipe.yml:9:25: ci: repeat: no task of your own matches 'generate:two': {advice}",
    ]


def test_a_change_of_the_section_makes_nothing_stale(nested: Project) -> None:
    nested.doit()
    nested.write("bundlepipe.yml", f"{NESTED_BUNDLES}ci: {{shards: 2}}\n")
    assert nested.doit().executed == set()


@pytest.mark.parametrize(("section", "imported"), [("", False), ("ci: {shards: 2}\n", True)])
def test_only_a_run_with_the_section_imports_its_module(nested: Project, section: str, imported: bool) -> None:
    nested.write("bundlepipe.yml", NESTED_BUNDLES + section)
    nested.doit()
    nested.write("imports.py", IMPORTS)
    done = subprocess.run(
        [sys.executable, "imports.py"], cwd=nested.directory, capture_output=True, text=True, check=True
    )
    assert f"imported: {imported}" in done.stdout


def test_reports_may_be_among_the_files_of_jobs_and_no_other_records(nested: Project) -> None:
    nested.write("bundlepipe.yml", f"{NESTED_BUNDLES}reports: [.bundlepipe/ci/declared.json]\n")
    nested.doit()
    nested.doit(env={"BUNDLEPIPE_REPORT": ".bundlepipe/ci/wanted.json"})
    assert {path.name for path in (nested.directory / ".bundlepipe/ci").iterdir()} == {"declared.json", "wanted.json"}
    nested.write("bundlepipe.yml", f"{NESTED_BUNDLES}reports: [.bundlepipe/cinema.json]\n")
    assert "would replace .bundlepipe/cinema.json" in nested.doit(status=3).stderr
