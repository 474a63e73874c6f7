from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.search.files import FoundImage, search_images
from bundlepipe.documents.search.rules import DEFAULT_RULE, KeyMatcher, SearchRule, Within
from bundlepipe.documents.yaml.reader import parse
from bundlepipe.errors import DocumentError

KEY = "kbld.k14s.io/images"


def annotation(images: Sequence[FoundImage]) -> str:
    return "- origins: []\n" + "".join(f"  url: {image.value}\n" for image in images)


def rendered(text: str, path: str = "f.yml", value: Callable[[Sequence[FoundImage]], str | None] = annotation) -> str:
    return search_images(text.encode(), path).rendered({"nginx": "r.io/n:1"}, value).decode()


def with_annotation(data: Any, value: str) -> Any:
    """Return a resource's data as it has to be afterwards."""
    changed = copy.deepcopy(data)
    metadata = changed["metadata"] = changed.get("metadata") or {}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), KEY: value}
    changed["image"] = "r.io/n:1"
    return changed


RESOURCE = "apiVersion: v1\nkind: Pod\n"
BLOCK = "|\n{0}- origins: []\n{0}  url: nginx\n"
QUOTED = '"- origins: []\\n  url: nginx\\n"'

PLACES = {
    "beside other annotations": (
        "metadata:\n  annotations:\n    # a\n    a: b # c\nimage: nginx\n",
        f"metadata:\n  annotations:\n    {KEY}: {BLOCK.format(' ' * 6)}    # a\n    a: b # c\nimage: r.io/n:1\n",
    ),
    "in place of the one that is there": (
        f"metadata:\n  annotations:\n    a: b\n    {KEY}: |\n      old\n      text\n\n    c: d\nimage: nginx\n",
        f"metadata:\n  annotations:\n    a: b\n    {KEY}: {BLOCK.format(' ' * 6)}\n    c: d\nimage: r.io/n:1\n",
    ),
    "in place of a quoted one": (
        f"metadata:\n  annotations:\n    {KEY}: 'old' # c\n    '{KEY}x': d\nimage: nginx\n",
        f"metadata:\n  annotations:\n    {KEY}: {QUOTED} # c\n    '{KEY}x': d\nimage: r.io/n:1\n",
    ),
    "in place of nothing": (
        f"metadata:\n  annotations:\n    {KEY}:\n    a: b\nimage: nginx\n",
        f"metadata:\n  annotations:\n    {KEY}: {BLOCK.format(' ' * 6)}    a: b\nimage: r.io/n:1\n",
    ),
    "in place of one in flow style": (
        f"metadata: {{annotations: {{'{KEY}': old, a: b}}}}\nimage: nginx\n",
        f"metadata: {{annotations: {{'{KEY}': {QUOTED}, a: b}}}}\nimage: r.io/n:1\n",
    ),
    "in annotations that are in flow style": (
        "metadata:\n  annotations: {a: b}\nimage: nginx\n",
        f'metadata:\n  annotations: {{"{KEY}": {QUOTED}, a: b}}\nimage: r.io/n:1\n',
    ),
    "in flow style over lines": (
        "metadata:\n  annotations: {\n    a: b,\n    c: d }\nimage: nginx\n",
        f'metadata:\n  annotations: {{\n    "{KEY}": {QUOTED},\n    a: b,\n    c: d }}\nimage: r.io/n:1\n',
    ),
    "in empty annotations": (
        "metadata:\n  annotations: {} # none\n  name: x\nimage: nginx\n",
        f'metadata:\n  annotations: {{"{KEY}": {QUOTED}}} # none\n  name: x\nimage: r.io/n:1\n',
    ),
    "in annotations that are missing behind their key": (
        "metadata:\n  annotations: # none\n  name: x\nimage: nginx\n",
        f'metadata:\n  annotations: {{"{KEY}": {QUOTED}}} # none\n  name: x\nimage: r.io/n:1\n',
    ),
    "in place of null": (
        "metadata:\n  annotations: &a null\nimage: nginx\n",
        f'metadata:\n  annotations: &a {{"{KEY}": {QUOTED}}}\nimage: r.io/n:1\n',
    ),
    "without annotations": (
        "metadata:\n    # c\n    name: x\nimage: nginx\n",
        f"metadata:\n    annotations:\n        {KEY}: {BLOCK.format(' ' * 12)}    # c\n    name: x\nimage: r.io/n:1\n",
    ),
    "without annotations in flow style": (
        "metadata: {name: x}\nimage: nginx\n",
        f'metadata: {{"annotations": {{"{KEY}": {QUOTED}}}, name: x}}\nimage: r.io/n:1\n',
    ),
    "with empty metadata": (
        "metadata:\nimage: nginx\n",
        f'metadata: {{"annotations": {{"{KEY}": {QUOTED}}}}}\nimage: r.io/n:1\n',
    ),
    "behind anchors and tags": (
        "metadata: &m\n  annotations: !!map\n    &k a: b\nimage: nginx\n",
        f"metadata: &m\n  annotations: !!map\n    {KEY}: {BLOCK.format(' ' * 6)}    &k a: b\nimage: r.io/n:1\n",
    ),
    "with announced keys": (
        "metadata:\n  ? annotations\n  : a: b\n    c: d\nimage: nginx\n",
        f"metadata:\n  ? annotations\n  : {KEY}: {BLOCK.format(' ' * 6)}    a: b\n    c: d\nimage: r.io/n:1\n",
    ),
}


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_the_annotation_is_put_in_its_place(name: str, line_break: str) -> None:
    before, after = (RESOURCE + text for text in PLACES[name])
    changed = rendered(before.replace("\n", line_break))
    assert changed == after.replace("\n", line_break)
    (was,), (now,) = parse(before.encode(), "f.yml"), parse(changed.encode(), "f.yml")
    assert now.data == with_annotation(was.data, "- origins: []\n  url: nginx\n")


