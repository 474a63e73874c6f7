from __future__ import annotations

import json
import subprocess

import jsonschema
import pytest

from bundlepipe.documents.schemas.validator import schema_text
from tests.support.command import Command
from tests.support.services import require

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
defaults: {push: "layout.localhost/{name}:1"}
"""


def write(command: Command, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = command.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def problems(command: Command) -> list[str]:
    result = command("bundlepipe", "check")
    assert result.status == 1
    first, *others = [line for line in result.stderr.splitlines() if "fine if a task makes it" not in line]
    first = first.removeprefix("bundlepipe: Error: ")
    return [first, *others] if first else others


def test_each_document_is_told(command: Command) -> None:
    write(
        command,
        {
            "bundlepipe.yml": PIPELINE
            + """\
include: [apps/*/bundlepipe.yml]
images:
  web: {build: {context: web}}
bundles:
  shop: {files: [config], lock: {config: [kbld.yml]}}
renders:
  shop: {files: [config], locks: [config/.imgpkg/images.yml], output: build/shop.yml}
copies:
  shop: {from: {lock: shop.lock.yml}, to: "tar:build/shop.tar"}
""",
            "apps/db/bundlepipe.yml": "apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n",
            "web/Dockerfile": "FROM scratch\n",
            "config/app.yml": "image: web\n---\nimage: nginx\n",
            "config/.imgpkg/images.yml": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n",
            "config/.imgpkg/bundle.yml": (
                "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: Bundle\nmetadata: {name: shop}\n"
            ),
            "kbld.yml": "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n",
            "shop.lock.yml": (
                "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: BundleLock\n"
                f"bundle: {{image: 'registry.example/shop@sha256:{'0' * 64}'}}\n"
            ),
        },
    )
    command.silently("bundlepipe", "check")
    assert command("bundlepipe", "check", "--tty").output.splitlines() == [
        "bundlepipe.yml: Pipeline",
        "apps/db/bundlepipe.yml: Pipeline",
        "config/.imgpkg/images.yml: ImagesLock, 0 images",
        "config/.imgpkg/bundle.yml: Bundle",
        "kbld.yml: configuration of kbld, or a lock",
        "config/app.yml: 2 references",
        "web/Dockerfile: Dockerfile",
        "shop.lock.yml: BundleLock",
        "",
        "Succeeded",
    ]


def test_all_faults_of_all_documents_are_told(command: Command) -> None:
    write(
        command,
        {
            "bundlepipe.yml": PIPELINE
            + """\
bundles:
  shop: {files: [config], lock: {config: [kbld.yml]}}
  mine: {files: [mine]}
pulls:
  shop: {from: {bundle: shopp}, to: build/shop}
  lock: {from: {lock: broken.lock.yml}, to: build/lock}
""",
            "config/app.yml": "image: #@ data.values.image\n",
            "config/broken.yml": "a: [\n",
            "config/wrong.yml": "image: Wrong Name\n",
            "config/.imgpkg/images.yml": (
                "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages: [{image: x}]\n"
            ),
            "kbld.yml": "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides: 1\n",
            "broken.lock.yml": "kind: BundleLock\n",
            "mine/.imgpkg/images.yml": "images: 1\n",
            "mine/.imgpkg/bundle.yml": "kind: Bunde\n",
        },
    )
    told = problems(command)
    for place in (
        "bundlepipe.yml:8:3: ",
        "config/app.yml:1:",
        "config/broken.yml:2:1: ",
        "config/wrong.yml:1:8: 'Wrong Name': ",
        "config/.imgpkg/images.yml:3:",
        "kbld.yml:3:",
        "broken.lock.yml:1:1: ",
        "mine/.imgpkg/images.yml:1:",
        "mine/.imgpkg/bundle.yml:1:",
    ):
        assert any(line.startswith(place) for line in told), (place, told)
    assert len(told) == len(set(told))


def test_faults_of_the_file_itself(command: Command) -> None:
    write(command, {"bundlepipe.yml": "apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\nbundels: {}\n"})
    assert problems(command) == ["bundlepipe.yml:3:1: unknown key 'bundels', did you mean 'bundles'?"]
    write(command, {"other.yml": "["})
    assert command("bundlepipe", "check", "other.yml").failed.startswith("bundlepipe: Error: other.yml:1:")
    assert command("bundlepipe", "check", "gone.yml").failed == (
        "bundlepipe: Error: gone.yml: cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("declared", "absent"),
    [
        ("bundles: {a: {files: [gone], lock: {}}}", "gone"),
        ("bundles: {a: {files: [web]}}", "web/.imgpkg/images.yml"),
        ("images: {a: {build: {context: gone}}}", "gone"),
        ("images: {a: {build: {context: web}}}", "web/Dockerfile"),
        ("images: {a: {files: [gone]}}", "gone"),
        ("images: {a: {run: [make], files: [gone]}}", "gone"),
        ("copies: {a: {from: 'tar:gone.tar', to: registry.example/a}}", "gone.tar"),
        ("renders: {a: {files: [web], locks: [gone.yml], output: build/a.yml}}", "gone.yml"),
    ],
)
def test_what_is_not_there_may_be_made(command: Command, declared: str, absent: str) -> None:
    write(command, {"bundlepipe.yml": f"{PIPELINE}{declared}\n", "web/page.txt": ""})
    result = command("bundlepipe", "check")
    assert (result.status, result.stdout) == (0, "")
    assert result.stderr == f"bundlepipe: {absent}: does not exist, which is fine if a task makes it\n"


def test_what_the_pipeline_makes_need_not_be_there(command: Command) -> None:
    declared = """\
bundles:
  a: {files: [config], lock: {}}
pulls:
  a: {from: {bundle: a}, to: build/a}
copies:
  a: {from: {bundle: a}, to: "tar:build/a.tar"}
  b: {from: "tar:build/a.tar", to: registry.example/a}
renders:
  a: {files: [build/a], locks: [build/a/.imgpkg/images.yml], output: build/a.yml}
"""
    write(command, {"bundlepipe.yml": PIPELINE + declared, "config/app.yml": "image: nginx\n"})
    command.silently("bundlepipe", "check")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"app/sub/.imgpkg/images.yml": ""}, "Expected '.imgpkg' directory, to be a direct child of one of: app; "),
        ({"web/.dockerignore": "[\n"}, "web/.dockerignore:1:"),
        ({"site/.imgpkg/images.yml": ""}, "Images cannot be pushed with '.imgpkg' directories, "),
    ],
)
def test_what_no_push_or_build_would_take(command: Command, files: dict[str, str], problem: str) -> None:
    declared = """\
images:
  web: {build: {context: web}}
  site: {files: [site]}
bundles:
  app: {files: [app], lock: {}}
"""
    there = {"web/dockerfile": "FROM scratch\n", "site/index.html": "", "app/config.yml": ""}
    write(command, {"bundlepipe.yml": PIPELINE + declared, **there})
    command.silently("bundlepipe", "check")
    write(command, files)
    (told,) = problems(command)
    assert told.startswith(problem)


def test_nothing_is_run_and_nobody_asked(command: Command) -> None:
    write(
        command,
        {
            "bundlepipe.yml": PIPELINE
            + """\
images:
  made: {run: [touch, ran]}
bundles:
  shop: {files: [config], lock: {files: [config, {run: [touch, ran], files: [config]}]}}
copies:
  away: {from: {bundle: shop}, to: "unreachable.example/shop"}
""",
            "config/app.yml": "image: unreachable.example/app:1\n",
        },
    )
    command.silently("bundlepipe", "check")
    assert sorted(path.name for path in command.directory.iterdir()) == ["bundlepipe.yml", "config"]


def test_programs_get_a_list_of_problems(command: Command) -> None:
    write(
        command,
        {
            "bundlepipe.yml": PIPELINE
            + """\
bundles:
  app: {files: [app], lock: {config: [kbld.yml]}}
  none: {files: [gone]}
pulls:
  x: {from: {bundle: nobody}, to: out}
""",
            "app/.imgpkg/images.yml": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n- image: x\n",
            "app/a.yml": "a: [\n",
            "kbld.yml": "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsearchRulez: []\n",
        },
    )
    result = command("bundlepipe", "check", "--json")
    document = json.loads(result.stdout)
    assert result.status == 1
    jsonschema.validate(document, json.loads(schema_text("problems")))
    lines = command("bundlepipe", "check").stderr.splitlines()
    told = [line for line in lines if line != "bundlepipe: Error: " and "fine if a task makes it" not in line]
    assert [f"{it['file']}:{it['line']}:{it['column']}: {it['message']}" for it in document] == told
    assert {it["file"] for it in document} == {"bundlepipe.yml", "app/.imgpkg/images.yml", "app/a.yml", "kbld.yml"}
    assert "nobody" in next(it["message"] for it in document if it["file"] == "bundlepipe.yml")


def test_programs_get_an_empty_list_where_all_is_well(command: Command) -> None:
    write(command, {"bundlepipe.yml": PIPELINE})
    assert json.loads(command("bundlepipe", "check", "--json").output) == []


def test_programs_are_told_of_whole_files(command: Command) -> None:
    result = command("bundlepipe", "check", "gone.yml", "--json")
    (problem,) = json.loads(result.stdout)
    assert (result.status, problem["file"], problem["line"], problem["column"]) == (1, "gone.yml", None, None)
    assert problem["message"] == "cannot be read: No such file or directory"
    write(command, {"bundlepipe.yml": PIPELINE + 'registries: {"a.example": {ca: ca.pem}}\n', "ca.pem/x": ""})
    (problem,) = json.loads(command("bundlepipe", "check", "--json").stdout)
    assert (problem["file"], problem["line"]) == ("ca.pem", None)
    assert problem["message"] == "cannot be read: Is a directory"


def test_a_cycle_of_tasks_is_told(command: Command) -> None:
    images = "images: {a: {files: [a], after: [{image: b}]}, b: {files: [a], after: [{image: a}]}}\n"
    write(command, {"bundlepipe.yml": PIPELINE + images, "a/index.html": "hello"})
    assert problems(command) == [
        "these tasks need one another: push_image:a -> push_image:b -> push_image:a: break the cycle"
    ]


def test_the_pipeline_above_is_checked(command: Command) -> None:
    write(command, {"bundlepipe.yml": PIPELINE + "images: {a: {files: [b]}}\n", "a/deep/index.html": "hello"})
    result = command("bundlepipe", "check", cwd=command.directory / "a/deep")
    assert result.status == 0
    first, *others = result.stderr.splitlines()
    assert first == "bundlepipe: checking in ../.., where bundlepipe.yml is"
    assert others == ["bundlepipe: b: does not exist, which is fine if a task makes it"]


def test_lock_file_and_what_is_generated_of_it(command: Command) -> None:
    require("git")
    write(
        command,
        {
            "bundlepipe.yml": PIPELINE + "lock: bundlepipe.lock\nbundles: {app: {files: [app], lock: {}}}\n",
            "app/config.yml": "kind: X\n",
            "bundlepipe.lock": "apiVersion: bundlepipe.dev/v1alpha1\nkind: Lock\nimages:\n",
        },
    )
    command("bundlepipe", "doit", "lock_bundle")
    command.silently("bundlepipe", "check")
    assert "bundlepipe.lock: Lock, 0 entries\n" in command("bundlepipe", "check", "--tty").output
    for arguments in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *arguments], cwd=command.directory, check=True)
    told = command("bundlepipe", "check")
    assert (told.status, told.stdout) == (0, "")
    assert told.stderr == (
        "bundlepipe: app/.imgpkg/images.yml: git tracks it, but it is generated from bundlepipe.lock: "
        "add it to .gitignore, and run git rm --cached app/.imgpkg/images.yml\n"
    )
    subprocess.run(["git", "rm", "-q", "--cached", "app/.imgpkg/images.yml"], cwd=command.directory, check=True)
    command.silently("bundlepipe", "check")
    write(command, {"bundlepipe.lock": "<<<<<<< HEAD\n=======\n>>>>>>> main\n"})
    assert "bundlepipe.lock:1:1: a merge conflict that git left here" in command("bundlepipe", "check").failed


def test_a_symbolic_link_is_told_with_its_place(command: Command) -> None:
    write(command, {"bundlepipe.yml": PIPELINE + "images: {a: {files: [b, a]}}\n", "a/index.html": "", "b/x": ""})
    (command.directory / "a/link").symlink_to("index.html")
    (problem,) = problems(command)
    assert problem == (
        "bundlepipe.yml:4:25: Expected file 'a/link' to be a regular file: it is a symbolic link to 'index.html': put "
        "a file or directory there, or take it out of the input"
    )
