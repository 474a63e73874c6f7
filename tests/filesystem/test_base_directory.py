"""Where relative paths begin."""

from __future__ import annotations

import os
import threading

from bundlepipe.filesystem.base_directory import anchored, as_given, base_directory, carried, paths_from


def test_outside_of_a_pipeline_a_path_is_what_it_is() -> None:
    assert [anchored(path) for path in ("a/b", "/a", "../a", "")] == ["a/b", "/a", "../a", ""]
    assert as_given("/work/a") == "/work/a"
    assert base_directory() == os.getcwd()


def test_within_one_relative_paths_begin_at_its_directory() -> None:
    with paths_from("/work"):
        assert [anchored(path) for path in ("a/b", "/a", "../a")] == ["/work/a/b", "/a", "/work/../a"]
        assert base_directory() == "/work"
        with paths_from("/other"):
            assert anchored("a") == "/other/a"
        assert anchored("a") == "/work/a"
    assert anchored("a") == "a"


def test_an_empty_path_leads_nowhere() -> None:
    with paths_from("/work"):
        assert anchored("") == ""


def test_what_was_anchored_is_shown_as_it_was_given() -> None:
    with paths_from("/work"):
        for path in ("a/b", "../a", "/elsewhere/a", "/workshop/a"):
            assert as_given(anchored(path)) == path
    with paths_from("/"):
        assert as_given(anchored("a")) == "a"


def test_threads_begin_anew_unless_it_is_carried_to_them() -> None:
    found: list[str] = []

    def look() -> None:
        found.append(anchored("a"))

    with paths_from("/work"):
        for target in (look, carried(look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    carried(look)()
    assert found == ["a", "/work/a", "a"]
