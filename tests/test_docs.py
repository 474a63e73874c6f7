"""The documentation: links lead somewhere, the reference agrees with the schema, and examples do what they say.

A page is carried out from top to bottom, in a project with nothing but the usual dodo.py. A
line that ends in `` `PATH`: `` before a block of code says that the block is this file. A
block of `console` is run: `$ ` begins a command, the lines after it are what it prints, in
any order, `...` standing for any further lines. Digests and seconds are compared by their form.
`cd` holds for the commands that follow; paths of files stay those from where the page begins.
Comments that readers do not see say where a page differs:

    <!-- begin: examples/quickstart -->   it begins in a copy of this directory, or an `empty` one
    <!-- needs: registry -->              what follows needs a registry; the page calls it localhost:5000
    <!-- needs: docker -->                what follows needs a Docker Engine
    <!-- needs: busybox -->               what follows needs a static busybox
    <!-- needs: kubectl -->               what follows needs kubectl and a cluster; the page calls it kind-dev
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundlepipe.documents.kbld.reading import parse_config
from bundlepipe.documents.schemas.validator import check, schema_text
from bundlepipe.documents.yaml.reader import load_one
from tests.support.kubernetes import ApiServer
from tests.support.services import Registry, require

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
REGISTRY = "localhost:5000"
CONTEXT = "kind-dev"
EMPTY = "empty"
USUAL_DODO = """\
from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
"""

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^<!-- (?P<word>begin|needs): (?P<value>\S+) -->$", re.MULTILINE)
_FILE = re.compile(r"`(?P<path>[\w./-]+)`:\n+\Z")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_DIGEST = re.compile(r"sha256([:-])[0-9a-f]{12,64}")
_CHANGE_DIRECTORY = re.compile(r"cd (?P<path>\S+)")
_SECONDS = re.compile(r"\b\d+\.\d s\b")


@cache
def _text(page: str) -> str:
    return (ROOT / page).read_text()


def _prose(page: str) -> str:
    """Return a page without its blocks of code."""
    return _FENCE.sub("", _text(page))


def _blocks(page: str, language: str) -> list[str]:
    return [match["content"] for match in _FENCE.finditer(_text(page)) if match["language"] == language]


def _of_pages(language: str) -> list[Any]:
    """Return a parameter for each block of a language, named for its page and number."""
    return [
        pytest.param(page, block, id=f"{page}-{number}")
        for page in PAGES
        for number, block in enumerate(_blocks(page, language), 1)
    ]


def _anchors(page: Path) -> set[str]:
    """Return what the headings of a page are called in links: the rule of GitHub and of MkDocs, where they agree."""
    headings = (match["text"] for match in _HEADING.finditer(_prose(str(page.relative_to(ROOT)))))
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    broken = []
    for match in _LINK.finditer(_prose(page)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target:
            continue
        path = ((ROOT / page).parent / target).resolve() if target else ROOT / page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(match["target"])
    assert not broken


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_links_of_the_documentation_stay_in_it(page: str) -> None:
    """It is published as a site of its own as well."""
    targets = [match["target"].partition("#")[0] for match in _LINK.finditer(_prose(page))]
    paths = [((ROOT / page).parent / target).resolve() for target in targets if target and "://" not in target]
    assert not [path for path in paths if not path.is_relative_to(DOCS)]


def test_the_site_has_every_page_once() -> None:
    def paths(items: Any) -> Iterator[str]:
        for item in items:
            (value,) = item.values()
            yield from [value] if isinstance(value, str) else paths(value)

    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    assert sorted(paths(navigation)) == sorted(pages)


@pytest.mark.parametrize("page", PAGES)
def test_the_index_leads_to_every_page(page: str) -> None:
    if not page.startswith("docs/") or page == "docs/index.md":
        return
    assert f"({page.removeprefix('docs/')})" in _text("docs/index.md")


# The reference


def _schema() -> Any:
    return json.loads(schema_text("pipeline"))


def _objects() -> dict[str, Mapping[str, Any]]:
    """Return every object of the pipeline file by the heading under which the reference describes it."""
    schema = _schema()
    definitions = schema["$defs"]
    return {
        "The file": schema,
        "defaults": schema["properties"]["defaults"],
        "registries": definitions["registry"],
        "images": definitions["image"],
        "build": definitions["build"],
        "bundles": definitions["bundle"],
        "lock": definitions["lock"],
        "programs": definitions["program"],
        "include of a lock": definitions["included"]["anyOf"][1],
        "copies": definitions["copy"],
        "pulls": definitions["pull"],
        "from": definitions["source"]["anyOf"][1],
        "renders": definitions["render"],
        "after": definitions["after"]["items"]["anyOf"][1],
        "apply": definitions["apply"],
        **{name: definitions[name] for name in ("ci", "github", "gitlab", "buildkite", "argo")},
    }


def _count_objects(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_count_objects, value))
    if not isinstance(value, dict):
        return 0
    return isinstance(value.get("properties"), dict) + sum(map(_count_objects, value.values()))


def test_the_reference_is_told_about_every_object_of_the_schema() -> None:
    assert len(_objects()) == _count_objects(_schema())


def _kbld_objects() -> dict[str, Mapping[str, Any]]:
    """Return every object of kbld's configuration that the reference has a table of, by its heading."""
    schema = json.loads(schema_text("kbld-config"))
    definitions = schema["$defs"]
    matcher = definitions["imageMatcher"]["properties"]
    matching = {
        heading: {**definition, "properties": {**matcher, **definition["properties"]}}
        for heading, definition in [
            ("Overrides", definitions["override"]),
            ("Sources", definitions["source"]),
            ("Destinations", definitions["destination"]),
        ]
    }
    return {
        "The file": schema,
        "Search rules": definitions["searchRule"],
        "Key matchers": definitions["keyMatcher"],
        "Update strategies": definitions["updateStrategy"],
        "Tag selection": definitions["tagSelection"]["properties"]["semver"],
        "Platform selection": definitions["platformSelection"],
        **matching,
    }


