from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.images import World
from tests.support.services import Registry

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])


def images_of(path: Path) -> set[str]:
    return {str(image.image.repository) for image in ImagesLock.parse(path.read_bytes(), str(path)).images}


@TOOLS
def test_pull_narrates_as_imgpkg(command: Command, registry: Registry, world: World, tool: str) -> None:
    repository, digest = world.root.repository, world.root_digest
    layer = world.bundles["outer"].layers[0].digest
    command.silently(tool, "pull", "-b", f"{world.root}", "-o", "out")
    assert command(tool, "pull", "--bundle", f"{world.root}", "--output", "out", "--tty").output == (
        f"Pulling bundle '{repository}@{digest}'\n"
        f"  Extracting layer '{layer}' (1/1)\n"
        "\n"
        "Locating image lock file images...\n"
        "One or more images not found in bundle repo; skipping lock file update\n"
        "\n"
        "Succeeded\n"
    )
    assert (command.directory / "out/config.yml").is_file()


def test_nested_bundles_of_a_copy(command: Command, registry: Registry, world: World) -> None:
    there = registry.repository("copied")
    assert command("imgpkg", "copy", "-b", f"{world.root}", "--to-repo", f"{there}").status == 0
    told = command("imgpkg", "pull", "-r", "-b", f"{there}:v1", "-o", "out", "--tty").output
    nested = sorted(set(world.bundles) - {"outer"})
    depths = {"middle": 1, "inner": 2}
    assert told.startswith(f"Pulling bundle '{there}@{world.root_digest}'\n  Extracting layer 'sha256:")
    assert "\n\nNested bundles\n  Pulling nested bundle '" in told
    assert told.count("Nested bundles\n") == 1
    for name in nested:
        digest = world.bundles[name].digest
        pulled = re.search(rf"\n( +)Pulling nested bundle '{there}@{digest}'\n\1  Extracting layer 'sha256:", told)
        assert pulled and len(pulled[1]) == 2 * depths[name]
        laid_out = command.directory / "out/.imgpkg/bundles" / f"sha256-{digest.encoded}"
        assert images_of(laid_out / ".imgpkg/images.yml") <= {str(there)}
    assert told.endswith(
        "\n\nLocating image lock file images...\n"
        f"The bundle repo ({there}) is hosting every image specified in the bundle's Images Lock file "
        "(.imgpkg/images.yml)\n\nSucceeded\n"
    )
    assert images_of(command.directory / "out/.imgpkg/images.yml") == {str(there)}


