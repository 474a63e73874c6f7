"""Two releases compared, wherever they are: files, images, nested bundles, and what a site lacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.cli.printing.differences import text
from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import BundlepipeError, InputError, NotFound
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import ArchiveLocation, LayoutLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.copying.copy import copy
from bundlepipe.verbs.copying.request import Copied, CopyRequest
from bundlepipe.verbs.diffing.diff import diff
from bundlepipe.verbs.diffing.difference import Difference, Transfer
from bundlepipe.verbs.diffing.sides import Declared, Directory, Side
from bundlepipe.verbs.diffing.to_json import to_json
from bundlepipe.verbs.pull import pull
from bundlepipe.verbs.push import PushRequest, push
from tests.support.images import file_layer, put_bundle, put_image, put_images, put_index, random_layer
from tests.support.proxy import Proxy
from tests.support.services import Registry, program

IMAGES = 60


class Release(Struct, frozen=True):
    """A release of a bundle of bundles: where it is, and how many images it has."""

    root: Reference
    nested: Reference


class Maker:
    """Makes releases in a registry: each image in a repository of its own, bundles beside them."""

    def __init__(self, host: str, path: str, directory: Path, *, has_single_layers: bool = False) -> None:
        self.stores = Stores()
        self._has_single_layers = has_single_layers
        self._host, self._path, self._directory = host, path, directory
        self._images: dict[tuple[str, ...], Reference] = {}

    def repository(self, name: str) -> Repository:
        return Repository(self._host, f"{self._path}/{name}")

    def bundle(self, name: str, tag: str, images: dict[str, Reference], files: dict[str, bytes]) -> Reference:
        """Push a bundle of files that locks images by their names; a file whose name begins with ! can be executed."""
        directory = self._directory / f"{name}-{tag}"
        lock = ImagesLock(tuple(ImageRef(image, {KBLD_ID: key}) for key, image in images.items()))
        for path, content in {".imgpkg/images.yml": lock.to_bytes(), **files}.items():
            file = directory / path.removeprefix("!")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o755 if path.startswith("!") else 0o644)
        request = PushRequest(Inputs([str(directory)]), self.repository(name).tagged(tag), is_bundle=True)
        return push(request, self.stores).reference

    def image(self, name: str, *layers: str) -> Reference:
        """Put an image of small layers, beside one that all images have, or a single one, unless it is there."""
        key = (name, *layers)
        if key not in self._images:
            self._images[key] = self._put_image(name, *layers)
        return self._images[key]

    def _put_image(self, name: str, *layers: str) -> Reference:
        repository = self.repository(name)
        shared = random_layer(5_000, 7)
        one, own = file_layer(" ".join(layers), " ".join(layers)), (file_layer(layer, layer) for layer in layers)
        put = [one] if self._has_single_layers else [shared, *own]
        manifest = put_image(self.stores.repository(repository, writes=True), *put)
        return repository.at(manifest.digest)

    def release(self, tag: str, count: int, changed: int) -> Release:
        """Make a release of `count` images, of which every `changed`-th one has the release's own content."""
        owns = [tag if number % changed == 0 else "always" for number in range(count)]
        names = [f"registry.example/image{number}:{own}" for number, own in enumerate(owns)]
        put = in_parallel(lambda each: self.image(f"image{each[0]}", each[1], f"{each[0]}"), enumerate(owns))
        images = dict(zip(names, put, strict=True))
        nested = self.bundle(
            "nested",
            tag,
            {name: images[name] for name in names[:10]},
            {"config/nested.yml": b"release: %s\n" % tag.encode()},
        )
        same = self.bundle("same", "always", {name: images[name] for name in names[1:3]}, {"same.yml": b"same\n"})
        files = {
            "app/deployment.yml": b"".join(b"line: %d\n" % line for line in range(60)) + tag.encode(),
            "app/unchanged.yml": b"unchanged: true\n",
            f"{tag}-only.yml": b"no newline at the end",
            f"{'!' if tag == '2' else ''}run.sh": b"#!/bin/sh\n",
            "logo.png": b"\x89PNG\0" + tag.encode() * 100,
            "spaced name.txt": f"grüße {tag}\n".encode(),
            "latin.txt": b"caf\xe9 " + tag.encode() + b"\n",
        }
        root = self.bundle("root", tag, {**{n: images[n] for n in names[10:]}, "nested": nested, "same": same}, files)
        return Release(root, nested)


