from __future__ import annotations

import json
import os
import re
import stat
import tarfile
from functools import partial

import pytest

from bundlepipe.cli.printing.copy_narration import duration
from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.errors import InvalidContent
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import OCI_INDEX, Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.archive.manifest import LOCK_ENTRIES_LABEL, ArchivedManifest
from bundlepipe.stores.opening import Stores
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.images import World, file_layer, put_bundle, put_cosign, put_image
from tests.support.services import Registry

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])
FOREIGN = "Skipped the followings layer(s) due to it being non-distributable."


@pytest.fixture
def shop(command: Command, registry: Registry) -> Reference:
    """A bundle with one image, each in a repository of its own."""
    image = registry.repository("site")
    manifest = put_image(Stores().repository(image, writes=True), file_layer("index.html", "hello"))
    write_bundle(command.directory / "config", {"config.yml": "a: 1\n"}, [image.at(manifest.digest)])
    repository = registry.repository("shop")
    command.silently("imgpkg", "push", "-b", f"{repository}:1.0", "-f", "config")
    return repository.tagged("1.0")


def resolved(command: Command, reference: object) -> str:
    return command("imgpkg", "tag", "resolve", "-i", f"{reference}").output


@TOOLS
def test_copy_to_a_repository(command: Command, registry: Registry, shop: Reference, tool: str) -> None:
    there = registry.repository("there")
    told = command(tool, "copy", "-b", f"{shop}", "--to-repo", f"{there}", "--tty", "--lock-output", "lock.yml").output
    lock = BundleLock.parse((command.directory / "lock.yml").read_bytes(), "lock.yml")
    assert (lock.image.repository, lock.tag) == (there, "1.0")
    images = ImagesLock.parse((command.directory / "config/.imgpkg/images.yml").read_bytes(), "").images
    exported = sorted([str(images[0].image), resolved(command, shop)])
    assert told == (
        "copy | exporting 2 images...\n"
        f"copy | will export {exported[0]}\n"
        f"copy | will export {exported[1]}\n"
        "copy | exported 2 images\n"
        "copy | importing 2 images...\n"
        "copy | Tagging images\n"
        "\n"
        "Succeeded\n"
    )
    command.silently(tool, "copy", "-b", f"{shop}", "--to-repo", f"{there}")


@TOOLS
def test_by_a_tar_to_another_place(command: Command, registry: Registry, shop: Reference, tool: str) -> None:
    told = command(tool, "copy", "-b", f"{shop}", "--to-tar", "shop.tar", "--tty").output
    head, done, rest = told.partition("copy | writing layers...\n")
    assert head.endswith("copy | exported 2 images\n") and done and rest.endswith("\nSucceeded\n")
    files = re.findall(r"^copy \| done: file '(.*)' \(.*s\)$", rest, re.MULTILINE)
    with tarfile.open(command.directory / "shop.tar") as archive:
        assert files[:1] + sorted(files[1:]) == (archive.getnames() if tool == "imgpkg" else [])
    with tarfile.open(command.directory / "shop.tar") as archive:
        assert archive.getnames()[0] == "manifest.json"
    there = registry.repository("there")
    command.silently(tool, "copy", "--tar", "shop.tar", "--to-repo", f"{there}")
    assert resolved(command, f"{there}:1.0").partition("@")[2] == resolved(command, shop).partition("@")[2]
    command.silently(tool, "copy", "-b", f"{shop}", "--to-tar", "shop.tar", "--resume")


@TOOLS
def test_copy_what_locks_name(command: Command, registry: Registry, shop: Reference, tool: str) -> None:
    there = registry.repository("there")
    bundle = BundleLock(Reference.parse(resolved(command, shop)), "other").to_bytes()
    assert command(tool, "copy", "--lock", "-", "--to-repo", f"{there}", stdin=bundle).output == ""
    assert resolved(command, f"{there}:other")
    lock = command.directory / "config/.imgpkg/images.yml"
    printed = command(tool, "copy", "--lock", lock, "--to-repo", f"{there}", "--lock-output", "-").output
    assert {entry.image.repository for entry in ImagesLock.parse(printed.encode(), "").images} == {there}


