"""What bundles consist of: the output to the byte, where images are looked for, and how many requests it takes."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from bundlepipe.documents.imgpkg.image_locations import ImageLocation, ImageLocations
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.errors import AccessDenied, BundlepipeError, InvalidContent, NotFound
from bundlepipe.events import BlobDone, Event
from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.location import LayoutLocation
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import read_whole
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.describing.describe import describe
from bundlepipe.verbs.describing.description import (
    BundleDescription,
    ImageDescription,
    ImageType,
    text_blocks,
    to_json,
    to_text,
    to_yaml,
    yaml_as_imgpkg,
)
from bundlepipe.verbs.push import PushRequest, push
from bundlepipe.verbs.shared.bundles import internal_tag, locations_tag
from bundlepipe.verbs.shared.image_locations import make_locations
from tests.support.images import cosign_tag, file_layer, put_cosign, put_image, put_index
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry

BUNDLE_YML = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: Bundle\nmetadata: {name: my-app}\n"
NAMED = re.compile(r"/v2/(?P<repository>.+)/(?P<what>manifests|blobs|tags)/(?P<identifier>[^?]+)")


class Place:
    """A registry host, asked through `stores`, with repositories of this test's own."""

    def __init__(self, stores: Stores, host: str, prefix: str) -> None:
        self.stores = stores
        self._host = host
        self._prefix = prefix

    def repository(self, name: str) -> Repository:
        return Repository(self._host, f"{self._prefix}/{name}")

    def image(self, name: str, content: str = "", *, layers: int = 1) -> Reference:
        repository = self.repository(name)
        parts = [file_layer(f"{name}{number}", content) for number in range(layers)]
        manifest = put_image(self.stores.repository(repository, writes=True), *parts, tag="v1")
        return repository.at(manifest.digest)

    def bundle(
        self,
        name: str,
        images: Mapping[Reference, Mapping[str, str]] | Iterable[Reference] = (),
        files: Mapping[str, str] | None = None,
    ) -> Reference:
        annotated = images if isinstance(images, Mapping) else {image: {} for image in images}
        lock = ImagesLock(tuple(ImageRef(image, dict(texts)) for image, texts in annotated.items()))
        repository = self.repository(name)
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / ".imgpkg").mkdir()
            (Path(directory) / ".imgpkg/images.yml").write_bytes(lock.to_bytes())
            for path, content in {"name": name, **(files or {})}.items():
                (Path(directory) / path).write_text(content)
            pushed = push(PushRequest(Inputs([directory]), repository.tagged("v1"), is_bundle=True), self.stores)
        return pushed.reference

    def manifest(self, reference: Reference) -> Manifest:
        return self.stores.repository(reference.repository).read_manifest(reference.identifier)

    def bring(self, image: Reference, repository: Repository) -> Reference:
        """Copy an image or bundle into another repository."""
        source, target = (self.stores.repository(where, writes=True) for where in (image.repository, repository))
        manifest = self.manifest(image)
        for blob in (manifest.config, *manifest.layers):
            content = read_whole(source, blob, 1 << 20)
            target.put_blob(blob, lambda content=content: io.BytesIO(content))  # type: ignore[misc]
        target.put_manifest(manifest, internal_tag(manifest.digest))
        return repository.at(manifest.digest)

    def locate(self, bundle: Reference, images: Mapping[Reference, bool]) -> Manifest:
        """Leave the image-locations image of a bundle beside it; `images` says which are bundles."""
        store = self.stores.repository(bundle.repository, writes=True)
        locations = tuple(ImageLocation(image, is_bundle) for image, is_bundle in images.items())
        manifest, blobs = make_locations(ImageLocations(locations))
        for blob in (manifest.config, *manifest.layers):
            store.put_blob(blob, lambda blob=blob: io.BytesIO(blobs[blob.digest]))  # type: ignore[misc]
        store.put_manifest(manifest, internal_tag(manifest.digest))
        store.put_manifest(manifest, locations_tag(_digest(bundle)))
        return manifest


