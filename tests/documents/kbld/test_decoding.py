"""Configuration as kbld reads it: what is a fault to it and in which words, and what is none."""

from __future__ import annotations

import pytest

from bundlepipe.documents.kbld.builders import BuildxBuild, PackBuild
from bundlepipe.documents.kbld.config import KbldConfig, Override
from bundlepipe.documents.kbld.reading import parse_config, parse_image_map
from bundlepipe.documents.search.rules import AnyIndex, ImageMatcher, KeyMatcher, SearchRule
from bundlepipe.errors import DocumentError
from bundlepipe.oci.manifest import PlatformSelection

CONFIG = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
NAME = "config/ (kbld.k14s.io/v1alpha1) cluster"
LOCK = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n"
LOCK_NAME = "imageslock/ (imgpkg.carvel.dev/v1alpha1) cluster"
IMAGE = "nginx@sha256:" + "a" * 64
NO_IMAGE = "Expected Image or ImageRepo to be non-empty"


def read(text: str) -> KbldConfig:
    """Return what a document says, after the lines that every one begins with."""
    return parse_config(f"{CONFIG}{text}\n".encode(), "kbld.yml", as_kbld=True)


def refused(text: str) -> str:
    """Return what kbld says of a file."""
    with pytest.raises(DocumentError) as caught:
        parse_config(text.encode(), "kbld.yml", as_kbld=True)
    assert caught.value.drop_in
    return caught.value.drop_in


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("minimumRequiredVersion: 9.0.0", "kbld version '0.45.0' does not meet the minimum required version '9.0.0'"),
        ("minimumRequiredVersion: v0.1.0", "Validating minimum version: Must not have prefix 'v' (e.g. '0.8.0')"),
        ("minimumRequiredVersion: x", "Parsing minimum version constraint: Malformed constraint: >=x"),
        ("sources: [{}]", f"Validating Sources[0]: {NO_IMAGE}"),
        ("sources: [{image: a, path: ''}]", "Validating Sources[0]: Expected Path to be non-empty"),
        ("overrides: [{newImage: a}]", f"Validating Overrides[0]: {NO_IMAGE}"),
        ("overrides: [null]", f"Validating Overrides[0]: {NO_IMAGE}"),
        (
            "overrides: [{image: a, newImage: b}, {image: a}]",
            "Validating Overrides[1]: Expected NewImage to be non-empty",
        ),
        ("destinations: [{image: ''}]", f"Validating Destinations[0]: {NO_IMAGE}"),
        ("keys: [a, null]", "Validating Destinations[1]: Expected to be non-empty"),
        ("searchRules: [{}]", "Validating SearchRules[0]: Expected KeyMatcher or ValueMatcher to be non-empty"),
        (
            "searchRules: [{keyMatcher: {path: []}}]",
            "Validating SearchRules[0]: Expected KeyMatcher.Name or KeyMatcher.Path to be non-empty",
        ),
        (
            "searchRules: [{valueMatcher: {image: ''}}]",
            "Validating SearchRules[0]: Expected ValueMatcher.Image or ValueMatcher.ImageRepo to be non-empty",
        ),
    ],
)
def test_what_is_not_valid(text: str, problem: str) -> None:
    assert refused(CONFIG + text) == f"Validating {NAME}: {problem}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("overrides: 1", "'overrides': expected a list, found 1"),
        ("overrides: [1]", "'overrides[0]': expected a mapping, found 1"),
        ("overrides: [{image: [a]}]", "'overrides[0].image': expected a string, found a list"),
        ("overrides: [{image: 1}]", "'overrides[0].image': expected a string, found 1"),
        ("overrides: [{newImage: [a]}]", "'overrides[0].newImage': expected a string, found a list"),
        ("overrides: [{preresolved: 'true'}]", "'overrides[0].preresolved': expected true or false, found 'true'"),
        ("searchRules: [{keyMatcher: {path: [1]}}]", "Unknown path part"),
        (
            "searchRules: [{keyMatcher: {path: [{index: true}]}}]",
            "'searchRules[0].keyMatcher.path[0].index': expected a whole number, found true",
        ),
    ],
)
def test_what_is_of_another_type(text: str, problem: str) -> None:
    assert refused(CONFIG + text) == f"Unmarshaling {NAME}: {problem}"


def test_the_first_fault_alone_is_told_with_its_place() -> None:
    with pytest.raises(DocumentError) as caught:
        read("overrides: [{}]\nsearchRules: [{}]")
    assert caught.value.problems == (f"kbld.yml:3:13: Validating {NAME}: Validating Overrides[0]: {NO_IMAGE}",)


def test_keys_count_in_any_letters_and_numbers_are_texts() -> None:
    found = read("Overrides: [{IMAGE: a, newimage: true, nonsense: 1}]\nminimumRequiredVersion: 0.1")
    assert [(each.matcher, each.new_image) for each in found.overrides] == [(ImageMatcher("a"), "true")]


