"""Temporary git repositories of trees that are compared: a dodo.py that asks git gets an answer for its tree.

Such a repository borrows the objects of the user's own and has its refs, and says of its tree what git would say of
the commit that is checked out if that had just these files: they are all tracked, and none is changed. So `git
describe --dirty` gives the same on both sides, and `git ls-files` the files of each. The user's own is only read.
"""

from __future__ import annotations

import os
import shutil

from bundlepipe.concurrency.processes import run_program
from bundlepipe.errors import ProgramError

# Variables of git that name another repository than that of the current directory.
ELSEWHERE = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE"),
)
# After the settings of the user's repository: what is true of a temporary one.
_SETTINGS = """
[core]
\tbare = false
\tfsmonitor = false
\tuntrackedCache = false
\tsplitIndex = false
\tsparseCheckout = false
\tuseReplaceRefs = true
[gc]
\tauto = 0
[maintenance]
\tauto = false
"""
# Settings by which git would use other directories, or another form of refs.
_UNFIT = ("core.worktree", "extensions.worktreeconfig", "extensions.refstorage")


def begin_repository(root: str, directory: str) -> None:
    """Make a repository with the refs and objects of the one at `root`, and without files, of a new directory.

    Raises BundlepipeError.
    """
    own = os.path.join(directory, ".git")
    for name in ("objects/info", "refs", "info"):
        os.makedirs(os.path.join(own, name))
    shared = os.path.join(root, _line(root, "rev-parse", "--git-common-dir"))
    for name in ("config", "shallow", "info/attributes", "info/exclude"):
        if os.path.isfile(os.path.join(shared, name)):
            shutil.copyfile(os.path.join(shared, name), os.path.join(own, name))
    with open(os.path.join(own, "config"), "a", encoding="utf-8") as file:
        file.write(_SETTINGS)
    for setting in _UNFIT:
        try:
            git(root, "config", "--file", os.path.join(own, "config"), "--unset-all", setting)
        except ProgramError as error:
            if error.status != _NOT_SET:
                raise
    objects = os.path.join(root, _line(root, "rev-parse", "--git-path", "objects"))
    _write(own, "objects/info/alternates", _as_c(os.path.abspath(objects)))
    _copy_refs(root, own)


# The exit status of git config for a setting that is not there.
_NOT_SET = 5


def _copy_refs(root: str, own: str) -> None:
    listed = git_text(root, "for-each-ref", "--format=%(objectname) %(refname) %(symref)").split("\n")
    refs = [line.rstrip().split(" ") for line in listed if line]
    packed = "".join(f"{content} {name}\n" for content, name, *target in refs if not target)
    _write(own, "packed-refs", f"# pack-refs with: sorted \n{packed}")
    for _, name, target in (ref for ref in refs if len(ref) > len(("content", "name"))):
        _write(own, name, f"ref: {target}\n")
    try:
        _write(own, "HEAD", f"ref: {_line(root, 'symbolic-ref', '--quiet', 'HEAD')}\n")
    except ProgramError:
        _write(own, "HEAD", f"{_line(root, 'rev-parse', 'HEAD')}\n")


def settle_repository(root: str, directory: str) -> None:
    """Let HEAD have the files of the index. Raises BundlepipeError."""
    try:
        head = _line(root, "rev-parse", "--verify", "--quiet", "HEAD")
    except ProgramError:
        return  # the branch has no commit yet
    tree = _line(directory, "write-tree", "--missing-ok")
    first, rest = git(root, "cat-file", "commit", head).split(b"\n", 1)
    if first != f"tree {tree}".encode():
        commit = f"tree {tree}\n".encode() + rest
        made = git(directory, "hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=commit)
        _write(os.path.join(directory, ".git"), f"refs/replace/{head}", made.decode())


def git(directory: str, *arguments: str, stdin: bytes | None = None) -> bytes:
    """Return what git prints for the repository of a directory. Raises ProgramError, ProgramMissing."""
    return run_program(
        # The user's hooks are for the user's own commands, and line ends are not the matter here.
        ("git", "-c", f"core.hooksPath={os.devnull}", "-c", "core.safecrlf=false", *arguments),
        lambda line: None,
        directory=directory,
        # Messages that are recognised are those in English.
        environment={"LC_ALL": "C"},
        without=ELSEWHERE,
        stdin=stdin,
        captures_output=True,
        shown=f"git {arguments[0]}",
    )


def git_text(directory: str, *arguments: str) -> str:
    """Return what git prints, as text: paths that are not UTF-8 as Python has them."""
    return os.fsdecode(git(directory, *arguments))


def _line(directory: str, *arguments: str) -> str:
    return git_text(directory, *arguments).removesuffix("\n")


def _write(own: str, name: str, text: str) -> None:
    path = os.path.join(own, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(os.fsencode(text))


def _as_c(path: str) -> str:
    """Return a path as git reads it in its files."""
    if "\n" not in path and not path.startswith('"'):
        return f"{path}\n"
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"\n'
