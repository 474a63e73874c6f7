from __future__ import annotations

import json

import pytest

from bundlepipe.documents.search.annotations import images_text, preresolved_origin, resolved_origin
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


def test_a_row_for_each_image_of_each_resource(command: Command, resources: str) -> None:
    table = json.loads(command("bundlepipe", "inspect", "-f", resources, "--json").output)["Tables"]
    rows = [
        {"image": APP, "metadata": "", "resource": DEPLOYMENT},
        {"image": APP, "metadata": "", "resource": POD},
        {"image": WEB, "metadata": METADATA, "resource": DEPLOYMENT},
    ]
    header = {"image": "Image", "metadata": "Metadata", "resource": "Resource"}
    assert table == [{"Content": "images", "Header": header, "Rows": rows, "Notes": None}]
    unsorted = json.loads(command("bundlepipe", "inspect", "-f", resources, "--json", "--sort=false").output)["Tables"]
    assert [row["image"] for row in unsorted[0]["Rows"]] == [WEB, APP, APP]


def test_rows_for_scripts_and_for_people(command: Command, resources: str) -> None:
    rows = [
        [APP, "", DEPLOYMENT],
        [APP, "", POD],
        [WEB, "- resolved:", DEPLOYMENT],
        *(["", line, ""] for line in METADATA.split("\n")[1:]),
    ]
    printed = command("bundlepipe", "inspect", "-f", resources).output
    assert printed == "".join("\t".join(row) + "\n" for row in rows)
    lines = command("bundlepipe", "inspect", "-f", resources, "--tty").output.splitlines()
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
        f"{APP}\t\n{POD}\t\n" if tool == "kbld" else f"{APP}\t{POD}\n"
    )


def test_errors(command: Command) -> None:
    assert "--file (-f)" in command("bundlepipe", "inspect").failed
    (command.directory / "a.yml").write_text(
        'kind: Pod\nmetadata:\n  annotations:\n    kbld.k14s.io/images: "- 1"\n---\n'
        'kind: Pod\nmetadata:\n  annotations:\n    kbld.k14s.io/images: "["\n'
    )
    (command.directory / "b.yml").write_text("a: [\n")
    head, first, second, third = command("bundlepipe", "inspect", "-f", ".").failed.splitlines()
    expected = "expected a list of mappings with a 'url', as YAML in a string"
    assert head == "bundlepipe: Error: "
    assert first == f"./a.yml:4:26: kbld.k14s.io/images: {expected}"
    assert second.startswith("./a.yml:9:26: kbld.k14s.io/images: ")
    assert third.startswith("./b.yml:2:1: ")


UNRESOLVED = f"""\
apiVersion: v1
kind: Pod
metadata:
  generateName: app-
  annotations:
    kbld.k14s.io/images: |
      - url: {WEB}
        origins: [{{resolved: {{url: "web:1", tag: "1"}}}}]
      - url: {APP}
spec:
- image: {WEB}
- image: {APP}
- image: web:2
- img: other
"""
RULES = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nkeys: [img]\n"


def test_kbld_lists_what_it_finds_and_asks_the_annotation_only_for_origins(command: Command) -> None:
    (command.directory / "config.yml").write_text(f"{UNRESOLVED}---\n{RULES}")
    pod = "pod/app-* (v1) cluster"
    assert command("kbld", "inspect", "-f", "config.yml", "--sort=false").output == (
        f"{APP}\t\nnull\t\n{pod}\t\n\n"
        f'{WEB}\t\n- resolved:\t\n    tag: "1"\t\n    url: web:1\t\n{pod}\t\n\n'
        f"other\t\n-\t\n{pod}\t\n\n"
        f"web:2\t\n-\t\n{pod}\t\n"
    )


def test_kbld_prints_a_line_for_each_cell_to_people(command: Command) -> None:
    (command.directory / "config.yml").write_text("image: web:2\n---\nimage: web:3\n")
    assert command("kbld", "inspect", "-f", "config.yml", "--tty").output == (
        "Images\n\n"
        "Image     web:2  \nMetadata  -  \nResource  / () cluster  \n\n"
        "Image     web:3  \nMetadata  -  \nResource  / () cluster  \n\n"
        "2 images\n\nSucceeded\n"
    )


def test_kbld_lists_the_items_of_a_list_alone(command: Command) -> None:
    listed = [{"image": "a:1"}, {"kind": "Pod", "image": "b:1"}]
    (command.directory / "list.json").write_text(json.dumps({"kind": "List", "image": "c:1", "items": listed}))
    rows = json.loads(command("kbld", "inspect", "-f", "list.json", "--json").output)["Tables"][0]["Rows"]
    assert [(row["image"], row["resource"]) for row in rows] == [("a:1", "/ () cluster"), ("b:1", "pod/ () cluster")]


def test_an_annotation_that_kbld_cannot_read(command: Command) -> None:
    text = "metadata: {annotations: {kbld.k14s.io/images: old}}\nimage: a\n"
    (command.directory / "config.yml").write_text(text)
    assert command("kbld", "inspect", "-f", "config.yml").failed == (
        "kbld: Error: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go value of "
        "type []cmd.imageStruct\n"
    )


@TOOLS
def test_help(command: Command, tool: str) -> None:
    text = command(tool, "inspect", "--help").output
    assert f"\n  {tool} inspect -f resolved.yml\n" in text
    assert "--sort=false" in text
