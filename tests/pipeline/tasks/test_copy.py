"""copy_bundle: copies that follow their source, and tars that come out right."""

from __future__ import annotations

import math
import shutil
import tarfile

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import file_layer, put_image
from tests.support.project import Project
from tests.support.proxy import Proxy, Respond
from tests.support.services import Registry

BUNDLES = """\
images:
  site: {files: [site]}
bundles:
  base: {files: [base]}
  top:
    files: [top]
    lock: {include: [{bundle: base}, {image: site}]}
    push: "layout.localhost/apps/top:1.0"
"""
COPIES = """\
copies:
  production: {from: {bundle: top}, to: "${DESTINATION}/top", tags: [stable], lockOutput: locks/production.yml}
  again: {from: {copy: production}, to: "${DESTINATION}/again:kept"}
  locked: {from: {lock: locks/production.yml}, to: "${DESTINATION}/locked"}
  usb: {from: {bundle: top}, to: tar:dist/top.tar}
  arrived: {from: {copy: usb}, to: "${DESTINATION}/arrived", lockOutput: locks/arrived.yml}
  directory: {from: tar:dist/top.tar, to: oci:dist/layout}
pulls:
  production: {from: {copy: production}, to: build/production, recursive: true}
  directory: {from: {copy: directory}, to: build/directory}
  usb: {from: {copy: usb}, to: build/usb}
"""
ALL = {f"copy_bundle:{name}" for name in ("production", "again", "locked", "usb", "arrived", "directory")}
PULLED_LOCALLY = {"pull_bundle:archive", "pull_bundle:layout"}
PULLS = {f"pull_bundle:{name}" for name in ("production", "directory", "usb")}


def _write(project: Project, copies: str = COPIES) -> None:
    project.pipeline(BUNDLES + copies)
    project.bundle("base")
    project.write("site/index.html", "hello")
    project.write("top/config.yml", "kind: Top\n")


@pytest.fixture
def copied(project: Project) -> Project:
    """Every kind of copy, between hosts that directories back, made and settled."""
    _write(project)
    project.environment["DESTINATION"] = "layout.localhost/to"
    project.doit("pull_bundle", "copy_bundle")
    run = project.doit("pull_bundle", "copy_bundle")
    assert run.ran == [], run.stdout
    return project


def test_every_copy_has_everything(copied: Project) -> None:
    for name in ("top", "again", "locked", "arrived"):
        blobs = copied.directory / f"build/registry/to/{name}/blobs/sha256"
        for kind, made in (("bundle", "top"), ("bundle", "base"), ("image", "site")):
            assert (blobs / copied.digest(kind, made).rpartition(":")[2]).is_file()
    digest = copied.digest("bundle", "top").rpartition("@")[2]
    assert copied.digest("copy", "production") == f"layout.localhost/to/top@{digest}"
    assert copied.digest("copy", "usb") == f"tar:dist/top.tar@{digest}"
    assert copied.digest("copy", "directory") == f"oci:dist/layout@{digest}"


def test_tags_follow_the_push_the_copy_and_the_lock(copied: Project) -> None:
    assert "tag: '1.0'" in copied.read("locks/production.yml").replace('"', "'")
    assert "tag: '1.0'" in copied.read("locks/arrived.yml").replace('"', "'")
    for name, tags in (("top", {"1.0", "stable"}), ("again", {"kept"}), ("locked", {"1.0"}), ("arrived", {"1.0"})):
        index = copied.read(f"build/registry/to/{name}/index.json")
        found = {tag for tag in ("1.0", "stable", "kept", "latest") if f'ref.name": "{tag}"' in index}
        assert found == tags, name
    assert 'ref.name": "1.0"' in copied.read("dist/layout/index.json")


def test_pulls_of_copies_are_relocated(copied: Project) -> None:
    lock = copied.read("build/production/.imgpkg/images.yml")
    assert lock.count("image: layout.localhost/to/top@sha256:") == 2
    for directory in ("directory", "usb"):
        assert copied.read(f"build/{directory}/config.yml") == "kind: Top\n"


