"""The form of declared paths, which doit matches literally."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from bundlepipe.pipeline.declared.paths import normalise


def _expected(path: str, base: str) -> str:
    parent, name = os.path.split(os.path.abspath(os.path.join(base, path) or "."))
    return os.path.relpath(os.path.join(os.path.realpath(parent), name))


def test_links_above_a_path_are_resolved_and_the_path_itself_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in ("a/b", "x", "here"):
        (tmp_path / directory).mkdir(parents=True)
    links = {"l": "a", "a/up": "../x", "a/par": "..", "loop": "other", "other": "loop", "dangling": "no", "root": "/"}
    for link, target in links.items():
        (tmp_path / link).symlink_to(target)
    monkeypatch.chdir(tmp_path / "here")
    assert normalise("../l/f") == "../a/f" and normalise("../l") == "../l"

    names = ["a", "b", "l", "up", "par", "loop", "dangling", "root", "..", ".", "", "absent"]
    for base in ("", "..", str(tmp_path), "../l"):
        for parts in itertools.product(names, repeat=3):
            path = "/".join(parts)
            assert normalise(path, base) == _expected(path, base), (path, base)


@pytest.mark.parametrize("directory", ["/", "/tmp"])
def test_paths_at_the_top(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory)
    for path in ("", ".", "/", "..", "absent", "/absent/file", "tmp"):
        assert normalise(path) == _expected(path, ""), path


def test_a_deep_path_is_no_error() -> None:
    deep = "/".join(["d"] * 1_500)
    assert normalise(deep) == deep
