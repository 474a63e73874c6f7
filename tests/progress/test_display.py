"""What is shown of transfers: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bundlepipe.events import BlobAdvanced, BlobDone, BlobStarted, CopyPlanned, Event, HelperAwaited, ImageDone
from bundlepipe.progress.bars import render
from bundlepipe.progress.display import tell_retries
from bundlepipe.progress.phrases import human_size
from bundlepipe.progress.transfers import EventLines, Standing, Transfer, Transfers
from tests.support.project import DODO, Project
from tests.support.proxy import Alter, Cut, Delay, Proxy
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


# Numbers of bytes as people read them.


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (23_449_000, "23.4 MB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (5 * 10**12, "5.0 TB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_sizes_are_read_in_powers_of_a_thousand(size: int, text: str) -> None:
    assert human_size(size) == text


# What events add up to.

SIZES = [0, 1, 10, 1000, 10**9]


def _blob_events(number: int) -> st.SearchStrategy[Event]:
    name, size = digest(number), SIZES[number]
    return st.one_of(
        st.just(BlobStarted(name, size)),
        st.integers(0, 2 * size).map(lambda count: BlobAdvanced(name, count)),
        st.sampled_from(["transferred", "mounted", "present"]).map(lambda how: BlobDone(name, size, how)),
    )


EVENTS = st.lists(
    st.one_of(
        st.just(CopyPlanned(5, len(SIZES), sum(SIZES))),
        st.just(CopyPlanned(1, 1, 1)),
        st.integers(0, len(SIZES) - 1).flatmap(_blob_events),
        st.integers(0, 9).map(lambda number: ImageDone(f"r.example/app@{digest(number)}", "copied")),
    )
)


@given(EVENTS)
def test_no_order_of_events_brings_more_than_everything(events: list[Event]) -> None:
    ticks = iter(range(10**6))
    transfers = Transfers("copy_bundle:one", clock=lambda: next(ticks))
    for event in events:
        transfers.take(event)
        standing = transfers.standing()
        assert 0 <= standing.done <= standing.size
        assert 0 <= standing.images_done <= standing.images
        assert all(0 <= transfer.done <= transfer.size for transfer in standing.running)
        assert standing.speed >= 0


def test_a_transfer_that_starts_again_takes_its_bytes_back() -> None:
    transfers = Transfers("copy_bundle:one")
    seen = []
    for event in (
        CopyPlanned(1, 2, 300),
        BlobStarted(digest(1), 100),
        BlobAdvanced(digest(1), 70),
        BlobStarted(digest(1), 100),
        BlobAdvanced(digest(1), 100),
        BlobDone(digest(1), 100, "transferred"),
        BlobStarted(digest(1), 100),
        BlobDone(digest(1), 100, "transferred"),
        BlobDone(digest(2), 200, "mounted"),
    ):
        transfers.take(event)
        seen.append(transfers.standing().done)
    assert seen == [0, 0, 70, 0, 100, 100, 0, 100, 300]
    assert transfers.standing().size == 300


def test_only_what_was_carried_makes_the_speed() -> None:
    now = [0.0]
    transfers = Transfers("copy_bundle:one", clock=lambda: now[0])
    transfers.take(CopyPlanned(1, 2, 10**9))
    transfers.take(BlobDone(digest(1), 10**9 - 500, "mounted"))
    transfers.take(BlobStarted(digest(2), 500))
    transfers.take(BlobAdvanced(digest(2), 100))
    now[0] = 2.0
    assert transfers.standing().speed == 50
    now[0] = 60.0
    transfers.standing()
    now[0] = 70.0
    assert transfers.standing().speed == 0


def test_threads_add_up() -> None:
    transfers = Transfers("copy_bundle:one")
    transfers.take(CopyPlanned(80, 80, 80 * 1000))

    def transfer(first: int) -> None:
        for number in range(first, first + 10):
            transfers.take(BlobStarted(digest(number), 1000))
            for _ in range(100):
                transfers.take(BlobAdvanced(digest(number), 10))
                assert transfers.standing().done <= 80 * 1000
            transfers.take(BlobDone(digest(number), 1000, "mounted" if number % 2 else "present"))
            transfers.take(ImageDone(digest(number), "copied"))

    _at_once(transfer, range(0, 80, 10))
    standing = transfers.standing()
    assert (standing.done, standing.size, standing.running) == (80_000, 80_000, ())
    assert (standing.mounted, standing.present, standing.images_done, standing.images) == (40, 40, 80, 80)


def _at_once(function: object, values: range) -> None:
    assert callable(function)
    threads = [threading.Thread(target=function, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("events", "matters"),
    [
        ([CopyPlanned(1, 1, 10**9)], False),
        ([CopyPlanned(1, 1, 10**9), BlobDone(digest(1), 10, "present")], False),
        ([CopyPlanned(1, 1, 10**9), BlobDone(digest(1), 10, "mounted")], True),
        ([CopyPlanned(1, 1, 10**9), BlobStarted(digest(1), 10)], True),
        ([BlobStarted(digest(1), 10)], False),
        ([BlobStarted(digest(1), 10**6)], True),
    ],
)
def test_bars_begin_where_there_is_something_to_wait_for(events: list[Event], matters: bool) -> None:
    transfers = Transfers("push_bundle:one", clock=lambda: 0.0)
    for event in events:
        transfers.take(event)
    assert transfers.starts_to_matter() is matters
    assert not transfers.starts_to_matter()


def test_what_is_small_and_slow_gets_bars_as_well() -> None:
    now = [0.0]
    transfers = Transfers("push_bundle:one", clock=lambda: now[0])
    transfers.take(BlobStarted(digest(1), 10))
    assert not transfers.starts_to_matter()
    now[0] = 1.0
    assert transfers.starts_to_matter()


# Lines.


def _lines(*events: Event) -> list[str]:
    told: list[str] = []
    lines = EventLines("copy_bundle:one", told.append)
    for event in events:
        lines.take(event)
    return [line.replace("copy_bundle:one  r.example/", "") for line in told]


def image(number: int, how: str) -> ImageDone:
    return ImageDone(f"r.example/app@sha256:{number}" + 63 * "a", how)


def test_each_image_is_a_line_with_its_task_and_short_digest() -> None:
    told: list[str] = []
    EventLines("copy_bundle:one", told.append).take(image(1, "copied"))
    assert told == ["copy_bundle:one  r.example/app@sha256:1aaaaaaaaaaa  copied"]


def test_images_that_were_there_are_told_once_something_is_transferred() -> None:
    there: list[Event] = [image(1, "present"), image(2, "present"), BlobDone(digest(1), 10, "present")]
    assert _lines(*there) == []
    for change in (BlobDone(digest(2), 10, "mounted"), BlobDone(digest(2), 10, "transferred")):
        assert _lines(*there, change, image(3, "present")) == [
            "app@sha256:1aaaaaaaaaaa  present",
            "app@sha256:2aaaaaaaaaaa  present",
            "app@sha256:3aaaaaaaaaaa  present",
        ]


def test_an_image_is_told_of_once() -> None:
    events = [image(1, "present"), image(2, "present"), image(1, "copied"), image(2, "copied"), image(1, "copied")]
    assert _lines(*events) == ["app@sha256:1aaaaaaaaaaa  copied", "app@sha256:2aaaaaaaaaaa  present"]


def test_blobs_are_no_lines() -> None:
    name = digest(1)
    assert _lines(BlobStarted(name, 10), BlobAdvanced(name, 10), BlobDone(name, 10, "transferred")) == []


# Bars.


def _standing(number: int, transfers: int, images: int = 942) -> Standing:
    running = tuple(Transfer(digest(index), 10**9, 10**8 * index) for index in range(transfers))
    return Standing(f"copy_bundle:{number}", 43 * 10**7, 10**9, 23.4e6, 340, 3, 12, images, running)


def _rendered(standings: list[Standing], lines: int, width: int) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width + 1, height=40)
    for row in render(standings, lines=lines, width=width):
        console.print(row)
    return file.getvalue().splitlines()


def test_a_copy_shows_what_it_is_at() -> None:
    total, details, first, second = _rendered([_standing(1, 2)], 8, 99)
    assert total.split()[0] == "copy_bundle:1" and "━" in total
    assert " 43%  430.0 MB of 1.0 GB  23.4 MB/s  0:00:24 left" in total
    assert details.strip() == "12/942 images, 340 blobs mounted, 3 already there"
    assert first.split()[0] == "sha256:000000000000" and "  0%  0 B of 1.0 GB" in first
    assert " 10%  100.0 MB of 1.0 GB" in second


def test_a_push_has_no_images_to_count() -> None:
    assert len(_rendered([_standing(1, 1, images=0)], 8, 99)) == 2


def test_an_estimate_beyond_all_measure_is_left_out() -> None:
    standing = Standing("copy_bundle:1", 0, 10**18, 1e-3, 0, 0, 0, 1, ())
    assert "left" not in _rendered([standing], 8, 99)[0]


@pytest.mark.parametrize("width", [1, 2, 10, 21, 40, 60, 79, 99, 250])
@pytest.mark.parametrize("tasks", [1, 3, 4, 5, 8, 9, 50])
@pytest.mark.parametrize("transfers", [0, 1, 8])
def test_neither_width_nor_number_breaks_a_line(width: int, tasks: int, transfers: int) -> None:
    standings = [_standing(number, transfers) for number in range(tasks)]
    for lines in (1, 2, 8):
        rows = _rendered(standings, lines, width)
        assert 1 <= len(rows) <= lines
        assert max(map(len, rows)) <= width + 1
        if tasks > lines and width > 20:
            assert rows[-1].strip() == f"and {tasks - lines + 1} more"


def test_transfers_of_all_copies_share_the_room() -> None:
    rows = _rendered([_standing(1, 8), _standing(2, 8)], 8, 99)
    assert [row.split()[0].partition(":")[0] for row in rows] == 2 * ["copy_bundle", "12/942", "sha256", "sha256"]


# Programs on terminals and pipes.

BEGIN = f"""
import multiprocessing, os, signal, sys, threading
sys.path.insert(0, {str(ROOT)!r})
from bundlepipe.events import *
from bundlepipe.progress.display import display, emitter, tell_retries

