"""`--json` of push, pull, copy and lock merge: what was done, by a schema; under other names the lines, as theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.documents.lock_file.content import LockFile, LockKey
from bundlepipe.documents.schemas.validator import check
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.images import World, file_layer, put_image
from tests.support.services import Registry

A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))


@pytest.fixture
def shop(command: Command, registry: Registry) -> tuple[Reference, str]:
    """A bundle in ./config with one image, in a repository of its own; and where it can be pushed."""
    image = registry.repository("site")
    manifest = put_image(Stores().repository(image, writes=True), file_layer("index.html", "hello"))
    write_bundle(command.directory / "config", {"config.yml": "a: 1\n"}, [image.at(manifest.digest)])
    return image.at(manifest.digest), f"{registry.repository('shop')}:1.0"


def result(command: Command, schema: str, *arguments: str, status: int = 0) -> dict[str, Any]:
    done = command("bundlepipe", *arguments, "--json")
    assert done.status == status, done
    check(load_one(done.stdout.encode(), "result.json"), schema)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_push(command: Command, shop: tuple[Reference, str]) -> None:
    _, place = shop
    push = ("push", "-b", place, "-f", "config")
    pushed = result(command, "push", *push)
    store = Stores().repository(Reference.parse(place).repository)
    manifest = store.read_manifest("1.0")
    assert pushed == {
        "apiVersion": "bundlepipe.dev/v1alpha1",
        "kind": "Push",
        "image": f"{place.removesuffix(':1.0')}@{manifest.digest}",
        "digest": str(manifest.digest),
        "imageID": str(manifest.config.digest),
        "tags": ["1.0"],
        "bundle": True,
        "status": "pushed",
        "blobs": {"transferred": 2, "mounted": 0, "present": 0},
        "bytes": manifest.config.size + manifest.layers[0].size,
        "lock": None,
    }
    again = result(command, "push", *push, "--lock-output", "-")
    lock = again["lock"]
    assert again == {
        **pushed,
        "status": "present",
        "blobs": {"transferred": 0, "mounted": 0, "present": 2},
        "bytes": 0,
        "lock": lock,
    }
    assert (lock["kind"], lock["bundle"]) == ("BundleLock", {"image": pushed["image"], "tag": "1.0"})


def test_copy(command: Command, registry: Registry, shop: tuple[Reference, str]) -> None:
    image, place = shop
    pushed = result(command, "push", "push", "-b", place, "-f", "config")
    there = registry.repository("there")
    copy = ("copy", "-b", place, "--to-repo", f"{there}")
    copied = result(command, "copy", *copy, "--lock-output", "lock.yml")
    bundle = f"{there}@{pushed['digest']}"
    assert (copied["destination"], copied["status"]) == (f"{there}", "copied")
    assert copied["roots"] == [{"image": bundle, "digest": pushed["digest"], "tag": "1.0", "bundle": True}]
    names = sorted([bundle, f"{there}@{image.digest}"])
    assert copied["images"] == [{"image": name, "status": "copied"} for name in names]
    assert (copied["manifests"], sum(copied["blobs"].values()), copied["skipped"]) == (2, 4, [])
    assert copied["lock"] == load_one((command.directory / "lock.yml").read_bytes(), "lock.yml").data
    again = result(command, "copy", *copy)
    assert (again["status"], again["blobs"]["transferred"], again["bytes"], again["lock"]) == ("present", 0, 0, None)
    assert all(each["status"] == "present" for each in again["images"])


def test_copy_to_a_tar_file(command: Command, shop: tuple[Reference, str]) -> None:
    _, place = shop
    pushed = result(command, "push", "push", "-b", place, "-f", "config")
    copied = result(command, "copy", "copy", "-b", place, "--to-tar", "shop.tar")
    assert (copied["destination"], copied["lock"]) == ("tar:shop.tar", None)
    assert copied["roots"] == [{"image": None, "digest": pushed["digest"], "tag": "1.0", "bundle": True}]
    assert copied["bytes"] > 0


def test_pull(command: Command, world: World) -> None:
    pulled = result(command, "pull", "pull", "-b", f"{world.root}", "-o", "out", "-r")
    root = f"{world.root.repository}@{world.root_digest}"
    assert (pulled["directory"], pulled["image"], pulled["digest"]) == ("out", root, str(world.root_digest))
    first, *nested = pulled["bundles"]
    assert first == {"path": ".", "image": root, "digest": str(world.root_digest), "relocated": False}
    assert nested and all((command.directory / "out" / each["path"] / ".imgpkg").is_dir() for each in nested)
    files = [path for path in (command.directory / "out").rglob("*") if path.is_file()]
    assert (pulled["files"], pulled["size"]) == (len(files), sum(path.stat().st_size for path in files))
    assert pulled["bytes"] > 0


def test_an_image_has_no_bundles(command: Command, shop: tuple[Reference, str]) -> None:
    image, _ = shop
    assert result(command, "pull", "pull", "-i", f"{image}", "-o", "site")["bundles"] == []


def write_lock(path: Path, **entries: Digest) -> None:
    lock = LockFile({LockKey(f"registry.example/{name}:1"): digest for name, digest in entries.items()})
    path.write_bytes(lock.to_bytes())


def test_lock_merge(command: Command) -> None:
    write_lock(command.directory / "base", one=A, two=A)
    write_lock(command.directory / "ours", one=B, two=B)
    write_lock(command.directory / "theirs", one=A, two=C)
    merge = ("lock", "merge", "base", "ours", "theirs")
    merged = result(command, "lock-merge", *merge, status=1)
    lookup = {"tags": None, "platform": None}
    assert (merged["path"], merged["mergedAs"]) == ("ours", "entries")
    assert merged["entries"] == [{"reference": "registry.example/one:1", **lookup, "digest": str(B)}]
    assert merged["conflicts"] == [{"reference": "registry.example/two:1", **lookup, "ours": str(B), "theirs": str(C)}]
    write_lock(command.directory / "ours", one=B, two=A)
    assert result(command, "lock-merge", *merge)["conflicts"] == []
    (command.directory / "theirs").write_text("no lock file\n")
    by_lines = result(command, "lock-merge", *merge, status=1)
    assert (by_lines["mergedAs"], by_lines["entries"], by_lines["conflicts"]) == ("lines", None, None)


def test_an_error_is_a_line(command: Command, shop: tuple[Reference, str]) -> None:
    _, place = shop
    failed = command("bundlepipe", "push", "-b", place, "-f", "nowhere", "--json")
    assert failed.status == 1
    assert json.loads(failed.stdout)["Lines"] == [failed.stderr.rstrip("\n")]


@pytest.mark.parametrize(
    "arguments",
    [
        "pull --json -b registry.example/app",
        "push --json -b",
        "push --bogus --json",
        "copy --json=true --concurrency x",
        "diff --json",
        "lock merge --json",
        "--json nosuch",
    ],
)
def test_wrong_arguments_are_a_line_too(command: Command, arguments: str) -> None:
    failed = command("bundlepipe", *arguments.split())
    assert failed.status == (2 if "diff" in arguments else 1)
    assert json.loads(failed.stdout) == {"Tables": None, "Blocks": None, "Lines": [failed.stderr.rstrip("\n")]}


@pytest.mark.parametrize(
    "arguments", ["push --bogus --json=false", "push --json --json=f -b", "push --bogus -- --json"]
)
def test_without_it_they_are_on_stderr_alone(command: Command, arguments: str) -> None:
    assert command("bundlepipe", *arguments.split()).stdout == ""


def test_imgpkg_has_the_lines(command: Command, shop: tuple[Reference, str]) -> None:
    _, place = shop
    pushed = json.loads(command("imgpkg", "push", "-b", place, "-f", "config", "--json").output)
    assert pushed["Lines"][-1] == "Succeeded"