def _digest(reference: Reference) -> Digest:
    assert reference.digest
    return reference.digest


def _layer(manifest: Manifest) -> Digest:
    (layer,) = manifest.layers
    return layer.digest


@pytest.fixture
def place(registry: Registry, proxy: Proxy) -> Place:
    """Repositories of a registry behind `proxy`."""
    return Place(Stores(), proxy.host, registry.repository().path)


@pytest.fixture
def local(tmp_path: Path) -> Place:
    """Repositories of a host that is backed by layouts."""
    return Place(
        Stores({"registry.example": RegistrySettings(layout=str(tmp_path / "registry"))}), "registry.example", "x"
    )


def _asked(proxy: Proxy) -> list[tuple[str, str, str]]:
    """Return what requests were about: repository, manifests, blobs or tags, and which one."""
    matches = [NAMED.fullmatch(exchange.path.partition("?")[0]) for exchange in proxy.requests]
    return [(match["repository"], match["what"], match["identifier"]) for match in matches if match]


def _kinds(proxy: Proxy) -> Counter[str]:
    return Counter(what for _, what, _ in _asked(proxy))


def _relocated(place: Place) -> tuple[Reference, Reference, Reference, Manifest]:
    """Make imgpkg's sample: a bundle copied with a nested one, which has no images, and an image."""
    small, image = place.bundle("f/small"), place.image("f/img")
    outer = place.bundle("f/outer", {image: {"kbld.carvel.dev/id": "my-app"}, small: {}})
    here = place.repository("g/outer")
    copied = [place.bring(each, here) for each in (outer, small, image)]
    place.locate(copied[0], {image: False, small: True})
    return copied[0], small, image, place.locate(copied[1], {})


def test_a_relocated_bundle_as_text(place: Place) -> None:
    outer, small, image, internal = _relocated(place)
    here = outer.repository
    assert (
        to_text(describe(outer, place.stores))
        == f"""\
Bundle SHA: {outer.digest}

Images:
  - Image: {here}@{small.digest}
    Type: Bundle
    Origin: {small}
    Layers:
      - Digest: {_layer(place.manifest(small))}
    Images:
    - Image: {here}@{internal.digest}
      Type: Internal
      Layers:
        - Digest: {_layer(internal)}
  - Image: {here}@{image.digest}
    Type: Image
    Origin: {image}
    Layers:
      - Digest: {_layer(place.manifest(image))}
    Annotations:
      kbld.carvel.dev/id: my-app
"""
    )


def test_a_relocated_bundle_as_yaml(place: Place) -> None:
    outer, small, image, internal = _relocated(place)
    here = outer.repository
    assert (
        to_yaml(describe(outer, place.stores))
        == f"""\
content:
  bundles:
    {small.digest}:
      content:
        images:
          {internal.digest}:
            image: {here}@{internal.digest}
            imageType: Internal
            layers:
            - digest: {_layer(internal)}
            origin: {here}@{internal.digest}
      image: {here}@{small.digest}
      layers:
      - digest: {_layer(place.manifest(small))}
      metadata: {{}}
      origin: {small}
      sha: {small.digest}
  images:
    {image.digest}:
      annotations:
        kbld.carvel.dev/id: my-app
      image: {here}@{image.digest}
      imageType: Image
      layers:
      - digest: {_layer(place.manifest(image))}
      origin: {image}
image: {outer}
layers:
- digest: {_layer(place.manifest(outer))}
metadata: {{}}
origin: {outer}
sha: {outer.digest}
"""
    )


def test_json_says_what_yaml_says(place: Place) -> None:
    import yaml

    description = describe(_relocated(place)[0], place.stores)
    text = to_json(description)
    assert json.loads(text) == yaml.safe_load(to_yaml(description))
    assert text.startswith('{\n  "content": {\n    "bundles": {\n')