@pytest.fixture
def maker(registry: Registry, tmp_path: Path) -> Maker:
    return Maker(registry.host, registry.repository("diff").path, tmp_path / "files")


def copied(source: Reference, to: ArchiveLocation | LayoutLocation | Repository, stores: Stores) -> Copied:
    return copy(CopyRequest(source=source, destination=to), stores)


def patch_text(difference: Difference) -> str:
    return text.rendered(text.patch(difference), color=False, escapes=False)


def shown(difference: Difference) -> tuple[str, object]:
    """Return everything that a difference says, but where the sides are."""
    document = to_json(difference)
    for side in ("old", "new"):
        del document[side]["location"]
    return patch_text(difference), json.loads(json.dumps(document))


def git_diff(old: Path, new: Path) -> str:
    """Return what git says of two directories, without hashes of texts and what it takes for functions."""
    command = [
        program("git"),
        "-c",
        "core.quotePath=false",
        "diff",
        "--no-index",
        "--no-renames",
        "--",
        str(old),
        str(new),
    ]
    done = subprocess.run(command, capture_output=True, check=False)
    printed = done.stdout.decode(errors="surrogateescape")
    assert done.returncode in (0, 1), done
    for directory, letter in ((old, "a"), (new, "b")):
        printed = printed.replace(f"{letter}{directory}/", f"{letter}/")
    printed = printed.replace(f"a{new}/", "a/").replace(f"b{old}/", "b/")
    printed = re.sub(r"^index .*\n(?!Binary)", "", printed, flags=re.MULTILINE)
    return re.sub(r"^(@@ .* @@) .*$", r"\1", printed, flags=re.MULTILINE)


def test_two_releases_differ_in_the_same_way_wherever_they_are(maker: Maker, tmp_path: Path) -> None:
    stores = maker.stores
    old, new = maker.release("1", IMAGES, 6).root, maker.release("2", IMAGES, 6).root
    expected = shown(diff(old, new, stores))
    places: dict[str, Callable[[str], ArchiveLocation | LayoutLocation]] = {
        "tar": lambda tag: ArchiveLocation(str(tmp_path / f"{tag}.tar")),
        "layout": lambda tag: LayoutLocation(str(tmp_path / "layout"), tag),
    }
    sides: dict[str, list[Side]] = {}
    for name, place in places.items():
        sides[name] = [place("1"), place("2")]
        for source, to in ((old, place("1")), (new, place("2"))):
            copied(source, to, stores)
        assert shown(diff(sides[name][0], sides[name][1], stores)) == expected
    assert shown(diff(sides["tar"][0], sides["layout"][1], stores)) == expected
    assert shown(diff(old, sides["tar"][1], stores)) == expected

    document = to_json(diff(old, new, stores))
    moved = [image for pair in document["pairs"] for image in pair["images"] if image["status"] == "moved"]
    assert len(document["pairs"]) == 2
    # Images 0 and 6 are those of the nested bundle.
    assert len(moved) == IMAGES // 6 + 1
    assert [image["name"] for image in moved if image["bundle"]] == ["nested"]
    assert ("1", "2") in {(image["old"]["tag"], image["new"]["tag"]) for image in moved}


def test_files_differ_as_git_says_of_the_pulled_trees(maker: Maker, tmp_path: Path) -> None:
    old, new = maker.release("1", 12, 6), maker.release("2", 12, 6)
    difference = diff(old.root, new.root, maker.stores)
    for pair, before, after in zip(difference.pairs, (old.root, old.nested), (new.root, new.nested), strict=True):
        for reference, name in ((before, "old"), (after, "new")):
            pull(reference, str(tmp_path / name), maker.stores, files_alone=True)
        only = replace(pair, path="")
        ours = "".join(f"{line.text}\n" for change in pair.files for line in text.file_patch(only, change))
        assert "index " in ours or pair.path
        assert re.sub(r"^  binary: .* B -> .* B\n", "", ours, flags=re.MULTILINE) == git_diff(
            tmp_path / "old", tmp_path / "new"
        )


