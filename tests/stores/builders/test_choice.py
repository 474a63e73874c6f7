"""Images built by a real Docker Engine; buildx is a stand-in here, and real in `verbs/building/test_buildx.py`."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bundlepipe.concurrency.cancellation import Cancellation, Cancelled, cancellable
from bundlepipe.errors import AccessDenied, BundlepipeError, InputError, ProgramError, Unreachable
from bundlepipe.events import Emit, Event, OutputLine, ignore
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.digest import Digest
from bundlepipe.stores.builders.choice import built_image
from bundlepipe.stores.engine.client import engine_client
from bundlepipe.stores.engine.store import EngineStore
from bundlepipe.stores.location import EngineLocation
from bundlepipe.stores.protocol import read_whole
from tests.support.builds import add_shell, image_files, remove_images, write_files
from tests.support.services import require

RunBuild = Callable[..., tuple[dict[str, Any], dict[str, bytes]]]
_RUNS = "FROM scratch\nLABEL %s\nCOPY busybox /bin/sh\nCOPY busybox /bin/sleep\nRUN %s\n"


@pytest.fixture
def label() -> Iterator[str]:
    """A label for images that are gone after the test."""
    require("docker")
    label = f"dev.bundlepipe.test={uuid.uuid4()}"
    yield label
    remove_images(label)


@pytest.fixture
def run_build(label: str) -> RunBuild:
    """Build a context by the Engine; return the configuration and the files of the image."""

    def run(
        directory: Path, dockerfile: str | None = None, *, emit: Emit = ignore, **options: Any
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        request = BuildRequest(BuildContext(str(directory), dockerfile), builder="docker", **options)
        files = request.context.walk()
        key, _, value = label.partition("=")
        with built_image(request, files, {**request.labels, key: value}, emit) as (source, manifest):
            config = json.loads(read_whole(source, manifest.config, 1 << 20))
            return config, image_files(source, manifest)

    return run


def _lines(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, OutputLine)]


def test_an_image_is_built_and_its_output_told(tmp_path: Path, run_build: RunBuild, label: str) -> None:
    write_files(tmp_path, {"Dockerfile": "FROM scratch\nCOPY a /b\nENV X=1\n", "a": "content"})
    events: list[Event] = []

    config, files = run_build(tmp_path, emit=events.append)

    assert files == {"b": b"content"}
    assert config["config"]["Env"][-1] == "X=1"
    assert label.split("=")[0] in config["config"]["Labels"]
    assert "Step 2/4 : COPY a /b" in _lines(events)


def test_options_reach_the_builder(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(
        tmp_path,
        {
            "build/Containerfile": "FROM scratch AS first\nARG A\nARG B\nLABEL a=$A b=$B\nCOPY a /a\n"
            "FROM scratch\nCOPY a /other\n",
            "a": "content",
        },
    )

    config, files = run_build(
        tmp_path,
        "build/Containerfile",
        target="first",
        args={"A": "one"},
        labels={"mine": "yes"},
        platform="linux/amd64",
        no_cache=True,
        raw_options=["--build-arg", "B=two", "--label=raw=r"],
    )

    assert files == {"a": b"content"}
    assert {"a": "one", "b": "two", "mine": "yes", "raw": "r"}.items() <= config["config"]["Labels"].items()
    assert (config["os"], config["architecture"]) == ("linux", "amd64")


def test_without_cache_everything_is_done_again(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(tmp_path, {"Dockerfile": f"FROM scratch\nCOPY a /a\nLABEL x={uuid.uuid4()}\n", "a": "content"})
    cached, afresh = list[Event](), list[Event]()
    run_build(tmp_path)

    run_build(tmp_path, emit=cached.append)
    run_build(tmp_path, emit=afresh.append, no_cache=True)

    assert " ---> Using cache" in _lines(cached)
    assert " ---> Using cache" not in _lines(afresh)


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        (None, {"Dockerfile", "a"}),
        ("# nothing", {".dockerignore", "Dockerfile", "a"}),
        ("Dockerfile", {".dockerignore", "a"}),
        (".dockerignore", {"Dockerfile", "a"}),
        ("*\n!a", {"a"}),
    ],
)
def test_a_build_copies_what_docker_copies(
    tmp_path: Path, run_build: RunBuild, label: str, ignored: str | None, expected: set[str]
) -> None:
    write_files(tmp_path, {"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "content"})
    if ignored:
        write_files(tmp_path, {".dockerignore": ignored})

    _, files = run_build(tmp_path)

    assert set(files) == expected
    if ignored:
        assert files.get(".dockerignore", ignored.encode()) == ignored.encode()
    assert files == _copied_by_docker(tmp_path, label)


def _copied_by_docker(directory: Path, label: str) -> dict[str, bytes]:
    """Return what an image has that the `docker` program builds of a context, by the same builder."""
    command = ["docker", "build", "--quiet", "--label", label, str(directory)]
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    built = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    source = EngineStore(EngineLocation(Digest.parse(built.stdout.strip())))
    return image_files(source, source.manifest)


def test_a_dockerfile_elsewhere_is_not_copied(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(tmp_path, {"Containerfile": "FROM scratch\nCOPY . /\n", "context/a": "content"})

    _, files = run_build(tmp_path / "context", "../Containerfile")

    assert files == {"a": b"content"}


def test_a_dockerfile_that_its_own_ignore_file_hides_is_not_copied(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(
        tmp_path,
        {
            "Dockerfile": "FROM scratch\nCOPY . /\n",
            "Dockerfile.dockerignore": "Dockerfile*",
            ".dockerignore": "a",
            "a": "content",
        },
    )

    _, files = run_build(tmp_path)

    assert set(files) == {"a", ".dockerignore"}


def test_modes_and_links_are_those_of_the_context(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(tmp_path, {"Dockerfile": 'FROM scratch\nCOPY . /\nRUN ["/busybox", "test", "-x", "/link"]\n'})
    add_shell(tmp_path)
    (tmp_path / "link").symlink_to("busybox")

    run_build(tmp_path)


def test_a_failing_step_is_named_with_its_last_words(tmp_path: Path, run_build: RunBuild, label: str) -> None:
    dockerfile = _RUNS % (label, "echo one >&2; printf 'no such thing' >&2; exit 3")
    write_files(add_shell(tmp_path), {"Dockerfile": dockerfile})
    events: list[Event] = []

    with pytest.raises(ProgramError) as failure:
        run_build(tmp_path, emit=events.append)

    assert str(failure.value) == (
        f"docker build of {tmp_path}/Dockerfile: failed in Step 5/6 : "
        "RUN echo one >&2; printf 'no such thing' >&2; exit 3: exit status 3: no such thing"
    )
    assert failure.value.status == 3
    assert failure.value.tail[-2:] == ("one", "no such thing")
    assert "no such thing" in _lines(events)
    assert not _containers("no such thing")


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM scratch\nCOPY gone /\n", r"failed in Step 2/3 : COPY gone /: .*gone.*"),
        ("FROM scratch\nFETCH x\n", r".*dockerfile parse error line 2: unknown instruction: FETCH"),
        ("FROM 127.0.0.1:1/gone:v1\n", r"failed in Step 1/2 : FROM 127\.0\.0\.1:1/gone:v1: .*connection refused.*"),
        ("", r".*Dockerfile.*empty.*"),
    ],
)
def test_what_the_engine_refuses_is_told_in_one_line(
    tmp_path: Path, run_build: RunBuild, dockerfile: str, message: str
) -> None:
    write_files(tmp_path, {"Dockerfile": dockerfile})

    with pytest.raises(BundlepipeError, match=rf"^docker build of {tmp_path}/Dockerfile: {message}$"):
        run_build(tmp_path)


def test_a_target_that_is_not_there_is_told(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(tmp_path, {"Dockerfile": "FROM scratch\n"})

    with pytest.raises(BundlepipeError, match=r"Dockerfile: .*target gone"):
        run_build(tmp_path, target="gone")


def test_what_needs_buildkit_is_refused_before_anything_is_built(tmp_path: Path, run_build: RunBuild) -> None:
    write_files(tmp_path, {"Dockerfile": "FROM scratch\nRUN --mount=type=cache,target=/c x\n"})

    with pytest.raises(InputError) as refusal:
        run_build(tmp_path)

    assert str(refusal.value) == (
        f"{tmp_path}/Dockerfile:2:1: RUN --mount needs BuildKit: install docker buildx, or do without it"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"platform": "linux/amd64,linux/arm64"}, "several platforms needs docker buildx"),
        ({"raw_options": ["--secret", "id=x"]}, "unrecognized arguments: --secret id=x"),
        ({"raw_options": ["--build-arg", "A"]}, "'A': expected KEY=VALUE"),
        ({"raw_options": ["--add-host", "A"]}, "'A': expected HOST:ADDRESS"),
        ({"raw_options": ["--target"]}, "--target: expected one argument"),
    ],
)
def test_options_that_only_buildx_has_are_refused(
    tmp_path: Path, run_build: RunBuild, options: dict[str, Any], message: str
) -> None:
    write_files(tmp_path, {"Dockerfile": "FROM scratch\n"})

    with pytest.raises(BundlepipeError, match=message):
        run_build(tmp_path, **options)


def test_a_build_that_is_given_up_stops_within_its_step(tmp_path: Path, run_build: RunBuild, label: str) -> None:
    marker = str(uuid.uuid4())
    write_files(add_shell(tmp_path), {"Dockerfile": _RUNS % (label, f"echo {marker}; sleep 1000")})
    stopping = Cancellation()

    def stop_once_it_runs(event: Event) -> None:
        if isinstance(event, OutputLine) and event.text == marker:
            stopping.set()

    with pytest.raises(Cancelled):
        cancellable(stopping, lambda: run_build(tmp_path, emit=stop_once_it_runs))

    _wait_until(lambda: not _containers(marker))


def _containers(marker: str) -> list[Any]:
    return [each for each in engine_client().containers(all=True) if marker in each["Command"]]


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        threading.Event().wait(0.05)
    pytest.fail("it did not come to be so")


def test_builds_side_by_side_do_not_meddle(tmp_path: Path, run_build: RunBuild) -> None:
    directories = [
        write_files(tmp_path / str(n), {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": str(n)}) for n in range(4)
    ]

    with ThreadPoolExecutor(4) as pool:
        built = list(pool.map(run_build, directories))

    assert [files for _, files in built] == [{"a": str(n).encode()} for n in range(4)]


@pytest.mark.filterwarnings("ignore:docker-credential-gone not installed")
def test_a_broken_credential_helper_is_told(
    tmp_path: Path, run_build: RunBuild, docker_config: Callable[[dict[str, Any]], Path]
) -> None:
    docker_config({"credsStore": "gone"})
    write_files(tmp_path, {"Dockerfile": "FROM scratch\n"})

    with pytest.raises(AccessDenied, match=r"^credentials for the images to build upon: docker-credential-gone"):
        run_build(tmp_path)


def test_without_an_engine_it_is_told_how_to_get_one(
    tmp_path: Path, run_build: RunBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {"Dockerfile": "FROM scratch\n"})
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
        with pytest.raises(Unreachable, match="start it, or set DOCKER_HOST"):
            run_build(tmp_path)
