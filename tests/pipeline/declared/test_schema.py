"""The schema of a pipeline file and the model of declarations say the same of every key: an option is declared once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bundlepipe.documents.schemas.validator import schema_text
from bundlepipe.pipeline.declared import names
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.declared.fields.kinds import WRITTEN
from bundlepipe.pipeline.declared.fields.types import (
    AlternativesType,
    Field,
    ListType,
    MappingType,
    ObjectType,
    fields_of,
)
from bundlepipe.pipeline.declared.fields.values import (
    ChoiceType,
    FlagType,
    NothingType,
    NumberType,
    TextType,
    Type,
)
from bundlepipe.pipeline.declared.model import Bundle, Image, Program
from bundlepipe.pipeline.declared.reading import KINDS
from bundlepipe.stores.settings import RegistrySettings

SCHEMA: Any = json.loads(schema_text("pipeline"))
# In a file, a program stands among the keys of the image that it makes; its `files` are those of the image.
RUN = next(field for field in fields_of(Program) if field.key == "run")
# Without a default in Python they would be required of every image, too.
REQUIRED_IN_YAML = {Bundle: {"files"}}
Rule = Mapping[str, Any]


def rule_of(rule: Rule) -> Rule:
    name = rule.get("$ref", "").removeprefix("#/$defs/")
    return {**rule_of(SCHEMA["$defs"][name]), **rule} if name else rule


def keys_of(kind: Any) -> dict[str, Field]:
    fields = {field.key: field for field in fields_of(kind) if field.key and field.key != WRITTEN}
    if kind is Image:
        fields["run"] = RUN
    return fields


def differences(type_: Type, rule: Rule, where: str) -> Iterator[str]:
    """Yield where the schema lets something else through than the type takes."""
    rule = rule_of(rule)
    if isinstance(type_, AlternativesType):
        yield from differences_of_alternatives(type_, rule, where)
    elif isinstance(type_, ObjectType):
        yield from differences_of_objects([type_._kind], rule, where)
    elif isinstance(type_, ListType):
        yield from expected(where, rule, type="array")
        yield from differences(type_._item, rule.get("items", {}), f"{where}[]")
    elif isinstance(type_, MappingType):
        yield from expected(where, rule, type="object")
        yield from differences(type_._value, rule.get("additionalProperties", {}), f"{where}{{}}")
    elif isinstance(type_, ChoiceType):
        choices = [rule["const"]] if "const" in rule else rule.get("enum", [])
        if set(choices) != type_._choices:
            yield f"{where}: {choices} in the schema, {sorted(type_._choices)} in the model"
    elif isinstance(type_, NumberType):
        yield from expected(where, rule, type="integer", minimum=type_._limits.least, maximum=type_._limits.most)
    elif isinstance(type_, TextType):
        yield from expected(where, rule, type="string")
        if type_._may_be_empty == bool(rule.get("minLength") or rule.get("pattern")):
            yield f"{where}: schema and model differ about an empty string"
    else:
        assert isinstance(type_, FlagType), type_
        yield from expected(where, rule, type="boolean")


def differences_of_alternatives(type_: AlternativesType, rule: Rule, where: str) -> Iterator[str]:
    objects = [kind._kind for kind in type_._kinds if isinstance(kind, ObjectType)]
    others = [kind for kind in type_._kinds if not isinstance(kind, ObjectType | NothingType)]
    rules = [rule_of(each) for each in rule.get("anyOf", [rule])]
    rules_of_objects = [each for each in rules if "properties" in each]
    if len(others) + bool(objects) != len(rules):
        yield f"{where}: {len(rules)} alternatives in the schema"
    if objects:
        yield from differences_of_objects(objects, rules_of_objects[0] if rules_of_objects else {}, where)
    for kind, each in zip(others, [each for each in rules if "properties" not in each], strict=False):
        yield from differences(kind, each, where)


def differences_of_objects(kinds: list[type[Any]], rule: Rule, where: str) -> Iterator[str]:
    """Compare with one object of the schema; several classes are told apart by their only key."""
    fields = {key: field for kind in kinds for key, field in keys_of(kind).items()}
    properties = rule.get("properties", {})
    yield from expected(where, rule, type="object", additionalProperties=False)
    for key in sorted(fields.keys() ^ properties.keys()):
        yield f"{where}.{key}: only in the {'schema' if key in properties else 'model'}"
    for key in fields.keys() & properties.keys():
        yield from differences(fields[key].type, properties[key], f"{where}.{key}")
    if len(kinds) > 1:
        yield from expected(where, rule, minProperties=1, maxProperties=1)
        assert all(len(keys_of(kind)) == 1 for kind in kinds)
    else:
        yield from differences_of_defaults(kinds[0], rule, where)


def differences_of_defaults(kind: type[Any], rule: Rule, where: str) -> Iterator[str]:
    required = set(REQUIRED_IN_YAML.get(kind, ()))
    for field in dataclasses.fields(kind):
        key = next((key for key, known in keys_of(kind).items() if known.name == field.name), None)
        if key is None or key not in rule["properties"]:
            continue
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            required.add(key)
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        default = list(default) if isinstance(default, tuple) else default
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            assert default == type(default)()
            default = None
        told = rule_of(rule["properties"][key]).get("default")
        # What is empty, or False, goes without saying.
        if told != (default or None):
            yield f"{where}.{key}: default {told!r} in the schema, {default!r} in the model"
    if required != set(rule.get("required", ())):
        yield f"{where}: {sorted(rule.get('required', ()))} are required in the schema, {sorted(required)} in the model"


def expected(where: str, rule: Rule, **values: Any) -> Iterator[str]:
    for name, value in values.items():
        if rule.get(name) != value:
            yield f"{where}: {name} is {rule.get(name)!r} in the schema, {value!r} in the model"


@pytest.mark.parametrize(("section", "kind"), [*KINDS.items(), ("registries", RegistrySettings)])
def test_schema_and_model_agree(section: str, kind: type[Any]) -> None:
    rule = SCHEMA["properties"][section]["additionalProperties"]
    assert list(differences(ObjectType(kind), rule, section)) == []


def test_schema_and_model_agree_about_ci() -> None:
    assert list(differences(ObjectType(CI), SCHEMA["properties"]["ci"], "ci")) == []


def test_schema_and_model_agree_about_names() -> None:
    assert SCHEMA["$defs"]["name"]["pattern"] == f"^{names._NAME.pattern}$"


def changed(path: str, value: Any) -> Any:
    """Return the schema with another value at a path, or without the one that is there."""
    schema = json.loads(schema_text("pipeline"))
    place = schema["$defs"]
    *keys, last = (int(key) if key.isdigit() else key for key in path.split("/"))
    for key in keys:
        place = place[key]
    place[last] = value
    if value is None:
        del place[last]
    return schema


CHANGED = {
    "a key less": ("copy/properties/resume", None, "copies.resume: only in the model"),
    "a key more": ("copy/properties/fast", {"type": "boolean"}, "copies.fast: only in the schema"),
    "another type": ("copy/properties/referrers/type", "string", "copies.referrers: type is 'string'"),
    "another default": ("copy/properties/resume/default", False, "copies.resume: default False"),
    "not required": ("copy/required", ["to"], "copies: ['to'] are required"),
    "another choice": ("refresh/const", "never", "copies.refresh: ['never'] in the schema"),
    "a kind of source": ("source/anyOf/1/properties/pull", {"$ref": "#/$defs/name"}, "copies.from.pull: only in"),
    "an empty string": ("text/minLength", None, "copies.to: schema and model differ"),
    "items": ("texts/items", {"type": "integer"}, "copies.tags[]: type is 'integer'"),
}


@pytest.mark.parametrize(("path", "value", "told"), CHANGED.values(), ids=CHANGED)
def test_a_schema_that_differs_is_told(path: str, value: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SCHEMA", changed(path, value))
    found = list(differences(ObjectType(KINDS["copies"]), SCHEMA["$defs"]["copy"], "copies"))
    assert any(each.startswith(told) for each in found), found