def test_a_resource_without_metadata_gets_it() -> None:
    changed = rendered(f"# c\n{RESOURCE}image: nginx\n")
    assert changed == (f"# c\nmetadata:\n  annotations:\n    {KEY}: {BLOCK.format(' ' * 6)}{RESOURCE}image: r.io/n:1\n")


def test_items_of_a_list_are_annotated_each_for_itself() -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n  image: nginx\n"
        "-   kind: Pod\n    apiVersion: v1\n    b: {image: &i httpd}\n"
        "- {kind: Pod, apiVersion: v1, metadata: {name: c}, d: [image: caddy, image: nginx, image: *i]}\n"
        "- kind: Pod\n  apiVersion: v1\n"
    )
    changed = rendered(text)
    (document,) = parse(changed.encode(), "f.yml")
    urls = [item.get("metadata", {}).get("annotations", {}).get(KEY) for item in document.data["items"]]
    assert urls == [
        "- origins: []\n  url: nginx\n",
        "- origins: []\n  url: httpd\n",
        "- origins: []\n  url: httpd\n  url: caddy\n  url: nginx\n",
        None,
    ]
    assert "metadata" not in document.data


@pytest.mark.parametrize(
    "text", ["image: nginx\n", "apiVersion: v1\nimage: nginx\n", "kind: Pod\nb: [image: nginx]\n", "- image: nginx\n"]
)
def test_what_is_no_resource_is_not_annotated(text: str) -> None:
    assert rendered(text) == text.replace("nginx", "r.io/n:1")


def test_a_resource_without_images_is_not_annotated() -> None:
    assert rendered(RESOURCE) == RESOURCE


def test_none_is_no_annotation() -> None:
    assert rendered(f"{RESOURCE}image: nginx\n", value=lambda images: None) == f"{RESOURCE}image: r.io/n:1\n"


def test_images_within_texts_are_among_those_of_the_resource() -> None:
    rule = SearchRule(key=KeyMatcher(name="c"), strategy=Within("yaml", (DEFAULT_RULE,)))
    given: list[list[str]] = []
    text = f"{RESOURCE}c: 'image: httpd'\nimage: nginx\n"
    file = search_images(text.encode(), "f.yml", [rule])
    file.rendered({}, lambda images: given.append([image.value for image in images]))
    assert given == [["httpd", "nginx"]]


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("metadata", [{}, {"name": "x"}, {"annotations": {"a": "b"}}, {"annotations": {}}, None])
def test_json_stays_json(indent: Any, metadata: Any) -> None:
    data = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "image": "nginx"}
    text = json.dumps(data, indent=indent)
    value = '"é"\t\\\n\x85\u2028😀\x7f\n'
    changed = json.loads(rendered(text, "f.json", lambda images: value))
    assert changed == with_annotation(data, value)


@pytest.mark.parametrize("value", ["a", "a\n", "a\n\n", "a\n\n\n", " a\nb", "a\r\nb", "", "- x\n", "1", "a\n\nb \n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n# c", "\nz: 1\n"])
def test_the_annotation_says_exactly_what_was_given(value: str, end: str) -> None:
    text = f"{RESOURCE}image: nginx\nmetadata:\n  annotations:\n    {KEY}: old{end}"
    for before in (text, text.replace(f"{KEY}: old", "a: b")):
        (was,), (now,) = (
            parse(before.encode(), "f.yml"),
            parse(rendered(before, value=lambda _: value).encode(), "f.yml"),
        )
        assert now.data == with_annotation(was.data, value)