def test_the_patch_makes_the_new_files(maker: Maker, tmp_path: Path) -> None:
    """But binary files, which the patch names in git's words: git leaves them out on demand, patch always."""
    old, new = maker.release("1", 12, 6), maker.release("2", 12, 6)
    for reference, name in ((old.root, "old"), (new.root, "new")):
        pull(reference, str(tmp_path / name), maker.stores, files_alone=True)
    difference = diff(old.root, new.root, maker.stores)
    assert [change.path for change in difference.pairs[0].files if change.kind == "binary"] == ["logo.png"]
    patch = patch_text(replace(difference, pairs=difference.pairs[:1])).encode(errors="surrogateescape")
    git = [program("git"), "apply", "-p1", "--whitespace=nowarn"]
    for command in ([*git, "--exclude=*.png"], [program("patch"), "-p1", "-s", "--binary"]):
        target = tmp_path / Path(command[0]).name
        shutil.copytree(tmp_path / "old", target)
        subprocess.run(command, cwd=target, input=patch, check=True)
        assert (target / "logo.png").read_bytes() == (tmp_path / "old/logo.png").read_bytes()
        shutil.copy(tmp_path / "new/logo.png", target / "logo.png")
        assert git_diff(target, tmp_path / "new") == ""
    # Nothing of it is done without a word.
    refused = subprocess.run(git, cwd=tmp_path / "old", input=patch, capture_output=True, check=False)
    assert b"cannot apply binary patch to 'logo.png' without full index line" in refused.stderr


def test_a_copy_is_the_same(maker: Maker, registry: Registry, tmp_path: Path) -> None:
    stores, root = maker.stores, maker.release("1", 12, 6).root
    repository = registry.repository("site")
    copied(root, repository, stores)
    assert root.digest
    relocated = repository.at(root.digest)
    difference = diff(root, relocated, stores)
    assert difference.is_empty and difference.transfer == Transfer()

    # A pull rewrites the lock to the repository of the copy.
    pull(relocated, str(tmp_path / "pulled"), stores, recursive=True)
    assert repository.path.encode() in (tmp_path / "pulled/.imgpkg/images.yml").read_bytes()
    (tmp_path / "pulled/.imgpkg/bundles").stat()
    difference = diff(root, Directory(str(tmp_path / "pulled")), stores)
    assert difference.is_empty and not difference.unread
    assert len(difference.pairs[0].relocated) == 4
    assert patch_text(difference) == ""


def test_what_changed_in_a_relocated_lock_is_told_apart(maker: Maker, registry: Registry, tmp_path: Path) -> None:
    stores, root = maker.stores, maker.release("1", 12, 6).root
    repository = registry.repository("site")
    copied(root, repository, stores)
    assert root.digest
    pulled = tmp_path / "pulled"
    pull(repository.at(root.digest), str(pulled), stores)
    lock = pulled / ".imgpkg/images.yml"
    entries = list(ImagesLock.parse(lock.read_bytes(), "lock").images)
    moved = next(entry for entry in entries if "image11" in entry.annotations[KBLD_ID])
    other = maker.image("image11", "other")
    entries[entries.index(moved)] = ImageRef(other, moved.annotations)
    lock.write_bytes(ImagesLock(tuple(entries)).to_bytes())
    pair = diff(root, Directory(str(pulled)), stores).pairs[0]
    assert [(change.status, change.name) for change in pair.images] == [("moved", moved.annotations[KBLD_ID])]
    assert len(pair.relocated) == 3
    (change,) = pair.files
    assert (change.path, change.added, change.removed) == (".imgpkg/images.yml", 1, 1)


