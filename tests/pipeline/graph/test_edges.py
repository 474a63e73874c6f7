"""Which task waits for which, and which cycles there are: the graph alone, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest

from bundlepipe.pipeline.running.edges import Reads, find_cycle, needed_first, producers, reached
from tests.support.project import Project

BASE = "bundles: {base: {files: [base]}}\n"
APP = "images: {web: {files: [web]}}\nbundles: {base: {files: [base]}, app: {files: [app], lock: {%s}}}\n"
# What is declared, and what the task with the ^ waits for, but for what finds generated inputs.
EDGES: dict[str, tuple[str, str, set[str]]] = {
    "a push of files": (BASE, "push_bundle:base", set()),
    "a push of a locked bundle": (APP % "", "push_bundle:app", {"lock_bundle:app"}),
    "a lock that includes": (APP % "include: [{bundle: base}]", "lock_bundle:app", {"push_bundle:base"}),
    "a lock that includes an image": (APP % "include: [{image: web}]", "lock_bundle:app", {"push_image:web"}),
    "a lock of what is elsewhere": (APP % "include: [r.example/x]", "lock_bundle:app", set()),
    "a pull": (BASE + "pulls: {p: {from: {bundle: base}, to: out}}", "pull_bundle:p", {"push_bundle:base"}),
    "a pull of a copy": (
        BASE + "copies: {c: {from: {bundle: base}, to: r.example/c}}\npulls: {p: {from: {copy: c}, to: out}}",
        "pull_bundle:p",
        {"copy_bundle:c"},
    ),
    "a pull from elsewhere": ("pulls: {p: {from: r.example/x, to: out}}", "pull_bundle:p", set()),
    "a copy of a copy": (
        "copies: {a: {from: r.example/a, to: r.example/b}, b: {from: {copy: a}, to: r.example/c}}",
        "copy_bundle:b",
        {"copy_bundle:a"},
    ),
    "an image that is mirrored from a layout": (
        "images: {web: {from: 'oci:out:1'}}\ncopies: {c: {from: r.example/a, to: 'oci:out:1'}}",
        "push_image:web",
        {"copy_bundle:c"},
    ),
    "a layout without a tag may be any": (
        "copies: {a: {from: r.example/a, to: 'oci:out:1'}, b: {from: 'oci:out', to: r.example/b}}",
        "copy_bundle:b",
        {"copy_bundle:a"},
    ),
    "another tag of a layout": (
        "copies: {a: {from: r.example/a, to: 'oci:out:1'}, b: {from: 'oci:out:2', to: r.example/b}}",
        "copy_bundle:b",
        set(),
    ),
    "another layout": (
        "copies: {a: {from: r.example/a, to: 'oci:out:1'}, b: {from: 'oci:other:1', to: r.example/b}}",
        "copy_bundle:b",
        set(),
    ),
    "a name of the Engine": (
        "copies: {a: {from: r.example/a, to: 'docker-daemon:x:1'}, b: {from: 'docker-daemon:x:1', to: r.example/b}}",
        "copy_bundle:b",
        {"copy_bundle:a"},
    ),
    "another name of the Engine": (
        "copies: {a: {from: r.example/a, to: 'docker-daemon:x:1'}, b: {from: 'docker-daemon:x', to: r.example/b}}",
        "copy_bundle:b",
        set(),
    ),
    "a tar": (
        "copies: {a: {from: r.example/a, to: 'tar:x.tar'}, b: {from: 'tar:x.tar', to: r.example/b}}",
        "copy_bundle:b",
        {"copy_bundle:a"},
    ),
    "files that a pull lays out": (
        "images: {web: {files: [out/site]}}\npulls: {p: {from: r.example/x, to: out}}",
        "push_image:web",
        {"pull_bundle:p"},
    ),
    "files around what a pull lays out": (
        "images: {web: {files: [site]}}\npulls: {p: {from: r.example/x, to: site/out}}",
        "push_image:web",
        {"pull_bundle:p"},
    ),
    "files around what is excluded": (
        "images: {web: {files: [site], exclude: [out]}}\npulls: {p: {from: r.example/x, to: site/out}}",
        "push_image:web",
        set(),
    ),
    "a render of what another writes": (
        "renders: {a: {files: [x.yml], output: a.yml}, b: {files: [a.yml], output: b.yml}}",
        "render_config:b",
        {"render_config:a"},
    ),
    "an application": (
        "renders: {a: {files: [x.yml], output: a.yml, apply: {}}}",
        "apply_config:a",
        {"render_config:a"},
    ),
    "an order": (
        BASE + "pulls: {p: {from: r.example/x, to: out, after: [{bundle: base}, mine]}}",
        "pull_bundle:p",
        {"push_bundle:base", "mine"},
    ),
}


@pytest.mark.parametrize(("declared", "task", "first"), EDGES.values(), ids=EDGES)
def test_a_task_waits_for_what_makes_what_it_takes(project: Project, declared: str, task: str, first: set[str]) -> None:
    project.pipeline(declared)
    for name in ("base", "app", "web", "site"):
        project.write(f"{name}/file.yml", "")
    assert set(project.tasks()[task].task_dep) == first


CYCLES = {
    "locks that include one another": (
        (
            "bundles:\n  hen: {files: [hen], lock: {include: [{bundle: egg}]}}\n"
            "  egg: {files: [egg], lock: {include: [{bundle: hen}]}}\n"
        ),
        "lock_bundle:hen -> push_bundle:egg -> lock_bundle:egg -> push_bundle:hen -> lock_bundle:hen",
    ),
    "renders of what each other writes": (
        "renders: {a: {files: [b.yml], output: a.yml}, b: {files: [a.yml], output: b.yml}}",
        "render_config:a -> render_config:b -> render_config:a",
    ),
    "an order and a use": (
        "bundles: {one: {files: [one], after: [{pull: two}]}}\npulls: {two: {from: {bundle: one}, to: out}}",
        "push_bundle:one -> pull_bundle:two -> push_bundle:one",
    ),
}


@pytest.mark.parametrize(("declared", "cycle"), CYCLES.values(), ids=CYCLES)
def test_a_cycle_is_told_in_its_order(project: Project, declared: str, cycle: str) -> None:
    project.pipeline(declared)
    for name in ("hen", "egg", "one"):
        project.write(f"{name}/file.yml", "")
    told = f"ERROR: these tasks need one another: {cycle}: break the cycle\n"
    assert project.refusal() == told


@pytest.mark.parametrize(
    ("edges", "starts", "cycle"),
    [
        ({}, [], set()),
        ({"a": ["b"], "b": ["c"]}, ["a"], set()),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"]}, ["a", "b", "c", "d"], set()),
        ({"a": ["a"]}, ["a"], {"a"}),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["a"], {"b", "c"}),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["d"], set()),
    ],
)
def test_a_cycle_is_found_where_it_can_be_reached(
    edges: Mapping[str, Sequence[str]], starts: Sequence[str], cycle: set[str]
) -> None:
    found = find_cycle(lambda name: edges.get(name, ()), starts)
    assert set(found or ()) == cycle
    # It may begin anywhere.
    assert found is None or found[0] == found[-1]
    assert all(needed in edges[name] for name, needed in pairwise(found or ()))


def test_what_is_reached_includes_the_start_and_ends_in_a_cycle() -> None:
    edges = {"a": ["b"], "b": ["c", "a"], "d": ["a"]}
    assert reached(["a"], lambda name: edges.get(name, ())) == {"a", "b", "c"}
    assert reached(["c"], lambda name: edges.get(name, ())) == {"c"}


@pytest.mark.parametrize(
    ("reads", "targets", "found"),
    [
        (Reads("r", ["a"]), {"a": "m"}, [("r", "m")]),
        (Reads("r", ["a/b/c"]), {"a": "m"}, [("r", "m")]),
        (Reads("r", ["a"]), {"a/b/c": "m"}, [("r", "m")]),
        (Reads("r", ["a"]), {"ab": "m", "a-b/c": "n"}, []),
        (Reads("r", ["a", "b"]), {"a/1": "m", "b/1": "m"}, [("r", "m")]),
        (Reads("r", ["a"]), {"a/2": "n", "a/1": "m"}, [("r", "m"), ("r", "n")]),
        (Reads("r", ["a"]), {"a/1": "r"}, []),
        (Reads("r", ["a"], exclude=["b"]), {"a/b/c": "m", "a/d": "n"}, [("r", "n")]),
        (Reads("r", ["a"], exclude=["b"]), {"a": "m"}, [("r", "m")]),
        (Reads("r", ["a"], exclude=lambda name: name.endswith(".log")), {"a/x.log": "m", "a/x": "n"}, [("r", "n")]),
        (Reads("r", ["."]), {"a": "m"}, [("r", "m")]),
        (Reads("r", ["a/../b"]), {"./b": "m"}, [("r", "m")]),
        (Reads("r", []), {"a": "m"}, []),
    ],
)
def test_a_producer_makes_what_is_read_or_what_is_around_or_within_it(
    reads: Reads, targets: Mapping[str, str], found: list[tuple[str, str]]
) -> None:
    assert list(producers([reads], targets)) == found


def test_what_is_needed_comes_first_and_else_the_order_stays() -> None:
    edges: dict[str, list[str]] = {"d": ["b", "c"], "b": ["a"], "c": ["a"], "e": [], "a": []}
    assert needed_first(["e", "d", "a"], edges.__getitem__) == ["e", "a", "b", "c", "d"]
    assert sorted(needed_first(["x"], {"x": ["y"], "y": ["x"]}.__getitem__)) == ["x", "y"]
    deep = needed_first([0], lambda number: [number + 1] if number < 5000 else [])
    assert deep == [*range(5000, -1, -1)]
