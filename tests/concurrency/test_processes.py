"""Other programs: their lines, their ends, and what they leave behind."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable
from bundlepipe.concurrency.processes import run_program
from bundlepipe.errors import ProgramError, ProgramMissing, command_text

# Longer than any test takes: who waits for it to pass fails by the time limit of the call.
LONG = "60"


def shell(script: str, *arguments: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", *arguments]


def lines_of(script: str, *arguments: str) -> list[str]:
    lines: list[str] = []
    assert run_program(shell(script, *arguments), lines.append) == b""
    return lines


def _script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def _is_gone(pid: int) -> bool:
    """Tell whether there is no such process; one that nobody has waited for counts as there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def _ends(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_both_streams_come_as_lines_in_order() -> None:
    assert lines_of("echo out; echo err >&2; echo; echo 'a b'") == ["out", "err", "", "a b"]


def test_lines_come_while_the_program_runs(tmp_path: Path) -> None:
    def go_on(line: str) -> None:
        lines.append(line)
        (tmp_path / f"{line}-was-told").touch()

    lines: list[str] = []
    # Each line is printed only after the one before it was told.
    script = "echo one; until [ -e one-was-told ]; do sleep 0.01; done; echo two >&2"
    run_program(shell(script), go_on, directory=str(tmp_path))
    assert lines == ["one", "two"]


def test_lines_are_told_by_the_thread_that_runs_the_program() -> None:
    threads = set[int]()
    run_program(shell("echo a; echo b"), lambda _: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_captured_output_is_returned_as_it_was_and_only_errors_are_told() -> None:
    lines: list[str] = []
    script = r"printf 'a\r\n\377\0'; echo warning >&2; printf end"
    assert run_program(shell(script), lines.append, captures_output=True) == b"a\r\n\xff\0end"
    assert lines == ["warning"]


def test_much_of_both_streams_is_read_side_by_side() -> None:
    lines: list[str] = []
    script = "i=0; while [ $i -lt 5000 ]; do echo 123456789012345678901234567890; echo $i >&2; i=$((i+1)); done"
    captured = run_program(shell(script), lines.append, captures_output=True)
    assert captured == b"123456789012345678901234567890\n" * 5000
    assert lines == [str(number) for number in range(5000)]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (r"no end", ["no end"]),
        (r"dos\r\nunix\n", ["dos", "unix"]),
        (r"10%%\r50%%\r100%%\ndone\n", ["100%", "done"]),
        (r"10%%\r50%%\r\n", ["50%"]),
        (r"10%%\r50%%\r", ["50%"]),
        (r"\303\251 \377\n", ["é \ufffd"]),
        (r"\303", ["\ufffd"]),
        (r"a\tb\n", ["a       b"]),
        (r"\033[1;31mred\033[0m\033[K\007\n", [r"red\x07"]),
        (r"\n\n", ["", ""]),
        ("", []),
    ],
)
def test_what_a_terminal_would_show_is_told(written: str, lines: list[str]) -> None:
    assert lines_of(f"printf '{written}'") == lines


def test_a_character_or_end_of_line_may_come_in_pieces() -> None:
    script = (
        r"printf '\303'; sleep 0.05; printf '\251\r'; sleep 0.05; printf '\n'; printf 'one\r'; sleep 0.05; echo two"
    )
    assert lines_of(script) == ["é", "two"]


def test_a_line_without_end_is_told_in_pieces_of_bounded_size() -> None:
    pieces: list[str] = []
    program = "import sys\nfor _ in range(100): sys.stdout.write('x' * 10_000)"
    run_program([sys.executable, "-c", program], pieces.append)
    assert "".join(pieces) == "x" * 1_000_000
    assert len(pieces) > 1 and max(map(len, pieces)) <= 2 * 65536


def test_a_failing_program_raises_with_its_status_and_last_lines() -> None:
    lines: list[str] = []
    with pytest.raises(ProgramError, match=r"^/bin/sh -c .* sh: failed with exit status 3: 29$") as caught:
        run_program(shell("i=0; while [ $i -lt 30 ]; do echo $i; i=$((i+1)); done; exit 3"), lines.append)
    assert caught.value.status == 3
    assert caught.value.tail == tuple(str(number) for number in range(10, 30))
    assert len(lines) == 30


def test_a_program_that_a_signal_ends_raises_with_its_number() -> None:
    with pytest.raises(ProgramError, match=r"was ended by signal 9$") as caught:
        run_program(shell("kill -9 $$"), print)
    assert caught.value.status == -signal.SIGKILL


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", "/no/such/program"])
def test_a_missing_program_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match=f"^{name}: no such program"):
        run_program([name], print, directory=str(tmp_path))


def test_a_program_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    no_mode = _script(tmp_path / "no-mode", "#!/bin/sh\n", 0o644)
    no_format = _script(tmp_path / "no-format", "echo hello\n")
    _script(tmp_path / "no-interpreter", "#!/no/such/interpreter\n")
    for command, reason in {
        (no_mode,): "Permission denied",
        (no_format,): "Exec format error",
        ("./no-interpreter",): "the interpreter that its first line names is missing",
        (str(tmp_path),): "Permission denied",
        ("true", "a\0b"): "embedded null byte",
    }.items():
        with pytest.raises(ProgramError, match=f"cannot be started: {reason}$") as caught:
            run_program(command, print, directory=str(tmp_path))
        assert caught.value.status is None