def test_a_relocated_bundle_takes_a_request_an_image_all_to_its_own_repository(
    place: Place, registry: Registry, proxy: Proxy
) -> None:
    copied, origin, layer = place.repository("copied"), place.repository("origin"), file_layer("a", "")
    store = place.stores.repository(Repository(registry.host, copied.path), writes=True)
    made = [put_image(store, layer, platform={"os": "linux", "architecture": str(number)}) for number in range(118)]
    images = [origin.at(manifest.digest) for manifest in made]
    bundle = place.bundle("copied", images)
    place.locate(bundle, dict.fromkeys(images, False))
    proxy.forget()
    description = describe(bundle, place.stores)
    assert [image.image for image in description.images] == sorted(f"{bundle.repository}@{i.digest}" for i in images)
    assert {repository for repository, _, _ in _asked(proxy)} == {bundle.repository.path}
    # Of the bundle the configuration and layer are read, of its image-locations image the layer.
    assert _kinds(proxy) == {"manifests": 118 + 2, "blobs": 3, "tags": 1}
    assert len(proxy.requests) == 118 + 6


def test_images_are_looked_for_beside_the_bundle_first(place: Place) -> None:
    here, there = place.image("origin", "here"), place.image("origin", "there")
    bundle = place.bundle("bundle", [here, there])
    place.bring(here, bundle.repository)
    found = {image.digest: image for image in describe(bundle, place.stores).images}
    assert found[_digest(here)].image == f"{bundle.repository}@{here.digest}"
    assert found[_digest(here)].origin == str(here)
    assert found[_digest(there)].image == found[_digest(there)].origin == str(there)


def test_each_bundle_has_an_image_beside_itself_if_it_is_there(place: Place) -> None:
    image = place.image("origin")
    with_it, without = place.bundle("with", [image]), place.bundle("without", [image])
    place.bring(image, with_it.repository)
    description = describe(place.bundle("outer", [with_it, without]), place.stores)
    found = {nested.digest: nested.images[0].image for nested in description.bundles}
    assert found == {with_it.digest: f"{with_it.repository}@{image.digest}", without.digest: str(image)}


def test_an_image_that_is_nowhere_is_an_error_that_names_it(place: Place) -> None:
    missing = place.repository("origin").at(Digest.of(b"missing"))
    bundle = place.bundle("bundle", [missing])
    with pytest.raises(NotFound, match=rf"{bundle}: .*{missing}.*neither.*{bundle.repository}.*_UNKNOWN"):
        describe(bundle, place.stores)


def test_a_refusal_by_the_own_repository_counts_as_absence(place: Place, proxy: Proxy) -> None:
    image = place.image("origin")
    bundle = place.bundle("bundle", [image])
    proxy.fault("GET", f"bundle/manifests/{image.digest}", Respond(403))
    (described,) = describe(bundle, place.stores).images
    assert described.image == str(image)


def test_a_refusal_by_both_is_an_error_that_names_the_image(place: Place, proxy: Proxy) -> None:
    image = place.image("origin")
    bundle = place.bundle("bundle", [image])
    proxy.fault("GET", f"manifests/{image.digest}", Respond(403), times=2)
    with pytest.raises(AccessDenied, match=f"{image} is neither in"):
        describe(bundle, place.stores)


def test_a_bundle_nested_in_two_appears_in_both_and_is_read_once(place: Place, proxy: Proxy) -> None:
    image = place.image("img")
    inner = place.bundle("inner", [image])
    left, right = place.bundle("left", [inner]), place.bundle("right", [inner, image])
    outer = place.bundle("outer", {left: {"side": "left"}, right: {"side": "right"}})
    proxy.forget()
    description = describe(outer, place.stores)
    sides = {nested.annotations["side"]: nested for nested in description.bundles}
    assert sides["left"].bundles == sides["right"].bundles
    assert sides["left"].bundles[0].images[0].image == str(image)
    assert [nested.digest for nested in description.bundles] == sorted(_digest(side) for side in (left, right))
    found = Counter(
        exchange.path for exchange in proxy.requests if "/manifests/" in exchange.path and exchange.status == 200
    )
    assert set(found.values()) == {1}, found
    assert Counter(_asked(proxy)).most_common(1)[0][1] == 1, proxy.summary()