names = st.sampled_from(["a", "é😀", "b c", "- d", "#e", "kbld.k14s.io/images-x"])
texts = st.sampled_from(["x", "", "y\n", "two\nlines\n", " 'z' ", "long " * 30])
tables: st.SearchStrategy[Any] = st.none() | st.dictionaries(names | st.just(KEY), texts, max_size=3)
metadata: st.SearchStrategy[Any] = st.none() | st.fixed_dictionaries(
    {}, optional={"name": texts, "annotations": tables, "z": tables}
)


@given(
    data=st.fixed_dictionaries({"image": st.just("nginx")}, optional={"metadata": metadata, "l": tables}),
    flow=st.sampled_from([True, False, None]),
    indent=st.integers(2, 6),
    line_break=st.sampled_from(["\n", "\r\n", "\r"]),
    explicit=st.booleans(),
)
def test_whatever_the_style_only_the_annotation_is_added(
    data: Any, flow: bool | None, indent: int, line_break: str, explicit: bool
) -> None:
    data = {"apiVersion": "v1", "kind": "Pod", **data}
    text = yaml.safe_dump(
        data, default_flow_style=flow, indent=indent, allow_unicode=True, explicit_start=explicit, sort_keys=False
    )
    changed = rendered(text.replace("\n", line_break))
    assert [document.data for document in parse(changed.encode(), "f.yml")] == [
        with_annotation(data, "- origins: []\n  url: nginx\n")
    ]
    assert re.findall("\r\n|\r|\n", changed).count(line_break) == len(re.findall("\r\n|\r|\n", changed))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "metadata:\n  annotations: &a\n    b: c\nimage: nginx\nd: *a\n",
            "4:16: cannot set 'kbld.k14s.io/images': an alias",
        ),
        (
            "d: &a {b: c}\nmetadata:\n  annotations: *a\nimage: nginx\n",
            "3:4: cannot set 'kbld.k14s.io/images': an alias",
        ),
        (
            "d: &a {annotations: {}}\nmetadata:\n  <<: *a\nimage: nginx\n",
            "5:3: cannot set 'kbld.k14s.io/images': the 'annotations'",
        ),
        ("metadata: x\nimage: nginx\n", "3:11: cannot set 'kbld.k14s.io/images': expected a mapping as 'metadata'"),
        (
            "metadata:\n  ? annotations\nimage: nginx\n",
            "cannot set 'kbld.k14s.io/images': expected a mapping as 'annotations'",
        ),
        (
            f"metadata: {{annotations: {{{KEY}: [x]}}}}\nimage: nginx\n",
            "cannot set 'kbld.k14s.io/images': the one that is there",
        ),
        (
            f"d: &a x\nmetadata: {{annotations: {{{KEY}: *a}}}}\nimage: nginx\n",
            "cannot set 'kbld.k14s.io/images': an alias",
        ),
    ],
)
def test_where_the_annotation_would_change_something_else_it_is_a_fault(text: str, problem: str) -> None:
    with pytest.raises(DocumentError, match=problem) as caught:
        rendered(RESOURCE + text)
    assert len(caught.value.problems) == 1


def test_an_annotation_that_holds_a_reference_is_replaced_as_a_whole() -> None:
    rule = SearchRule(key=KeyMatcher(name=KEY), strategy=Within("yaml", (DEFAULT_RULE,)))
    text = f"{RESOURCE}metadata:\n  annotations:\n    {KEY}: |\n      image: nginx\n"
    file = search_images(text.encode(), "f.yml", [rule])
    (document,) = parse(file.rendered({"nginx": "httpd"}, lambda images: "new\n"), "f.yml")
    assert document.data["metadata"]["annotations"] == {KEY: "new\n"}


def test_documents_of_configuration_go_and_the_others_are_annotated() -> None:
    config = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
    changed = rendered(f"{config}---\n{RESOURCE}metadata: {{}}\nimage: nginx\n---\n{config}")
    assert changed.startswith(f"---\n{RESOURCE}metadata: {{")
    assert "Config" not in changed


def test_documents_are_rendered_one_by_one() -> None:
    text = (
        "\ufeff# first\nimage: nginx\n# of the first\n---\napiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
        f"---\n{RESOURCE}image: nginx\n...\n%YAML 1.2\n---\na: 1"
    )
    file = search_images(text.encode(), "a.yml")
    first, second, third = file.rendered_documents({"nginx": "r.io/n:1"}, lambda images: "note")
    assert first.content == b"# first\nimage: r.io/n:1\n# of the first\n"
    assert second.content.startswith(b"---\n") and second.content.endswith(b"\nimage: r.io/n:1\n...\n")
    assert KEY.encode() in second.content
    assert third.content == b"%YAML 1.2\n---\na: 1"


def test_a_file_of_comments_is_rendered_as_a_whole() -> None:
    (only,) = search_images(b"# nothing\n", "a.yml").rendered_documents({})
    assert (only.root, only.content) == (None, b"# nothing\n")