def test_a_changed_source_is_copied_again_everywhere(copied: Project) -> None:
    copied.write("site/index.html", "changed")
    run = copied.doit("pull_bundle", "copy_bundle")
    assert run.executed == {"push_image:site", "lock_bundle:top", "push_bundle:top", *ALL, *PULLS}


def test_a_touched_source_copies_nothing(copied: Project) -> None:
    file = copied.directory / "site/index.html"
    file.write_text("hello")
    assert copied.doit("pull_bundle", "copy_bundle").ran == []


@pytest.mark.parametrize("change", ["removed", "altered", "cut"])
def test_a_tar_that_was_changed_is_made_again(copied: Project, change: str) -> None:
    path = copied.directory / "dist/top.tar"
    original = path.read_bytes()
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(original[:-2000] if change == "cut" else original[:-1500] + b"x" + original[-1499:])
    run = copied.doit("copy_bundle:usb")
    assert run.ran == ["copy_bundle:usb"]
    assert path.read_bytes() == original
    assert "dist/top.tar is missing" in run.stdout if change == "removed" else "dist/top.tar changed" in run.stdout


def test_a_layout_that_lost_the_image_is_filled_again(copied: Project) -> None:
    (copied.directory / "dist/layout/index.json").unlink()
    run = copied.doit("copy_bundle:directory")
    assert run.ran == ["copy_bundle:directory"]
    assert "oci:dist/layout is not there" in run.stdout
    assert copied.doit("copy_bundle:directory").ran == []


def test_changed_options_copy_again(copied: Project) -> None:
    _write(copied, COPIES.replace("tags: [stable]", "tags: [stable, newest]"))
    run = copied.doit("copy_bundle:production")
    assert run.executed == {"copy_bundle:production"}
    assert "(tags changed)" in run.stdout


def test_without_local_state_what_is_there_is_not_copied_again(copied: Project) -> None:
    for file in copied.directory.glob(".bundlepipe/doit.db*"):
        file.unlink()
    run = copied.doit("copy_bundle:production", "copy_bundle:again")
    assert run.marks["copy_bundle:production"] == "="
    assert run.marks["copy_bundle:again"] == "="
    assert "0 blobs uploaded, 0 mounted, 6 already there" in run.stdout


def test_the_summary_counts_images_blobs_and_bytes(project: Project, registry: Registry) -> None:
    _write(project)
    project.environment["DESTINATION"] = f"{registry.host}/{registry.repository().path}"
    run = project.doit("copy_bundle:production")
    assert "3 images, 6 blobs uploaded, 0 mounted, 0 already there, " in run.stdout
    line = next(line for line in run.stdout.splitlines() if line.startswith(".  copy_bundle:production"))
    assert "/top sha256:" in line
    assert line.endswith("s  (no local record)")
    run = project.doit("copy_bundle:again")
    assert "3 images, 0 blobs uploaded, 6 mounted, 0 already there, 0 B in " in run.stdout


def test_copying_works_in_every_way_of_running(project: Project, way: tuple[str, ...]) -> None:
    _write(project)
    project.environment["DESTINATION"] = "layout.localhost/to"
    run = project.doit(*way, "copy_bundle", "pull_bundle")
    assert run.executed >= ALL | PULLS
    assert project.doit(*way, "copy_bundle", "pull_bundle").ran == []


def test_verify_asks_the_destination(project: Project, registry: Registry, proxy: Proxy) -> None:
    _write(project)
    repository = registry.repository()
    project.environment["DESTINATION"] = f"{proxy.host}/{repository.path}"
    project.doit("copy_bundle:production", "copy_bundle:again")
    proxy.forget()
    assert project.doit("copy_bundle:production", "copy_bundle:again").ran == []
    assert proxy.count() == 0
    assert project.doit("verify=registry", "copy_bundle:production", "copy_bundle:again").ran == []
    assert [request.path.rpartition("/")[2] for request in proxy.requests] == ["1.0", "stable", "kept"]
    for tag in ("1.0", "stable"):
        store = Stores().repository(Repository(proxy.host, f"{repository.path}/top"), writes=True)
        put_image(store, file_layer("other", "other"), tag=tag)
        run = project.doit("verify=registry", "copy_bundle:production")
        assert run.executed == {"copy_bundle:production"}
        assert f"/top:{tag} is another image" in run.stdout
        assert project.doit("verify=registry", "copy_bundle:production").ran == []