@TOOLS
def test_refusals(command: Command, registry: Registry, shop: Reference, tool: str) -> None:
    def error(*arguments: str) -> str:
        return command(tool, "copy", *arguments).failed.removeprefix(f"{tool}: Error: ")

    sources = "Expected either --lock, --bundle (-b), --image (-i), or --tar as a source\n"
    assert error("--to-tar", "x.tar") == sources
    assert error("-b", f"{shop}", "-i", f"{shop}", "--to-tar", "x.tar") == sources
    assert error("-b", f"{shop}") == "Expected either --to-tar or --to-repo\n"
    assert error("-b", f"{shop}", "--to-tar", "x", "--to-repo", "y/z") == "Expected either --to-tar or --to-repo\n"
    as_imgpkg = tool == "imgpkg"
    assert (
        error("-b", f"{shop}", "--to-tar", "x", "--lock-output", "l")
        == f"{'C' if as_imgpkg else 'c'}annot output lock file with tar destination\n"
    )
    assert (
        error("-b", f"{shop}", "--to-repo", "y/z", "--resume") == "Flag --resume can only be used when copying to tar\n"
    )
    assert error("-i", f"{shop}", "--to-tar", "x").endswith(
        "Expected bundle flag when copying a bundle (hint: Use -b instead of -i for bundles)\n"
    )
    image = ImagesLock.parse((command.directory / "config/.imgpkg/images.yml").read_bytes(), "").images[0].image
    assert error("-b", f"{image}", "--to-tar", "x").endswith(
        "Expected bundle image but found plain image (hint: Did you use -i instead of -b?)\n"
    )
    assert not (command.directory / "x").exists()
    lock = ImagesLock((ImageRef(Reference.parse(resolved(command, shop)), {KBLD_ID: "shop"}),)).to_bytes()
    (command.directory / "images.yml").write_bytes(lock)
    assert error("--lock", "images.yml", "--to-tar", "x").startswith("Unable to copy bundles using an Images Lock file")
    gone, with_digest = (
        error("--tar", "gone.tar", "--to-repo", "localhost:1/yy"),
        error("-b", f"{shop}", "--to-repo", f"y/z@sha256:{64 * 'a'}"),
    )
    if as_imgpkg:
        assert gone == "open gone.tar: no such file or directory\n"
        assert with_digest.startswith("Building import repository ref: repository can only contain the characters ")
    else:
        assert gone.startswith("tar:gone.tar: there is no such file")
        assert with_digest.endswith("expected a repository without tag or digest\n")
    assert error("-b", f"{shop}", "--to-tar", "x", "--concurrency", "0").startswith("Invalid value for '--concurrency'")
    assert error("-b", f"{shop.repository}:none", "--to-tar", "x").startswith("Fetching image:\n  GET http://")


def test_non_distributable_layers_are_told_of(command: Command, registry: Registry, world: World) -> None:
    there = registry.repository("there")
    (image, layers), *_ = world.foreign.items()
    silent = command("bundlepipe", "copy", "-b", f"{world.root}", "--to-repo", f"{there}")
    assert (silent.status, silent.stdout) == (0, "")
    assert silent.stderr.startswith(FOREIGN)
    assert f"   Layers:\n     - {layers[0]}\n" in silent.stderr
    assert f"@{image}\n" in silent.stderr
    told = command("bundlepipe", "copy", "-b", f"{world.root}", "--to-tar", "x.tar", "--tty").output
    assert FOREIGN in told


def test_imgpkg_tells_of_non_distributable_layers_among_its_lines(
    command: Command, registry: Registry, world: World
) -> None:
    there, windows = registry.repository("there"), world.images["windows"]
    (image, layers), *_ = world.foreign.items()
    run = partial(command, "imgpkg", "copy", "-b", f"{world.root}")
    assert run("--to-repo", f"{there}").output == ""
    for arguments, name in (
        (("--to-repo", f"{there}"), there.at(image)),
        (("--to-tar", "x.tar"), windows.repository.at(image)),
    ):
        told = run(*arguments, "--tty").output
        assert f"copy | Warning: {FOREIGN} " in told
        assert f"copy |  - Image: {name}\ncopy |    Layers:\ncopy |      - {layers[0]}\n\nSucceeded\n" in told


@TOOLS
def test_non_distributable_layers_that_there_are_none_of(
    command: Command, registry: Registry, shop: Reference, tool: str
) -> None:
    run = partial(command, tool, "copy", "-b", f"{shop}", "--include-non-distributable-layers", "--to-repo")
    note = "'--include-non-distributable-layers' flag provided, but no images contained a non-distributable layer.\n"
    assert run(f"{registry.repository()}").stderr == ("" if tool == "imgpkg" else note)
    prefix = "copy | Warning: " if tool == "imgpkg" else "\n"
    assert f"{prefix}{note}" in run(f"{registry.repository()}", "--tty").output


