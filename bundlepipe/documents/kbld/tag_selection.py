"""Select a tag by its version, as vendir and kbld do (`tagSelection: {semver: …}`).

Versions and their order are those of Semantic Versioning 2.0.0. The grammar of ranges is that of
github.com/blang/semver, which vendir uses: comparators separated by white space must all match,
alternatives are separated by `||`, `x` as a wildcard for the last numbers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from bundlepipe.errors import InvalidContent, quoted

if TYPE_CHECKING:
    from semver import Version

_Test = Callable[["Version"], bool]

_COMPARATOR = re.compile(r"(?P<operator>[<>]=?|={1,2}|!=?|)\s*(?P<version>[0-9][^\s<>=!|]*)\s*")
_WILDCARD = re.compile(r"(?P<major>[0-9]+)\.(?:(?P<minor>[0-9]+)\.x|x(?:\.x)?)")
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
_SPELLINGS = {"": "=", "==": "=", "!": "!="}
_GRAMMAR = (
    "expected versions such as 1.2.3, 1.2.x or 1.x, each alone or after one of <, <=, >, >=, =, !=; "
    "a blank means 'and', '||' means 'or'"
)


class TagSelection(Struct, frozen=True):
    """Selects tags that are versions within `constraints` (None or empty: any).

    `prereleases` are identifiers one of which a prerelease must have; the empty set allows any, None
    excludes prereleases. Raises InvalidContent for constraints that are not a range.
    """

    constraints: str | None = None
    prereleases: frozenset[str] | None = None

    def __post_init__(self) -> None:
        _alternatives(self.constraints)

    def __str__(self) -> str:
        """Return the selection on one line, the same for equal ones: `>=1.0.0 with prereleases rc`."""
        versions = " ".join((self.constraints or "any version").split())
        if self.prereleases is None:
            return versions
        return f"{versions} with prereleases {' '.join(sorted(self.prereleases)) or 'of any kind'}"

    def choose(self, tags: Iterable[str]) -> str | None:
        """Return the tag of the highest allowed version, unchanged; None if there is none.

        Tags that are not versions, apart from a leading `v`, are skipped.
        """
        versions = ((_version(tag), tag) for tag in tags)
        allowed = [(version, tag) for version, tag in versions if version and self._allows(version)]
        return max(allowed)[1] if allowed else None

    def _allows(self, version: Version) -> bool:
        if version.prerelease:
            if self.prereleases is None:
                return False
            if self.prereleases and self.prereleases.isdisjoint(version.prerelease.split(".")):
                return False
        return any(all(test(version) for test in tests) for tests in _alternatives(self.constraints))


@cache
def _alternatives(constraints: str | None) -> tuple[tuple[_Test, ...], ...]:
    """Return lists of tests; a version must pass all tests of one of them."""
    if not constraints:
        return ((),)
    return tuple(tuple(_tests(part, constraints)) for part in constraints.split("||"))


def _version(text: str) -> Version | None:
    from semver import Version

    try:
        return Version.parse(text.removeprefix("v"))
    except ValueError:
        return None


def _tests(text: str, constraints: str) -> Iterator[_Test]:
    """Yield the tests that a version must pass for one alternative of the constraints."""
    rest = text.strip()
    while True:
        match = _COMPARATOR.match(rest)
        bounds = _bounds(match["version"]) if match else None
        if not match or not bounds:
            found = quoted(rest) if rest else "nothing"
            raise InvalidContent(
                f"{quoted(constraints)} is not a range of versions: found {found}, {_GRAMMAR}",
                drop_in=f"Selecting versions: Parsing version constraint '{constraints}': {_go_words(rest)}",
            )
        yield _test(_SPELLINGS.get(match["operator"], match["operator"]), *bounds)
        rest = rest[match.end() :]
        if not rest:
            return


def _go_words(rest: str) -> str:
    """Return the error of github.com/blang/semver for invalid text, if it is more than an invalid version."""
    part = next(iter(rest.split()), "")
    digit = re.search(r"\d", part)
    if not digit:
        return f'Could not get version from string: "{part}"'
    comparator = part[: digit.start()]
    if comparator not in {*_COMPARISONS, *_SPELLINGS}:
        reason = f'Could not parse comparator "{comparator}" in "{part}"'
    else:
        reason = f'Could not parse version "{part[digit.start() :]}" in "{part}": No Major.Minor.Patch elements found'
    return f'Could not parse Range "{part}": {reason}'


def _test(comparison: str, first: Version, after: Version | None) -> _Test:
    def side(version: Version) -> int:
        """Return -1 for a version below the named ones, 0 for one of them, 1 for one above them."""
        if version < first:
            return -1
        return 0 if version == first or (after and version < after) else 1

    compare = _COMPARISONS[comparison]
    return lambda version: compare(side(version), 0)


def _bounds(text: str) -> tuple[Version, Version | None] | None:
    """Return the named version and None; for a wildcard its first version and the one after; None for neither."""
    wildcard = _WILDCARD.fullmatch(text)
    version = _version(f"{wildcard['major']}.{wildcard['minor'] or 0}.0" if wildcard else text)
    if not version:
        return None
    if not wildcard:
        return version, None
    return version, version.bump_minor() if wildcard["minor"] else version.bump_major()