def test_a_registry_that_is_gone_is_asked_once(project: Project, registry: Registry, proxy: Proxy) -> None:
    _write(project)
    project.environment["DESTINATION"] = f"{proxy.host}/{registry.repository().path}"
    project.doit("copy_bundle:production")
    proxy.fault("*", "", Respond(503), times=math.inf)
    run = project.doit("verify=registry", "copy_bundle:production", status=1)
    told = [line for line in run.output.splitlines() if "gave up after" in line]
    assert [line.startswith("failed  copy_bundle:production: ") for line in told] == [False, True]
    assert len({request.path for request in proxy.requests if request.status == 503}) == 1
    assert "Traceback" not in run.output


def test_a_new_tag_of_the_same_content_is_copied_all_along(project: Project) -> None:
    _write(
        project,
        "copies:\n"
        "  production: {from: {bundle: top}, to: layout.localhost/production, lockOutput: production.yml}\n"
        "  usb: {from: {copy: production}, to: tar:dist/top.tar}\n"
        "  arrived: {from: {copy: usb}, to: layout.localhost/arrived, lockOutput: arrived.yml}\n"
        "  onwards: {from: tar:dist/top.tar, to: layout.localhost/onwards}\n"
        "  layout: {from: {copy: onwards}, to: oci:dist/layout}\n"
        "  back: {from: {copy: layout}, to: layout.localhost/back, lockOutput: back.yml}\n"
        "pulls:\n"
        "  production: {from: {copy: production}, to: build/production}\n",
    )
    everything = {f"copy_bundle:{name}" for name in ("production", "usb", "arrived", "onwards", "layout", "back")}
    for version in ("1.0", "2.0"):
        project.write("bundlepipe.yml", project.read("bundlepipe.yml").replace("/apps/top:1.0", f"/apps/top:{version}"))
        run = project.doit("copy_bundle", "pull_bundle")
        assert run.executed >= everything
        assert ("pull_bundle:production" in run.executed) == (version == "1.0")
        for lock in ("production", "arrived", "back"):
            assert f'tag: "{version}"' in project.read(f"{lock}.yml"), lock
        assert project.doit("copy_bundle", "pull_bundle").ran == []


def test_a_refresh_finds_what_the_destination_lost(project: Project) -> None:
    _write(project, "copies:\n  a: {from: 'layout.localhost/apps/top:1.0', to: oci:dist/a, refresh: always}\n")
    project.doit("push_bundle")
    project.doit("copy_bundle")
    assert project.doit("copy_bundle").marks == {"copy_bundle:a": "="}
    shutil.rmtree(project.directory / "dist/a")
    run = project.doit("copy_bundle")
    assert run.marks == {"copy_bundle:a": "."}
    assert (project.directory / "dist/a/index.json").exists()


