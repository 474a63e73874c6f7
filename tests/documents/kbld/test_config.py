"""Every rule of kbld's configuration, as its documents are read: what a rule then does is tested with the verbs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from bundlepipe.documents.kbld import config as kbld_config
from bundlepipe.documents.kbld.builders import (
    BazelBuild,
    Builder,
    BuildxBuild,
    DockerBuild,
    KoBuild,
    KubectlBuildkitBuild,
    PackBuild,
)
from bundlepipe.documents.kbld.config import ImageDestination, KbldConfig, Override, config_to_bytes, first_match
from bundlepipe.documents.kbld.reading import parse_config, parse_image_map
from bundlepipe.documents.kbld.tag_selection import TagSelection
from bundlepipe.documents.search.rules import AnyIndex, ImageMatcher, KeyMatcher, SearchRule, UpdateStrategy, Within
from bundlepipe.errors import DocumentError
from bundlepipe.oci.manifest import PlatformSelection

HEAD = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
LOCK_HEAD = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
A = "sha256:" + "a" * 64


def read(text: str, head: str = HEAD, *, sole: bool = True) -> KbldConfig:
    return parse_config((head + text).encode(), "k.yml", sole=sole)


def problems(text: str, head: str = HEAD, *, sole: bool = True) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        read(text, head, sole=sole)
    return list(caught.value.problems)


def override(text: str) -> Override:
    (only,) = read(f"overrides:\n- {{{text}}}\n").overrides
    return only


# Search rules


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("name: sidecar", KeyMatcher(name="sidecar")),
        ("path: [spec, image]", KeyMatcher(path=("spec", "image"))),
        ("path: [spec, {index: 0}, {allIndexes: true}, '0']", KeyMatcher(path=("spec", 0, AnyIndex(), "0"))),
        ("name: sidecar, path: null", KeyMatcher(name="sidecar")),
    ],
)
def test_a_key_matcher_has_a_name_or_a_path(text: str, matcher: KeyMatcher) -> None:
    assert read(f"searchRules: [{{keyMatcher: {{{text}}}}}]").search_rules == (SearchRule(key=matcher),)


@pytest.mark.parametrize(
    ("text", "matcher"),
    [
        ("image: 'nginx:1'", ImageMatcher(image="nginx:1")),
        ("imageRepo: nginx", ImageMatcher(image_repo="nginx")),
        ("imageRepo: nginx, image: null", ImageMatcher(image_repo="nginx")),
    ],
)
def test_a_value_matcher_has_an_image_or_an_image_repo(text: str, matcher: ImageMatcher) -> None:
    assert read(f"searchRules: [{{valueMatcher: {{{text}}}}}]").search_rules == (SearchRule(value=matcher),)


def test_a_rule_may_have_a_key_matcher_and_a_value_matcher() -> None:
    (rule,) = read("searchRules: [{keyMatcher: {name: a}, valueMatcher: {image: b}}]").search_rules
    assert rule == SearchRule(KeyMatcher("a"), ImageMatcher("b"))


INNER = (SearchRule(key=KeyMatcher(name="x")), SearchRule(value=ImageMatcher("y"), strategy=Within("json", ())))


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("null", "entireValue"),
        ("{entireValue: {}}", "entireValue"),
        ("{none: {}}", "none"),
        ("{yaml: {}}", Within("yaml", ())),
        ("{json: {searchRules: null}}", Within("json", ())),
        (
            "{yaml: {searchRules: [{keyMatcher: {name: x}}, {valueMatcher: {image: y}, updateStrategy: {json: {}}}]}}",
            Within("yaml", INNER),
        ),
    ],
)
def test_an_update_strategy_says_what_holds_of_the_value(text: str, strategy: UpdateStrategy) -> None:
    (rule,) = read(f"searchRules: [{{keyMatcher: {{name: a}}, updateStrategy: {text}}}]").search_rules
    assert rule == SearchRule(key=KeyMatcher("a"), strategy=strategy)


def test_keys_are_search_rules_that_come_first() -> None:
    rules = read("searchRules: [{keyMatcher: {name: a}}, {keyMatcher: {name: b}}]\nkeys: [c, d]\n").search_rules
    assert [rule.key for rule in rules] == [KeyMatcher(name) for name in "cdab"]


# Overrides


def test_an_override_replaces_an_image() -> None:
    assert override("image: a, newImage: 'b:1'") == Override(ImageMatcher("a"), "b:1", where="k.yml:4:3")


def test_an_override_replaces_the_images_of_a_repository() -> None:
    assert override("imageRepo: a, newImage: b").matcher == ImageMatcher(image_repo="a")


@pytest.mark.parametrize("new_image", [f"b@{A}", "b:1", "no reference at all"])
def test_a_preresolved_image_is_taken_as_it_is(new_image: str) -> None:
    found = override(f"image: a, newImage: '{new_image}', preresolved: true")
    assert (found.new_image, found.preresolved) == (new_image, True)


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("{}", TagSelection()),
        ("{constraints: '>=1.x'}", TagSelection(">=1.x")),
        ("{constraints: '1.x', prereleases: {}}", TagSelection("1.x", frozenset())),
        ("{prereleases: {identifiers: []}}", TagSelection(None, frozenset())),
        ("{prereleases: {identifiers: [rc, beta]}}", TagSelection(None, frozenset({"beta", "rc"}))),
        ("{prereleases: null}", TagSelection()),
    ],
)
def test_a_tag_selection_has_constraints_and_prereleases(text: str, selection: TagSelection) -> None:
    assert override(f"image: a, newImage: b, tagSelection: {{semver: {text}}}").tag_selection == selection


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("", PlatformSelection()),
        ("architecture: arm64", PlatformSelection(architecture="arm64")),
        ("os: linux", PlatformSelection(os="linux")),
        ("os.version: '10'", PlatformSelection(os_version="10")),
        ("os.features: [a, b]", PlatformSelection(os_features=("a", "b"))),
        ("variant: v8", PlatformSelection(variant="v8")),
        ("features: [c]", PlatformSelection(features=("c",))),
        ("variant: '', os: ''", PlatformSelection()),
    ],
)
def test_a_platform_selection_has_every_field_of_a_platform(text: str, selection: PlatformSelection) -> None:
    assert override(f"image: a, newImage: b, platformSelection: {{{text}}}").platform_selection == selection


@pytest.mark.parametrize("selection", ["tagSelection: {semver: {}}", "platformSelection: {os: linux}"])
def test_an_override_that_selects_may_leave_the_image_as_it_is(selection: str) -> None:
    assert override(f"image: a, {selection}").new_image is None


def test_an_override_may_have_origins() -> None:
    assert override("image: a, newImage: b, origins: [{local: {path: /x}}, {git: {dirty: true}}]").origins == (
        {"local": {"path": "/x"}},
        {"git": {"dirty": True}},
    )


def test_of_several_rules_for_a_reference_the_first_counts() -> None:
    overrides = read(
        "overrides:\n"
        "- {imageRepo: nginx, newImage: first}\n"
        "- {image: 'nginx:1', newImage: second}\n"
        "- {image: 'other', newImage: third}\n"
    ).overrides
    found = [first_match(overrides, reference) for reference in ("nginx:1", "nginx", "other", "docker.io/nginx")]
    assert [each and each.new_image for each in found] == ["first", "first", "third", None]


# Sources and destinations


@pytest.mark.parametrize(
    ("text", "builder"),
    [
        ("", DockerBuild()),
        (", docker: null", DockerBuild()),
        (", docker: {}", DockerBuild()),
        (", docker: {build: {}}", DockerBuild()),
        (
            ", docker: {build: {target: t, pull: true, noCache: true, file: f, buildkit: false, rawOptions: [a, b]}}",
            DockerBuild("t", True, True, "f", False, ("a", "b")),
        ),
        (", docker: {buildx: {}}", BuildxBuild()),
        (
            ", docker: {buildx: {target: t, pull: true, noCache: true, file: f, rawOptions: [a, b]}}",
            BuildxBuild("t", True, True, "f", ("a", "b")),
        ),
        (", pack: {}", PackBuild()),
        (
            ", pack: {build: {builder: b, buildpacks: [x, y], clearCache: true, rawOptions: [a]}}",
            PackBuild("b", ("x", "y"), True, ("a",)),
        ),
        (", kubectlBuildkit: {}", KubectlBuildkitBuild()),
        (
            ", kubectlBuildkit: {build: {target: t, platform: p, pull: true, noCache: true, file: f, rawOptions: [a]}}",
            KubectlBuildkitBuild("t", "p", True, True, "f", ("a",)),
        ),
        (", ko: {build: {rawOptions: [a]}}", KoBuild(("a",))),
        (", ko: {}", KoBuild()),
        (", bazel: {run: {target: ':t', rawOptions: [a]}}", BazelBuild(":t", ("a",))),
    ],
)
def test_a_source_is_built_by_a_builder_with_its_options(text: str, builder: Builder) -> None:
    (source,) = read(f"sources:\n- {{image: a, path: src{text}}}\n").sources
    assert (source.builder, source.path, source.matcher) == (builder, "src", ImageMatcher("a"))
    assert source.where == "k.yml:4:3"


def test_a_destination_has_a_repository_and_tags() -> None:
    found = read("destinations:\n- {imageRepo: a, newImage: localhost:5000/b, tags: ['1.0', x]}\n").destinations
    matcher = ImageMatcher(image_repo="a")
    assert found == (ImageDestination(matcher, "localhost:5000/b", ("1.0", "x"), where="k.yml:4:3"),)


# Files


@pytest.mark.parametrize("kind", ["Config", "Sources", "ImageOverrides", "ImageDestinations", "ImageKeys"])
def test_the_older_kinds_are_read(kind: str) -> None:
    text = (
        "sources: [{image: a, path: .}]\noverrides: [{image: b, newImage: c}]\n"
        "destinations: [{image: d, newImage: e}]\nkeys: [f]\n"
    )
    found = read(text, HEAD.replace("Config", kind))
    assert [len(rules) for rules in asdict(found).values()] == [1, 1, 1, 1]


@pytest.mark.parametrize("key", ["searchrules", "searchRule", "Overrides", "source"])
def test_a_misspelt_key_is_a_problem_although_unknown_ones_are_not(key: str) -> None:
    (problem,) = problems(f"{key}: []\n")
    assert problem.startswith(f"k.yml:3:1: '{key}' is not a key here, did you mean '")


def test_unknown_keys_and_metadata_are_ignored() -> None:
    text = (
        "metadata: {annotations: {a: b}, name: 5}\nfuture: x\noverrides: [{image: a, newImage: b, new: 1}]\n"
        "searchRules: [{keyMatcher: {name: a, x: y}, other: {}}]\n"
    )
    assert (len(read(text).overrides), len(read(text).search_rules)) == (1, 1)


def test_null_is_as_good_as_absent() -> None:
    text = "searchRules: null\noverrides:\nkeys: ~\nsources: null\ndestinations: null\nminimumRequiredVersion: null\n"
    assert read(text) == KbldConfig()


@pytest.mark.parametrize("version", ["0.45.0", "0.31.0", "'0.31'", "'0'", "0.45.0-alpha.1", "''"])
def test_a_version_up_to_that_of_the_format_is_enough(version: str) -> None:
    assert read(f"minimumRequiredVersion: {version}\n") == KbldConfig()


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ("0.45.1", "'0.45.1', but what can be read here is the format of kbld 0.45.0"),
        ("1.0.0", "'1.0.0', but what can be read here is the format of kbld 0.45.0"),
        ("v0.31.0", "'v0.31.0', expected a version without 'v' before it"),
        ("new", "'new', expected a version such as '0.31.0'"),
    ],
)
def test_another_minimum_required_version_is_the_problem_whatever_else_there_is(version: str, problem: str) -> None:
    text = f"minimumRequiredVersion: {version}\noverrides: 5\n"
    assert problems(text) == [f"k.yml:3:25: 'minimumRequiredVersion' is {problem}"]


def test_the_documents_of_a_file_are_read_in_their_order() -> None:
    text = f"keys: [a]\n---\n# nothing\n---\n{HEAD}keys: [b]\n---\n{LOCK_HEAD}"
    assert [rule.key for rule in read(text).search_rules] == [KeyMatcher("a"), KeyMatcher("b")]
    both = read("overrides: [{image: a, newImage: b}]") + read("overrides: [{image: a, newImage: c}]")
    assert [each.new_image for each in both.overrides] == ["b", "c"]


def test_aliases_and_merge_keys_are_read() -> None:
    text = "overrides:\n- &first {image: a, newImage: b}\n- {<<: *first, image: c}\n- *first\n"
    assert [(each.matcher.image, each.new_image) for each in read(text).overrides] == [
        ("a", "b"),
        ("c", "b"),
        ("a", "b"),
    ]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("a: b\n", "k.yml:1:1: not a configuration of kbld: a mapping without apiVersion and kind, expected"),
        ("[a]\n", "k.yml:1:1: not a configuration of kbld: a list without apiVersion and kind, expected"),
        (
            HEAD.replace("Config", "Confg"),
            "k.yml:2:7: 'kind' is 'Confg', expected one of 'Config', 'Sources'",
        ),
        (
            HEAD + "---\nkind: Pod\n",
            "k.yml:4:1: not a configuration of kbld: kind 'Pod', expected apiVersion 'kbld.k14s",
        ),
    ],
)
def test_another_document_in_a_file_of_configuration_is_a_problem(head: str, found: str) -> None:
    (problem,) = problems("", head)
    assert problem.startswith(found)


def test_other_documents_in_a_file_of_resources_are_passed_over() -> None:
    others = "image: a\nimage: b\n? [x]\n: 1.0\n---\n'5': !!int x\n---\n"
    assert read("keys: [a]\n", others + HEAD, sole=False).search_rules == (SearchRule(key=KeyMatcher("a")),)
    assert read("", others, sole=False) == KbldConfig()
    assert problems("keys: [a]\nkeys: [b]\n", others + HEAD, sole=False) == [
        "k.yml:11:1: duplicate key 'keys', expected once: it is in line 10 already"
    ]


def test_a_file_that_is_no_yaml_is_a_problem_only_where_it_may_be_configuration() -> None:
    template = "a: b: c\n"
    assert read("", template, sole=False) == KbldConfig()
    assert problems("", template)[0].startswith("k.yml:1:5: a ': ' has no place")
    assert problems("", template + "---\n" + HEAD, sole=False)[0].startswith("k.yml:1:5: a ': ' has no place")


def test_json_may_be_indented_by_tabs_and_escape_slashes() -> None:
    text = '{\n\t"apiVersion": "kbld.k14s.io\\/v1alpha1",\n\t"kind": "Config",\n\t"keys": ["a"]\n}\n'
    for sole in (True, False):
        assert len(parse_config(text.encode(), "k.json", sole=sole).search_rules) == 1


# What is wrong


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("searchRules: [{}]", "15: 'searchRules[0]' has no keys, expected a search rule with 'keyMatcher', 'valueMatc"),
        ("searchRules: [{updateStrategy: {none: {}}}]", "15: 'searchRules[0]' has the key 'updateStrategy', expected "),
        ("searchRules: [x]", "15: 'searchRules[0]': expected a search rule with 'keyMatcher', 'valueMatcher' or both,"),
        ("searchRules: [null]", "15: 'searchRules[0]': expected a search rule with 'keyMatcher', 'valueMatcher' or bo"),
        ("searchRules: {}", "14: 'searchRules': expected a list of search rules, found a mapping"),
        ("keys: image", "7: 'keys': expected a list of keys, found 'image'"),
        ("keys: [1]", "8: 'keys[0]': expected a string, found 1 (quote it)"),
        ("overrides: [x]", "13: 'overrides[0]': expected a mapping, found 'x'"),
        ("overrides: [{image: x}]", "13: 'overrides[0]' has the key 'image', expected an override with 'newImage', 't"),
        ("overrides: [{newImage: x}]", "13: 'overrides[0]' has the key 'newImage', expected a mapping with either 'im"),
        ("overrides: [{image: a, imageRepo: b, newImage: x}]", "13: 'overrides[0]' has the keys 'image', 'imageRepo',"),
        ("overrides: [{image: '', newImage: x}]", "21: 'image' is '', expected a reference"),
        ("overrides: [{image: a, newImage: ''}]", "34: 'newImage' is '', expected a reference"),
        ("overrides: [{image: a, newImage: 5}]", "34: 'newImage': expected a string, found 5 (quote it)"),
        ("overrides: [{image: a, preresolved: true, platformSelection: {}}]", "13: missing key 'newImage' in 'overrid"),
        ("overrides: [{image: a, newImage: b, preresolved: yes}]", "50: 'preresolved': expected true or false, found "),
        ("overrides: [{image: a, tagSelection: {}}]", "38: missing key 'semver' in 'tagSelection', expected a mapping"),
        ("overrides: [{image: a, tagSelection: {semver: {constraints: ^1}}}]", "61: 'constraints': '^1' is not a rang"),
        ("overrides: [{image: a, newImage: 'b:1', tagSelection: {semver: {}}}]", "34: 'newImage': 'b:1': expected a r"),
        ("overrides: [{image: a, platformSelection: {os.features: x}}]", "57: 'os.features': expected a list of featu"),
        ("overrides: [{image: a, newImage: b, origins: [x]}]", "47: 'origins[0]': expected a mapping, found 'x'"),
        ("sources: [{image: a}]", "11: missing key 'path' in 'sources[0]', expected a directory"),
        ("sources: [{path: .}]", "11: 'sources[0]' has the key 'path', expected a mapping with either 'image' or 'ima"),
        ("sources: [{image: a, path: ., ko: {}, pack: {}}]", "39: the builder 'pack' stands beside 'ko', expected onl"),
        ("sources: [{image: a, path: ., docker: {build: {}, buildx: {}}}]", "39: 'docker' has the keys 'build', 'buil"),
        ("sources: [{image: a, path: ., ko: {build: {rawOptions: -x}}}]", "56: 'rawOptions': expected a list of optio"),
        ("destinations: [{image: a}]", "16: missing key 'newImage' in 'destinations[0]', expected a repository"),
        ("destinations: [{image: a, newImage: 'b:1'}]", "37: 'newImage': 'b:1': expected a repository without tag or "),
        ("destinations: [{image: a, newImage: b, tags: ['!']}]", "47: 'tags[0]' is '!', expected a tag, such as \"1.0"),
        ("keys: [a]\nkeys: [b]", "1: duplicate key 'keys', expected once: it is in line 3 already"),
    ],
)
def test_a_bad_rule_is_a_problem_at_its_place(text: str, problem: str) -> None:
    line = 3 + text.count("\n")
    (found,) = problems(text)
    assert found.startswith(f"k.yml:{line}:{problem}")


@pytest.mark.parametrize(
    ("matcher", "problem"),
    [
        ("keyMatcher: {}", "28: 'keyMatcher' has no keys, expected a mapping with either 'name' or 'path'"),
        ("keyMatcher: {name: a, path: [b]}", "28: 'keyMatcher' has the keys 'name', 'path', expected a mapping with e"),
        ("keyMatcher: name", "28: 'keyMatcher': expected a mapping with either 'name' or 'path', found 'name'"),
        ("keyMatcher: {path: a.b}", "35: 'path': expected a list of keys and indexes, found 'a.b'"),
        ("keyMatcher: {path: []}", "35: 'path' is empty, expected a list of keys and indexes"),
        ("keyMatcher: {path: [a, 0]}", "39: 'path[1]': expected a key, {index: 0} or {allIndexes: true}, found 0"),
        ("keyMatcher: {path: [a, {}]}", "39: 'path[1]' has no keys, expected a key, {index: 0} or {allIndexes: true}"),
        ("keyMatcher: {path: [a, {index: -1}]}", "47: 'index' is -1, expected 0 or more"),
        ("keyMatcher: {path: [a, {index: x}]}", "47: 'index': expected a whole number, found 'x'"),
        ("keyMatcher: {path: [a, {indx: 1}]}", "39: missing key 'index' in 'path[1]', expected a whole number"),
        ("keyMatcher: {path: [a, {allIndexes: false}]}", "52: 'allIndexes' is false, expected true"),
        ("valueMatcher: {image: a, imageRepo: b}", "30: 'valueMatcher' has the keys 'image', 'imageRepo', expected a "),
        ("valueMatcher: nginx", "30: 'valueMatcher': expected a mapping with either 'image' or 'imageRepo', found 'ng"),
    ],
)
def test_a_bad_matcher_is_a_problem_at_its_place(matcher: str, problem: str) -> None:
    found = problems(f"searchRules: [{{{matcher}}}]\n")
    assert found[0].startswith(f"k.yml:3:{problem}")


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        ("{}", "55: 'updateStrategy' has 0 keys, expected one of the strategies 'entireValue', 'none', 'yaml', 'json'"),
        ("{none: {}, yaml: {}}", "55: 'updateStrategy' has 2 keys, expected one of the strategies 'entireValue', 'non"),
        ("{entirevalue: {}}", "56: unknown key 'entirevalue', did you mean 'entireValue'?"),
        ("none", "55: 'updateStrategy': expected one of the strategies 'entireValue', 'none', 'yaml', 'json', found '"),
        ("{json: {searchRules: [{}]}}", "77: 'searchRules[0]' has no keys, expected a search rule with 'keyMatcher', "),
    ],
)
def test_an_unknown_update_strategy_is_a_problem_at_its_place(strategy: str, problem: str) -> None:
    (found,) = problems(f"searchRules: [{{keyMatcher: {{name: a}}, updateStrategy: {strategy}}}]\n")
    assert found.startswith(f"k.yml:3:{problem}")


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    text = f"keys: 1\noverrides: [{{image: a}}]\n---\na: b\n---\n{HEAD}destinations: [{{image: a, newImage: 'b:1'}}]\n"
    assert [problem.split(" ")[0] for problem in problems(text)] == [
        "k.yml:3:7:",
        "k.yml:4:13:",
        "k.yml:6:1:",
        "k.yml:10:37:",
    ]


# ImagesLock as configuration


FULL_NGINX = f"index.docker.io/library/nginx@{A}"


def test_an_images_lock_is_overrides_that_are_resolved() -> None:
    text = (
        f"images:\n- image: nginx@{A}\n  annotations:\n    kbld.carvel.dev/id: 1.0\n"
        '    kbld.carvel.dev/origins: |\n      - resolved:\n          tag: "1.0"\n          url: nginx:1.0\n'
    )
    origins = ({"resolved": {"tag": "1.0", "url": "nginx:1.0"}},)
    assert read(text, LOCK_HEAD).overrides == (
        Override(ImageMatcher("1"), FULL_NGINX, preresolved=True, origins=origins, where="k.yml:4:3"),
    )


@pytest.mark.parametrize("annotations", ["", ", annotations: {}", ", annotations: {kbld.carvel.dev/id: ''}"])
def test_an_entry_of_an_images_lock_without_id_stands_for_itself(annotations: str) -> None:
    (override,) = read(f"images: [{{image: 'nginx@{A}'{annotations}}}]\n", LOCK_HEAD).overrides
    assert override == Override(ImageMatcher(f"nginx@{A}"), FULL_NGINX, preresolved=True, where="k.yml:3:10")


@pytest.mark.parametrize(
    ("origins", "problem"),
    [
        ("'[a'", "kbld.carvel.dev/origins:1:3: not YAML: did not find expected ',' or ']'"),
        ("'a: b'", "expected a list of mappings, as YAML in a string"),
        ("'[a]'", "expected a list of mappings, as YAML in a string"),
    ],
)
def test_origins_of_an_images_lock_that_are_none_are_a_problem(origins: str, problem: str) -> None:
    text = (
        f"images:\n- image: nginx@{A}\n  annotations: {{kbld.carvel.dev/id: a, kbld.carvel.dev/origins: {origins}}}\n"
    )
    (found,) = problems(text, LOCK_HEAD)
    assert found.startswith(f"k.yml:5:65: 'kbld.carvel.dev/origins': {problem}")


def test_an_images_lock_is_checked_as_strictly_as_elsewhere() -> None:
    assert problems("images: [{image: nginx}]\nmore: 1\n", LOCK_HEAD) == [
        "k.yml:3:18: 'nginx' is not a digest reference, expected one such as nginx@sha256:<64 digits>",
        "k.yml:4:1: unknown key 'more', expected one of 'apiVersion', 'kind', 'images'",
    ]


# --image-map-file


def test_an_image_map_is_overrides_that_are_resolved() -> None:
    text = '{\n\t"nginx:1": "a@b",\n\t"x": "y"\n}\n'
    assert parse_image_map(text.encode(), "m.json") == (
        Override(ImageMatcher("nginx:1"), "a@b", preresolved=True, where="m.json:2:2"),
        Override(ImageMatcher("x"), "y", preresolved=True, where="m.json:3:2"),
    )
    assert parse_image_map(b"{}", "m.json") == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '["a"]',
            ["m.json:1:1: the document is a list, expected a JSON object of references to preresolved references"],
        ),
        (
            '{"a": 5, "b": ""}',
            [
                "m.json:1:7: expected a reference and what it resolves to, found 'a': 5",
                "m.json:1:15: expected a reference",
            ],
        ),
        ('{"": "a"}', ["m.json:1:6: expected a reference and what it resolves to, found '': 'a'"]),
        ('{"a": "b", "a": "c"}', ["m.json:1:12: duplicate key 'a', expected once"]),
        ('{"a": "b"', ["m.json:1:10: not YAML: did not find expected ',' or '}'"]),
        ("", ["m.json:1:1: the file is empty"]),
    ],
)
def test_what_is_no_image_map_is_a_problem(text: str, expected: list[str]) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_image_map(text.encode(), "m.json")
    for problem, start in zip(caught.value.problems, expected, strict=True):
        assert problem.startswith(start)


def test_an_image_map_as_kbld_reads_it() -> None:
    text = '{"a": "x", "a": "b@c", "d": "", "e": null}'
    assert [
        (each.matcher.image, each.new_image) for each in parse_image_map(text.encode(), "m.json", as_kbld=True)
    ] == [
        ("a", "b@c"),
        ("d", None),
        ("e", None),
    ]
    assert parse_image_map(b"null", "m.json", as_kbld=True) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "json: cannot unmarshal array into Go value of type map[string]string"),
        ("true", "json: cannot unmarshal bool into Go value of type map[string]string"),
        ('{"a": {}}', "json: cannot unmarshal object into Go struct field .a of type string"),
        ('{"a": 1.5}', "json: cannot unmarshal number into Go struct field .a of type string"),
        ("", "unexpected end of JSON input"),
        ('{"a": "b"', "unexpected end of JSON input"),
        ("a: b\n", "invalid character 'a' looking for beginning of value"),
        ('{"a": "b",}', None),
        ('{"": "a"}', None),
    ],
)
def test_what_is_no_image_map_to_kbld_is_told_in_its_words(text: str, words: str | None) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_image_map(text.encode(), "m.json", as_kbld=True)
    assert caught.value.drop_in == words
    assert str(caught.value).startswith("m.json:")


# --lock-output


def test_a_lock_output_is_written_as_kbld_writes_it() -> None:
    rules = [SearchRule(key=KeyMatcher("sidecar")), SearchRule(key=KeyMatcher("b"), strategy="none")]
    locked = [("nginx:1.0", f"docker.io/nginx@{A}"), ("app", "b@c")]
    said = b"- keyMatcher:\n    name: a\n  updateStrategy:\n    entireValue: {}\n"
    read_rules = read("searchRules: [{keyMatcher: {name: a}, updateStrategy: {entireValue: {}}}]\n").search_rules
    assert said in config_to_bytes([], read_rules)
    assert config_to_bytes(locked, [*rules, rules[0]]).decode() == (
        "apiVersion: kbld.k14s.io/v1alpha1\n"
        "kind: Config\n"
        "minimumRequiredVersion: 0.45.0\n"
        "overrides:\n"
        "- image: app\n"
        "  newImage: b@c\n"
        "  preresolved: true\n"
        "- image: nginx:1.0\n"
        f"  newImage: docker.io/nginx@{A}\n"
        "  preresolved: true\n"
        "searchRules:\n"
        "- keyMatcher:\n"
        "    name: sidecar\n"
        "- keyMatcher:\n"
        "    name: b\n"
        "  updateStrategy:\n"
        "    none: {}\n"
    )
    assert read(config_to_bytes([]).decode(), "") == KbldConfig()


TEXTS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=8)
PATHS = st.lists(TEXTS | st.integers(0, 99) | st.just(AnyIndex()), min_size=1, max_size=4).map(tuple)
KEYS = st.builds(KeyMatcher, TEXTS) | st.builds(KeyMatcher, st.none(), PATHS)
VALUES = st.builds(ImageMatcher, TEXTS) | st.builds(ImageMatcher, st.none(), TEXTS)


def rules_with(strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[SearchRule]:
    return st.one_of(
        st.builds(SearchRule, KEYS, st.none() | VALUES, strategies),
        st.builds(SearchRule, st.none(), VALUES, strategies),
    )


STRATEGIES = st.recursive(
    st.sampled_from(["entireValue", "none"]),
    lambda inner: st.builds(
        Within, st.sampled_from(["yaml", "json"]), st.lists(rules_with(inner), max_size=2).map(tuple)
    ),
    max_leaves=4,
)


@given(st.dictionaries(TEXTS, TEXTS, max_size=3), st.lists(rules_with(STRATEGIES), max_size=3))
def test_a_lock_output_is_read_again(locked: dict[str, str], rules: list[SearchRule]) -> None:
    written = config_to_bytes(locked.items(), rules)
    found = parse_config(written, "lock.yml")
    assert list(found.search_rules) == [rule for index, rule in enumerate(rules) if rule not in rules[:index]]
    assert [(each.matcher, each.new_image, each.preresolved) for each in found.overrides] == [
        (ImageMatcher(name), new_image, True) for name, new_image in sorted(locked.items())
    ]
    assert yaml.safe_load(written)["kind"] == "Config"


EVERYTHING = """
keys: [a]
minimumRequiredVersion: 0.31.0
searchRules:
- {keyMatcher: {path: [a, {index: 0}, {allIndexes: true}]}, updateStrategy: {none: {}}}
- {keyMatcher: {name: a}, valueMatcher: {image: b}, updateStrategy: {yaml: {searchRules: [{keyMatcher: {name: c}}]}}}
overrides:
- {image: a, newImage: b, preresolved: true, origins: [{local: {path: /x}}]}
- imageRepo: a
  tagSelection: {semver: {constraints: 1.x, prereleases: {identifiers: [rc]}}}
  platformSelection: {architecture: a, os: b, os.version: c, os.features: [d], variant: e, features: [f]}
