"""What tasks record of their declarations stays as it is: with other values, an upgrade would make everything stale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.model import Copy
from bundlepipe.pipeline.declared.reading import read_pipeline
from bundlepipe.pipeline.graph.tasks import create_tasks
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.staleness import Staleness, Values, changed_options
from bundlepipe.pipeline.tasks.copy import CopyAction
from bundlepipe.stores.location import ArchiveLocation
from bundlepipe.verbs.copying.request import CopyRequest
from tests.support.project import Project

EVERYTHING = """\
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline
lock: bundlepipe.lock
registries:
  r.example: {layout: build/r}
defaults:
  push: r.example/{name}:1
images:
  packed: {files: [./a, b], tags: [x], labels: {a: b}, exclude: [.git, d], preservePermissions: true, after: [other]}
  plain: {files: [a]}
  built:
    build:
      context: web
      dockerfile: D
      target: t
      args: {A: "1"}
      platform: linux/s390x
      pull: true
      noCache: true
      builder: docker
    labels: {x: y}
    tags: [z]
  ran: {run: [ko, build, "--token=secret"], files: [src], push: other.example/ran, tags: [q]}
  stays: {run: [ko]}
  taken: {from: nginx, refresh: always, tags: [t]}
bundles:
  app:
    files: [app, other]
    push: other.example/app:2
    tags: [x, y]
    lockOutput: out/app.lock
    lock:
      files: [conf, {run: [helm, secret], files: [chart]}]
      config: [k.yml]
      include: [{image: packed}, {bundle: nested}, nginx:1]
      platform: linux/arm64
      refresh: always
  nested: {files: [nested], exclude: [docs], lock: {}}
copies:
  repository:
    from: {bundle: app}
    to: r.example/copy
    tags: [k]
    lockOutput: out/copy.lock
    includeNonDistributableLayers: true
    cosignSignatures: true
    referrers: true
    repoBasedTags: true
    refresh: always
    after: [{image: packed}]
  tar: {from: {lock: some.lock}, to: tar:out/x.tar, resume: false, exclude: [tar:old.tar, old.lock]}
pulls:
  all: {from: {copy: repository}, to: out/all, recursive: true, refresh: always, maxSize: 1000}
  plain: {from: oci:layout, to: out/plain}
renders:
  all:
    files: [conf, {run: [helm, secret], files: [chart]}]
    locks: [l.yml]
    config: [k.yml]
    output: out/all.yml
    apply:
      context: c
      namespace: n
      kubeconfig: "${NOWHERE:-}"
      serverSide: true
      fieldManager: f
      forceConflicts: true
      dryRun: server
      pruneLabel: a=b
      wait: 5m
  plain: {files: [conf], output: out/plain.yml, apply: {}}
