"""The command `diff`: its forms of output, its statuses, and what it takes as a side."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jsonschema
import pytest

from bundlepipe.documents.schemas.validator import schema_text
from tests.support.command import Command
from tests.support.terminal import Terminal

PIPELINE = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
registries:
  stage.example: {layout: stage}
defaults:
  push: "stage.example/{name}:1"
images:
  site: {files: [site]}
  web: {build: {context: site}}
bundles:
  app: {files: [app], exclude: [notes.txt], labels: {team: web}, preservePermissions: true}
"""
LOCK = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
OLD, NEW = "layout.localhost/app:1", "layout.localhost/app:2"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content)


@pytest.fixture
def app(command: Command) -> Path:
    """The directory of a bundle, pushed as OLD and then, after a change, as NEW."""
    directory = command.directory / "app"
    write(directory, {".imgpkg/images.yml": LOCK, "a.yml": "a: 1\n", "b.txt": "one\ntwo\n"})
    command.silently("bundlepipe", "push", "-b", OLD, "-f", "app")
    write(directory, {"a.yml": "a: 2\n", "new.bin": "\0\0"})
    (directory / "b.txt").chmod(0o755)
    command.silently("bundlepipe", "push", "-b", NEW, "-f", "app")
    return directory


def test_the_patch(command: Command, app: Path) -> None:
    result = command("bundlepipe", "diff", OLD, NEW)
    assert (result.status, result.stderr) == (1, "")
    title, *patch, total = result.stdout.splitlines()
    assert title.startswith("Compared: sha256:")
    assert patch == [
        "diff --git a/a.yml b/a.yml",
        "--- a/a.yml",
        "+++ b/a.yml",
        "@@ -1 +1 @@",
        "-a: 1",
        "+a: 2",
        "diff --git a/b.txt b/b.txt",
        "old mode 100644",
        "new mode 100755",
        "diff --git a/new.bin b/new.bin",
        "new file mode 100644",
        "index 0000000..09f370e",
        "Binary files /dev/null and b/new.bin differ",
        "  binary: 2 B",
    ]
    assert total.startswith("3 files changed, 1 insertion(+), 1 deletion(-); a site with the old one lacks ")
    assert total.endswith(" in 2 blobs and 1 manifest")


def test_other_forms(command: Command, app: Path) -> None:
    stat_lines = command("bundlepipe", "diff", OLD, NEW, "--stat").stdout.splitlines()
    assert stat_lines[1:-1] == [" a.yml   | 2 +-", " b.txt   | (mode 644 -> 755)", " new.bin | binary 2 B"]
    assert command("bundlepipe", "diff", "--name-only", OLD, NEW).stdout == "a.yml\nb.txt\nnew.bin\n"
    markdown = command("bundlepipe", "diff", OLD, NEW, "--markdown")
    assert markdown.status == 1
    assert "<details><summary><code>a.yml</code> modified (+1 -1)</summary>\n\n```diff\n" in markdown.stdout
    assert "@@ -1 +1 @@" in command("bundlepipe", "diff", "-U", "0", NEW, OLD).stdout


def test_json(command: Command, app: Path) -> None:
    schema = json.loads(schema_text("diff"))
    result = command("bundlepipe", "diff", OLD, NEW, "--json")
    document = json.loads(result.stdout)
    jsonschema.validate(document, schema)
    assert result.status == 1 and document["same"] is False
    assert document["old"]["location"] == OLD
    assert [(file["path"], file["status"], file["kind"]) for file in document["pairs"][0]["files"]] == [
        ("a.yml", "modified", "text"),
        ("b.txt", "modified", "text"),
        ("new.bin", "added", "binary"),
    ]
    same = command("bundlepipe", "diff", OLD, OLD, "--json", "--name-only")
    assert same.status == 0
    jsonschema.validate(json.loads(same.stdout), schema)
    assert json.loads(same.stdout)["same"] is True


