"""The real services that tests run against: found where they are installed, else missing in one visible line.

A test that needs one says so with `require("skopeo")`, or takes a fixture that does. What
is missing skips the test, or fails it where BUNDLEPIPE_REQUIRE_SERVICES=1, or =all for what
not every system has a package of. The terminal summary has a line for each thing that is
missing, with the number of tests that were skipped because of it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.builders.buildx import has_buildx
from tests.support.certificates import ServerCertificate

if TYPE_CHECKING:
    from docker.models.containers import Container

MISSING = "missing service: "
# Stands for a registry's directory in its configuration, wherever the registry sees it.
DIRECTORY = "{directory}"

_PROGRAMS = {
    "bash": ("bash",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "docker-client": ("docker",),
    "git": ("git",),
    "gitlab-ci-local": ("gitlab-ci-local",),
    "graphviz": ("dot",),
    "kubectl": ("kubectl",),
    "node": ("node", "nodejs"),
    "nohup": ("nohup",),
    "patch": ("patch",),
    "rsync": ("rsync",),
    "skopeo": ("skopeo",),
    "tinyproxy": ("tinyproxy",),
    "umoci": ("umoci",),
    "qemu-x86_64": ("qemu-x86_64", "qemu-x86_64-static"),
    "busybox": ("busybox",),
}
# What a program that is linked dynamically names in its head.
_INTERPRETER = b"/ld-"
_OTHERS = ("registry", "docker", "ipv6", "buildx", "buildx-platforms", "mermaid")
# Where plugins of docker may be, and which builder buildx uses; tests have a configuration without secrets.
_DOCKER_CONFIG = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
# Plugins of docker, and modules and programs of Node.js, of which Debian 12 has no package, and a browser, of which
# Ubuntu has none.
_NOT_EVERYWHERE = ("buildx", "buildx-platforms", "chromium", "gitlab-ci-local", "mermaid", "node")
_MERMAID_MODULES = ("mermaid", "jsdom")
_REGISTRY_PROGRAMS = ("docker-registry", "registry")
_REGISTRY_IMAGES = ("registry:3", "registry:2", "registry:latest")
_CONTAINER_PORT = 5000
_CONTAINER_DIRECTORY = "/registry"
_LISTENING = re.compile(r"listening on \S*:(\d+)")
_BUILDX_DRIVER = re.compile(r"^Driver:\s+(\S+)$", re.MULTILINE)
_START_SECONDS = 20


def require(service: str) -> None:
    """Skip the test that calls this, or fail it if the service is required, unless `service` is to be had.

    Known are `registry`, `docker` (an Engine that answers), `docker-client` (the program),
    `buildx` (of docker, with an Engine that answers), `buildx-platforms` (where it builds for others),
    `mermaid` (and jsdom, which a program of Node.js finds in NODE_PATH), `chromium`, `graphviz`,
    `bash`, `git`, `gitlab-ci-local`, `kubectl`, `nohup`, `patch`, `rsync`, `skopeo`, `tinyproxy`, `umoci`,
    `qemu-x86_64`, `busybox` (linked statically) and `ipv6` (its loopback address).
    """
    problem = _problem(service)
    if problem is None:
        return
    required = os.environ.get("BUNDLEPIPE_REQUIRE_SERVICES")
    if required == "all" or (required == "1" and service not in _NOT_EVERYWHERE):
        pytest.fail(f"{MISSING}{problem}", pytrace=False)
    pytest.skip(f"{MISSING}{problem}")


def program(service: str) -> str:
    """Return the path of the program of a service that is one, which is required."""
    require(service)
    path = _which(_PROGRAMS[service])
    assert path is not None
    return path


def locate_here(longrepr: tuple[str, int, str]) -> tuple[str, int, str]:
    """Return the location and reason of a skip; for a missing service the location is `require`, so that they fold."""
    _, _, reason = longrepr
    if MISSING not in reason:
        return longrepr
    return str(Path(__file__)), require.__code__.co_firstlineno, reason


def missing_services(reasons: Iterable[str]) -> list[str]:
    """Return a line for each service that is missing here, given the reasons of all skips; none if none was for that.

    A test is skipped for the first thing that it lacks, so what only such tests need has
    no skips of its own, and has a line all the same.
    """
    skips = Counter(reason.partition(MISSING)[2] for reason in reasons if MISSING in reason)
    if not skips:
        return []
    for problem in filter(None, map(_problem, [*_PROGRAMS, *_OTHERS])):
        skips.setdefault(problem, 0)
    return [f"{MISSING}{problem}: {_skipped(count)}" for problem, count in sorted(skips.items())]


def _skipped(count: int) -> str:
    if count == 0:
        return "its tests were skipped for another one"
    return "1 test was skipped" if count == 1 else f"{count} tests were skipped"


def give_plugins(docker_config: Path) -> None:
    """Put the plugins of docker, and what buildx knows of its builders, into a configuration that has nothing else."""
    for name in ("cli-plugins", "buildx"):
        there = _DOCKER_CONFIG / name
        if there.is_dir() and not (docker_config / name).exists():
            (docker_config / name).symlink_to(there)


class Registry:
    """A registry on a port that nobody else uses, with a directory of its own.

    host: `127.0.0.1:PORT`, as references name it; or `[::1]:PORT`, where `address` is that.
    directory: where configuration, log and content are, as well as the files of `tls` and
        `clients`, the certificate of an authority without which a client is not let in.
    """

    def __init__(
        self,
        directory: Path,
        *,
        auth: dict[str, Any] | None = None,
        tls: ServerCertificate | None = None,
        clients: Path | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.directory = directory
        self._address = f"[{address}]" if ":" in address else address
        self._tls = tls
        self._clients = clients
        self._auth = auth
        self._server: _Process | _Container | None = None
        self._names = count(1)
        self._port = 0
        self.start()

    @property
    def host(self) -> str:
        """What references call the registry."""
        return f"{self._address}:{self._port}"

    @property
    def tls(self) -> ServerCertificate:
        """The certificate of a registry that speaks TLS."""
        assert self._tls is not None, "this registry speaks plain HTTP"
        return self._tls

    def repository(self, name: str = "app") -> Repository:
        """Return a repository that no other test has used; `name` may be a path."""
        return Repository(self.host, f"test{next(self._names)}/{name}")

    def blob_file(self, digest: str) -> Path:
        """Return the file in which the registry keeps a blob or manifest."""
        algorithm, _, encoded = digest.partition(":")
        root = self.directory / "content/docker/registry/v2/blobs"
        return root / algorithm / encoded[:2] / encoded / "data"

    def start(self) -> None:
        """Start the registry, on the port that it had before if it was stopped."""
        (self.directory / "content").mkdir(exist_ok=True)
        path = _which(_REGISTRY_PROGRAMS)
        home = self.directory if path else Path(_CONTAINER_DIRECTORY)
        address = f"{self._address}:{self._port}" if path else f":{_CONTAINER_PORT}"
        # JSON is YAML.
        (self.directory / "config.yml").write_text(json.dumps(self._configuration(home, address)))
        self._server = _Process(path, self.directory) if path else _Container(self.directory, self._address, self._port)
        self._port = self._server.port

    def stop(self) -> None:
        """Stop the registry; its content stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _configuration(self, home: Path, address: str) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": address, "secret": "of this test"}
        if self._tls is not None:
            http["tls"] = {"certificate": str(home / self._tls.certificate.name), "key": str(home / self._tls.key.name)}
            if self._clients is not None:
                http["tls"]["clientcas"] = [str(home / self._clients.name)]
        configuration: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(home / "content")},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
            # By default a manifest may not say where a foreign layer is to be had.
            "validation": {"manifests": {"urls": {"allow": ["^https?://"]}}},
        }
        if self._auth:
            configuration["auth"] = json.loads(json.dumps(self._auth).replace(DIRECTORY, str(home)))
        return configuration


