"""Run credential helpers, `docker-credential-NAME`, by the protocol of docker-credential-helpers.

A helper may ask the user to unlock something, and it may hang: the wait is reported, and ends after a
limit. Its standard error is shown as it comes.
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
# Seconds: the limit for a helper unless a variable sets another, and how long to wait before reporting.
_LIMIT = 30.0
_SILENCE = 3.0
_GLANCE = 0.2
# The user name that a helper returns when its secret is an identity token.
_TOKEN_USERNAME = "<token>"
_NOT_FOUND = b"credentials not found in native keychain"


def run_helper(helper: str, server: str) -> Credentials | None:
    """Return the credentials that `docker-credential-HELPER` has for a server; None if it has none.

    Raises StoreError, naming the program, if it is missing, fails, returns invalid output, or exceeds
    the time limit; Cancelled if this work is cancelled meanwhile.
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
    """Return the exit status of a helper and its output."""
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
    """Return the message of a failing helper: by its protocol on standard output, which otherwise has credentials."""
    words = one_line(output.decode(errors="replace"))
    return f": {words}" if words and "Secret" not in words else f" with status {status}"
