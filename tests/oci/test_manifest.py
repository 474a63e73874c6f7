from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.errors import InvalidContent
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    Platform,
    PlatformSelection,
    docker_manifest,
)

A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
CONFIG = {"mediaType": OCI_CONFIG, "digest": A, "size": 2}
LAYER = {"mediaType": DOCKER_LAYER, "digest": B, "size": 3}
IMAGE = {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]}
CHILD = {"mediaType": OCI_MANIFEST, "digest": A, "size": 4, "platform": {"os": "linux", "architecture": "amd64"}}
INDEX = {"schemaVersion": 2, "manifests": [CHILD]}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([A, OCI_MANIFEST]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda chance: usual if chance else JSON)


TEXT_LIKE = mostly(st.text(max_size=5))
PLATFORM_LIKE = mostly(
    st.dictionaries(
        st.sampled_from(["os", "architecture", "variant", "os.version", "os.features", "features"]),
        TEXT_LIKE | st.lists(TEXT_LIKE, max_size=2),
    )
)
DESCRIPTOR_LIKE = mostly(
    st.fixed_dictionaries(
        {
            "mediaType": mostly(st.just(OCI_MANIFEST)),
            "digest": mostly(st.just(str(A))),
            "size": mostly(st.integers(0, 9)),
        },
        optional={
            "urls": mostly(st.lists(TEXT_LIKE, max_size=2)),
            "annotations": mostly(st.dictionaries(TEXT_LIKE.filter(lambda key: isinstance(key, str)), TEXT_LIKE)),
            "platform": PLATFORM_LIKE,
        },
    )
)
DESCRIPTORS_LIKE = mostly(st.lists(DESCRIPTOR_LIKE, max_size=2))
MANIFEST_LIKE = st.fixed_dictionaries({"config": DESCRIPTOR_LIKE}, optional={"layers": DESCRIPTORS_LIKE})
INDEX_LIKE = st.fixed_dictionaries({"manifests": DESCRIPTORS_LIKE})


def parse(document: Any, media_type: str | None = None) -> Manifest:
    return Manifest.parse(json.dumps(document).encode(), media_type, "registry.example/a:1")


def refusal(document: Any, media_type: str | None = None) -> str:
    with pytest.raises(InvalidContent) as caught:
        parse(document, media_type)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("media_type", [DOCKER_MANIFEST, OCI_MANIFEST])
def test_an_image_manifest_says_what_it_holds(media_type: str) -> None:
    manifest = parse(IMAGE, media_type)
    assert manifest.media_type == media_type
    assert not manifest.is_index
    assert manifest.config == Descriptor(OCI_CONFIG, A, 2)
    assert manifest.layers == (Descriptor(DOCKER_LAYER, B, 3),)


@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
def test_an_index_says_what_it_holds(media_type: str) -> None:
    manifest = parse(INDEX, media_type)
    assert manifest.is_index
    assert manifest.children == (Descriptor(OCI_MANIFEST, A, 4, platform=Platform("linux", "amd64")),)


def test_the_exact_bytes_are_kept_and_are_the_identity() -> None:
    raw = b' {"config": ' + json.dumps(CONFIG).encode() + b', "schemaVersion":2,  "layers":[]}\n'
    manifest = Manifest.parse(raw, OCI_MANIFEST, "x")
    assert manifest.raw == raw
    assert manifest.digest == Digest.of(raw)
    assert manifest.descriptor == Descriptor(OCI_MANIFEST, Digest.of(raw), len(raw))


def test_the_media_type_in_the_document_comes_before_the_one_declared() -> None:
    assert parse({**IMAGE, "mediaType": OCI_MANIFEST}, DOCKER_MANIFEST).media_type == OCI_MANIFEST


def test_an_oci_document_that_states_no_media_type_is_told_by_its_keys() -> None:
    assert parse(IMAGE).media_type == OCI_MANIFEST
    assert parse(INDEX).media_type == OCI_INDEX
    assert "unsupported manifest media type" in refusal({"schemaVersion": 2, "layers": []})


@pytest.mark.parametrize("media_type", [None, "application/vnd.docker.distribution.manifest.v1+prettyjws"])
def test_docker_schema_1_is_refused_with_a_way_out(media_type: str | None) -> None:
    message = refusal({"schemaVersion": 1, "name": "a", "fsLayers": []}, media_type)
    assert message.startswith("registry.example/a:1: manifests of Docker's schema 1 are not supported; ")
    assert message.endswith("push the image again with a current tool")