@TOOLS
def test_pull_what_a_lock_names(command: Command, registry: Registry, world: World, tool: str) -> None:
    lock = f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: BundleLock\nbundle: {{image: '{world.root.repository}@"
    lock += f"{world.root_digest}'}}\n"
    (command.directory / "lock.yml").write_text(lock)
    command.silently(tool, "pull", "--lock", "lock.yml", "-o", "out")
    assert (command.directory / "out/.imgpkg/images.yml").is_file()
    assert command(tool, "pull", "--lock", "-", "-o", "out", stdin=lock).output == ""
    images = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
    fault = {
        "bundlepipe": "-: is an ImagesLock: expected a BundleLock, which names one bundle\n",
        "imgpkg": "Validating bundle lock:\n  Validating kind:\n    Unknown kind (known: BundleLock)\n",
    }[tool]
    failed = command(tool, "pull", "--lock", "-", "-o", "out", stdin=images).failed
    assert failed == f"{tool}: Error: {fault}"


@TOOLS
def test_bundle_and_image_are_told_apart(command: Command, registry: Registry, world: World, tool: str) -> None:
    (command.directory / "a").write_text("a")
    image = registry.repository()
    command.silently(tool, "push", "-i", f"{image}", "-f", "a")
    root, plain = (f"{world.root}: ", f"{image}: ") if tool == "bundlepipe" else ("", "")
    assert command(tool, "pull", "-i", f"{world.root}", "-o", "out").failed == (
        f"{tool}: Error: {root}Expected bundle flag when pulling a bundle (hint: Use -b instead of -i for bundles)\n"
    )
    assert command(tool, "pull", "-b", f"{image}", "-o", "out").failed == (
        f"{tool}: Error: {plain}Expected bundle image but found plain image (hint: Did you use -i instead of -b?)\n"
    )
    assert not (command.directory / "out").exists()
    told = command(tool, "pull", "-i", f"{image}", "-o", "out", "--tty").output
    digest = command(tool, "tag", "resolve", "-i", f"{image}").output
    lines = told.splitlines()
    assert lines[0] == f"Pulling image '{digest}'"
    assert lines[-1] == "Succeeded"
    told = command(tool, "pull", "-i", f"{world.root}", "-o", "out", "--image-is-bundle-check=false", "--tty").output
    assert told.startswith(f"Pulling image '{world.root.repository}@{world.root_digest}'\n")
    assert "Locating" not in told
    assert (command.directory / "out/.imgpkg/images.yml").is_file()


@TOOLS
def test_refusals(command: Command, registry: Registry, world: World, tool: str) -> None:
    def error(*arguments: str) -> str:
        return command(tool, "pull", *arguments).failed.removeprefix(f"{tool}: Error: ")

    assert error("-b", f"{world.root}") == 'required flag(s) "output" not set\n'
    assert error("-o", "out").startswith("Expected either image or bundle")
    both = {"bundlepipe": "Expected either image or bundle", "imgpkg": "Expected only one of image, bundle, or lock"}
    assert error("-b", "a/b", "-i", "a/b", "-o", "out").startswith(both[tool])
    assert error("-b", "a/b", "-o", "out", "--image-is-bundle-check=false") == (
        "Cannot set --image-is-bundle-check while using -b flag\n"
    )
    for output in ("/", ".", ".."):
        assert "Disallowed output directory (trying to avoid accidental deletion)" in error(
            "-b", f"{world.root}", "-o", output
        )
    index = next(name for name, image in world.images.items() if world.manifests[image.digest or ""].is_index)  # type: ignore[index]
    assert (
        "Unable to pull non-images, such as image indexes. (hint: provide a specific digest to the image instead)"
        in (error("-i", f"{world.images[index]}", "-o", "out"))
    )


@TOOLS
def test_causes_stand_below_what_failed(command: Command, registry: Registry, world: World, tool: str) -> None:
    missing = f"{world.root.repository}:none"
    says = (
        f"{tool}: Error: Fetching image:\n"
        f"  GET http://{world.root.repository.registry}/v2/{world.root.repository.path}/manifests/none:\n"
        "    MANIFEST_UNKNOWN: manifest unknown; "
    )
    # Distribution 2 and 3 have other details.
    detail = "Tag=none" if tool == "bundlepipe" else "map[Tag:none]"
    told = command(tool, "pull", "-b", missing, "-o", "out").failed
    assert told in (f"{says}{detail}\n", f"{says}unknown tag=none\n")
    failed = command(tool, "pull", "-b", f"{registry.repository('absent')}", "-o", "out").failed
    details = ("Tag=latest", "map[Tag:latest]", "unknown tag=latest")
    assert failed.endswith((*(f"; {each}\n" for each in details), "NAME_UNKNOWN: repository name not known\n"))


def test_local_homes_are_pulled_from_as_well(command: Command) -> None:
    write_bundle(command.directory / "config", {"config.yml": "a: 1\n"})
    command.silently("bundlepipe", "push", "-b", "layout.localhost/shop:1", "-f", "config")
    command.silently("bundlepipe", "copy", "-b", "layout.localhost/shop:1", "--to-tar", "shop.tar")
    command.silently("bundlepipe", "pull", "-b", "tar:shop.tar", "-o", "out")
    assert (command.directory / "out/config.yml").read_text() == "a: 1\n"
    command.silently("bundlepipe", "pull", "-b", "oci:build/registry/shop:1", "-o", "again")
    assert (command.directory / "again/config.yml").read_text() == "a: 1\n"
