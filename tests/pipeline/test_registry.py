"""Pipelines against a real registry: request counts, faults, credentials."""

from __future__ import annotations

import base64
import shutil
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.conftest import WriteDockerConfig
from tests.support.loopback import LoopbackServer
from tests.support.project import Project
from tests.support.proxy import Alter, Cut, Proxy, Respond
from tests.support.registries import PasswordRegistry
from tests.support.services import Registry

DECLARATIONS = """\
bundles:
  base: {files: [base]}
  middle: {files: [middle], lock: {include: [{bundle: base}]}}
  top: {files: [top], lock: {include: [{bundle: middle}]}}
  aside: {files: [aside]}
pulls:
  top: {from: {bundle: top}, to: out, recursive: true}
"""
NAMES = ("base", "middle", "top", "aside")


@pytest.fixture
def project(project: Project, proxy: Proxy, registry: Registry) -> Project:
    """Four bundles, two of them locks of others, to be pushed through the proxy."""
    project.pipeline(DECLARATIONS)
    project.environment["REGISTRY"] = f"{proxy.host}/{registry.repository().path}"
    project.bundle("base")
    project.bundle("aside")
    project.write("middle/config.yml", "kind: Middle\n")
    project.write("top/config.yml", "kind: Top\n")
    return project


def _lose_state(project: Project) -> None:
    shutil.rmtree(project.directory / ".bundlepipe")


@pytest.mark.parametrize("reporter", ["bundlepipe", "console"])
def test_without_state_one_request_a_bundle_and_nothing_else(project: Project, proxy: Proxy, reporter: str) -> None:
    project.doit()
    locks = {name: project.read(f"{name}/.imgpkg/images.yml") for name in NAMES}
    times = {name: (project.directory / name / ".imgpkg/images.yml").stat().st_mtime_ns for name in NAMES}
    _lose_state(project)
    proxy.forget()
    project.doit("-r", reporter)
    assert sorted(proxy.summary()) == sorted(
        f"GET /v2/{project.environment['REGISTRY'].partition('/')[2]}/{name}/manifests/dev 200" for name in NAMES
    )
    assert proxy.tls_attempts <= 1
    assert {name: project.read(f"{name}/.imgpkg/images.yml") for name in NAMES} == locks
    assert {name: (project.directory / name / ".imgpkg/images.yml").stat().st_mtime_ns for name in NAMES} == times


def test_without_state_and_with_processes_the_same_holds(project: Project, proxy: Proxy) -> None:
    project.doit()
    _lose_state(project)
    proxy.forget()
    project.doit("-n", "4", "-P", "process")
    assert proxy.count() == len(NAMES) == proxy.count("GET", "/manifests/dev$")


def test_with_nothing_to_do_no_one_is_asked(project: Project, proxy: Proxy) -> None:
    project.doit("push_bundle", "pull_bundle")
    proxy.forget()
    project.doit("push_bundle", "pull_bundle")
    assert proxy.summary() == [] and proxy.tls_attempts == 0


def test_verify_asks_each_destination_once(project: Project, proxy: Proxy) -> None:
    project.doit()
    proxy.forget()
    assert project.doit("verify=registry").ran == []
    assert proxy.count() == len(NAMES) == proxy.count("GET", "/manifests/dev$")


class Meeting(BaseHTTPRequestHandler):
    """Has nothing; says so to the first who asks at once, and to the others when all have asked."""

    asked = threading.Semaphore(1)
    met = threading.Event()
    others = threading.Barrier(len(NAMES) - 1, met.set)

    def do_GET(self) -> None:
        if not Meeting.asked.acquire(blocking=False):
            Meeting.others.wait(30)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it so)
        """Keep the output of tests clean."""


def test_without_state_destinations_are_asked_side_by_side(project: Project) -> None:
    server = LoopbackServer(Meeting)
    project.environment["REGISTRY"] = f"{server.host}/app"
    # Nothing can be pushed there, which is told after the questions.
    project.doit("push_bundle", status=1)
    assert Meeting.met.is_set()
    server.close()


def test_a_first_push_sends_nothing_twice(project: Project, proxy: Proxy) -> None:
    project.doit("push_bundle:base")
    uploads = [exchange for exchange in proxy.requests if exchange.method == "PUT" and "/uploads/" in exchange.path]
    assert len(uploads) == 2  # layer and configuration
    assert proxy.count() == 1 + 2 * 3 + 2  # the question, HEAD + POST + PUT a blob, two tags


