"""Outputs take the place of what is there only if nothing is lost by it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundlepipe.errors import OutputError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import OCI_MANIFEST, Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.archive import manifest as archive_manifest
from bundlepipe.stores.archive.manifest import ArchivedManifest
from bundlepipe.verbs.outputs.git_content import find_unkept
from bundlepipe.verbs.outputs.kinds import BUNDLE_LOCK, COPIED_TAR, IMAGES_LOCK, KBLD_LOCK, PARTIAL_TAR, tar_outputs
from bundlepipe.verbs.outputs.replacing import DirectoryOutput, FileOutput, Kind, ReplacePolicy
from tests.support.git import commit_all, git

ADVICE = "this task did not make it, and git does not have"
CLAIM = ReplacePolicy(unknown="this task did not make it", advice="remove it")
MADE = ReplacePolicy(unknown="", advice="", made=lambda: True)
FORCED = ReplacePolicy(unknown="", advice="", forced=True)
DIGEST = f"registry.example/shop@sha256:{'0' * 64}"
BUNDLE = f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: BundleLock\nbundle: {{image: '{DIGEST}'}}\n"
IMAGES = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
CONFIG = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nminimumRequiredVersion: 0.45.0\n"
RESOLVED = f"overrides:\n- {{image: shop, newImage: '{DIGEST}', preresolved: true}}\n"
RULES = "searchRules:\n- {keyMatcher: {name: picture}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def write(path: Path, content: str = "mine\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


# What git has


def edit(here: Path) -> None:
    (here / "src/a.txt").write_text("edited\n")


def edit_behind_gits_back(here: Path) -> None:
    git(here, "update-index", "--assume-unchanged", "src/a.txt")
    edit(here)


def add_untracked(here: Path) -> None:
    write(here / "src/below/new.txt")


def add_ignored(here: Path) -> None:
    write(here / "src/ignored.log")


def stage(here: Path) -> None:
    edit(here)
    git(here, "add", "src/a.txt")


def add_intent(here: Path) -> None:
    write(here / "src/new.txt", "")
    git(here, "add", "--intent-to-add", "src/new.txt")


def add_link(here: Path) -> None:
    (here / "src/link").symlink_to("a.txt")


def add_pipe(here: Path) -> None:
    os.mkfifo(here / "src/pipe")


def turn_a_link(here: Path) -> None:
    (here / "src/tracked-link").unlink()
    (here / "src/tracked-link").symlink_to("elsewhere")


def filter_content(here: Path) -> None:
    write(here / "src/dos.bat", "echo\r\n")
    write(here / ".gitattributes", "*.bat text\n")
    commit_all(here)


@pytest.fixture
def committed(here: Path) -> Path:
    """A repository whose directory `src` is committed as it is."""
    write(here / "src/a.txt")
    write(here / "src/below/b.txt")
    write(here / ".gitignore", "*.log\n")
    (here / "src/tracked-link").symlink_to("below/b.txt")
    (here / "src/empty").mkdir()
    commit_all(here)
    return here


def test_git_has_what_is_committed(committed: Path) -> None:
    assert find_unkept("src") is None
    assert find_unkept(str(committed / "src")) is None
    assert find_unkept("src/a.txt") is None
    assert find_unkept("src/below/b.txt") is None
    assert find_unkept("src/tracked-link") is None


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (edit, "src/a.txt"),
        (edit_behind_gits_back, "src/a.txt"),
        (add_untracked, "src/below/new.txt"),
        (add_ignored, "src/ignored.log"),
        (stage, "src"),
        (add_intent, "src"),
        (add_link, "src/link"),
        (add_pipe, "src/pipe"),
        (turn_a_link, "src/tracked-link"),
        (filter_content, "src/dos.bat"),
    ],
)
def test_git_does_not_have_what_changed(committed: Path, change: Callable[[Path], None], lost: str) -> None:
    change(committed)
    assert find_unkept("src") == lost
    assert find_unkept("src/below") == ("src/below/new.txt" if "below" in lost else None)


def test_names_are_taken_as_they_are(here: Path) -> None:
    write(here / "src/*.txt")
    write(here / "src/:(top)a")
    commit_all(here)
    write(here / "src/a.txt")
    assert find_unkept("src/*.txt") is None
    assert find_unkept("src/:(top)a") is None
    assert find_unkept("src/a.txt") == "src/a.txt"


def test_a_repository_that_names_by_sha256(here: Path) -> None:
    git(here, "init", "--quiet", "--object-format=sha256")
    write(here / "a.txt")
    commit_all(here)
    assert find_unkept("a.txt") is None
    write(here / "a.txt", "other")
    assert find_unkept("a.txt") == "a.txt"


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_variables_of_a_hook_do_not_lead_astray(
    committed: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "elsewhere")
    assert find_unkept("src") is None


def test_without_git_nothing_is_kept(committed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(committed))
    assert find_unkept("src") == "src"


def test_without_a_repository_nothing_is_kept(here: Path) -> None:
    write(here / "src/a.txt")
    assert find_unkept("src") == "src"


# Files


def refusal(output: FileOutput | DirectoryOutput, content: bytes | None = None) -> str:
    with pytest.raises(OutputError) as raised:
        output.check(content) if isinstance(output, FileOutput) else output.check()
    return str(raised.value)


def test_a_file_that_would_be_lost_stays(here: Path) -> None:
    output = FileOutput("notes.md", CLAIM)
    assert output.check() == "absent"
    write(here / "notes.md")
    assert refusal(output) == f"notes.md: exists, but {ADVICE} it: remove it"
    with pytest.raises(OutputError):
        output.write(b"theirs")
    assert (here / "notes.md").read_text() == "mine\n"


def test_a_file_of_which_nothing_is_lost_is_replaced(here: Path) -> None:
    write(here / "notes.md")
    for claim, why in ((MADE, "made"), (FORCED, "forced")):
        assert FileOutput("notes.md", claim).check() == why
    assert FileOutput("notes.md", CLAIM).check(b"mine\n") is None
    assert FileOutput("notes.md", CLAIM, [Kind("a note", lambda path: path == "notes.md")]).check() == "kind"
    commit_all(here)
    assert FileOutput("notes.md", CLAIM).check() == "git"
    assert FileOutput("notes.md", CLAIM).write(b"theirs")
    assert (here / "notes.md").read_text() == "theirs"


def test_an_empty_file_is_a_file(here: Path) -> None:
    write(here / "__init__.py", "")
    assert ADVICE in refusal(FileOutput("__init__.py", CLAIM))
    assert FileOutput("__init__.py", CLAIM, takes_empty=True).check() == "kind"


def test_a_link_is_of_no_kind(here: Path) -> None:
    write(here / "lock.yml", BUNDLE)
    (here / "link").symlink_to("lock.yml")
    assert ADVICE in refusal(FileOutput("link", CLAIM, [BUNDLE_LOCK]))
    assert FileOutput("link", CLAIM).check(BUNDLE.encode()) is None


@pytest.mark.parametrize("path", [".git/config", "a/.git", "a/.GIT/b", "link/config"])
def test_repositories_stay_even_when_forced(here: Path, path: str) -> None:
    (here / ".git").mkdir()
    (here / "link").symlink_to(".git")
    text = f"{path}: Disallowed output directory (trying to avoid accidental deletion): it is or lies in .git, "
    assert refusal(FileOutput(path, FORCED)).startswith(text)
    assert refusal(DirectoryOutput(path, FORCED)).startswith(text)


def test_what_is_no_file_stays_even_when_forced(here: Path) -> None:
    (here / "directory").mkdir()
    os.mkfifo(here / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for path in ("pipe", "socket"):
            assert refusal(FileOutput(path, FORCED)) == f"{path}: is a device, a pipe or a socket: name a file"
    assert refusal(FileOutput("directory", FORCED)) == "directory: is a directory: name a file"


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (BUNDLE, {"a BundleLock"}),
        (IMAGES + "images: []\n", {"an ImagesLock"}),
        (CONFIG + RESOLVED, {"a lock of kbld"}),
        (CONFIG + RESOLVED + RULES, {"a lock of kbld"}),
        (CONFIG, {"a lock of kbld"}),
        (CONFIG + RULES, set()),
        (CONFIG + RESOLVED.replace("true", "false"), set()),
        (CONFIG + RESOLVED + "sources:\n- {image: shop, path: .}\n", set()),
        (CONFIG.replace("minimumRequiredVersion: 0.45.0\n", RESOLVED), set()),
        (BUNDLE + "---\n" + BUNDLE, set()),
        ("bundle: {}\n", set()),
        ("", set()),
        ("manifest.json", set()),
        ("manifest.json\0\0\0", set()),
        ("manifest.json is what I wrote about", set()),
        ("\0" * 600, set()),
        (": [", set()),
    ],
)
def test_kinds(here: Path, content: str, kinds: set[str]) -> None:
    write(here / "file", content)
    known = (BUNDLE_LOCK, IMAGES_LOCK, KBLD_LOCK, COPIED_TAR)
    assert {kind.name for kind in known if kind.matches("file")} == kinds


def tar_of(*entries: tuple[str, bytes]) -> bytes:
    """Return a tar as the tool of that name writes it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def manifest_file() -> bytes:
    """Return the manifest.json of a copy of one image, which is longer than a block."""
    config = b'{"rootfs":{"type":"layers","diff_ids":[]}}'
    descriptor = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(config)}
    descriptor["digest"] = str(Digest.of(config))
    image = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor, "layers": []}
    manifest = Manifest.parse(json.dumps(image).encode(), OCI_MANIFEST, "image")
    reference = Reference.parse(f"registry.example/shop@{manifest.digest}")
    return archive_manifest.to_bytes([ArchivedManifest(manifest, (reference,), config=config)])


