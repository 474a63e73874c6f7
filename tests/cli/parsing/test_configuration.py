"""What `-f` names: files, directories, standard input, URLs."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.cli.parsing.configuration import read_inputs
from bundlepipe.errors import AccessDenied, InputError, NotFound, StoreError, Unreachable
from bundlepipe.events import Event, Retrying
from bundlepipe.stores.http import retries
from bundlepipe.stores.http.fetch import fetch
from bundlepipe.stores.settings import NetworkSettings
from bundlepipe.verbs.images.texts import read_texts
from tests.support.loopback import LoopbackServer

CONFIG = b"image: nginx\n"


class Site(BaseHTTPRequestHandler):
    """A few pages, one of which is there only at the second attempt."""

    attempts = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/moved":
            self._send(302, b"", Location="/config.yml")
        elif path == "/busy":
            with Site.lock:
                Site.attempts += 1
                status = 503 if Site.attempts % 2 else 200
            self._send(status, CONFIG)
        elif path in ("/private", "/token"):
            account = b"me:s@cret" if path == "/private" else b"TOKEN:"
            is_known = self.headers["Authorization"] == f"Basic {b64encode(account).decode()}"
            self._send(200 if is_known else 401, CONFIG)
        else:
            self._send(200 if path == "/config.yml" else 404, CONFIG)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        """Keep the output of tests clean."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(retries, "_FIRST_DELAY", 0.001)
    server = LoopbackServer(Site)
    yield f"http://{server.host}"
    server.close()


@pytest.mark.parametrize("path", ["/config.yml", "/moved", "/busy", "/config.yml?token=x"])
def test_a_url_is_fetched_through_redirects_and_passing_faults(site: str, path: str) -> None:
    assert fetch(site + path) == CONFIG


def test_another_attempt_is_told_with_its_reason(site: str) -> None:
    told: list[Event] = []
    fetch(f"{site}/busy?token=secret", told.append)
    assert [(event.url, event.reason) for event in told if isinstance(event, Retrying)] == [
        (f"{site}/busy", "503 Service Unavailable")
    ]


def test_a_url_that_cannot_be_fetched_is_told_without_what_may_be_secret(site: str) -> None:
    with pytest.raises(NotFound) as caught:
        fetch(f"{site}/gone?token=secret".replace("http://", "http://user:secret@"))
    assert str(caught.value) == f"GET {site}/gone: 404 Not Found"
    for url in ("http://", "http://user:secret@[::1"):
        with pytest.raises(StoreError, match="is no URL: expected https://HOST/PATH") as refused:
            fetch(url)
        assert "secret" not in str(refused.value)


def test_user_and_password_of_a_url_are_sent(site: str) -> None:
    assert fetch(f"{site}/private".replace("http://", "http://me:s%40cret@")) == CONFIG
    assert fetch(f"{site}/token".replace("http://", "http://TOKEN@")) == CONFIG
    with pytest.raises(AccessDenied, match="401 Unauthorized"):
        fetch(f"{site}/private")


def test_a_host_that_does_not_answer_is_told() -> None:
    with pytest.raises(Unreachable) as error:
        fetch("http://127.0.0.1:1/config.yml?token=secret", network=NetworkSettings(tries=1))
    assert str(error.value) == (
        "GET http://127.0.0.1:1/config.yml: cannot connect: Connection refused; gave up after 1 attempt"
    )


def test_inputs_are_files_directories_stdin_and_urls_in_their_order(site: str, tmp_path: Path) -> None:
    for name in ("config.yml", ".imgpkg/images.yml", ".hidden/a.json", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(CONFIG)
    texts = read_inputs([f"{site}/config.yml?a=b", "-", str(tmp_path)], lambda: b"image: stdin\n")
    assert [text.name for text in texts] == [
        f"{site}/config.yml",
        "stdin",
        *(f"{tmp_path}/{name}" for name in (".hidden/a.json", ".imgpkg/images.yml", "config.yml")),
    ]
    assert texts[1].content == b"image: stdin\n"
    # A lock of a task does not search what locks have written.
    assert [text.name for text in read_texts([str(tmp_path)])] == [
        f"{tmp_path}/.hidden/a.json",
        f"{tmp_path}/config.yml",
    ]
    with pytest.raises(InputError, match="gone: no such file or directory"):
        read_inputs([str(tmp_path / "gone")], lambda: b"")