def test_only_what_has_one_layer_is_asked_whether_it_is_a_bundle(place: Place, proxy: Proxy) -> None:
    single, several = place.image("origin", layers=1), place.image("origin", layers=3)
    bundle = place.bundle("bundle", [single, several])
    configs = {place.manifest(image).config.digest: image for image in (single, several)}
    proxy.forget()
    description = describe(bundle, place.stores)
    read = [configs[Digest(blob)] for _, what, blob in _asked(proxy) if what == "blobs" and blob in configs]
    assert read == [single]
    assert {len(image.layers) for image in description.images} == {1, 3}


def test_as_imgpkg_an_index_has_the_layers_of_its_image_for_amd64(place: Place) -> None:
    repository = place.repository("multi")
    store = place.stores.repository(repository, writes=True)
    arm, amd = (put_image(store, file_layer(name, name)) for name in ("arm", "amd"))
    inner = put_index(store, [arm, amd], architectures=("arm64", "amd64"))
    indexes = [put_index(store, [inner]), inner, put_index(store, [arm], architectures=("arm64",))]
    bundle = place.bundle("bundle", [repository.at(index.digest) for index in indexes])
    found = {image.digest: image.layers for image in describe(bundle, place.stores, as_imgpkg=True).images}
    assert [found[index.digest] for index in indexes] == [(_layer(amd),), (_layer(amd),), ()]


def test_as_imgpkg_each_bundle_has_what_belongs_to_it(place: Place) -> None:
    outer, small, image, internal = _relocated(place)
    store = place.stores.repository(outer.repository, writes=True)
    signatures = {_digest(each): put_cosign(store, place.manifest(each)).digest for each in (outer, small)}
    put_cosign(store, place.manifest(outer), "att")
    description = describe(outer, place.stores, as_imgpkg=True)
    own = store.resolve(locations_tag(_digest(outer)))
    assert [each.digest for each in description.images] == sorted([_digest(image), own, *signatures.values()])
    (nested,) = description.bundles
    assert [each.digest for each in nested.images] == sorted([internal.digest, signatures[_digest(small)]])


def test_yaml_as_imgpkg_has_neither_metadata_nor_further_digests(place: Place) -> None:
    nested = place.bundle("nested", files={".imgpkg/bundle.yml": BUNDLE_YML})
    outer = place.bundle("outer", [nested], files={".imgpkg/bundle.yml": BUNDLE_YML})
    description = describe(outer, place.stores)
    assert to_yaml(description).count("name: my-app") == 2
    text = yaml_as_imgpkg(description)
    assert text.count("metadata: {}\n") == 2 and "sha:" not in text
    assert f"  bundles:\n    {nested.digest}:\n      content: {{}}\n      image: {nested}\n" in text


def test_text_has_a_blank_line_between_bundles(place: Place) -> None:
    first, second = place.bundle("first"), place.bundle("second")
    blocks = list(text_blocks(describe(place.bundle("outer", [first, second, place.image("img")]), place.stores)))
    assert blocks.count("\n") == 2, "behind the digest, and between the bundles"
    assert blocks.count("") == 1, "before the images"


def test_an_index_among_the_images_has_no_layers(place: Place) -> None:
    repository = place.repository("multi")
    store = place.stores.repository(repository, writes=True)
    index = put_index(store, [put_image(store, file_layer("a", "a"))])
    description = describe(place.bundle("bundle", [repository.at(index.digest)]), place.stores)
    origin = str(repository.at(index.digest))
    assert description.images == (ImageDescription(index.digest, origin, ImageType.IMAGE, origin),)


def test_a_plain_image_is_refused_in_the_words_of_imgpkg(place: Place) -> None:
    image = place.image("img")
    with pytest.raises(BundlepipeError) as caught:
        describe(image, place.stores)
    assert str(caught.value) == (
        f"{image}: Expected bundle image but found plain image (hint: Did you use -i instead of -b?)"
    )