def _rows(page: str, heading: str) -> dict[str, str]:
    """Return the rows of the table under a heading of the reference by the key that each describes."""
    parts = re.split(r"^#+ (.+)$", _text(page), flags=re.MULTILINE)
    section = dict(zip(parts[1::2], parts[2::2], strict=True))[heading]
    return {
        match[1]: match[0] for match in re.finditer(r"^\| `([\w.]+)` \| (?:required )?\|.*$", section, re.MULTILINE)
    }


@pytest.mark.parametrize(
    ("page", "heading", "described"),
    [
        *(("docs/reference/pipeline-file.md", *item) for item in _objects().items()),
        *(("docs/reference/kbld-config.md", *item) for item in _kbld_objects().items()),
    ],
)
def test_the_reference_has_the_keys_of_the_schema_and_no_others(
    page: str, heading: str, described: Mapping[str, Any]
) -> None:
    rows = _rows(page, heading)
    assert sorted(rows) == sorted(described["properties"])
    assert sorted(key for key, row in rows.items() if "| required |" in row) == sorted(described.get("required", []))


# The blocks


@pytest.mark.parametrize(("page", "block"), _of_pages("yaml"))
def test_yaml_is_yaml_and_pipelines_are_valid(page: str, block: str) -> None:
    key = block.partition(":")[0]
    if key in _schema()["properties"].keys() - {"apiVersion", "kind"}:
        block = "apiVersion: bundlepipe.dev/v1alpha1\nkind: Pipeline\n" + block
    if block.startswith("apiVersion: bundlepipe.dev"):
        check(load_one(block.encode(), page), "lock-file" if "\nkind: Lock\n" in block else "pipeline")
    elif block.startswith("apiVersion: kbld.k14s.io"):
        parse_config(block.encode(), page)
    else:
        yaml.safe_load(block)


def test_the_index_shows_the_usual_dodo() -> None:
    assert USUAL_DODO in _blocks("docs/index.md", "python")


@pytest.mark.parametrize(("page", "block"), _of_pages("python"))
def test_python_is_python(page: str, block: str) -> None:
    ast.parse(block, page)


@dataclass(frozen=True)
class _Step:
    """What a page asks for: a file with its content, or a command with what it prints."""

    command: str = ""
    output: str = ""
    file: str = ""
    content: str = ""


@dataclass(frozen=True)
class _Story:
    """A page as something to be carried out, from a directory: first what needs nothing, then what needs services."""

    begin: str = ""
    local: list[_Step] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    remote: list[_Step] = field(default_factory=list)


def _story(page: str) -> _Story:
    text = _text(page)
    found: list[re.Match[str]] = [*_FENCE.finditer(text), *_COMMENT.finditer(text)]
    story = _Story(next((match["value"] for match in _COMMENT.finditer(text) if match["word"] == "begin"), ""))
    steps = story.local
    for match in sorted(found, key=lambda match: match.start()):
        groups = match.groupdict()
        file = _FILE.search(text, 0, match.start())
        if groups.get("word") == "needs":
            story.needs.append(groups["value"])
            steps = story.remote
        elif file and groups.get("language") not in (None, "console"):
            steps.append(_Step(file=file["path"], content=groups["content"]))
        elif groups.get("language") == "console":
            steps.extend(_commands(groups["content"]))
    return story