@TOOLS
def test_layer_that_a_tar_lacks(command: Command, registry: Registry, own_registry: Registry, tool: str) -> None:
    image = registry.repository("windows")
    foreign = file_layer("kernel32.dll", "not ours").as_foreign()
    put_image(Stores().repository(image, writes=True), foreign, tag="1")
    assert command(tool, "copy", "-i", f"{image}:1", "--to-tar", "x.tar").status == 0
    run = partial(command, tool, "copy", "--tar", "x.tar", "--include-non-distributable-layers", "--to-repo")
    failed = run(f"{own_registry.repository()}").failed
    file = f"file sha256-{foreign.digest.encoded}.tar.gz not found in tar"
    hint = "This may be because when copying to a tarball, the --include-non-distributable-layers flag should have been"
    assert (f"imgpkg: Error: {file} (hint: {hint}" if tool == "imgpkg" else f"{file}. hint: {hint}") in failed
    # From the registry of the destination it can be had all the same.
    there = registry.repository("there")
    run(f"{there}").output  # noqa: B018
    assert Stores().repository(there).has_blob(foreign.descriptor)


def test_imgpkg_makes_no_directory_for_a_tar(command: Command, shop: Reference) -> None:
    failed = command("imgpkg", "copy", "-b", f"{shop}", "--to-tar", "no/x.tar").failed
    assert failed == "imgpkg: Error: Creating file 'no/x.tar': open no/x.tar: no such file or directory\n"
    assert not (command.directory / "no").exists()
    command.silently("bundlepipe", "copy", "-b", f"{shop}", "--to-tar", "no/x.tar")


def test_imgpkg_reuses_no_layers_of_what_is_no_tar(command: Command, shop: Reference) -> None:
    (command.directory / "x.tar").write_text("something else")
    command("imgpkg", "copy", "-b", f"{shop}", "--to-tar", "x.tar", "--resume").failed  # noqa: B018
    assert (command.directory / "x.tar").read_text() == "something else"
    command.silently("imgpkg", "copy", "-b", f"{shop}", "--to-tar", "x.tar")
    told = command("imgpkg", "copy", "-b", f"{shop}", "--to-tar", "x.tar", "--resume", "--tty").output
    assert "\ncopy | Going to reuse 2 layers from the tar already in disk\ncopy | writing layers...\n" in told


_IMAGES_LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages: [{image: IMAGE}]\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Reading path lock.yml:\n    open lock.yml: no such file or directory"),
        ("a: [", "error converting YAML to JSON: yaml: line 1: did not find expected node content"),
        ("text", "json: cannot unmarshal string into Go value of type lockconfig.ImagesLock"),
        ("", "Unknown version (known: imgpkg.carvel.dev/v1alpha1)"),
        (_IMAGES_LOCK.replace("kind: I", "kind: i"), "Unknown kind (known: ImagesLock)"),
        (_IMAGES_LOCK.replace("IMAGE", "nginx:1"), "Expected ref to be in digest form, got 'nginx:1'"),
        (_IMAGES_LOCK.replace("images:", "more: 1\nimages:"), 'json: unknown field "more"'),
    ],
)
def test_what_is_no_lock_to_imgpkg(command: Command, content: str | None, words: str) -> None:
    if content is not None:
        (command.directory / "lock.yml").write_text(content)
    failed = command("imgpkg", "copy", "--lock", "lock.yml", "--to-repo", "localhost:1/app").failed
    assert failed.startswith("imgpkg: Error: Trying to read bundle or images lock file:\n")
    assert words.replace("\n    ", " ") in " ".join(failed.split())


def test_a_lock_of_a_bundle_has_to_name_one_for_imgpkg(command: Command, registry: Registry) -> None:
    image = registry.repository("image")
    manifest = put_image(Stores().repository(image, writes=True), file_layer("a", "a"))
    (command.directory / "lock.yml").write_bytes(BundleLock(image.at(manifest.digest), "v1").to_bytes())
    there = registry.repository("there")
    failed = command("imgpkg", "copy", "--lock", "lock.yml", "--to-repo", f"{there}").failed
    assert failed.startswith("imgpkg: Error: Expected bundle image but found plain image")
    command.silently("bundlepipe", "copy", "--lock", "lock.yml", "--to-repo", f"{there}")


def test_imgpkg_says_which_image_of_a_nested_bundle_is_nowhere(command: Command, registry: Registry) -> None:
    stores, gone = Stores(), registry.repository("gone").at(Digest.of(b"gone"))
    inner = registry.repository("inner")
    nested = inner.at(put_bundle(stores, inner.tagged("v1"), [gone]).digest)
    outer = registry.repository("outer").tagged("v1")
    put_bundle(stores, outer, [nested])
    around = f"Retrieving images for bundle '{nested}': Checking image existence: GET http://"
    copied = command("imgpkg", "copy", "-b", f"{outer}", "--to-tar", "x.tar").failed
    described = command("imgpkg", "describe", "-b", f"{outer}").failed
    assert f"Error: Reading Images from Bundle: {around}" in " ".join(copied.split())
    assert f"Error: Retrieving Images from bundle: {around}" in " ".join(described.split())


