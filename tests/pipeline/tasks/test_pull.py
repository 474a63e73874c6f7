"""pull_bundle: directories that follow their source, and that nothing else loses."""

from __future__ import annotations

import pytest

from tests.support.project import DODO, Project

DECLARATIONS = """\
images:
  site: {files: [site]}
bundles:
  base: {files: [base]}
  top: {files: [top], lock: {include: [{bundle: base}, {image: site}]}, lockOutput: locks/top.yml}
pulls:
  top: {from: {bundle: top}, to: build/top}
  all: {from: {bundle: top}, to: build/all, recursive: true}
  site: {from: {image: site}, to: build/site}
  locked: {from: {lock: locks/top.yml}, to: build/locked}
"""


@pytest.fixture
def pulled(project: Project) -> Project:
    """Every kind of source, pulled and settled."""
    project.pipeline(DECLARATIONS)
    project.bundle("base")
    project.write("site/index.html", "hello")
    project.write("top/config.yml", "kind: Top\n")
    (project.directory / "top/empty").mkdir()
    project.doit("pull_bundle")
    assert project.doit("pull_bundle").ran == []
    return project


def test_pulls_have_the_files_of_their_sources(pulled: Project) -> None:
    for directory in ("build/top", "build/all", "build/locked"):
        assert pulled.read(f"{directory}/config.yml") == "kind: Top\n"
        assert (pulled.directory / directory / "empty").is_dir()
        assert pulled.read(f"{directory}/.imgpkg/images.yml") == pulled.read("top/.imgpkg/images.yml")
    assert pulled.read("build/site/index.html") == "hello"


def test_recursive_pull_lays_nested_bundles_out_by_digest(pulled: Project) -> None:
    digest = pulled.digest("bundle", "base").rpartition(":")[2]
    assert pulled.read(f"build/all/.imgpkg/bundles/sha256-{digest}/config.yml") == "kind: base\n"
    assert not (pulled.directory / "build/top/.imgpkg/bundles").exists()


def test_a_changed_source_pulls_again(pulled: Project) -> None:
    pulled.write("site/index.html", "changed")
    run = pulled.doit("pull_bundle")
    assert run.executed == {
        *("push_image:site", "lock_bundle:top", "push_bundle:top"),
        *("pull_bundle:top", "pull_bundle:all", "pull_bundle:site", "pull_bundle:locked"),
    }
    assert pulled.read("build/site/index.html") == "changed"


@pytest.mark.parametrize("change", ["edited", "removed", "added", "gone"])
def test_a_changed_output_is_pulled_again(pulled: Project, change: str) -> None:
    output = pulled.directory / "build/site"
    index = output / "index.html"
    if change == "edited":
        index.write_text("jello")
    elif change == "removed":
        index.unlink()
    elif change == "added":
        (output / "stray").write_text("")
    else:
        index.unlink()
        output.rmdir()
    run = pulled.doit("pull_bundle")
    assert run.executed == {"pull_bundle:site"}
    assert change != "gone" or "(build/site is missing)" in run.stdout
    assert [path.name for path in output.iterdir()] == ["index.html"]
    assert index.read_text() == "hello"


def test_touching_an_output_pulls_nothing(pulled: Project) -> None:
    (pulled.directory / "build/site/index.html").touch()
    assert pulled.doit("pull_bundle").ran == []


def test_a_moved_tag_pulls_only_on_refresh(project: Project) -> None:
    project.pipeline("images: {site: {files: [site]}}\npulls: {site: {from: layout.localhost/site:dev, to: out}}")
    project.write("site/index.html", "hello")
    project.doit("push_image")
    project.doit("pull_bundle")
    project.write("site/index.html", "changed")
    project.doit("push_image")
    assert project.doit("pull_bundle").ran == []
    for refresh, mark in (("refresh=site", "."), ("refresh=all", "=")):
        run = project.doit("pull_bundle", refresh)
        assert run.marks == {"pull_bundle:site": mark}
        assert "refresh requested" in run.stdout
        assert project.read("out/index.html") == "changed"
    assert "nothing has that name" in project.doit("pull_bundle", "refresh=other", status=3).stderr