def _commands(block: str) -> Iterator[_Step]:
    first, *rest = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not first, f"a console block begins with a command, not with {first!r}"
    for part in rest:
        command, _, output = part.partition("\n")
        yield _Step(command, output)


STORIES = {page: _story(page) for page in PAGES if page != "CONTRIBUTING.md"}
LOCAL = [page for page, story in STORIES.items() if any(step.command for step in story.local)]
REMOTE = [page for page, story in STORIES.items() if story.needs]


class _Reader:
    """Somebody who does what a page says, in a directory of his own."""

    def __init__(self, directory: Path, story: _Story, registry: str = REGISTRY) -> None:
        self._directory = directory / "work"
        self._place = self._directory
        self._registry = registry
        if story.begin in ("", EMPTY):
            self._directory.mkdir()
            if not story.begin:
                (self._directory / "dodo.py").write_text(USUAL_DODO)
        else:
            # Without what somebody who tried the example left in the checkout.
            left = shutil.ignore_patterns(".bundlepipe", ".doit.db*", ".imgpkg", "__pycache__", "build")
            shutil.copytree(ROOT / story.begin, self._directory, ignore=left)
        left_out = ("REGISTRY", "VERSION", "BUNDLEPIPE_VERIFY", "BUNDLEPIPE_SHOW", "KUBECONFIG")
        self._environment = {name: value for name, value in os.environ.items() if name not in left_out}
        self._environment["PATH"] = os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"]))
        self._environment["HOME"] = str(directory)

    def follow(self, steps: list[_Step], *, with_digests: bool = False) -> None:
        for step in steps:
            if step.file:
                path = self._directory / step.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._here(step.content))
            elif change := _CHANGE_DIRECTORY.fullmatch(step.command):
                self._place = (self._place / change["path"]).resolve(strict=True)
            else:
                self._run(step, with_digests)

    def _here(self, text: str) -> str:
        return text.replace(REGISTRY, self._registry)

    def _run(self, step: _Step, with_digests: bool) -> None:
        finished = subprocess.run(
            ["sh", "-c", self._here(step.command)],
            check=False,
            cwd=self._place,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        expected, actual = (
            _lines(output, with_digests=with_digests) for output in (self._here(step.output), finished.stdout)
        )
        missing = expected - actual
        missing.pop("...", None)
        unexpected = Counter() if "..." in expected else actual - expected
        assert not missing and not unexpected, f"$ {step.command}\n{finished.stdout}"


def _lines(output: str, *, with_digests: bool) -> Counter[str]:
    """Return the lines of an output but for empty ones, how often each occurs, with seconds made equal."""
    lines = (_SECONDS.sub("... s", line) for line in output.splitlines())
    if not with_digests:
        lines = (_DIGEST.sub(r"sha256\1...", line) for line in lines)
    return Counter(line.rstrip() for line in lines if line.strip())


@pytest.mark.parametrize("page", LOCAL)
def test_a_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    _Reader(tmp_path, STORIES[page]).follow(STORIES[page].local, with_digests=True)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[None]:
    """A cluster that kubectl knows, for whoever has `tmp_path` as home."""
    server = ApiServer()
    (tmp_path / ".kube").mkdir()
    path = server.kubeconfig(tmp_path / ".kube/config")
    path.write_text(path.read_text().replace('"test"', f'"{CONTEXT}"'))
    yield
    server.close()


@pytest.mark.parametrize("page", REMOTE)
def test_a_page_does_what_it_says_with_services(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    story = STORIES[page]
    for service in story.needs:
        require(service)
    if "kubectl" in story.needs:
        request.getfixturevalue("cluster")
    registry: Registry | None = request.getfixturevalue("registry") if "registry" in story.needs else None
    _Reader(tmp_path, story, registry.host if registry else REGISTRY).follow([*story.local, *story.remote])


@pytest.mark.parametrize("page", [page for page in STORIES if page.startswith("docs/how-to/")])
def test_a_how_to_shows_the_files_of_its_example(page: str) -> None:
    story = STORIES[page]
    example = ROOT / story.begin
    if story.begin.startswith("examples/"):
        shown = {step.file: step.content for step in story.local if step.file}
        assert shown == {file: (example / file).read_text() for file in shown}


def test_every_example_of_a_pipeline_is_carried_out() -> None:
    examples = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("examples/*/bundlepipe.yml")}
    assert examples == {story.begin for story in STORIES.values()} - {"", EMPTY}


def test_something_is_carried_out() -> None:
    assert {"README.md", "docs/tutorial.md"} <= set(LOCAL)
    assert "docs/tutorial.md" in REMOTE
