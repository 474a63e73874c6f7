"""The schema of kbld's configuration has the keys that are read, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bundlepipe.documents.kbld import builders, decoding, reading
from bundlepipe.documents.schemas.validator import schema_text

Rule = Mapping[str, Any]
SCHEMA: Rule = json.loads(schema_text("kbld-config"))
# What a document is, and what it is called, which the decoder is not asked for.
OF_ANY_DOCUMENT = {"apiVersion", "kind", "metadata"}
TYPES = {str: "string", bool: "boolean", int: "integer", dict: "object", decoding._written_text: "string"}


def properties_of(rule: Rule) -> dict[str, Rule]:
    """Return the keys of an object, those that it takes over from definitions and alternatives included."""
    parts = [*rule.get("allOf", ()), *rule.get("anyOf", ())]
    if "$ref" in rule:
        parts.append(SCHEMA["$defs"][rule["$ref"].removeprefix("#/$defs/")])
    found: dict[str, Rule] = {}
    for part in parts:
        found.update(properties_of(part))
    return {**found, **rule.get("properties", {})}


def type_of(rule: Rule) -> str:
    if "type" in rule:
        return str(rule["type"])
    if "$ref" in rule:
        return type_of(SCHEMA["$defs"][rule["$ref"].removeprefix("#/$defs/")])
    return "boolean" if isinstance(rule.get("const"), bool) else ""


def differences(form: Any, rule: Rule, where: str) -> Iterator[str]:
    """Yield what only one of schema and decoder knows below a key."""
    if isinstance(form, list):
        if type_of(rule) != "array":
            yield f"{where}: no list in the schema"
        # The rules within texts are the rules again.
        elif where.count("searchRules") < 2:
            yield from differences(form[0], rule["items"], f"{where}[]")
    elif form is decoding._path_part:
        yield from differences(decoding._INDEX, rule, where)
    elif isinstance(form, decoding._Mapping):
        known, told = form.fields, properties_of(rule)
        for key in sorted(known.keys() ^ (told.keys() - (OF_ANY_DOCUMENT if not where else set()))):
            yield f"{where}.{key}: only in the {'schema' if key in told else 'decoder'}"
        for key in known.keys() & told.keys():
            yield from differences(known[key], told[key], f"{where}.{key}")
    elif TYPES[form] != type_of(rule):
        yield f"{where}: {type_of(rule)} in the schema, {TYPES[form]} in the decoder"


def test_schema_and_decoder_agree() -> None:
    assert list(differences(decoding._CONFIG, SCHEMA, "")) == []


def test_schema_and_reader_agree_about_the_keys_of_a_document() -> None:
    assert set(reading._KEYS.values()) == SCHEMA["properties"].keys() - OF_ANY_DOCUMENT


def test_schema_and_builders_agree_about_options() -> None:
    source = properties_of(SCHEMA["$defs"]["source"])
    told = {
        (name, verb): set(properties_of(rule))
        for name in source.keys() - {"image", "imageRepo", "path"}
        for verb, rule in properties_of(source[name]).items()
    }
    assert told == {
        names: {builders._KEYS.get(name, name) for name in builder.__struct_fields__}
        for names, builder in builders._TYPES.items()
    }
