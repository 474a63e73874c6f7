"""Differences as text and Markdown: nothing in a bundle is carried out by a terminal or a page."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len

from bundlepipe.cli.printing.differences import text
from bundlepipe.cli.printing.differences.entries import image_line
from bundlepipe.cli.printing.differences.escapes import quoted_path, visible
from bundlepipe.cli.printing.differences.markdown import to_markdown
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.diffing.difference import (
    Difference,
    FileChange,
    FileVersion,
    ImageChange,
    LabelChange,
    LinkChange,
    LinkTarget,
    PairDifference,
    SettingChange,
    Transfer,
    Unread,
)
from bundlepipe.verbs.diffing.lines import unified
from tests.support.services import program

OLD, NEW = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
VERSION = FileVersion(0o644, 10, "a")
ANY = st.text(st.characters(codec="utf-8"), max_size=40)
HOSTILE = st.one_of(
    ANY,
    st.sampled_from(
        [
            "```\n</details>\n<script>alert(1)</script>\n````\n",
            "~~~~\n# x\n",
            "\x1b]0;owned\x07\x1b[2J",
            "[x](http://evil.example) ![](http://evil.example/x.png) @someone #1 :smile:",
            "</code></summary></details>\n\n# heading",
            "a|b\n|c|",
            "&lt;b&gt; &#x3c;i&#x3e; \\` `code`",
            "\u202egnp.exe\u2066 \u200b",
        ]
    ),
)
# In a comment: what begins a section, and code, in which markup would be shown as it is.
_ELEMENTS = re.compile(r"</?(details|summary|code)>")


def difference(
    *files: FileChange, images: list[ImageChange] | None = None, path: str = "", **more: object
) -> Difference:
    value = str(more.get("label", "v"))
    pair = PairDifference(
        path,
        OLD,
        NEW,
        files,
        images or [],
        labels=[LabelChange("l", None, value)],
        configuration=[SettingChange(value, [value], {value: value})],
        links=[LinkChange(value, LinkTarget("symlink", value), LinkTarget("hardlink", value))],
    )
    return Difference(
        str(more.get("name", "old")), "new", [pair], Transfer(1, 1, 1), [Unread("image", str(more.get("reason", "")))]
    )


def change(path: str, old: str, new: str) -> FileChange:
    hunks = unified(old.encode(), new.encode())
    return FileChange(path, VERSION, FileVersion(0o644, 10, "b"), "text", hunks.text, hunks.added, hunks.removed)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=300, deadline=None)
def test_no_content_gets_out_of_markdown(path: str, content: str, name: str, other: str) -> None:
    entry = ImageRef(Reference.parse(f"r.example/x@{NEW}"), {KBLD_ID: name or "x"})
    image = ImageChange("moved", name or "x", entry, entry)
    told = difference(
        change(path or "x", "", content + "x"), images=[image], path=other, name=name, label=content, reason=other
    )
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(to_markdown(told))
    fences = [token for token in tokens if token.type == "fence"]
    (expected,) = told.pairs[0].files
    lines = [visible(line.text) for line in text.file_patch(told.pairs[0], expected)]
    assert [token.content for token in fences] == ["".join(f"{line}\n" for line in lines)]
    inline = [child for token in tokens for child in token.children or []]
    assert {token.type for token in inline} <= {
        "text",
        "code_inline",
        "html_inline",
        "strong_open",
        "strong_close",
        "softbreak",
        "text_special",
    }
    html = [token.content for token in (*tokens, *inline) if token.type in ("html_block", "html_inline")]
    assert all("<" not in _ELEMENTS.sub("", piece) for piece in html)
    assert [token.type for token in tokens].count("tr_open") == 2
    assert all(character.isprintable() or character == "\n" or character == "\t" for character in to_markdown(told))


def test_nothing_in_markdown_is_linked_or_mentioned() -> None:
    """GitHub links addresses wherever they stand, and names of people and issues outside of code."""
    name = "@x www.evil.example #1 https://evil.example user@evil.example $e$ :smile: a|b `c`"
    entry = ImageRef(Reference.parse(f"r.example/x@{NEW}"), {KBLD_ID: name})
    told = difference(
        change(name, "", "x"),
        images=[ImageChange("moved", name, entry, entry)],
        path=name,
        name=name,
        label=name,
        reason=name,
    )
    shown = to_markdown(told)
    outside = re.sub(r"^(`{3,})diff\n.*?^\1$", "", shown, flags=re.MULTILINE | re.DOTALL)
    for mark in ("@x", "www.", "#1 ", "https:", "r@", "$e", ":smile:", "a|b", "`c"):
        assert mark not in outside, mark
    assert "evil" not in html.unescape(re.sub(r"<code>.*?</code>", "", outside))
    assert html.unescape(outside).count("@x www.evil.example #1 https://evil.example") > 10


def test_long_markdown_leaves_out_patches_first() -> None:
    files = [change(f"file{number}", "", "x" * 900 + "\n") for number in range(30)]
    whole, cut = to_markdown(difference(*files)), to_markdown(difference(*files), 10_000)
    assert "left out" not in whole and whole.count("```diff") == 30
    assert len(cut.encode()) < 10_100 and "file29" in cut
    assert 1 < cut.count("```diff") < 10
    assert f"{30 - cut.count('```diff')} parts are left out or shortened" in cut
    almost = to_markdown(difference(*files), len(whole.encode()) - 1)
    assert "\n1 part is left out or shortened" in almost
    shortest = to_markdown(difference(*files), 700)
    assert len(shortest.encode()) < 900 and "```diff" not in shortest


@given(HOSTILE, HOSTILE, HOSTILE)
@settings(max_examples=200, deadline=None)
def test_a_terminal_gets_no_control_characters(path: str, content: str, name: str) -> None:
    entry = ImageRef(Reference.parse(f"r.example/x@{NEW}"), {KBLD_ID: name or "x"})
    told = difference(
        change(path or "x", content, content + "y"),
        images=[ImageChange("added", name or "x", None, entry)],
        label=content,
    )
    for lines in (text.patch, text.summary, text.names):
        shown = text.rendered(lines(told), color=False, escapes=True)
        assert all(character.isprintable() or character in "\n\t" for character in shown)


def test_paths_are_quoted_as_git_does(tmp_path: Path) -> None:
    names = ["plain", "with space", "grüße", 'quo"te', "back\\slash", "tab\tnew\nline", "\x1b[31m", "\udce9", "\x7f"]
    git = program("git")
    subprocess.run([git, "init", "-q", tmp_path], check=True)
    for name in names:
        (tmp_path / name).touch()
    command = [git, "-c", "core.quotePath=false", "ls-files", "-o"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    theirs = listed.decode(errors="surrogateescape").splitlines()
    # git shows bytes that are not UTF-8 as they are; a terminal should not get them.
    assert sorted(map(quoted_path, names)) == sorted('"\\351"' if name == "\udce9" else name for name in theirs)


def test_names_of_images_with_tags_and_what_they_were() -> None:
    def entry(name: str, digest: Digest, origins: str = "") -> ImageRef:
        annotations = {KBLD_ID: name, **({"kbld.carvel.dev/origins": origins} if origins else {})}
        return ImageRef(Reference.parse(f"r.example/x@{digest}"), annotations)

    def line(old: ImageRef, new: ImageRef) -> str:
        return image_line(ImageChange("moved", new.annotations[KBLD_ID], old, new))

    digests = "sha256:111111111111 -> sha256:222222222222"
    assert (
        line(entry("nginx:1.25", OLD), entry("nginx:1.26", NEW))
        == f"image moved: nginx:1.26 (was nginx:1.25) {digests}"
    )
    assert line(entry("nginx:1.25", OLD), entry("nginx:1.25", NEW)) == f"image moved: nginx:1.25 {digests}"
    origins = "- resolved:\n    tag: '{}'\n    url: r.example/x\n"
    moved = entry("web", OLD, origins.format("1.0")), entry("web", NEW, origins.format("1.1"))
    assert line(*moved) == f"image moved: web (1.0 -> 1.1) {digests}"
    assert line(entry("web", OLD, "- [: x"), entry("web", NEW, "{}")) == f"image moved: web {digests}"


def test_columns_are_straight_whatever_characters_names_have() -> None:
    names = ["plain", "設定.yml", "gru\u0308n", "設定設定"]
    lines = [line.text for line in text.summary(difference(*(change(name, "", "x\n") for name in names)))]
    rows = [line for line in lines if " | " in line]
    assert [cell_len(row.partition("|")[0]) for row in rows] == [10] * 4


def test_a_tab_ends_only_paths_with_spaces() -> None:
    """patch takes what follows a space for a time; elsewhere git writes no tab."""
    lines = [
        line.text
        for name in ("plain", "with space")
        for line in text.file_patch(difference().pairs[0], change(name, "", "x\n"))
    ]
    assert [line for line in lines if line.startswith(("---", "+++"))] == [
        "--- a/plain",
        "+++ b/plain",
        "--- a/with space\t",
        "+++ b/with space\t",
    ]