# Whoever looks at the terminal says by this signal what it has seen.
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
display.begin()
"""
SEEN = """
signal.sigwait({signal.SIGUSR1})
"""
TWO_COPIES = """
rounds = threading.Barrier(3)

def copy(task):
    emit = emitter(f"copy_bundle:{task}")
    emit(CopyPlanned(4, 4, 4_000_000))
    for number in range(4):
        digest = f"sha256:{number}" + 63 * "a"
        rounds.wait(60)
        emit(BlobStarted(digest, 1_000_000))
        for step in range(20):
            emit(BlobAdvanced(digest, 50_000))
            if number == 2 and step == 10:
                rounds.wait(60)
                rounds.wait(60)
            display.write(f"{task} {number} {step}\\n", sys.stdout)
        emit(BlobDone(digest, 1_000_000, "transferred"))
        emit(ImageDone(f"{task}.example/app@{digest}", "copied"))
    display.finish(f"copy_bundle:{task}")

threads = [threading.Thread(target=copy, args=(task,)) for task in ("one", "two")]
for thread in threads:
    thread.start()
for number in range(4):
    rounds.wait(60)
    if number == 2:
        rounds.wait(60)
        if display.draws:
            signal.sigwait({signal.SIGUSR1})
        rounds.wait(60)
    tell_retries(Retrying(f"http://r.example/{number}", "reset", 0.5))
