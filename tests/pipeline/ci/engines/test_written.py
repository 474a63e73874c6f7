"""Written files say what wrote them, are the same in every run, and are found where engines look for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe import CI
from bundlepipe.errors import BundlepipeError, InputError, OutputError
from bundlepipe.pipeline.ci.engines.common import Origin, Place, header, origin_of, title_of
from bundlepipe.pipeline.ci.engines.workflow_text import InLine, Note, workflow_text
from bundlepipe.pipeline.ci.engines.written import ENGINES, compared, find_written, workflow_output, written_text
from bundlepipe.pipeline.ci.graph import Shard
from tests.support.ci import FULL, SETTINGS, parsed, texts
from tests.support.git import git

PATHS = {
    "github": ".github/workflows/bundles.yml",
    "gitlab": ".gitlab-ci.yml",
    "buildkite": ".buildkite/pipeline.yml",
    "argo": "argo/bundles.yml",
}


@pytest.fixture(params=[True, False], ids=["in git", "without git"])
def repository(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if request.param:
        git(tmp_path, "init", "-q")
    return tmp_path


def write_all(ci: CI) -> None:
    for engine, path in PATHS.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(written_text(engine, ci, Place(path=path)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("ci", "place"), SETTINGS.values(), ids=SETTINGS)
def test_a_file_is_the_same_in_every_run_and_says_what_wrote_it(engine: str, ci: CI, place: Place) -> None:
    text = written_text(engine, ci, place)
    assert text == written_text(engine, ci, place)
    assert origin_of(text.partition("\n")[0]) == Origin(engine, place.directory, place.path)
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# a comment",
        "# Written by: make",
        "# Written by: bundlepipe ci gitlab --plan plan.json",
        "# Written by: bundlepipe ci github -o 'x",
        "# Written by: cd x && make",
    ],
)
def test_other_files_say_no_such_thing(line: str) -> None:
    assert origin_of(line) is None


@given(
    path=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), directory=st.sampled_from(["", "a b/$c"])
)
def test_any_printable_path_is_read_back(path: str, directory: str) -> None:
    line = f"# {header('github', Place(path=path, directory=directory))[0]}"
    assert origin_of(line) == Origin("github", directory, path)


def test_files_are_found_and_compared_with_what_would_be_written(repository: Path) -> None:
    write_all(FULL)
    (repository / "other.yml").write_text("# Written by: somebody\n")
    assert find_written("") == sorted(PATHS.values())
    assert [difference for _, difference in compared(FULL, find_written(""), "")] == [None] * 4
    found = dict(compared(CI(), find_written(""), ""))
    for engine, path in PATHS.items():
        difference = found[path]
        assert difference and difference.command == f"bundlepipe ci {engine} -o {path}"
        assert len(difference.diff) <= 21


def test_an_edited_file_is_out_of_date(repository: Path) -> None:
    write_all(CI())
    file = repository / PATHS["github"]
    file.write_text(file.read_text().replace("timeout-minutes: 60", "timeout-minutes: 61", 1))
    ((_, difference),) = compared(CI(), [PATHS["github"]], "")
    assert difference
    assert [line for line in difference.diff if line[0] in "+-"][2:] == [
        "-    timeout-minutes: 61",
        "+    timeout-minutes: 60",
    ]


def test_ends_of_lines_as_on_windows_are_no_change(repository: Path) -> None:
    write_all(CI())
    file = repository / PATHS["github"]
    windows = file.read_bytes().replace(b"\n", b"\r\n")
    file.write_bytes(windows)
    assert list(compared(CI(), find_written(""), "")) == [(path, None) for path in sorted(PATHS.values())]
    for changed in (windows[:-2], windows + b"\r\n"):
        file.write_bytes(changed)
        ((_, difference),) = compared(CI(), [PATHS["github"]], "")
        assert difference and [line for line in difference.diff if line in ("+", "-")]


def test_a_file_that_was_moved_is_out_of_date(repository: Path) -> None:
    write_all(CI())
    moved = ".github/workflows/moved.yml"
    (repository / PATHS["github"]).rename(repository / moved)
    ((path, difference),) = compared(CI(), [moved], "")
    assert path == moved and difference and difference.command == f"bundlepipe ci github -o {moved}"


def test_files_of_another_pipeline_are_left_to_it(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "apps").mkdir()
    place = Place(path="../apps.yml", directory="apps")
    (repository / "apps.yml").write_text(written_text("gitlab", CI(), place))
    assert find_written("") == []
    with pytest.raises(BundlepipeError, match=r"apps\.yml: belongs to the pipeline in apps: check it there"):
        list(compared(CI(), ["apps.yml"], ""))
    if (repository / ".git").exists():
        monkeypatch.chdir(repository / "apps")
        assert find_written("apps") == ["../apps.yml"]
        assert list(compared(CI(), ["../apps.yml"], "apps")) == [("../apps.yml", None)]


def test_what_cannot_be_compared_is_an_error(repository: Path) -> None:
    (repository / "x.yml").write_text("on: push\n")
    with pytest.raises(BundlepipeError, match=r"x\.yml: its first line does not say that 'bundlepipe ci' wrote it"):
        list(compared(CI(), ["x.yml"], ""))
    with pytest.raises(InputError, match=r"y\.yml: cannot be read: No such file"):
        list(compared(CI(), ["y.yml"], ""))


def test_only_written_files_are_replaced(repository: Path) -> None:
    (repository / "mine.yml").write_text("on: push\n")
    with pytest.raises(OutputError, match=r"mine\.yml: exists, but 'bundlepipe ci' did not write it, and git does not"):
        workflow_output("mine.yml", force=False).check()
    assert workflow_output("mine.yml", force=True).check() == "forced"
    for name, text in {"old.yml": written_text("argo", CI(), Place()), "empty.yml": ""}.items():
        (repository / name).write_text(text)
        assert workflow_output(name, force=False).check() == "kind"
    (repository / "child.yml").write_text("# Written by: bundlepipe ci gitlab --plan plan.json\n")
    assert workflow_output("child.yml", force=False).check() == "kind"
    assert not os.path.exists("new.yml") and workflow_output("new.yml", force=False).check() == "absent"


def test_a_title_names_tasks_as_far_as_there_is_room() -> None:
    def title(*tasks: str) -> str:
        return title_of(Shard(name="1-01", wave=1, tasks=tasks))

    assert title("push_bundle:a", "push_bundle:b") == "push_bundle:a, push_bundle:b"
    many = title(*(f"push_bundle:application-{number}" for number in range(10)))
    assert many == "push_bundle:application-0, push_bundle:application-1 and 8 more"
    assert title("x" * 100, "y") == "x" * 100 + " and 1 more"


@given(comment=texts, key=texts, value=texts, item=texts)
def test_any_text_is_written_so_that_it_is_read_back(comment: str, key: str, value: str, item: str) -> None:
    nested = {key: value, "list": [item, {key: [value]}], "in line": InLine([item, value])}
    document = {Note(comment): None, "first": nested, Note(): None, "second": [Note(comment), item, {}], "third": []}
    read = parsed(workflow_text([comment], document))
    assert read == {"first": nested, "second": [item, {}], "third": []}
