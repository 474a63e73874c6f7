"""build: an image is built once for the same inputs, wherever it goes.

The Engine is a real one. buildx is stood in for: what a program of that name is asked to do is
checked here, that it does it in `test_buildx.py`, where there is one.
"""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, InputError, ProgramError, ProgramMissing, StoreError
from bundlepipe.events import BlobDone, Event, OutputLine
from bundlepipe.oci.builds.context import BuildContext
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import INPUTS_LABEL
from bundlepipe.oci.manifest import DOCKER_CONFIG, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Manifest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.engine.client import engine_client
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.building.build import BuildInputs, Built, build_and_push, inputs_label
from bundlepipe.verbs.tags import is_internal
from tests.support.builds import image_files, remove_images, write_files
from tests.support.images import file_layer, put_bytes, put_document, put_image
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry, require
from tests.support.stand_ins import StandIns

HERE = Reference.parse("layout.localhost/app:v1")


@pytest.fixture
def request_for(tmp_path: Path) -> Iterator[Callable[..., BuildRequest]]:
    """Ask for a build of `tmp_path/context`, which has a Dockerfile and a file `a`; its images are removed."""
    directory = tmp_path / "context"
    write_files(directory, {"Dockerfile": "FROM scratch AS app\nCOPY a /a\n", "a": "content"})
    label = f"dev.bundlepipe.test={uuid.uuid4()}"

    def make(**options: object) -> BuildRequest:
        key, _, value = label.partition("=")
        return BuildRequest(**{"context": BuildContext(str(directory)), "labels": {key: value}, **options})  # type: ignore[arg-type]

    require("docker")
    yield make
    remove_images(label)


def build(request: BuildRequest, destination: Reference, stores: Stores, *tags: str) -> Built:
    return build_and_push(BuildInputs.read(request), destination, stores, tags=tags)


def test_an_image_is_built_into_a_layout_once(request_for: Callable[..., BuildRequest], stores: Stores) -> None:
    first = build(request_for(), HERE, stores, "latest")
    again = build(request_for(), HERE, stores, "latest", "more")

    store = stores.repository(HERE.repository)
    assert (first.was_there, again.was_there) == (False, True)
    assert first.reference == again.reference == HERE.with_digest(store.resolve("v1"))
    assert store.resolve("latest") == store.resolve("more") == first.reference.digest
    assert image_files(store, store.read_manifest("v1")) == {"a": b"content"}
    assert inputs_label(store, store.read_manifest("v1")) == first.inputs.digest


def test_nothing_to_build_takes_two_requests(
    request_for: Callable[..., BuildRequest], registry: Registry, proxy: Proxy
) -> None:
    repository = registry.repository()
    build(request_for(), repository.tagged("v1"), Stores())

    there = Reference.parse(f"{proxy.host}/{repository.path}:v1")
    assert build(request_for(), there, Stores()).was_there

    assert [line.rpartition("/")[0].split("/")[-1] for line in proxy.summary()] == ["manifests", "blobs"], (
        proxy.summary()
    )


def test_a_registry_gets_no_blob_twice(request_for: Callable[..., BuildRequest], registry: Registry) -> None:
    repository = registry.repository()
    build(request_for(), repository.tagged("v1"), Stores())
    events: list[Event] = []

    inputs = BuildInputs.read(request_for(args={"UNUSED": "1"}))
    built = build_and_push(inputs, repository.tagged("v1"), Stores(), emit=events.append)

    assert not built.was_there
    assert sorted(event.how for event in events if isinstance(event, BlobDone)) == ["present", "transferred"]
    tags = list(Stores().repository(repository).list_tags())
    # For each of both: the one that protects it, and the one that its inputs are found by.
    assert sum(map(is_internal, tags)) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"args": {"A": "1"}},
        {"target": "app"},
        {"platform": "linux/amd64"},
        {"labels": {"more": "1"}},
        {"raw_options": ["--no-cache"]},
    ],
)
def test_whatever_decides_the_image_changes_the_digest_of_its_inputs(
    request_for: Callable[..., BuildRequest], options: dict[str, object]
) -> None:
    assert BuildInputs.read(request_for(**options)).digest != BuildInputs.read(request_for()).digest


@pytest.mark.parametrize("options", [{"pull": True}, {"no_cache": True}, {"builder": "docker"}])
def test_how_an_image_is_built_does_not_change_the_digest_of_its_inputs(
    request_for: Callable[..., BuildRequest], options: dict[str, object]
) -> None:
    assert BuildInputs.read(request_for(**options)).digest == BuildInputs.read(request_for()).digest


