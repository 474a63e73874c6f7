from __future__ import annotations

import json

import pytest

from bundlepipe.documents.images_annotation import images_text, preresolved_origin, resolved_origin
from tests.support.command import Command

TOOLS = pytest.mark.parametrize("tool", ["bundlepipe", "kbld"])
WEB = "a.invalid/web@sha256:" + "ab" * 32
APP = "a.invalid/app@sha256:" + "cd" * 32
RESOURCES = {
    "resources": [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "web",
                "namespace": "shop",
                "annotations": {
                    "kbld.k14s.io/images": images_text(
                        [(WEB, [resolved_origin("web:1", "1"), preresolved_origin("web")]), (APP, [])]
                    )
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "app", "annotations": {"kbld.k14s.io/images": f"- Metas:\n  URL: {APP}\n"}},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}},
    ]
}
METADATA = '- resolved:\n    tag: "1"\n    url: web:1\n- preresolved:\n    url: web'
DEPLOYMENT = "deployment/web (apps/v1) namespace: shop"
POD = "pod/app (v1) cluster"


@pytest.fixture
def resources(command: Command) -> str:
    """A file of resolved resources, one of them in a list."""
    first, *others = RESOURCES["resources"]
    listed = {"apiVersion": "v1", "kind": "List", "items": others}
    (command.directory / "resolved.yml").write_text(f"{json.dumps(first)}\n---\n{json.dumps(listed)}\n")
    return "resolved.yml"


@TOOLS
def test_a_row_for_each_image_of_each_resource(command: Command, resources: str, tool: str) -> None:
    table = json.loads(command(tool, "inspect", "-f", resources, "--json").output)["Tables"]
    rows = [
        {"image": APP, "metadata": "", "resource": DEPLOYMENT},
        {"image": APP, "metadata": "", "resource": POD},
        {"image": WEB, "metadata": METADATA, "resource": DEPLOYMENT},
    ]
    header = {"image": "Image", "metadata": "Metadata", "resource": "Resource"}
    assert table == [{"Content": "images", "Header": header, "Rows": rows, "Notes": None}]
    unsorted = json.loads(command(tool, "inspect", "-f", resources, "--json", "--sort=false").output)["Tables"]
    assert [row["image"] for row in unsorted[0]["Rows"]] == [WEB, APP, APP]


@TOOLS
def test_rows_for_scripts_and_for_people(command: Command, resources: str, tool: str) -> None:
    rows = [
        [APP, "-", DEPLOYMENT],
        [APP, "-", POD],
        [WEB, "- resolved:", DEPLOYMENT],
        *(["", line, ""] for line in METADATA.split("\n")[1:]),
    ]
    printed = command(tool, "inspect", "-f", resources).output
    if tool == "kbld":
        cells = [line.split("\t") for line in printed.splitlines()]
        assert [[cell.rstrip() for cell in line] for line in cells] == [[*row, ""] for row in rows]
        assert len({(len(image), len(metadata)) for image, metadata, *_ in cells}) == 1
    else:
        assert printed == "".join("\t".join(row) + "\n" for row in rows).replace("\t-\t", "\t\t")
    lines = command(tool, "inspect", "-f", resources, "--tty").output.splitlines()
    assert lines[:2] == ["Images", ""] and lines[-3:] == ["3 images", "", "Succeeded"]
    assert lines[2].split() == ["Image", "Metadata", "Resource"]
    assert (
        len({line.index(part) for line, part in zip(lines[2:6], ("Res", DEPLOYMENT, POD, DEPLOYMENT), strict=True)})
        == 1
    )
    assert lines[6].strip() == 'tag: "1"'


@TOOLS
def test_what_resolving_printed_is_inspected(command: Command, tool: str) -> None:
    (command.directory / "config.yml").write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: app}}\nimage: {APP}\n")
    resolve = {"bundlepipe": ["bundlepipe", "resolve"], "kbld": ["kbld"]}[tool]
    resolved = command(*resolve, "-f", "config.yml").stdout
    assert command(tool, "inspect", "-f", "-", "--column=image,resource", stdin=resolved).output == (
        f"{APP}\t{POD}\t\n" if tool == "kbld" else f"{APP}\t{POD}\n"
    )


@TOOLS
def test_errors(command: Command, tool: str) -> None:
    assert "--file (-f)" in command(tool, "inspect").failed
    (command.directory / "a.yml").write_text(
        'kind: Pod\nmetadata:\n  annotations:\n    kbld.k14s.io/images: "- 1"\n---\n'
        'kind: Pod\nmetadata:\n  annotations:\n    kbld.k14s.io/images: "["\n'
    )
    (command.directory / "b.yml").write_text("a: [\n")
    head, first, second, third = command(tool, "inspect", "-f", ".").failed.splitlines()
    expected = "expected a list of mappings with a 'url', as a YAML text"
    assert head == f"{tool}: Error: "
    assert first == f"./a.yml:4:26: kbld.k14s.io/images: {expected}"
    assert second.startswith("./a.yml:9:26: kbld.k14s.io/images: ")
    assert third.startswith("./b.yml:2:1: ")


@TOOLS
def test_help(command: Command, tool: str) -> None:
    text = command(tool, "inspect", "--help").output
    assert f"\n  {tool} inspect -f resolved.yml\n" in text
    assert "--sort=false" in text
