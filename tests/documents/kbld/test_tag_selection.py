from __future__ import annotations

import pickle
import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundlepipe.documents.kbld.tag_selection import TagSelection
from bundlepipe.errors import InvalidContent

TAGS = ["0.9.0", "1.0.0", "1.2.3", "v1.2.4", "1.3.0-rc.1", "1.3.0", "1.10.0", "2.0.0-alpha.1", "2.0.0", "latest"]
NUMBERS = st.integers(0, 3)
TRIPLES = st.tuples(NUMBERS, NUMBERS, NUMBERS)


def allowed(constraints: str, tags: list[str] = TAGS) -> list[str]:
    """Return the tags that are within constraints, found by offering each alone."""
    selection = TagSelection(constraints)
    return [tag for tag in tags if selection.choose([tag])]


def text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@pytest.mark.parametrize(
    ("constraints", "tags"),
    [
        ("1.2.3", ["1.2.3"]),
        ("=1.2.3", ["1.2.3"]),
        ("==1.2.3", ["1.2.3"]),
        ("<1.2.3", ["0.9.0", "1.0.0"]),
        ("<=1.2.3", ["0.9.0", "1.0.0", "1.2.3"]),
        (">1.3.0", ["1.10.0", "2.0.0"]),
        (">=1.3.0", ["1.3.0", "1.10.0", "2.0.0"]),
        ("!=1.2.3", ["0.9.0", "1.0.0", "v1.2.4", "1.3.0", "1.10.0", "2.0.0"]),
        ("!1.2.3", ["0.9.0", "1.0.0", "v1.2.4", "1.3.0", "1.10.0", "2.0.0"]),
        ("1.2.x", ["1.2.3", "v1.2.4"]),
        ("1.x", ["1.0.0", "1.2.3", "v1.2.4", "1.3.0", "1.10.0"]),
        ("1.x.x", ["1.0.0", "1.2.3", "v1.2.4", "1.3.0", "1.10.0"]),
        ("<1.2.x", ["0.9.0", "1.0.0"]),
        ("<=1.2.x", ["0.9.0", "1.0.0", "1.2.3", "v1.2.4"]),
        (">1.2.x", ["1.3.0", "1.10.0", "2.0.0"]),
        (">=1.2.x", ["1.2.3", "v1.2.4", "1.3.0", "1.10.0", "2.0.0"]),
        ("!=1.x", ["0.9.0", "2.0.0"]),
        (">1.0.0 <1.3.0", ["1.2.3", "v1.2.4"]),
        (">  1.0.0   <\t1.3.0", ["1.2.3", "v1.2.4"]),
        (">1.0.0<1.3.0", ["1.2.3", "v1.2.4"]),
        (">=1.0.0 <2.0.0 !=1.2.3 !=1.2.4", ["1.0.0", "1.3.0", "1.10.0"]),
        ("<1.0.0 || >=2.0.0", ["0.9.0", "2.0.0"]),
        ("<1.0.0||2.x||1.2.3", ["0.9.0", "1.2.3", "2.0.0"]),
        (" 1.x ", ["1.0.0", "1.2.3", "v1.2.4", "1.3.0", "1.10.0"]),
        (">9.0.0", []),
        ("1.2.3+build", ["1.2.3"]),
        ("", [tag for tag in TAGS if "-" not in tag and tag != "latest"]),
    ],
)
def test_a_range_allows(constraints: str, tags: list[str]) -> None:
    assert allowed(constraints) == tags


