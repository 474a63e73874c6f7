"""The lock file: its form, what is wrong with one, and how two become one."""

from __future__ import annotations

import random

import pytest

from bundlepipe.documents.lock_file.content import LockFile, LockKey
from bundlepipe.documents.lock_file.merge import merge, parse_base
from bundlepipe.errors import DocumentError
from bundlepipe.oci.digest import Digest

HEAD = "apiVersion: bundlepipe.dev/v1alpha1\nkind: Lock\n"
A, B, C = (Digest.of(text) for text in (b"a", b"b", b"c"))
NGINX = LockKey("index.docker.io/library/nginx:1.27")
ARM = LockKey("registry.example/app:1", platform="linux/arm64")
CHOSEN = LockKey("registry.example/proxy", tags=">=1.0.0 <2.0.0", platform="os: linux, architecture: arm64")


def problems(content: str) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        LockFile.parse(content.encode(), "x.lock")
    return list(caught.value.problems)


def test_form() -> None:
    text = LockFile({CHOSEN: B, ARM: A, NGINX: A}).to_bytes().decode()
    assert text.partition("images:\n")[2] == (
        f"\n- reference: index.docker.io/library/nginx:1.27\n  digest: {A}\n"
        f"\n- reference: registry.example/app:1\n  platform: linux/arm64\n  digest: {A}\n"
        f"\n- reference: registry.example/proxy\n  tags: '>=1.0.0 <2.0.0'\n"
        f"  platform: 'os: linux, architecture: arm64'\n  digest: {B}\n"
        "\n...\n"
    )


@pytest.mark.parametrize("entries", [{}, {NGINX: A}, {NGINX: A, ARM: B, CHOSEN: C}])
def test_what_is_written_is_read_again(entries: dict[LockKey, Digest]) -> None:
    written = LockFile(entries).to_bytes()
    assert LockFile.parse(written, "x").entries == entries
    assert LockFile.parse(written, "x").to_bytes() == written


def test_empty_file_and_other_spellings() -> None:
    assert LockFile.parse(b"", "x") == LockFile.parse(HEAD.encode(), "x") == LockFile()
    entry = f"- {{reference: 'nginx:1.27', digest: '{A}'}}\n"
    assert LockFile.parse(f"{HEAD}images:\n{entry}{entry}".encode(), "x").entries == {NGINX: A}


def test_faults_are_told_with_their_places() -> None:
    entries = (
        f"images:\n- reference: Not one\n  digest: {A}\n- reference: nginx:1.27\n  digest: {A}\n"
        f"- reference: docker.io/nginx:1.27\n  digest: {B}\n- reference: x\n  digest: sha256:1\n- digest: {A}\n"
    )
    told = problems(HEAD + entries)
    assert [line.split(": ")[0] for line in told] == ["x.lock:4:14", "x.lock:8:14", "x.lock:11:11", "x.lock:12:3"]
    assert "another entry has another digest for index.docker.io/library/nginx:1.27" in told[1]
    assert "kind" in problems("apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n")[0]
    assert problems("# notes\n- mine\n")


@pytest.mark.parametrize("base", ["", f"||||||| parent of 12ab (change)\n- reference: x:1\n  digest: {C}\n"])
def test_conflict_markers_are_called_so(base: str) -> None:
    conflict = (
        f"<<<<<<< HEAD\n- reference: x:1\n  digest: {A}\n{base}=======\n- reference: x:1\n  digest: {B}\n>>>>>>> main\n"
    )
    text = LockFile({NGINX: A}).to_bytes().decode().replace("\n...", f"\n{conflict}\n...")
    line = text.splitlines().index("<<<<<<< HEAD") + 1
    (told,) = problems(text)
    assert told.startswith(f"x.lock:{line}:1: a merge conflict that git left here ('<<<<<<< HEAD'): keep ")
    assert "run doit lock_bundle" in told and "bundlepipe lock merge" in told


