"""Outside text in Markdown stays text, in a line and in a cell of a table."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bundlepipe.documents.markdown import as_code, html_code
from bundlepipe.errors import printable

ANY = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.text(st.sampled_from("`|\\ a<&*_[]~\n@"), min_size=1, max_size=12),
)
_PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.mark.parametrize("function", [as_code, html_code])
@given(ANY)
@settings(max_examples=300, deadline=None)
def test_a_cell_has_the_text_and_nothing_else(function: object, text: str) -> None:
    assert callable(function)
    tokens = _PARSER.parse(f"| a | b |\n|---|---|\n| {function(text)} | x |\n")
    cells = [token.children or [] for token in tokens if token.type == "inline"]
    assert [len(cell) for cell in cells[:2]] == [1, 1] and len(cells) == 4
    assert cells[3][0].content == "x"
    shown = [token for token in cells[2] if token.type != "html_inline"]
    assert {token.type for token in shown} <= {"text", "text_special", "code_inline"}
    assert "".join(token.content for token in shown).strip() == printable(text).strip()
    assert [token.content for token in cells[2] if token.type == "html_inline"] in ([], ["<code>", "</code>"])


def test_forms() -> None:
    assert as_code("push_bundle:app") == "`push_bundle:app`"
    assert as_code("@x www.e.example #1 https://e.example") == "`@x www.e.example #1 https://e.example`"
    assert as_code("") == ""
    for text in (" a", "a ", "a`b", "a|b", "a\\b", "a\x1b"):
        assert as_code(text) == html_code(text) and "`" not in as_code(text) and "|" not in as_code(text)
    assert html_code("@x www.e #1 <b> $") == "<code>&#64;x www&#46;e &#35;1 &#60;b&#62; &#36;</code>"
