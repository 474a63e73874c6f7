"""Settings and graphs of CI to write files of, and what engines make of these files."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from bundlepipe import CI, Argo, Buildkite, GitHub, GitLab
from bundlepipe.documents.yaml.reader import load_one
from bundlepipe.pipeline.ci.engines.common import Place
from bundlepipe.pipeline.ci.graph import CIGraph, Shard

ROOT = Place(path="bundles.yml")
BELOW = Place(path="../.ci/apps.yml", directory="apps/a b")
FULL = CI(
    shards=16,
    waves=3,
    timeout=90,
    depth=0,
    install="python -m venv .venv\n.venv/bin/pip install bundlepipe",
    login='printf %s "$REGISTRY_PASSWORD" | docker login -u "$REGISTRY_USER" --password-stdin "$REGISTRY"',
    variables={"REGISTRY": "registry.example", "PRICE": "5$", "YES": "on", "VERSION": "1.0"},
    secrets=["REGISTRY_USER", "REGISTRY_PASSWORD"],
    git_tags=True,
    environments={"copy_bundle:*": "production"},
    github=GitHub(
        runs_on=["self-hosted", "linux x64"],
        python="",
        branch="release/*",
        permissions={"packages": "write", "id-token": "write"},
        variables={"REVISION": "${{ github.sha }}"},
    ),
    gitlab=GitLab(image="", tags=["docker", "big one"], variables={"REVISION": "$CI_COMMIT_SHA"}),
    buildkite=Buildkite(queue="big", variables={"REVISION": "$BUILDKITE_COMMIT"}),
    argo=Argo(
        repository="https://git.example/team/apps.git",
        git_secret="git",
        service_account="bundles",
        artifacts="gcs",
        variables={"REVISION": "{{workflow.parameters.revision}}"},
    ),
)
SETTINGS = {"the defaults": (CI(), ROOT), "everything": (FULL, ROOT), "in a directory": (FULL, BELOW)}
_SHARD_WIDTH = 2
# Anything but what no setting can hold; often with what means something to an engine, to YAML or to a shell.
hostile = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
        st.sampled_from(["${{ secrets.X }}", "}}", "$X", "$(x)", "$$", "{{x}}"]),
        st.sampled_from(["\n", "\n- ", "\r\n", "\t", "\u2028", "\x85", "  ", ": ", " #", "---", "'", '"', "]"]),
        st.sampled_from(["&a", "*a", "!!x", "|", ">", "%", "@", "`", "on", "1_0"]),
    ),
    min_size=1,
    max_size=6,
).map("".join)
texts = hostile.filter(bool)


def parsed(text: str) -> Any:
    """Return what a written file says, by the rules of YAML 1.2."""
    return load_one(text.encode(), "written").data


def graph(*waves: int, needs: int = 1, environment: str = "") -> CIGraph:
    """Return a graph with so many shards in each wave; each needs some of the wave before."""
    shards: list[Shard] = []
    before: list[str] = []
    for wave, count in enumerate(waves, 1):
        names = [f"{wave}-{number:0{_SHARD_WIDTH}}" for number in range(1, count + 1)]
        shards += [
            Shard(
                name=name,
                wave=wave,
                tasks=[f"push_bundle:team-{name}", f"push_bundle:app-{name}"],
                needs=[before[(index + step) % len(before)] for step in range(min(needs, len(before)))],
                environment=environment if wave == len(waves) else "",
            )
            for index, name in enumerate(names)
        ]
        before = names
    return CIGraph(shards=shards)


def linted(program: str, *arguments: str | Path) -> str:
    """Return what a linter of the tests' requirements prints, empty if it finds nothing."""
    command: Sequence[str | Path] = [Path(sysconfig.get_path("scripts")) / program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def github_text(text: str) -> str:
    """Return what GitHub makes of a text whose only expressions are strings; AssertionError for others."""

    def value(match: re.Match[str]) -> str:
        literal = re.fullmatch(r"\s*'((?:[^']|'')*)'\s*", match[1])
        assert literal, f"an expression: {match[0]}"
        return literal[1].replace("''", "'")

    return re.sub(r"\$\{\{((?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*)\}\}", value, text)


def kubelet_text(text: str) -> str:
    """Return what the kubelet makes of an argument or a variable, if all variables that it names are set to `!`."""
    return re.sub(r"\$\$|\$\([^)]*\)", lambda match: "$" if match[0] == "$$" else "!", text)


def uploaded_text(text: str) -> str:
    """Return what Buildkite's upload makes of a text; AssertionError if it would replace a variable."""
    rest = text.replace("$$", "")
    assert "$" not in rest, f"a variable: {text}"
    return text.replace("$$", "$")