def test_the_same_is_status_0_without_output(command: Command, app: Path) -> None:
    for form in ("--stat", "--name-only", "-U=1"):
        assert command("bundlepipe", "diff", NEW, "app", form).output == ""
    assert command("bundlepipe", "diff", NEW, "app", "--markdown").output == (
        f"<code>{NEW.replace(':', '&#58;')}</code> and <code>app</code> have the same content.\n"
    )
    assert command("bundlepipe", "diff", NEW, "app", "--tty").output == "Succeeded\n"


def test_an_image_of_files(command: Command) -> None:
    write(command.directory, {"site/index.html": "hello\n"})
    command.silently("bundlepipe", "push", "-i", "layout.localhost/site:1", "-f", "site")
    write(command.directory, {"site/index.html": "bye\n"})
    result = command("bundlepipe", "diff", "layout.localhost/site:1", "site")
    assert result.status == 1 and "-hello\n+bye\n" in result.stdout


def test_declarations(command: Command, app: Path) -> None:
    write(command.directory, {"bundlepipe.yml": PIPELINE, "site/index.html": "x", "app/notes.txt": "x"})
    result = command("bundlepipe", "diff", NEW, "bundle:app", "--name-only")
    assert (result.status, result.stdout) == (1, "")
    labels = command("bundlepipe", "diff", NEW, "bundle:app").stdout
    assert "  label added: team=web\n" in labels
    # References are looked up with the settings of the pipeline, once it is read.
    command.silently("bundlepipe", "copy", "-b", NEW, "--to-repo", "oci:stage/app:1")
    result = command("bundlepipe", "diff", "stage.example/app:1", "bundle:app", "--name-only")
    assert (result.status, result.stdout, result.stderr) == (1, "", "")
    assert command("bundlepipe", "diff", "image:site", "site").output == ""

    def trouble(*arguments: str) -> str:
        failed = command("bundlepipe", "diff", *arguments)
        assert (failed.status, failed.stdout) == (2, "")
        return failed.stderr.removeprefix("bundlepipe: Error: ")

    assert trouble("bundle:ap", NEW).startswith("bundle:ap: bundlepipe.yml declares no bundle 'ap': there are: app")
    assert trouble("image:web", NEW).startswith("image:web: is not made of files, so what a push would make is unknown")
    (command.directory / "bundlepipe.yml").write_text("kind: [\n")
    assert trouble("bundle:app", NEW).startswith("bundlepipe.yml:")
    (command.directory / "bundlepipe.yml").unlink()
    assert trouble("bundle:app", NEW).startswith(
        "bundle:app: there is no bundlepipe.yml here, nor in a directory above"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([OLD], "NEW is missing: 'bundlepipe diff --help' shows how it is used"),
        (
            [OLD, NEW, "--stat", "--markdown"],
            "--stat, --name-only and --markdown are different forms of output: give one",
        ),
        ([OLD, NEW, "--json", "--stat"], "--json is a form of output too, and has everything: leave out --stat"),
        ([OLD, NEW, "--json", "--markdown"], "--json is a form of output too"),
        ([OLD, "./none"], "./none: there is no such directory"),
        ([OLD, "layout.localhost/app:9"], "layout.localhost/app:9: not found"),
        ([OLD, "app/a.yml"], "app/a.yml: is a file: expected a directory, a reference, or tar:app/a.yml"),
        ([OLD, "tar:none.tar"], "tar:none.tar: there is no such file"),
        ([OLD, "build/registry/app"], "build/registry/app: is an OCI image layout: write oci:build/registry/app"),
        ([OLD, "A:b:c"], "'A:b:c'"),
        ([OLD, NEW, "--none"], "unknown flag: --none"),
        ([OLD, NEW, "-U", "x"], ""),
    ],
)
def test_trouble_is_status_2(command: Command, app: Path, arguments: list[str], message: str) -> None:
    failed = command("bundlepipe", "diff", *arguments)
    if "--json" in arguments:
        assert failed.status == 2 and message in failed.stdout
        return
    assert (failed.status, failed.stdout) == (2, "")
    assert failed.stderr.startswith(f"bundlepipe: Error: {message}"), failed.stderr


