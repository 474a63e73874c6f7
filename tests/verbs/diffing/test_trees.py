"""Random trees: git makes the new one of the old one by the patch, and sees the same changes."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bundlepipe.cli.printing.differences import text
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.diffing.diff import diff
from bundlepipe.verbs.diffing.sides import Directory
from tests.support.services import program

_NAMES = [
    "a",
    "b.yml",
    "dir/c",
    "dir/deep/d",
    "with space",
    "grüße",
    'quo"te',
    "back\\slash",
    "tab\there",
    "new\nline",
    "-x",
]
_CONTENTS = st.one_of(
    st.sampled_from([b"", b"\n", b"one\ntwo\nthree\n", b"one\ntwo\nthree", b"one\r\ntwo\r\n", b"caf\xe9\n"]),
    st.lists(st.sampled_from([b"a", b"b", b"c", b"--- a/x", b"+++ b/x", b"@@ -1 +1 @@"]), max_size=12).map(b"\n".join),
)
_FILES = st.tuples(_CONTENTS, st.booleans())
_TREES = st.dictionaries(st.sampled_from(_NAMES), _FILES, min_size=1)


def write(directory: Path, tree: dict[str, tuple[bytes, bool]]) -> None:
    for name, (content, is_executable) in tree.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if is_executable else 0o644)


def read(directory: Path) -> dict[str, tuple[bytes, bool]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): (path.read_bytes(), bool(path.stat().st_mode & 0o100)) for path in files}


@given(_TREES, _TREES)
@settings(max_examples=60, deadline=None)
def test_git_makes_the_new_tree_by_the_patch(
    old: dict[str, tuple[bytes, bool]], new: dict[str, tuple[bytes, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        before, after = Path(temporary) / "old", Path(temporary) / "new"
        for directory, tree in ((before, old), (after, new)):
            directory.mkdir()
            write(directory, tree)
        difference = diff(Directory(str(before)), Directory(str(after)), Stores())
        changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        assert {change.path for change in difference.pairs[0].files if change.kind != "directory"} == changed
        assert difference.is_empty == (old == new)
        patch = text.rendered(text.patch(difference), color=False, escapes=False)
        if changed:
            command = [program("git"), "apply", "-p1", "--whitespace=nowarn", "--unsafe-paths"]
            done = subprocess.run(
                command, cwd=before, input=patch.encode(errors="surrogateescape"), capture_output=True, check=False
            )
            assert done.returncode == 0, (done.stderr, patch)
        assert read(before) == new
