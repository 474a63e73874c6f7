"""What is left when a command is told to end, or its registry goes away."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundlepipe.stores.opening import Stores
from tests.support.command import Command
from tests.support.images import put_image, random_layer
from tests.support.proxy import Cut, Proxy, Stall
from tests.support.services import Registry
from tests.support.terminal import Terminal

MEGABYTE = 1 << 20
# Seconds: who takes longer has waited for a server that says nothing until that was taken for a fault.
PROMPT = 20


@pytest.fixture
def stalled(registry: Registry, proxy: Proxy) -> tuple[str, str]:
    """An image whose layer does not come, and where that is asked for."""
    repository = registry.repository("large")
    manifest = put_image(Stores().repository(repository, writes=True), random_layer(2 * MEGABYTE, 1), tag="1")
    layer = f"/blobs/{manifest.layers[0].digest}"
    proxy.fault("GET", layer, Stall(3600), times=math.inf)
    return f"{proxy.host}/{repository.path}:1", layer


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("task", ["pull", "copy"])
def test_old_output_stays(
    command: Command, proxy: Proxy, stalled: tuple[str, str], task: str, number: int, status: int
) -> None:
    image, layer = stalled
    out = command.directory / "out"
    if task == "pull":
        out.mkdir()
        (out / "before").write_text("old")
        arguments = ["pull", "-i", image, "-o", "out"]
    else:
        arguments = ["copy", "-i", image, "--to-tar", "out.tar"]
    process = subprocess.Popen(
        ["imgpkg", *arguments],
        cwd=command.directory,
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not proxy.count("GET", layer):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, number)
    stdout, stderr = process.communicate(timeout=PROMPT)
    assert (process.returncode, stdout) == (status, "")
    assert "Traceback" not in stderr
    if task == "pull":
        assert [path.name for path in command.directory.iterdir()] == ["out"]
        assert (out / "before").read_text() == "old"
    else:
        assert not (command.directory / "out.tar").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("parallel", [[], ["-n", "2", "-P", "thread"], ["-n", "2", "-P", "process"]])
def test_tasks_end_with_their_workers(
    command: Command, proxy: Proxy, stalled: tuple[str, str], parallel: list[str], number: int
) -> None:
    image, layer = stalled
    (command.directory / "bundlepipe.yml").write_text(
        "apiVersion: bundlepipe.dev/v1alpha1\n"
        "kind: Pipeline\n"
        f"pulls: {{one: {{from: '{image}', to: out/one}}}}\n"
        f"copies: {{two: {{from: '{image}', to: 'tar:out/two.tar'}}}}\n"
    )
    process = subprocess.Popen(
        ["bundlepipe", "doit", *parallel, "pull_bundle", "copy_bundle"],
        cwd=command.directory,
        env=command.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while proxy.count("GET", layer) < (2 if parallel else 1):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, number)
    # Workers hold the streams as long as they live.
    stdout, stderr = process.communicate(timeout=PROMPT)
    assert process.returncode == 128 + number
    assert re.fullmatch(r"2 interrupted in \d+\.\d s, .*\n", stdout)
    assert "Traceback" not in stderr
    is_told = "interrupted: the next run does what is not finished" in stderr.splitlines()
    assert is_told == (number == signal.SIGINT), stderr
    # The next run takes over what the tar has already.
    assert {path.name for path in command.directory.glob("out/*")} <= {".two.tar.partial"}


def test_registry_that_goes_away(command: Command, own_registry: Registry) -> None:
    repository = own_registry.repository()
    put_image(Stores().repository(repository, writes=True), random_layer(1000, 1), tag="1")
    own_registry.stop()
    result = command("imgpkg", "pull", "-i", f"{repository}:1", "-o", "out", "--registry-retry-count=1")
    assert result.failed == (
        f"imgpkg: Error: registry {own_registry.host}: cannot connect: Connection refused; gave up after 1 attempt\n"
    )
    own_registry.start()
    command.silently("imgpkg", "pull", "-i", f"{repository}:1", "-o", "out")


def test_broken_download_is_resumed_and_told(command: Command, registry: Registry, proxy: Proxy) -> None:
    repository = registry.repository("large")
    manifest = put_image(Stores().repository(repository, writes=True), random_layer(2 * MEGABYTE, 2), tag="1")
    proxy.fault("GET", f"/blobs/{manifest.layers[0].digest}", Cut(MEGABYTE))
    result = command("imgpkg", "pull", "-i", f"{proxy.host}/{repository.path}:1", "-o", "out")
    assert (result.status, result.stdout) == (0, "")
    assert "retrying in" in result.stderr


def test_bars_on_a_terminal(command: Command, tmp_path: Path) -> None:
    (command.directory / "data").write_bytes(os.urandom(3 * MEGABYTE))
    terminal = Terminal(columns=200)
    arguments = ["bundlepipe", "push", "-i", "layout.localhost/data", "-f", "data"]
    assert terminal.run(arguments, cwd=command.directory, env=command.environment({"NO_COLOR": "1"})) == 0
    assert terminal.drew and terminal.shows_cursor
    assert [line.partition("@")[0] for line in terminal.screen] == [
        "file: data",
        "Pushed 'layout.localhost/data",
        "Succeeded",
    ]


def test_colours_are_for_terminals_and_can_be_refused(command: Command) -> None:
    for env, options, is_coloured in (({}, [], True), ({"NO_COLOR": "1"}, [], False), ({}, ["--color=false"], False)):
        terminal = Terminal()
        terminal.run(["bundlepipe", "version", *options], cwd=command.directory, env=command.environment(env))
        assert ("\x1b[32mSucceeded" in terminal.output) == is_coloured
    assert "\x1b" not in command("bundlepipe", "version", "--tty").output


# Gets Ctrl-C while a module is being loaded.
INTERRUPTED_LOADING = """\
import os, signal, sys
wanted = sys.argv.pop(1)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from bundlepipe.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("module", "status", "told"),
    [
        ("bundlepipe.cli.program", -signal.SIGINT, ""),
        ("click", -signal.SIGINT, ""),
        ("bundlepipe.cli.commands.about", 130, "bundlepipe: interrupted\n"),
    ],
)
def test_there_is_no_traceback_while_it_loads(command: Command, module: str, status: int, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_LOADING, module, "version"],
        cwd=command.directory,
        env=command.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    # click ends the line in which a terminal shows ^C.
    assert (done.returncode, done.stdout, done.stderr.lstrip("\n")) == (status, "", told)