def content(site: Path) -> dict[str, int]:
    """Return the sizes of all blobs and manifests in a layout, but for images that say where images are.

    A copy makes those itself.
    """
    sizes = {file.name: file.stat().st_size for file in site.glob("blobs/*/*")}
    for entry in json.loads((site / "index.json").read_text())["manifests"]:
        tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "")
        if tag.endswith(".image-locations.imgpkg"):
            name = entry["digest"].removeprefix("sha256:")
            manifest = json.loads((site / "blobs/sha256" / name).read_text())
            made = [
                name,
                *(blob["digest"].removeprefix("sha256:") for blob in (manifest["config"], *manifest["layers"])),
            ]
            for each in made:
                sizes.pop(each, None)
    return sizes


def test_the_bytes_are_those_that_a_copy_adds(maker: Maker, tmp_path: Path) -> None:
    stores = maker.stores
    old, new = maker.release("1", 20, 6), maker.release("2", 20, 6)
    repository = maker.repository("multi")
    store = stores.repository(repository, writes=True)
    layer = random_layer(9_000, 3)
    members = [
        put_image(store, layer, file_layer(name, name), platform={"architecture": name, "os": "linux"})
        for name in ("a", "b")
    ]
    index = repository.at(put_index(store, members).digest)
    wide = maker.bundle("wide", "1", {"index": index, "nested": new.nested, "root": new.root}, {"x": b"x"})
    narrow = maker.bundle("narrow", "1", {"root": old.root, "member": repository.at(members[0].digest)}, {"x": b"y"})
    for number, (before, after) in enumerate(
        ((old.root, new.root), (new.root, old.root), (narrow, wide), (wide, narrow))
    ):
        site = tmp_path / f"site{number}"
        copied(before, LayoutLocation(str(site), "old"), stores)
        there = content(site)
        copied(after, LayoutLocation(str(site), "new"), stores)
        added = content(site).keys() - there.keys()
        transfer = diff(before, after, stores).transfer
        assert transfer
        assert transfer.size == sum(content(site)[name] for name in added)
        assert transfer.blobs + transfer.manifests == len(added)


@pytest.mark.parametrize("has_single_layers", [False, True])
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_each_image_is_requested_once(
    count: int, has_single_layers: bool, registry: Registry, proxy: Proxy, tmp_path: Path
) -> None:
    path = registry.repository("counted").path
    through = Maker(proxy.host, path, tmp_path / "counted", has_single_layers=has_single_layers)
    old, new = through.release("1", count, 10), through.release("2", count, 10)
    changed = count // 10
    proxy.forget()
    difference = diff(old.root, new.root, Stores())
    paths = [seen.path for seen in proxy.requests]
    manifests = [path for path in paths if "/manifests/sha256:" in path]
    assert len(manifests) == len(set(manifests)) == count + changed + 5
    blobs = [path for path in paths if "/blobs/" in path]
    # The layer and configuration of each of the five bundles. Images of several layers are none; of those with one
    # layer, only the changed ones are looked into.
    looked_into = 2 * changed if has_single_layers else 0
    assert len(blobs) == len(set(blobs)) == 10 + looked_into
    assert difference.transfer and difference.transfer.manifests == changed + 2
    assert len(paths) <= len(manifests) + len(blobs) + 5 + 1

    proxy.forget()
    assert diff(old.root, old.root, Stores()).is_empty
    assert len(proxy.requests) <= 3, proxy.summary()
    proxy.forget()
    names = diff(old.root, new.root, Stores(), sizes=False)
    assert [pair.files for pair in names.pairs] == [pair.files for pair in difference.pairs]
    assert names.transfer is None
    assert len([seen for seen in proxy.requests if "/manifests/sha256:" in seen.path]) == 2 * changed + 4


def test_without_new_images_none_is_requested(registry: Registry, proxy: Proxy, tmp_path: Path) -> None:
    through = Maker(proxy.host, registry.repository("counted").path, tmp_path / "counted")
    images = {f"image{number}": through.image(f"image{number}", str(number)) for number in range(5)}
    old = through.bundle("app", "1", images, {"a.yml": b"a: 1\n"})
    new = through.bundle("app", "2", images, {"a.yml": b"a: 2\n"})
    proxy.forget()
    difference = diff(old, new, Stores())
    assert not [seen.path for seen in proxy.requests if "/image" in seen.path]
    assert difference.transfer
    assert (difference.transfer.blobs, difference.transfer.manifests) == (2, 1)


