from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.search.files import FoundImage, compose_file, search_composed, search_images
from bundlepipe.documents.yaml.reader import parse
from bundlepipe.errors import DocumentError

KEY = "kbld.k14s.io/images"
NOTE = f"metadata:\n  annotations:\n    {KEY}: noted\n"
RESOURCE = "apiVersion: v1\nkind: Pod\n"
LIST = "apiVersion: v1\nkind: List\n"


def printed(text: str, path: str = "f.yml") -> list[str]:
    def note(images: Sequence[FoundImage]) -> str:
        return "noted" if images else "nothing"

    file = search_images(text.encode(), path)
    return [document.decode() for document in file.printed({"nginx": "r.io/n:1"}, note)]


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("# nothing\n---\n---\nnull\n--- {}\n", []),
        ("a: 1", ["---\na: 1\n"]),
        ("\ufeffa: 1\n", ["---\na: 1\n"]),
        ("# a\n\n--- # b\na: 1\n# c\n---\nb: 2\n", ["# a\n\n--- # b\na: 1\n# c\n", "---\nb: 2\n"]),
        ("a: 1\r\n---\r\nb: 2\r\n", ["---\na: 1\r\n", "---\r\nb: 2\r\n"]),
        ("a: 1\n...\n---\nb: 2\n...\n", ["---\na: 1\n...\n", "---\nb: 2\n...\n"]),
        ('{"a": 1}', ['---\n{"a": 1}\n']),
        ("image: nginx # n\n", [f"---\n{NOTE}image: r.io/n:1 # n\n"]),
        ("apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n---\na: 1\n", ["---\na: 1\n"]),
    ],
)
def test_each_document_has_a_mark_and_what_is_empty_is_left_out(text: str, documents: list[str]) -> None:
    assert printed(text) == documents


def test_items_of_a_list_are_documents_in_which_scalars_stay() -> None:
    text = (
        f"{LIST}metadata: {{resourceVersion: '1'}}\nitems:\n"
        "- mode: 0644 # of the file\n  name: y\n  b: '1'\n  size: 1_000\n  image: nginx\n"
        "- &x {b: [], a: {}, c: '', d: ~, e: !!str 1, f: !!int '2', 1: !x g}\n"
        "- <<: [*x, {z: 1, b: 2}]\n  d: 3\n  g: 1\n  g: 2\n"
    )
    assert printed(text) == [
        f'---\nb: "1"\nimage: r.io/n:1\n{NOTE}mode: 0644\nname: y\nsize: 1_000\n',
        '---\n1: g\na: {}\nb: []\nc: ""\nd: null\ne: "1"\nf: 2\n',
        '---\n1: g\na: {}\nb: []\nc: ""\nd: 3\ne: "1"\nf: 2\ng: 2\nz: 1\n',
    ]
    assert printed(f"{LIST}items: []\n") == []


def test_items_of_a_list_in_json_are_documents() -> None:
    text = '{"apiVersion": "v1", "items": [{\n\t"a": "\\ud83d\\ude00\\/", "image": "nginx"}]}'
    (document,) = printed(text, "f.json")
    assert yaml.safe_load(document)["a"] == "\U0001f600/"
    assert yaml.safe_load(document)["metadata"] == {"annotations": {KEY: "noted"}}


def test_a_list_that_has_more_than_items_stays_one_document() -> None:
    text = f"{RESOURCE}image: nginx\nitems:\n- image: nginx # n\n"
    item = NOTE.replace("\n", "\n  ")
    assert printed(text) == [f"---\n{RESOURCE}image: r.io/n:1\nitems:\n- {item}image: r.io/n:1 # n\n"]


def test_what_a_list_has_beside_its_items_is_left_out() -> None:
    assert printed(f"{LIST}image: nginx\nitems:\n- image: nginx # n\n") == [f"---\nimage: r.io/n:1\n{NOTE}"]
    file = compose_file(f"{LIST}image: other\nitems: [image: nginx]\n".encode(), "f.yml")
    assert [image.value for image in search_composed(file, as_kbld=True).images] == ["nginx"]


@pytest.mark.parametrize("metadata", ["metadata:\n", "metadata: null\n", "metadata: a\n", "metadata: [a]\n"])
def test_metadata_that_are_no_mapping_get_no_annotation(metadata: str) -> None:
    assert printed(f"{metadata}image: nginx\n") == [f"---\n{metadata}image: r.io/n:1\n"]


@pytest.mark.parametrize(
    ("text", "annotations"),
    [
        ("metadata: &m {name: a}\nb: *m\n", {}),
        ("metadata:\n  annotations: &a {x: 'y'}\nb: *a\n", {"x": "y"}),
        ("base: &b {metadata: {name: a}}\n<<: *b\n", {}),
        ("metadata: {annotations: a}\n", {}),
        ("metadata: {annotations: [a]}\n", {}),
        (f"metadata: {{annotations: {{{KEY}: [a], b: c}}}}\n", {"b": "c"}),
    ],
)
def test_a_document_whose_annotation_has_no_place_is_written_anew(text: str, annotations: dict[str, str]) -> None:
    before = yaml.safe_load(text)
    (document,) = printed(f"{text}image: nginx # lost\n")
    data = yaml.safe_load(document)
    assert data["metadata"].pop("annotations") == {**annotations, KEY: "noted"}
    before["metadata"].pop("annotations", None)
    assert data == {**before, "image": "r.io/n:1"}
    assert "# lost" not in document


def test_an_item_whose_annotation_has_no_place_in_a_list_that_stays_is_told() -> None:
    text = "other: &a {b: c}\nitems:\n- {metadata: {annotations: *a}, image: nginx}\n"
    with pytest.raises(DocumentError, match=rf"f.yml:1:8: cannot set '{KEY}'"):
        printed(text)


SCALARS = st.text(max_size=6) | st.sampled_from(["y", "010", "1_000", "0x1", "~", "a: b", "- a", "", " a", "#"])
TREES = st.recursive(
    SCALARS | st.integers(-9, 999) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(SCALARS, TREES, min_size=1, max_size=3), max_size=3))
def test_items_keep_what_they_say(items: list[dict[str, Any]]) -> None:
    text = json.dumps({"kind": "List", "items": items})
    read = [parse(document.encode(), "f.yml")[0].data for document in printed(text, "f.json")]
    assert read == items