def test_one_mark_that_was_left_is_told() -> None:
    text = LockFile({NGINX: A}).to_bytes().decode().replace("\n...", "\n>>>>>>> main\n...")
    assert len(problems(text)) == 1 and "'>>>>>>> main'" in problems(text)[0]


def test_merge_takes_over_what_one_side_did() -> None:
    base = LockFile({NGINX: A, ARM: A, LockKey("x:1"): A, LockKey("x:2"): A, LockKey("x:3"): A})
    ours = LockFile({NGINX: B, ARM: A, LockKey("x:2"): B, LockKey("x:3"): C, LockKey("x:4"): A, LockKey("x:5"): B})
    theirs = LockFile({NGINX: A, ARM: B, LockKey("x:1"): B, LockKey("x:3"): C, LockKey("x:5"): B, CHOSEN: C})
    merged = merge(base, ours, theirs)
    assert not merged.conflicts
    assert merged.entries == {
        NGINX: B,
        ARM: B,
        CHOSEN: C,
        LockKey("x:1"): B,
        LockKey("x:2"): B,
        LockKey("x:3"): C,
        LockKey("x:4"): A,
        LockKey("x:5"): B,
    }
    assert merged.to_bytes() == LockFile(merged.entries).to_bytes()


def test_what_one_side_removed_goes() -> None:
    base = LockFile({NGINX: A, ARM: A})
    assert merge(base, LockFile({NGINX: A}), base).entries == {NGINX: A}
    assert merge(base, base, LockFile({NGINX: A})).entries == {NGINX: A}


def test_a_conflict_is_marked_around_its_entry_alone() -> None:
    base = LockFile({NGINX: A, ARM: A, CHOSEN: A})
    merged = merge(base, LockFile({NGINX: A, ARM: B, CHOSEN: A}), LockFile({NGINX: A, ARM: C, CHOSEN: A}))
    assert merged.conflicts == {ARM: (B, C)}
    text = merged.to_bytes().decode()
    (told,) = problems(text)
    assert f"x.lock:{text.splitlines().index('<<<<<<< ours') + 1}:1: a merge conflict" in told
    ours = text.replace("<<<<<<< ours\n", "").split("=======\n")[0] + text.split(">>>>>>> theirs\n")[1]
    assert LockFile.parse(ours.encode(), "x").to_bytes() == LockFile({NGINX: A, ARM: B, CHOSEN: A}).to_bytes()
    assert text.count("- reference: registry.example/app:1\n") == 2 and text.count("- reference:") == 4


def test_merges_do_not_depend_on_the_side() -> None:
    random.seed(11)
    keys = [LockKey(f"x:{number}") for number in range(6)]

    def some() -> LockFile:
        return LockFile({key: random.choice([A, B, C]) for key in keys if random.random() < 0.7})

    for _ in range(500):
        base, ours, theirs = some(), some(), some()
        one, other = merge(base, ours, theirs), merge(base, theirs, ours)
        assert one.entries == other.entries
        assert one.conflicts == {key: (our, their) for key, (their, our) in other.conflicts.items()}
        assert merge(base, ours, base).entries == ours.entries


def test_a_base_is_what_is_settled_in_it() -> None:
    text = LockFile({NGINX: A, ARM: A}).to_bytes().decode()
    inner = f"<<<<<<< x\n- reference: x:1\n  digest: {A}\n=======\n>>>>>>> y\n"
    conflict = f"<<<<<<< ours\n{inner}=======\n- reference: x:1\n  digest: {B}\n>>>>>>> theirs\n"
    assert parse_base(text.replace("\n...", f"\n{conflict}\n...").encode()).entries == {NGINX: A, ARM: A}
    for faulty in (b"notes\n", b"\xff", text.replace("\n...", "\n>>>>>>> x\n...").encode()):
        assert parse_base(faulty) == LockFile()
