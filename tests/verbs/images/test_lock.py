"""lock, render and resolve: kbld's rules against a real registry, and without any network."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundlepipe.concurrency.parallel import CONCURRENT_REQUESTS
from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.kbld.reading import parse_config, parse_image_map
from bundlepipe.errors import DocumentError, InputError, ResolutionError
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.manifest import Manifest, Platform
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.images.lock import LockRequest, lock
from bundlepipe.verbs.images.render import RenderRequest, render
from bundlepipe.verbs.images.resolve import ResolveRequest, resolve
from bundlepipe.verbs.images.resolver import FromSource, Lookup, Plan, Preresolved, Resolver, plan
from bundlepipe.verbs.images.texts import Text, read_texts
from tests.support.gauge import Gauge
from tests.support.images import file_layer, put_image, put_images, put_index
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry

KBLD = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
TAGS = ("v0.9.0", "1.0.0", "1.2.0", "v1.10.0", "2.0.0-rc.1", "2.0.0-alpha.3", "latest")
DIGEST = "sha256:" + "ab" * 32


@dataclass(frozen=True)
class Images:
    """A repository with a tag for each version, and one with an index, behind a proxy that counts."""

    app: Repository
    versions: Mapping[str, Manifest]
    multi: Repository
    children: Mapping[str, Manifest]
    index: Manifest


@pytest.fixture(scope="module")
def images(registry: Registry) -> Images:
    stores = Stores()
    app, multi = registry.repository("app"), registry.repository("multi")
    store = stores.repository(app, writes=True)
    versions = {tag: put_image(store, file_layer("version", tag), tag=tag) for tag in TAGS}
    store = stores.repository(multi, writes=True)
    children = {name: put_image(store, file_layer("of", name)) for name in ("amd64", "arm64")}
    index = put_index(store, list(children.values()), tag="v1")
    return Images(app, versions, multi, children, index)


def refuse(built: FromSource) -> Reference:
    """Stand for the builder of those who have nothing to build."""
    raise AssertionError(f"{built.name} is not to be built")


def locked(tmp_path: Path, config: str, rules: str = "", **options: Any) -> dict[str, str]:
    """Return the images of a lock by the references that they stand for."""
    entries = locked_entries(tmp_path, config, rules, **options)
    return {entry.annotations[KBLD_ID]: str(entry.image) for entry in entries}


def locked_entries(
    tmp_path: Path, config: str, rules: str = "", current: ImagesLock | None = None, **options: Any
) -> tuple[ImageRef, ...]:
    (tmp_path / "config.yml").write_text(config)
    (tmp_path / "kbld.yml").write_text(KBLD + rules)
    request = LockRequest([str(tmp_path / "config.yml")], config=[str(tmp_path / "kbld.yml")], **options)
    return lock(request, current or ImagesLock(), Resolver(Stores()), refuse).images


def only(found: Mapping[str, str]) -> str:
    (image,) = found.values()
    return image


@pytest.mark.parametrize(
    ("constraints", "prereleases", "chosen"),
    [
        (">=1.0.0", "", "v1.10.0"),
        (">=1.0.0 <1.5.0", "", "1.2.0"),
        ("1.2.x", "", "1.2.0"),
        ("<1.0.0 || 1.0.0", "", "1.0.0"),
        ("!1.10.0", "", "1.2.0"),
        (">=1.0.0", "prereleases: {}", "2.0.0-rc.1"),
        (">=1.0.0", "prereleases: {identifiers: [alpha]}", "2.0.0-alpha.3"),
    ],
)
def test_a_tag_is_selected_by_its_version(
    images: Images, tmp_path: Path, constraints: str, prereleases: str, chosen: str
) -> None:
    semver = f"{{constraints: '{constraints}'{', ' + prereleases if prereleases else ''}}}"
    rules = f"overrides: [{{image: web, newImage: {images.app}, tagSelection: {{semver: {semver}}}}}]\n"
    assert only(locked(tmp_path, "image: web\n", rules)) == f"{images.app}@{images.versions[chosen].digest}"


def test_a_version_that_no_tag_has_is_told_with_the_constraints(images: Images, tmp_path: Path) -> None:
    rules = (
        f"overrides: [{{image: web, newImage: {images.app}, tagSelection: {{semver: {{constraints: '>9.0.0'}}}}}}]\n"
    )
    with pytest.raises(
        ResolutionError,
        match=rf"config.yml:1:8: cannot resolve 'web': {images.app} has no tag for >9.0.0 among its 7 tags",
    ):
        locked(tmp_path, "image: web\n", rules)


def test_a_tag_and_a_digest_resolve_to_digests(images: Images, tmp_path: Path) -> None:
    found = locked(tmp_path, f"- image: {images.app}:1.2.0\n- image: nginx:1@{DIGEST}\n- image: {images.app}\n")
    assert found == {
        f"{images.app}:1.2.0": f"{images.app}@{images.versions['1.2.0'].digest}",
        f"nginx:1@{DIGEST}": f"index.docker.io/library/nginx@{DIGEST}",
        str(images.app): f"{images.app}@{images.versions['latest'].digest}",
    }


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_a_platform_picks_a_child_of_an_index(images: Images, tmp_path: Path, architecture: str) -> None:
    config = f"image: {images.multi}:v1\n"
    assert only(locked(tmp_path, config)) == f"{images.multi}@{images.index.digest}"
    wanted = f"{images.multi}@{images.children[architecture].digest}"
    assert only(locked(tmp_path, config, platform=Platform("linux", architecture))) == wanted
    selected = f"platformSelection: {{architecture: {architecture}}}"
    rules = f"overrides: [{{image: '{images.multi}:v1', newImage: '{images.multi}:v1', {selected}}}]\n"
    assert only(locked(tmp_path, config, rules)) == wanted


def test_a_platform_that_two_children_have_is_refused(images: Images, tmp_path: Path) -> None:
    rules = f"overrides: [{{image: m, newImage: '{images.multi}:v1', platformSelection: {{os: linux}}}}]\n"
    with pytest.raises(
        ResolutionError, match="has 2 images for platform os: linux; its platforms: linux/amd64, linux/ar"
    ):
        locked(tmp_path, "image: m\n", rules)


def test_the_first_override_that_matches_wins_and_is_not_chained(images: Images, tmp_path: Path) -> None:
    rules = (
        f"overrides:\n- {{image: other, newImage: 'registry.invalid/never:1'}}\n"
        f"- {{image: web, newImage: '{images.app}:1.0.0'}}\n- {{imageRepo: web, newImage: '{images.app}:1.2.0'}}\n"
        f"- {{image: '{images.app}:1.0.0', newImage: '{images.app}:latest'}}\n"
    )
    found = locked(tmp_path, "- image: web\n- image: web:2\n", rules)
    assert found["web"].endswith(images.versions["1.0.0"].digest)
    assert found["web:2"].endswith(images.versions["1.2.0"].digest)


def test_an_image_repo_matches_literally(images: Images, tmp_path: Path) -> None:
    rules = f"overrides: [{{imageRepo: docker.io/library/nginx, newImage: '{images.app}:1.0.0'}}]\n"
    found = locked(tmp_path, f"- image: docker.io/library/nginx:9\n- image: nginx@{DIGEST}\n", rules)
    assert found[f"nginx@{DIGEST}"] == f"index.docker.io/library/nginx@{DIGEST}"
    assert found["docker.io/library/nginx:9"].startswith(str(images.app))


def test_a_preresolved_image_is_taken_without_asking(tmp_path: Path) -> None:
    new = f"registry.invalid/app@{DIGEST}"
    rules = f"overrides: [{{image: web, newImage: {new}, preresolved: true}}]\n"
    assert only(locked(tmp_path, "image: web\n", rules)) == new


def test_a_preresolved_image_without_digest_cannot_be_locked(tmp_path: Path) -> None:
    rules = "overrides: [{image: web, newImage: 'registry.invalid/app:1', preresolved: true}]\n"
    with pytest.raises(
        DocumentError, match=r"config.yml:1:8: 'web' becomes 'registry.invalid/app:1', which .*kbld.yml:3:1"
    ):
        locked(tmp_path, "image: web\n", rules)


def test_an_override_may_lead_to_what_the_pipeline_makes(tmp_path: Path) -> None:
    made = Reference.parse(f"layout.localhost/web@{DIGEST}")
    rules = "overrides: [{imageRepo: vendor/web, newImage: web}]\n"
    assert only(locked(tmp_path, "image: vendor/web:1\n", rules, made={"web": made})) == str(made)


SOURCES = "sources: [{image: app, path: src}]\ndestinations: [{image: app, newImage: a.example/app}]\n"


def planned(reference: str, rules: str) -> Plan:
    return plan(reference, parse_config((KBLD + rules).encode(), "kbld.yml"), {})


def test_a_source_builds_what_an_override_leads_to() -> None:
    found = planned("web:1", f"overrides: [{{imageRepo: web, newImage: app}}]\n{SOURCES}")
    assert isinstance(found, FromSource)
    assert (found.name, found.source.path) == ("app", "src")
    assert found.destination and found.destination.new_image == "a.example/app"
    assert isinstance(planned("app", SOURCES), FromSource)
    assert isinstance(planned("app:1", SOURCES), Lookup)


def test_a_preresolved_image_is_not_built() -> None:
    found = planned("web", f"overrides: [{{image: web, newImage: app, preresolved: true}}]\n{SOURCES}")
    assert isinstance(found, Preresolved)
    assert found.image == "app"


def test_a_source_comes_before_a_digest_is_taken_as_it_is() -> None:
    image = f"app@{DIGEST}"
    assert isinstance(planned(image, SOURCES.replace("image: app", "imageRepo: app")), FromSource)
    assert isinstance(planned(image, SOURCES), Lookup)


def test_a_tag_selection_without_new_image_selects_beside_the_reference(images: Images, tmp_path: Path) -> None:
    rules = f"overrides: [{{imageRepo: {images.app}, tagSelection: {{semver: {{constraints: '1.0.x'}}}}}}]\n"
    found = only(locked(tmp_path, f"image: {images.app}:latest\n", rules))
    assert found == f"{images.app}@{images.versions['1.0.0'].digest}"


def test_rules_may_stand_among_the_files_that_are_searched(images: Images, tmp_path: Path) -> None:
    rules = f"{KBLD}searchRules: [{{keyMatcher: {{name: picture}}}}]\n"
    config = f"{rules}---\npicture: {images.app}:1.0.0\nimage: {images.app}:1.2.0\n"
    assert len(locked(tmp_path, config)) == 2


def test_another_question_is_asked_again_although_the_reference_is_locked(images: Images, tmp_path: Path) -> None:
    def rules(constraints: str) -> str:
        selection = f"tagSelection: {{semver: {{constraints: '{constraints}'}}}}"
        return f"overrides: [{{image: web, newImage: {images.app}, {selection}}}]\n"

    first = locked_entries(tmp_path, "image: web\n", rules("1.0.x"))
    current = ImagesLock((ImageRef(images.app.at(images.versions["latest"].digest), first[0].annotations),))
    (kept,) = locked_entries(tmp_path, "image: web\n", rules("1.0.x"), current)
    assert kept.digest == images.versions["latest"].digest
    (moved,) = locked_entries(tmp_path, "image: web\n", rules("1.2.x"), current)
    assert moved.digest == images.versions["1.2.0"].digest


@pytest.mark.parametrize(
    "override", ["newImage: '{app}:1.0.0'", "newImage: 'a.example/web@{digest}', preresolved: true"]
)
def test_an_override_that_is_gone_does_not_stay_in_the_lock(images: Images, tmp_path: Path, override: str) -> None:
    reference = f"{images.multi}:v1"
    rules = f"overrides: [{{image: '{reference}', {override.format(app=images.app, digest=DIGEST)}}}]\n"
    current = ImagesLock(locked_entries(tmp_path, f"image: {reference}\n", rules))
    (entry,) = locked_entries(tmp_path, f"image: {reference}\n", "", current)
    assert entry.image == images.multi.at(images.index.digest)
    assert entry.annotations == {KBLD_ID: reference}


def test_a_hundred_references_cost_one_request_each_side_by_side(
    registry: Registry, proxy: Proxy, tmp_path: Path
) -> None:
    path = registry.repository("many").path
    repository = Repository(proxy.host, path)
    store = Stores().repository(repository, writes=True)
    for number, manifest in enumerate(put_images(store, 100)):
        store.put_manifest(manifest, f"t{number}")
    proxy.forget()
    side_by_side = Gauge(proxy, "*", "/manifests/")
    config = "".join(f"- image: {repository}:t{number % 100}\n" for number in range(250))
    assert len(locked(tmp_path, config)) == 100
    assert 1 < side_by_side.most <= CONCURRENT_REQUESTS
    asked = Counter(seen.path for seen in proxy.requests if "/manifests/" in seen.path)
    assert len(asked) == 100
    assert set(asked.values()) == {1}


def test_every_reference_that_cannot_be_resolved_is_told_of_at_once(
    registry: Registry, proxy: Proxy, tmp_path: Path
) -> None:
    repository = Repository(proxy.host, registry.repository("none").path)
    proxy.fault("*", "/manifests/denied", Respond(403))
    config = f"a:\n- image: {repository}:gone\n- image: {repository}:denied\n- image: {repository}:gone\n"
    with pytest.raises(ResolutionError) as caught:
        locked(tmp_path, config)
    assert [problem.split(": ")[0].rpartition("/")[2] for problem in caught.value.problems] == [
        "config.yml:2:10",
        "config.yml:3:10",
    ]


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_connection(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse_connection)
    monkeypatch.setattr(socket, "getaddrinfo", refuse_connection)


def images_lock_of(**images: str) -> bytes:
    entries = tuple(ImageRef(Reference.parse(image), {KBLD_ID: reference}) for reference, image in images.items())
    return ImagesLock(entries).to_bytes()


def _images_lock(tmp_path: Path, **images: str) -> str:
    path = tmp_path / "images.yml"
    path.write_bytes(images_lock_of(**images))
    return str(path)


@pytest.mark.usefixtures("_no_network")
def test_an_images_lock_is_enough_to_lock_and_to_render(tmp_path: Path) -> None:
    path = _images_lock(tmp_path, web=f"registry.invalid/web@{DIGEST}")
    config = "# kept\nimage:  'web' # here\nname: y\n"
    (tmp_path / "config.yml").write_text(config)
    request = LockRequest([str(tmp_path / "config.yml")], config=[path])
    entries = lock(request, ImagesLock(), Resolver(Stores()), refuse).images
    assert [str(entry.image) for entry in entries] == [f"registry.invalid/web@{DIGEST}"]
    rendered = render(RenderRequest(read_texts([str(tmp_path / "config.yml")]), locks=[path]))
    assert rendered.decode() == config.replace("web", f"registry.invalid/web@{DIGEST}")


@pytest.mark.usefixtures("_no_network")
def test_what_is_not_locked_is_not_rendered_and_all_of_it_is_told(tmp_path: Path) -> None:
    path = _images_lock(tmp_path, web=f"registry.invalid/web@{DIGEST}")
    (tmp_path / "config.yml").write_text("- image: web\n- image: api:1\n- image: db\n")
    with pytest.raises(DocumentError) as caught:
        render(RenderRequest(read_texts([str(tmp_path / "config.yml")]), locks=[path]))
    assert [problem.partition("config.yml")[2].partition(" is ")[0] for problem in caught.value.problems] == [
        ":2:10: 'api:1'",
        ":3:10: 'db'",
    ]
    assert f"in none of {path}: lock it, or name the lock that has it" in caught.value.problems[0]


@pytest.mark.usefixtures("_no_network")
def test_a_lock_comes_before_the_overrides_that_led_to_it(tmp_path: Path) -> None:
    path = _images_lock(tmp_path, web=f"registry.invalid/web@{DIGEST}")
    (tmp_path / "config.yml").write_text("image: web\n")
    rules = tmp_path / "kbld.yml"
    rules.write_text(f"{KBLD}overrides: [{{image: web, newImage: 'vendor.example/web:1'}}]\n{SOURCES}")
    rendered = render(RenderRequest(read_texts([str(tmp_path / "config.yml")]), locks=[path], config=[str(rules)]))
    assert rendered.decode() == f"image: registry.invalid/web@{DIGEST}\n"


@pytest.mark.usefixtures("_no_network")
def test_a_lock_by_hand_renders_what_has_its_digest(tmp_path: Path) -> None:
    moved = f"mirror.invalid/bundle@{DIGEST}"
    lock_path = tmp_path / "images.yml"
    lock_path.write_bytes(ImagesLock((ImageRef(Reference.parse(moved)),)).to_bytes())
    other = "sha256:" + "cd" * 32
    (tmp_path / "config.yml").write_text(f"- image: nginx@{DIGEST}\n- image: nginx@{other}\n")
    rendered = render(RenderRequest(read_texts([str(tmp_path / "config.yml")]), locks=[str(lock_path)]))
    assert rendered.decode() == f"- image: {moved}\n- image: index.docker.io/library/nginx@{other}\n"


@pytest.mark.usefixtures("_no_network")
def test_what_is_no_reference_is_told_with_its_place_beside_what_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("- image: NOT one\n- image: db\n")
    with pytest.raises(DocumentError) as caught:
        render(RenderRequest(read_texts([str(tmp_path / "config.yml")])))
    first, second = caught.value.problems
    assert "config.yml:1:10: 'NOT one': " in first
    assert "config.yml:2:10: 'db' is not locked, and no locks are given" in second


def test_files_without_documents_render_as_they_are() -> None:
    texts = [Text("a", b""), Text("b", b"# nothing\n"), Text("c", b"c: 1\n"), Text("d", b"\n\n"), Text("e", b"# end")]
    assert render(RenderRequest(texts)) == b"# nothing\n---\nc: 1\n# end"


def test_rendered_files_follow_one_another_as_documents(tmp_path: Path) -> None:
    texts = [
        Text("a", b"a: 1"),
        Text("b", b"\xef\xbb\xbf# of b\nb: 2\n"),
        Text("rules", KBLD.encode()),
        Text("c", b"# of c\n---\nc: 3\n"),
        Text("d", b"%YAML 1.1\n---\nd: 4\n...\n"),
        Text("e", b'{"e": 5}'),
    ]
    rendered = render(RenderRequest(texts))
    assert rendered == b'a: 1\n---\n# of b\nb: 2\n...\n# of c\n---\nc: 3\n...\n%YAML 1.1\n---\nd: 4\n...\n---\n{"e": 5}'
    assert list(yaml.safe_load_all(rendered.replace(b"%YAML 1.1\n", b""))) == [
        {key: number} for number, key in enumerate("abcde", 1)
    ]


def test_resolve_prints_documents_and_writes_both_locks(images: Images, tmp_path: Path) -> None:
    config = (
        f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: y # stays\nspec:\n- image: {images.app}:1.2.0\n- image: web\n"
    )
    rules = f"{KBLD}overrides: [{{image: web, newImage: 'a.invalid/web@{DIGEST}', preresolved: true}}]\n"
    texts = [Text("config.yml", config.encode()), Text("kbld.yml", rules.encode())]
    resolved = resolve(ResolveRequest(texts), Resolver(Stores()), refuse)
    app = f"{images.app}@{images.versions['1.2.0'].digest}"
    documents = resolved.documents.decode()
    assert "  name: y # stays\n" in documents
    assert f"- image: {app}\n- image: a.invalid/web@{DIGEST}\n" in documents
    annotation = yaml.safe_load(documents)["metadata"]["annotations"]["kbld.k14s.io/images"]
    assert (
        yaml.safe_load(annotation)
        == [
            {"origins": [{"resolved": {"tag": "1.2.0", "url": f"{images.app}:1.2.0"}}], "url": app},
            {"origins": [{"preresolved": {"url": f"a.invalid/web@{DIGEST}"}}], "url": f"a.invalid/web@{DIGEST}"},
        ]
        or yaml.safe_load(annotation) == yaml.safe_load(annotation)[::-1]
    )
    lock_of_images = resolved.images_lock()
    assert [entry.annotations[KBLD_ID] for entry in lock_of_images.images] == sorted([f"{images.app}:1.2.0", "web"])
    again = resolve(
        ResolveRequest([texts[0], Text("kbld.lock.yml", resolved.kbld_lock())], images_annotation=False),
        Resolver(Stores()),
        refuse,
    )
    plain = resolve(ResolveRequest(texts, images_annotation=False), Resolver(Stores()), refuse)
    assert again.documents == plain.documents


def test_resolved_documents_are_sorted_when_asked(tmp_path: Path) -> None:
    def resource(namespace: str, kind: str, name: str, comment: str) -> str:
        return f"kind: {kind} # {comment}\nmetadata: {{namespace: {namespace}, name: {name}}}\n"

    texts = [
        Text("a.yml", f"{resource('b', 'Pod', 'x', '1')}---\n{resource('a', 'Pod', 'y', '2')}".encode()),
        Text("b.yml", f"{resource('a', 'Pod', 'x', '3')}---\n{resource('a', 'Job', 'z', '4')}".encode()),
        Text("c.yml", b"# of this one\n- image: web # 0\n"),
        Text("images.yml", images_lock_of(web=f"a.invalid/web@{DIGEST}")),
    ]
    resolved = resolve(ResolveRequest(texts, sort=True), Resolver(Stores()), refuse)
    assert re.findall(r"# (\d)", resolved.documents.decode()) == list("04321")
    first, *others = yaml.safe_load_all(resolved.documents)
    assert (first, len(others)) == ([{"image": f"a.invalid/web@{DIGEST}"}], 4)


def test_an_image_map_comes_after_the_configuration(tmp_path: Path) -> None:
    new = f"a.invalid/first@{DIGEST}"
    rules = f"{KBLD}overrides: [{{image: web, newImage: '{new}', preresolved: true}}]\n"
    image_map = json.dumps({"web": f"a.invalid/second@{DIGEST}", "api": f"a.invalid/api@{DIGEST}"})
    texts = [Text("config.yml", b"- image: web\n- image: api\n"), Text("kbld.yml", rules.encode())]
    request = ResolveRequest(texts, image_map=parse_image_map(image_map.encode(), "map.json"))
    resolved = resolve(request, Resolver(Stores()), refuse)
    assert {image.reference: image.image for image in resolved.images} == {
        "web": new,
        "api": f"a.invalid/api@{DIGEST}",
    }


def test_a_config_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yml: cannot be read: No such file"):
        lock(LockRequest([], config=[str(tmp_path / "none.yml")]), ImagesLock(), Resolver(Stores()), refuse)


class SharedResults:
    """Results that other locks share, in memory."""

    def __init__(self, known: dict[Lookup, Digest]) -> None:
        self.kept = known

    def known(self, lookup: Lookup) -> Digest | None:
        return self.kept.get(lookup)

    def keep(self, results: Mapping[Lookup, Digest]) -> None:
        self.kept.update(results)


def test_shared_answers_take_the_place_of_the_lock(images: Images, tmp_path: Path) -> None:
    known, new = f"{images.app}:v0.9.0", f"{images.app}:1.0.0"
    (tmp_path / "app.yml").write_text(f"- image: {known}\n- image: {new}\n- image: {images.app}@{DIGEST}\n")
    other = Digest.of(b"another")
    results = SharedResults({Lookup(Reference.parse(known)): other})
    request = LockRequest([str(tmp_path / "app.yml")], refresh=lambda name: False)
    locked = lock(request, results, Resolver(Stores()), _no_build)
    assert {entry.annotations[KBLD_ID]: entry.digest for entry in locked.images} == {
        known: other,
        new: images.versions["1.0.0"].digest,
        f"{images.app}@{DIGEST}": DIGEST,
    }
    assert results.kept == {
        Lookup(Reference.parse(known)): other,
        Lookup(Reference.parse(new)): images.versions["1.0.0"].digest,
    }


@pytest.mark.parametrize("spelled_out", [True, False])
def test_a_refresh_moves_a_shared_answer_for_all_spellings(
    images: Images, tmp_path: Path, *, spelled_out: bool
) -> None:
    reference = f"{images.app}:1.0.0"
    (tmp_path / "app.yml").write_text("- image: one\n- image: two\n")
    config = "".join(f"- image: {name}\n  newImage: {reference}\n" for name in ("one", "two"))
    (tmp_path / "kbld.yml").write_text(f"{KBLD}overrides:\n{config}")
    results = SharedResults({Lookup(Reference.parse(reference)): Digest.of(b"another")})
    request = LockRequest(
        [str(tmp_path / "app.yml")],
        config=[str(tmp_path / "kbld.yml")],
        refresh=lambda name: name == (reference if spelled_out else "one"),
    )
    locked = lock(request, results, Resolver(Stores()), _no_build)
    assert {entry.digest for entry in locked.images} == {images.versions["1.0.0"].digest}


def _no_build(source: FromSource) -> Reference:
    raise AssertionError(source)
