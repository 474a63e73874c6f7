"""Several YAML texts as one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import yaml

from bundlepipe.documents.yaml.stream import joined


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], b""),
        ([b"a: 1"], b"a: 1"),
        ([b"a: 1", b"b: 2"], b"a: 1\n---\nb: 2"),
        ([b"a: 1\r\n", b"---\r\nb: 2\r\n"], b"a: 1\r\n---\r\nb: 2\r\n"),
        ([b"a: 1\n", b"--- # b\nb: 2\n"], b"a: 1\n--- # b\nb: 2\n"),
        ([b"a: 1\n", b"---b: 2\n"], b"a: 1\n---\n---b: 2\n"),
        ([b"\xef\xbb\xbfa: 1\n", b"\xef\xbb\xbfb: 2\n"], b"\xef\xbb\xbfa: 1\n---\nb: 2\n"),
        ([b"a: 1\n", b"# b\n\n---\nb: 2\n"], b"a: 1\n...\n# b\n\n---\nb: 2\n"),
        ([b"a: 1\n...\n", b"# b\n---\nb: 2\n"], b"a: 1\n...\n# b\n---\nb: 2\n"),
        ([b"a: 1\n... # end\n# more\n", b"%YAML 1.1\n---\nb: 2\n"], b"a: 1\n... # end\n# more\n%YAML 1.1\n---\nb: 2\n"),
        ([b"# only a comment\n", b"%YAML 1.1\n---\na: 1\n"], b"# only a comment\n%YAML 1.1\n---\na: 1\n"),
        ([b'{"a": 1}', b"[2]\n"], b'{"a": 1}\n---\n[2]\n'),
        ([b"a: 1\n", b" \n", b"", b"b: 2\n"], b"a: 1\n---\nb: 2\n"),
        ([b"a: 1", b"# c\n", b"\xef\xbb\xbf"], b"a: 1\n# c\n"),
    ],
)
def test_a_mark_divides_where_one_is_needed(texts: Sequence[bytes], expected: bytes) -> None:
    assert joined(texts) == expected


@pytest.mark.parametrize("end", [b"a: |+\n  x\n", b"a: |\n  x\n", b"a: >\n  x\n", b"a: x\n  y\n", b"--- |\n x\n"])
@pytest.mark.parametrize("start", [b"\n---\nb: 1\n", b"  # about b\n---\nb: 1\n", b"# b\nb: 1\n", b"b: 1\n"])
def test_no_document_takes_in_what_begins_the_next(end: bytes, start: bytes) -> None:
    first, second = yaml.safe_load_all(joined([end, start]))
    assert (first, second) == (yaml.safe_load(end), {"b": 1})


def test_many_lines_of_comments_take_no_time() -> None:
    licence = b"# Licensed to whom it may concern\r\n" * 20_000
    assert joined([b"a: 1\n", licence + b"b: 2\r\n"]) == b"a: 1\n---\n" + licence + b"b: 2\r\n"