def test_a_changed_file_is_built_anew(request_for: Callable[..., BuildRequest], stores: Stores, tmp_path: Path) -> None:
    before = build(request_for(), HERE, stores)
    write_files(tmp_path / "context", {"a": "changed"})

    after = build(request_for(), HERE, stores)

    assert not after.was_there
    assert after.reference != before.reference


def test_nothing_is_built_on_an_engine_that_has_nothing(
    request_for: Callable[..., BuildRequest], stores: Stores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build(request_for(), HERE, stores)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")

        assert build(request_for(), HERE, stores).was_there


def test_another_image_under_the_tag_is_replaced(request_for: Callable[..., BuildRequest], stores: Stores) -> None:
    store = stores.repository(HERE.repository, writes=True)
    put_image(store, file_layer("other", "content"), tag="v1")

    assert not build(request_for(), HERE, stores).was_there


def test_an_artifact_under_the_tag_is_another_image(stores: Stores) -> None:
    store = stores.repository(HERE.repository, writes=True)
    config = put_bytes(store, b"no JSON", "application/vnd.example+text").to_json()

    assert inputs_label(store, put_document(store, OCI_MANIFEST, {"config": config, "layers": []})) is None
    assert inputs_label(store, put_document(store, OCI_INDEX, {"manifests": []})) is None


def test_a_destination_that_was_asked_is_not_asked_again(
    request_for: Callable[..., BuildRequest], registry: Registry, proxy: Proxy
) -> None:
    there = Reference.parse(f"{proxy.host}/{registry.repository().path}:v1")
    inputs = BuildInputs.read(request_for())

    build_and_push(inputs, there, Stores(), present=None)

    assert proxy.count("GET", "/manifests/v1") == 0


def test_what_was_built_for_another_tag_is_not_built_again(
    request_for: Callable[..., BuildRequest], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = registry.repository()
    first = build(request_for(), repository.tagged("v1"), Stores())
    build(request_for(args={"UNUSED": "1"}), repository.tagged("v1"), Stores())

    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        again = build(request_for(), repository.tagged("v2"), Stores())

    assert not again.was_there
    assert again.reference == first.reference
    assert Stores().repository(repository).resolve("v2") == first.reference.digest


def test_a_tag_for_inputs_that_cannot_be_moved_stays(
    request_for: Callable[..., BuildRequest], registry: Registry, proxy: Proxy
) -> None:
    there = Reference.parse(f"{proxy.host}/{registry.repository().path}:v1")
    body = b'{"errors":[{"code":"TAG_INVALID","message":"the tag exists and is immutable"}]}'
    proxy.fault("PUT", "inputs.imgpkg", Respond(403, body=body), times=math.inf)

    assert not build(request_for(), there, Stores()).was_there
    assert build(request_for(), there, Stores()).was_there


def test_a_file_that_changes_during_the_build_is_told(
    request_for: Callable[..., BuildRequest], stores: Stores, tmp_path: Path
) -> None:
    def change(event: Event) -> None:
        write_files(tmp_path / "context", {"a": "changed"})

    with pytest.raises(InputError, match=r"context/a changed while it was built; run again"):
        build_and_push(BuildInputs.read(request_for()), HERE, stores, emit=change)

    assert not (tmp_path / "registry").exists()


def test_a_push_that_is_refused_is_an_error(
    request_for: Callable[..., BuildRequest], registry: Registry, proxy: Proxy
) -> None:
    proxy.fault(
        "PUT", "/manifests/", Respond(400, body=b'{"errors": [{"code": "DENIED", "message": "full"}]}'), times=9
    )
    destination = Reference.parse(f"{proxy.host}/{registry.repository().path}:v1")

    with pytest.raises(StoreError, match="full"):
        build(request_for(), destination, Stores())


def test_a_destination_is_no_digest_and_the_label_is_ours(
    request_for: Callable[..., BuildRequest], stores: Stores
) -> None:
    with pytest.raises(BundlepipeError, match="cannot be a digest"):
        build(request_for(), HERE.with_digest(Digest.of(b"")), stores)
    with pytest.raises(BundlepipeError, match=f"label '{INPUTS_LABEL}'"):
        BuildInputs.read(request_for(labels={INPUTS_LABEL: "x"}))


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return StandIns(tmp_path / "bin", monkeypatch)


# Has the classic builder do what buildx is asked for, as far as both have the same options.
_CLASSIC = """
test "$2" = version && exit 0
shift 2
for argument; do
    shift
    case $argument in --progress=*|--load) ;; *) set -- "$@" "$argument" ;; esac
done
DOCKER_BUILDKIT=0 exec {docker} build "$@"
"""


def test_buildx_is_preferred_where_it_is_installed(
    request_for: Callable[..., BuildRequest], stores: Stores, stand_ins: StandIns, tmp_path: Path
) -> None:
    stand_ins.add("docker", _CLASSIC.format(docker=shutil.which("docker")))
    request = request_for(args={"A": "1"}, target="app", pull=False, raw_options=["--no-cache"])
    events: list[Event] = []

    built = build_and_push(BuildInputs.read(request), HERE, stores, emit=events.append)

    store = stores.repository(HERE.repository)
    assert image_files(store, store.read_manifest("v1")) == {"a": b"content"}
    version, call = (call.arguments for call in stand_ins.calls("docker"))
    assert version == ["buildx", "version"]
    name = call[call.index("--tag") + 1]
    directory = str(tmp_path / "context")
    labels = [f"--label={key}={value}" for key, value in request.labels.items()]
    assert call == [
        *("buildx", "build", "--progress=plain", f"--file={directory}/Dockerfile", "--load", "--tag", name),
        *("--build-arg=A=1", *labels, f"--label={INPUTS_LABEL}={built.inputs.digest}", "--target=app"),
        *("--no-cache", "."),
    ]
    assert stand_ins.calls("docker")[1].directory == directory
    assert any(isinstance(event, OutputLine) and event.text.startswith("Step ") for event in events)
    assert not engine_client().images(name)


def test_several_platforms_become_an_index_which_is_there_the_next_time(
    request_for: Callable[..., BuildRequest], stores: Stores, stand_ins: StandIns, tmp_path: Path
) -> None:
    inputs = BuildInputs.read(request_for(platform="linux/amd64,linux/arm64"))
    index = _put_index(LayoutStore(str(tmp_path / "prepared")), inputs.digest)
    copy = f'cp -r {tmp_path}/prepared/. "${{argument##*dest=}}"'
    stand_ins.add("docker", f"for argument; do case $argument in *,dest=*) {copy} ;; esac; done")

    first = build_and_push(inputs, HERE, stores)
    again = build_and_push(inputs, HERE, stores)

    assert first.reference == again.reference == HERE.with_digest(index.digest)
    assert (first.was_there, again.was_there) == (False, True)
    store = stores.repository(HERE.repository)
    assert [image_files(store, store.read_manifest(child.digest)) for child in index.children] == [
        {"amd64": b"content"},
        {"arm64": b"content"},
    ]
    assert "--platform=linux/amd64,linux/arm64" in stand_ins.calls("docker")[-1].arguments


def _put_index(store: LayoutStore, inputs: Digest) -> Manifest:
    children = []
    for architecture in ("amd64", "arm64"):
        layer = file_layer(architecture, "content")
        layers = [put_bytes(store, layer.data, layer.media_type).to_json()]
        config = json.dumps({"config": {"Labels": {INPUTS_LABEL: inputs}}, "rootfs": {"diff_ids": [layer.diff_id]}})
        described = put_bytes(store, config.encode(), DOCKER_CONFIG).to_json()
        child = put_document(store, DOCKER_MANIFEST, {"config": described, "layers": layers}, None)
        children.append({**child.descriptor.to_json(), "platform": {"os": "linux", "architecture": architecture}})
    return put_document(store, OCI_INDEX, {"manifests": children}, "built")


def test_a_build_that_fails_in_buildx_tells_why_and_nothing_of_its_arguments(
    request_for: Callable[..., BuildRequest], stores: Stores, stand_ins: StandIns, tmp_path: Path
) -> None:
    stand_ins.add("docker", 'test "$2" = version || { echo "#5 0.1 no"; echo "ERROR: failed to solve: no"; exit 1; }')

    with pytest.raises(ProgramError) as failure:
        build(request_for(args={"PASSWORD": "secret"}), HERE, stores)

    assert str(failure.value) == (f"docker buildx build of {tmp_path}/context/Dockerfile: ERROR: failed to solve: no")
    assert failure.value.tail[0] == "#5 0.1 no"


def test_buildx_that_is_asked_for_has_to_be_installed(
    request_for: Callable[..., BuildRequest], stores: Stores, stand_ins: StandIns
) -> None:
    stand_ins.add("docker", "exit 1")

    with pytest.raises(ProgramMissing, match="docker buildx: no such program"):
        build(request_for(builder="buildx"), HERE, stores)
