"""The types of single values in the fields of declarations: texts, choices, flags and numbers."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bundlepipe.pipeline.declared.fields.kinds import Limits, TextKind
from bundlepipe.pipeline.declared.interpolation import Keys
from bundlepipe.pipeline.declared.paths import normal_exclusion, normal_location, normalise
from bundlepipe.pipeline.declared.position import Position

# Adds a fault, which begins with its place.
Tell = Callable[[str], None]
# Adds a fault of a pipeline file: the position of the value, and the text.
TellAt = Callable[[Position, str], None]
Decode = Callable[[Any, Position, Keys, TellAt], Any]

_SPELLED: Mapping[TextKind, Callable[[str, str], str]] = {
    TextKind.PATH: normalise,
    TextKind.LOCATION: normal_location,
    TextKind.EXCLUSION: normal_exclusion,
}
_PATHS = (TextKind.PATH, TextKind.PATH_IN_CONTEXT, TextKind.EXCLUSION)
_MAY_BE_EMPTY = (TextKind.PLAIN, TextKind.ARGUMENT)


class Type(ABC):
    """The type of a field: `expected` is its name in messages, `several` the plural.

    If it `is_verbatim`, values need no decoding.
    """

    expected: str = ""
    several: str = ""
    is_secret = False
    is_verbatim = True

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether a value is of this type, without checking its content."""

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Check the content of an accepted value, and return the value as code expects it."""
        return value

    def checked(self, value: Any, where: str, tell: Tell) -> Any:
        """Check a value; report one that is not accepted, and return it unchanged."""
        if self.accepts(value):
            return self.inside(value, where, tell)
        tell(f"{where}: {self._refusal(value)}")
        return value

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Return the value of data of a pipeline file, which is under `keys` of a position.

        The data is as the schema wants it, but for what a schema cannot say, and for values of variables:
        what is not accepted then is reported, and returned unchanged.
        """
        return data

    def _refusal(self, value: Any) -> str:
        # Only errors need this import.
        from bundlepipe.pipeline.declared.wording import advice, found

        return f"expected {self.expected}, found {found(value, self.is_secret)}{advice(value, self.expected)}"

    def _refuse(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        tell(at.inside(*keys), self._refusal(data))
        return data


class TextType(Type):
    """A text, or a path that is converted to one."""

    def __init__(self, kind: TextKind) -> None:
        self._may_be_empty = kind in _MAY_BE_EMPTY
        self._is_path = kind in _PATHS
        self._spell = _SPELLED.get(kind)
        self.is_verbatim = False
        self.is_secret = kind is TextKind.ARGUMENT
        self.expected, self.several = ("a path", "paths") if self._is_path else ("a string", "strings")

    def accepts(self, value: Any) -> bool:
        """Accept texts, and paths for fields that hold paths."""
        if not isinstance(value, str):
            if not self._is_path or not isinstance(value, os.PathLike):
                return False
            value = os.fspath(value)
            if not isinstance(value, str):
                return False
        return (self._may_be_empty or value != "") and "\0" not in value

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Normalise a path as doit matches it."""
        text = os.fspath(value) if self._is_path else value
        return self._spell(text, "") if self._spell else text

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Normalise a path of a file in the same way."""
        # As `accepts` for a text: a pipeline has thousands.
        if "\0" in data or not (data or self._may_be_empty):
            return self._refuse(data, at, keys, tell)
        return self._spell(data, at.directory) if self._spell else data


class ChoiceType(Type):
    """One of several fixed texts."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._choices = frozenset(choices)
        self.expected = alternatives(map(repr, choices))
        self.several = f"strings {self.expected}"

    def accepts(self, value: Any) -> bool:
        """Accept the choices."""
        return isinstance(value, str) and value in self._choices


class FlagType(Type):
    """True or False, but no values that only count as such."""

    expected = several = "True or False"

    def accepts(self, value: Any) -> bool:
        """Accept both."""
        return value is True or value is False


class NumberType(Type):
    """A whole number within limits; not True and False."""

    is_verbatim = False

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        extent = f"of at least {limits.least}" if limits.most is None else f"from {limits.least} to {limits.most}"
        self.expected, self.several = f"a whole number {extent}", f"whole numbers {extent}"

    def accepts(self, value: Any) -> bool:
        """Accept numbers within the limits."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self._limits.least <= value and (self._limits.most is None or value <= self._limits.most)

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Refuse 1.0, which is whole for a schema."""
        return data if self.accepts(data) else self._refuse(data, at, keys, tell)


class NothingType(Type):
    """None, for an omitted value; messages do not list it as expected."""

    def accepts(self, value: Any) -> bool:
        """Accept None."""
        return value is None


def alternatives(texts: Iterable[str]) -> str:
    """Return texts as the choices that a message names."""
    *first, last = texts
    return f"{', '.join(first)} or {last}" if first else last