def test_of_alternatives_the_first_counts() -> None:
    found = read(
        "overrides: [{image: a, imageRepo: b, newImage: c}]\n"
        "sources:\n- {image: a, path: ., docker: {}, pack: {build: {builder: x}}}\n"
        "- {image: b, path: ., docker: {build: {}, buildx: {target: y}}}\n"
        "searchRules:\n- {keyMatcher: {name: a, path: [b]}, updateStrategy: {json: {}, none: {}}}\n"
        "- {valueMatcher: {imageRepo: d, image: c}, updateStrategy: {}}"
    )
    assert found.overrides[0].matcher == ImageMatcher("a")
    assert [source.builder for source in found.sources] == [PackBuild(builder="x"), BuildxBuild(target="y")]
    assert found.search_rules == (
        SearchRule(key=KeyMatcher("a"), strategy="none"),
        SearchRule(value=ImageMatcher("c")),
    )


def test_paths_that_match_nothing_or_everything() -> None:
    found = read("searchRules: [{keyMatcher: {path: [a, {index: -1}, {}, {allIndexes: false}]}}]")
    assert found.search_rules[0].key == KeyMatcher(path=("a", -1, -1, AnyIndex()))


def test_what_is_wrong_with_an_override_is_kept_until_it_is_used() -> None:
    first, second, third = read(
        "overrides:\n- {image: a, newImage: b, tagSelection: {}}\n"
        "- {image: b, newImage: c, tagSelection: {semver: {constraints: x}}}\n- {image: c, newImage: A}"
    ).overrides
    assert first.fault and first.fault.drop_in == "Unknown tag selection strategy"
    assert second.fault and second.fault.drop_in == (
        "Selecting versions: Parsing version constraint 'x': Could not get version from string: \"x\""
    )
    assert third.fault is None and third.new_image == "A"


def test_what_a_platform_does_not_name_it_does_not_have() -> None:
    found = read("overrides: [{image: a, newImage: b, platformSelection: {architecture: arm64}}]")
    assert found.overrides[0].platform_selection == PlatformSelection(os="", architecture="arm64")


def test_a_destination_is_the_image_itself_without_another() -> None:
    assert read("destinations: [{image: a}]").destinations[0].new_image == "a"


def test_other_kinds_are_no_configuration() -> None:
    text = CONFIG.replace("Config", "Nonsense") + "overrides: 1\n"
    assert parse_config(text.encode(), "kbld.yml", sole=False, as_kbld=True) == KbldConfig()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "- image: nginx:1",
            (
                f"Unmarshaling {LOCK_NAME} as ImagesLock: Validating images lock: "
                "Expected ref to be in digest form, got 'nginx:1'"
            ),
        ),
        (
            "- annotations: {}",
            (
                f"Unmarshaling {LOCK_NAME} as ImagesLock: Validating images lock: "
                "Expected ref to be in digest form, got ''"
            ),
        ),
        (
            f"- image: {IMAGE}\n  more: x",
            (
                f"Unmarshaling {LOCK_NAME} as ImagesLock: Unmarshaling images lock: error unmarshaling JSON: while "
                'decoding JSON: json: unknown field "more"'
            ),
        ),
        (f"- image: {IMAGE}", f"Validating {LOCK_NAME}: Validating Overrides[0]: {NO_IMAGE}"),
        (
            f"- image: {IMAGE}\n  annotations: {{kbld.carvel.dev/origins: '['}}",
            (
                f"Unmarshaling {LOCK_NAME} as kbld.carvel.dev/origins annotation:  error converting YAML to JSON: "
                "yaml: line 1: did not find expected node content"
            ),
        ),
        (
            f"- image: {IMAGE}\n  annotations: {{kbld.carvel.dev/origins: a}}",
            (
                f"Unmarshaling {LOCK_NAME} as kbld.carvel.dev/origins annotation:  error unmarshaling JSON: while "
                "decoding JSON: json: cannot unmarshal string into Go value of type []config.Origin"
            ),
        ),
    ],
)
def test_an_images_lock(entry: str, problem: str) -> None:
    assert refused(f"{LOCK}{entry}\n") == problem


def test_a_map_of_images() -> None:
    assert parse_image_map(b'{"a": ""}', "map.json", as_kbld=True) == (
        Override(ImageMatcher("a"), None, preresolved=True, where="map.json"),
    )
    for content, problem in (
        (b" ", "unexpected end of JSON input"),
        (b"[]", "json: cannot unmarshal array into Go value of type map[string]string"),
    ):
        with pytest.raises(DocumentError) as caught:
            parse_image_map(content, "map.json", as_kbld=True)
        assert caught.value.drop_in == problem
