"""render_config: what it writes, when it runs, and what it refuses."""

from __future__ import annotations

import pytest

from tests.support.project import Project

DIGEST = "sha256:" + "ab" * 32
CONFIG = "# top\r\nspec:\r\n- image:  'web'   # here\r\n- name: y\r\n"
LOCK = f"""\
---
apiVersion: imgpkg.carvel.dev/v1alpha1
images:
- annotations: {{kbld.carvel.dev/id: web}}
  image: a.example/web@{DIGEST}
kind: ImagesLock
"""
RENDERS = "renders:\n  app: {files: [src], locks: [images.yml], output: build/app.yml}\n"
TASK = "render_config:app"


@pytest.fixture
def rendered(project: Project) -> Project:
    """A file that was rendered with the one image of a lock."""
    project.pipeline(RENDERS)
    project.write("src/config.yml", CONFIG.encode())
    project.write("images.yml", LOCK)
    project.doit("render_config")
    return project


def _output(project: Project) -> bytes:
    return (project.directory / "build/app.yml").read_bytes()


def test_only_references_change(rendered: Project) -> None:
    assert _output(rendered) == CONFIG.replace("web", f"a.example/web@{DIGEST}").encode()


def test_files_locks_and_the_output_make_it_stale(rendered: Project) -> None:
    before = _output(rendered)
    assert rendered.doit("render_config").ran == []
    rendered.write("src/more.yml", "a: 1\n")
    assert "(src/more.yml is new)" in rendered.doit("render_config").stdout
    assert _output(rendered) == before + b"---\na: 1\n"
    rendered.write("images.yml", LOCK.replace("a.example", "b.example"))
    assert "(images.yml changed)" in rendered.doit("render_config").stdout
    assert b"b.example" in _output(rendered)
    rendered.write("build/app.yml", "edited by hand\n")
    assert "(build/app.yml changed)" in rendered.doit("render_config").stdout
    (rendered.directory / "build/app.yml").unlink()
    assert "(build/app.yml is missing)" in rendered.doit("render_config").stdout
    rendered.write("elsewhere.yml", "image: web\n")
    assert rendered.doit("render_config").ran == []


def test_an_output_that_comes_out_the_same_is_not_written(rendered: Project) -> None:
    stamp = (rendered.directory / "build/app.yml").stat().st_mtime_ns
    rendered.write("images.yml", "# comment\n" + LOCK)
    assert rendered.doit("render_config").marks == {TASK: "="}
    assert (rendered.directory / "build/app.yml").stat().st_mtime_ns == stamp


def test_what_is_not_locked_is_told_with_its_places(rendered: Project) -> None:
    rendered.write("src/config.yml", "- image: web\n- image: api:1\n- image: db\n")
    run = rendered.doit("render_config", status=1)
    assert "src/config.yml:2:10: 'api:1' is in none of images.yml" in run.output
    assert "src/config.yml:3:10: 'db' is in none of images.yml" in run.output
    assert "Traceback" not in run.output
    assert b"a.example" in _output(rendered)


def test_configuration_of_kbld_says_what_else_is_a_reference(rendered: Project) -> None:
    rendered.pipeline(RENDERS.replace("output", "config: [kbld.yml], output"))
    rendered.write(
        "kbld.yml", "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\nsearchRules: [{keyMatcher: {name: picture}}]\n"
    )
    rendered.write("src/config.yml", "picture: web\n")
    rendered.doit("render_config")
    assert _output(rendered) == f"picture: a.example/web@{DIGEST}\n".encode()


def test_missing_files_and_locks_are_one_line(rendered: Project) -> None:
    (rendered.directory / "images.yml").unlink()
    assert "images.yml: cannot be read: No such file" in rendered.doit("render_config", status=1).output
    rendered.pipeline(RENDERS.replace("[src]", "[gone]"))
    assert "gone: no such file or directory to search" in rendered.doit("render_config", status=1).output


def test_clean_removes_what_a_render_wrote_and_nothing_else(rendered: Project) -> None:
    assert "removing file 'build/app.yml'" in rendered.doit("clean", "-n", TASK).stdout
    assert (rendered.directory / "build/app.yml").exists()
    rendered.doit("clean", TASK)
    assert not (rendered.directory / "build/app.yml").exists()
    rendered.write("build/app.yml", "somebody else's\n")
    assert "not removing 'build/app.yml'" in rendered.doit("clean", TASK).stdout
    assert (rendered.directory / "build/app.yml").exists()
    assert (rendered.directory / "src/config.yml").exists()


@pytest.mark.parametrize(
    ("declarations", "message"),
    [
        (
            "renders:\n  app: {files: [src], output: src/out.yml}\n",
            "its output src/out.yml lies in src, which it reads",
        ),
        ("renders:\n  app: {files: [a.yml], output: a.yml}\n", "its output a.yml lies in a.yml, which it reads"),
        ("renders:\n  app: {files: [src], output: bundlepipe.yml}\n", "would replace bundlepipe.yml"),
        ("renders:\n  app: {files: [], output: out.yml}\n", "files"),
        ("renders:\n  app: {output: out.yml}\n", "'files'"),
        ("renders:\n  app: {files: [src], output: dir}\n", "its output dir is a directory: name a file"),
        (
            "renders:\n  a: {files: [src], output: out.yml}\n  app: {files: [src], output: out.yml}\n",
            "render 'app': out.yml is written by render 'a' too",
        ),
        (
            "pulls: {p: {from: a.example/b, to: build}}\nrenders:\n  app: {files: [src], output: build/out.yml}\n",
            "lies in build, which pull 'p' replaces as a whole",
        ),
        (
            "renders:\n  app: {files: [src], output: o.yml, apply: {wait: soon}}\n",
            "expected a duration as kubectl takes it, such as 90s, 5m or 1h30m",
        ),
        (
            "renders:\n  app: {files: [src], output: o.yml, apply: {forceConflicts: true}}\n",
            "apply: forceConflicts is for the server: add 'serverSide: true'",
        ),
        (
            "renders:\n  app: {files: [src], output: o.yml, apply: {dryRun: client, serverSide: true}}\n",
            "expected 'dryRun: server'",
        ),
    ],
)
def test_a_faulty_render_is_refused_at_its_place(project: Project, declarations: str, message: str) -> None:
    (project.directory / "dir").mkdir()
    project.pipeline(declarations)
    output = project.refusal()
    assert message in output
    assert "bundlepipe.yml:" in output