def test_imgpkg_does_not_copy_tars(command: Command) -> None:
    failed = command("imgpkg", "copy", "--tar", "x.tar", "--to-tar", "y.tar").failed
    assert failed == "imgpkg: Error: Cannot use tar source (--tar) with tar destination (--to-tar)\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1e-9, "1ns"),
        (2.5e-6, "2.5µs"),
        (0.0123, "12.3ms"),
        (1.5, "1.5s"),
        (60, "1m0s"),
        (3725.25, "1h2m5.25s"),
    ],
)
def test_durations_are_those_of_go(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_cosign_and_repo_based_tags(command: Command, registry: Registry, shop: Reference) -> None:
    there = registry.repository("there")
    store = Stores().repository(shop.repository, writes=True)
    put_cosign(store, store.read_manifest(shop.identifier))
    command.silently(
        *("imgpkg", "copy", "-b", f"{shop}", "--to-repo", f"{there}", "--concurrency", "1"),
        *("--cosign-signatures", "--repo-based-tags"),
    )
    listed = command("imgpkg", "tag", "list", "-i", f"{there}", "--imgpkg-internal-tags", "--json").output
    tags = {row["name"] for row in json.loads(listed)["Tables"][0]["Rows"]}
    assert any(tag.endswith(".sig") for tag in tags)
    prefix = shop.repository.path.replace("/", "-")
    assert any(tag.startswith(f"{prefix}-sha256-") and tag.endswith(".imgpkg") for tag in tags)


def test_local_homes(command: Command, shop: Reference) -> None:
    command.silently("bundlepipe", "copy", "-b", f"{shop}", "--to-repo", "oci:layout")
    assert (command.directory / "layout/index.json").is_file()
    failed = command("bundlepipe", "copy", "-b", f"{shop}", "--to-repo", "oci:layout", "--lock-output", "x").failed
    assert failed.endswith("--lock-output x: a copy to this destination has no lock; everything is copied\n")


def test_only_a_file_becomes_a_tar(command: Command, shop: Reference) -> None:
    os.mkfifo(command.directory / "pipe")
    failed = command("imgpkg", "copy", "-b", f"{shop}", "--to-tar", "pipe").failed
    assert failed == "imgpkg: Error: tar:pipe: cannot be written: there is a device or pipe: name a file\n"
    assert stat.S_ISFIFO((command.directory / "pipe").stat().st_mode)


def test_link_to_a_tar_stays_one(command: Command, shop: Reference) -> None:
    (command.directory / "link.tar").symlink_to("real.tar")
    command.silently("imgpkg", "copy", "-b", f"{shop}", "--to-tar", "link.tar")
    assert (command.directory / "link.tar").is_symlink()
    assert tarfile.is_tarfile(command.directory / "real.tar")


@TOOLS
@pytest.mark.parametrize("option", ["--ignore-bundle-check", "--image-is-bundle-check=false"])
def test_a_bundle_is_copied_as_an_image(
    command: Command, registry: Registry, shop: Reference, tool: str, option: str
) -> None:
    there = registry.repository("there")
    refused = command(tool, "copy", "-i", f"{shop}", "--to-repo", f"{there}").failed
    assert "Expected bundle flag when copying a bundle (hint: Use -b instead of -i for bundles)" in refused
    told = command(tool, "copy", "-i", f"{shop}", "--to-repo", f"{there}", option, "--tty").output
    assert "copy | exporting 1 images...\n" in told
    assert resolved(command, there.tagged("1.0")) == resolved(command, shop).replace(str(shop.repository), str(there))
    assert len(command(tool, "tag", "list", "-i", f"{there}").output.split()) == 1


@TOOLS
@pytest.mark.parametrize("source", ["-b", "--lock", "--tar"])
def test_only_an_image_can_be_copied_so(command: Command, tool: str, source: str) -> None:
    arguments = (tool, "copy", source, "127.0.0.1:1/app", "--to-repo", "127.0.0.1:1/copy")
    for option in ("--ignore-bundle-check", "--image-is-bundle-check=false"):
        assert f"Cannot set {option.partition('=')[0]} without -i flag" in command(*arguments, option).failed


def test_what_is_copied_gets_the_tag_of_the_destination(command: Command, registry: Registry, shop: Reference) -> None:
    there = registry.repository("there")
    command.silently("bundlepipe", "copy", "-b", f"{shop}", "--to-repo", f"{there}:2.0", "--lock-output", "lock.yml")
    lock = BundleLock.parse((command.directory / "lock.yml").read_bytes(), "lock.yml")
    assert (lock.image.repository, lock.tag) == (there, "2.0")
    assert command("bundlepipe", "tag", "list", "-i", f"{there}").output.split() == ["2.0"]
    command.silently("bundlepipe", "copy", "-b", f"{shop}", "--to-tar", "shop.tar")
    command.silently("bundlepipe", "copy", "--tar", "shop.tar", "--to-repo", f"{there}:3.0")
    assert command("bundlepipe", "tag", "list", "-i", f"{there}").output.split() == ["2.0", "3.0"]


def test_one_tag_is_for_one_image(command: Command, registry: Registry, images: ImagesLock) -> None:
    told = command("bundlepipe", "copy", "--lock", "images.yml", "--to-repo", f"{registry.repository()}:2").failed
    assert "one tag cannot name the 2 images of the source" in told


def test_imgpkg_takes_no_tag_in_the_destination(command: Command, registry: Registry, shop: Reference) -> None:
    there = registry.repository("there")
    assert command("imgpkg", "copy", "-b", f"{shop}", "--to-repo", f"{there}:2.0").failed


@pytest.fixture
def images(command: Command, registry: Registry) -> ImagesLock:
    """A lock, in images.yml, of two images, the first of them twice, not in the order of their digests."""
    repository = registry.repository("images")
    store = Stores().repository(repository, writes=True)
    found = sorted((put_image(store, file_layer("a", text)).digest for text in ("one", "two")), reverse=True)
    entries = [(found[0], {KBLD_ID: "b:1", "x": "y"}), (found[1], {KBLD_ID: "a:1"}), (found[0], {KBLD_ID: "a:2"})]
    lock = ImagesLock(tuple(ImageRef(repository.at(digest), annotations) for digest, annotations in entries))
    (command.directory / "images.yml").write_bytes(lock.to_bytes())
    return lock


def _through_a_tar(command: Command, tool: str, there: object) -> tuple[ImageRef, ...]:
    command.silently(tool, "copy", "--lock", "images.yml", "--to-tar", "images.tar")
    command.silently(tool, "copy", "--tar", "images.tar", "--to-repo", f"{there}", "--lock-output", "there.yml")
    return ImagesLock.parse((command.directory / "there.yml").read_bytes(), "there.yml").images


def test_the_ids_of_a_lock_survive_a_tar(command: Command, registry: Registry, images: ImagesLock) -> None:
    there = registry.repository("there")
    expected = [(there.at(entry.digest), entry.annotations) for entry in images.images]
    assert [(each.image, each.annotations) for each in _through_a_tar(command, "bundlepipe", there)] == expected


def test_a_lock_of_one_image_gets_the_tag_of_its_destination(
    command: Command, registry: Registry, images: ImagesLock
) -> None:
    (command.directory / "one.yml").write_bytes(ImagesLock(images.images[:1]).to_bytes())
    there = registry.repository("there")
    command.silently("bundlepipe", "copy", "--lock", "one.yml", "--to-repo", f"{there}:v2")
    assert Stores().repository(there).resolve("v2") == images.images[0].digest


def test_under_the_name_imgpkg_a_tar_has_what_imgpkg_writes(
    command: Command, registry: Registry, images: ImagesLock
) -> None:
    _through_a_tar(command, "imgpkg", registry.repository("there"))
    with tarfile.open(command.directory / "images.tar") as archive:
        content = archive.extractfile("manifest.json")
        assert content
        entries = json.load(content)
    assert [entry["Image"]["Labels"] for entry in entries] == [None, None]


@pytest.mark.parametrize(
    "label",
    ["x", "{}x", "[1]", '[{"place": "0", "annotations": {}}]', '[{"place": 0, "annotations": {"a": 1}}]'],
)
def test_a_label_that_is_no_list_of_entries_is_refused(label: str) -> None:
    repository = Reference.parse("layout.localhost/app").repository
    manifest = Manifest(OCI_INDEX, b'{"manifests":[]}')
    archived = ArchivedManifest(manifest, (repository.at(manifest.digest),), labels={LOCK_ENTRIES_LABEL: label})
    with pytest.raises(InvalidContent, match=r"tar:x: .*dev\.bundlepipe\.images-lock\.entries of layout"):
        archived.lock_entries("tar:x")
