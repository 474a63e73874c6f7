from __future__ import annotations

import json

import pytest
import yaml

from bundlepipe.stores.homes import Homes
from tests.support.command import Command
from tests.support.images import World, make_world
from tests.support.services import Registry

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])


@pytest.fixture(scope="module")
def world(registry: Registry) -> World:
    """A bundle of bundles, to be read only."""
    return make_world(Homes(), registry.repository)


@TOOLS
def test_text(command: Command, world: World, tool: str) -> None:
    text = command(tool, "describe", "-b", f"{world.root}").output
    assert text.startswith(f"Bundle SHA: {world.root_digest}\n\nImages:\n  - Image: ")
    assert "    Type: Bundle\n    Origin: " in text
    assert "    Layers:\n      - Digest: sha256:" in text
    assert "    Type: Signature\n" in text
    assert text == command(tool, "describe", "--bundle", f"{world.root}", "--output-type", "text").output
    assert command(tool, "describe", "-b", f"{world.root}", "--tty").output == f"{text}\nSucceeded\n"


@TOOLS
def test_yaml_and_json(command: Command, world: World, tool: str) -> None:
    text = command(tool, "describe", "-b", f"{world.root}", "-o", "yaml").output
    document = yaml.safe_load(text)
    assert document["sha"] == world.root_digest
    assert document["content"]["bundles"]
    as_json = json.loads(command(tool, "describe", "-b", f"{world.root}", "-o=yaml", "--json").output)
    assert as_json == {"Tables": None, "Blocks": [text], "Lines": ["Succeeded"]}


def test_less_of_it(command: Command, world: World) -> None:
    text = command("imgpkg", "describe", "-b", f"{world.root}", "--layers=false", "--concurrency", "2").output
    assert "Layers:" not in text and "Signature" in text
    text = command("imgpkg", "describe", "-b", f"{world.root}", "--cosign-artifacts=false").output
    assert "Layers:" in text and "Signature" not in text


@TOOLS
def test_refusals(command: Command, world: World, tool: str) -> None:
    def error(*arguments: str) -> str:
        return command(tool, "describe", *arguments).failed.removeprefix(f"{tool}: Error: ")

    assert error().startswith("Expected bundle")
    assert error("-b", f"{world.root}", "-o", "xml") == (
        "--output-type can only have the following values [text, yaml]\n"
    )
    plain = next(
        image for image in world.images.values() if image.digest and not world.manifests[image.digest].is_index
    )
    assert error("-b", f"{plain}").endswith("(hint: Did you use -i instead of -b?)\n")
    assert error("-b", f"{world.root.repository}:none").startswith("Fetching image:\n  GET ")