def test_relocated_images_are_sought_beside_their_bundle(registry: Registry, proxy: Proxy, tmp_path: Path) -> None:
    """Their origins may be out of reach, as beyond an air gap."""
    origin = Maker(registry.host, registry.repository("origin").path, tmp_path / "origin")
    old, new = origin.release("1", 20, 5).root, origin.release("2", 20, 5).root
    site = Repository(proxy.host, registry.repository("site").path)
    for root in (old, new):
        copied(root, site, origin.stores)
    proxy.forget()
    assert old.digest and new.digest
    expected, found = diff(old, new, origin.stores), diff(site.at(old.digest), site.at(new.digest), Stores())
    assert shown(found) == shown(expected)
    asked = [seen.path for seen in proxy.requests if "/manifests/sha256:" in seen.path]
    assert len(asked) == len(set(asked)) == 20 + 4 + 5


def test_images_that_cannot_be_read_do_not_fail_it(maker: Maker) -> None:
    known = maker.image("known", "known")
    lost = maker.repository("lost").at(known.digest.__class__("sha256:" + 64 * "0")) if known.digest else known
    elsewhere = (
        Repository("127.0.0.1:9", "gone").at(lost.digest.__class__("sha256:" + 64 * "1")) if lost.digest else lost
    )
    old = maker.bundle("app", "1", {"known": known}, {"a.yml": b"a: 1\n"})
    new = maker.bundle("app", "2", {"known": known, "lost": lost, "elsewhere": elsewhere}, {"a.yml": b"a: 2\n"})
    from bundlepipe.stores.settings import NetworkSettings

    difference = diff(old, new, Stores(network=NetworkSettings(tries=1)))
    assert [unread.image for unread in difference.unread] == sorted([str(elsewhere), str(lost)])
    assert all(unread.reason for unread in difference.unread)
    assert [(change.status, change.name, change.is_bundle) for change in difference.pairs[0].images] == [
        ("added", "elsewhere", None),
        ("added", "lost", None),
    ]
    assert difference.transfer and difference.transfer.manifests == 1
    assert "without 2 unread images" in patch_text(difference)