def test_an_index_is_refused_in_the_words_of_imgpkg(place: Place) -> None:
    repository = place.repository("multi")
    store = place.stores.repository(repository, writes=True)
    put_index(store, [put_image(store, file_layer("a", "a"))], tag="v1")
    with pytest.raises(BundlepipeError, match="Unable to pull non-images, such as image indexes"):
        describe(repository.tagged("v1"), place.stores)


def _signed(place: Place) -> tuple[Reference, dict[str, Manifest]]:
    """Make a bundle with an image, both signed, and a nested bundle with an SBOM; return the artifacts by tag."""
    image, nested = place.image("img"), place.bundle("nested")
    bundle = place.bundle("bundle", [image, nested])
    artifacts = {}
    for subject, kind in ((image, "sig"), (image, "att"), (nested, "sbom"), (bundle, "sig")):
        store = place.stores.repository(subject.repository, writes=True)
        artifacts[cosign_tag(_digest(subject), kind)] = put_cosign(store, place.manifest(subject), kind)
    return bundle, artifacts


def _signatures(description: BundleDescription) -> dict[str, Digest]:
    return {image.annotations["tag"]: image.digest for image in description.images if image.type.value == "Signature"}


def test_cosign_artifacts_stand_beside_what_they_are_about(place: Place, proxy: Proxy) -> None:
    bundle, artifacts = _signed(place)
    proxy.forget()
    description = describe(bundle, place.stores)
    assert _signatures(description) == {tag: manifest.digest for tag, manifest in artifacts.items()}
    assert _signatures(description.bundles[0]) == {}
    assert _kinds(proxy)["tags"] == 3, proxy.summary()
    asked = [identifier for _, _, identifier in _asked(proxy) if identifier.endswith((".sig", ".att", ".sbom"))]
    assert sorted(asked) == sorted(artifacts)


def test_a_signature_has_no_origin_as_text(place: Place) -> None:
    image = place.image("img")
    signature = put_cosign(place.stores.repository(image.repository, writes=True), place.manifest(image))
    text = to_text(describe(place.bundle("bundle", [image]), place.stores))
    assert (
        f"""\
  - Image: {image.repository}@{signature.digest}
    Type: Signature
    Layers:
      - Digest: {_layer(signature)}
    Annotations:
      tag: {cosign_tag(_digest(image))}
"""
        in text
    )


def test_artifacts_are_asked_for_where_tags_are_not_listed(place: Place, proxy: Proxy) -> None:
    bundle, artifacts = _signed(place)
    proxy.fault("GET", "/tags/list", Respond(403), times=3)
    description = describe(bundle, place.stores)
    assert _signatures(description) == {tag: manifest.digest for tag, manifest in artifacts.items()}


def test_nobody_asks_for_artifacts_that_are_not_wanted(place: Place, proxy: Proxy) -> None:
    bundle, _ = _signed(place)
    proxy.forget()
    assert _signatures(describe(bundle, place.stores, cosign_artifacts=False)) == {}
    assert proxy.count("GET", r"/tags/|\.sig|\.att|\.sbom") == 0


def test_layers_are_left_out_on_request(local: Place) -> None:
    bundle = local.bundle("bundle", [local.image("img"), local.bundle("nested")])
    description = describe(bundle, local.stores, layers=False)
    assert "Layers:" not in to_text(description)
    assert "layers" not in to_yaml(description)
    assert "Layers:" in to_text(describe(bundle, local.stores))


def test_metadata_is_what_bundle_yml_says_in_texts(local: Place) -> None:
    document = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: Bundle\nmetadata: {name: my-app, count: 1, list: [a]}\n"
    bundle = local.bundle("bundle", files={".imgpkg/bundle.yml": document})
    description = describe(bundle, local.stores)
    assert "metadata:\n  name: my-app\norigin:" in to_yaml(description)
    assert to_text(description) == f"Bundle SHA: {bundle.digest}\n\n"


