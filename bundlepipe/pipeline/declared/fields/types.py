"""Check and decode the fields of declarations, by types made once for each class from its annotations.

For both front ends: values from a dodo.py are checked and converted to the form that code expects,
lists for tuples and generators, texts for paths, and paths in normal form; data of a pipeline file,
which the schema has validated, is decoded to the same form.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import Field as DataclassField
from dataclasses import fields, replace
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from bundlepipe.pipeline.declared.fields.kinds import Concurrency, Limits, Path, TextKind
from bundlepipe.pipeline.declared.fields.values import (
    ChoiceType,
    Decode,
    FlagType,
    NothingType,
    NumberType,
    Tell,
    TellAt,
    TextType,
    Type,
    alternatives,
)
from bundlepipe.pipeline.declared.interpolation import Keys
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.stores.settings import RegistrySettings

# For classes of lower levels, which know nothing of annotations.
_MORE_HINTS: Mapping[type, Mapping[str, Any]] = {
    RegistrySettings: {"layout": Path | None, "ca": Path | None, "concurrency": Concurrency | None}
}


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

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Decode each item."""
        decode = self._item.decode
        return [decode(item, at, (*keys, index), tell) for index, item in enumerate(data)]


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

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Decode each key and value."""
        return {
            self._key.decode(name, at, keys, tell): self._value.decode(item, at, (*keys, name), tell)
            for name, item in data.items()
        }


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

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Make an object from data."""
        return decode(self._kind, data, at.inside(*keys), tell)


class AlternativesType(Type):
    """One of several types, which can be distinguished at a glance."""

    def __init__(self, kinds: Sequence[Type]) -> None:
        self._kinds = kinds
        told = [kind for kind in kinds if kind.expected]
        self._objects = [kind for kind in kinds if isinstance(kind, ObjectType)]
        self._others = [kind for kind in told if kind not in self._objects]
        self.is_secret = any(kind.is_secret for kind in kinds)
        self.is_verbatim = all(kind.is_verbatim for kind in kinds)
        self.expected = alternatives(kind.expected for kind in told)
        self.several = alternatives(kind.several for kind in told)

    def accepts(self, value: Any) -> bool:
        """Accept what one of them accepts."""
        return any(kind.accepts(value) for kind in self._kinds)

    def inside(self, value: Any, where: str, tell: Tell) -> Any:
        """Check by the first type that accepts the value."""
        return next(kind for kind in self._kinds if kind.accepts(value)).inside(value, where, tell)

    def decode(self, data: Any, at: Position, keys: Keys, tell: TellAt) -> Any:
        """Decode by the class that has the keys of the data, or by a type that is not a class; YAML has no None."""
        if self._objects and isinstance(data, dict):
            return next(kind for kind in self._objects if kind.has_keys(data)).decode(data, at, keys, tell)
        return self._others[0].decode(data, at, keys, tell)


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


def decode(kind: Any, data: Mapping[str, Any], at: Position, tell: TellAt, **given: Any) -> Any:
    """Decode the declaration of a class from valid data `at` a position of a pipeline file.

    Values of variables may be at fault, and are reported. `given` are fields without a key; of those, `where`
    and `directory` follow from the position.
    """
    by_key, has_where, has_directory = _decoding(kind)
    for key, item in data.items():
        name, keys, decoded, may_be_empty = by_key[key]
        given[name] = decoded(item, at, keys, tell) if decoded and (item or not may_be_empty) else item
    if has_where:
        given["where"] = at
    if has_directory:
        given["directory"] = at.directory or os.curdir
    return kind(**given)


@cache
def _decoding(kind: Hashable) -> tuple[Mapping[str, tuple[str, Keys, Decode | None, bool]], bool, bool]:
    by_key = {
        field.key: (
            field.name,
            (field.key,),
            None if field.type.is_verbatim else field.type.decode,
            field.may_be_empty,
        )
        for field in fields_of(kind)
        if field.key is not None
    }
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
