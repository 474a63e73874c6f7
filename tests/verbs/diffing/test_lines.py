"""Unified diffs: patch makes the new text of the old one, whatever is in them."""

from __future__ import annotations

import random
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundlepipe.verbs.diffing import lines, matching
from bundlepipe.verbs.diffing.lines import Hunks, unified
from bundlepipe.verbs.diffing.matching import MOST_WORK as MOST
from tests.support.services import program

# Few distinct lines, so that texts have many in common; a carriage return and other ends of lines are content.
_LINE = st.sampled_from(
    [b"a", b"b", b"c", b"", b" ", b"-x", b"+x", b"@@ -1 +1 @@", b"\\ No newline", b"d\r", b"e\x0cf"]
)
_TEXT = st.one_of(
    st.tuples(st.lists(_LINE, max_size=30), st.booleans()).map(
        lambda drawn: b"\n".join(drawn[0]) + (b"\n" if drawn[0] and drawn[1] else b"")
    ),
    st.binary(max_size=200).map(lambda content: content.replace(b"\0", b"\n")),
)


def patched(old: bytes, hunks: Hunks) -> bytes:
    """Return what the program patch makes of a text."""
    with tempfile.TemporaryDirectory() as directory:
        path, result = Path(directory) / "text", Path(directory) / "result"
        path.write_bytes(old)
        patch = f"--- text\n+++ text\n{hunks.text}".encode(errors="surrogateescape")
        command = [program("patch"), "-s", "--binary", "-o", str(result), str(path)]
        done = subprocess.run(command, input=patch, capture_output=True, check=False)
        assert done.returncode == 0, (done, hunks)
        return result.read_bytes()


def counted(hunks: Hunks) -> tuple[int, int]:
    """Count the lines that hunks add and remove."""
    marks = [line[:1] for line in hunks.text.split("\n")]
    return marks.count("+"), marks.count("-")


@given(_TEXT, _TEXT, st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_patch_makes_the_new_text(old: bytes, new: bytes, context: int) -> None:
    hunks = unified(old, new, context)
    assert bool(hunks.text) == (old != new)
    assert (hunks.added, hunks.removed) == counted(hunks)
    if old != new:
        assert patched(old, hunks) == new


@pytest.mark.parametrize(("work", "edits"), [(0, 3000), (20, 3000), (MOST, 3), (MOST, 1)])
def test_bounds_on_the_work_make_it_longer_but_not_wrong(
    work: int, edits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_WORK", work)
    monkeypatch.setattr(matching, "_MOST_EDITS", edits)
    generator = random.Random(2)
    for _ in range(20):
        old, new = (b"".join(generator.choices((b"a\n", b"b\n", b"c\n"), k=30)) for _ in range(2))
        assert patched(old, unified(old, new)) == new


@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), max_size=12))
def test_edits_are_the_fewest(old: list[int], new: list[int]) -> None:
    found = matching.shortest_edits(old, new, MOST)
    assert found.end == (len(old), len(new))
    common = [line for place, _, length in found.matches for line in old[place : place + length]]
    assert common == [line for _, place, length in found.matches for line in new[place : place + length]]
    longest = [[0] * (len(new) + 1)]
    for line in old:
        row = [0]
        for place, other in enumerate(new):
            row.append(longest[-1][place] + 1 if line == other else max(row[-1], longest[-1][place + 1]))
        longest.append(row)
    assert len(common) == longest[-1][-1]


def test_hunks_are_those_of_git(tmp_path: Path) -> None:
    """Where a change is small there is one good diff; where much differs, tools differ."""
    generator = random.Random(15)
    text = [f"line {number}\n" for number in range(400)]
    for round_ in range(30):
        changed = list(text)
        for _ in range(generator.randint(1, 6)):
            place = generator.randrange(len(changed))
            match generator.randrange(3):
                case 0:
                    changed[place] = f"changed {generator.random()}\n"
                case 1:
                    del changed[place]
                case _:
                    changed.insert(place, f"new {generator.random()}\n")
        old, new = tmp_path / f"old{round_}", tmp_path / f"new{round_}"
        old.write_text("".join(text))
        new.write_text("".join(changed).removesuffix("\n" if round_ % 2 else ""))
        command = [
            program("git"),
            "-c",
            "core.attributesFile=/dev/null",
            "diff",
            "--no-index",
            "--",
            str(old),
            str(new),
        ]
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        # git names a function, or what it takes for one, after the ranges.
        theirs = [line.partition(" @@ ")[0] + " @@" if line.startswith("@@") else line for line in printed.split("\n")]
        ours = unified(old.read_bytes(), new.read_bytes()).text.split("\n")
        assert ours == [line.replace(" @@ @@", " @@") for line in theirs[4:]]


def test_texts_of_many_equal_lines_take_bounded_work() -> None:
    generator = random.Random(1)
    numbers = [[generator.randrange(3) for _ in range(20_000)] for _ in range(2)]
    found = matching.shortest_edits(numbers[0], numbers[1], 100_000)
    assert found.work < 200_000 and found.matches and found.end < (20_000, 20_000)


def test_a_few_changes_among_many_equal_lines() -> None:
    document = b"---\nkind: Pod\nspec:\n  containers:\n  - image: a\n"
    old = [document] * 2000
    new = list(old)
    for place in range(100, 2000, 100):
        new[place] = document.replace(b"image: a", b"image: b")
    hunks = unified(b"".join(old), b"".join(new))
    assert (hunks.added, hunks.removed) == (19, 19)
    assert patched(b"".join(old), hunks) == b"".join(new)


def test_ranges_and_the_missing_newline() -> None:
    assert unified(b"", b"a\n").text == "@@ -0,0 +1 @@\n+a\n"
    assert unified(b"a\n", b"").text == "@@ -1 +0,0 @@\n-a\n"
    assert unified(b"a", b"a\n").text == "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
    assert unified(b"a\n", b"a").text == "@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n"
    far = unified(
        b"".join(b"%d\n" % number for number in range(20)), b"".join(b"%d\n" % (number % 19) for number in range(20))
    )
    assert far == Hunks("@@ -17,4 +17,4 @@\n 16\n 17\n 18\n-19\n+0\n", 1, 1)
