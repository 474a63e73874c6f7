from __future__ import annotations

import json

import pytest

from tests.support.command import Command
from tests.support.services import Registry

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "imgpkg"])


@pytest.fixture
def repository(command: Command, registry: Registry) -> str:
    """A repository with the tags 1.0, 2.0 and latest."""
    (command.directory / "a").write_text("a")
    repository = registry.repository()
    for tag in ("latest", "2.0", "1.0"):
        assert command("imgpkg", "push", "-i", f"{repository}:{tag}", "-f", "a").output == ""
    return str(repository)


@TOOLS
def test_list_prints_rows(command: Command, repository: str, tool: str) -> None:
    padding = "   " if tool == "imgpkg" else ""
    assert command(tool, "tag", "list", "-i", repository).output == "1.0\t\n2.0\t\nlatest\t\n"
    digest = command(tool, "tag", "resolve", "-i", repository).output.partition("@")[2]
    with_digests = command(tool, "tag", "list", "-i", f"{repository}:ignored", "--digests").output
    end = "\t" if tool == "imgpkg" else ""
    assert with_digests == (f"1.0{padding}\t{digest}{end}\n2.0{padding}\t{digest}{end}\nlatest\t{digest}{end}\n")
    internal = command(tool, "tag", "list", "-i", repository, "--imgpkg-internal-tags").output
    assert internal.endswith(f"latest\t\n{digest.replace(':', '-')}.imgpkg\t\n")


@TOOLS
def test_list_on_a_terminal(command: Command, repository: str, tool: str) -> None:
    end = "  \n" if tool == "imgpkg" else "\n"
    assert command(tool, "tag", "list", "-i", repository, "--tty").output == (
        f"Tags\n\nName{end}1.0{end}2.0{end}latest{end}\n3 tags\n\nSucceeded\n"
    )


@TOOLS
def test_list_as_json(command: Command, repository: str, tool: str) -> None:
    document = json.loads(command(tool, "--json", "tag", "list", "-i", repository).output)
    assert document == {
        "Tables": [
            {
                "Content": "tags",
                "Header": {"name": "Name"},
                "Rows": [{"name": "1.0"}, {"name": "2.0"}, {"name": "latest"}],
                "Notes": None,
            }
        ],
        "Blocks": None,
        "Lines": ["Succeeded"],
    }


def test_columns(command: Command, repository: str) -> None:
    list_ = ("bundlepipe", "tag", "list", "-i", repository, "--digests", "--column")
    digests = command(*list_, "digest").output
    assert digests.startswith("sha256:") and digests.endswith("\t\n")
    assert command(*list_, "Digest,name").output.splitlines()[0].endswith("\t1.0")
    assert command("imgpkg", *list_[1:], "Digest,name").output.splitlines()[0].startswith("1.0   \tsha256:")
    for tool in ("bundlepipe", "imgpkg"):
        assert command(tool, *list_[1:], "size").failed == (
            f"{tool}: Error: --column size: there is no such column: expected name or digest\n"
        )


def test_column_that_is_hidden(command: Command, repository: str) -> None:
    list_ = ("tag", "list", "-i", repository, "--column", "digest")
    assert command("imgpkg", *list_).output == "-\t\n-\t\n-\t\n"
    assert "there is no such column" in command("bundlepipe", *list_).failed


@TOOLS
def test_resolve(command: Command, repository: str, tool: str) -> None:
    resolved = command(tool, "tag", "resolve", "-i", f"{repository}:1.0").output
    assert resolved.startswith(f"{repository}@sha256:") and not resolved.endswith("\n")
    assert command(tool, "tag", "resolve", "-i", resolved).output == resolved
    assert command(tool, "tag", "resolve", "-i", repository, "--tty").output == f"{resolved}\nSucceeded\n"
    assert json.loads(command(tool, "tag", "resolve", "-i", repository, "--json").output)["Blocks"] == [resolved]


@TOOLS
def test_refusals(command: Command, registry: Registry, repository: str, tool: str) -> None:
    for local in ("oci:/x", "tar:a/B", "docker-daemon:app:1"):
        for what in ("tag list", "tag resolve"):
            fault = {
                "bundlepipe": f"'{local}': {what} is for registries: expected REGISTRY/REPOSITORY[:TAG]",
                "imgpkg": f"could not parse reference: {local}",
            }[tool]
            assert command(tool, *what.split(), "-i", local).failed == f"{tool}: Error: {fault}\n"
    assert (
        command(tool, "tag", "bogus").failed
        == (
            {
                "bundlepipe": 'bundlepipe: Error: unknown command "bogus" for "bundlepipe tag": '
                "'bundlepipe tag --help' lists the commands\n",
                "imgpkg": "imgpkg: Error: command 'imgpkg tag' does not accept extra arguments 'bogus'\n",
            }[tool]
        )
    )
    nothing = {"bundlepipe": "Expected image: give it with --image (-i)", "imgpkg": "could not parse reference: "}
    assert command(tool, "tag", "list").failed == f"{tool}: Error: {nothing[tool]}\n"
    repository_path = repository.partition("/")[2]
    request = f"http://{registry.host}/v2/{repository_path}/manifests/none:\n"
    words = {
        "bundlepipe": f"Fetching image:\n  HEAD {request}    404 Not Found\n",
        "imgpkg": f"GET {request}  MANIFEST_UNKNOWN: manifest unknown; map[Tag:none]\n",
    }
    assert command(tool, "tag", "resolve", "-i", f"{repository}:none").failed == f"{tool}: Error: {words[tool]}"
    absent = registry.repository("absent")
    query, detail = ("?n=1000", f"map[name:{absent.path}]") if tool == "imgpkg" else ("", f"name={absent.path}")
    assert command(tool, "tag", "list", "-i", f"{absent}").failed == (
        f"{tool}: Error: GET http://{registry.host}/v2/{absent.path}/tags/list{query}:\n"
        f"  NAME_UNKNOWN: repository name not known to registry; {detail}\n"
    )
    assert command(tool, "tag", "list", "-i", "localhost:99999/x").failed.count("\n") == 1


@TOOLS
def test_tag_alone_is_help(command: Command, tool: str) -> None:
    text = command(tool, "tag", "--help").output
    assert text == command(tool, "help", "tag").output
    if tool == "bundlepipe":
        assert text == command(tool, "tag").output
    else:
        error = "imgpkg: Error: Use one of available subcommands: list, resolve\n"
        assert command(tool, "tag").failed == error
    assert "\n  list " in text and "\n  resolve " in text