for thread in threads:
    thread.join()
"""
LOADED = """
print("rich" in sys.modules)
"""
ONE_BAR = """
emit = emitter("push_bundle:one")
emit(BlobStarted("sha256:" + 64 * "a", 10_000_000))
"""
WRITTEN = {task: [f"{task} {number} {step}" for number in range(4) for step in range(20)] for task in ("one", "two")}
IMAGES = {
    task: [f"   copy_bundle:{task}  {task}.example/app@sha256:{number}aaaaaaaaaaa  copied" for number in range(4)]
    for task in ("one", "two")
}
RETRIES = [f"   http://r.example/{number}: reset, retrying in 0.5 s" for number in range(4)]


def _command(program: str) -> list[str]:
    return [sys.executable, "-c", BEGIN + program]


def test_two_copies_are_drawn_and_lines_stay_whole(tmp_path: Path) -> None:
    terminal = Terminal()
    seen = "copy_bundle:one .*━.* 63%.* 2/4 images.*sha256:2aaaaaaaaaaa .* 55%.*copy_bundle:two"
    command = _command(TWO_COPIES + "display.end()")
    assert terminal.run(command, cwd=tmp_path, when=seen, then=signal.SIGUSR1) == 0
    assert "copied" not in terminal.output
    for task, lines in WRITTEN.items():
        assert [line for line in terminal.screen if line.startswith(task)] == lines
    assert [line for line in terminal.screen if line.startswith("   http")] == RETRIES
    assert len(terminal.screen) == 2 * 80 + 4
    assert terminal.shows_cursor


@pytest.mark.parametrize("columns", [5, 30, 80])
def test_a_narrow_terminal_is_left_clean(tmp_path: Path, columns: int) -> None:
    terminal = Terminal(columns, rows=4)
    command = _command(TWO_COPIES + "display.end()")
    assert terminal.run(command, cwd=tmp_path, when="c.*\x1b\\[2K", then=signal.SIGUSR1) == 0
    lines = [*WRITTEN["one"], *WRITTEN["two"], *RETRIES]
    # Lines are folded, at spaces too.
    assert sorted("".join(terminal.screen).replace(" ", "")) == sorted("".join(lines).replace(" ", ""))
    assert terminal.shows_cursor


@pytest.mark.parametrize(
    "ending", ["", "raise KeyboardInterrupt", "raise ValueError", "display.finish('push_bundle:one')", "display.end()"]
)
def test_however_a_program_ends_its_bars_are_gone(tmp_path: Path, ending: str) -> None:
    terminal = Terminal()
    command = _command(f"{ONE_BAR}{SEEN}\nsys.excepthook = lambda *error: None\n{ending}")
    terminal.run(command, cwd=tmp_path, when="push_bundle:one .*━", then=signal.SIGUSR1)
    assert "push_bundle:one" in terminal.output
    assert terminal.screen == [""]
    assert terminal.shows_cursor


def test_bars_wait_for_the_end_of_a_line(tmp_path: Path) -> None:
    program = """
