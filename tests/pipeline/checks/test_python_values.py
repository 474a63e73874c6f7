"""Values of the wrong type in a dodo.py are told all at once, with object and field, and never by a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from bundlepipe import (
    Apply,
    Build,
    Bundle,
    BundleSource,
    Copy,
    CopySource,
    Image,
    Lock,
    LockSource,
    Program,
    Pull,
    RegistrySettings,
    Render,
)
from bundlepipe.documents.schemas.validator import schema_text
from bundlepipe.errors import DocumentError
from bundlepipe.pipeline.checks.python_values import checked_declarations
from bundlepipe.pipeline.declared import model as declaration
from bundlepipe.pipeline.declared.fields import kinds
from bundlepipe.pipeline.declared.fields.kinds import Limits
from bundlepipe.pipeline.declared.fields.types import fields_of
from bundlepipe.pipeline.declared.reading import Declared, registry_fault
from tests.support.project import Project

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("images", "bundles", "copies", "pulls", "renders"), ()),
    "registries": None,
    "verify": None,
}


def declared(**given: Any) -> Declared:
    return checked_declarations({**NOTHING, **given})


def problems_of(**given: Any) -> tuple[str, ...]:
    with pytest.raises(DocumentError) as caught:
        declared(**given)
    return caught.value.problems


def bundle(**fields: Any) -> dict[str, Any]:
    return {"bundles": [Bundle(**{"name": "app", "files": ["app"], "push": "r/app", **fields})]}


def image(**fields: Any) -> dict[str, Any]:
    return {"images": [Image(**{"name": "app", **fields})]}


def pull(**fields: Any) -> dict[str, Any]:
    return {"pulls": [Pull(**{"name": "app", "source": "r/app", "to": "out", **fields})]}


def registry(**fields: Any) -> dict[str, Any]:
    return {"registries": {"r": RegistrySettings(**fields)}}


APP: Any = Bundle(name="x", files=["x"], push="r/x")
FOUND = "found Bundle 'x': name it with BundleSource('x')"
EARLIER = "expected a BundleSource, an ImageSource, a CopySource, a PullSource, a RenderSource or a string"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "tags as a string": (
        bundle(tags="latest"),
        "bundle 'app': tags: expected a list of strings, found the string 'latest'",
    ),
    "label of a number": (
        image(files=["a"], labels={"n": 1}),
        "image 'app': labels['n']: expected a string, found the number 1",
    ),
    "key of a label": (bundle(labels={1: "n"}), "bundle 'app': labels: key: expected a string, found the number 1"),
    "labels as a list": (
        bundle(labels=["a"]),
        "bundle 'app': labels: expected a dictionary of strings, found a list",
    ),
    "refresh": (pull(refresh="alwys"), "pull 'app': refresh: expected 'always', found the string 'alwys'"),
    "max_size as a string": (
        pull(max_size="1G"),
        "pull 'app': max_size: expected a whole number of at least 1, found the string '1G'",
    ),
    "max_size below one": (
        pull(max_size=-1),
        "pull 'app': max_size: expected a whole number of at least 1, found the number -1",
    ),
    "max_size as a flag": (
        pull(max_size=True),
        "pull 'app': max_size: expected a whole number of at least 1, found True",
    ),
    "recursive as a number": (
        pull(recursive=1),
        "pull 'app': recursive: expected True or False, found the number 1",
    ),
    "concurrency": (
        registry(concurrency=1000),
        "Pipeline: registries['r']: concurrency: expected a whole number from 1 to 64, found the number 1000",
    ),
    "insecure as a string": (
        registry(insecure="no"),
        "Pipeline: registries['r']: insecure: expected True or False, found the string 'no'",
    ),
    "resolve": (
        registry(resolve="docker"),
        "Pipeline: registries['r']: resolve: expected 'engine', found the string 'docker'",
    ),
    "ca": (registry(ca=5), "Pipeline: registries['r']: ca: expected a path, found the number 5"),
    "layout with resolve": (
        registry(layout="out", resolve="engine"),
        "Pipeline: " + str(registry_fault("r", RegistrySettings(layout="out", resolve="engine"))),
    ),
    "registry as a dictionary": (
        {"registries": {"r": {}}},
        "Pipeline: registries['r']: expected a RegistrySettings, found a dictionary",
    ),
    "registries as a list": (
        {"registries": []},
        "Pipeline: registries: expected a dictionary of RegistrySettings objects, found a list",
    ),
    "lock as a dictionary": (bundle(lock={}), "bundle 'app': lock: expected a Lock, found a dictionary"),
    "lock as a flag": (bundle(lock=True), "bundle 'app': lock: expected a Lock, found True"),
    "lock as a class": (bundle(lock=Lock), "bundle 'app': lock: expected a Lock, found the class Lock"),
    "file as a number": (bundle(files=[1]), "bundle 'app': files[0]: expected a path, found the number 1"),
    "file of no string": (bundle(files=[""]), "bundle 'app': files[0]: expected a path, found an empty string"),
    "file of bytes": (bundle(files=[b"a"]), "bundle 'app': files[0]: expected a path, found bytes"),
    "files as a path": (
        bundle(files=Path("app")),
        "bundle 'app': files: expected a list of paths, found a path",
    ),
    "tags as a set": (bundle(tags={"a"}), "bundle 'app': tags: expected a list of strings, found a set"),
    "a tar as a path": (
        {"copies": [Copy(name="app", source="r/a", to=Path("tar:x"))]},  # type: ignore[arg-type]
        "copy 'app': to: expected a string, found a path",
    ),
    "a NUL in a path": (
        bundle(files=["a\0b"]),
        "bundle 'app': files[0]: expected a path, found the string 'a\\x00b', which holds a NUL",
    ),
    "a bundle as a list": (
        {"bundles": APP},
        "Pipeline: bundles: expected a list of Bundle objects, found Bundle 'x'",
    ),
    "a bundle among images": ({"images": [APP]}, "Pipeline: images[0]: expected an Image, found Bundle 'x'"),
    "a number as a list": ({"pulls": 5}, "Pipeline: pulls: expected a list of Pull objects, found the number 5"),
    "a bundle as a source": (
        pull(source=APP),
        f"pull 'app': source: expected a BundleSource, an ImageSource, a CopySource, a LockSource or a string, {FOUND}",
    ),
    "a bundle included": (
        bundle(lock=Lock(include=[APP])),
        f"bundle 'app': lock: include[0]: expected a BundleSource, an ImageSource or a string, {FOUND}",
    ),
    "name of a source": (
        pull(source=BundleSource(5)),  # type: ignore[arg-type]
        "pull 'app': source: name: expected a string, found the number 5",
    ),
    "name": ({"images": [Image(name=5)]}, "Pipeline: images[0]: name: expected a string, found the number 5"),  # type: ignore[arg-type]
    "after as a string": (
        bundle(after="push_bundle:two"),
        (
            "bundle 'app': after: expected a list of BundleSource objects, ImageSource objects, CopySource objects, "
            "PullSource objects, RenderSource objects or strings, found the string 'push_bundle:two'"
        ),
    ),
    "a bundle before": (bundle(after=[APP]), f"bundle 'app': after[0]: {EARLIER}, {FOUND}"),
    "a number before": (bundle(after=[7]), f"bundle 'app': after[0]: {EARLIER}, found the number 7"),
    "builder": (
        image(build=Build(context="x", builder="kaniko")),  # type: ignore[arg-type]
        "image 'app': build: builder: expected 'docker' or 'buildx', found the string 'kaniko'",
    ),
    # A build argument and a command may be secret.
    "build argument": (
        image(build=Build(context="x", args={"PIN": 1234})),  # type: ignore[dict-item]
        "image 'app': build: args['PIN']: expected a string, found a number",
    ),
    "command as a string": (
        image(program=Program(run="sh --token=secret")),
        "image 'app': program: run: expected a list of strings, found a string",
    ),
    "apply": (
        {"renders": [Render(name="app", files=["a"], output="o", apply=Apply(dry_run="server "))]},  # type: ignore[arg-type]
        "render 'app': apply: dry_run: expected 'client' or 'server', found the string 'server '",
    ),
    "verify": ({"verify": "regstry"}, "Pipeline: verify: expected 'registry', found the string 'regstry'"),
}


@pytest.mark.parametrize(("given", "problem"), WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_type_is_told_with_object_and_field(given: dict[str, Any], problem: str) -> None:
    assert problems_of(**given) == (problem,)


def test_all_faults_are_told_at_once() -> None:
    wrong = {**bundle(tags="a", lock=True), **pull(max_size="1"), **registry(concurrency=0)}
    assert [problem.split(":")[0] for problem in problems_of(**wrong)] == [
        *("bundle 'app'", "bundle 'app'", "pull 'app'"),
        "Pipeline",
    ]


def test_a_path_is_accepted_wherever_a_path_is_meant() -> None:
    def names() -> Iterator[str]:
        yield from ("a", "b")

    here: Any = Path
    found = declared(
        bundles=[
            Bundle(
                name="app",
                files=(here("./app/"), str(Path("x").absolute())),
                exclude=[here("x")],
                tags=names(),  # type: ignore[arg-type]
                lock=Lock(files=[here("a//b"), Program(run=["x"], files=[here("c")])], config=[here("k.yml")]),
                lock_output=here("./out/lock.yml"),
            )
        ],
        images=[Image(name="i", build=Build(context=here("./web"), dockerfile=here("Dockerfile")))],
        copies=[Copy(name="c", source=LockSource(here("./l.yml")), to="oci:./x", exclude=[here("./e.yml"), "tar:./t"])],
        pulls=[Pull(name="p", source=CopySource("c"), to=here("./to"))],
        renders=[Render(name="r", files=[here("./f")], output=here("./o"), apply=Apply(kubeconfig=here("./k")))],
        registries={"r": RegistrySettings(layout=here("./out/../layout"), ca=here("./ca.pem"))},
    )
    app, (copy,) = found.bundles[0], found.copies
    assert (app.files, app.exclude, app.tags, app.lock_output) == (["app", "x"], ["x"], ["a", "b"], "out/lock.yml")
    assert app.lock == Lock(files=["a/b", Program(run=["x"], files=["c"])], config=["k.yml"])
    assert found.images[0].build == Build(context="web", dockerfile="Dockerfile")
    assert (copy.source, copy.to, copy.exclude) == (LockSource("l.yml"), "oci:x", ["e.yml", "tar:t"])
    assert (found.pulls[0].to, found.renders[0].files, found.renders[0].output) == ("to", ["f"], "o")
    assert found.renders[0].apply == Apply(kubeconfig="k")
    assert found.registries["r"] == RegistrySettings(layout="layout", ca="ca.pem")


def test_the_limits_of_numbers_are_those_of_the_schema() -> None:
    schema = json.loads(schema_text("pipeline"))["$defs"]
    of_schema = [schema[name]["properties"][key] for name, key in (("registry", "concurrency"), ("pull", "maxSize"))]
    for kind, rules in zip((kinds.Concurrency, kinds.Size), of_schema, strict=True):
        assert get_args(kind)[1] == Limits(rules["minimum"], rules.get("maximum"))


@pytest.mark.parametrize("kind", [each for each in vars(declaration).values() if is_dataclass(each)])
def test_every_field_that_decides_something_can_be_checked(kind: Any) -> None:
    checked = [field.name for field in fields_of(kind) if field.is_checked]
    assert [each.name for each in fields(kind) if each.name not in (*checked, "where", "written")] == []


DODO = """\
from pathlib import Path
from bundlepipe import DOIT_CONFIG, Bundle, Pipeline, Pull

