"""Credentials in Docker's configuration file, written by `docker login`, `podman login` and `skopeo login`.

The lookup of docker-py is too coarse for registries (repository paths collapse to hosts,
`username`/`password` and `registrytoken` entries are dropped, Docker Hub's other names fail with a
store, a helper may hang forever), so an entry is matched to a repository here, as docker, podman and
go-containerregistry do.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from bundlepipe.errors import StoreError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.oci.reference import DEFAULT_REGISTRY, Repository
from bundlepipe.stores.keychains.credentials import Credentials, host_names
from bundlepipe.stores.keychains.helper_program import run_helper
from bundlepipe.stores.keychains.memory import Memory
from bundlepipe.stores.settings import docker_directory

_HUB_URL = "https://index.docker.io/v1/"


class DockerConfig:
    """Docker's configuration file, or podman's if Docker has none.

    The file is `config.json` in `$DOCKER_CONFIG` (else in `~/.docker`); if that does not exist,
    `$REGISTRY_AUTH_FILE`, then `$XDG_RUNTIME_DIR/containers/auth.json`. It is read on first use,
    and the output of helpers is cached.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._answers = Memory()
        self._reading = threading.Lock()

    @property
    def place(self) -> str:
        """The configuration file, or the paths where none was found."""
        return self._path or " or ".join(f"{path} (absent)" for path in self._candidates())

    def check(self) -> None:
        """Read the configuration file, if there is one; StoreError if it is malformed."""
        with self._reading:
            _ = self._document

    def searched(self, repository: Repository) -> str:
        """Return the configuration file, or the paths where none was found; and how to add credentials."""
        return f"{self.place}; 'docker login {repository.registry}' stores some"

    def find(self, repository: Repository, refused: Credentials | None = None) -> Credentials | None:
        """Return the credentials for a repository: from its helper or the store, else from `auths`.

        Raises StoreError, naming file or helper, if the file is malformed or a helper
        is missing or fails.
        """
        with self._reading:
            document = self._document
        helper = self._helper(document, repository.registry)
        if helper:
            server = _HUB_URL if repository.registry == DEFAULT_REGISTRY else repository.registry
            found = self._answers.get((helper, server), refused, lambda: run_helper(helper, server))
            if found:
                return found
        return self._entry(document, repository)

    def _candidates(self) -> Iterator[str]:
        yield os.path.join(docker_directory(self._environ), "config.json")
        if file := self._environ.get("REGISTRY_AUTH_FILE"):
            yield file
        if runtime := self._environ.get("XDG_RUNTIME_DIR"):
            yield os.path.join(runtime, "containers", "auth.json")

    @cached_property
    def _path(self) -> str | None:
        # An unreadable file must not be treated like a missing one.
        return next((path for path in self._candidates() if not _is_absent(path)), None)

    @cached_property
    def _document(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            with open(anchored(self._path), encoding="utf-8-sig") as file:
                document = json.load(file)
        except OSError as error:
            raise StoreError(f"{self._path}: cannot be read: {error.strerror}") from None
        except json.JSONDecodeError as error:
            raise StoreError(f"{self._path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError):
            raise StoreError(f"{self._path}: not JSON in UTF-8") from None
        if not isinstance(document, dict):
            raise StoreError(f"{self._path}: expected a JSON object")
        return document

    def _section(self, document: dict[str, Any], key: str) -> dict[str, Any]:
        section = document.get(key) or {}
        if not isinstance(section, dict):
            raise StoreError(f"{self._path}: '{key}' is not an object")
        return section

    def _helper(self, document: dict[str, Any], registry: str) -> str:
        hosts = host_names(registry)
        for key, helper in self._section(document, "credHelpers").items():
            if _normalise(key) in hosts:
                return str(helper)
        return str(document.get("credsStore") or "")

    def _entry(self, document: dict[str, Any], repository: Repository) -> Credentials | None:
        """Return the most specific entry that holds anything: a credential store leaves empty ones."""
        entries = {_normalise(key): (key, entry) for key, entry in self._section(document, "auths").items()}
        for name in _names(repository):
            if name in entries:
                found = _parse_entry(*entries[name], source=str(self._path))
                if found:
                    return found
        return None


def _is_absent(path: str) -> bool:
    try:
        os.stat(anchored(path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _normalise(key: str) -> str:
    """Return a key of `auths` or `credHelpers` as HOST[/PATH]: `docker login` has written several formats over time."""
    name = key.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    for suffix in ("/v1", "/v2"):
        name = name.removesuffix(suffix)
    host, slash, path = name.partition("/")
    return f"{host.lower()}{slash}{path}"


def _names(repository: Repository) -> Iterator[str]:
    """Yield the possible keys of an entry for a repository, the most specific first."""
    hosts = host_names(repository.registry)
    parts = repository.path.split("/")
    for length in range(len(parts), -1, -1):
        for host in hosts:
            yield "/".join((host, *parts[:length]))


def _parse_entry(key: str, entry: Any, source: str) -> Credentials | None:
    if not isinstance(entry, dict):
        raise StoreError(f"{source}: the entry '{key}' of 'auths' is not an object")
    username, password = _text(entry, "username"), _text(entry, "password")
    if auth := _text(entry, "auth"):
        username, password = _decode(auth, f"{source}: 'auth' of the entry '{key}'")
    tokens = _text(entry, "identitytoken"), _text(entry, "registrytoken")
    found = Credentials(username, password, *tokens, source, entry=key)
    return found if username or found.identity_token or found.registry_token else None


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _decode(auth: str, what: str) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise StoreError(f"{what} is not base64 of USER:PASSWORD") from None
    if not colon:
        raise StoreError(f"{what} is not base64 of USER:PASSWORD")
    return username, password.rstrip("\0")