for text in ("one ", "line\\n", "[bold]and\\\\[/bold] ", ":smile: 12\\n", "half a"):
    display.write(text, sys.stdout)
    emit(BlobAdvanced("sha256:" + 64 * "a", 10))
"""
    terminal = Terminal()
    command = _command(ONE_BAR + program + SEEN)
    assert terminal.run(command, cwd=tmp_path, when="smile.*━", then=signal.SIGUSR1) == 0
    assert terminal.screen == ["one line", "[bold]and\\[/bold] :smile: 12", "half a"]


def test_what_other_programs_print_stands_above_the_bars(tmp_path: Path) -> None:
    program = "emit(OutputLine('Step 1/2 : FROM [bold]'))\nemitter('apply_config:two')(OutputLine('created'))\n"
    terminal = Terminal()
    command = _command(ONE_BAR + program + SEEN)
    assert terminal.run(command, cwd=tmp_path, when="created.*━", then=signal.SIGUSR1) == 0
    assert terminal.screen == ["   push_bundle:one  Step 1/2 : FROM [bold]", "   apply_config:two  created"]


def test_after_the_end_nothing_is_drawn_or_told(tmp_path: Path) -> None:
    program = "display.end()" + ONE_BAR + "tell_retries(Retrying('http://r.example/', 'reset', 1))"
    terminal = Terminal()
    assert terminal.run(_command(program), cwd=tmp_path) == 0
    assert terminal.output == ""


def test_a_pipe_gets_a_line_an_image_in_the_order_of_everything(tmp_path: Path) -> None:
    finished = subprocess.run(
        _command(TWO_COPIES + LOADED),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=60,
    )
    lines = finished.stdout.splitlines()
    for task in ("one", "two"):
        expected = [line for number in range(4) for line in (*WRITTEN[task][20 * number :][:20], IMAGES[task][number])]
        assert [line for line in lines if line in expected] == expected
    assert [line for line in lines if line in RETRIES] == RETRIES
    assert lines[-1] == "False", "rich was imported for nothing"
    assert len(lines) == 2 * (80 + 4) + 4 + 1


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_lines(tmp_path: Path, term: str) -> None:
    terminal = Terminal()
    assert terminal.run(_command(TWO_COPIES + LOADED), cwd=tmp_path, env={"TERM": term}) == 0
    assert not terminal.drew
    assert {*IMAGES["one"], *IMAGES["two"]} < set(terminal.screen)
    assert terminal.screen[-1] == "False"


def test_what_is_quick_imports_nothing(tmp_path: Path) -> None:
    quick = "emitter('push_image:one')(BlobStarted('sha256:1', 10))" + LOADED
    terminal = Terminal()
    assert terminal.run(_command(quick), cwd=tmp_path) == 0
    assert terminal.output.split() == ["False"]


def test_a_fork_prints_lines_and_leaves_the_bars_to_its_parent(tmp_path: Path) -> None:
    program = """
