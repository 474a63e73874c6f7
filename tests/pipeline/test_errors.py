"""Users' mistakes: one clear line each, at its place, never a traceback."""

from __future__ import annotations

import os

import pytest

from tests.support.project import HEADER, Project

LOADING = {
    "not YAML": ("bundles: {one: [", "bundlepipe.yml:4:1: not YAML"),
    "unknown key": ("bundels: {}", "bundlepipe.yml:3:1: unknown key 'bundels', did you mean 'bundles'?"),
    "unknown key of a bundle": (
        "bundles:\n  one: {files: [one], lables: {}}",
        "bundlepipe.yml:4:23: unknown key 'lables', did you mean 'labels'?",
    ),
    "wrong type": ("bundles:\n  one: {files: one}", "bundlepipe.yml:4:16: 'files': expected a list of paths"),
    "duplicate key": ("bundles: {one: {files: [a]}, one: {files: [b]}}", "bundlepipe.yml:3:30: duplicate key 'one'"),
    "bad name": ("bundles: {One: {files: [a]}}", "bundlepipe.yml:3:11: the key 'One' cannot be used here"),
    "no destination": ("bundles: {one: {files: [one]}}", "bundlepipe.yml:3:11: bundle 'one': no destination"),
    "unset variable": (
        "bundles: {one: {files: [one], push: '${NOT_SET_ANYWHERE}/one'}}",
        "bundlepipe.yml:3:37: environment variable NOT_SET_ANYWHERE is not set",
    ),
    "stray variable": (
        "bundles: {one: {files: [one], push: '${}/one'}}",
        "bundlepipe.yml:3:37: '${' begins no variable",
    ),
    "bad reference": (
        "bundles: {one: {files: [one], push: a/One}}",
        "repository names are lower case, but 'One' is not",
    ),
    "destination by digest": (
        f"bundles: {{one: {{files: [one], push: 'a/b@sha256:{'0' * 64}'}}}}",
        "the destination of a push cannot be a digest",
    ),
    "local home as destination": (
        "bundles: {one: {files: [one], push: 'oci:out'}}",
        "is always REGISTRY/REPOSITORY:TAG",
    ),
    "bad further tag": ("bundles: {one: {files: [one], push: a/b, tags: ['a b']}}", "'a b' is not a tag"),
    "reserved label": (
        "bundles: {one: {files: [one], push: a/b, labels: {dev.carvel.imgpkg.bundle: x}}}",
        "label 'dev.carvel.imgpkg.bundle' is reserved and cannot be overriden. Please use a different key",
    ),
    "unknown bundle": (
        "bundles: {one: {files: [one], push: a/b, lock: {include: [{bundle: two}]}}}",
        "there is no bundle 'two' in this pipeline; there are: one",
    ),
    "unknown source": ("pulls: {one: {from: {image: web}, to: out}}", "there is no image 'web' in this pipeline"),
    "bad platform": ("bundles: {one: {files: [one], push: a/b, lock: {platform: linux}}}", "is not a platform"),
    "one name twice": (
        "images: {one: {files: [one], push: a/b}}\nbundles: {one: {files: [one], push: a/b}}",
        "another image or bundle has the name 'one' too: bundlepipe.yml:3:10",
    ),
    "lockOutput in its own input": (
        "bundles: {one: {files: [one], push: a/b, lockOutput: one/lock.yml}}",
        "its lockOutput one/lock.yml lies in its own input one",
    ),
    "one destination for two": (
        (
            "bundles: {one: {files: [one], push: a/b}, two: {files: [two], push: a/c, tags: [x]},\n"
            "  three: {files: [two], push: 'a/c:x'}}"
        ),
        "bundle 'three': index.docker.io/a/c:x is the destination of 'two' too",
    ),
    "lock without a directory": (
        "bundles: {one: {files: [bundlepipe.yml], push: a/b, lock: {}}}",
        "lock of bundle 'one': images.yml goes into the first directory",
    ),
    "variable in a default": (
        "bundles: {one: {files: [one], push: '${A:-${B:-x}}/one'}}",
        "bundlepipe.yml:3:37: the default of ${A} holds another variable",
    ),
    "impossible port": ("bundles: {one: {files: [one], push: 'localhost:99999/a'}}", "is not a registry host"),
    "missing include": ("include: [nowhere.yml]", "bundlepipe.yml:3:11: no such pipeline file: nowhere.yml"),
    "state within an input": ("bundles: {one: {files: [.], push: a/b}}", "'exclude: [.git, .bundlepipe]'"),
}


@pytest.mark.parametrize("mistake", LOADING)
def test_a_faulty_pipeline_is_refused_at_its_place(project: Project, mistake: str) -> None:
    declarations, message = LOADING[mistake]
    project.write("bundlepipe.yml", HEADER + declarations + "\n")
    assert message in project.refusal()


def test_a_missing_pipeline_file_is_named(project: Project) -> None:
    assert project.doit(status=3).stderr == "ERROR: bundlepipe.yml: cannot be read: No such file or directory\n"


def test_all_faults_of_all_files_are_told_at_once(project: Project) -> None:
    project.pipeline("include: ['apps/*.yml']\nbundels: {}\n")
    project.pipeline("include: ['apps/*.yml']\n")
    project.write("apps/a.yml", HEADER + "bundels: {}\n")
    project.write("apps/b.yml", HEADER + "bundles: {b: {}}\n")
    run = project.doit(status=3)
    assert "apps/a.yml:3:1: unknown key 'bundels'" in run.stderr
    assert "apps/b.yml:3:14: missing key 'files'" in run.stderr
    assert run.output == project.refusal()


