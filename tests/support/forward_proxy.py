"""tinyproxy, a forward proxy that is a program of its own.

Loopback is never asked for through a proxy, so a registry behind one is called `0.0.0.0`:
that is no loopback address, and a connection to it is one to this machine.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from pathlib import Path

from tests.support.registries import Account
from tests.support.services import program

_START_SECONDS = 20
_REQUEST = re.compile(r"Request \(file descriptor \d+\): (\S+) (\S+) HTTP/")


def behind(host: str) -> str:
    """Return what a registry at `127.0.0.1:PORT` is called by those who are to ask a proxy for it."""
    return host.replace("127.0.0.1", "0.0.0.0")


class ForwardProxy:
    """A proxy that runs from its making until `close`; with an `account` it wants to be shown that."""

    def __init__(self, directory: Path, account: Account | None = None) -> None:
        self._account = account
        self._path = program("tinyproxy")
        self._directory = directory
        self._log = directory / "tinyproxy.log"
        # Somebody else may take the port between the search for it and its use.
        for _ in range(5):
            self._port = free_port()
            self._process = self._start()
            if self._is_listening():
                break
        else:
            raise AssertionError(f"tinyproxy did not start: {self._log.read_text()[-2000:]}")

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """What `HTTP_PROXY` has to be, the account included."""
        account = f"{self._account.username}:{self._account.password}@" if self._account else ""
        return f"http://{account}{self.host}"

    @property
    def requests(self) -> list[str]:
        """What it was asked for so far, as `GET http://HOST/PATH` and `CONNECT HOST:PORT`."""
        return [f"{method} {target}" for method, target in _REQUEST.findall(self._log.read_text())]

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        lines = [
            f"Port {self._port}",
            "Listen 127.0.0.1",
            "Allow 127.0.0.1",
            "Timeout 60",
            "MaxClients 100",
            f'LogFile "{self._log}"',
            "LogLevel Connect",
        ]
        if self._account:
            lines.append(f"BasicAuth {self._account.username} {self._account.password}")
        configuration = self._directory / "tinyproxy.conf"
        configuration.write_text("\n".join(lines) + "\n")
        return subprocess.Popen(
            [self._path, "-d", "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _is_listening(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.01)
            else:
                return self._process.poll() is None
        self.close()
        return False


def free_port() -> int:
    """Return a port of loopback at which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