class _Process:
    """A registry that is a program of this machine."""

    def __init__(self, path: str, directory: Path) -> None:
        log = directory / "registry.log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [path, "serve", str(directory / "config.yml")], stdout=file, stderr=subprocess.STDOUT
            )
        self.port = self._wait_for_port(log)

    def _wait_for_port(self, log: Path) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            match = _LISTENING.search(log.read_text())
            if match:
                return int(match[1])
            time.sleep(0.005)
        self.stop()
        raise AssertionError(f"the registry did not start: {log.read_text()[-2000:]}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class _Container:
    """A registry that runs in a container of an image that the Docker Engine already has."""

    def __init__(self, directory: Path, address: str, port: int) -> None:
        with _engine() as engine:
            image = next(name for name in _REGISTRY_IMAGES if _has_image(engine, name))
            self._id: str = engine.containers.run(
                image,
                ["serve", f"{_CONTAINER_DIRECTORY}/config.yml"],
                detach=True,
                volumes={str(directory): {"bind": _CONTAINER_DIRECTORY, "mode": "rw"}},
                ports={f"{_CONTAINER_PORT}/tcp": (address.strip("[]"), port or None)},
            ).id
            self.port = self._wait_for_port(engine.containers.get(self._id))

    def _wait_for_port(self, container: Container) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            container.reload()
            log = container.logs()
            ports = container.ports.get(f"{_CONTAINER_PORT}/tcp")
            if ports and _LISTENING.search(log.decode(errors="replace")):
                return int(ports[0]["HostPort"])
            if container.status == "exited":
                break
            time.sleep(0.05)
        log = container.logs()
        self.stop()
        raise AssertionError(f"the registry did not start: {log[-2000:].decode(errors='replace')}")

    def stop(self) -> None:
        with _engine() as engine:
            engine.containers.get(self._id).remove(force=True, v=True)


@functools.cache
def _problem(service: str) -> str | None:
    """Return what is missing for a service, or None if nothing is."""
    if service == "registry":
        return _registry_problem()
    if service == "docker":
        return _engine_problem()
    if service == "ipv6":
        return _ipv6_problem()
    if service == "mermaid":
        return _mermaid_problem()
    if service in ("buildx", "buildx-platforms"):
        return _buildx_problem(several=service == "buildx-platforms")
    programs = _PROGRAMS[service]
    path = _which(programs)
    if path and service == "busybox" and _INTERPRETER in Path(path).read_bytes():
        return "busybox (the one in PATH is not linked statically)"
    return None if path else f"{service} (no {' or '.join(programs)} in PATH)"


@functools.cache
def _mermaid_problem() -> str | None:
    node = _which(_PROGRAMS["node"])
    if node is None:
        return "mermaid (no node in PATH)"
    asked = "; ".join(f"require.resolve('{module}')" for module in _MERMAID_MODULES)
    found = subprocess.run([node, "-e", asked], capture_output=True, check=False).returncode == 0
    return None if found else f"mermaid (node finds no {' and '.join(_MERMAID_MODULES)} in NODE_PATH)"


def _registry_problem() -> str | None:
    if _which(_REGISTRY_PROGRAMS):
        return None
    missing = f"registry (no {' or '.join(_REGISTRY_PROGRAMS)} in PATH, and no Docker Engine with a registry image)"
    if _engine_problem():
        return missing
    with _engine() as engine:
        return None if any(_has_image(engine, name) for name in _REGISTRY_IMAGES) else missing


def _engine_problem() -> str | None:
    problem = "docker (no Docker Engine answers)"
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if address.startswith("unix://") and not _is_listened_at(address.removeprefix("unix://")):
        return problem
    from docker.errors import DockerException

    try:
        with _engine() as engine:
            engine.ping()
    except DockerException:
        return problem
    return None


def _buildx_problem(*, several: bool) -> str | None:
    if not has_buildx():
        return "buildx (docker has no such plugin, or there is no docker in PATH)"
    if _engine_problem():
        return "buildx (no Docker Engine answers)"
    if not several:
        return None
    told = subprocess.run(["docker", "buildx", "inspect"], capture_output=True, text=True, check=False).stdout
    driver = _BUILDX_DRIVER.search(told)
    # That of the Engine makes no layout.
    makes_layouts = driver is not None and driver[1] != "docker"
    return None if makes_layouts else "buildx-platforms (its builder is the Engine's own)"


def _ipv6_problem() -> str | None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return "ipv6 (no loopback address)"
    return None


def _is_listened_at(path: str) -> bool:
    """Look by ourselves: docker-py leaves a socket open, which is a warning, when there is nobody."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    import docker

    client = docker.from_env(timeout=30)
    try:
        yield client
    finally:
        client.close()


def _has_image(engine: Any, name: str) -> bool:
    from docker.errors import ImageNotFound

    try:
        engine.images.get(name)
    except ImageNotFound:
        return False
    return True


def _which(programs: Iterable[str]) -> str | None:
    return next((path for name in programs if (path := shutil.which(name))), None)
