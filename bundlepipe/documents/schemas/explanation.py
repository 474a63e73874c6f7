"""Translate jsonschema's errors into messages for the author of a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bundlepipe.documents.yaml.fault import Fault, choices, kind, shown, similar
from bundlepipe.errors import shortened

if TYPE_CHECKING:
    from jsonschema import ValidationError

    from bundlepipe.documents.yaml.reader import YamlDocument

Schema = Mapping[str, Any]
_Keys = tuple[str | int, ...]

_TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}
_COUNTS = {
    "minLength": ("at least", "character"),
    "maxLength": ("at most", "character"),
    "minItems": ("at least", "item"),
    "maxItems": ("at most", "item"),
    "minProperties": ("at least", "key"),
    "maxProperties": ("at most", "key"),
}
_LIMITS = {
    "minimum": "{} or more",
    "maximum": "{} or less",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "a string that matches {}",
    "uniqueItems": "no item twice",
}
_COMBINATIONS = ("allOf", "anyOf", "oneOf")


def explain(document: YamlDocument, errors: Iterable[ValidationError], schema: Schema) -> Iterator[Fault]:
    """Yield the faults behind jsonschema's `errors` about a document."""
    explainer = _Explainer(document, schema)
    return (fault for error in errors for fault in explainer.faults(error))