def copied_tar() -> bytes:
    return tar_of(("manifest.json", manifest_file()), (f"sha256-{'0' * 64}.tar.gz", b"layer"))


@pytest.mark.parametrize(
    ("content", "is_tar", "is_partial"),
    [
        (copied_tar(), True, True),
        (tar_of(("manifest.json", manifest_file())), True, True),
        (tar_of(("manifest.json", b"[]")), True, True),
        (tar_of(("manifest.json", b'{"name": "my extension"}'), ("background.js", b"mine")), False, False),
        (tar_of(("manifest.json", manifest_file()), ("notes.md", b"mine")), False, False),
        (tar_of(("notes.md", b"mine"), ("manifest.json", manifest_file())), False, False),
        (tar_of(("manifest.json", b'[{"Config":"a","RepoTags":[],"Layers":[]}]')), False, False),
        (copied_tar()[:300], False, False),
        (copied_tar()[: 512 + len(manifest_file()) + -len(manifest_file()) % 512 + 100], True, True),
        (copied_tar()[:512], False, True),
        (copied_tar()[:520], False, True),
        (copied_tar()[:700], False, True),
        (copied_tar()[:700] + bytes(10_000), False, True),
        (tar_of(("manifest.json", b'{"name": "my extension", "list": ' + b"[" * 600))[:700], False, False),
        (b"manifest.json" + bytes(1000), False, False),
        (bytes(2000), False, True),
        (bytes(2000) + b"mine", False, False),
        (b"", False, True),
    ],
)
def test_a_tar_of_a_copy_is_told_by_what_is_in_it(here: Path, content: bytes, is_tar: bool, is_partial: bool) -> None:
    (here / "a.tar").write_bytes(content)
    assert COPIED_TAR.matches("a.tar") is is_tar
    assert PARTIAL_TAR.matches("a.tar") is is_partial


