"""The Docker Engine's API: how it is reached, and what its errors amount to.

docker-py speaks to it, and is imported here only when there is something to ask: that takes
about 0.2 s. Sources of what is asked for: Docker Engine API 1.41, and the `docker` program's
order of DOCKER_HOST, DOCKER_CONTEXT and the current context.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bundlepipe.errors import AccessDenied, NotFound, StoreError, Unreachable, one_line
from bundlepipe.stores.settings import docker_directory

if TYPE_CHECKING:
    from docker import APIClient

# Seconds without a byte from the Engine, which may be unpacking a layer or running a step of a build meanwhile.
_TIMEOUT = 3600
_KNOCK_TIMEOUT = 10
_DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
_DEFAULT_CONTEXT = "default"
_ENVIRONMENT = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONFIG")
_USER = re.compile(r"://[^\s/@]*@")
# What a registry redirects to is signed in its query string.
_QUERY = re.compile(r"(\b[a-z]+://[^\s\"'?]*)\?[^\s\"']*")

_lock = threading.Lock()
_clients: dict[tuple[int | str | None, ...], APIClient] = {}


def engine_client() -> APIClient:
    """Return the client of the Engine that the environment names, connected: one for each process.

    Raises Unreachable if no Engine answers, AccessDenied if its socket may not be used,
    StoreError for settings that name no Engine.
    """
    # A forked child must not share its parent's connections.
    key = (os.getpid(), *map(os.environ.get, _ENVIRONMENT))
    with _lock:
        if key not in _clients:
            _clients[key] = _connect()
        return _clients[key]


@contextlib.contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn what docker-py raises into StoreError and its kin, each one line that begins with `what`.

    Exceptions of other kinds pass.
    """
    from docker.errors import APIError, DockerException
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except APIError as error:
        raise _refusal(error, what) from None
    except (RequestException, HTTPError) as error:
        raise Unreachable(f"{what}: the Docker Engine broke off: {_reason(error)}") from None
    except DockerException as error:
        raise StoreError(f"{what}: {engine_words(str(error))}") from None


def engine_words(text: str) -> str:
    """Return what the Engine said as a message shows it: one line, with URLs that have no user and no query."""
    return one_line(_QUERY.sub(r"\1", _USER.sub("://", text)))


def _connect() -> APIClient:
    address = os.environ.get("DOCKER_HOST") or _DEFAULT_ADDRESS
    arguments: dict[str, Any] = {}
    if not os.environ.get("DOCKER_HOST") and _has_configuration():
        arguments = _of_context()
        address = arguments.get("base_url", address)
    if address.startswith("unix://"):
        _knock(address)
    from docker import APIClient
    from docker.errors import DockerException
    from docker.utils import kwargs_from_env

    try:
        return APIClient(**{**kwargs_from_env(), **arguments}, version="auto", timeout=_TIMEOUT)
    except DockerException as error:
        raise _unreachable(address, error) from None


def _has_configuration() -> bool:
    """Tell whether a context can be chosen at all; most machines have none."""
    contexts = os.path.join(docker_directory(os.environ), "contexts")
    return bool(os.environ.get("DOCKER_CONTEXT")) or os.path.isdir(contexts)


def _of_context() -> dict[str, Any]:
    """Return address and TLS of the current docker context; nothing for the default one."""
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name

    name = os.environ.get("DOCKER_CONTEXT") or get_current_context_name()
    if name == _DEFAULT_CONTEXT:
        return {}
    context = ContextAPI.get_context(name)
    if context is None:
        raise StoreError(f"there is no docker context '{name}': see 'docker context ls', or set DOCKER_HOST")
    given = {"base_url": context.Host, "tls": context.TLSConfig}
    return {key: value for key, value in given.items() if value}


def _knock(address: str) -> None:
    """Raise at once if no Engine listens: docker-py takes long to import, and leaves its socket open."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_KNOCK_TIMEOUT)
        try:
            client.connect(address.removeprefix("unix://"))
        except OSError as error:
            raise _unreachable(address, error) from None


def _unreachable(address: str, error: Exception) -> StoreError:
    place = f"cannot reach the Docker Engine at {engine_words(address)} ({_reason(error)})"
    cause = _system_error(error)
    if cause and cause.errno in (errno.EACCES, errno.EPERM):
        return AccessDenied(f"{place}: become a member of the group that owns the socket, or set DOCKER_HOST")
    return Unreachable(f"{place}: start it, or set DOCKER_HOST")


def _refusal(error: Any, what: str) -> StoreError:
    text = f"{what}: {engine_words(error.explanation or str(error))}"
    if error.status_code in (401, 403):
        return AccessDenied(text)
    return NotFound(text) if error.status_code == 404 else StoreError(text)


def _reason(error: Exception) -> str:
    cause = _system_error(error)
    return engine_words((cause.strerror if cause else None) or str(error) or type(error).__name__)


def _system_error(error: BaseException) -> OSError | None:
    """Return the error of the system that requests, urllib3 and docker-py have wrapped."""
    # requests' own exceptions are OSErrors, without a number.
    if isinstance(error, OSError) and error.errno:
        return error
    wrapped = [each for each in (*error.args, error.__cause__, error.__context__) if isinstance(each, BaseException)]
    return next(filter(None, map(_system_error, wrapped)), None)