def test_a_mistake_is_found_again_in_a_file_that_was_valid_before(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one]}}")
    project.bundle("one")
    project.doit()
    project.pipeline("bundles: {one: {files: [one], x: 1}}")
    assert "unknown key 'x'" in project.doit(status=3).stderr
    project.pipeline("bundles: {one: {files: [one]}}")
    assert project.doit().ran == []


RUNNING = {
    "missing input": ({}, "one: cannot be read: No such file or directory"),
    "no images.yml": ({"one/config.yml": ""}, "one: This directory is not a bundle. It is missing .imgpkg/images.yml"),
    "faulty images.yml": ({"one/.imgpkg/images.yml": "images: 1\n"}, "one/.imgpkg/images.yml:1:"),
    "faulty bundle.yml": (
        {
            "one/.imgpkg/images.yml": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n",
            "one/.imgpkg/bundle.yml": "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: Bundle\nmetadata: 5\n",
        },
        "one/.imgpkg/bundle.yml:3:",
    ),
    "misplaced .imgpkg": (
        {"one/deep/.imgpkg/images.yml": ""},
        "Expected '.imgpkg' directory, to be a direct child of one of: one",
    ),
}


@pytest.mark.parametrize("mistake", RUNNING)
def test_a_faulty_bundle_fails_its_task_in_one_line(project: Project, mistake: str) -> None:
    files, message = RUNNING[mistake]
    project.pipeline("bundles: {one: {files: [one]}}")
    for path, content in files.items():
        project.write(path, content)
    run = project.doit(status=1)
    assert message in run.stdout
    assert "Traceback" not in run.output


def test_a_symbolic_link_is_refused_in_imgpkgs_words(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one]}}")
    project.bundle("one")
    (project.directory / "one/link").symlink_to("config.yml")
    told = (
        "bundlepipe.yml:5:25: Expected file 'one/link' to be a regular file: it is a symbolic link to 'config.yml': "
        "put a file or directory there, or take it out of the input"
    )
    assert told in project.doit(status=1).stdout.splitlines()
    assert told in project.doit("-n", "2", "-P", "process", status=1).stdout.splitlines()


def test_an_input_that_is_a_link_itself_is_refused_at_its_place(project: Project) -> None:
    project.pipeline("bundles:\n  one:\n    files:\n      - one\n      - ./here/../link\n")
    project.bundle("one")
    (project.directory / "here").mkdir()
    (project.directory / "link").symlink_to("/nowhere\n")
    told = "bundlepipe.yml:9:9: Expected file 'link' to be a regular file: it is a symbolic link to '/nowhere\\n': "
    assert told in project.doit(status=1).stdout


def test_duplicate_paths_are_refused_in_imgpkgs_words(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one, two]}}")
    project.bundle("one")
    project.write("two/config.yml", "")
    assert "Found duplicate paths: one/config.yml, two/config.yml" in project.doit(status=1).stdout


def test_an_image_with_a_bundle_directory_is_refused(project: Project) -> None:
    project.pipeline("images: {one: {files: [one]}}")
    project.bundle("one")
    assert "Images cannot be pushed with '.imgpkg' directories" in project.doit("push_image", status=1).stdout


def test_a_registry_that_is_gone_is_one_line(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one], push: 'localhost:1/one:1'}}")
    project.bundle("one")
    run = project.doit(status=1)
    assert "localhost:1" in run.stdout
    assert "Traceback" not in run.output


def test_a_wrong_verify_is_told_what_is_expected(project: Project) -> None:
    project.pipeline("")
    assert "expected verify=registry" in project.doit("verify=all", status=3).stderr


def test_faults_of_a_pipeline_in_python_have_names(project: Project) -> None:
    declared = "Bundle(name='one', files=['one']), Bundle(name='one', files=[], push='a/B')"
    project.write("dodo.py", f"from bundlepipe import Bundle, Pipeline\npipeline = Pipeline(bundles=[{declared}])\n")
    errors = project.doit("list", status=3).stderr
    assert "bundle 'one': no destination" in errors and "bundle 'one' has no files" in errors
    assert "another image or bundle has the name 'one'" in errors


def test_a_password_in_a_destination_is_not_shown(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one]}}")
    run = project.doit("list", status=3, env={"REGISTRY": "bob:s3cret@registry.example:5000"})
    assert "has no user and password in it" in run.stderr and "s3cret" not in run.output


def test_a_state_directory_that_is_a_file_is_one_line(project: Project) -> None:
    project.pipeline("")
    project.write(".bundlepipe", "")
    run = project.doit(status=3)
    assert run.stderr.count("\n") == 1 and ".bundlepipe/doit.db" in run.stderr


def test_a_damaged_digest_file_is_named(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one]}, two: {files: [two], lock: {include: [{bundle: one}]}}}")
    project.bundle("one")
    project.write("two/config.yml", "kind: Two\n")
    project.doit()
    for garbage in (b"", b"\xff\xfe", b"not a reference"):
        project.write(".bundlepipe/digests/bundle/one", garbage)
        run = project.doit("lock_bundle:two", status=1)
        assert ".bundlepipe/digests/bundle/one: is damaged" in run.stdout
        assert "Traceback" not in run.output


def test_names_beyond_utf_8_do_not_end_a_run(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [one]}}")
    project.bundle("one")
    project.environment["PYTHONIOENCODING"] = "utf-8:strict"
    project.doit()
    path = os.path.join(os.fsencode(project.directory / "one"), b"\xff\n.txt")
    with open(path, "wb"):
        pass
    run = project.doit()
    assert run.executed == {"push_bundle:one"} and "is new)" in run.stdout