def test_the_files_beside_a_tar_are_asked_as_well(here: Path) -> None:
    outputs = tar_outputs("dist/a.tar", MADE)
    assert [output.path for output in outputs] == ["dist/a.tar", "dist/.a.tar.partial", "dist/.a.tar.previous"]
    for content in ("", "\0" * 600, copied_tar()[:700].decode()):
        write(here / "dist/.a.tar.partial", content)
        assert [output.check() for output in outputs] == ["absent", "kind", "absent"]
    write(here / "dist/.a.tar.partial")
    assert "exists, but it is not the beginning of a tar of a copy" in refusal(outputs[1])


@pytest.mark.parametrize("path", ["file/x", "file/x/y", "here/file/x"])
def test_a_parent_that_is_a_file_is_named(here: Path, path: str) -> None:
    write(here / "file")
    write(here / "here/file")
    text = f"{path}: cannot be written: {path.partition('/x')[0]} is not a directory"
    assert refusal(FileOutput(path, FORCED)) == text
    assert refusal(DirectoryOutput(path, FORCED)) == text


# Directories


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """What is pulled."""
    write(tmp_path / "incoming/config.yml", "kind: Shop\n")
    write(tmp_path / "incoming/below/more.yml", "kind: More\n")
    return tmp_path / "incoming"