def test_several_images_are_copied_on_and_on(project: Project) -> None:
    _write(
        project,
        "copies:\n"
        "  archive: {from: {lock: images.yml}, to: tar:dist/images.tar}\n"
        "  layout: {from: {lock: images.yml}, to: oci:dist/images}\n"
        "  host: {from: tar:dist/images.tar, to: layout.localhost/host, tags: []}\n"
        "  arrived: {from: {copy: archive}, to: layout.localhost/arrived}\n"
        "  onwards: {from: {copy: arrived}, to: layout.localhost/onwards, lockOutput: onwards.yml}\n",
    )
    other = "images:\n  o: {files: [other]}\n"
    project.write("bundlepipe.yml", project.read("bundlepipe.yml").replace("images:\n", other, 1))
    project.write("other/index.html", "other")
    project.doit("push_image")
    images = "".join(f"- image: {project.digest('image', name)}\n" for name in ("site", "o"))
    project.write("images.yml", f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n{images}")
    project.doit("copy_bundle")
    assert project.read("onwards.yml").count("image: layout.localhost/onwards@sha256:") == 2
    for variable in ("refresh=all", "verify=registry"):
        assert project.doit(variable, "copy_bundle").ran == []


def test_a_tar_that_is_there_is_read_and_not_written_again(copied: Project) -> None:
    path = copied.directory / "dist/top.tar"
    before = path.stat()
    copied.doit("forget", "copy_bundle:usb")
    assert copied.doit("copy_bundle:usb").marks["copy_bundle:usb"] == "="
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_comes_after_a_clean_is_nobodys_output(copied: Project) -> None:
    copied.doit("clean", "copy_bundle:usb", "pull_bundle:usb")
    copied.write("dist/top.tar", "precious")
    assert "it is not a tar of a copy" in copied.doit("copy_bundle:usb", status=1).output
    copied.doit("clean", "copy_bundle:usb")
    assert copied.read("dist/top.tar") == "precious"


def test_a_lock_of_nothing_is_copied_once(project: Project) -> None:
    _write(project, "copies:\n  none: {from: {lock: images.yml}, to: oci:dist/none}\n")
    project.write("images.yml", "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages: []\n")
    project.doit("copy_bundle")
    assert project.doit("copy_bundle").ran == []


def test_a_file_that_no_copy_made_is_kept(project: Project) -> None:
    _write(project, "copies:\n  a: {from: {bundle: top}, to: tar:precious.txt}\n")
    project.write("precious.txt", "precious")
    run = project.doit("copy_bundle", status=1)
    assert (
        "precious.txt: exists, but it is not a tar of a copy, and git does not have it: "
        "remove it, name another path, or replace it with 'doit copy_bundle:a force=a'" in run.output
    )
    assert (
        "not removing 'precious.txt', which was not made by this copy" in project.doit("clean", "copy_bundle:a").stdout
    )
    assert project.read("precious.txt") == "precious"


def test_a_tag_source_is_asked_for_again_only_on_request(project: Project) -> None:
    _write(project, 'copies:\n  vendor: {from: "layout.localhost/apps/top:1.0", to: "layout.localhost/vendor"}\n')
    project.doit("push_bundle")
    project.doit("copy_bundle")
    project.write("top/config.yml", "kind: Other\n")
    project.doit("push_bundle")
    assert project.doit("copy_bundle").ran == []
    run = project.doit("refresh=vendor", "copy_bundle")
    assert run.executed == {"copy_bundle:vendor"}
    run = project.doit("refresh=vendor", "copy_bundle")
    assert run.marks == {"copy_bundle:vendor": "="}
    assert project.doit("copy_bundle").ran == []


def test_local_homes_are_made_before_they_are_read(project: Project) -> None:
    _write(
        project,
        "copies:\n"
        "  archive: {from: {bundle: top}, to: tar:dist/top.tar}\n"
        "  layout: {from: tar:dist/top.tar, to: 'oci:dist/layout:1'}\n"
        "  beside: {from: {image: site}, to: 'oci:dist/layout:2'}\n"
        "  again: {from: 'oci:dist/layout:1', to: 'oci:dist/layout:3'}\n"
        "  back: {from: 'oci:dist/layout:3', to: layout.localhost/back}\n"
        "pulls:\n"
        "  archive: {from: tar:dist/top.tar, to: build/archive}\n"
        "  layout: {from: 'oci:dist/layout:1', to: build/layout}\n",
    )
    run = project.doit("pull_bundle:layout")
    assert run.executed >= {"push_bundle:top", "copy_bundle:archive", "copy_bundle:layout", "pull_bundle:layout"}
    assert "copy_bundle:beside" not in run.executed
    run = project.doit("copy_bundle:back", "pull_bundle:archive")
    assert run.executed == {"copy_bundle:again", "copy_bundle:back", "pull_bundle:archive"}
    project.doit("copy_bundle")
    assert project.doit("copy_bundle", "pull_bundle").ran == []
    project.write("top/config.yml", "kind: Changed\n")
    run = project.doit("copy_bundle", "pull_bundle")
    assert run.executed >= {"copy_bundle:layout", "copy_bundle:again", "copy_bundle:back", *PULLED_LOCALLY}
    assert "copy_bundle:beside" not in run.executed
    assert project.read("build/archive/config.yml") == project.read("build/layout/config.yml") == "kind: Changed\n"
    assert project.doit("copy_bundle", "pull_bundle").ran == []


def test_local_sources_that_others_made_are_looked_at(copied: Project) -> None:
    (copied.directory / "dist").rename(copied.directory / "media")
    _write(
        copied,
        "copies:\n"
        "  archive: {from: {bundle: top}, to: tar:new/top.tar}\n"
        "  layout: {from: {bundle: top}, to: oci:new/layout}\n"
        "pulls:\n"
        "  archive: {from: tar:media/top.tar, to: build/archive}\n"
        "  layout: {from: oci:media/layout, to: build/layout}\n",
    )
    assert copied.doit("pull_bundle").executed == PULLED_LOCALLY
    assert copied.doit("pull_bundle").ran == []
    copied.write("top/config.yml", "kind: Changed\n")
    copied.doit("copy_bundle")
    assert copied.doit("pull_bundle").ran == []
    (copied.directory / "media").rename(copied.directory / "unplugged")
    assert copied.doit("pull_bundle").ran == []
    (copied.directory / "new").rename(copied.directory / "media")
    run = copied.doit("pull_bundle")
    assert run.executed == PULLED_LOCALLY
    assert "(media/top.tar changed)" in run.stdout
    assert "(oci:media/layout changed)" in run.stdout


def test_a_delta_follows_the_tar_that_it_continues(project: Project) -> None:
    _write(
        project,
        "copies:\n"
        "  first: {from: layout.localhost/apps/top:1.0, to: tar:dist/first.tar}\n"
        "  delta: {from: {bundle: top}, to: tar:dist/delta.tar, exclude: [tar:dist/first.tar]}\n"
        "  arrived: {from: tar:dist/first.tar, to: layout.localhost/arrived}\n"
        "  complete: {from: {copy: delta}, to: layout.localhost/arrived}\n"
        "  refused: {from: {copy: delta}, to: layout.localhost/empty}\n",
    )
    project.doit("push_bundle")
    project.doit("copy_bundle:first", "copy_bundle:arrived")
    project.write("site/index.html", "changed")
    project.doit("copy_bundle:delta", "copy_bundle:complete")
    with tarfile.open(project.directory / "dist/delta.tar") as tar:
        assert len(tar.getnames()) == 3
    run = project.doit("copy_bundle:refused", status=1)
    assert "tar:dist/delta.tar leaves out 1 layer, and layout.localhost/empty does not have it: sha256:" in run.output
    assert not (project.directory / "build/registry/empty").exists()


def test_clean_removes_tars_and_locks_stay(copied: Project) -> None:
    (copied.directory / "dist/.top.tar.partial").touch()
    run = copied.doit("clean", "-n", "copy_bundle:usb")
    assert "removing file 'dist/top.tar'" in run.stdout
    assert (copied.directory / "dist/top.tar").exists()
    copied.doit("clean", "copy_bundle:usb", "copy_bundle:production", "copy_bundle:directory")
    assert sorted(path.name for path in (copied.directory / "dist").iterdir()) == ["layout"]
    assert (copied.directory / "locks/production.yml").exists()
    assert not (copied.directory / ".bundlepipe/digests/copy/production").exists()


FAULTS = {
    "to: registry.example/a@sha256:" + "0" * 64: "the destination of a copy cannot be a digest: give a repository",
    "to: tar:x.tar, lockOutput: x.yml": "cannot output lock file with tar destination",
    "to: oci:x, lockOutput: x.yml": "lockOutput: oci:x is in no registry",
    "to: registry.example/a, exclude: [tar:b.tar]": "only a tar can leave out layers",
    "to: registry.example/a, tags: [-x]": "'-x' is not a tag",
    "to: Registry Example": "is not",
    "to: tar:top/x.tar": "top/x.tar lies in top, an input of bundle 'top'",
    "to: oci:top/x": "top/x lies in top, an input of bundle 'top'",
    "to: tar:x.tar, exclude: [tar:x.tar]": "tar:x.tar would be made from itself",
    "to: tar:x.tar, exclude: ['tar:']": "exclude: 'tar:': expected tar:FILE or the path of a lock",
    "to: tar:x.tar, exclude: [oci:x]": "exclude: 'oci:x': expected tar:FILE or the path of a lock",
    "to: tar:dist/": "'tar:dist/': expected tar:FILE",
    "to: 'oci:'": "'oci:': expected oci:DIR[:TAG]",
    "to: tar:bundlepipe.yml": "would replace bundlepipe.yml: write it elsewhere",
    "to: tar:dodo.py": "would replace dodo.py: write it elsewhere",
    "to: layout.localhost/a, lockOutput: .bundlepipe/doit.db": "would replace .bundlepipe/doit.db: write it elsewhere",
    "to: 'layout.localhost/base:dev'": "layout.localhost/base:dev is the destination of 'base' too",
    "to: docker-daemon:X": "repository names are lower case",
}


@pytest.mark.parametrize("value", FAULTS)
def test_a_faulty_declaration_is_one_clear_line(project: Project, value: str) -> None:
    _write(project, f"copies:\n  wrong: {{from: {{bundle: top}}, {value}}}\n")
    told = project.refusal()
    lines = [line for line in told.splitlines() if FAULTS[value] in line]
    assert len(lines) == 1, told
    assert "bundlepipe.yml:14:3: " in lines[0] and "copy 'wrong'" in lines[0]


def test_unknown_sources_and_shared_outputs_are_faults(project: Project) -> None:
    _write(
        project,
        "copies:\n"
        "  a: {from: {copy: nothing}, to: tar:x.tar}\n"
        "  b: {from: {bundle: top}, to: tar:x.tar}\n"
        "pulls:\n"
        "  c: {from: {copy: b}, to: .}\n",
    )
    error = project.refusal()
    assert "copy 'a': there is no copy 'nothing' in this pipeline; there are: a, b" in error
    assert "copy 'b': x.tar is written by copy 'a' too" in error


def test_copies_in_a_cycle_are_refused(project: Project) -> None:
    _write(
        project,
        "copies:\n  a: {from: {copy: b}, to: layout.localhost/a}\n  b: {from: {copy: a}, to: layout.localhost/b}\n",
    )
    cycle = "these tasks need one another: copy_bundle:a -> copy_bundle:b -> copy_bundle:a"
    assert cycle in project.refusal()


def test_an_images_lock_is_copied_and_cannot_be_pulled_as_one(project: Project) -> None:
    _write(
        project,
        "copies:\n"
        "  images: {from: {lock: images.yml}, to: layout.localhost/all, lockOutput: all.yml}\n"
        "pulls:\n"
        "  images: {from: {copy: images}, to: build/images}\n",
    )
    project.write("other/index.html", "other")
    project.write(
        "bundlepipe.yml", project.read("bundlepipe.yml").replace("images:\n", "images:\n  o: {files: [other]}\n", 1)
    )
    project.doit("push_image")
    images = "".join(f"- image: {project.digest('image', name)}\n" for name in ("site", "o"))
    project.write("images.yml", f"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n{images}")
    project.doit("copy_bundle")
    assert project.read("all.yml").count("image: layout.localhost/all@sha256:") == 2
    run = project.doit("pull_bundle", status=1)
    assert "copy 'images' copied 2 images: name one of them instead, or a bundle of them" in run.output


def test_a_gone_registry_is_one_line(project: Project) -> None:
    _write(project)
    project.environment["DESTINATION"] = "127.0.0.1:1"
    run = project.doit("copy_bundle:production", status=1)
    assert "127.0.0.1:1" in run.output
    assert "Traceback" not in run.output
    assert not (project.directory / ".bundlepipe/digests/copy/production").exists()
