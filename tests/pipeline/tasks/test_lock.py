"""lock_bundle: images.yml as the state of a lock."""

from __future__ import annotations

import os

import pytest

from tests.support.project import Project

PUSHED = """\
images:
  nginx: {files: [nginx], push: "layout.localhost/vendor/nginx:1.25"}
"""
LOCKED = """\
bundles:
  app: {files: [app], lock: {}}
"""
CONFIG = """\
kind: Deployment
spec:
  containers:
  - image: layout.localhost/vendor/nginx:1.25
"""


@pytest.fixture
def locked(project: Project) -> Project:
    """A bundle that names a tag of a foreign image, locked."""
    _push_vendor(project, "first")
    project.pipeline(LOCKED)
    project.write("app/config.yml", CONFIG)
    project.doit("lock_bundle")
    return project


def _push_vendor(project: Project, content: str) -> str:
    """Push another image to the vendor's tag; return its digest."""
    project.pipeline(PUSHED)
    project.write("nginx/index.html", content)
    project.doit("push_image")
    return project.digest("image", "nginx").rpartition("@")[2]


def test_a_tag_is_locked_to_its_digest_with_kblds_annotation(locked: Project) -> None:
    digest = _push_vendor(locked, "first")
    assert locked.read("app/.imgpkg/images.yml") == (
        "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages:\n- annotations:\n"
        "    kbld.carvel.dev/id: layout.localhost/vendor/nginx:1.25\n"
        f"  image: layout.localhost/vendor/nginx@{digest}\nkind: ImagesLock\n"
    )


def test_a_moved_tag_changes_nothing_until_a_refresh(locked: Project) -> None:
    before = locked.read("app/.imgpkg/images.yml")
    moved = _push_vendor(locked, "second")
    locked.pipeline(LOCKED)
    assert locked.doit("lock_bundle").ran == []
    locked.write("app/other.yml", "kind: Other\n")
    assert locked.doit("lock_bundle").marks == {"lock_bundle:app": "="}
    assert locked.read("app/.imgpkg/images.yml") == before

    assert locked.doit("lock_bundle", "refresh=all").executed == {"lock_bundle:app"}
    assert moved in locked.read("app/.imgpkg/images.yml")
    assert locked.doit("lock_bundle").ran == []


@pytest.mark.parametrize("name", ["app", "layout.localhost/vendor/nginx:1.25", "all"])
def test_a_refresh_can_name_a_bundle_or_a_reference(locked: Project, name: str) -> None:
    moved = _push_vendor(locked, "second")
    locked.pipeline(LOCKED)
    errors = locked.doit("lock_bundle", "refresh=other", status=3).stderr
    assert "refresh=other: nothing has that name" in errors
    assert moved not in locked.read("app/.imgpkg/images.yml")
    locked.doit("lock_bundle", f"refresh={name}")
    assert moved in locked.read("app/.imgpkg/images.yml")


def test_refresh_always_is_declared(locked: Project) -> None:
    moved = _push_vendor(locked, "second")
    locked.pipeline("bundles: {app: {files: [app], lock: {refresh: always}}}")
    locked.doit("lock_bundle")
    assert moved in locked.read("app/.imgpkg/images.yml")


def test_a_clean_checkout_locks_without_asking_anyone(locked: Project) -> None:
    before = locked.read("app/.imgpkg/images.yml")
    for path in (".bundlepipe", "build"):
        (locked.directory / path).rename(locked.directory / f"{path}.away")
    assert locked.doit("lock_bundle").marks == {"lock_bundle:app": "="}
    assert locked.read("app/.imgpkg/images.yml") == before


def test_a_vanished_reference_goes_and_a_new_one_comes(locked: Project) -> None:
    locked.write("app/config.yml", "kind: Deployment\n")
    locked.doit("lock_bundle")
    assert "nginx" not in locked.read("app/.imgpkg/images.yml")
    locked.write("app/config.yml", CONFIG)
    locked.doit("lock_bundle")
    assert "vendor/nginx@sha256:" in locked.read("app/.imgpkg/images.yml")


def test_an_edited_or_deleted_images_yml_is_made_again(locked: Project) -> None:
    path = locked.directory / "app/.imgpkg/images.yml"
    before = path.read_text()
    path.write_text(before.replace("---\n", "# mine\n"))
    assert locked.doit("lock_bundle").executed == {"lock_bundle:app"}
    assert path.read_text() == before
    path.unlink()
    assert locked.doit("lock_bundle").executed == {"lock_bundle:app"}
    assert path.read_text() == before


def test_digest_references_need_no_registry(project: Project) -> None:
    digest = "sha256:" + "ab" * 32
    project.pipeline(LOCKED)
    project.write("app/config.yml", f"- image: nginx:1.2@{digest}\n- image: 'localhost:1/x@{digest}'\n")
    project.doit("lock_bundle")
    content = project.read("app/.imgpkg/images.yml")
    assert f"image: index.docker.io/library/nginx@{digest}" in content
    assert f"image: localhost:1/x@{digest}" in content