def test_a_directory_that_would_be_lost_stays(here: Path, incoming: Path) -> None:
    output = DirectoryOutput("src", CLAIM)
    assert output.check() == "absent"
    (here / "src/empty/below").mkdir(parents=True)
    assert output.check() == "absent"
    write(here / "src/main.py")
    assert refusal(output) == f"src: exists, but {ADVICE} it: remove it"
    with pytest.raises(OutputError, match=r"git does not have src/main\.py as it is now"):
        output.check_against(str(incoming))


def test_a_directory_of_which_nothing_is_lost_is_replaced(here: Path, incoming: Path) -> None:
    write(here / "src/below/main.py")
    assert DirectoryOutput("src", MADE).check() == "made"
    assert DirectoryOutput("src", FORCED).check() == "forced"
    commit_all(here)
    assert DirectoryOutput("src", CLAIM).check() == "git"
    write(here / "src/new.py")
    assert "git does not have src/new.py as it is now" in refusal(DirectoryOutput("src", CLAIM))


def test_a_directory_with_nothing_but_what_is_pulled_is_replaced(here: Path, incoming: Path) -> None:
    output = DirectoryOutput("src", CLAIM)
    write(here / "src/config.yml", "kind: Shop\n")
    assert output.check_before() is None
    output.check_against(str(incoming))
    write(here / "src/below/more.yml", "kind: Less\n")
    with pytest.raises(OutputError, match=r"src/below/more\.yml"):
        output.check_against(str(incoming))


def test_what_no_pull_can_bring_is_refused_before_it_is_pulled(here: Path) -> None:
    write(here / "src/main.py")
    with pytest.raises(OutputError):
        DirectoryOutput("src", CLAIM, is_bundle=True).check_before()
    assert DirectoryOutput("src", CLAIM, is_bundle=False).check_before() is None
    (here / "src/link").symlink_to("main.py")
    with pytest.raises(OutputError):
        DirectoryOutput("src", CLAIM).check_before()


def test_what_is_no_directory_stays_even_when_forced(here: Path) -> None:
    write(here / "file")
    (here / "link").symlink_to("elsewhere")
    assert refusal(DirectoryOutput("file", FORCED)) == "file: cannot be replaced: it is not a directory"
    assert "it is a symbolic link" in refusal(DirectoryOutput("link", FORCED))


def test_the_name_of_an_object_is_that_of_git(here: Path) -> None:
    """Our hash is compared with git's index, so it has to be git's hash."""
    write(here / "a", "x" * 3_000_000)
    commit_all(here)
    content = (here / "a").read_bytes()
    name = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    assert name in git(here, "ls-files", "--stage")
    assert find_unkept("a") is None
