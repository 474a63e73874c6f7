"""Awkward documents, each rendered and compared byte by byte outside the references, and read again.

In the texts, «» are around what has to be replaced, and nothing else may change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from bundlepipe.documents.search.files import search_images
from bundlepipe.documents.search.rules import DEFAULT_RULE, KeyMatcher, SearchRule, Within
from bundlepipe.documents.yaml.reader import compose

NEW = "index.docker.io/library/new@sha256:" + "1f" * 32
# What belongs to a scalar in front of its text: anchor, tag, quotes, header of a block, comments.
IN_FRONT = re.compile(r"""(?:[&!]\S*|['"\\]+|[|>][-+0-9]*|\#.*|\s)*""")
SPAN = re.compile("«(.*?)»", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """A document; the references in it, where they are not what the marks are around; and who else can read it."""

    text: str
    references: Sequence[str] | None = None
    rules: Sequence[SearchRule] = ()
    path: str = "f.yml"
    encoded: Callable[[str], bytes] = str.encode
    other_reader: bool = True


def within(key: str, *rules: SearchRule, form: Any = "yaml") -> SearchRule:
    return SearchRule(key=KeyMatcher(name=key), strategy=Within(form, rules or (DEFAULT_RULE,)))


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


CASES = {
    # Scalars without quotes.
    "plain": Case("image: «nginx:1»\n"),
    "no final line break": Case("a: 1\nimage: «nginx:1»"),
    "comment behind": Case("image: «nginx:1» # image: other:2\n"),
    "comment above that looks like an entry": Case("# image: other:2\nimage: «nginx:1»\n# image: other:3\n"),
    "blanks around": Case("image:    «nginx:1»   \nb: 1\n"),
    "value in the next line": Case("image:\n  «nginx:1»\nb: 1\n"),
    "comment between key and value": Case("image: # which\n  # of them\n  «nginx:1»\n"),
    "folded over two lines": Case("image:\n  «nginx:1\n  and\n\n  more»\n", ["nginx:1 and\nmore"]),
    "blank before the colon": Case("image : «nginx:1»\n"),
    "port and digest": Case("image: «r.io:5000/a/b:1@sha256:" + "0" * 64 + "»\n"),
    "hash and colon inside": Case("image: «a#b:c»\n"),
    "very long line": Case("a: " + "x" * 5000 + " image\nb: {c: " + "y" * 5000 + ", image: «nginx:1»}\n"),
    "in a list of mappings": Case("- image: «nginx:1»\n- name: x\n  image: «httpd:2»\n-   image: «caddy:3»\n"),
    "lists in lists": Case("- - - image: «nginx:1»\n    - image: «httpd:2»\n"),
    "what YAML 1.1 turns into something else": Case("name: y\nport: 0o10\ntime: 12:30\nimage: «nginx:1»\non: no\n"),
    "the whole document is a list item's value": Case("--- # first\n- {image: «nginx:1»}\n"),
    # Scalars in quotes.
    "single quotes": Case("image: '«nginx:1»' # c\n"),
    "double quotes": Case('image: "«nginx:1»" # c\n'),
    "quoted key": Case("'image': «nginx:1»\n\"image\": «httpd:2»\n"),
    "doubled quote": Case("image: '«it''s:1»'\n", ["it's:1"]),
    "escapes": Case('image: "«\\x6eginx\\u003a1\\/a»"\n', ["nginx:1/a"]),
    "escaped line break": Case('image: "«nginx\\\n    :1»"\nb: 1\n', ["nginx:1"]),
    "quotes over two lines": Case("image: '«nginx\n\n  :1»'\n", ["nginx\n:1"]),
    "quotes in the next line": Case('image:\n\n    "«nginx:1»"\n'),
    "quoted number": Case('image: "«1.25»"\nother: {image: 3.5, b: {image: true}}\n'),
    # Block scalars.
    "literal": Case("image: |\n  «nginx:1»\nb: 1\n"),
    "literal without last break": Case("image: |-  # stripped\n  «nginx:1»\n\n\nb: 1\n"),
    "literal with kept breaks": Case("image: |+\n  «nginx:1»\n\n\nb: 1\n"),
    "literal with its indentation given": Case("image: |4-\n    «nginx:1»\nb: 1\n"),
    "literal at the end without line break": Case("a:\n  image: |\n      «nginx:1»"),
    "literal less deep than its key is long": Case("a:\n- image: >-\n   «nginx:1»\n- b\n"),
    "folded block": Case("image: >\n  «nginx:1»\nb: 1\n"),
    "folded block of two lines": Case("image: >-\n  «nginx:1\n  and\n\n  more»\n", ["nginx:1 and\nmore"]),
    "block with CRLF": Case("image: |\n  «nginx:1»\nb: >-\n  c\n", encoded=crlf),
    # Anchors, aliases, tags, merges.
    "anchor": Case("image: &a «nginx:1»\n"),
    "tag": Case("image: !!str «nginx:1»\n"),
    "tag that makes a text of a number": Case("image: !!str «125»\n"),
    "verbatim tag and anchor": Case("image: !<tag:yaml.org,2002:str> &a '«nginx:1»'\n"),
    "anchor and tag over lines": Case("image: &a # anchor\n  !!str # tag\n  # value\n  «nginx:1»\n"),
    "non-specific tag": Case("image: ! «nginx:1»\n"),
    "block with anchor and tag": Case("image: &a !!str |-\n  «nginx:1»\nb: *a\n"),
    "aliased reference": Case("image: &a «nginx:1»\nb:\n  image: *a\nc: [{image: *a}]\n"),
    "anchor under another key": Case("base: &a «nginx:1»\nb: {image: *a}\n"),
    "anchor that is given twice": Case(
        "a: &x {image: «nginx:1»}\nb: *x\nc: &x {image: «httpd:2»}\nd: *x\n", other_reader=False
    ),
    "aliased mapping": Case("a: &m\n  image: «nginx:1»\nb: *m\nc: [*m, *m]\n"),
    "merge": Case("a: &m\n  image: «nginx:1»\nb:\n  <<: *m\n  image: «httpd:2»\n"),
    "merge of several": Case("- &m {image: «nginx:1»}\n- &n {image: «httpd:2»}\n- <<: [*m, *n]\n"),
    "application's tags on collections": Case("a: !x\n  image: «nginx:1»\nb: !y [!z {image: «httpd:2»}]\n"),
    # Flow style, and keys of other kinds.
    "flow": Case('a: {image: «nginx:1», b: [{image: \'«httpd:2»\'}, {"image":"«caddy:3»"}]}\n'),
    "flow over lines": Case("a: {\n  image: «nginx:1»\n  , b: [ # c\n    {image: «httpd:2» }]\n}\n"),
    "pair in a list": Case("a: [image: «nginx:1», b]\n"),
    "flow without blanks": Case('{"a":{"image":"«nginx:1»"},"b":[{"image":"«httpd:2»"}]}'),
    "announced key": Case("? image\n: «nginx:1»\n? a\n: image: «httpd:2»\n"),
    "announced key that is a list": Case("? [a, b]\n: image: «nginx:1»\n", other_reader=False),
    "keys that are no texts": Case("1: {image: «nginx:1»}\ntrue: {image: «httpd:2»}\n~: {image: «caddy:3»}\n"),
    "duplicate keys": Case("image: «nginx:1»\nimage: «httpd:2»\n"),
    "set-like mapping": Case("a: {b, c, image: «nginx:1»}\n"),
    # Documents and their marks.
    "several documents": Case("image: «nginx:1»\n---\nimage: «httpd:2»\n---\n---\n# nothing\n"),
    "marks with comments": Case("# a\n--- # b\nimage: «nginx:1»\n... # c\n# d\n---\nimage: «httpd:2»\n...\n"),
    "directives": Case(
        "%YAML 1.1\n%TAG !k! tag:k,2000:\n---\na: !k!b {image: «nginx:1»}\n...\n%YAML 1.1\n--- {image: «httpd:2»}\n"
    ),
    "block in the line of a mark": Case("--- |\n  image: no:1\n--- {image: «nginx:1»}\n"),
    # Encodings and line ends.
    "byte order mark": Case("\ufeffimage: «nginx:1»\n"),
    "byte order mark and CRLF": Case("\ufeff# c\nimage: «nginx:1»\nb: 1\n", encoded=crlf),
    "CRLF": Case("a:\n- image: «nginx:1» # c\n- image: '«httpd:2»'\n", encoded=crlf),
    "CR alone": Case("a: 1\rimage: «nginx:1»\rb: 2\r"),
    "line ends of all kinds": Case("a: 1\r\nb: {image: «nginx:1»}\nc: {image: «httpd:2»}\rd: 1\r\n"),
    "beyond U+FFFF in front": Case('a: {😀: 🐳, image: «nginx:1»} # 😀\n😀: {b: "😀", image: «httpd:2»}\n'),
    "accents and wide letters": Case("é: {ü: 漢字, image: «nginx:1»}\n"),
    "U+2028 and U+0085 between lines": Case("a: 1\u2028image: «nginx:1»\u2029b: {image: «httpd:2»}\x85c: 2\n"),
    "U+2028 in quotes": Case("a: 'x\u2028 y\x85 z'\nimage: «nginx:1»\n"),
    # JSON.
    "JSON": Case('{\n  "a": [{"image": "«nginx:1»"}],\n  "image" : "«httpd:2»"\n}\n', path="f.json"),
    "JSON with tabs": Case('{\n\t"image":\t"«nginx:1»",\n\t"b": [\t{"image": "«httpd:2»"}]\n}\n', path="f.json"),
    "JSON with escapes": Case(
        '{"image": "«r.io\\/nginx\\u003a1»", "b": "\\/\\u00e9"}', ["r.io/nginx:1"], path="f.json"
    ),
    "JSON with surrogates": Case('{"a": "\\ud83d\\ude00 \\\\ud83d", "image": "«nginx:1»"}', path="f.json"),
    "JSON with CRLF": Case('{\n\t"image": "«nginx:1»"\n}\n', path="f.json", encoded=crlf),
    # Texts in strings.
    "YAML in a literal": Case("c: |\n  # c\n  image: «nginx:1»  # d\n  b: ['x']\nd: 1\n", rules=[within("c")]),
    "YAML in a literal with CRLF": Case("c: |\n  a: 1\n  image: «nginx:1»\nd: 1\n", rules=[within("c")], encoded=crlf),
    "YAML in a literal deeper than it begins": Case("c: |2\n    a:\n      image: «nginx:1»\n", rules=[within("c")]),
    "YAML in a folded block": Case("c: >\n  {a: 1,\n  image: «nginx:1»}\n\n   # more\nd: 1\n", rules=[within("c")]),
    "YAML in double quotes": Case('c: "a: \\"\\u00e9\\"\\nimage: «nginx:1» # c\\n"\n', rules=[within("c")]),
    "YAML in double quotes over lines": Case(
        'c: "a: 1\\n\\\n   image: «nginx:1»\\n\\\n   b: 2\\n"\n', rules=[within("c")]
    ),
    "YAML in single quotes": Case("c: 'a: ''x''\n\n  b: {image: ''«nginx:1»''}'\n", rules=[within("c")]),
    "YAML without quotes": Case("c: «nginx:1»\n", rules=[within("c", SearchRule(key=KeyMatcher(path=())))]),
    "several documents in a string": Case("c: |\n  image: «nginx:1»\n  ---\n  image: «httpd:2»\n", rules=[within("c")]),
    "JSON in a literal": Case(
        'c: |\n  {"a": "\\u00e9",\n  \t"image":\t"«nginx:1»"}\n', rules=[within("c", form="json")]
    ),
    "JSON in double quotes": Case('c: "{\\"image\\": \\"«nginx:1»\\"}"\n', rules=[within("c", form="json")]),
    "JSON in JSON": Case(
        '{"c": "{\\"a\\": \\"\\\\ud83d\\\\ude00\\", \\"image\\": \\"«nginx:1»\\"}"}',
        rules=[within("c", form="json")],
        path="f.json",
    ),
    "JSON in YAML in YAML": Case(
        'c: |\n  d: |-\n    e: \'{"image": "«nginx:1»"}\'\n    image: no:1\n  image: «httpd:2»\n',
        rules=[within("c", DEFAULT_RULE, within("d", within("e", form="json")))],
    ),
    "block in a block": Case("c: |\n  image: |\n    «nginx:1»\n  b: 1\n", rules=[within("c")]),
    "anchors in a string": Case("c: &a |\n  image: &a «nginx:1»\n  b: *a\nd: *a\n", rules=[within("c")]),
    "a string that is aliased": Case("c: &a 'image: «nginx:1»'\nb: {c: *a}\n", rules=[within("c")]),
}


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with both halves of PyYAML."""
    if request.param == "python":
        monkeypatch.setattr(yaml, "__with_libyaml__", False)


def values(content: bytes) -> list[tuple[str, str]]:
    """Return tag and value of every scalar, as the search's parser reads them; aliased ones as often as they stand."""
    found: list[tuple[str, str]] = []

    def visit(node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode):
            found.append((node.tag, node.value))
            return
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                visit(part)

    for document in compose(content.decode("utf-8-sig")):
        visit(document.root)
    return found


class TextLoader(yaml.BaseLoader):
    """PyYAML's own loader of texts, with its own composer."""


def data(content: bytes, path: str) -> Any:
    """Return what another reader makes of a file: Python's json, or PyYAML."""
    text = content.decode("utf-8-sig")
    return json.loads(text) if path.endswith(".json") else list(yaml.load_all(text, TextLoader))


def intended(value: Any, replacements: dict[str, str]) -> Any:
    """Return data with the references replaced wherever they stand in a string."""
    if isinstance(value, dict):
        return {key: intended(item, replacements) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [intended(item, replacements) for item in value]
    for old, new in replacements.items():
        value = value.replace(old, new) if isinstance(value, str) else value
    return value


def test_the_corpus_is_large_enough() -> None:
    assert len({case.text for case in CASES.values()}) >= 60
    assert sum(case.other_reader for case in CASES.values()) >= 60


@pytest.mark.parametrize("name", CASES)
def test_only_references_change(name: str) -> None:
    case = CASES[name]
    marked = SPAN.findall(case.text)
    references = list(case.references or marked)
    content = case.encoded(SPAN.sub(r"\1", case.text))
    replacements = {reference: f"{NEW}{number}" for number, reference in enumerate(references)}

    file = search_images(content, case.path, case.rules)
    rendered = file.replaced(replacements)

    assert [image.value for image in file.images] == references
    new = iter(replacements.values())
    assert rendered == case.encoded(SPAN.sub(lambda _: next(new), case.text))
    if not case.path.endswith(".json"):
        assert values(rendered) == [tuple(entry) for entry in intended(values(content), replacements)]
    if case.other_reader:
        assert data(rendered, case.path) == intended(data(content, case.path), replacements)
    assert [image.value for image in search_images(rendered, case.path, case.rules).images] == [*replacements.values()]


@pytest.mark.parametrize("name", CASES)
def test_what_has_no_replacement_stays_as_it_is(name: str) -> None:
    case = CASES[name]
    content = case.encoded(SPAN.sub(r"\1", case.text))
    file = search_images(content, case.path, case.rules)
    assert file.replaced({}) == content
    assert file.replaced({"other": NEW}) == content
    assert file.rendered({image.value: image.value for image in file.images}) == content


@pytest.mark.parametrize("name", CASES)
def test_the_position_is_that_of_the_scalar(name: str) -> None:
    case = CASES[name]
    text = case.encoded(case.text).decode("utf-8-sig")
    content = case.encoded(SPAN.sub(r"\1", case.text))
    lines = re.split("(?<=\n)|(?<=\r)(?!\n)", content.decode("utf-8-sig"))
    marked = [match.start() - 2 * number for number, match in enumerate(SPAN.finditer(text))]

    images = search_images(content, case.path, case.rules).images

    for image, start in zip(images, marked, strict=True):
        found = sum(map(len, lines[: image.line - 1])) + image.column - 1
        assert image.path == case.path
        assert IN_FRONT.fullmatch(SPAN.sub(r"\1", text)[found:start])
