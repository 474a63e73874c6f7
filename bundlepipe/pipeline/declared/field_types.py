"""Check and decode the fields of declarations, by types made once for each class from its annotations.

For both front ends: values from a dodo.py are checked and converted to the form that code expects,
lists for tuples and generators, texts for paths, and paths in normal form; data of a pipeline file,
which the schema has validated, is decoded to the same form.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import Field as DataclassField
from dataclasses import fields, replace
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from bundlepipe.pipeline.declared.field_kinds import Concurrency, Limits, Path, TextKind
from bundlepipe.pipeline.declared.paths import normal_exclusion, normal_location, normalise
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.stores.settings import RegistrySettings

# Adds a fault: its position, and its text.
Tell = Callable[[str], None]

_SPELLED: Mapping[TextKind, Callable[[str, str], str]] = {
    TextKind.PATH: normalise,
    TextKind.LOCATION: normal_location,
    TextKind.EXCLUSION: normal_exclusion,
}
_PATHS = (TextKind.PATH, TextKind.PATH_IN_CONTEXT, TextKind.EXCLUSION)
_MAY_BE_EMPTY = (TextKind.PLAIN, TextKind.ARGUMENT)
# For classes of lower levels, which know nothing of annotations.
_MORE_HINTS: Mapping[type, Mapping[str, Any]] = {
    RegistrySettings: {"layout": Path | None, "ca": Path | None, "concurrency": Concurrency | None}
}


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
        # Only errors need this import.
        from bundlepipe.pipeline.declared.wording import advice, found

        tell(f"{where}: expected {self.expected}, found {found(value, self.is_secret)}{advice(value, self.expected)}")
        return value

    def decode(self, data: Any, at: Position, key: str) -> Any:
        """Return the value of valid data of a pipeline file, which is under a key `at` a position."""
        return data


class Field(NamedTuple):
    """A field of a declaration, by its `name` in Python and its `key` in YAML, None if it has none.

    If it `is_compared`, a change makes the task of the declaration stale.
    """

    name: str
    key: str | None
    default: object
    type: Type
    is_checked: bool
    is_compared: bool
    may_be_empty: bool


class TextType(Type):
    """A text, or a path that is converted to one."""

    def __init__(self, kind: TextKind) -> None:
        self._may_be_empty = kind in _MAY_BE_EMPTY
        self._is_path = kind in _PATHS
        self._spell = _SPELLED.get(kind)
        self.is_verbatim = self._spell is None
        self.is_secret = kind is TextKind.ARGUMENT
        self.expected, self.several = ("a path", "paths") if self._is_path else ("a text", "texts")

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

    def decode(self, data: Any, at: Position, key: str) -> Any:
        """Normalise a path of a file in the same way."""
        return self._spell(data, at.directory) if self._spell else data


class ChoiceType(Type):
    """One of several fixed texts."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._choices = frozenset(choices)
        self.expected = _alternatives(map(repr, choices))
        self.several = f"texts {self.expected}"

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

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        extent = f"of at least {limits.least}" if limits.most is None else f"from {limits.least} to {limits.most}"
        self.expected, self.several = f"a whole number {extent}", f"whole numbers {extent}"

    def accepts(self, value: Any) -> bool:
        """Accept numbers within the limits."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self._limits.least <= value and (self._limits.most is None or value <= self._limits.most)


class NothingType(Type):
    """None, for an omitted value; messages do not list it as expected."""

    def accepts(self, value: Any) -> bool:
        """Accept None."""
        return value is None


class ListType(Type):
    """Any ordered iterable, except objects with a meaning of their own."""

    def __init__(self, item: Type) -> None:
        self._item = item
        self.is_secret, self.is_verbatim = item.is_secret, item.is_verbatim
        self.expected, self.several = f"a list of {item.several}", f"lists of {item.several}"

    def accepts(self, value: Any) -> bool:
        """Accept lists, tuples and generators; a set would change its order between runs."""
        return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping | Set | os.PathLike)

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Check each item."""
        checked = self._item.checked
        return [checked(item, f"{where}[{index}]", tell) for index, item in enumerate(value)]

    def decode(self, data: Any, at: Position, key: str) -> Any:
        """Decode each item."""
        return [self._item.decode(item, at, key) for item in data]