class _Explainer:
    def __init__(self, document: YamlDocument, root: Schema) -> None:
        self._document = document
        self._root = root
        self._by_keyword: dict[str | None, Callable[[ValidationError], Iterator[Fault]]] = {
            None: self._forbidden,
            "additionalProperties": self._unknown_keys,
            "unevaluatedProperties": self._unknown_keys,
            "required": self._missing_keys,
            "dependentRequired": self._missing_companions,
            "type": self._wrong_type,
            "anyOf": self._no_alternative,
            "oneOf": self._no_alternative,
        }

    def faults(self, error: ValidationError) -> Iterator[Fault]:
        """Yield the faults behind one error: several if it concerns several keys."""
        if _is_about_a_key(error):
            yield self._wrong_key(error)
        else:
            keyword = str(error.validator) if error.validator else None
            yield from self._by_keyword.get(keyword, self._wrong_value)(error)

    def _forbidden(self, error: ValidationError) -> Iterator[Fault]:
        # For a schema of `false`, jsonschema reports the value, and only the position of its mapping or list.
        keys = _keys(error)
        yield self._document.fault(keys, f"{label(keys)} holds {kind(error.instance)}, which has no place there")

    def _unknown_keys(self, error: ValidationError) -> Iterator[Fault]:
        schema = _mapping(error.schema)
        own_only = error.validator == "additionalProperties"
        known = list(schema.get("properties", {}) if own_only else self._properties(schema))
        patterns = schema.get("patternProperties", {})
        instance: Any = error.instance
        for name in instance:
            if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                yield self._document.fault((*_keys(error), name), _unknown_key(name, known), key=True)

    def _missing_keys(self, error: ValidationError) -> Iterator[Fault]:
        properties = self._properties(error.schema)
        for name in _missing(error):
            expected = self._expected(properties.get(name, {}))
            text = f"missing key {shown(name)}{_within(_keys(error))}, expected {expected}"
            yield self._document.fault(_keys(error), text)

    def _missing_companions(self, error: ValidationError) -> Iterator[Fault]:
        companions: Any = error.validator_value
        instance: Any = error.instance
        for name in companions.keys() & instance.keys():
            for missing in companions[name]:
                if missing not in instance:
                    text = f"missing key {shown(missing)}, expected beside {shown(name)}"
                    yield self._document.fault((*_keys(error), name), text, key=True)

    def _wrong_type(self, error: ValidationError) -> Iterator[Fault]:
        wanted: Any = error.validator_value
        types = _type_names(wanted)
        wants_quotes = "string" in types and isinstance(error.instance, (bool, int, float))
        if wants_quotes:
            expected, hint = _type_words(types), " (quote it)"
        else:
            expected, hint = self._expected(error.schema), ""
        yield self._mismatch(error, expected, hint)

    def _mismatch(self, error: ValidationError, expected: str, hint: str = "") -> Fault:
        keys = _keys(error)
        return self._document.fault(keys, f"{label(keys)}: expected {expected}, found {self._found(error)}{hint}")

    def _found(self, error: ValidationError) -> str:
        if isinstance(error.instance, (bool, int, float)):
            return shortened(str(self._document.find(_keys(error)).value), 60)
        return kind(error.instance)

    def _wrong_key(self, error: ValidationError) -> Fault:
        name: Any = error.instance
        text = f"the key {shown(name)} cannot be used here, expected {self._wanted(error)}"
        return self._document.fault((*_keys(error), name), text, key=True)

    def _wrong_value(self, error: ValidationError) -> Iterator[Fault]:
        keys, instance, keyword = _keys(error), error.instance, str(error.validator)
        values: Any = error.validator_value
        if instance == []:
            state = "is empty"
        elif keyword in _COUNTS and isinstance(instance, (dict, list)):
            state = f"has {_count(len(instance), _COUNTS[keyword][1])}"
        elif isinstance(instance, dict):
            state = _named_keys(instance)
        else:
            state = f"is {self._found(error)}"
        meant = similar(str(instance), map(str, values)) if keyword == "enum" else None
        hint = f", did you mean {shown(meant)}?" if meant else ""
        yield self._document.fault(keys, f"{label(keys)} {state}, expected {self._wanted(error)}{hint}")

    def _wanted(self, error: ValidationError) -> str:
        """Return what the failed keyword demands."""
        schema, keyword = _mapping(error.schema), str(error.validator)
        value: Any = error.validator_value
        if keyword == "minItems" and "x-expected-items" in schema:
            return str(schema["x-expected-items"])
        if "x-expected" in schema:
            return str(schema["x-expected"])
        if keyword in _COUNTS:
            limit, noun = _COUNTS[keyword]
            return f"{limit} {_count(value, noun)}"
        return _LIMITS[keyword].format(value) if keyword in _LIMITS else self._expected(schema)

    def _no_alternative(self, error: ValidationError) -> Iterator[Fault]:
        alternatives: Any = error.validator_value
        branches: dict[int, list[ValidationError]] = {}
        for nested in error.context or ():
            branches.setdefault(int(nested.schema_path[0]), []).append(nested)
        fitting = {index: errors for index, errors in branches.items() if not any(map(_is_of_wrong_type, errors))}
        chosen = self._meant(error.instance, [(alternatives[index], errors) for index, errors in fitting.items()])
        if chosen:
            for nested in chosen:
                yield from self.faults(nested)
        elif fitting:
            yield from self._wrong_value(error)
        elif branches:
            yield self._wrong_for_all(error, alternatives)
        else:
            text = f"{label(_keys(error))} fits several choices, expected only one of them"
            yield self._document.fault(_keys(error), text)

    def _wrong_for_all(self, error: ValidationError, alternatives: Sequence[Any]) -> Fault:
        takes_strings = any("string" in _type_names(self._resolved(each).get("type", ())) for each in alternatives)
        wants_quotes = takes_strings and isinstance(error.instance, (bool, int, float))
        return self._mismatch(error, self._expected(error.schema), " (quote it)" if wants_quotes else "")

    def _meant(
        self, instance: Any, branches: Sequence[tuple[Any, list[ValidationError]]]
    ) -> list[ValidationError] | None:
        """Return the errors of the alternative that the author probably meant, if that is clear.

        It is the only one of the right type, or the one closest to the keys of a mapping: most keys
        in common, including misspelt ones, then fewest errors.
        """
        if len(branches) == 1:
            return branches[0][1]
        if not isinstance(instance, dict):
            return None
        likeness = [(self._shared_keys(instance, schema), -len(errors)) for schema, errors in branches]
        best = max(likeness, default=(0, 0))
        return branches[likeness.index(best)][1] if best[0] and likeness.count(best) == 1 else None

    def _shared_keys(self, instance: dict[str, Any], schema: Any) -> int:
        known = self._properties(schema)
        return sum(1 for name in instance if name in known or similar(name, known))

    def _resolved(self, schema: Any) -> Schema:
        """Follow references within the root schema, keeping keywords beside a reference."""
        resolved = dict(_mapping(schema))
        while "$ref" in resolved:
            target: Any = self._root
            for part in resolved.pop("$ref").removeprefix("#").split("/")[1:]:
                target = target[part]
            resolved = {**_mapping(target), **resolved}
        return resolved

    def _properties(self, schema: Any) -> dict[str, Any]:
        """Return the keys that a schema names, directly or through combined schemas."""
        resolved = self._resolved(schema)
        properties = dict(resolved.get("properties", {}))
        for keyword in _COMBINATIONS:
            for combined in resolved.get(keyword, ()):
                properties = {**self._properties(combined), **properties}
        for keyword in ("then", "else"):
            if keyword in resolved:
                properties = {**self._properties(resolved[keyword]), **properties}
        return properties

    def _expected(self, schema: Any) -> str:
        """Describe what a schema expects."""
        resolved = self._resolved(schema)
        if "x-expected" in resolved:
            return str(resolved["x-expected"])
        if "const" in resolved:
            return kind(resolved["const"])
        if "enum" in resolved:
            return choices([str(value) for value in resolved["enum"]])
        for keyword in ("anyOf", "oneOf"):
            if keyword in resolved:
                return " or ".join(dict.fromkeys(map(self._expected, resolved[keyword])))
        return _type_words(_type_names(resolved["type"])) if "type" in resolved else "a value"


