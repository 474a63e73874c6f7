from __future__ import annotations

import json
from functools import partial

import pytest
import yaml

from tests.support.command import Command
from tests.support.images import World

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])


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
    head, line, rest = text.partition("\n") if tool == "imgpkg" else ("", "", text)
    blocks = [head + line, rest] if head else [rest]
    assert as_json == {"Tables": None, "Blocks": blocks, "Lines": ["Succeeded"]}


def test_what_imgpkg_tells(command: Command, world: World) -> None:
    run = partial(command, "imgpkg", "describe", "-b", f"{world.root}")
    text = run("-o", "yaml").output
    assert text.startswith(f"sha: {world.root_digest}\ncontent:\n")
    assert text.count("sha:") == 1
    (middle,) = yaml.safe_load(text)["content"]["bundles"].values()
    assert middle["metadata"] == {}
    (inner,) = middle["content"]["bundles"].values()
    tags = {image["annotations"]["tag"] for image in inner["content"]["images"].values() if "Sig" in image["imageType"]}
    assert {tag.rpartition(".")[2] for tag in tags} == {"sig"}
    blocks = json.loads(run("--json").output)["Blocks"]
    assert "".join(blocks) == run().output
    assert blocks[:3] == [f"Bundle SHA: {world.root_digest}\n", "\n", "Images:\n"]
    assert "" in blocks and all(block.count("\n") < 2 for block in blocks)


def test_less_of_it(command: Command, world: World) -> None:
    text = command("imgpkg", "describe", "-b", f"{world.root}", "--layers=false", "--concurrency", "2").output
    assert "Layers:" not in text and "Signature" in text
    text = command("imgpkg", "describe", "-b", f"{world.root}", "--cosign-artifacts=false").output
    assert "Layers:" in text and "Signature" not in text


@TOOLS
def test_refusals(command: Command, world: World, tool: str) -> None:
    def error(*arguments: str) -> str:
        return command(tool, "describe", *arguments).failed.removeprefix(f"{tool}: Error: ")

    unknown = "Unable to check if {} is a bundle: "
    missing = f"{unknown.format('')}could not parse reference: \n" if tool == "imgpkg" else "Expected bundle: give it"
    assert error().startswith(missing)
    assert error("-b", f"{world.root}", "-o", "xml") == (
        "--output-type can only have the following values [text, yaml]\n"
    )
    plain = next(
        image for image in world.images.values() if image.digest and not world.manifests[image.digest].is_index
    )
    absent = f"{world.root.repository}:none"
    if tool == "imgpkg":
        assert error("-b", f"{plain}") == f"Only bundles can be described, and {plain} is not a bundle\n"
        assert error("-b", "a:b:c") == f"{unknown.format('a:b:c')}could not parse reference: a:b:c\n"
        assert "Fetching image:" in error("-b", absent)
    else:
        assert error("-b", f"{plain}").endswith("(hint: Did you use -i instead of -b?)\n")
        assert error("-b", absent).startswith("Fetching image:\n  GET ")