def test_entries_are_sorted_by_reference(project: Project) -> None:
    digest = "sha256:" + "ab" * 32
    project.pipeline(LOCKED)
    project.write("app/config.yml", "".join(f"- image: {name}@{digest}\n" for name in ("b/b", "a/z", "c/a")))
    project.doit("lock_bundle")
    lines = [line for line in project.read("app/.imgpkg/images.yml").splitlines() if "kbld.carvel.dev/id" in line]
    assert lines == sorted(lines) and len(lines) == 3


def test_all_unresolvable_references_are_told_with_their_places(project: Project) -> None:
    project.pipeline(LOCKED)
    project.write("app/a.yml", "image: layout.localhost/none:1\n")
    project.write("app/b.yml", "spec:\n- image: layout.localhost/none:2\n- image: not a reference\n")
    errors = project.doit("lock_bundle", status=1).stdout
    assert "app/b.yml:3:10: 'not a reference'" in errors
    project.write("app/b.yml", "spec:\n- image: layout.localhost/none:2\n")
    errors = project.doit("lock_bundle", status=1).stdout
    assert "app/a.yml:1:8: cannot resolve 'layout.localhost/none:1'" in errors
    assert "app/b.yml:2:10: cannot resolve 'layout.localhost/none:2'" in errors
    assert not (project.directory / "app/.imgpkg/images.yml").exists()


def test_templates_are_told_apart(project: Project) -> None:
    project.pipeline(LOCKED)
    project.write("app/helm.yml", "image: {{ .Values.image }}\n")
    project.write("app/ytt.yml", "image: #@ data.values.image\n")
    errors = project.doit("lock_bundle", status=1).stdout
    assert "app/helm.yml:1:8: the image is a template's expression" in errors
    assert "app/ytt.yml:1:7: the image is a ytt expression" in errors


def test_what_a_bundle_directory_holds_is_not_searched(locked: Project) -> None:
    assert locked.doit("lock_bundle").ran == []
    assert locked.read("app/.imgpkg/images.yml").count("image:") == 1


def test_only_searched_files_make_a_lock_stale(locked: Project) -> None:
    locked.write("app/readme.txt", "image: not/searched")
    assert locked.doit("lock_bundle").ran == []
    locked.write("app/hidden/.deep/c.json", '{\n\t"image": "layout.localhost/vendor/nginx:1.25"\n}')
    assert locked.doit("lock_bundle").ran == ["lock_bundle:app"]


def test_a_platform_pins_the_child_of_an_index(locked: Project) -> None:
    import hashlib
    import json

    child = _push_vendor(locked, "first")
    layout = locked.directory / "build/registry/vendor/nginx"
    entry = next(e for e in json.loads((layout / "index.json").read_text())["manifests"] if e["digest"] == child)
    other = {**entry, "digest": "sha256:" + "00" * 32}
    children = [
        {**entry, "platform": {"os": "linux", "architecture": "arm64"}},
        {**other, "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    for each in children:
        each.pop("annotations", None)
    media_type = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": children}).encode()
    digest = hashlib.sha256(index).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(index)
    tag = {"org.opencontainers.image.ref.name": "1.25"}
    listed = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(index), "annotations": tag}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))

    (locked.directory / "app/.imgpkg/images.yml").unlink()
    locked.pipeline(LOCKED)
    locked.doit("lock_bundle")
    assert digest in locked.read("app/.imgpkg/images.yml")
    locked.pipeline("bundles: {app: {files: [app], lock: {platform: linux/arm64}}}")
    locked.doit("lock_bundle")
    content = locked.read("app/.imgpkg/images.yml")
    assert child in content and "dev.bundlepipe.platform: linux/arm64" in content
    locked.pipeline("bundles: {app: {files: [app], lock: {platform: windows/amd64}}}")
    errors = locked.doit("lock_bundle", status=1).stdout
    assert "has no image for platform windows/amd64; its platforms: linux/amd64, linux/arm64" in errors


def test_what_the_bundle_leaves_out_is_not_searched(project: Project) -> None:
    project.pipeline("bundles: {app: {files: [app], exclude: [.git, templates, one.yml], lock: {}}}")
    for path in ("app/templates/t.yml", "app/one.yml"):
        project.write(path, "image: #@ data.values.image\n")
    project.write("app/config.yml", "kind: App\n")
    project.doit("lock_bundle")
    project.write("app/templates/t.yml", "image: #@ data.values.other\n")
    assert project.doit("lock_bundle").ran == []


def test_a_pipe_among_the_files_is_passed_by(project: Project) -> None:
    project.pipeline(LOCKED)
    project.write("app/config.yml", "kind: App\n")
    os.mkfifo(project.directory / "app/pipe.yml")
    assert project.doit("lock_bundle").executed == {"lock_bundle:app"}
