"""Fixtures for all tests: real registries, faults in front of them, and credentials for them.

Registry processes live as long as the session (with pytest-xdist: one set a worker) and
start when the first test asks for them; a test takes repositories of its own with
`registry.repository()`.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from bundlepipe.stores.opening import Stores
from tests.support.certificates import make_server_certificate
from tests.support.images import World, make_world
from tests.support.project import DODO, FOUR_WAYS, Project
from tests.support.proxy import Proxy
from tests.support.registries import PasswordRegistry, TokenRegistry
from tests.support.secrets import leaks
from tests.support.services import Registry, locate_here, missing_services, require
from tests.support.token_service import TokenService

WriteDockerConfig = Callable[[dict[str, Any]], Path]

_CREDENTIAL_VARIABLES = ("BUNDLEPIPE_ACTIVE_", "BUNDLEPIPE_REGISTRY_", "IMGPKG_", "KBLD_")

# A deadline would measure the machine and its other work, not the code.
settings.register_profile("bundlepipe", deadline=None)
settings.load_profile("bundlepipe")
# Each example takes several times as long if it is measured, and reaches few lines that others do not.
settings.register_profile("measured", parent=settings.get_profile("bundlepipe"), max_examples=15)


# What a skip of a slow test says, for the line that tells how many there were.
_SLOW = "slow: ./doitw test --slow runs it"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let slow tests be asked for, and coverage be measured without what tests start."""
    parser.addoption("--slow", action="store_true", help="run the tests that are marked slow, too")
    parser.addoption(
        "--measure-tests-only",
        action="store_true",
        help="no coverage of the processes that tests start, and fewer examples",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take fewer examples where coverage is measured in a pass before the one that takes all."""
    if config.getoption("--measure-tests-only"):
        settings.load_profile("measured")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests: at the end they would leave other workers with nothing to do."""
    if config.getoption("--slow"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what takes a large part of a minute, unless it is asked for."""
    if item.get_closest_marker("slow") and not item.config.getoption("--slow"):
        pytest.skip(_SLOW)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let what tests start have the signals and the buffers that users' programs have, whatever runs the tests.

    Who runs in the background of a shell ignores Ctrl-C, and hands that on.
    """
    os.environ.pop("PYTHONUNBUFFERED", None)
    if session.config.getoption("--measure-tests-only") and "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the summary fold all skips for want of one service into one line, and no output have a secret in it."""
    report = yield
    leaking = leaks(report.sections)
    if leaking:
        report.outcome = "failed"
        report.sections = [(title, "(not shown)" if title in leaking else text) for title, text in report.sections]
        report.longrepr = f"a secret is in: {', '.join(leaking)}"
    if report.skipped and isinstance(report.longrepr, tuple):
        report.longrepr = locate_here(report.longrepr)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which services were missing, each in a line of its own, and what was left out as slow."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    for line in missing_services(reasons):
        terminalreporter.write_line(line, yellow=True)
    slow = sum(reason.endswith(_SLOW) for reason in reasons)
    if slow:
        left_out = "1 slow test was" if slow == 1 else f"{slow} slow tests were"
        terminalreporter.write_line(f"{left_out} left out: ./doitw test --slow runs what is slow", yellow=True)


@pytest.fixture(scope="session")
def _no_docker_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("no-docker-config")


@pytest.fixture(scope="session")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def _nobody(_no_docker_config: Path, _own_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the credentials, proxies, settings of git and records of whoever runs the tests out of them."""
    monkeypatch.setenv("DOCKER_CONFIG", str(_no_docker_config))
    monkeypatch.setenv("XDG_STATE_HOME", str(_own_state))
    for name in [name for name in os.environ if name.startswith(_CREDENTIAL_VARIABLES)]:
        monkeypatch.delenv(name)
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteDockerConfig:
    """Write Docker's configuration: `docker_config({"auths": {...}})` returns the file, which now is the one in use."""

    def write(document: dict[str, Any]) -> Path:
        path = tmp_path / "docker" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        monkeypatch.setenv("DOCKER_CONFIG", str(path.parent))
        return path

    return write


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry at `registry.host` that asks nobody for credentials, by plain HTTP."""
    require("registry")
    running = Registry(tmp_path_factory.mktemp("registry"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def world(registry: Registry) -> World:
    """A bundle of bundles, spread over repositories of `registry`: to be read only."""
    return make_world(Stores(), registry.repository)


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry of this test's own: `stop` it, `start` it again, alter its files."""
    require("registry")
    directory = tmp_path / "own-registry"
    directory.mkdir()
    running = Registry(directory)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tls_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that speaks TLS, as 127.0.0.1, registry.test and 0.0.0.0; `tls.authority` is whom to trust."""
    require("registry")
    directory = tmp_path_factory.mktemp("tls-registry")
    running = Registry(directory, tls=make_server_certificate(directory, ("127.0.0.1", "registry.test", "0.0.0.0")))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def authenticated_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PasswordRegistry]:
    """A registry with Basic authentication; `account` has username and password."""
    require("registry")
    running = PasswordRegistry(tmp_path_factory.mktemp("authenticated-registry"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def _token_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenRegistry]:
    require("registry")
    directory = tmp_path_factory.mktemp("token-registry")
    service = TokenService(directory)
    running = TokenRegistry(directory, service)
    yield running
    running.stop()
    service.close()


@pytest.fixture
def token_registry(_token_registry: TokenRegistry) -> TokenRegistry:
    """A registry with Bearer authentication.

    Its token service, `tokens`, begins each test anew: `ALICE` of tests.support.registries
    may do everything, everybody may pull from repositories whose path ends in `/public`.
    `tokens.manners` changes that, `tokens.requests` tells what was asked for.
    """
    _token_registry.welcome()
    return _token_registry


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    """A proxy in front of `registry`: counts requests, injects faults (see tests/support/proxy.py)."""
    running = Proxy(registry.host)
    yield running
    running.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[..., Proxy]]:
    """Make further proxies, in front of any registry: `make_proxy(token_registry.host)`."""
    running: list[Proxy] = []

    def make(upstream: str, **options: Any) -> Proxy:
        running.append(Proxy(upstream, **options))
        return running[-1]

    yield make
    for proxy in running:
        proxy.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of its own, without declarations yet."""
    directory = tmp_path / "project"
    directory.mkdir()
    (tmp_path / "home").mkdir()
    made = Project(directory, {"HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": ""})
    made.write("dodo.py", DODO)
    return made


@pytest.fixture(params=FOUR_WAYS)
def way(request: pytest.FixtureRequest, project: Project) -> tuple[str, ...]:
    """The options of one way of running doit; the start method of processes is set in the dodo.py.

    To workers of a fork server all has to be sent, as to those that are spawned.
    """
    method: str = request.param
    if method in ("fork", "forkserver"):
        guard = f"import multiprocessing\nmultiprocessing.set_start_method({method!r}, force=True)\n"
        project.write("dodo.py", guard + DODO)
    return FOUR_WAYS[method]
