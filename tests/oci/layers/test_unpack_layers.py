from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlepipe.oci.layers.tar import Link
from bundlepipe.oci.layers.unpack import Unpacked, unpack
from tests.support.archives import (
    END,
    contents,
    directory,
    entry,
    hard_link,
    in_chunks,
    symlink,
    unpack_archives,
)


def test_a_later_layer_replaces_files(output: Path) -> None:
    unpacked = unpack_archives(
        output, entry(b"a", b"1") + entry(b"b", b"1") + END, entry(b"./a", b"2", mode=0o755) + END
    )
    assert contents(output) == {"a": b"2", "b": b"1"}
    assert unpacked == Unpacked(2, ("a", "b"))


def test_within_a_layer_the_last_entry_of_a_name_stays(output: Path) -> None:
    unpack_archives(output, entry(b"a", b"first") + entry(b"a", b"2") + END)
    assert contents(output) == {"a": b"2"}


LOWER = directory(b"d") + entry(b"d/a", b"1") + entry(b"d/e/b", b"1") + entry(b"f", b"1") + END
LOWER_CONTENTS: dict[str, bytes | None] = {"d": None, "d/a": b"1", "d/e": None, "d/e/b": b"1", "f": b"1"}


def without(*names: str, **added: bytes | None) -> dict[str, bytes | None]:
    kept = {name: content for name, content in LOWER_CONTENTS.items() if name not in names}
    return kept | added


@pytest.mark.parametrize(
    ("upper", "expected"),
    [
        pytest.param(entry(b"d/.wh.a"), without("d/a"), id="a file"),
        pytest.param(entry(b".wh.d"), without("d", "d/a", "d/e", "d/e/b"), id="a directory"),
        pytest.param(entry(b".wh.d/"), without("d", "d/a", "d/e", "d/e/b"), id="with a trailing slash"),
        pytest.param(entry(b"./d/../d/.wh.a"), without("d/a"), id="by a detour"),
        pytest.param(entry(b".wh.absent") + entry(b"d/.wh.e2"), LOWER_CONTENTS, id="what is absent"),
        pytest.param(entry(b".wh.") + entry(b".wh..") + entry(b".wh..."), LOWER_CONTENTS, id="what is no name"),
        pytest.param(entry(b"d/.wh..wh..opq"), without("d/a", "d/e", "d/e/b"), id="all in a directory"),
        pytest.param(entry(b".wh..wh..opq"), {}, id="all"),
        pytest.param(
            entry(b"d/new", b"2") + entry(b"d/.wh..wh..opq"),
            without("d/a", "d/e", "d/e/b", **{"d/new": b"2"}),
            id="all but what is new",
        ),
        pytest.param(
            entry(b".wh.d") + entry(b"d/new", b"2"), without("d/a", "d/e", "d/e/b", **{"d/new": b"2"}), id="anew after"
        ),
        pytest.param(
            entry(b"d/new", b"2") + entry(b".wh.d"), without("d/a", "d/e", "d/e/b", **{"d/new": b"2"}), id="anew before"
        ),
        pytest.param(entry(b"f", b"2") + entry(b".wh.f"), without(f=b"2"), id="a file that is there anew"),
        pytest.param(
            entry(b"d/e/c", b"2") + entry(b".wh..wh..opq"),
            {"d": None, "d/e": None, "d/e/c": b"2"},
            id="but not parents",
        ),
        pytest.param(entry(b"d", b"2"), without("d/a", "d/e", "d/e/b", d=b"2"), id="file for directory"),
        pytest.param(directory(b"f"), without(f=None), id="directory for file"),
        pytest.param(entry(b"f/g", b"2"), without(f=None, **{"f/g": b"2"}), id="implied directory for file"),
        pytest.param(symlink(b"f", b"d/a"), without("f"), id="link for file"),
        pytest.param(symlink(b"d", b"f"), without("d", "d/a", "d/e", "d/e/b"), id="link for directory"),
        pytest.param(
            entry(b".wh..wh.plnk/1.2", b"x") + entry(b".wh..wh.aufs", b"x"),
            LOWER_CONTENTS,
            id="what AUFS kept for itself",
        ),
    ],
)
def test_an_upper_layer_removes_what_it_hides(output: Path, upper: bytes, expected: dict[str, bytes | None]) -> None:
    unpacked = unpack_archives(output, LOWER, upper + END)
    assert contents(output) == expected
    assert unpacked.files == sum(content is not None for content in expected.values())


def test_whiteouts_remove_nothing_that_the_same_layer_brought(output: Path) -> None:
    unpack_archives(output, entry(b"a", b"1") + entry(b".wh.a") + entry(b".wh..wh..opq") + END)
    assert contents(output) == {"a": b"1"}


