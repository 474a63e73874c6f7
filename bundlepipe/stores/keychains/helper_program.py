"""Programs that hold credentials, `docker-credential-NAME`, by the protocol of docker-credential-helpers.

One may ask somebody to unlock something, and one may hang: that it is waited for is told, and
after a limit it is given up. What it writes to standard error is seen as it comes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import subprocess
import time

from bundlepipe.concurrency.cancellation import raise_if_cancelled
from bundlepipe.errors import StoreError, one_line, quoted
from bundlepipe.events import HelperAwaited, emit_here
from bundlepipe.stores.keychains.credentials import Credentials

LIMIT_VARIABLE = "BUNDLEPIPE_CREDENTIAL_HELPER_TIMEOUT"
# Seconds: how long a helper may take unless the variable says another limit, and how long nobody need be told.
_LIMIT = 30.0
_SILENCE = 3.0
_GLANCE = 0.2
# What a helper gives as user name when its secret is an identity token.
_TOKEN_USERNAME = "<token>"
_NOT_FOUND = b"credentials not found in native keychain"


def run_helper(helper: str, server: str) -> Credentials | None:
    """Return what the program `docker-credential-HELPER` holds for a server; None if it holds nothing.

    Raises StoreError, naming the program, if it is missing, fails, answers nonsense, or does not
    answer in time; Cancelled if this work is given up meanwhile.
    """
    program = f"docker-credential-{helper}"
    what = f"credentials for {server}: the helper '{program}'"
    path = shutil.which(program)
    if path is None:
        raise StoreError(f"{what}, which Docker's configuration names, is not in PATH")
    status, output = _answer(path, program, server, what)
    if status:
        if _NOT_FOUND in output:
            return None
        raise StoreError(f"{what} failed{_words(status, output)}")
    try:
        answer = json.loads(output)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{what} did not answer with credentials") from None
    if not username and not secret:
        return None
    if username == _TOKEN_USERNAME:
        return Credentials(identity_token=secret, source=program)
    return Credentials(username, secret, source=program)


def _answer(path: str, program: str, server: str, what: str) -> tuple[int, bytes]:
    """Return the exit status of a helper and what it wrote."""
    limit = _limit()
    try:
        process = subprocess.Popen([path, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        raise StoreError(f"{what} cannot be started: {error.strerror}") from None
    started, told = time.monotonic(), False
    given: bytes | None = server.encode()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(given, min(_GLANCE, limit))
                return process.returncode, output
            given = None  # sent already
            raise_if_cancelled()
            waited = time.monotonic() - started
            if waited >= limit:
                raise StoreError(
                    f"{what} did not answer within {limit:g} s and was ended: run '{program} get' by hand to see what "
                    f"it waits for, or set {LIMIT_VARIABLE} to more seconds"
                )
            if not told and waited >= min(_SILENCE, limit / 2):
                told = True
                emit_here(HelperAwaited(program, server, limit))
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    if process.poll() is None:
        process.kill()
        process.wait()


def _limit() -> float:
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return _LIMIT
    with contextlib.suppress(ValueError):
        limit = float(text)
        if limit > 0 and math.isfinite(limit):
            return limit
    raise StoreError(f"{LIMIT_VARIABLE}: {quoted(text)} is not a limit: expected a number of seconds above 0")


def _words(status: int, output: bytes) -> str:
    """Return what a failing helper said: by its protocol that is on standard output, where credentials go otherwise."""
    words = one_line(output.decode(errors="replace"))
    return f": {words}" if words and "Secret" not in words else f" with status {status}"