def test_refresh_always_is_declared(project: Project) -> None:
    project.pipeline(
        "images: {site: {files: [site]}}\npulls: {site: {from: layout.localhost/site:dev, to: out, refresh: always}}"
    )
    project.write("site/index.html", "hello")
    project.doit("push_image")
    for mark in (".", "="):
        assert project.doit("pull_bundle").marks == {"pull_bundle:site": mark}


def test_an_oci_layout_is_a_source(project: Project) -> None:
    project.pipeline(
        "images: {site: {files: [site]}}\n"
        "pulls:\n  tagged: {from: 'oci:build/registry/site:dev', to: out}\n"
        "  sole: {from: 'oci:build/registry/site', to: out2}\n"
    )
    project.write("site/index.html", "hello")
    project.doit("push_image")
    project.doit("pull_bundle")
    assert project.read("out/index.html") == project.read("out2/index.html") == "hello"


DANGEROUS = {
    ".": "holds bundlepipe.yml",
    "..": "holds bundlepipe.yml",
    "/": "holds",
    "one": "which holds one, an input of what it pulls",
}


@pytest.mark.parametrize("to", DANGEROUS)
def test_a_dangerous_directory_is_refused(project: Project, to: str) -> None:
    project.pipeline(f"bundles: {{one: {{files: [one]}}}}\npulls: {{one: {{from: {{bundle: one}}, to: {to}}}}}")
    project.bundle("one")
    run = project.doit("pull_bundle", status=None)
    assert run.status != 0
    assert "Traceback" not in run.output
    assert DANGEROUS[to] in run.output or "Disallowed output directory" in run.output
    assert project.read("one/config.yml") == "kind: one\n"


def test_a_directory_with_inputs_that_the_pull_did_not_make_is_refused(project: Project) -> None:
    project.pipeline(
        "images: {other: {files: [shared/other]}}\n"
        "bundles: {one: {files: [one]}}\npulls: {one: {from: {bundle: one}, to: shared}}"
    )
    project.bundle("one")
    project.write("shared/other/index.html", "mine")
    run = project.doit("pull_bundle", status=1)
    assert "Disallowed output directory" in run.output and "it is or contains shared/other" in run.output
    assert project.read("shared/other/index.html") == "mine"


def test_a_git_repository_is_refused(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one]}}\npulls: {one: {from: {bundle: one}, to: checkout}}")
    project.bundle("one")
    project.write("checkout/.git/HEAD", "ref: refs/heads/main\n")
    run = project.doit("pull_bundle", status=1)
    assert "Disallowed output directory" in run.output
    assert (project.directory / "checkout/.git/HEAD").exists()


def test_outputs_inside_a_pulled_directory_are_refused_when_loading(project: Project) -> None:
    project.pipeline(
        "bundles: {one: {files: [one], lockOutput: out/lock.yml}}\n"
        "pulls: {one: {from: {bundle: one}, to: out}, two: {from: {bundle: one}, to: out/two}}"
    )
    project.bundle("one")
    errors = project.refusal()
    assert "out/lock.yml, lies in out" in errors
    assert "out/two, lies in out" in errors


def test_a_failed_pull_leaves_the_directory_whole(pulled: Project) -> None:
    blobs = pulled.directory / "build/registry/site/blobs/sha256"
    layer = max(blobs.iterdir(), key=lambda path: path.read_bytes().startswith(b"\x1f\x8b"))
    layer.write_bytes(layer.read_bytes()[:-4] + b"abcd")
    (pulled.directory / "build/site/stray").write_text("")
    run = pulled.doit("pull_bundle:site", status=1)
    assert "arrived with other content" in run.output
    assert pulled.read("build/site/index.html") == "hello"
    assert (pulled.directory / "build/site/stray").exists()
    assert [path.name for path in (pulled.directory / "build").iterdir() if "site" in path.name] == ["site"]


