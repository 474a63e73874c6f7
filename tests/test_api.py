"""The functions for Python programs, with directories for registries; and one real registry, for its connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bundlepipe
from bundlepipe import Bundle, BundleLock, BundlepipeError, Image, ImagesLock, LockSource, RegistrySettings, Stores
from bundlepipe.errors import (
    DocumentError,
    InputError,
    InvalidReference,
    NotFound,
    OutputError,
    ResolutionError,
    UnsafeArchive,
)
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.archive.writer import ArchiveWriter
from bundlepipe.stores.http.connections import Connection
from tests.support.files import write_bundle
from tests.support.services import Registry


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "app", {"app.yml": "kind: App\n"})
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("hello")


def files(directory: str) -> set[str]:
    return {str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file()}


def test_one_path_or_several_as_texts_or_paths() -> None:
    digests = {
        bundlepipe.push(given, "layout.localhost/app").reference.digest
        for given in ("app", "app/", Path("app"), ["app"], (Path("app"),))
    }
    assert len(digests) == 1
    assert bundlepipe.push("app", "layout.localhost/app", tags="2").was_there
    bundlepipe.push(["app", Path("site")], "layout.localhost/more:1", tags=["2"], exclude=Path("index.html"))
    for tag in ("1", "2"):
        bundlepipe.pull(f"layout.localhost/more:{tag}", Path("out"))
        assert files("out") == {"app.yml", ".imgpkg/images.yml"}


def test_images_labels_and_further_tags() -> None:
    pushed = bundlepipe.push("site", "layout.localhost/site:1", bundle=False, tags=("2", "3"), labels={"team": "web"})
    assert '"team":"web"' in pushed.image.config.decode().replace(" ", "")
    assert {bundlepipe.pull(f"layout.localhost/site:{tag}", f"out{tag}").digest for tag in "123"} == {
        pushed.reference.digest
    }


def test_what_was_pushed_is_pulled_copied_and_described() -> None:
    pushed = bundlepipe.push("app", Reference.parse("layout.localhost/app:1"))
    assert bundlepipe.pull(pushed.reference, "out").digest == pushed.reference.digest
    copied = bundlepipe.copy(pushed.reference, "layout.localhost/release/app:2.0", tags="latest")
    assert copied.roots[0].tag == "2.0"
    assert isinstance(copied.lock, BundleLock)
    Path("app.lock.yml").write_bytes(copied.lock.to_bytes())
    for source in (copied.lock, LockSource("app.lock.yml")):
        assert not bundlepipe.copy(source, "layout.localhost/release/app").changed
    bundlepipe.copy("layout.localhost/release/app:latest", "tar:app.tar")
    bundlepipe.copy("tar:app.tar", "oci:layout")
    for place in ("tar:app.tar", "oci:layout:latest", "layout.localhost/release/app:2.0"):
        assert bundlepipe.describe(place).digest == pushed.reference.digest
    bundlepipe.copy(pushed.reference, "tar:delta.tar", exclude=["tar:app.tar", "app.lock.yml"])
    assert Path("delta.tar").stat().st_size < Path("app.tar").stat().st_size


def test_what_was_pushed_is_compared_with_what_would_be() -> None:
    old = bundlepipe.push("app", "layout.localhost/app:1").reference
    assert bundlepipe.diff(old, "app").is_empty
    Path("app/app.yml").write_text("kind: Other\n")
    Path("app/notes.md").write_text("left out")
    declared = Bundle(name="app", files=["app"], exclude=["notes.md"], push="layout.localhost/app")
    difference = bundlepipe.diff("layout.localhost/app:1", declared)
    (pair,) = difference.pairs
    assert [(file.path, file.status) for file in pair.files] == [("app.yml", "modified")]
    assert "+kind: Other" in pair.files[0].patch
    assert difference.transfer is not None and difference.transfer.size > 0
    assert (difference.old, difference.new) == ("layout.localhost/app:1", "bundle:app")
    files = bundlepipe.diff(old, Path("app"), context=0, sizes=False)
    assert (len(files.pairs[0].files), files.transfer) == (2, None)
    new = bundlepipe.push("app", "layout.localhost/app:2", exclude="notes.md").reference
    assert bundlepipe.diff(new, declared).is_empty
    assert new.digest == pair.new


def test_what_would_be_lost_is_replaced_by_force_alone() -> None:
    first = bundlepipe.push("app", "layout.localhost/app:1").reference
    Path("out").mkdir()
    Path("out/notes.md").write_text("mine")
    with pytest.raises(OutputError, match=r"^out: exists, but its files are not as a pull left them"):
        bundlepipe.pull(first, "out")
    assert files("out") == {"notes.md"}
    bundlepipe.pull(first, "out", force=True)
    Path("app/app.yml").write_text("kind: Other\n")
    second = bundlepipe.push("app", "layout.localhost/app:2").reference
    assert bundlepipe.pull(second, "out").digest == second.digest
    Path("out/app.yml").write_text("edited")
    with pytest.raises(OutputError):
        bundlepipe.pull(first, "out")
    assert Path("out/app.yml").read_text() == "edited"
    Path("app.tar").write_text("notes")
    with pytest.raises(OutputError, match=r"^app.tar: exists, but it is not a tar of a copy"):
        bundlepipe.copy(first, "tar:app.tar")
    assert Path("app.tar").read_text() == "notes"
    bundlepipe.copy(first, "tar:app.tar", force=True)
    bundlepipe.copy(second, "tar:app.tar")


def test_a_file_that_appears_while_a_tar_is_written_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made = bundlepipe.push("app", "layout.localhost/app:1").reference
    enter = ArchiveWriter.__enter__

    def appear(writer: ArchiveWriter) -> ArchiveWriter:
        entered = enter(writer)
        Path("app.tar").write_text("notes")
        return entered

    monkeypatch.setattr(ArchiveWriter, "__enter__", appear)
    with pytest.raises(OutputError, match=r"^app.tar: exists, but it is not a tar of a copy"):
        bundlepipe.copy(made, "tar:app.tar")
    assert Path("app.tar").read_text() == "notes"
    bundlepipe.copy(made, "tar:app.tar", force=True)
    assert Path("app.tar").stat().st_size > 1000


def test_nested_bundles_are_locked_and_pulled() -> None:
    base = bundlepipe.push("app", "layout.localhost/base:1").reference
    Path("top").mkdir()
    Path("top/top.yml").write_text("image: layout.localhost/site:1\n")
    site = bundlepipe.push("site", "layout.localhost/site:1", bundle=False).reference
    locked = bundlepipe.lock("top", Path("top/.imgpkg/images.yml"), include="layout.localhost/base:1")
    assert {entry.image for entry in locked.images} == {base, site}
    assert ImagesLock.parse(Path("top/.imgpkg/images.yml").read_bytes(), "") == locked
    bundlepipe.push("top", "layout.localhost/top")
    pulled = bundlepipe.pull("layout.localhost/top", "out", recursive=True)
    assert [bundle.digest for bundle in pulled.bundles[1:]] == [base.digest]


def test_a_lock_moves_when_it_is_told_to() -> None:
    Path("a.yml").write_text("image: layout.localhost/site:1\n")
    old = bundlepipe.push("site", "layout.localhost/site:1", bundle=False).reference
    assert bundlepipe.lock("a.yml").images[0].image == old
    bundlepipe.lock("a.yml", "images.yml")
    Path("site/index.html").write_text("other")
    new = bundlepipe.push("site", "layout.localhost/site:1", bundle=False).reference
    assert bundlepipe.lock("a.yml", "images.yml").images[0].image == old
    assert bundlepipe.lock("a.yml").images[0].image == new
    assert bundlepipe.lock("a.yml", "images.yml", refresh=True).images[0].image == new


def test_a_file_that_is_no_lock_is_not_replaced() -> None:
    Path("notes.md").write_text("# Notes\n")
    with pytest.raises(DocumentError):
        bundlepipe.lock([], "notes.md")
    assert Path("notes.md").read_text() == "# Notes\n"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: bundlepipe.push("gone", "layout.localhost/a"), InputError, "gone"),
        (lambda: bundlepipe.push([], "layout.localhost/a"), BundlepipeError, "there is nothing to push"),
        (lambda: bundlepipe.push("site", "layout.localhost/a"), BundlepipeError, r"\.imgpkg"),
        (lambda: bundlepipe.push("app", "oci:a"), BundlepipeError, "'oci:a': files are pushed to a repository"),
        (lambda: bundlepipe.push("app", "layout.localhost/A"), InvalidReference, "lower case"),
        (lambda: bundlepipe.push("app", "layout.localhost/a", tags=["a b"]), InvalidReference, "not a tag"),
        (lambda: bundlepipe.push("app", "layout.localhost/a", tags=["1@sha256:" + "0" * 64]), InvalidReference, "tag"),
        (lambda: bundlepipe.pull("layout.localhost/none:1", "out"), NotFound, "none"),
        (lambda: bundlepipe.copy("layout.localhost/a", f"b@sha256:{'0' * 64}"), BundlepipeError, "cannot be a digest"),
        (lambda: bundlepipe.copy(LockSource("gone.yml"), "oci:x"), InputError, "gone.yml: cannot be read"),
        (lambda: bundlepipe.lock([], include=["layout.localhost/none:1"]), ResolutionError, "none:1"),
        (lambda: bundlepipe.lock("gone.yml"), InputError, "gone.yml"),
        (lambda: bundlepipe.describe("tar:gone.tar"), BundlepipeError, "gone.tar"),
        (lambda: bundlepipe.diff("./gone", "app"), InputError, "gone: there is no such directory"),
        (lambda: bundlepipe.diff("bundle:app", "app"), BundlepipeError, r"given as it is, Bundle\(\.\.\.\)"),
        (lambda: bundlepipe.diff("app", "app", context=-1), BundlepipeError, "context=-1"),
        (lambda: bundlepipe.diff("app", Image(name="i", push="a.example/i")), BundlepipeError, "not made of files"),
        (lambda: bundlepipe.diff("app", "layout.localhost/none:1"), NotFound, "none"),
    ],
)
def test_errors(call: Callable[[], object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_more_than_is_allowed_is_not_extracted() -> None:
    bundlepipe.push("site", "layout.localhost/site:1", bundle=False)
    with pytest.raises(UnsafeArchive):
        bundlepipe.pull("layout.localhost/site:1", "out", max_size=4)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments",
    [{"tags": [1]}, {"labels": {"n": 1}}, {"files": 1}, {"files": [1]}, {"files": b"app"}, {"tags": {1: 2}}],
)
def test_values_of_other_types(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        bundlepipe.push(**{"files": "app", "to": "layout.localhost/a", **arguments})
    assert not Path("build").exists()


def test_homes_have_settings() -> None:
    with Stores({"staging.localhost": RegistrySettings(layout="staging")}) as stores:
        bundlepipe.push("app", "staging.localhost/app:1", stores=stores)
    assert Path("staging/app/index.json").exists()


def test_homes_close_their_connections_and_open_others(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Connection] = []
    connect = Connection.connect

    def noted(connection: Connection) -> None:
        opened.append(connection)
        connect(connection)

    monkeypatch.setattr(Connection, "connect", noted)
    repository = registry.repository()
    with Stores() as stores:
        pushed = bundlepipe.push("app", str(repository), stores=stores)
        assert any(connection.sock for connection in opened), "none is kept for reuse, so there is nothing to close"
    assert not any(connection.sock for connection in opened)
    before = len(opened)
    assert bundlepipe.pull(pushed.reference, "out", stores=stores).digest == pushed.reference.digest
    assert len(opened) > before
    stores.close()
    assert not any(connection.sock for connection in opened)
    # Without stores, those of a function are closed with it.
    bundlepipe.describe(pushed.reference)
    assert not any(connection.sock for connection in opened)
