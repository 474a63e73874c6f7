"""The forms of a graph: Graphviz, Mermaid and others accept them, whatever the names of tasks are."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bundlepipe.documents.schemas.validator import check
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.errors import BundlepipeError, OutputError, printable
from bundlepipe.pipeline.drawing.forms import FORMS, Form, chosen_form, graph_file, text_of
from bundlepipe.pipeline.drawing.model import GraphTask, State, TaskGraph
from bundlepipe.pipeline.drawing.texts import is_too_large_for_mermaid
from bundlepipe.pipeline.reasons import Reason
from tests.support.graphs import HOSTILE, graph, hostile, monorepo
from tests.support.services import program, require

MOVED = State("stale", [Reason("fileChanged", "a", "a changed")])
GRAPHS = {"hostile": hostile(), "monorepo": monorepo(40), "empty": TaskGraph([]), "without states": graph(a=[], b="a")}
_PARSE = """
const { createRequire } = require("node:module");
const { pathToFileURL } = require("node:url");
const { JSDOM } = require("jsdom");
const { window } = new JSDOM("");
Object.assign(globalThis, { window, document: window.document, Element: window.Element });
import(pathToFileURL(require.resolve("mermaid")).href).then(async ({ default: mermaid }) => {
  const text = require("node:fs").readFileSync(0, "utf8");
  const { diagramType } = await mermaid.parse(text);
  const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
  const labels = [...db.getVertices().values()].map((vertex) => vertex.text);
  console.log(JSON.stringify({ diagramType, labels, edges: db.getEdges().length }));
});
"""


@pytest.mark.parametrize("name", GRAPHS)
def test_graphviz_draws_what_dot_says(name: str) -> None:
    drawn = subprocess.run(
        [program("graphviz"), "-Tjson"],
        input=text_of(GRAPHS[name], "dot", "").encode(),
        capture_output=True,
        check=True,
    )
    assert drawn.stderr == b""
    document = json.loads(drawn.stdout)
    labels = [vertex["label"] for vertex in document.get("objects", [])]
    assert labels == [_label(task, entities=True) for task in GRAPHS[name].tasks]
    assert len(document.get("edges", [])) == sum(map(len, GRAPHS[name].drawn_needs))


@pytest.mark.parametrize("name", GRAPHS)
def test_mermaid_parses_its_text(name: str) -> None:
    require("mermaid")
    node = program("node")
    parsed = subprocess.run(
        [node, "-e", _PARSE], input=text_of(GRAPHS[name], "mermaid", "").encode(), capture_output=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr.decode()
    found = json.loads(parsed.stdout)
    assert found["diagramType"].startswith("flowchart")
    # Mermaid keeps numbers of characters in another form until it draws.
    labels = [re.sub(r"ﬂ°°(\d+)¶ß", lambda each: chr(int(each[1])), label) for label in found["labels"]]
    assert labels == [_label(task) for task in GRAPHS[name].tasks]
    assert found["edges"] == sum(map(len, GRAPHS[name].drawn_needs))


@pytest.mark.parametrize("name", GRAPHS)
def test_no_name_is_an_icon_or_a_list_of_mermaid(name: str) -> None:
    text = text_of(GRAPHS[name], "mermaid", "")
    assert re.search("fa[bklrs]?:fa-", text) is None
    assert re.search(r'"([-+]|\d+\.)', text) is None


@pytest.mark.parametrize("name", GRAPHS)
def test_json_is_by_its_schema_and_has_everything(name: str) -> None:
    text = text_of(GRAPHS[name], "json", "")
    check(load_one(text.encode(), "graph.json"), "graph")
    tasks = json.loads(text)["tasks"]
    assert [(task["name"], task["needs"]) for task in tasks] == [(task.name, task.needs) for task in GRAPHS[name].tasks]


@pytest.mark.parametrize("name", GRAPHS)
def test_svg_is_well_formed(name: str) -> None:
    root = ElementTree.fromstring(text_of(GRAPHS[name], "svg", ""))
    space = {"s": "http://www.w3.org/2000/svg"}
    assert len(root.findall("s:g", space)) == len(GRAPHS[name].tasks)
    assert len(root.findall("s:path", space)) == sum(map(len, GRAPHS[name].drawn_needs))
    titles = [title.text or "" for title in root.findall("s:g/s:title", space)]
    assert [title.split("\n")[0] for title in titles] == [printable(task.name) for task in GRAPHS[name].tasks]


def test_a_name_ends_no_element_of_the_page() -> None:
    page = text_of(hostile(), "html", "</title><script>")
    assert page.count("<script") == page.count("</script>") == 2
    assert page.count("</title>") == 1 + len(HOSTILE)
    assert "<img" not in page
    data = re.search(r'<script type="application/json" id="tasks">(.*?)</script>', page, re.DOTALL)
    assert data
    assert [task["name"] for task in json.loads(data[1])] == [printable(name) for name in HOSTILE]


def test_drawings_leave_out_edges_that_follow_from_others_and_json_has_them() -> None:
    made = graph(a=[], b=["a"], c=["a", "b"])
    assert text_of(made, "mermaid", "").count("-->") == 2
    assert text_of(made, "dot", "").count("->") == 2
    assert json.loads(text_of(made, "json", ""))["tasks"][2]["needs"] == ["a", "b"]


def test_states_are_passed_in() -> None:
    made = graph(a=[], b=["a"]).with_states({"b": MOVED})
    assert [task.state for task in made.tasks] == [None, MOVED]
    again = made.with_states({"a": State("up-to-date")})
    assert [task.state.name for task in again.tasks if task.state] == ["up-to-date", "stale"]


def test_the_part_around_a_task_has_what_it_needs_and_what_needs_it() -> None:
    made = graph(a=[], b=["a"], c=["b"], d=["a", "c"], e=["a"], f=[]).around(["b"])
    assert {task.name: task.needs for task in made.tasks} == {"a": [], "b": ["a"], "c": ["b"], "d": ["a", "c"]}


def test_what_mermaid_refuses_by_default_is_noticed() -> None:
    for count, is_too_large in ((500, False), (501, True)):
        fan = graph(a=[], **{f"b{number}": ["a"] for number in range(count)})
        assert is_too_large_for_mermaid(fan, text_of(fan, "mermaid", "")) is is_too_large
    long = graph(**{"x" * 60_000: []})
    assert is_too_large_for_mermaid(long, text_of(long, "mermaid", ""))


@pytest.mark.parametrize(
    ("asked", "path", "form"),
    [
        ([], None, "mermaid"),
        (["dot"], None, "dot"),
        ([], "a.mmd", "mermaid"),
        ([], "a/b.HTML", "html"),
        ([], "a.gv", "dot"),
        ([], "a.svg", "svg"),
        ([], "a.json", "json"),
        (["json"], "a.txt", "json"),
    ],
)
def test_an_option_or_the_name_of_the_file_chooses_the_form(asked: list[Form], path: str | None, form: str) -> None:
    assert chosen_form(asked, path) == form


def test_no_form_or_several_is_an_error() -> None:
    with pytest.raises(BundlepipeError, match=r"^--dot and --html: choose one form$"):
        chosen_form(["dot", "html"], "graph.dot")
    with pytest.raises(BundlepipeError, match=r"^-o 'graph.png': its name tells no form: choose one of --mermaid, .*"):
        chosen_form([], "graph.png")


@pytest.mark.parametrize("form", FORMS)
def test_an_earlier_graph_is_replaced_and_nothing_else(form: Form, tmp_path: Path) -> None:
    path = tmp_path / "graph"
    for made in (hostile(), graph(a=[])):
        graph_file(str(path), force=False).write(text_of(made, form, "").encode())
    path.write_text('{"kind": "Other"}\n')
    with pytest.raises(
        OutputError, match="exists, but it is not a graph of tasks, and git does not have it: remove it"
    ):
        graph_file(str(path), force=False).write(b"")
    assert path.read_text() == '{"kind": "Other"}\n'
    graph_file(str(path), force=True).write(text_of(made, form, "").encode())


def _label(task: GraphTask, *, entities: bool = False) -> str:
    signs = {"up-to-date": "✓ ", "stale": "● ", "unknown": "? ", "ignored": "- ", "error": "! "}
    name = printable(task.name)
    if entities:
        name = name.replace("\\", "\\\\").replace("&", "&amp;")
    return (signs[task.state.name] if task.state else "") + name