def test_a_host_that_does_not_answer_is_asked_once(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    from bundlepipe.stores.settings import NetworkSettings
    from bundlepipe.verbs.diffing import packages

    # Else as many requests may be under way as there are threads.
    monkeypatch.setattr(packages, "in_parallel", lambda function, items: list(map(function, items)))
    gone = Repository("127.0.0.1:9", "gone")
    lost = {f"lost{number}": gone.at(Digest.of(b"%d" % number)) for number in range(5)}
    old = maker.bundle("app", "1", {}, {"a.yml": b"a: 1\n"})
    new = maker.bundle("app", "2", lost, {"a.yml": b"a: 2\n"})
    difference = diff(old, new, Stores(network=NetworkSettings(tries=1)))
    reasons = [unread.reason.removeprefix(f"{gone} ") for unread in difference.unread]
    assert len(reasons) == 5
    assert [reason.startswith("does not answer") for reason in reasons].count(True) == 4


def test_an_image_that_one_side_lacks_is_read_from_the_other(maker: Maker, tmp_path: Path) -> None:
    """A bundle that was copied alone has none of its images."""
    images = {f"image{number}": maker.image(f"image{number}", str(number)) for number in range(3)}
    nested = maker.bundle("nested", "1", {"image0": images["image0"]}, {"a": b"a"})
    old = maker.bundle("app", "1", {**images, "nested": nested}, {"a": b"1"})
    new = maker.bundle("app", "2", {**images, "nested": nested, "more": maker.image("more", "more")}, {"a": b"2"})
    alone = ArchiveLocation(str(tmp_path / "alone.tar"))
    copy(CopyRequest(source=old, destination=alone, shallow=True), maker.stores)
    expected, found = diff(old, new, maker.stores), diff(alone, new, maker.stores)
    assert not found.unread
    assert found.pairs == expected.pairs
    assert found.transfer == expected.transfer


def test_directories_and_declarations_are_compared_as_a_push_makes_them(maker: Maker, tmp_path: Path) -> None:
    root = maker.release("1", 12, 6).root
    directory = tmp_path / "files/root-1"
    assert diff(root, Directory(str(directory)), maker.stores).is_empty
    # Modes for others, and what no push takes, are no difference.
    for file in directory.rglob("*"):
        file.chmod(file.stat().st_mode & 0o700 | 0o040)
    (directory / ".git").mkdir()
    (directory / ".git/config").write_text("x")
    (directory / ".imgpkgignore").write_text("*.tmp\n")
    (directory / "x.tmp").write_text("x")
    difference = diff(root, Directory(str(directory)), maker.stores)
    assert difference.pairs[0].old == difference.pairs[0].new

    declared = Declared(
        "bundle:root", Inputs([str(directory)], [".git", "x.tmp", ".imgpkgignore"]), True, {"team": "web"}
    )
    difference = diff(root, declared, maker.stores)
    assert [(label.name, label.old, label.new) for label in difference.pairs[0].labels] == [("team", None, "web")]
    assert not difference.pairs[0].files and difference.transfer
    request = PushRequest(
        declared.inputs, maker.repository("root").tagged("labels"), is_bundle=True, labels=declared.labels
    )
    pushed = push(request, maker.stores).reference
    assert pushed.digest == difference.pairs[0].new
    assert difference.transfer == diff(root, pushed, maker.stores).transfer


@pytest.fixture(params=[0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of the process, on which no difference depends."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_preserved_permissions_are_compared_where_both_sides_have_them(
    maker: Maker, tmp_path: Path, umask: int
) -> None:
    directory = tmp_path / "plain"
    directory.mkdir()
    file = directory / "file"
    file.write_text("x")
    references = []
    for mode in (0o640, 0o644):
        file.chmod(mode)
        request = PushRequest(
            Inputs([str(directory)], preserve_permissions=True),
            maker.repository("plain").tagged(f"{mode:o}"),
            is_bundle=False,
        )
        references.append(push(request, maker.stores).reference)
    (change,) = diff(references[0], references[1], maker.stores).pairs[0].files
    assert change.old and change.new
    assert (change.old.mode, change.new.mode, change.has_other_content, change.patch) == (0o640, 0o644, False, "")
    assert diff(references[0], Directory(str(directory)), maker.stores).is_empty


def test_empty_directories_and_large_files(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bundlepipe.verbs.diffing import files

    old, new = tmp_path / "old", tmp_path / "new"
    for directory, names in ((old, ("gone/deeper", "filled")), (new, ("come", "filled"))):
        for name in names:
            (directory / name).mkdir(parents=True)
    (new / "filled/file").write_text("x\n")
    for directory in (old, new):
        (directory / "large").write_text(directory.name * 100)
    (old / "long").write_text("a\n" * 20)
    (new / "long").write_text("b\n" * 20)
    (new / "long").chmod(0o755)
    monkeypatch.setattr(files, "LARGEST_TEXT", 200)
    monkeypatch.setattr(files, "MOST_LINES", 10)
    difference = diff(Directory(str(old)), Directory(str(new)), maker.stores)
    assert [(change.path, change.status, change.kind) for change in difference.pairs[0].files] == [
        ("come", "added", "directory"),
        ("filled/file", "added", "text"),
        ("gone/deeper", "removed", "directory"),
        ("large", "modified", "large"),
        ("long", "modified", "large"),
    ]
    large = "index ebc5029..1048ef5 100644\nBinary files a/large and b/large differ\n  large: 300 B -> 300 B\n"
    assert large in patch_text(difference)
    assert "Empty directory removed: gone/deeper" in patch_text(difference)
    assert "Binary files a/long and b/long differ\n  large: 40 B -> 40 B\n" in patch_text(difference)

    monkeypatch.undo()
    monkeypatch.setattr(files, "LARGEST_TEXTS", 605)
    difference = diff(Directory(str(old)), Directory(str(new)), maker.stores)
    assert [(change.path, change.kind) for change in difference.pairs[0].files][-2:] == [
        ("large", "text"),
        ("long", "large"),
    ]


def test_the_mode_of_a_binary_file(maker: Maker, tmp_path: Path) -> None:
    sides = [tmp_path / "old", tmp_path / "new"]
    for directory in sides:
        directory.mkdir()
        (directory / "tool").write_bytes(b"\0")
    (sides[1] / "tool").chmod(0o755)
    old, new = (Directory(str(side)) for side in sides)
    (change,) = diff(old, new, maker.stores).pairs[0].files
    assert (change.kind, change.has_other_mode, change.has_other_content) == ("binary", True, False)


def test_nested_bundles_are_compared_once_and_named_apart(maker: Maker) -> None:
    def nested(tag: str) -> Reference:
        return maker.bundle("shared", tag, {}, {"a.yml": f"a: {tag}\n".encode()})

    def other(tag: str) -> Reference:
        return maker.bundle("team/shared", tag, {}, {"b.yml": f"b: {tag}\n".encode()})

    def outer(tag: str) -> Reference:
        inner = maker.bundle(
            "inner", tag, {"example/shared": nested(tag), "team/shared": other(tag)}, {"c": tag.encode()}
        )
        return maker.bundle("outer", tag, {"inner": inner, "example/shared": nested(tag)}, {"d": b"d"})

    difference = diff(outer("1"), outer("2"), maker.stores)
    assert [(pair.path, [change.path for change in pair.files]) for pair in difference.pairs] == [
        ("", [".imgpkg/images.yml"]),
        (".imgpkg/bundles/shared", ["a.yml"]),
        (".imgpkg/bundles/inner", [".imgpkg/images.yml", "c"]),
        (".imgpkg/bundles/index.docker.io/team/shared".replace("index.docker.io/", ""), ["b.yml"]),
    ]


def test_an_old_root_that_the_new_one_nests(maker: Maker) -> None:
    old = maker.bundle("app", "1", {}, {"a.yml": b"a\n"})
    new = maker.bundle("around", "1", {"app": old}, {"a.yml": b"b\n"})
    difference = diff(old, new, maker.stores)
    assert [(change.status, change.is_bundle) for change in difference.pairs[0].images] == [("added", True)]
    assert difference.transfer and difference.transfer.manifests == 1


def test_refusals(maker: Maker, tmp_path: Path) -> None:
    stores, app = maker.stores, maker.bundle("app", "1", {}, {"a.yml": b"a\n"})
    store = stores.repository(maker.repository("index"), writes=True)
    put_index(store, put_images(store, 2), tag="v1")
    with pytest.raises(BundlepipeError, match=r"index:v1: is an index of several images"):
        diff(app, maker.repository("index").tagged("v1"), stores)
    with pytest.raises(NotFound):
        diff(app, maker.repository("app").tagged("none"), stores)
    (tmp_path / "dir").mkdir()
    os.symlink("nowhere", tmp_path / "dir/link")
    with pytest.raises(InputError, match="symbolic link"):
        diff(app, Directory(str(tmp_path / "dir")), stores)
    copied(app, archive := ArchiveLocation(str(tmp_path / "app.tar")), stores)
    thin = tmp_path / "thin.tar"
    copy(CopyRequest(source=app, destination=ArchiveLocation(str(thin)), exclude=[archive]), stores)
    other = maker.bundle("app", "2", {}, {"a.yml": b"b\n"})
    with pytest.raises(NotFound, match="leaves out layers of an earlier copy"):
        diff(ArchiveLocation(str(thin)), other, stores)


def test_a_bundle_of_one_line_by_hand(registry: Registry) -> None:
    """The helpers of other tests make bundles that are read as well."""
    stores = Stores()
    put = partial(put_bundle, stores)
    repository = registry.repository("by-hand")
    old: Manifest = put(repository.tagged("1"), [], {"a": "1\n"})
    new: Manifest = put(repository.tagged("2"), [], {"a": "2\n"})
    assert patch_text(diff(repository.at(old.digest), repository.at(new.digest), stores)).splitlines()[1:-1] == [
        "diff --git a/a b/a",
        "--- a/a",
        "+++ b/a",
        "@@ -1 +1 @@",
        "-1",
        "+2",
    ]