class MappingType(Type):
    """A dictionary."""

    def __init__(self, key: Type, value: Type) -> None:
        self._key, self._value = key, value
        self.is_secret, self.is_verbatim = value.is_secret, value.is_verbatim
        self.expected = self.several = f"a dictionary of {value.several}"

    def accepts(self, value: Any) -> bool:
        """Accept mappings."""
        return isinstance(value, Mapping)

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Check each key, and each value under the name of its key."""
        return {
            self._key.checked(key, f"{where}: key", tell): self._value.checked(item, f"{where}[{key!r}]", tell)
            for key, item in value.items()
        }

    def decode(self, data: Any, at: Position, key: str) -> Any:
        """Decode each value."""
        return {name: self._value.decode(item, at, key) for name, item in data.items()}


class ObjectType(Type):
    """An object of a dataclass, whose fields are checked."""

    is_verbatim = False

    def __init__(self, kind: type[Any]) -> None:
        self._kind: Any = kind
        self.expected = f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
        self.several = f"{kind.__name__} objects"

    def accepts(self, value: Any) -> bool:
        """Accept objects of the class."""
        return isinstance(value, self._kind)

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Check the fields that differ from their defaults; return the same object if nothing changes."""
        changed: dict[str, Any] = {}
        for field in fields_of(value.__class__):
            now = getattr(value, field.name)
            # Most do not differ, and thousands of declarations are checked in every run.
            if now is field.default or not field.is_checked:
                continue
            checked = field.type.checked(now, f"{where}: {field.name}", tell)
            if checked is not now:
                changed[field.name] = checked
        return replace(value, **changed) if changed else value

    def has_keys(self, data: Mapping[str, Any]) -> bool:
        """Return whether data has only keys of the class."""
        return data.keys() <= _decoding(self._kind)[0].keys()

    def decode(self, data: Any, at: Position, key: str) -> Any:
        """Make an object from data."""
        return decode(self._kind, data, at.inside(key))


class AlternativesType(Type):
    """One of several types, which can be distinguished at a glance."""

    def __init__(self, kinds: Sequence[Type]) -> None:
        self._kinds = kinds
        told = [kind for kind in kinds if kind.expected]
        self._objects = [kind for kind in kinds if isinstance(kind, ObjectType)]
        self._others = [kind for kind in told if kind not in self._objects]
        self.is_secret = any(kind.is_secret for kind in kinds)
        self.is_verbatim = all(kind.is_verbatim for kind in kinds)
        self.expected = _alternatives(kind.expected for kind in told)
        self.several = _alternatives(kind.several for kind in told)

    def accepts(self, value: Any) -> bool:
        """Accept what one of them accepts."""
        return any(kind.accepts(value) for kind in self._kinds)

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Check by the first type that accepts the value."""
        return next(kind for kind in self._kinds if kind.accepts(value)).inside(value, where, tell)

    def decode(self, data: Any, at: Position, key: str) -> Any:
        """Decode by the class that has the keys of the data, or by a type that is not a class; YAML has no None."""
        if self._objects and isinstance(data, dict):
            return next(kind for kind in self._objects if kind.has_keys(data)).decode(data, at, key)
        return self._others[0].decode(data, at, key)


def type_of(annotation: Any, *more: object) -> Type:
    """Return the type for an annotation; `more` are further annotations."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(arguments[0], *arguments[1:])
    if origin in (Union, UnionType):
        return AlternativesType([type_of(argument) for argument in arguments])
    if origin is Literal:
        return ChoiceType(arguments)
    if origin is Sequence:
        return ListType(type_of(arguments[0]))
    if origin is Mapping:
        return MappingType(type_of(arguments[0]), type_of(arguments[1]))
    if annotation is type(None):
        return NothingType()
    if annotation is str:
        return TextType(next((each for each in more if isinstance(each, TextKind)), TextKind.PLAIN))
    if annotation is int:
        return NumberType(next(each for each in more if isinstance(each, Limits)))
    return FlagType() if annotation is bool else ObjectType(annotation)


def decode(kind: Any, data: Mapping[str, Any], at: Position, **given: Any) -> Any:
    """Decode the declaration of a class from valid data `at` a position of a pipeline file.

    `given` are fields without a key; of those, `where` and `directory` follow from the position.
    """
    by_key, has_where, has_directory = _decoding(kind)
    for key, item in data.items():
        field = by_key[key]
        is_verbatim = field.type.is_verbatim or (field.may_be_empty and not item)
        given[field.name] = item if is_verbatim else field.type.decode(item, at, key)
    if has_where:
        given["where"] = at
    if has_directory:
        given["directory"] = at.directory or os.curdir
    return kind(**given)


@cache
def _decoding(kind: Hashable) -> tuple[Mapping[str, Field], bool, bool]:
    by_key = {field.key: field for field in fields_of(kind) if field.key is not None}
    return by_key, hasattr(kind, "where"), hasattr(kind, "directory")


@cache
def fields_of(kind: Hashable) -> Sequence[Field]:
    """Return the fields of a declaration's class, except its position for messages."""
    assert isinstance(kind, type)
    hints = {**get_type_hints(kind, include_extras=True), **_MORE_HINTS.get(kind, {})}
    return [_field(kind, each, type_of(hints[each.name])) for each in fields(kind) if each.name != "where"]


def _field(kind: type, given: DataclassField[Any], checker: Type) -> Field:
    first, *rest = given.name.split("_")
    key = given.metadata.get("key", first + "".join(word.capitalize() for word in rest))
    return Field(
        name=given.name,
        key=getattr(kind, "kind", None) if key == "kind" else key,
        default=given.default,
        type=checker,
        is_checked=given.compare,
        is_compared=given.compare and given.metadata.get("compared", True),
        may_be_empty=given.metadata.get("may_be_empty", False),
    )


def _alternatives(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} or {last}" if first else last
