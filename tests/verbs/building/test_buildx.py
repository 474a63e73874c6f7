"""Images built by the real `docker buildx`, where it is installed, whichever builder it uses.

Elsewhere a stand-in has what it is asked for (`test_build.py`). Nothing here needs a base image.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundlepipe.errors import ProgramError
from bundlepipe.events import Event, OutputLine
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.labels import INPUTS_LABEL, labels_of
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.engine.client import engine_client
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import read_whole
from bundlepipe.verbs.building.build import BuildInputs, Built, build_and_push
from tests.support.builds import add_shell, image_files, remove_images, write_files
from tests.support.services import Registry, give_plugins, require

HERE = Reference.parse("layout.localhost/app:v1")
DOCKERFILE = "FROM scratch AS base\nARG WHAT=a\nCOPY $WHAT /it\nFROM base AS more\nCOPY b /b\n"

RequestFor = Callable[..., BuildRequest]


@pytest.fixture
def request_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RequestFor]:
    """Ask buildx for a build of `tmp_path/context`; its images are removed from the Engine."""
    (tmp_path / "docker").mkdir()
    give_plugins(tmp_path / "docker")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    require("buildx")
    directory = write_files(tmp_path / "context", {"Dockerfile": DOCKERFILE, "a": "one", "b": "two"})
    label = f"dev.bundlepipe.test={uuid.uuid4()}"

    def make(**options: object) -> BuildRequest:
        key, _, value = label.partition("=")
        defaults = {"context": BuildContext(str(directory)), "labels": {key: value}, "builder": "buildx"}
        return BuildRequest(**{**defaults, **options})  # type: ignore[arg-type]

    yield make
    remove_images(label)


def _build(request: BuildRequest, destination: Reference, stores: Stores, events: list[Event] | None = None) -> Built:
    return build_and_push(
        BuildInputs.read(request), destination, stores, emit=events.append if events is not None else lambda event: None
    )


def test_an_image_is_built_once_and_is_what_was_asked_for(request_for: RequestFor, stores: Stores) -> None:
    request = request_for(target="base", args={"WHAT": "b"}, raw_options=["--no-cache"])
    events: list[Event] = []
    first = _build(request, HERE, stores, events)
    again = _build(request, HERE, stores)

    store = stores.repository(HERE.repository)
    manifest = store.read_manifest("v1")
    assert (first.was_there, again.was_there, first.reference) == (False, True, again.reference)
    assert not manifest.is_index, "attestations would make an index of it"
    assert image_files(store, manifest) == {"it": b"two"}
    labels = labels_of(read_whole(store, manifest.config, 1 << 20), "image")
    assert labels == {**request.labels, INPUTS_LABEL: first.inputs.digest}
    assert any(isinstance(event, OutputLine) and event.text.startswith("#1 ") for event in events)


def test_the_last_target_is_the_default(request_for: RequestFor, registry: Registry) -> None:
    to = registry.repository().tagged("v1")
    _build(request_for(), to, Stores())
    store = Stores().repository(to.repository)
    assert image_files(store, store.read_manifest("v1")) == {"it": b"one", "b": b"two"}


def test_no_name_is_left_in_the_engine(request_for: RequestFor, stores: Stores) -> None:
    before = _names()
    _build(request_for(), HERE, stores)
    assert _names() <= before


def _names() -> set[str]:
    return {name for image in engine_client().images() for name in image["RepoTags"] or ()}


def test_several_platforms_become_an_index(request_for: RequestFor, stores: Stores) -> None:
    """The Engine's own builder makes none, unless it keeps its images in containerd."""
    require("buildx-platforms")
    request = request_for(platform="linux/amd64,linux/arm64")
    built = _build(request, HERE, stores)

    store = stores.repository(HERE.repository)
    index = store.read_manifest("v1")
    assert built.reference.digest == index.digest
    platforms = [child.platform for child in index.children]
    assert [(each.os, each.architecture) for each in platforms if each] == [("linux", "amd64"), ("linux", "arm64")]
    for child in index.children:
        assert image_files(store, store.read_manifest(child.digest)) == {"it": b"one", "b": b"two"}
    assert _build(request, HERE, stores).was_there


def test_a_build_that_fails_tells_why_and_nothing_of_its_arguments(
    request_for: RequestFor, stores: Stores, tmp_path: Path
) -> None:
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\nARG PASSWORD\nCOPY absent /\n")
    with pytest.raises(ProgramError) as failure:
        _build(request_for(args={"PASSWORD": "secret"}), HERE, stores)
    assert str(failure.value).startswith(f"docker buildx build of {tmp_path}/context/Dockerfile: ERROR: ")
    assert "absent" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_what_a_step_prints_is_told(request_for: RequestFor, stores: Stores, tmp_path: Path) -> None:
    add_shell(tmp_path / "context")
    (tmp_path / "context/Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/sh\nRUN ["/bin/sh", "-c", "echo told by a step"]\n'
    )
    events: list[Event] = []
    _build(request_for(raw_options=["--network=none", "--no-cache"]), HERE, stores, events)
    assert any(isinstance(event, OutputLine) and event.text.endswith("told by a step") for event in events)
