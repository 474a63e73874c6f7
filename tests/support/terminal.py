"""A terminal to run programs on, and what a person sees on it in the end.

    terminal = Terminal()
    status = terminal.run([sys.executable, "-m", "doit"], cwd=directory)
    assert terminal.screen == [". one"]

It obeys what progress bars use, and fails at any other control sequence.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TOKEN = re.compile(r"\x1b\[(?P<arguments>[?0-9;]*)(?P<final>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)


class Terminal:
    """A pseudo terminal; `output` is all that was written to it, `screen` its lines (however many) in the end."""

    def __init__(self, columns: int = 100, rows: int = 40) -> None:
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self._columns = columns
        self.output = ""

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        when: str = "",
        then: int | Callable[[], object] = 0,
    ) -> int:
        """Run a command with its three streams on the terminal.

        Once the output matches the expression `when`, the process gets the signal `then`, or `then` is called.
        """
        controller, device = pty.openpty()
        fcntl.ioctl(device, termios.TIOCSWINSZ, self._size)
        # Variables of whoever runs the tests must not decide what is drawn.
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        environment |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8", **(env or {})}
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdin=device, stdout=device, stderr=device)
        os.close(device)
        received = b""
        # Linux tells by EIO that nobody has the other end any more, macOS by an empty read.
        with contextlib.suppress(OSError):
            while data := os.read(controller, 65536):
                received += data
                self.output = received.decode(errors="replace")
                if then and re.search(when, self.output, re.DOTALL):
                    process.send_signal(then) if isinstance(then, int) else then()
                    then = 0
        os.close(controller)
        return process.wait(60)

    @property
    def drew(self) -> bool:
        """Whether anything moved the cursor."""
        return "\x1b[" in self.output

    @property
    def shows_cursor(self) -> bool:
        """Whether the cursor was left visible."""
        return self.output.rfind("\x1b[?25h") >= self.output.rfind("\x1b[?25l")

    @property
    def screen(self) -> list[str]:
        """The lines that are left, without trailing spaces and empty lines at the end."""
        lines, row, column = [""], 0, 0
        position = 0
        while position < len(self.output):
            token = _TOKEN.match(self.output, position)
            assert token, f"not understood: {self.output[position : position + 10]!r}"
            position = token.end()
            text, final = token["text"], token["final"]
            if final == "A":
                row = max(0, row - int(token["arguments"] or 1))
            elif final == "K":
                assert token["arguments"] == "2"
                lines[row] = ""
            elif final:
                assert final in "mhl", f"not understood: {token[0]!r}"
            elif text == "\r":
                column = 0
            elif text == "\n":
                row += 1
            else:
                row, column = (row, column) if column < self._columns else (row + 1, 0)
                lines += [""] * (row + 1 - len(lines))
                line = lines[row].ljust(column)
                lines[row] = line[:column] + text + line[column + 1 :]
                column += 1
            lines += [""] * (row + 1 - len(lines))
        return "\n".join(line.rstrip() for line in lines).rstrip("\n").split("\n")
