"""`doit plan --since`: the trees of both sides, what git says in them, and what is not in git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.git import commit_all, git
from tests.support.project import DODO, Project, because
from tests.support.revisions import CHAIN, plan, states, write_chain

ASKS_GIT = """\
import os, subprocess
def asked(*command):
    return subprocess.check_output(["git", *command], text=True).strip()
"""


@pytest.fixture
def chain(project: Project) -> Project:
    """A repository with a commit: an image in a bundle in another, and a bundle beside them."""
    write_chain(project)
    commit_all(project.directory)
    return project


def tasks(document: Any) -> dict[str, Any]:
    """Return the tasks of a plan by name."""
    return {task["name"]: task for task in document["tasks"]}


def refusal(project: Project, *arguments: str, **options: Any) -> str:
    """Return the one line by which a plan is refused."""
    told = project.doit("plan", *arguments, status=3, **options).stderr
    assert told.startswith("ERROR: ") and told.count("\n") == 1, told
    return told.removeprefix("ERROR: ").removesuffix("\n")


def test_records_of_runs_are_not_read_although_git_does_not_ignore_them(chain: Project) -> None:
    (chain.directory / ".gitignore").unlink()
    commit_all(chain.directory)
    chain.doit()
    assert set(states(plan(chain, "HEAD")).values()) == {"none"}
    commit_all(chain.directory)
    chain.write("leaf/config.yml", "kind: Changed\n")
    document = plan(chain, "HEAD")
    assert {name for name, state in states(document).items() if state == "run"} == {
        "push_bundle:leaf", "lock_bundle:middle", "push_bundle:middle"
    }  # fmt: skip
    chain.doit()
    assert tasks(document)["push_bundle:middle"]["result"]["image"] == chain.digest("bundle", "middle")


def test_a_dodo_that_prints(chain: Project) -> None:
    chain.write("dodo.py", 'print("loading")\n' + DODO)
    commit_all(chain.directory)
    assert chain.doit("plan", "--since", "HEAD").stdout == "loading\n7 up to date\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('none of it')\n", "dodo.py:3: ValueError: none of it"),
        ("import sys; print('bye', file=sys.stderr); sys.exit(4)\n", "bye"),
        ("import os; os._exit(4)\n", "it ended with status 4"),
    ],
)
def test_a_dodo_that_failed_is_told_with_its_cause(chain: Project, text: str, message: str) -> None:
    chain.write("dodo.py", DODO + text)
    commit_all(chain.directory)
    chain.write("dodo.py", DODO)
    assert refusal(chain, "--since", "HEAD") == f"the pipeline at HEAD: cannot be read: {message}"


def test_git_says_of_each_tree_that_it_is_clean_and_which_files_it_has(chain: Project) -> None:
    asks = (
        'os.environ["VERSION"] = asked("describe", "--always", "--dirty", "--abbrev=4")\n'
        'names = asked("ls-files", "leaf").splitlines()\n'
        'others = [asked("status", "--porcelain"), asked("remote", "get-url", "origin")]\n'
        "def task_count():\n"
        '    return {"actions": [f"echo {names} {others} >count"], "file_dep": names, "targets": ["count"]}\n'
    )
    git(chain.directory, "remote", "add", "origin", "https://git.example/app")
    chain.write("dodo.py", ASKS_GIT + asks + DODO)
    chain.write(".gitattributes", "*.yml text eol=crlf\n")
    commit_all(chain.directory)
    for path in ("leaf", "middle", "other"):
        (chain.directory / path / "config.yml").unlink()
    git(chain.directory, "checkout", "--", ".")
    git(chain.directory, "tag", "-a", "v1", "-m", "One")
    assert set(states(plan(chain, "HEAD")).values()) == {"none"}

    chain.write("leaf/more.yml", "kind: More\r\n")
    git(chain.directory, "mv", "other/config.yml", "other/moved.yml")
    commit_all(chain.directory)
    chain.write("middle/config.yml", "kind: Changed\r\n")
    found = tasks(plan(chain, "v1", "push_image", "push_bundle", "count"))
    # Its tag is the same, although files differ from HEAD on both sides.
    assert found["push_image:site"]["state"] == "none"
    described = git(chain.directory, "describe", "--abbrev=4").strip()
    assert f"/other:{described} " in chain.doit("plan", "--since", "v1").stdout
    assert set(because(found["push_bundle:other"]["reasons"])) == {"other/config.yml is gone", "other/moved.yml is new"}
    assert set(because(found["count"]["reasons"])) == {"actions changed", "leaf/more.yml is new"}


def test_git_answers_for_other_repositories_as_ever(chain: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "other")
    other.write("file", "text")
    commit_all(other.directory)
    version = git(other.directory, "rev-parse", "HEAD").strip()
    told = f'os.environ["VERSION"] = asked("-C", {str(other.directory)!r}, "rev-parse", "HEAD")\n'
    chain.write("dodo.py", ASKS_GIT + told + DODO)
    commit_all(chain.directory)
    chain.write("other/config.yml", "kind: Changed\n")
    assert f"/other:{version} " in chain.doit("plan", "--since", "HEAD", "push_bundle:other").stdout


def test_neither_the_repository_nor_its_index_is_changed(chain: Project) -> None:
    chain.write("leaf/new.yml", "kind: New\n")
    chain.write("dodo.py", ASKS_GIT + 'asked("describe", "--always", "--dirty")\n' + DODO)
    git(chain.directory, "add", "--intent-to-add", "leaf/new.yml")

    def content() -> dict[Path, bytes]:
        found = sorted((chain.directory / ".git").rglob("*"))
        return {path: path.read_bytes() for path in found if path.is_file()}

    before = content()
    assert "push_bundle:leaf" in chain.doit("plan", "--since", "HEAD").stdout
    assert content() == before


def test_a_hook_of_git_has_variables_that_name_other_directories(chain: Project) -> None:
    own = sorted(chain.directory.glob("[!.]*"))
    (chain.directory / "apps").mkdir()
    for path in own:
        path.rename(chain.directory / "apps" / path.name)
    commit_all(chain.directory)
    git(chain.directory, "worktree", "add", "-q", "../linked")
    linked = Project(chain.directory.parent / "linked/apps", chain.environment)
    linked.write("site/index.html", "changed")
    hook = git(linked.directory, "rev-parse", "--absolute-git-dir").strip()
    variables = {"GIT_DIR": hook, "GIT_INDEX_FILE": f"{hook}/index", "GIT_PREFIX": "apps/"}
    told = linked.doit("plan", "--since", "HEAD", "push_image", env=variables).stdout
    assert "(site/index.html changed)" in told


@pytest.mark.parametrize("program", [["doit"], ["bundlepipe"]])
def test_a_file_by_a_link_or_outside_of_the_repository(chain: Project, program: list[str]) -> None:
    chain.write("site/index.html", "changed")
    link = chain.directory.parent / "link"
    link.symlink_to(chain.directory)

    def planned(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *program, "plan", "-f", str(file), "--since", "HEAD", "push_image"],
            cwd=chain.directory, env={**os.environ, **chain.environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    name = "dodo.py" if program == ["doit"] else "bundlepipe.yml"
    assert "(site/index.html changed)" in planned(link / name).stdout
    for each in ("dodo.py", "bundlepipe.yml"):
        (chain.directory.parent / each).write_text(chain.read(each))
    refused = planned(chain.directory.parent / name)
    assert refused.returncode == 3
    assert ("is in no git repository" if program == ["doit"] else "is outside of the git repository") in refused.stderr


def test_a_pipeline_file_that_git_ignores(chain: Project) -> None:
    chain.write(".gitignore", "bundlepipe.yml\ndodo.py\n")
    git(chain.directory, "rm", "-q", "--cached", "bundlepipe.yml", "dodo.py")
    commit_all(chain.directory)
    assert "dodo.py: is ignored by git" in refusal(chain, "--since", "HEAD")


@pytest.fixture
def vendored(chain: Project) -> Project:
    """The leaf bundle has a submodule, and the other one an untracked repository."""
    library = Project(chain.directory.parent / "library")
    library.write("library.yml", "kind: Library\n")
    commit_all(library.directory)
    protocol = ("-c", "protocol.file.allow=always")
    git(chain.directory, *protocol, "submodule", "--quiet", "add", str(library.directory), "leaf/vendor")
    commit_all(chain.directory)
    git(chain.directory, "clone", "-q", str(library.directory), "other/clone")
    return chain


def test_what_is_in_a_repository_of_its_own_is_not_known(vendored: Project) -> None:
    found = tasks(plan(vendored, "HEAD"))
    assert {name: task["state"] for name, task in found.items()} == {
        "push_image:site": "none",
        **dict.fromkeys(("lock_bundle:leaf", "push_bundle:leaf", "lock_bundle:middle", "push_bundle:middle"), "maybe"),
        "lock_bundle:other": "maybe",
        "push_bundle:other": "run",
    }
    for name, path in (("push_bundle:leaf", "leaf/vendor"), ("lock_bundle:other", "other/clone")):
        assert because(found[name]["reasons"]) == [
            f"{path} is a git repository of its own, whose files are not compared"
        ]
    assert because(found["push_bundle:other"]["reasons"]) == ["other/clone is new"]
    assert "sha256" not in json.dumps(found)
    vendored.write("leaf/config.yml", "kind: Changed\n")
    found = tasks(plan(vendored, "HEAD"))
    for name in ("push_bundle:leaf", "push_bundle:middle"):
        assert found[name]["state"] == "run" and "image" not in found[name].get("result", {})
        assert "sha256" not in json.dumps(found[name])
    assert not any("is gone" in reason for task in found.values() for reason in because(task["reasons"]))


def test_an_error_in_a_file_is_an_error(chain: Project) -> None:
    chain.write("leaf/config.yml", "image: [\n")
    told = chain.doit("plan", "--since", "HEAD", status=1).stdout
    assert "cannot run" in told and "may run" not in told
    document = plan(chain, "HEAD", status=1)
    assert states(document)["push_bundle:middle"] == "error"
    assert because(tasks(document)["lock_bundle:leaf"]["reasons"])[0].startswith("leaf/config.yml:2:1: ")
    (chain.directory / "leaf/config.yml").unlink()
    (chain.directory / "leaf").rmdir()
    assert states(plan(chain, "HEAD", status=1))["push_bundle:middle"] == "error"


def test_modules_of_the_project_are_not_those_of_the_program(chain: Project) -> None:
    for module in ("platform.py", "bundlepipe/__init__.py", "subprocess.py"):
        chain.write(f"sub/{module}", "raise ImportError('not this one')\n")
    for path in ("bundlepipe.yml", "site/index.html", *(f"{name}/config.yml" for name in ("leaf", "middle", "other"))):
        chain.write(f"sub/{path}", chain.read(path))
    commit_all(chain.directory)
    sub = Project(chain.directory / "sub", chain.environment)
    sub.write("site/index.html", "changed")
    finished = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.remove(''); from bundlepipe.cli.main import main; main()",
         "plan", "--since", "HEAD", "push_image"],
        cwd=sub.directory, env={**os.environ, **chain.environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "(site/index.html changed)" in finished.stdout, finished.stderr


def test_git_says_itself_why_it_does_not_answer(chain: Project) -> None:
    untrusted = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    assert "detected dubious ownership in repository" in refusal(chain, "--since", "HEAD", env=untrusted)
    git(chain.directory, "config", "core.bare", "true")
    assert refusal(chain, "--since", "HEAD").endswith("this operation must be run in a work tree")


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("^HEAD", "leaves out commits of a range: name one commit"),
        ("v1..HEAD", 'is a range: name one commit, such as the last that both have: "$(git merge-base v1 HEAD)"'),
        ("v1...", 'is a range: name one commit, such as the last that both have: "$(git merge-base v1 HEAD)"'),
    ],
)
def test_a_range_is_no_revision(chain: Project, revision: str, message: str) -> None:
    git(chain.directory, "tag", "v1")
    assert refusal(chain, "--since", revision) == f"revision '{revision}': {message}"


@pytest.mark.parametrize("option", ["--since=", "--out="])
def test_an_empty_value_is_refused(chain: Project, option: str) -> None:
    assert refusal(chain, option).startswith(f"{option.removesuffix('=')} has an empty value")


def test_a_lock_that_was_changed_by_hand_names_itself(chain: Project) -> None:
    chain.write(".gitignore", ".bundlepipe/\n__pycache__/\n")
    chain.write("other/config.yml", "image: registry.example/app:1\n")
    lock = chain.directory / "other/.imgpkg/images.yml"
    entry = (
        "- image: registry.example/app@sha256:{}\n  annotations:\n    kbld.carvel.dev/id: registry.example/app:1\n"
        "    kbld.carvel.dev/origins: |\n      - resolved:\n          tag: 1\n          url: registry.example/app:1\n"
    )
    text = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n"
    chain.write("other/.imgpkg/images.yml", text + entry.format("a" * 64))
    commit_all(chain.directory)
    lock.write_text(text + entry.format("b" * 64))
    found = tasks(plan(chain, "HEAD"))
    assert found["lock_bundle:other"]["state"] == "run"
    assert because(found["lock_bundle:other"]["reasons"]) == ["other/.imgpkg/images.yml changed"]


def test_names_of_files_that_are_no_text(chain: Project) -> None:
    name = os.fsdecode(b"site/\xff\n.html")
    chain.write(name, "one")
    commit_all(chain.directory)
    assert set(states(plan(chain, "HEAD")).values()) == {"none"}
    chain.write(name, "two")
    assert states(plan(chain, "HEAD"))["push_image:site"] == "run"
    assert "push_image:site" in chain.doit("plan", "--since", "HEAD").stdout


def test_a_repository_below_a_path_with_a_line_end(chain: Project) -> None:
    odd = chain.directory.parent / "a\nb"
    chain.directory.rename(odd)
    moved = Project(odd, chain.environment)
    moved.write("site/index.html", "changed")
    assert states(plan(moved, "HEAD"))["push_image:site"] == "run"


def test_tasks_that_are_gone_are_those_that_were_asked_for(chain: Project) -> None:
    chain.pipeline(CHAIN.partition("  other")[0].replace("site: {", "page: {").replace("image: site", "image: page"))
    assert plan(chain, "HEAD", "push_image")["removed"] == ["push_image:site"]
    others = ["lock_bundle:other", "push_bundle:other"]
    assert plan(chain, "HEAD", "push_bundle")["removed"] == ["push_image:site", *others]
    assert plan(chain, "HEAD", "lock_bundle:*")["removed"] == ["push_image:site", *others[:1]]
    assert plan(chain, "HEAD")["removed"] == ["push_image:site", *others]


def test_a_pipeline_that_was_elsewhere(chain: Project) -> None:
    (chain.directory / "sub").mkdir()
    for path in chain.directory.glob("[!.]*"):
        if path.name != "sub":
            path.rename(chain.directory / "sub" / path.name)
    sub = Project(chain.directory / "sub", chain.environment)
    assert "(HEAD has no pipeline in sub/)" in sub.doit("plan", "--since", "HEAD", "push_image").stdout