def test_a_busy_registry_is_waited_for(project: Project, proxy: Proxy) -> None:
    proxy.fault("GET", "/manifests/", Respond(429, {"Retry-After": "0"}))
    proxy.fault("POST", "/uploads/", Respond(503))
    proxy.fault("PUT", "/manifests/", Respond(429, {"Retry-After": "0"}))
    run = project.doit()
    assert run.executed >= {f"push_bundle:{name}" for name in NAMES}
    assert "retrying" in run.stderr


def test_a_connection_cut_within_a_blob_is_resumed(project: Project, proxy: Proxy) -> None:
    project.write("top/large.bin", Path(shutil.__file__).read_bytes() * 8)
    project.doit("push_bundle")
    # The first is the configuration, which is shorter.
    proxy.fault("GET", "/blobs/", Cut(5000), skip=1)
    project.doit("pull_bundle")
    assert (project.directory / "out/large.bin").read_bytes() == (project.directory / "top/large.bin").read_bytes()
    assert any("Range" in exchange.headers or "range" in exchange.headers for exchange in proxy.requests)


def test_an_altered_blob_is_an_error_and_the_directory_stays(project: Project, proxy: Proxy) -> None:
    project.doit("push_bundle", "pull_bundle")
    project.write("top/config.yml", "kind: Changed\n")
    project.doit("push_bundle")
    project.write("out/stray", "mine")
    proxy.fault("GET", "/blobs/", Alter(30), times=1000)
    run = project.doit("pull_bundle", status=1)
    assert "Traceback" not in run.output and "top" in run.output
    assert project.read("out/config.yml") == "kind: Top\n" and project.read("out/stray") == "mine"
    assert sorted(path.name for path in project.directory.iterdir() if "out" in path.name) == ["out"]


def test_a_registry_that_is_gone_fails_in_one_line_and_loses_nothing(project: Project, own_registry: Registry) -> None:
    project.environment["REGISTRY"] = own_registry.host
    project.doit()
    _lose_state(project)
    own_registry.stop()
    run = project.doit("--continue", status=None)
    assert run.status != 0 and "Traceback" not in run.output
    assert own_registry.host in run.stdout
    own_registry.start()
    assert set(project.doit().marks.values()) == {"=", "--"} or set(project.doit().marks.values()) == {"--"}


def test_two_pushes_of_one_bundle_at_once_both_succeed(project: Project) -> None:
    import concurrent.futures

    copies = []
    for number in range(2):
        directory = project.directory.parent / f"copy{number}"
        shutil.copytree(project.directory, directory)
        copies.append(Project(directory, project.environment))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda copy: copy.doit(), copies))
    assert copies[0].digest("bundle", "top") == copies[1].digest("bundle", "top")


PASSWORD = "correct-horse-battery"


def test_wrong_credentials_are_named_and_never_shown(
    project: Project, authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig
) -> None:
    host = authenticated_registry.host
    project.environment["REGISTRY"] = host
    no_credentials = project.doit("push_bundle:base", status=1)
    assert host in no_credentials.output and "Traceback" not in no_credentials.output
    auth = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()
    config = docker_config({"auths": {host: {"auth": auth}}})
    run = project.doit("push_bundle:base", status=1, env={"DOCKER_CONFIG": str(config.parent)})
    assert "incorrect username or password" in run.output
    for text in (run.output, *(path.read_text(errors="replace") for path in _files(project.directory))):
        assert PASSWORD not in text and auth not in text


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_right_credentials_come_from_dockers_configuration(
    project: Project, authenticated_registry: PasswordRegistry, docker_config: WriteDockerConfig
) -> None:
    account = authenticated_registry.account
    auth = base64.b64encode(f"{account.username}:{account.password}".encode()).decode()
    config = docker_config({"auths": {authenticated_registry.host: {"auth": auth}}})
    project.environment |= {"REGISTRY": authenticated_registry.host, "DOCKER_CONFIG": str(config.parent)}
    project.doit("push_bundle", "pull_bundle")
    assert project.read("out/config.yml") == "kind: Top\n"
    for path in _files(project.directory):
        assert account.password not in path.read_text(errors="replace")