def test_an_index_cannot_be_pulled(project: Project) -> None:
    project.pipeline("pulls: {index: {from: 'oci:layout:v1', to: out}}")
    index = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    import hashlib
    import json

    digest = hashlib.sha256(index).hexdigest()
    project.write("layout/oci-layout", '{"imageLayoutVersion":"1.0.0"}')
    project.write(f"layout/blobs/sha256/{digest}", index)
    entry = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": f"sha256:{digest}",
        "size": len(index),
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    }
    project.write("layout/index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    run = project.doit("pull_bundle", status=1)
    assert "Unable to pull non-images, such as image indexes" in run.output


def test_max_size_stops_a_bomb(project: Project) -> None:
    project.pipeline("images: {big: {files: [big]}}\npulls: {big: {from: {image: big}, to: out, maxSize: 1000000}}")
    project.write("big/zeros", bytes(2_000_000))
    run = project.doit("pull_bundle", status=1)
    assert "1000000" in run.output
    assert not (project.directory / "out").exists()


def test_pulls_run_side_by_side(pulled: Project) -> None:
    pulled.write("dodo.py", DODO)
    for path in ("build/top", "build/all", "build/site", "build/locked"):
        (pulled.directory / path).rename(pulled.directory / (path + ".away"))
    run = pulled.doit("-n", "4", "-P", "thread", "pull_bundle")
    assert len(run.executed) == 4


def test_a_pull_that_is_sent_elsewhere_owns_nothing_there(project: Project) -> None:
    images = "images: {site: {files: [site]}, work: {files: [mine/work]}}"
    project.pipeline(f"{images}\npulls: {{site: {{from: {{image: site}}, to: out}}}}")
    project.write("site/index.html", "hello")
    project.write("mine/work/notes.txt", "precious")
    project.doit("push_image", "pull_bundle")
    project.pipeline(f"{images}\npulls: {{site: {{from: {{image: site}}, to: mine}}}}")
    assert "not removing 'mine'" in project.doit("clean", "pull_bundle:site").stdout
    assert "Disallowed output directory" in project.doit("pull_bundle", status=1).stdout
    assert project.read("mine/work/notes.txt") == "precious"


def test_inputs_are_protected_under_any_name(project: Project) -> None:
    project.pipeline(
        "images: {site: {files: [site]}, work: {files: [alias/app]}}\n"
        "pulls: {site: {from: {image: site}, to: real/app}}"
    )
    project.write("site/index.html", "hello")
    project.write("real/app/notes.txt", "precious")
    (project.directory / "alias").symlink_to("real")
    run = project.doit("pull_bundle", status=None)
    assert run.status != 0 and "Traceback" not in run.output
    assert project.read("real/app/notes.txt") == "precious"


def test_clean_leaves_a_link_that_stands_for_the_directory(pulled: Project) -> None:
    (pulled.directory / "build/site").rename(pulled.directory / "moved")
    (pulled.directory / "build/site").symlink_to(pulled.directory / "moved")
    assert "not removing 'build/site'" in pulled.doit("clean", "pull_bundle:site").stdout
    assert (pulled.directory / "moved/index.html").exists()


def test_a_refresh_that_finds_the_same_digest_leaves_the_directory_alone(project: Project) -> None:
    project.pipeline(
        "images: {site: {files: [site]}}\npulls: {site: {from: layout.localhost/site:dev, to: out, refresh: always}}"
    )
    project.write("site/index.html", "hello")
    project.doit("push_image")
    project.doit("pull_bundle")
    before = (project.directory / "out").stat().st_ino
    assert project.doit("pull_bundle").marks == {"pull_bundle:site": "="}
    assert (project.directory / "out").stat().st_ino == before