def _keys(error: ValidationError) -> _Keys:
    return tuple(error.absolute_path)


def _mapping(schema: Any) -> Schema:
    """Return a schema as a mapping: `true` and `false` are schemas too, without content."""
    return schema if isinstance(schema, Mapping) else {}


def _is_about_a_key(error: ValidationError) -> bool:
    return "propertyNames" in error.absolute_schema_path


def _is_of_wrong_type(error: ValidationError) -> bool:
    """Return whether an alternative cannot apply: the value is not even of its type."""
    if error.path:
        return False
    if error.validator in ("anyOf", "oneOf"):
        return bool(error.context) and all(map(_is_of_wrong_type, error.context or ()))
    return error.validator == "type"


def _type_names(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _type_words(types: Sequence[str]) -> str:
    named = [name for name in types if name != "null"] or list(types)
    return " or ".join(_TYPES[name] for name in named)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _named_keys(instance: Mapping[str, Any]) -> str:
    names = shortened(", ".join(map(shown, instance)), 200)
    return f"has the key{'s' if len(instance) > 1 else ''} {names}" if instance else "has no keys"


def _missing(error: ValidationError) -> list[str]:
    names: Any = error.validator_value
    instance: Any = error.instance
    return [name for name in names if name not in instance]


def _unknown_key(name: str, known: Sequence[str]) -> str:
    meant = similar(name, known)
    if meant:
        return f"unknown key {shown(name)}, did you mean {shown(meant)}?"
    return f"unknown key {shown(name)}, expected {choices(known) if known else 'none'}"


def label(keys: _Keys) -> str:
    """Return the name of a value in messages: its key with following indices, as `'files[0]'`."""
    named = next((n for n in range(len(keys) - 1, -1, -1) if isinstance(keys[n], str)), None)
    if named is None:
        return "the document" if not keys else shown("".join(f"[{index}]" for index in keys))
    return shown(f"{keys[named]}{''.join(f'[{index}]' for index in keys[named + 1 :])}")


def _within(keys: _Keys) -> str:
    return f" in {label(keys)}" if keys else ""
