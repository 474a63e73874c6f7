"""A pipeline file and a dodo.py are refused for the same reasons, each in the words of its author."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bundlepipe import (
    CI,
    Apply,
    Build,
    Bundle,
    Copy,
    CopySource,
    GitHub,
    Image,
    Lock,
    LockSource,
    Program,
    Pull,
    RegistrySettings,
    Render,
)
from tests.support.project import HEADER, Project

PUSH = "r.example/x:1"
NUL = "which holds a NUL"
ENVIRONMENT = "expected letters, digits, '.', '_', '-', '/' and spaces, with a letter or digit at both ends"


def bundle(**fields: Any) -> dict[str, Any]:
    return {"bundles": [Bundle(**{"name": "b", "files": ["b"], "push": PUSH, **fields})]}


def image(**fields: Any) -> dict[str, Any]:
    return {"images": [Image(**{"name": "i", "push": PUSH, **fields})]}


def copy(**fields: Any) -> dict[str, Any]:
    return {"copies": [Copy(**{"name": "c", "source": "nginx", "to": "tar:x", **fields})]}


def render(**fields: Any) -> dict[str, Any]:
    return {"renders": [Render(**{"name": "r", "files": ["f"], "output": "o", **fields})]}


# What a pipeline file has, what is told there, the declarations in Python, and what is told there.
TOLD: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "a NUL in an input": (
        r'bundles: {b: {files: ["a\0b"], push: "r.example/x:1"}}',
        rf"bundlepipe.yml:3:23: 'files[0]': expected a path, found the string 'a\x00b', {NUL}",
        bundle(files=["a\0b"]),
        rf"bundle 'b': files[0]: expected a path, found the string 'a\x00b', {NUL}",
    ),
    "a NUL in a context": (
        r'images: {i: {build: {context: "a\0"}, push: "r.example/x:1"}}',
        rf"bundlepipe.yml:3:31: 'context': expected a path, found the string 'a\x00', {NUL}",
        image(build=Build(context="a\0")),
        rf"image 'i': build: context: expected a path, found the string 'a\x00', {NUL}",
    ),
    "a NUL in a tar": (
        r'copies: {c: {from: nginx, to: "tar:x\0"}}',
        rf"bundlepipe.yml:3:31: 'to': expected a string, found the string 'tar:x\x00', {NUL}",
        copy(to="tar:x\0"),
        rf"copy 'c': to: expected a string, found the string 'tar:x\x00', {NUL}",
    ),
    "a NUL in a lock to copy": (
        r'copies: {c: {from: {lock: "x\0"}, to: "tar:x"}}',
        rf"bundlepipe.yml:3:27: 'lock': expected a path, found the string 'x\x00', {NUL}",
        copy(source=LockSource("x\0")),
        rf"copy 'c': source: path: expected a path, found the string 'x\x00', {NUL}",
    ),
    "a NUL in an exclusion": (
        r'bundles: {b: {files: [b], push: "r.example/x:1", exclude: ["x\0"]}}',
        rf"bundlepipe.yml:3:60: 'exclude[0]': expected a path, found the string 'x\x00', {NUL}",
        bundle(exclude=["x\0"]),
        rf"bundle 'b': exclude[0]: expected a path, found the string 'x\x00', {NUL}",
    ),
    "a NUL in a label": (
        r'bundles: {b: {files: [b], push: "r.example/x:1", labels: {"k\0": x}}}',
        rf"bundlepipe.yml:3:58: 'labels': expected a string, found the string 'k\x00', {NUL}",
        bundle(labels={"k\0": "x"}),
        rf"bundle 'b': labels: key: expected a string, found the string 'k\x00', {NUL}",
    ),
    "a NUL in a command, which may be secret": (
        r'images: {i: {run: ["x\0"]}}',
        f"bundlepipe.yml:3:20: 'run[0]': expected a string, found a string, {NUL}",
        image(program=Program(run=["x\0"])),
        f"image 'i': program: run[0]: expected a string, found a string, {NUL}",
    ),
    "a NUL in the configuration of a lock": (
        r'bundles: {b: {files: [b], push: "r.example/x:1", lock: {config: ["c\0"]}}}',
        rf"bundlepipe.yml:3:66: 'config[0]': expected a path, found the string 'c\x00', {NUL}",
        bundle(lock=Lock(config=["c\0"])),
        rf"bundle 'b': lock: config[0]: expected a path, found the string 'c\x00', {NUL}",
    ),
    "a NUL in the settings of a registry": (
        r'registries: {r.example: {ca: "x\0"}}',
        rf"bundlepipe.yml:3:30: 'ca': expected a path, found the string 'x\x00', {NUL}",
        {"registries": {"r.example": RegistrySettings(ca="x\0")}},
        rf"Pipeline: registries['r.example']: ca: expected a path, found the string 'x\x00', {NUL}",
    ),
    "a NUL in the lock file": (
        r'lock: "x\0"',
        rf"bundlepipe.yml:3:7: 'lock': expected a path, found the string 'x\x00', {NUL}",
        {"lock_file": "x\0"},
        rf"Pipeline: lock: expected a path, found the string 'x\x00', {NUL}",
    ),
    "a size of 1.0": (
        "pulls: {p: {from: nginx, to: o, maxSize: 1.0}}",
        "bundlepipe.yml:3:42: 'maxSize': expected a whole number of at least 1, found the number 1.0",
        {"pulls": [Pull(name="p", source="nginx", to="o", max_size=1.0)]},  # type: ignore[arg-type]
        "pull 'p': max_size: expected a whole number of at least 1, found the number 1.0",
    ),
    "one name twice": (
        "images: {b: {files: [b], push: r.example/y}}\nbundles: {b: {files: [b], push: r.example/x}}",
        "bundlepipe.yml:4:11: bundle 'b': another image or bundle has the name 'b' too: bundlepipe.yml:3:10",
        {"images": [Image(name="b", files=["b"], push="r.example/y")], **bundle()},
        "bundle 'b': another image or bundle has the name 'b' too: rename one of the two",
    ),
    "a bad name": (
        "bundles: {b c: {files: [b], push: r.example/x}}",
        (
            "bundlepipe.yml:3:11: the key 'b c' cannot be used here, expected a name of up to 200 lower-case letters, "
            "digits, '.', '_' and '-', starting with a letter or digit"
        ),
        bundle(name="b c"),
        (
            "bundle 'b c': name: expected up to 200 lower-case letters, digits, '.', '_' and '-', "
            "and a letter or digit first"
        ),
    ),
    "a name that no file can have": (
        f"bundles: {{{'b' * 201}: {{files: [b], push: r.example/x}}}}",
        (
            f"bundlepipe.yml:3:11: the key '{'b' * 59}…' cannot be used here, expected a name of up to 200 "
            "lower-case letters, digits, '.', '_' and '-', starting with a letter or digit"
        ),
        bundle(name="b" * 201),
        (
            f"bundle '{'b' * 201}': name: expected up to 200 lower-case letters, digits, '.', '_' and '-', "
            "and a letter or digit first"
        ),
    ),
    "no destination": (
        "bundles: {b: {files: [b]}}",
        (
            "bundlepipe.yml:3:11: bundle 'b': no destination: add 'push: REGISTRY/REPOSITORY:TAG', or "
            "'defaults: {push: ...}'"
        ),
        bundle(push=None),
        "bundle 'b': no destination: add push='REGISTRY/REPOSITORY:TAG'",
    ),
    "permissions of a built image": (
        "images: {i: {build: {context: b}, preservePermissions: true, push: r.example/x}}",
        "bundlepipe.yml:3:10: image 'i': exclude and preservePermissions are for images of files",
        image(build=Build(context="b"), preserve_permissions=True),
        "image 'i': exclude and preserve_permissions are for images of files",
    ),
    "two ways to an image": (
        "images: {i: {build: {context: b}, run: [x], push: r.example/x}}",
        ("bundlepipe.yml:3:10: image 'i': expected only one of files, build, run and from (run has files of its own)"),
        image(build=Build(context="b"), program=Program(run=["x"])),
        "image 'i': expected only one of files, build, program and source (program has files of its own)",
    ),
    "refresh of an image of files": (
        "images: {i: {files: [b], refresh: always, push: r.example/x}}",
        "bundlepipe.yml:3:10: image 'i': refresh is for the tag of a reference as 'from'",
        image(files=["b"], refresh="always"),
        "image 'i': refresh is for the tag of a reference as 'source'",
    ),
    "tags without a destination": (
        "images: {i: {run: [x], tags: [t]}}",
        "bundlepipe.yml:3:10: image 'i': tags are for its destination: add 'push: REGISTRY/REPOSITORY'",
        image(program=Program(run=["x"]), tags=["t"], push=None),
        "image 'i': tags are for its destination: add push='REGISTRY/REPOSITORY'",
    ),
    "the registry of runs within an input": (
        "bundles: {b: {files: [build], push: r.example/x}}",
        (
            "bundlepipe.yml:3:11: bundle 'b': its input build holds build/registry, which every run changes: "
            "exclude it with 'exclude: [.git, registry]'"
        ),
        bundle(files=["build"]),
        (
            "bundle 'b': its input build holds build/registry, which every run changes: exclude it with "
            "exclude=['.git', 'registry']"
        ),
    ),
    "a lock of a tar": (
        "copies: {c: {from: nginx, to: 'oci:x', lockOutput: l.yml}}",
        ("bundlepipe.yml:3:10: copy 'c': lockOutput: oci:x is in no registry: a lock names images by their repository"),
        copy(to="oci:x", lock_output="l.yml"),
        "copy 'c': lock_output: oci:x is in no registry: a lock names images by their repository",
    ),
    "a lock within an input": (
        "bundles: {b: {files: [b], push: r.example/x, lockOutput: b/l.yml}}",
        (
            "bundlepipe.yml:3:11: bundle 'b': its lockOutput b/l.yml lies in its own input b, so every push would "
            "change the bundle: write it elsewhere, or exclude it"
        ),
        bundle(lock_output="b/l.yml"),
        (
            "bundle 'b': its lock_output b/l.yml lies in its own input b, so every push would change the bundle: "
            "write it elsewhere, or exclude it"
        ),
    ),
    "a lock over the pipeline's state": (
        "bundles: {b: {files: [b], push: r.example/x, lockOutput: .bundlepipe/l.yml}}",
        "bundlepipe.yml:3:11: lockOutput of bundle 'b' would replace .bundlepipe/l.yml: write it elsewhere",
        bundle(lock_output=".bundlepipe/l.yml"),
        "lock_output of bundle 'b' would replace .bundlepipe/l.yml: write it elsewhere",
    ),
    "conflicts without the server": (
        "renders: {r: {files: [f], output: o, apply: {forceConflicts: true}}}",
        "bundlepipe.yml:3:45: render 'r': apply: forceConflicts is for the server: add 'serverSide: true'",
        render(apply=Apply(force_conflicts=True)),
        "render 'r': apply: force_conflicts is for the server: add server_side=True",
    ),
    "a dry run of the client": (
        "renders: {r: {files: [f], output: o, apply: {serverSide: true, dryRun: client}}}",
        (
            "bundlepipe.yml:3:45: render 'r': apply: with serverSide only the server knows the result: expected "
            "'dryRun: server'"
        ),
        render(apply=Apply(server_side=True, dry_run="client")),
        "render 'r': apply: with server_side only the server knows the result: expected dry_run='server'",
    ),
    "a name of this pipeline as a string": (
        "bundles: {b: {files: [b], push: r.example/x}}\ncopies: {c: {from: b, to: 'tar:x'}}",
        (
            "bundlepipe.yml:4:20: copy 'c': from: 'b' has the name of something made here, but as a string it means "
            "the one at Docker Hub: write {bundle: b} for what is made here, or index.docker.io/library/b for the one "
            "at Docker Hub"
        ),
        {**bundle(), **copy(source="b")},
        (
            "copy 'c': source: 'b' has the name of something made here, but as a string it means the one at "
            "Docker Hub: write BundleSource('b') for what is made here, or index.docker.io/library/b for the one "
            "at Docker Hub"
        ),
    ),
    "an unknown task before": (
        "bundles: {b: {files: [b], push: r.example/x, after: [{copy: z}]}}",
        "bundlepipe.yml:3:11: bundle 'b': after: there is no copy 'z' in this pipeline; there are: none",
        bundle(after=[CopySource("z")]),
        "bundle 'b': after: there is no copy 'z' in this pipeline; there are: none",
    ),
    "no program": (
        "images: {i: {run: [''], push: r.example/x}}",
        "bundlepipe.yml:3:10: image 'i': run[0]: expected a program, found an empty string",
        image(program=Program(run=[""])),
        "image 'i': run[0]: expected a program, found an empty string",
    ),
    "an empty command": (
        "images: {i: {run: [], push: r.example/x}}",
        "bundlepipe.yml:3:19: 'run' is empty, expected a program and its arguments, as a list of strings",
        image(program=Program(run=[])),
        "image 'i': run: expected a program and its arguments, as a list of strings",
    ),
    "no files": (
        "bundles: {b: {files: [], push: r.example/x}}",
        "bundlepipe.yml:3:22: 'files' is empty, expected at least one path",
        bundle(files=[]),
        "bundle 'b' has no files",
    ),
    "nothing to render": (
        "renders: {r: {files: [], output: o}}",
        "bundlepipe.yml:3:22: 'files' is empty, expected at least one path or program",
        render(files=[]),
        "render 'r' has no files",
    ),
    "an image of no files": (
        "images: {i: {files: [], push: r.example/x}}",
        "bundlepipe.yml:3:10: image 'i' has no files, nor a build, a program or a source that makes it",
        image(files=[]),
        "image 'i' has no files, nor a build, a program or a source that makes it",
    ),
    "a secret that is no variable": (
        "ci: {secrets: [OK, registry-password]}",
        "bundlepipe.yml:3:20: ci: secrets: 'registry-password' is no name of an environment variable",
        {"ci": CI(secrets=["OK", "registry-password"])},
        "ci: secrets: 'registry-password' is no name of an environment variable",
    ),
    "a variable that is a secret": (
        "ci: {secrets: [TOKEN], github: {variables: {TOKEN: x}}}",
        "bundlepipe.yml:3:44: ci: github.variables: TOKEN is a secret as well: remove it from one of the two",
        {"ci": CI(secrets=["TOKEN"], github=GitHub(variables={"TOKEN": "x"}))},
        "ci: github.variables: TOKEN is a secret as well: remove it from one of the two",
    ),
    "an environment of no engine": (
        "ci: {environments: {'copy_bundle:*': '${{ x }}'}}".replace("$", "$$"),
        f"bundlepipe.yml:3:38: ci: environments: '${{{{ x }}}}' is no environment: {ENVIRONMENT}",
        {"ci": CI(environments={"copy_bundle:*": "${{ x }}"})},
        f"ci: environments: '${{{{ x }}}}' is no environment: {ENVIRONMENT}",
    ),
    "runners without a label": (
        "ci: {github: {runsOn: []}}",
        "bundlepipe.yml:3:23: ci: github: runsOn is empty, expected at least one label of runners",
        {"ci": CI(github=GitHub(runs_on=[]))},
        "ci: github: runs_on is empty, expected at least one label of runners",
    ),
    "a user in a host": (
        "registries: {'bob:secret@r.example': {insecure: true}}",
        ("bundlepipe.yml:3:14: registries: a registry host has no user and password in it: remove what is before '@'"),
        {"registries": {"bob:secret@r.example": RegistrySettings(insecure=True)}},
        "Pipeline: registries: a registry host has no user and password in it: remove what is before '@'",
    ),
    **{
        f"a registry called {host!r}": (
            f"registries: {{'{host}': {{insecure: true}}}}",
            f"bundlepipe.yml:3:14: registries: '{host}' is not a registry host: expected HOST or HOST:PORT",
            {"registries": {host: RegistrySettings(insecure=True)}},
            f"Pipeline: registries: '{host}' is not a registry host: expected HOST or HOST:PORT",
        )
        for host in ("https://r.example", "a b", "", "r.example/x", "r.example:99999")
    },
}


@pytest.mark.parametrize(("declarations", "told", "given", "told_in_python"), TOLD.values(), ids=TOLD)
def test_both_authors_are_told_in_their_own_words(
    project: Project, declarations: str, told: str, given: dict[str, Any], told_in_python: str
) -> None:
    project.write("bundlepipe.yml", f"{HEADER}{declarations}\n")
    assert project.refusal() == f"ERROR: {told}\n"
    assert project.refusal_in_python(**given) == f"ERROR: {told_in_python}\n"


@pytest.mark.parametrize(
    ("declarations", "place"),
    [
        (r'bundles: {b: {files: [b], push: r.example/x, lockOutput: "x\0"}}', ["3:58", "lockOutput"]),
        (r'bundles: {b: {files: [b], push: r.example/x, lock: {files: ["x\0"]}}}', ["3:61", "files[0]"]),
        (r'pulls: {p: {from: nginx, to: "x\0"}}', ["3:30", "to"]),
        (r'renders: {r: {files: ["x\0"], output: o}}', ["3:23", "files[0]"]),
        (r'renders: {r: {files: [f], output: "x\0"}}', ["3:35", "output"]),
        (r'registries: {r.example: {layout: "x\0"}}', ["3:34", "layout"]),
        (r'include: ["x\0"]', ["3:11", "include[0]"]),
    ],
)
def test_a_nul_in_a_path_is_told_at_its_place(project: Project, declarations: str, place: Sequence[str]) -> None:
    project.write("bundlepipe.yml", f"{HEADER}{declarations}\n")
    told = rf"bundlepipe.yml:{place[0]}: '{place[1]}': expected a path, found the string 'x\x00', {NUL}"
    assert project.refusal() == f"ERROR: {told}\n"


EMPTY: dict[str, tuple[str, Sequence[str], str]] = {
    "files": ('bundles: {b: {files: ["${E}"], push: r.example/x}}', ["3:23", "files[0]"], "a path"),
    "push": ('bundles: {b: {files: [b], push: "${E}"}}', ["3:33", "push"], "a string"),
    "ci": ('ci: {github: {branch: "${E}"}}', ["3:23", "branch"], "a string"),
    "default": ('defaults: {push: "${E}"}\nbundles: {b: {files: [b]}}', ["3:18", "push"], "a string"),
    "tags": ('bundles: {b: {files: [b], push: r.example/x, tags: [t, "${E}"]}}', ["3:56", "tags[1]"], "a string"),
    "after": ('bundles: {b: {files: [b], push: r.example/x, after: ["${E}"]}}', ["3:54", "after[0]"], "a string"),
    "target": ('images: {i: {build: {context: a, target: "${E}"}, push: r.example/x}}', ["3:42", "target"], "a string"),
    "inputs of a program": ('images: {i: {run: [x], files: ["${E}"]}}', ["3:32", "files[0]"], "a path"),
    "from": ('pulls: {p: {from: "${E}", to: o}}', ["3:19", "from"], "a string"),
    "kubectl's context": (
        'renders: {r: {files: [f], output: o, apply: {context: "${E}"}}}',
        ["3:55", "context"],
        "a string",
    ),
    "layout": ('registries: {r.example: {layout: "${E}"}}', ["3:34", "layout"], "a path"),
    "lock": ('lock: "${E}"', ["3:7", "lock"], "a path"),
    "include": ('include: ["${E}"]', ["3:11", "include[0]"], "a path"),
}


@pytest.mark.parametrize(("declarations", "place", "expected"), EMPTY.values(), ids=EMPTY)
def test_a_value_that_its_variable_leaves_empty_is_told(
    project: Project, declarations: str, place: Sequence[str], expected: str
) -> None:
    project.write("bundlepipe.yml", f"{HEADER}{declarations}\n")
    assert project.refusal({"E": ""}) == (
        f"ERROR: bundlepipe.yml:{place[0]}: '{place[1]}': expected {expected}, found an empty string: "
        "environment variable E is empty: set it, or write ${E:-DEFAULT}\n"
    )


def test_several_empty_variables_are_named(project: Project) -> None:
    project.write("bundlepipe.yml", HEADER + 'bundles: {b: {files: ["${E}${F:-}${E}"], push: r.example/x}}\n')
    told = "environment variables E and F are empty: set them, or write ${E:-DEFAULT}${F:-DEFAULT}"
    assert project.refusal({"E": ""}).endswith(f"found an empty string: {told}\n")


def test_an_unset_variable_is_told_once(project: Project) -> None:
    project.write("bundlepipe.yml", HEADER + 'lock: "${UNSET}"\ninclude: ["${UNSET}"]\ndefaults: {push: "${UNSET}"}\n')
    unset = "environment variable UNSET is not set: set it, or write ${UNSET:-DEFAULT}"
    places = ("3:7", "4:11", "5:18")
    assert project.refusal() == "ERROR: " + "\n".join(f"bundlepipe.yml:{at}: {unset}" for at in places) + "\n"


def test_a_text_that_may_be_empty_may_be_so_by_its_variable(project: Project) -> None:
    project.write(
        "bundlepipe.yml",
        HEADER
        + 'images: {i: {build: {context: a, args: {A: "${E}"}}, labels: {l: "${E}"}, push: r.example/x}}\n'
        + 'renders: {r: {files: [f], output: o, apply: {kubeconfig: "${E}"}}}\n',
    )
    assert "push_image:i" in project.tasks({"E": ""})


def test_a_program_needs_no_inputs(project: Project) -> None:
    lock = "{files: [{run: [x], files: []}]}"
    project.write(
        "bundlepipe.yml",
        f"{HEADER}images: {{i: {{run: [x], files: []}}}}\n"
        f"bundles: {{b: {{files: [b], push: r.example/x, lock: {lock}}}}}\n",
    )
    assert {"push_image:i", "lock_bundle:b"} <= project.tasks().keys()
