"""What the command prints under the names of imgpkg and kbld, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundlepipe.cli.messages import in_lines
from bundlepipe.cli.printing.go_table import for_people, for_scripts
from tests.support.command import Command
from tests.support.files import write_bundle
from tests.support.services import Registry

API_VERSION = "imgpkg.carvel.dev/v1alpha1"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Fetching image: GET http://x/y: A: a", "Fetching image:\n  GET http://x/y:\n    A: a"),
        ("Use it (hint: Did you?): No", "Use it (hint: Did you?):\n  No"),
        ("One: map[Tag: V]: Two", "One: map[Tag: V]:\n  Two"),
        ("a: b: c", "a: b: c"),
        ("One\nTwo: Three", "One\nTwo: Three"),
    ],
)
def test_causes_are_below_one_another(text: str, lines: str) -> None:
    assert in_lines(text) == lines


def test_tables() -> None:
    rows = [["a", "1\n22"], ["a", ""], ["ü", "3"]]
    assert for_scripts(rows) == "a \t1\t\n  \t22\t\na \t-\t\nü\t3\t\n"
    assert for_people(["Name", "No"], rows) == "Name  No  \na     1  \n      22  \n^     -  \nü    3  \n"
    assert for_scripts([]) == ""


def test_an_error_is_told_in_json_and_beside_it(command: Command) -> None:
    result = command("imgpkg", "push", "--json")
    error = "imgpkg: Error: Expected either image or bundle"
    assert (result.status, result.stderr) == (1, f"{error}\n")
    assert json.loads(result.stdout)["Lines"] == [error]


def test_what_go_escapes_in_json(command: Command, registry: Registry) -> None:
    (command.directory / "a&b<c>").write_text("a")
    printed = command("imgpkg", "push", "-i", f"{registry.repository()}", "-f", "a&b<c>", "--json").output
    assert '"file: a\\u0026b\\u003cc\\u003e\\n"' in printed
    assert json.loads(printed)["Lines"][0] == "file: a&b<c>\n"


@pytest.fixture
def bundle(command: Command) -> Path:
    """The files of a bundle, in `config`."""
    write_bundle(command.directory / "config", {"app.yml": "kind: App\n"})
    return command.directory / "config"


def test_what_imgpkg_takes_as_an_image(command: Command, registry: Registry, bundle: Path) -> None:
    (command.directory / "outer").mkdir()
    bundle.rename(command.directory / "outer/config")
    (command.directory / "link").symlink_to("outer/config/app.yml")
    for files in (["-f", "outer"], ["-f", "link"], []):
        arguments = ["push", "-i", f"{registry.repository()}:", *files]
        command.silently("imgpkg", *arguments)
        assert command("bundlepipe", *arguments).status == 1
    push = ("push", "-i", f"{registry.repository()}", "-f", "outer/config", "--file-exclusion", ".imgpkg")
    assert command("imgpkg", *push).failed == (
        "imgpkg: Error: Images cannot be pushed with '.imgpkg' directories, consider using --bundle (-b) option\n"
    )


def test_what_imgpkg_takes_as_a_bundle(command: Command, registry: Registry, bundle: Path) -> None:
    push = ("push", "-b", f"{registry.repository()}", "-f", "config")
    (bundle / ".imgpkg/bundle.yml").write_text("a: [")
    command.silently("imgpkg", *push)
    assert "bundle.yml" in command("bundlepipe", *push).failed
    inner = ("-f", "config/.imgpkg")
    assert "multiple bundle definitions" in command("imgpkg", *push, *inner).failed
    assert "direct child of one of: config/.imgpkg; was /" in command("imgpkg", *push[:3], *inner).failed


@pytest.mark.parametrize("content", ["", "a: [", "kind: Other\n"])
def test_a_bundle_that_nobody_can_pull_is_refused(
    command: Command, registry: Registry, bundle: Path, content: str
) -> None:
    (bundle / ".imgpkg/images.yml").write_text(content)
    failed = command("imgpkg", "push", "-b", f"{registry.repository()}", "-f", "config").failed
    assert "config/.imgpkg/images.yml:1:" in failed


def test_the_deprecated_flag(command: Command, registry: Registry, bundle: Path) -> None:
    push = ("imgpkg", "push", "-b", f"{registry.repository()}", "-f", "config", "--file-exclude-defaults")
    told = "Flag --file-exclude-defaults has been deprecated, use '--file-exclusion' instead\n"
    assert command(*push, "app.yml").output == told
    printed = command(*push, "app.yml", "--json").output
    assert printed.startswith(told) and "app.yml" not in printed
    assert "--file-exclude-defaults" not in command("imgpkg", "push", "--help").output


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        (
            "{}",
            f"Validating bundle lock:\n  Validating apiVersion:\n    Unknown version (known: {API_VERSION})",
        ),
        (
            "{apiVersion: imgpkg.carvel.dev/v1alpha1, kind: ImagesLock}",
            "Validating bundle lock:\n  Validating kind:\n    Unknown kind (known: BundleLock)",
        ),
        (
            "{apiVersion: imgpkg.carvel.dev/v1alpha1, kind: BundleLock, bundle: {image: nginx}}",
            "Validating bundle lock:\n  Expected ref to be in digest form, got 'nginx'",
        ),
        (
            "{kind: BundleLock, bundle: {more: 1}}",
            'Unmarshaling bundle lock: error unmarshaling JSON: while decoding JSON: json: unknown field "more"',
        ),
    ],
)
def test_locks_that_are_none(command: Command, lock: str, words: str) -> None:
    (command.directory / "lock.yml").write_text(lock)
    assert command("imgpkg", "pull", "--lock", "lock.yml", "-o", "out").failed == f"imgpkg: Error: {words}\n"
    assert command("bundlepipe", "pull", "--lock", "lock.yml", "-o", "out").failed.startswith("bundlepipe: Error: ")


@pytest.mark.parametrize("tag", ["../../app/manifests/v2", "v1?x=y", "a b"])
def test_a_lock_with_a_tag_that_is_none(command: Command, registry: Registry, bundle: Path, tag: str) -> None:
    """It must not lead to another repository."""
    app, there = registry.repository("app"), registry.repository("there")
    command.silently("imgpkg", "push", "-b", f"{app}:v1", "-f", bundle, "--lock-output", "lock.yml", "--tty=false")
    lock = command.directory / "lock.yml"
    lock.write_text(lock.read_text().replace("tag: v1", f"tag: '{tag}'"))
    error = command("imgpkg", "copy", "--lock", "lock.yml", "--to-repo", str(there)).failed
    assert f"imgpkg: Error: Tagging images:\n  Tagging image {there}@sha256:" in error
    assert (
        command("imgpkg", "tag", "list", "-i", str(app)).output
        == command("imgpkg", "tag", "list", "-i", str(app)).output
    )
    assert "v2" not in command("imgpkg", "tag", "list", "-i", str(app)).output