@pytest.mark.parametrize(
    ("constraints", "found"),
    [
        ("^1.0.0", "'^1.0.0'"),
        ("~1.0.0", "'~1.0.0'"),
        ("1.0.0 - 2.0.0", "'- 2.0.0'"),
        (">=1.0.0, <2.0.0", "'>=1.0.0, <2.0.0'"),
        (">=1.0.0,<2.0.0", "'>=1.0.0,<2.0.0'"),
        (">=1.0", "'>=1.0'"),
        ("1", "'1'"),
        ("v1.0.0", "'v1.0.0'"),
        ("x", "'x'"),
        ("*", "'*'"),
        ("1.*", "'1.*'"),
        ("1.x.3", "'1.x.3'"),
        ("01.x", "'01.x'"),
        ("1.02.3", "'1.02.3'"),
        (">", "'>'"),
        ("<>1.0.0", "'<>1.0.0'"),
        ("===1.0.0", "'===1.0.0'"),
        ("1.0.0 || ", "nothing"),
        (" ", "nothing"),
        ("1.0.0 and 2.0.0", "'and 2.0.0'"),
        ("1.0.0\n^2", "'^2'"),
        ("\u0661.0.0", "'\u0661.0.0'"),
        ("9" * 5000 + ".x", "'9999"),
    ],
)
def test_what_is_no_range_is_refused_with_what_could_stand_there(constraints: str, found: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        TagSelection(constraints)
    message = str(caught.value)
    assert f" is not a range of versions: found {found}" in message
    assert "expected versions such as 1.2.3, 1.2.x or 1.x, each alone or after one of <, <=, >, >=, =, !=" in message
    assert "\n" not in message


def test_the_highest_version_is_chosen_by_its_numbers() -> None:
    assert TagSelection("1.x").choose(["1.9.0", "1.10.0", "1.2.0"]) == "1.10.0"


def test_without_constraints_the_highest_of_all_is_chosen() -> None:
    assert TagSelection().choose(TAGS) == "2.0.0"
    assert TagSelection(prereleases=frozenset()).choose([*TAGS, "2.0.1-a"]) == "2.0.1-a"


@pytest.mark.parametrize(
    "tag", ["latest", "1.2", "1", "01.2.3", "1.2.3.4", "V1.2.3", "vv1.2.3", "1.2.3-01", "1.2.x", ""]
)
def test_tags_that_are_no_versions_are_passed_over(tag: str) -> None:
    assert TagSelection().choose([tag]) is None
    assert TagSelection(">=0.0.0", frozenset()).choose([tag, "0.0.1"]) == "0.0.1"


def test_a_tag_keeps_the_v_before_its_version() -> None:
    assert TagSelection("1.2.4").choose(["v1.2.4"]) == "v1.2.4"


def test_of_tags_of_one_version_always_the_same_is_chosen() -> None:
    tags = ["1.0.0", "v1.0.0", "1.0.0+b", "1.0.0+a"]
    assert TagSelection().choose(tags) == TagSelection().choose(reversed(tags)) == "v1.0.0"


@pytest.mark.parametrize(
    ("prereleases", "chosen"),
    [
        (None, "1.0.0"),
        (frozenset[str](), "1.2.0-rc.1"),
        (frozenset({"rc"}), "1.2.0-rc.1"),
        (frozenset({"beta"}), "1.1.0-beta.2"),
        (frozenset({"beta", "alpha"}), "1.1.0-beta.2"),
        (frozenset({"dev"}), "1.0.0"),
        (frozenset({"beta.2"}), "1.0.0"),
        (frozenset({"bet"}), "1.0.0"),
    ],
)
def test_prereleases_take_part_by_their_identifiers(prereleases: frozenset[str] | None, chosen: str) -> None:
    tags = ["0.9.0", "1.0.0", "1.0.1-alpha.1", "1.1.0-beta.2", "1.1.0-beta.1", "1.2.0-rc.1"]
    assert TagSelection(None, prereleases).choose(tags) == chosen


def test_a_prerelease_is_before_its_release_also_in_ranges() -> None:
    selection = TagSelection(">=1.0.0 <2.0.0", frozenset())
    assert selection.choose(["1.0.0-rc.1"]) is None
    assert selection.choose(["1.5.0", "2.0.0-rc.1"]) == "2.0.0-rc.1"


def test_prereleases_are_ordered_by_precedence() -> None:
    """The example of Semantic Versioning 2.0.0, section 11."""
    identifiers = ["alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1"]
    ascending = [f"1.0.0-{identifier}" for identifier in identifiers] + ["1.0.0"]
    for count in range(1, len(ascending) + 1):
        assert TagSelection(None, frozenset()).choose(sorted(ascending[:count])) == ascending[count - 1]


def test_a_selection_can_be_sent_to_another_process() -> None:
    selection = TagSelection(">1.x", frozenset({"rc"}))
    assert pickle.loads(pickle.dumps(selection)) == selection


MODEL = {
    "<": lambda version, bound: version < bound,
    "<=": lambda version, bound: version <= bound,
    ">": lambda version, bound: version > bound,
    ">=": lambda version, bound: version >= bound,
    "=": lambda version, bound: version == bound,
    "==": lambda version, bound: version == bound,
    "": lambda version, bound: version == bound,
    "!=": lambda version, bound: version != bound,
    "!": lambda version, bound: version != bound,
}
# A comparison as its operator and a version of one to three numbers, the others wildcards.
COMPARISONS = st.tuples(st.sampled_from(sorted(MODEL)), st.integers(1, 3), TRIPLES).map(
    lambda drawn: (drawn[0], drawn[2][: drawn[1]])
)


@given(st.lists(st.lists(COMPARISONS, min_size=1, max_size=3), min_size=1, max_size=3), st.lists(TRIPLES, max_size=8))
def test_ranges_agree_with_comparisons_of_the_numbers_that_are_given(
    alternatives: list[list[tuple[str, tuple[int, ...]]]], versions: list[tuple[int, int, int]]
) -> None:
    constraints = " || ".join(
        " ".join(name + text(bound) + ".x" * (len(bound) < 3) for name, bound in comparisons)
        for comparisons in alternatives
    )
    expected = [
        version
        for version in versions
        if any(all(MODEL[name](version[: len(bound)], bound) for name, bound in each) for each in alternatives)
    ]
    chosen = TagSelection(constraints).choose(map(text, versions))
    assert chosen == (text(max(expected)) if expected else None)


@given(st.text("0123456789.x<>=!|-+ av", max_size=12))
def test_any_text_is_a_range_or_refused(constraints: str) -> None:
    try:
        selection = TagSelection(constraints)
    except InvalidContent:
        return
    assert not constraints or re.search(r"[0-9]", constraints)
    every = [text(version) for version in product(range(3), repeat=3)]
    assert selection.choose(every) in [None, *every]
