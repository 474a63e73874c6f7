"""The command `diff` of declarations: as a push would make them now, with the locks and nested bundles of that run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.support.command import Command

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults:
  push: "layout.localhost/{name}:1"
images:
  site: {files: [site]}
bundles:
  leaf: {files: [leaf], lock: {}}
  middle: {files: [middle], lock: {include: [{bundle: leaf}]}}
  top: {files: [top], lock: {include: [{bundle: middle}, {image: site}]}}
"""
TOP = "layout.localhost/top:1"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


@pytest.fixture
def declared(command: Command) -> Path:
    """A pipeline with a bundle in a bundle in a bundle."""
    names = ("leaf", "middle", "top")
    files = {f"{name}/config.yml": f"kind: {name}\n" for name in names}
    write(command.directory, {"bundlepipe.yml": PIPELINE, "site/index.html": "hello\n", **files})
    return command.directory


def snapshot(directory: Path) -> dict[Path, int]:
    files = (path for path in directory.rglob("*") if ".bundlepipe" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


def push(command: Command) -> None:
    assert command("bundlepipe", "doit", "push_bundle").status == 0


def planned(command: Command, name: str) -> str:
    """Return the digest of a bundle by the plan."""
    plan = json.loads(command("bundlepipe", "plan", "--json", f"push_bundle:{name}").stdout)
    (task,) = (task for task in plan["tasks"] if task["name"] == f"push_bundle:{name}")
    image: str = task["result"]["image"]
    return image.partition("@")[2]


def test_a_change_two_levels_down(command: Command, declared: Path) -> None:
    push(command)
    same = command("bundlepipe", "diff", TOP, "bundle:top")
    assert (same.status, same.stdout, same.stderr) == (0, "", "")
    write(declared, {"leaf/config.yml": "kind: changed\n"})
    before = snapshot(declared)

    result = command("bundlepipe", "diff", TOP, "bundle:top", "--json")
    assert (result.status, result.stderr) == (1, "")
    assert snapshot(declared) == before
    document = json.loads(result.stdout)
    assert document["new"] == {"location": "bundle:top", "digest": planned(command, "top")}
    assert [(pair["path"], [file["path"] for file in pair["files"]]) for pair in document["pairs"]] == [
        ("", [".imgpkg/images.yml"]),
        (".imgpkg/bundles/middle", [".imgpkg/images.yml"]),
        (".imgpkg/bundles/leaf", ["config.yml"]),
    ]
    assert document["unread"] == [] and document["transfer"]["manifests"] == 3

    # What it said is what a push makes.
    command.silently("bundlepipe", "copy", "-b", TOP, "--to-repo", "layout.localhost/old:1")
    push(command)
    pushed = json.loads(command("bundlepipe", "diff", "layout.localhost/old:1", TOP, "--json").stdout)
    for each in (document, pushed):
        for pair in each["pairs"]:
            del pair["relocated"]
    assert pushed["new"]["digest"] == document["new"]["digest"]
    assert pushed["pairs"] == document["pairs"] and pushed["transfer"] == document["transfer"]


def test_two_declarations_before_anything_was_made(command: Command, declared: Path) -> None:
    """There is no images.yml yet: that of the plan is used."""
    before = snapshot(declared)
    result = command("bundlepipe", "diff", "bundle:middle", "bundle:top", "--json")
    assert (result.status, result.stderr) == (1, "")
    document = json.loads(result.stdout)
    assert {image["name"] for image in document["pairs"][0]["images"]} == {"leaf", "middle", "site"}
    assert document["unread"] == []
    assert snapshot(declared) == before
    assert not (declared / "top/.imgpkg").exists()
    image = command("bundlepipe", "diff", "image:site", "site")
    assert (image.status, image.output) == (0, "")


def test_the_directory_beside_it_is_as_it_is(command: Command, declared: Path) -> None:
    push(command)
    write(declared, {"leaf/config.yml": "kind: changed\n"})
    result = command("bundlepipe", "diff", "middle", "bundle:middle", "--name-only")
    assert (result.status, result.stdout.splitlines()[0]) == (1, ".imgpkg/images.yml")


def test_an_image_that_another_tool_compressed_is_adopted(command: Command, declared: Path) -> None:
    push(command)
    layout = declared / "build/registry/leaf/index.json"
    index = json.loads(layout.read_text())
    blobs = declared / "build/registry/leaf/blobs/sha256"
    digest = next(entry["digest"] for entry in index["manifests"]).partition(":")[2]
    spaced = json.dumps(json.loads((blobs / digest).read_text()), indent=1).encode()
    name = hashlib.sha256(spaced).hexdigest()
    (blobs / name).write_bytes(spaced)
    for entry in index["manifests"]:
        entry["digest"], entry["size"] = f"sha256:{name}", len(spaced)
    layout.write_text(json.dumps(index))
    (declared / ".bundlepipe/doit.db").unlink()
    same = command("bundlepipe", "diff", "layout.localhost/leaf:1", "bundle:leaf", "--json")
    document = json.loads(same.stdout)
    assert same.status == 0 and document["new"]["digest"] == document["old"]["digest"] == f"sha256:{name}"


def test_what_a_plan_cannot_tell(command: Command, declared: Path) -> None:
    push(command)
    write(
        declared,
        {
            "dodo.py": "from bundlepipe import DOIT_CONFIG, Pipeline\n"
            "pipeline = Pipeline.load()\n"
            "def task_made():\n"
            "    return {'actions': ['echo x > leaf/made.yml'], 'targets': ['leaf/made.yml']}\n"
        },
    )
    failed = command("bundlepipe", "diff", TOP, "bundle:top")
    assert (failed.status, failed.stdout) == (2, "")
    assert failed.stderr.count("\n") == 1
    assert "bundle:top: what a push would make is not known before made runs" in failed.stderr
    write(declared, {"leaf/config.yml": "kind: changed\n"})
    failed = command("bundlepipe", "diff", TOP, "bundle:top")
    assert "bundle:top: what a push would make is not known before made runs" in failed.stderr
    assert failed.stderr.endswith(": see bundlepipe plan --why push_bundle:top\n")

    write(declared, {"dodo.py": "from bundlepipe import Pipeline\nother = Pipeline.load(prefix='blue')\n"})
    failed = command("bundlepipe", "diff", TOP, "bundle:top")
    assert failed.status == 2
    assert "bundle:top: the dodo.py here has no task push_bundle:top" in failed.stderr
    write(declared, {"dodo.py": "1 / 0\n"})
    failed = command("bundlepipe", "diff", TOP, "bundle:top")
    assert failed.status == 2 and "Traceback" not in failed.stderr
    assert "the tasks cannot be loaded: ZeroDivisionError: division by zero" in failed.stderr


def test_a_push_that_would_fail(command: Command, declared: Path) -> None:
    """The error is that of the task which fails, not of those after it."""
    write(declared, {"leaf/config.yml": "image: layout.localhost/none:1\n"})
    failed = command("bundlepipe", "diff", "layout.localhost/top:1", "bundle:top")
    assert (failed.status, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
    assert "bundle:top: lock_bundle:leaf cannot run: leaf/config.yml:1:8: " in failed.stderr


def test_from_a_directory_below(command: Command, declared: Path) -> None:
    push(command)
    below = declared / "leaf"
    command.silently("bundlepipe", "copy", "-b", "layout.localhost/leaf:1", "--to-tar", "leaf/leaf.tar")
    (below / "leaf.tar").rename(declared / "leaf.tar")
    write(declared, {"leaf/config.yml": "kind: changed\n"})
    for old in ("layout.localhost/leaf:1", "tar:../leaf.tar"):
        result = command("bundlepipe", "diff", old, "bundle:leaf", "--name-only", cwd=below)
        assert (result.status, result.stdout) == (1, "config.yml\n")
        assert result.stderr == "bundlepipe: comparing in .., where bundlepipe.yml is\n"
    assert command("bundlepipe", "diff", ".", "bundle:leaf", cwd=below).status == 0
    assert not (below / "build").exists() and not (below / ".bundlepipe").exists()