def test_a_document_that_is_image_and_index_at_once_is_refused() -> None:
    for both in ({**IMAGE, **INDEX}, {**INDEX, "mediaType": OCI_INDEX, "layers": None}):
        assert refusal(both).endswith(f"'layers' has no place in a manifest of type '{OCI_INDEX}'")
    message = refusal({**IMAGE, **INDEX, "mediaType": OCI_MANIFEST})
    assert message.endswith(f"'manifests' has no place in a manifest of type '{OCI_MANIFEST}'")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff", b"null", b"[]", b'"text"', b"1", b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000]
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidContent, match=r"^x: the manifest is not (JSON|a JSON object)$"):
        Manifest.parse(raw, OCI_MANIFEST, "x")


@pytest.mark.parametrize("media_type", ["application/json", "", 5, ["x"], {}])
def test_other_media_types_are_refused(media_type: Any) -> None:
    document = {"schemaVersion": 2, "mediaType": media_type} if media_type else {"schemaVersion": 2}
    assert "unsupported manifest media type" in refusal(document, "text/plain")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({**IMAGE, "config": None}, "config of the manifest: expected a descriptor, found NoneType"),
        ({**IMAGE, "config": []}, "config of the manifest: expected a descriptor, found list"),
        ({**IMAGE, "config": {"digest": A}}, "config of the manifest: a descriptor needs mediaType, digest and a size"),
        ({**IMAGE, "config": {**CONFIG, "size": -1}}, "a size of 0 or more"),
        ({**IMAGE, "config": {**CONFIG, "size": True}}, "a size of 0 or more"),
        ({**IMAGE, "config": {**CONFIG, "size": 1.0}}, "a size of 0 or more"),
        ({**IMAGE, "config": {**CONFIG, "digest": 5}}, "a descriptor needs mediaType, digest"),
        ({**IMAGE, "config": {**CONFIG, "digest": "sha256:x"}}, "config of the manifest: 'sha256:x': expected 64"),
        ({**IMAGE, "config": {**CONFIG, "digest": "../../etc/passwd"}}, "is not a digest"),
        ({**IMAGE, "layers": [LAYER, {}]}, "layers[1] of the manifest: a descriptor needs"),
        ({**IMAGE, "layers": {"0": LAYER}}, "'layers' is not a list"),
        ({**IMAGE, "layers": [{**LAYER, "urls": "x"}]}, "layers[0] of the manifest: 'urls' is not a list of strings"),
        ({**IMAGE, "layers": [{**LAYER, "urls": [5]}]}, "layers[0] of the manifest: 'urls' is not a list of strings"),
        ({**IMAGE, "config": {**CONFIG, "annotations": ["a"]}}, "'annotations' is not a mapping of strings"),
        ({**IMAGE, "config": {**CONFIG, "annotations": {"a": 1}}}, "config of the manifest: 'annotations' is not a"),
        ({**INDEX, "manifests": [{**CHILD, "platform": "linux"}]}, "'platform' does not name a platform"),
        ({**INDEX, "manifests": [{**CHILD, "platform": {"os": 5}}]}, "manifests[0] of the manifest: 'platform' does"),
        ({**INDEX, "manifests": [{**CHILD, "platform": {"os.features": "x"}}]}, "the features of 'platform' are not"),
        ({**INDEX, "manifests": [{**CHILD, "platform": {"features": [5]}}]}, "the features of 'platform' are not"),
        ({**INDEX, "manifests": "x"}, "'manifests' is not a list"),
        ({**INDEX, "manifests": [{**CHILD, "size": "4"}]}, "manifests[0] of the manifest: a descriptor needs"),
    ],
)
def test_descriptors_that_are_none_are_refused(document: Any, reason: str) -> None:
    assert reason in refusal(document)


def test_an_image_may_have_no_layers() -> None:
    assert parse({**IMAGE, "layers": None}).layers == ()
    assert parse({"schemaVersion": 2, "config": CONFIG}).layers == ()
    assert parse({"schemaVersion": 2, "manifests": None}, OCI_INDEX).children == ()