"""
# Of a program and of build arguments, which may be secret, a fingerprint.
RECORDED: dict[str, Values] = {
    "apply_config:all": {
        "context": "c",
        "dryRun": "server",
        "fieldManager": "f",
        "forceConflicts": True,
        "kubeconfig": "",
        "namespace": "n",
        "pruneLabel": "a=b",
        "rendered": "out/all.yml",
        "serverSide": True,
        "wait": "5m",
    },
    "apply_config:plain": {
        "context": None,
        "dryRun": None,
        "fieldManager": None,
        "forceConflicts": False,
        "kubeconfig": None,
        "namespace": None,
        "pruneLabel": None,
        "rendered": "out/plain.yml",
        "serverSide": False,
        "wait": None,
    },
    "copy_bundle:repository": {
        "cosignSignatures": True,
        "exclude": [],
        "from": "bundle:app",
        "includeNonDistributableLayers": True,
        "lockOutput": "out/copy.lock",
        "referrers": True,
        "repoBasedTags": True,
        "tag": "2",
        "tags": ["k"],
        "to": "r.example/copy in build/r",
    },
    "copy_bundle:tar": {
        "cosignSignatures": False,
        "exclude": ["tar:old.tar", "old.lock"],
        "from": "some.lock",
        "includeNonDistributableLayers": False,
        "lockOutput": None,
        "referrers": False,
        "repoBasedTags": False,
        "tag": None,
        "tags": [],
        "to": "tar:out/x.tar",
    },
    "lock_bundle:app": {
        "config": ["k.yml"],
        "exclude": [],
        "files": ["conf"],
        "include": ["image:packed", "bundle:nested", "nginx:1"],
        "lockFile": "bundlepipe.lock",
        "platform": "linux/arm64",
        "programs": [
            {
                "directory": ".",
                "files": ["chart"],
                "run": "a16c2f0227877b73d4afd7b8f1630c6081b1696a4cde6bb7b2d65d66d9955c74",
            }
        ],
    },
    "lock_bundle:nested": {
        "config": [],
        "exclude": ["docs"],
        "files": ["nested"],
        "include": [],
        "lockFile": "bundlepipe.lock",
        "platform": None,
        "programs": [],
    },
    "pull_bundle:all": {"from": "copy:repository", "maxSize": 1000, "recursive": True, "to": "out/all"},
    "pull_bundle:plain": {"from": "oci:layout", "maxSize": None, "recursive": False, "to": "out/plain"},
    "push_bundle:app": {
        "destination": "other.example/app:2",
        "exclude": [".git"],
        "files": ["app", "other"],
        "labels": {},
        "lockOutput": "out/app.lock",
        "preservePermissions": False,
        "tags": ["x", "y"],
    },
    "push_bundle:nested": {
        "destination": "r.example/nested:1 in build/r",
        "exclude": ["docs"],
        "files": ["nested"],
        "labels": {},
        "lockOutput": None,
        "preservePermissions": False,
        "tags": [],
    },
    "push_image:built": {
        "args": "1ffee5b634b5a0b4df5f52d911037e07a4edf0da1a3da886ffb44e1fb4ed4839",
        "context": "web",
        "destination": "r.example/built:1 in build/r",
        "dockerfile": "D",
        "labels": {"x": "y"},
        "platform": "linux/s390x",
        "tags": ["z"],
        "target": "t",
    },
    "push_image:packed": {
        "destination": "r.example/packed:1 in build/r",
        "exclude": [".git", "d"],
        "files": ["a", "b"],
        "labels": {"a": "b"},
        "preservePermissions": True,
        "tags": ["x"],
    },
    "push_image:plain": {
        "destination": "r.example/plain:1 in build/r",
        "exclude": [".git"],
        "files": ["a"],
        "labels": {},
        "preservePermissions": False,
        "tags": [],
    },
    "push_image:ran": {
        "destination": "other.example/ran",
        "directory": ".",
        "files": ["src"],
        "run": "4b4f662430dbf65547e31846601a701dee352f34521a27dd8d34591635a9866a",
        "tags": ["q"],
    },
    "push_image:stays": {
        "destination": None,
        "directory": ".",
        "files": [],
        "run": "6734578ce1e610d0d2fa082be5bb9fb49c43ec42e721d2f6c074b67ed20ac1d3",
        "tags": [],
    },
    "push_image:taken": {
        "cosignSignatures": False,
        "exclude": [],
        "from": "nginx",
        "includeNonDistributableLayers": False,
        "lockOutput": None,
        "referrers": False,
        "repoBasedTags": False,
        "tag": "1",
        "tags": ["t"],
        "to": "r.example/taken:1 in build/r",
    },
    "render_config:all": {
        "config": ["k.yml"],
        "files": ["conf"],
        "locks": ["l.yml"],
        "output": "out/all.yml",
        "programs": [
            {
                "directory": ".",
                "files": ["chart"],
                "run": "a16c2f0227877b73d4afd7b8f1630c6081b1696a4cde6bb7b2d65d66d9955c74",
            }
        ],
    },
    "render_config:plain": {"config": [], "files": ["conf"], "locks": [], "output": "out/plain.yml", "programs": []},
}


def _recorded(project: Project) -> dict[str, Values]:
    project.write("bundlepipe.yml", EVERYTHING)
    declared = read_pipeline("bundlepipe.yml", {}, remembers=False)
    settings = Settings(registries=declared.registries, run_id="run", lock_file=declared.lock_file)
    checks = ((task.name, check) for task in create_tasks(declared, settings) for check in task.uptodate)
    found = ((name, check[0] if isinstance(check, tuple) else check) for name, check in checks)
    return {name: check.options for name, check in found if isinstance(check, Staleness) and check.options}


def test_options_are_recorded_as_ever(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.directory)
    found = _recorded(project)
    assert found.keys() == RECORDED.keys()
    for name, recorded in RECORDED.items():
        options = found[name]
        assert {key: options[key] for key in recorded} == recorded, name
        # What was brought since then has to be off.
        assert not any(options[key] for key in options.keys() - recorded.keys()), name


def test_options_of_a_copy_reach_the_verb() -> None:
    options: dict[str, Any] = {"referrers": True, "repo_based_tags": True, "resume": False, "tags": ["t"]}
    copy = Copy(
        name="c",
        source="r.example/a:1",
        to="tar:x.tar",
        include_non_distributable_layers=True,
        cosign_signatures=True,
        exclude=["tar:old.tar"],
        **options,
    )
    assert CopyAction(copy, None, Settings())._request() == CopyRequest(
        source=Reference.parse("r.example/a:1"),
        destination=ArchiveLocation("x.tar"),
        include_non_distributable=True,
        cosign=True,
        exclude=[ArchiveLocation("old.tar")],
        **options,
    )


OFF: Sequence[object] = (False, None, [], {})
ON: Sequence[object] = (True, "text", ["item"])


def test_an_option_that_a_new_version_brings_makes_nothing_stale_until_it_is_used() -> None:
    before = RECORDED["copy_bundle:tar"]
    for value in OFF:
        assert changed_options(before, {**before, "new": value}) == []
        assert changed_options({**before, "new": value}, before) == []
    for value in ON:
        assert changed_options(before, {**before, "new": value}) == [Reason("optionChanged", "new", "new changed")]
    (reason,) = changed_options(before, {**before, "exclude": []})
    assert str(reason) == "exclude changed"
