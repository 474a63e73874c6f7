"""Names of the pipeline, and what is offered for those that nothing has."""

from __future__ import annotations

import pytest

from bundlepipe.pipeline.declared.suggestions import suggestions
from tests.support.project import Project

MADE = """\
images:
  app: {files: [app]}
  nginx: {from: "nginx:1.27"}
"""
DIGEST = f"sha256:{'ab' * 32}"
HUB = "index.docker.io/library"
# What is declared, with a ^ before the fault, who is told of it, and how both meanings are written.
MEANT_HERE = {
    "a pull": ("pulls: {x: {from: ^app, to: out}}", "pull 'x': from: 'app'", "{image: app}", f"{HUB}/app "),
    "a tag": ("pulls: {x: {from: ^'app:1', to: out}}", "pull 'x'", "{image: app}", f"{HUB}/app:1 "),
    "a digest": (f"pulls: {{x: {{from: ^'app@{DIGEST}', to: out}}}}", "pull 'x'", "{image: app}", f"{HUB}/app@"),
    "a copy": (
        "copies: {app: {from: r.example/x, to: r.example/x}, x: {from: ^app, to: r.example/y}}",
        "copy 'x': from: 'app'",
        "{image: app} or {copy: app}",
        f"{HUB}/app ",
    ),
    "a lock": (
        "bundles: {x: {files: [x], lock: {include: ['a.example/app', ^app]}}}",
        "lock of bundle 'x': include: 'app'",
        "{image: app}",
        f"{HUB}/app ",
    ),
    "a bundle itself": (
        "bundles: {x: {files: [x], lock: {include: [^x]}}}",
        "lock of bundle 'x': include: 'x'",
        "{bundle: x}",
        f"{HUB}/x ",
    ),
    "an image": (
        "  x: {from: ^app}",
        "image 'x': from: 'app'",
        "what is made here is copied by one of the copies",
        f"{HUB}/app ",
    ),
}


@pytest.mark.parametrize(("declared", "who", "here", "elsewhere"), MEANT_HERE.values(), ids=MEANT_HERE)
def test_a_name_as_a_text_is_refused_with_both_ways_to_write_it(
    project: Project, declared: str, who: str, here: str, elsewhere: str
) -> None:
    project.pipeline(MADE + declared.replace("^", "") + "\n")
    project.write("x/a.yml", "")
    line, column = len(project.read("bundlepipe.yml").splitlines()), declared.index("^") + 1
    first = project.refusal().splitlines()[0]
    assert first.startswith(f"ERROR: bundlepipe.yml:{line}:{column}: {who}")
    assert here in first and elsewhere in first


def test_what_can_only_be_meant_elsewhere_is_no_fault(project: Project) -> None:
    spelled = f"include: [{HUB}/app, 'docker.io/app:1', library/app, busybox]"
    project.pipeline(
        f"{MADE}bundles: {{x: {{files: [x], lock: {{{spelled}}}}}}}\n"
        "copies: {redis: {from: 'redis:7', to: r.example/redis}}\n"
        "pulls: {app: {from: 'tar:app', to: out}, p: {from: p, to: p}}\n"
    )
    project.write("x/a.yml", "")
    project.tasks()


def test_a_name_as_a_text_in_python_is_refused_in_python(project: Project) -> None:
    project.write(
        "dodo.py",
        "from bundlepipe import DOIT_CONFIG, Bundle, Lock, Pipeline\n"
        "pipeline = Pipeline(bundles=[\n"
        "    Bundle(name='a', files=['a'], push='r.example/a'),\n"
        "    Bundle(name='b', files=['b'], push='r.example/b', lock=Lock(include=['a'])),\n"
        "])\n",
    )
    assert f"write BundleSource('a') for what is made here, or {HUB}/a " in project.doit("list", status=3).stderr


def test_the_nearest_of_many_names_are_offered() -> None:
    many = [f"{kind}-{number}" for kind in ("apple", "pear", "quince") for number in range(50)]
    assert suggestions("pear-4", many).startswith("the nearest of 150: pear-4, ")
    assert suggestions("pear-4", many).count(",") == 4
    assert suggestions("zzz", many) == "there are 150, such as apple-0, apple-1, apple-10, apple-11, apple-12"
    assert suggestions("zzz", ["b", "a"]) == "there are: a, b"
    assert suggestions("zzz", []) == "there are none"


def test_an_unknown_name_among_many_is_one_short_line(project: Project) -> None:
    images = "".join(f"  app-{number}: {{files: [x]}}\n" for number in range(150))
    project.pipeline(f"images:\n{images}pulls: {{x: {{from: {{image: ap-77}}, to: out}}}}\n")
    error = project.refusal()
    assert "there is no image 'ap-77' in this pipeline; the nearest of 150: app-77, " in error
    assert error.count("\n") == 1 and len(error) < 200