sources:
- {image: a, path: ., docker: {build: {target: a, pull: true, file: b, rawOptions: [c]}}}
- {image: a, path: ., pack: {build: {builder: a, buildpacks: [b], clearCache: true}}}
destinations: [{image: a, newImage: b, tags: [c]}]
"""


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths that lead to all values within a value."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def replaced(value: Any, path: tuple[str | int, ...], by: Any) -> Any:
    if not path:
        return by
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@given(
    st.sampled_from(places(yaml.safe_load(EVERYTHING))[1:]),
    st.sampled_from([None, True, 0, -1, 1.0, "", "a", "v1", [], {}, [{}], [None], ["a"], {"a": 1}, {"image": 1}]),
)
def test_a_value_of_any_kind_anywhere_is_read_or_a_problem(path: tuple[str | int, ...], value: Any) -> None:
    document = replaced(yaml.safe_load(HEAD + EVERYTHING), path, value)
    reported: tuple[str, ...] = ()
    try:
        parse_config(json.dumps(document).encode(), "k.yml")
    except DocumentError as error:
        reported = error.problems
    assert [problem for problem in reported if not problem.startswith("k.yml:1:") or "\n" in problem] == []


def test_the_module_alone_loads_neither_yaml_nor_jsonschema() -> None:
    code = f"import sys, {kbld_config.__name__}; print(sorted({{'yaml', 'jsonschema', 'semver'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