@pytest.mark.parametrize("directory", ["missing", "file"])
def test_a_missing_directory_is_told(directory: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProgramError, match=f"^true: .*/{directory}: no such directory to run it in$"):
        run_program(["true"], print, directory=str(tmp_path / directory))


def test_a_program_runs_in_its_directory_with_variables_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "ours")
    monkeypatch.setenv("BOTH", "ours")
    lines: list[str] = []
    _script(tmp_path / "program", '#!/bin/sh\necho "$PWD $OURS $THEIRS $BOTH"\n')
    run_program(
        ["./program"], lines.append, directory=str(tmp_path), environment={"THEIRS": "theirs", "BOTH": "theirs"}
    )
    run_program(["program"], lines.append, environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert lines == [f"{tmp_path} ours theirs theirs", f"{os.getcwd()} ours  ours"]


def test_a_program_without_input_has_an_empty_one() -> None:
    assert lines_of("cat; echo done") == ["done"]


def test_input_and_output_larger_than_pipes_go_through() -> None:
    content = os.urandom(1_000_000)
    assert run_program(["cat"], print, stdin=content, captures_output=True) == content
    assert run_program(["cat"], print, stdin=b"", captures_output=True) == b""


@pytest.mark.parametrize("script", ["exec <&-; echo done", "head -c 1 >/dev/null; echo done", "echo done"])
def test_a_program_need_not_read_its_input(script: str) -> None:
    assert run_program(shell(script), print, stdin=bytes(1_000_000), captures_output=True) == b"done\n"


@pytest.mark.parametrize("left_running", [f"sleep {LONG}", "yes"], ids=["silent", "chatty"])
def test_what_a_program_leaves_running_is_not_waited_for(left_running: str) -> None:
    lines = lines_of(f"{left_running} & echo pid $!; echo err >&2")
    # They come in the middle of another line where the pipe was full.
    (pid,) = [int(found[1]) for line in lines if (found := re.search("pid ([0-9]+)$", line))]
    assert any(line.endswith("err") for line in lines)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_program_that_closes_its_output_is_still_waited_for(tmp_path: Path) -> None:
    assert lines_of('exec >&- 2>&-; sleep 0.1; : > "$1"', str(tmp_path / "done")) == []
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "script",
    [f"echo $$; exec sleep {LONG}", "echo $$; exec yes", f"echo $$; exec >&- 2>&-; exec sleep {LONG}"],
    ids=["silent", "chatty", "closed"],
)
def test_giving_up_ends_the_program(script: str) -> None:
    stopping = Cancellation()
    pids: list[str] = []

    def stop(line: str) -> None:
        pids.append(line)
        stopping.set()

    with pytest.raises(Cancelled, match="cancelled"):
        cancellable(stopping, lambda: run_program(shell(script), stop))
    assert _is_gone(int(pids[0]))


def test_a_program_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundlepipe.concurrency.processes._GRACE", 0.1)
    stopping = Cancellation()
    pids: list[str] = []

    def stop(line: str) -> None:
        pids.append(line)
        stopping.set()

    with pytest.raises(Cancelled):
        cancellable(stopping, lambda: run_program(shell("trap '' TERM; echo $$; while :; do sleep 0.05; done"), stop))
    assert _is_gone(int(pids[0]))


def test_what_a_taker_of_lines_raises_ends_the_program_and_is_raised() -> None:
    pids: list[str] = []

    def refuse(line: str) -> None:
        pids.append(line)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run_program(shell(f"echo $$; exec sleep {LONG}"), refuse)
    assert _is_gone(int(pids[0]))


def test_programs_run_side_by_side_in_threads_and_leave_nothing_open() -> None:
    def run(number: int) -> tuple[bytes, list[str]]:
        lines: list[str] = []
        return run_program(
            shell('cat; echo "$1" >&2', str(number)),
            lines.append,
            stdin=bytes([number]) * 100_000,
            captures_output=True,
        ), lines

    # What tests before this one left to the collector of garbage may be closed meanwhile.
    gc.collect()
    before = set(os.listdir("/dev/fd"))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(20)))
    assert results == [(bytes([number]) * 100_000, [str(number)]) for number in range(20)]
    assert set(os.listdir("/dev/fd")) <= before


INTERRUPTED = f"""
import os, sys
from bundlepipe.concurrency.processes import run_program
def tell(line):
    print(line, flush=True)
try:
    run_program(["/bin/sh", "-c", "echo $$; exec sleep {LONG}"], tell)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interruption_of_ours_alone_ends_the_program() -> None:
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as output:
        pid = int(output.readline())
        process.send_signal(signal.SIGINT)
        assert output.read() == "interrupted\n"
    assert process.wait(60) == 0
    assert _ends(partial(_is_gone, pid))


def test_commands_are_shown_as_a_shell_takes_them_in_one_line_of_bounded_length() -> None:
    assert command_text(["ko", "build", "./a b", "x\ny"]) == r"ko build './a b' 'x\ny'"
    assert len(command_text(["x" * 1000])) == 200