def test_descriptors_keep_urls_and_annotations() -> None:
    value = {**LAYER, "urls": ["https://example.org/x"], "annotations": {"a": "b"}}
    layer = Descriptor.from_json(value, "x")
    assert layer.urls == ("https://example.org/x",)
    assert layer.annotations == {"a": "b"}
    assert Descriptor.from_json(layer.to_json(), "x") == layer
    assert layer.to_json() == value


def test_every_field_of_a_platform_is_read() -> None:
    platform = {"os": "windows", "architecture": "arm64", "variant": "v8", "os.version": "10.0.1"}
    features = {"os.features": ["win32k"], "features": ["sse4", "aes"]}
    descriptor = Descriptor.from_json({**CHILD, "platform": {**platform, **features}}, "x")
    assert descriptor.platform == Platform("windows", "arm64", "v8", "10.0.1", ("win32k",), ("sse4", "aes"))
    nothing = dict.fromkeys(features)
    assert Descriptor.from_json({**CHILD, "platform": {**platform, **nothing}}, "x").platform == Platform(
        "windows", "arm64", "v8", "10.0.1"
    )


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("windows/amd64:10.0.17763", Platform("windows", "amd64", None, "10.0.17763")),
        ("linux/arm/v7:1", Platform("linux", "arm", "v7", "1")),
    ],
)
def test_platforms_are_written_as_kbld_takes_them(text: str, platform: Platform) -> None:
    assert Platform.parse(text) == platform
    assert str(platform) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux//v7", ":1"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidContent, match=r"is not a platform: expected OS/ARCHITECTURE\[/VARIANT\]"):
        Platform.parse(text)


def test_a_platform_matches_what_names_no_more_than_it_has() -> None:
    found = Platform("linux", "arm", "v7", "1")
    for wanted in ("linux/arm", "linux/arm/v7", "linux/arm:1", "linux/arm/v7:1"):
        assert found.matches(Platform.parse(wanted))
    for wanted in ("linux/arm64", "windows/arm", "linux/arm/v6", "linux/arm:2"):
        assert not found.matches(Platform.parse(wanted))
    assert not Platform("linux", "arm").matches(found)


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        (PlatformSelection(), "any"),
        (PlatformSelection(os="windows"), "os: windows"),
        (PlatformSelection(architecture="arm64"), "architecture: arm64"),
        (PlatformSelection(variant="v8"), "variant: v8"),
        (PlatformSelection(os_version="10.0.1"), "os.version: 10.0.1"),
        (PlatformSelection(os_features=("b", "a")), "os.features: b a"),
        (PlatformSelection(features=("x",)), "features: x"),
        (PlatformSelection(os="windows", architecture="arm64"), "os: windows, architecture: arm64"),
    ],
)
def test_a_platform_selection_matches_by_each_of_its_fields(selection: PlatformSelection, text: str) -> None:
    assert selection.matches(Platform("windows", "arm64", "v8", "10.0.1", ("a", "b", "c"), ("x", "y")))
    other = Platform("linux", "amd64", "v7", "10.0", ("a",), ())
    assert selection.matches(other) is (text == "any")
    assert str(selection) == text


def test_the_manifest_of_an_image_is_written_as_imgpkg_writes_it() -> None:
    manifest = docker_manifest(Descriptor(DOCKER_CONFIG, A, 2), (Descriptor(DOCKER_LAYER, B, 3),))
    assert manifest.raw.decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
        '"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,'
        f'"digest":"{A}"}},'
        '"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":3,'
        f'"digest":"{B}"}}]}}'
    )
    assert Manifest.parse(manifest.raw, DOCKER_MANIFEST, "x") == manifest
    assert manifest.layers == (Descriptor(DOCKER_LAYER, B, 3),)


@given(MANIFEST_LIKE | INDEX_LIKE | JSON, st.sampled_from([None, OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST]))
def test_any_document_is_a_manifest_whose_parts_can_be_used_or_refused(document: Any, media_type: str | None) -> None:
    manifest: Manifest | None = None
    message = ""
    try:
        manifest = parse(document, media_type)
    except InvalidContent as error:
        message = str(error)
    if manifest is None:
        assert message
        assert "\n" not in message
        return
    parts = manifest.children if manifest.is_index else (manifest.config, *manifest.layers)
    for part in parts:
        assert Descriptor.from_json(part.to_json(), "x").digest == part.digest
        assert len({part, part}) == 1
        assert all(isinstance(url, str) for url in part.urls)
        assert part.platform is None or str(part.platform)