def test_other_tools_and_commands_keep_status_1(command: Command) -> None:
    assert "accept" in command("imgpkg", "diff", OLD, NEW).failed
    assert command("bundlepipe", "describe", "-b", "layout.localhost/none:1").failed


def test_unread_images_are_on_stderr(command: Command, app: Path) -> None:
    image = f"layout.localhost/none@sha256:{64 * '0'}"
    write(app, {".imgpkg/images.yml": f"{LOCK}images:\n- image: {image}\n"})
    result = command("bundlepipe", "diff", NEW, "app")
    assert result.status == 1
    assert result.stderr.startswith(f"bundlepipe: not compared: {image}: ")
    assert "  image added: layout.localhost/none sha256:000000000000\n" in result.stdout
    document = json.loads(command("bundlepipe", "diff", NEW, "app", "--json").stdout)
    jsonschema.validate(document, json.loads(schema_text("diff")))
    assert [unread["image"] for unread in document["unread"]] == [image]


def test_a_terminal_gets_colours_and_no_control_characters(command: Command, app: Path) -> None:
    write(app, {"a.yml": "a: \x1b]0;owned\x07\n", "\x1b[2Jname": "x\n"})
    arguments = ["bundlepipe", "diff", NEW, "app"]
    terminal = Terminal(columns=200)
    assert terminal.run(arguments, cwd=command.directory, env=command.environment()) == 1
    assert "\x1b[32m+a: \\x1b]0;owned\\x07\x1b[0m" in terminal.output
    assert '"a/\\033[2Jname"' in terminal.output
    assert "Succeeded" not in terminal.output
    plain = Terminal(columns=200)
    assert plain.run(arguments, cwd=command.directory, env=command.environment({"NO_COLOR": "1"})) == 1
    assert "\x1b" not in plain.output
    # A pipe gets the bytes of the content, which patch needs, and names as git quotes them.
    piped = command("bundlepipe", "diff", NEW, "app").stdout
    assert "+a: \x1b]0;owned\x07\n" in piped and "\x1b[2J" not in piped


def test_bytes_that_are_not_utf_8(command: Command, app: Path) -> None:
    (app / "a.yml").write_bytes(b"caf\xe9\n")
    assert b"+caf\xe9\n" in command.process("bundlepipe", "diff", NEW, "app").stdout
    document = json.loads(command("bundlepipe", "diff", NEW, "app", "--json").stdout)
    assert "+caf\ufffd\n" in document["pairs"][0]["files"][0]["patch"]
    assert "+caf\\xe9\n" in command("bundlepipe", "diff", NEW, "app", "--markdown").stdout


def test_nothing_is_written(command: Command, app: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in command.directory.rglob("*")}
    temporary = command.directory.parent / "temporary"
    temporary.mkdir()
    command("bundlepipe", "diff", OLD, "app", env={"TMPDIR": str(temporary)})
    assert before == {path: path.stat().st_mtime_ns for path in command.directory.rglob("*")}
    assert not list(temporary.iterdir())
    assert stat.S_ISDIR(temporary.stat().st_mode)


def test_a_short_name_without_a_directory_is_explained_if_it_cannot_be_read(command: Command, app: Path) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    failed = command("bundlepipe", "diff", "app", "ap", env=nowhere)
    told = "bundlepipe: ap: there is no such directory here, so it was taken for index.docker.io/library/ap"
    assert failed.status == 2
    assert told in failed.stderr.splitlines()
    for named in ("ap:1", "docker.io/ap"):
        assert "no such directory" not in command("bundlepipe", "diff", "app", named, env=nowhere).stderr