pipeline = Pipeline(
    bundles=Bundle(name="app", files=["app"], push="layout.localhost/app", tags="latest"),
    pulls=[Pull(name="g", source="layout.localhost/g", to=Path("g"), max_size="1G")],
)
"""


def test_doit_tells_them_in_lines_without_a_traceback(project: Project) -> None:
    project.write("dodo.py", DODO)
    run = project.doit("list", status=3)
    assert run.stderr.splitlines() == [
        "ERROR: Pipeline: bundles: expected a list of Bundle objects, found Bundle 'app'",
        "pull 'g': max_size: expected a whole number of at least 1, found the string '1G'",
    ]


@pytest.mark.parametrize(
    ("pipeline", "problem"),
    [
        ("Pipeline(bundles=5)", "Pipeline: bundles: expected a list of Bundle objects, found the number 5"),
        ("Pipeline.load(5)", "Pipeline: path: expected a path, found the number 5"),
        ("Pipeline.load('')", "Pipeline: path: expected a path, found an empty string"),
    ],
)
def test_what_is_given_to_a_pipeline_itself_is_checked(project: Project, pipeline: str, problem: str) -> None:
    project.write("dodo.py", f"from bundlepipe import DOIT_CONFIG, Pipeline\npipeline = {pipeline}\n")
    assert project.doit("list", status=3).stderr == f"ERROR: {problem}\n"
