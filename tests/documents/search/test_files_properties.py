"""Documents in any style: what is not replaced stays, and what is replaced reads as intended."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.search.files import search_images
from bundlepipe.documents.search.rules import DEFAULT_RULE, KeyMatcher, SearchRule, Within
from bundlepipe.documents.yaml.reader import parse
from bundlepipe.errors import DocumentError

RULES = [
    SearchRule(key=KeyMatcher(name="yaml"), strategy=Within("yaml", (DEFAULT_RULE,))),
    SearchRule(key=KeyMatcher(name="json"), strategy=Within("json", (DEFAULT_RULE,))),
]
REFERENCES = ["nginx", "httpd:2.4", "r.io:5000/a/b@sha256:" + "0" * 64, "caddy_x:1-a.b"]
REPLACEMENTS = {reference: f"index.docker.io/{number}@sha256:{'f' * 64}" for number, reference in enumerate(REFERENCES)}

references = st.sampled_from(REFERENCES)
comments = st.sampled_from(["", "", " # c", "  # image: nginx 😀", "   # é"])
line_breaks = st.sampled_from(["\n", "\r\n"])


def quoted(text: str, style: str) -> str:
    if style == "'":
        return "'" + text.replace("'", "''").replace("\n", "\n\n  ") + "'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("é", "\\xe9")
    return f'"{escaped}"'


@st.composite
def scalars(draw: Any, text: str, indent: str) -> str:
    """A text behind its key, in any style that can hold it."""
    anchor = draw(st.sampled_from(["", "", "!!str ", "! "]))
    style = draw(st.sampled_from(["plain", "'", '"', "|-", ">-"]))
    if style in ("|-", ">-"):
        lines = text.split("\n")
        joined = (f"\n\n{indent}   " if style == ">-" else f"\n{indent}   ").join(lines)
        return f"{anchor}{style}\n{indent}   {joined}"
    if style == "plain" and text in REFERENCES:
        return f"{anchor}{text}{draw(comments)}"
    return f"{anchor}{quoted(text, style if style != 'plain' else chr(34))}{draw(comments)}"


@st.composite
def embedded(draw: Any) -> tuple[str, str]:
    """A key whose value is a text, and a text for it that holds a reference."""
    reference = draw(references)
    if draw(st.booleans()):
        return "json", draw(st.sampled_from(['{"image": "%s"}', '{"é": [1, {"image":"%s"}], "b": "\'"}'])) % reference
    return "yaml", draw(
        st.sampled_from(["image: %s", "image: '%s' # c", "a:\n- {image: %s}", 'a: "é"\nimage: "%s"'])
    ) % reference


@st.composite
def mappings(draw: Any, depth: int = 0) -> list[str]:
    """Lines of a mapping in block style."""
    indent = "  " * depth
    lines: list[str] = []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["image", "other", "text", "map", "list", "flow", "comment"]))
        key = f"k{number}😀" if number % 2 else f"k{number}"
        if kind == "image":
            lines += [f"{indent}{key}:", f"{indent}  image: {draw(scalars(draw(references), indent + '  '))}"]
        elif kind == "other":
            lines.append(f"{indent}{key}: {draw(scalars(draw(references), indent))}")
        elif kind == "text":
            name, text = draw(embedded())
            lines += [f"{indent}{key}:", f"{indent}  {name}: {draw(scalars(text, indent + '  '))}"]
        elif kind == "flow":
            lines.append(
                f"{indent}{key}: {{a: [1, {{image: {draw(references)}}}], image: '{draw(references)}'}}{draw(comments)}"
            )
        elif kind == "comment":
            lines += [f"{indent}# image: nginx", "", f"{indent}{key}: 1"]
        elif depth < 3:
            nested = draw(mappings(depth + 1))
            if kind == "list":
                first = next(n for n, line in enumerate(nested) if line.strip() and not line.strip().startswith("#"))
                nested[first] = indent + "- " + nested[first].lstrip()
            lines += [f"{indent}{key}:", *nested]
    return lines or [f"{indent}k: 1"]


@st.composite
def files(draw: Any) -> bytes:
    """A file of several documents, with line ends of one or both kinds."""
    documents = ["\n".join(draw(mappings())) for _ in range(draw(st.integers(1, 3)))]
    text = draw(st.sampled_from(["", "---\n", "# c\n--- # d\n"])) + "\n---\n".join(documents)
    text += draw(st.sampled_from(["", "\n", "\n\n", "\n...\n", "\n# end"]))
    mixed = "".join(line + (draw(line_breaks) if draw(st.booleans()) else "\n") for line in text.split("\n"))
    mark: bytes = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return mark + mixed[: -1 if not mixed.endswith("\r\n") else -2].encode()


def intended(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: intended(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [intended(item) for item in value]
    if key in ("yaml", "json"):
        for old, new in REPLACEMENTS.items():
            value = value.replace(old, new)
        return value
    return REPLACEMENTS[value] if key == "image" else value


def data(content: bytes) -> list[Any]:
    return [document.data for document in parse(content, "f.yml")]


@given(files())
def test_replaced_documents_read_as_intended(content: bytes) -> None:
    rendered = search_images(content, "f.yml", RULES).replaced(REPLACEMENTS)
    assert data(rendered) == intended(data(content))


@given(files())
def test_without_a_matching_reference_a_file_stays_as_it_is(content: bytes) -> None:
    file = search_images(content, "f.yml", RULES)
    assert file.replaced({"other": "r.io/other"}) == content
    assert file.rendered({}) == content


@given(files())
def test_replacing_back_restores_every_byte(content: bytes) -> None:
    rendered = search_images(content, "f.yml", RULES).replaced(REPLACEMENTS)
    back = {new: old for old, new in REPLACEMENTS.items()}
    assert search_images(rendered, "f.yml", RULES).replaced(back) == content


PARTS = ["image", ": ", "nginx", "\n", "  ", "- ", "? ", "&a ", "*a", "!!str ", "'", '"', "{", "}", "[", "]", ", "]
MORE_PARTS = [
    "|\n",
    ">-\n",
    " # c",
    "---\n",
    "...\n",
    "<<: ",
    "yaml: ",
    "\r\n",
    "\r",
    "\\n",
    "\\",
    "\t",
    "é",
    "😀",
    "\u2028",
    "\x85",
]


@given(st.lists(st.sampled_from(PARTS + MORE_PARTS), max_size=25).map("".join))
def test_no_text_is_taken_for_something_else(text: str) -> None:
    """Whatever is read at all has only faults of its own, and is changed in nothing but its references."""
    content = f"image: nginx\nb: {text}".encode()
    try:
        file = search_images(content, "f.yml", RULES)
    except DocumentError:
        return
    assert file.replaced({"other": "r.io/other"}) == content
    new = {image.value: f"r.io/n{number}" for number, image in enumerate(file.images)}
    again = search_images(file.replaced(new), "f.yml", RULES)
    assert [image.value for image in again.images] == [new[image.value] for image in file.images]
