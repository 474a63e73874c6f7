"""Which directories are watched, and which changes in them count."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from doit.cmd_base import DodoTaskLoader

from bundlepipe.filesystem.files import incoming
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.pipeline.declared.contexts import is_ignored
from bundlepipe.pipeline.plugins.watch_command import WatchCommand
from bundlepipe.pipeline.running.edges import Reads
from bundlepipe.pipeline.watching.children import CommandLine
from bundlepipe.pipeline.watching.inputs import Inputs, Watched


def make(directory: Path, *paths: str) -> None:
    for path in paths:
        (directory / path).mkdir(parents=True)


def watched(directory: Path, *reads: Reads, outputs: Sequence[str] = (), definitions: Sequence[str] = ()) -> Watched:
    def absolute(paths: Sequence[str]) -> frozenset[str]:
        return frozenset(str(directory / path) for path in paths)

    return Watched(Inputs(str(directory), reads, outputs=absolute(outputs), definitions=absolute(definitions)))


def directories(directory: Path, found: Watched) -> set[str]:
    return {str(Path(path).relative_to(directory)) for path in found.directories()}


def relevant(directory: Path, found: Watched, *paths: str) -> set[str]:
    return {str(Path(path).relative_to(directory)) for path in found.relevant(str(directory / path) for path in paths)}


def test_only_what_is_read_is_watched_and_what_is_above_it(tmp_path: Path) -> None:
    make(tmp_path, "deploy/app/deep", "deploy/app/left/out", "deploy/app/.git/objects", "deploy/other", "other/deep")
    found = watched(tmp_path, Reads("push", ["deploy/app"], ["left"]))
    assert directories(tmp_path, found) == {".", "deploy", "deploy/app", "deploy/app/deep"}
    changed = ("deploy/app/a", "deploy/app/deep/er/a", "deploy/app/left/a", "deploy/app/.git/a", "deploy/other/a")
    assert relevant(tmp_path, found, *changed) == {"deploy/app/a", "deploy/app/deep/er/a"}


def test_a_directory_above_counts_since_all_in_it_may_come_and_go(tmp_path: Path) -> None:
    make(tmp_path, "other")
    found = watched(tmp_path, Reads("push", ["deploy/app"]), definitions=["more/a.yml"])
    assert directories(tmp_path, found) == {"."}
    changed = ("deploy", "deploy/app", "other", "deploy/other", "more")
    assert relevant(tmp_path, found, *changed) == {"deploy", "deploy/app", "more"}


def test_what_a_build_context_ignores_is_not_watched(tmp_path: Path) -> None:
    make(tmp_path, "web/node_modules/one", "web/kept/one", "web/src")
    (tmp_path / "web/.dockerignore").write_text("node_modules\nkept\n!kept/one\n")
    context = BuildContext(str(tmp_path / "web"), None)
    found = watched(tmp_path, Reads("push", ["web"], is_ignored(context)))
    assert directories(tmp_path, found) == {".", "web", "web/src", "web/kept", "web/kept/one"}
    assert relevant(tmp_path, found, "web/node_modules/one/a", "web/kept/one/a") == {"web/kept/one/a"}


def test_one_reader_is_enough(tmp_path: Path) -> None:
    make(tmp_path, "app/.imgpkg")
    found = watched(tmp_path, Reads("lock", ["app"], lambda name: ".imgpkg" in name), Reads("push", ["app"]))
    assert "app/.imgpkg" in directories(tmp_path, found)
    assert relevant(tmp_path, found, "app/.imgpkg/images.yml") == {"app/.imgpkg/images.yml"}


def test_outputs_do_not_count_but_directories_with_them(tmp_path: Path) -> None:
    make(tmp_path, "app/made/deep", "build")
    found = watched(tmp_path, Reads("push", ["app"]), outputs=["app/made", "app/out.yml"])
    assert directories(tmp_path, found) == {".", "app"}
    assert relevant(tmp_path, found, "app/made/deep/a", "app/out.yml", "app/made", "app") == {"app"}


def test_records_and_git_never_count(tmp_path: Path) -> None:
    make(tmp_path, ".bundlepipe/deep", ".git/refs", "app")
    found = watched(tmp_path, Reads("push", ["."]))
    assert directories(tmp_path, found) == {".", "app"}
    assert relevant(tmp_path, found, ".bundlepipe/doit.db", ".git/index", "app/a", "a") == {"app/a", "a"}


@pytest.mark.parametrize(
    ("pattern", "where", "there"),
    [
        ("apps/*/bundlepipe.yml", {".", "apps", "apps/one", "apps/two"}, "apps/three/bundlepipe.yml"),
        ("apps/**/*.yml", {".", "apps", "apps/one", "apps/one/deep", "apps/two"}, "apps/one/deep/er/a.yml"),
        ("*.pipeline.yml", {"."}, "three.pipeline.yml"),
    ],
)
def test_pipeline_files_may_appear(tmp_path: Path, pattern: str, where: set[str], there: str) -> None:
    make(tmp_path, "apps/one/deep", "apps/two", "other")
    found = Watched(Inputs(str(tmp_path), patterns=(pattern,)))
    assert directories(tmp_path, found) == where
    above = {str(directory) for directory in Path(there).parents if directory != Path(".")}
    changed = {there, *above, "apps/one/file", "other"}
    assert relevant(tmp_path, found, *changed) == set()
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("")
    assert relevant(tmp_path, found, *changed) == {there, *above}
    assert found.definitions_among({str(tmp_path / there), str(tmp_path / "other")}) == {str(tmp_path / there)}


def test_directories_of_patterns_may_appear_too(tmp_path: Path) -> None:
    project = tmp_path / "a[b]*"
    make(project, "other")
    found = Watched(Inputs(str(project), patterns=("apps/*/a.yml", "more/../late.[xy]ml")))
    assert directories(project, found) == {"."}
    make(project, "apps/one", "apps/.hidden")
    for path in ("apps/one/a.yml", "apps/.hidden/a.yml", "late.yml", "late.zml", "apps/one/b.yml"):
        (project / path).write_text("")
    changed = ("apps", "apps/one/a.yml", "apps/.hidden/a.yml", "late.yml", "late.zml", "apps/one/b.yml", "other")
    assert relevant(project, found, *changed) == {"apps", "apps/one/a.yml", "late.yml"}


def test_trees_are_searched_for_pipeline_files_only_where_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "apps/one", "apps/two")
    found = Watched(Inputs(str(tmp_path), patterns=("**/bundlepipe.yml",)))
    found.directories()
    searched: list[str] = []
    search = os.scandir

    def noted(path: str) -> Any:
        searched.append(path)
        return search(path)

    monkeypatch.setattr(os, "scandir", noted)
    (tmp_path / "apps/two/file").write_text("")
    (tmp_path / "apps/two/bundlepipe.yml").write_text("")
    assert relevant(tmp_path, found) == set()
    assert relevant(tmp_path, found, "apps/two/file") == set()
    assert relevant(tmp_path, found, "apps/two/bundlepipe.yml") == {"apps/two/bundlepipe.yml"}
    assert searched == []
    assert relevant(tmp_path, found, "apps/two", "apps/one") == {"apps/two"}
    assert {Path(path).relative_to(tmp_path).parts[:2] for path in searched} <= {("apps", "two"), ("apps", "one")}
    assert searched


def test_what_inputs_are_links_to_counts_under_their_own_names(tmp_path: Path) -> None:
    make(tmp_path, "project/app", "project/deep", "out/v1/data", "out/v2/data", "unrelated")
    project = tmp_path / "project"
    for path in ("out/v1/bp.yml", "out/v2/bp.yml", "out/v1/data/a", "unrelated/values.yml"):
        (tmp_path / path).write_text("")
    (tmp_path / "out/current").symlink_to("v1")
    (project / "bundlepipe.yml").symlink_to("../out/current/bp.yml")
    (project / "app/data").symlink_to(tmp_path / "out/v1/data")
    (project / "app/values.yml").symlink_to("../../unrelated/values.yml")
    (project / "broken").symlink_to("../nowhere/deep/file")
    found = watched(project, Reads("render", ["app", "broken"], ["left"]), definitions=["bundlepipe.yml"])
    watching = {str(Path(path).relative_to(tmp_path)) for path in found.directories()}
    assert watching == {"project", "project/app", "out", "out/v1", "out/v1/data", "unrelated", "."}

    def changed(path: str) -> set[str]:
        return {str(Path(name).relative_to(project)) for name in found.relevant([str(tmp_path / path)])}

    assert changed("out/v1/bp.yml") == {"bundlepipe.yml"}
    assert changed("out/current") == {"bundlepipe.yml"}
    assert changed("out/v1/data/a") == {"app/data/a"}
    assert changed("out/v1") == {"app/data", "bundlepipe.yml"}
    assert changed("unrelated/values.yml") == {"app/values.yml"}
    assert changed("nowhere") == {"broken"}
    assert changed("out/v2/bp.yml") == changed("unrelated/other") == set()
    assert changed("project/app/values.yml") == {"app/values.yml"}


def test_one_directory_by_two_names_counts_under_both(tmp_path: Path) -> None:
    make(tmp_path, "app")
    (tmp_path / "alias").symlink_to("app")
    found = watched(tmp_path, Reads("push", ["app"]), Reads("render", ["alias"]))
    assert directories(tmp_path, found) == {".", "app"}
    assert relevant(tmp_path, found, "app/a") == {"app/a", "alias/a"}


def test_links_that_lead_nowhere_end(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    found = watched(tmp_path, Reads("render", ["one"]))
    assert directories(tmp_path, found) == {"."}
    assert relevant(tmp_path, found, "two") == {"one"}


def test_files_that_are_being_written_do_not_count(tmp_path: Path) -> None:
    make(tmp_path, "app/.imgpkg")
    found = watched(tmp_path, Reads("push", ["app"]))
    found.directories()
    with incoming(str(tmp_path / "app/.imgpkg")) as file:
        assert found.relevant([file.name]) == set()


def test_files_elsewhere_are_watched_in_the_nearest_directory(tmp_path: Path) -> None:
    make(tmp_path, "project", "elsewhere")
    found = watched(tmp_path / "project", Reads("render", ["../elsewhere/values.yml", "../nowhere/deep/values.yml"]))
    assert directories(tmp_path, found) == {".", "elsewhere"}
    changed = ("elsewhere/values.yml", "elsewhere/other.yml", "nowhere")
    assert relevant(tmp_path, found, *changed) == {"elsewhere/values.yml", "nowhere"}


def test_cycles_of_links_end(tmp_path: Path) -> None:
    make(tmp_path, "app/deep")
    (tmp_path / "app/deep/again").symlink_to(tmp_path / "app")
    assert directories(tmp_path, watched(tmp_path, Reads("push", ["app"]))) == {".", "app", "app/deep"}


@pytest.mark.parametrize(
    ("started", "program"),
    [
        (["/usr/bin/python", "/bin/doit"], ["/bin/doit"]),
        (["python", "-X", "dev", "-m", "doit"], ["-X", "dev", "-m", "doit"]),
        (["python", "dodo.py"], ["dodo.py"]),
        (["python", "-c", "something else"], ["-m", "doit"]),
    ],
)
def test_the_program_is_started_as_it_was(
    monkeypatch: pytest.MonkeyPatch, started: list[str], program: list[str]
) -> None:
    arguments = ["watch", "push_bundle", "refresh=all", "own=1"]
    monkeypatch.setattr(sys, "argv", ["doit", *arguments])
    monkeypatch.setattr(sys, "orig_argv", started if "-c" in started else [*started, *arguments])
    command = CommandLine.own(is_ours=False)
    assert command == CommandLine([sys.executable, "-B", *program], arguments)
    assert command.once_started().arguments == ["watch", "push_bundle", "own=1"]


def test_settings_of_doit_run_are_those_of_the_runs() -> None:
    settings = {"run": {"num_process": 3, "verbosity": 2}, "watch": {"verbosity": 1}}
    command = WatchCommand(task_loader=DodoTaskLoader(), config=settings)
    assert (command.config_vals["num_process"], command.config_vals["verbosity"]) == (3, 1)