LINKS = directory(b"d") + symlink(b"d/s", b"../f") + hard_link(b"h", b"f") + entry(b"f", b"1") + END


@pytest.mark.parametrize(
    ("upper", "expected"),
    [
        pytest.param(b"", {"d/s": "../f", "h": "f"}, id="nothing"),
        pytest.param(entry(b"d/.wh.s"), {"h": "f"}, id="a whiteout"),
        pytest.param(entry(b".wh.d"), {"h": "f"}, id="a whiteout of its directory"),
        pytest.param(entry(b".wh..wh..opq"), {}, id="all"),
        pytest.param(entry(b"h", b"2"), {"d/s": "../f"}, id="file for link"),
        pytest.param(entry(b"h/x", b"2"), {"d/s": "../f"}, id="directory for link"),
        pytest.param(symlink(b"h", b"g"), {"d/s": "../f", "h": "g"}, id="link for link"),
        pytest.param(symlink(b"f", b"h"), {"d/s": "../f", "h": "f", "f": "h"}, id="link for file"),
        pytest.param(symlink(b"d", b"f"), {"d": "f", "h": "f"}, id="link for directory"),
        pytest.param(symlink(b"n", b"a") + entry(b"n", b"1"), {"d/s": "../f", "h": "f"}, id="then a file"),
    ],
)
def test_links_are_told_on_demand(upper: bytes, expected: dict[str, str], output: Path) -> None:
    links: dict[str, Link] = {}
    unpacked = unpack([in_chunks(LINKS), in_chunks(upper + END)], str(output), links=links)
    found = {path.removeprefix(f"{output}/"): link.target.decode() for path, link in links.items()}
    assert found == expected
    assert not any(os.path.lexists(path) for path in links)
    assert unpacked.names == tuple(sorted(path.name for path in output.iterdir()))


def test_a_hard_link_of_a_file_to_itself_leaves_the_file(output: Path) -> None:
    unpack_archives(output, entry(b"a", b"1") + hard_link(b"a", b"a") + END)
    assert contents(output) == {"a": b"1"}


Operation = tuple[str, tuple[str, ...]]
PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
OPERATIONS = st.tuples(st.sampled_from(["file", "directory", "whiteout", "opaque", "link"]), PATHS)


def as_archive(operations: Iterable[Operation], layer: int) -> bytes:
    archive = b""
    for number, (operation, path) in enumerate(operations):
        name = "/".join(path).encode()
        head = b"".join(part.encode() + b"/" for part in path[:-1])
        archive += {
            "file": entry(name, b"%d.%d" % (layer, number)),
            "directory": directory(name),
            "whiteout": entry(head + b".wh." + path[-1].encode()),
            "opaque": entry(name + b"/.wh..wh..opq"),
            "link": symlink(name, b"a"),
        }[operation]
    return archive + END


class Model:
    """What the layers of an image amount to, written for plainness alone: each path with content and layer."""

    def __init__(self) -> None:
        self.paths: dict[tuple[str, ...], tuple[bytes | None, int]] = {}

    def apply(self, operations: Iterable[Operation], layer: int) -> None:
        for number, (operation, path) in enumerate(operations):
            self._make_directories(path if operation in ("directory", "opaque") else path[:-1], layer)
            if operation == "file":
                self._remove(path, below_layer=layer + 1)
                self.paths[path] = (b"%d.%d" % (layer, number), layer)
            elif operation in ("whiteout", "link"):
                self._remove(path, below_layer=layer)
            elif operation == "opaque":
                for child in list(self.paths):
                    if child[:-1] == path:
                        self._remove(child, below_layer=layer)

    def _make_directories(self, path: tuple[str, ...], layer: int) -> None:
        for length in range(1, len(path) + 1):
            self.paths[path[:length]] = (None, layer)

    def _remove(self, path: tuple[str, ...], below_layer: int) -> None:
        for other, (_, layer) in list(self.paths.items()):
            if other[: len(path)] == path and layer < below_layer:
                del self.paths[other]

    def contents(self) -> dict[str, bytes | None]:
        return {"/".join(path): content for path, (content, _) in self.paths.items()}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(OPERATIONS, max_size=8), max_size=4))
def test_layers_amount_to_what_the_specification_says(layers: list[list[Operation]]) -> None:
    model = Model()
    for number, operations in enumerate(layers):
        model.apply(operations, number)
    with tempfile.TemporaryDirectory() as path:
        archives = [as_archive(operations, number) for number, operations in enumerate(layers)]
        unpacked = unpack([in_chunks(archive) for archive in archives], path)
        assert contents(path) == model.contents()
    assert unpacked.files == sum(content is not None for content in model.contents().values())