def work():
    emit = emitter("copy_bundle:forked")
    emit(BlobStarted("sha256:" + 64 * "b", 10_000_000))
    emit(ImageDone("r.example/app", "copied"))

child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
"""
    terminal = Terminal()
    # The bars end first, as two processes cannot share a screen; the state of the display is inherited all the same.
    before = ONE_BAR + SEEN + "display.finish('push_bundle:one')\nassert display.draws\n"
    command = _command(before + program)
    assert terminal.run(command, cwd=tmp_path, when="━", then=signal.SIGUSR1) == 0
    assert terminal.screen == ["   copy_bundle:forked  r.example/app  copied"]
    assert terminal.output.count("\x1b[?25l") == 1


# Runs of doit.


def _declare(project: Project) -> None:
    project.pipeline(
        "images:\n  one: {files: [one]}\n  two: {files: [two]}\n"
        "pulls:\n  one: {from: {image: one}, to: out/one}\n  two: {from: {image: two}, to: out/two}\n"
    )
    for name in ("one", "two"):
        project.write(f"{name}/data", os.urandom(3_000_000))


def _doit(
    project: Project, terminal: Terminal, *arguments: str, when: str = "", then: int | Callable[[], object] = 0
) -> int:
    command = [sys.executable, "-m", "doit", *arguments]
    return terminal.run(command, cwd=project.directory, env=project.environment, when=when, then=then)


class Held:
    """Requests that wait in the proxy, unharmed, until they are let go."""

    def __init__(self, proxy: Proxy, method: str, path: str) -> None:
        self._waiting = threading.Event()
        proxy.fault(method, path, Delay(0), when=lambda _: self._waiting.wait(60) and False)

    def let_go(self) -> None:
        self._waiting.set()


def _is_clean(terminal: Terminal) -> bool:
    return terminal.shows_cursor and "━" not in "".join(terminal.screen)


PARALLEL = pytest.mark.parametrize("parallel", [("-n", "0"), ("-n", "4", "-P", "thread")])


@PARALLEL
def test_pushes_are_drawn_and_leave_their_lines(project: Project, proxy: Proxy, parallel: tuple[str, ...]) -> None:
    project.environment["REGISTRY"] = f"{proxy.host}/drawn-{len(parallel)}"
    _declare(project)
    held = Held(proxy, "PUT", "/blobs/uploads/")
    terminal = Terminal(columns=120)
    assert (
        _doit(project, terminal, *parallel, "push_image", when="push_image:(one|two) .*━.*sha256:", then=held.let_go)
        == 0
    )
    _assert_lines(terminal, "push_image:one", "push_image:two")


@PARALLEL
def test_pulls_are_drawn_and_leave_their_lines(project: Project, proxy: Proxy, parallel: tuple[str, ...]) -> None:
    layers = _push(project, proxy)
    held = Held(proxy, "GET", layers)
    arguments = (*parallel, "pull_bundle")
    terminal = Terminal(columns=120)
    assert _doit(project, terminal, *arguments, when="pull_bundle:(one|two) .*━.*sha256:", then=held.let_go) == 0
    _assert_lines(terminal, "pull_bundle:one", "pull_bundle:two", *PUSHED)
    again = Terminal(columns=120)
    assert _doit(project, again, *arguments) == 0
    assert not again.drew and len(again.screen) == 4


PUSHED = ("push_image:one", "push_image:two")


def _push(project: Project, proxy: Proxy) -> str:
    """Push both images; return an expression for the paths of their layers, which are what takes its time."""
    project.environment["REGISTRY"] = f"{proxy.host}/progress"
    _declare(project)
    project.doit("push_image")
    uploads = [unquote(sent.path) for sent in proxy.requests if sent.method == "PUT" and sent.bytes_up > 1_000_000]
    return (
        "/blobs/(" + "|".join(digest for path in uploads for digest in re.findall(r"sha256:[0-9a-f]{64}", path)) + ")"
    )


def _assert_lines(terminal: Terminal, *tasks: str) -> None:
    assert _is_clean(terminal)
    assert sorted(line.split()[1] for line in terminal.screen) == sorted(tasks)
    assert all(line.startswith((".  p", "-- p")) for line in terminal.screen)


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_worker_processes_never_draw(project: Project, proxy: Proxy, method: str) -> None:
    project.environment["REGISTRY"] = f"{proxy.host}/workers-{method}"
    _declare(project)
    guard = f"import multiprocessing\nmultiprocessing.set_start_method({method!r}, force=True)\n"
    project.write("dodo.py", guard + DODO)
    # Longer than any transfer that gets no bar for being quick.
    proxy.fault("PUT", "/blobs/uploads/", Delay(1))
    terminal = Terminal(columns=120)
    assert _doit(project, terminal, "-n", "4", "-P", "process", "pull_bundle") == 0
    assert not terminal.drew
    assert len(terminal.screen) == 4


def test_pushes_and_pulls_print_nothing_new_on_pipes(project: Project) -> None:
    _declare(project)
    run = project.doit("pull_bundle")
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 4


@PARALLEL
def test_a_failure_leaves_the_terminal_clean(project: Project, proxy: Proxy, parallel: tuple[str, ...]) -> None:
    layers = _push(project, proxy)
    held = Held(proxy, "GET", layers)
    proxy.fault("GET", layers, Alter(1000), times=100)
    terminal = Terminal(columns=300)
    assert _doit(project, terminal, *parallel, "pull_bundle", when="pull_bundle.*━", then=held.let_go) == 1
    assert _is_clean(terminal)
    assert any("arrived with other content" in line for line in terminal.screen)


def test_waiting_is_told_above_the_bars(project: Project, proxy: Proxy) -> None:
    layers = _push(project, proxy)
    proxy.fault("GET", layers, Cut(0), times=2)
    held = Held(proxy, "GET", layers)
    terminal = Terminal(columns=300)
    told = "retrying in.*retrying in.*━"
    assert _doit(project, terminal, "-n", "0", "pull_bundle:one", when=told, then=held.let_go) == 0
    assert _is_clean(terminal)
    assert len([line for line in terminal.screen if line.startswith("   http") and "retrying in" in line]) == 2
    assert terminal.screen[-1].startswith(".  pull_bundle:one")


@PARALLEL
def test_an_interrupted_run_gives_the_cursor_back(project: Project, proxy: Proxy, parallel: tuple[str, ...]) -> None:
    layers = _push(project, proxy)
    proxy.fault("GET", layers, Delay(3), times=100)
    terminal = Terminal(columns=120)
    assert _doit(project, terminal, *parallel, "pull_bundle", when="pull_bundle.*━", then=signal.SIGINT) != 0
    assert "\x1b[?25l" in terminal.output
    assert _is_clean(terminal)
    assert terminal.screen[-1] == "interrupted: the next run does what is not finished"
    assert "Traceback" not in terminal.output


def test_another_reporter_keeps_its_output_to_itself(project: Project) -> None:
    _declare(project)
    terminal = Terminal()
    assert _doit(project, terminal, "-r", "json", "-n", "0", "push_image:one") == 0
    assert not terminal.drew
    assert {task["name"] for task in json.loads("".join(terminal.screen))["tasks"]} >= {"push_image:one"}


def test_a_credential_helper_that_takes_long_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    tell_retries(HelperAwaited("docker-credential-slow", "r.example", 30.0))
    assert capfd.readouterr().err == (
        "   waiting up to 30 s for docker-credential-slow to return credentials for r.example\n"
    )