@pytest.mark.parametrize("content", [b"", b"{", b"metadata: []", b"- a", b"metadata: {a: 1}", b"a: 1\n---\nb: 2\n"])
def test_a_bundle_yml_that_nobody_can_read_is_no_error(
    local: Place, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("bundlepipe.verbs.shared.bundles.check_bundle", lambda content, path: [])
    bundle = local.bundle("bundle", files={".imgpkg/bundle.yml": content.decode()})
    assert describe(bundle, local.stores).metadata == {}


def test_a_label_without_a_lock_is_an_error(local: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    request = PushRequest(Inputs([str(tmp_path / "file")]), local.repository("x").tagged("v1"), is_bundle=False)
    # Only another tool could make such an image.
    monkeypatch.setattr(PushRequest, "all_labels", {BUNDLE_LABEL: "true"})
    pushed = push(request, local.stores)
    with pytest.raises(InvalidContent, match=rf"{pushed.reference}: \.imgpkg/images\.yml is missing"):
        describe(pushed.reference, local.stores)


def test_of_two_entries_with_one_digest_the_later_counts(local: Place) -> None:
    image = local.image("img")
    other = local.repository("other").at(_digest(image))
    description = describe(local.bundle("bundle", {other: {"n": "1"}, image: {"n": "2"}}), local.stores)
    assert [(each.origin, each.annotations) for each in description.images] == [(str(image), {"n": "2"})]


def test_a_bundle_in_a_layout_is_described_without_a_registry(local: Place, tmp_path: Path) -> None:
    bundle = local.bundle("bundle")
    image = local.image("bundle")
    outer = local.bundle("bundle", [bundle, image])
    directory = str(tmp_path / "registry/x/bundle")
    description = describe(LayoutLocation(directory, "v1"), Stores())
    assert description.image == description.origin == f"oci:{directory}@{outer.digest}"
    assert [nested.image for nested in description.bundles] == [f"oci:{directory}@{bundle.digest}"]
    assert [(each.image, each.origin) for each in description.images] == [
        (f"oci:{directory}@{image.digest}", str(image))
    ]


def test_bundles_may_be_nested_a_hundred_deep_and_no_deeper(local: Place) -> None:
    bundle = local.bundle("bundle")
    for _ in range(99):
        bundle = local.bundle("bundle", [bundle])
    description = describe(bundle, local.stores)
    assert to_text(description).count("Type: Bundle") == 99
    assert to_yaml(description).count("metadata: {}") == to_json(description).count('"metadata": {}') == 100
    with pytest.raises(InvalidContent, match="more than 100 deep"):
        describe(local.bundle("bundle", [bundle]), local.stores)


def test_depth_counts_on_the_longest_way(local: Place) -> None:
    chain = [local.bundle("bundle")]
    for _ in range(100):
        chain.append(local.bundle("bundle", [chain[-1]]))
    for order in (chain, chain[::-1]):
        with pytest.raises(InvalidContent, match="more than 100 deep"):
            describe(local.bundle("bundle", order), local.stores)


def test_every_blob_that_is_read_for_its_files_is_told(local: Place) -> None:
    bundle = local.bundle("bundle", [local.image("img")])
    events: list[Event] = []
    describe(bundle, local.stores, emit=events.append)
    layer = _layer(local.manifest(bundle))
    assert [event.digest for event in events if isinstance(event, BlobDone)] == [layer]


def test_no_annotation_can_pass_for_another_line() -> None:
    digest = Digest.of(b"")
    texts = {"b": "last", "a\n  - Image: x": "one\n  - Image: evil\x1b[2J\n"}
    image = ImageDescription(digest, "here", ImageType.IMAGE, "there", annotations=texts)
    text = to_text(BundleDescription(digest, "here", "here", images=(image,)))
    assert text.splitlines()[6:] == [
        "    Annotations:",
        "      a\\n  - Image: x: one",
        "          - Image: evil\\x1b[2J",
        "      b: last",
    ]
