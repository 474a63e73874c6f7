"""Validate a document against a JSON Schema (2020-12) of `schemas/`, with readable messages.

Besides the standard keywords a schema may have `x-expected`: a description of the value for messages
(`"a digest reference, such as …"`), used if a pattern or a choice says too little; `x-expected-items`
is that of a list which must not be empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundlepipe.documents.yaml.fault import MOST_FAULTS, Fault, rendered
from bundlepipe.errors import DocumentError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from jsonschema import Draft202012Validator

    from bundlepipe.documents.yaml.reader import YamlDocument

_SUFFIX = ".schema.json"


def problems(document: YamlDocument, schema_name: str) -> list[str]:
    """Return a line `path:line:column: what, and what was expected` for each fault, in the document's order.

    `schema_name` is the name of a file of `schemas/` without `.schema.json`. At most a thousand faults are
    returned.
    """
    return rendered(document.path, faults(document, schema_name))


def check(document: YamlDocument, schema_name: str) -> None:
    """Raise DocumentError with all faults of the document, if it has any."""
    found = problems(document, schema_name)
    if found:
        raise DocumentError(found)


def faults(document: YamlDocument, schema_name: str) -> list[Fault]:
    """Return the faults that `problems` renders as lines."""
    errors = islice(_validator(schema_name).iter_errors(document.data), MOST_FAULTS)
    first = next(errors, None)
    if first is None:
        return []
    from bundlepipe.documents.schemas.explanation import explain

    # Rendered one by one: each error holds the whole value as text.
    return list(islice(explain(document, chain((first,), errors), _schema(schema_name)), MOST_FAULTS))


def is_valid(data: Any, schema_name: str) -> bool:
    """Return whether the data of a document fits a schema."""
    return bool(_validator(schema_name).is_valid(data))


def schema_names() -> list[str]:
    """Return the names of all schemas."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _directory().iterdir() if file.name.endswith(_SUFFIX))


def schema_text(name: str) -> str:
    """Return the text of a schema; FileNotFoundError for an unknown name."""
    return _directory().joinpath(name + _SUFFIX).read_text("utf-8")


def _directory() -> Traversable:
    """Return the directory of the schemas: in the wheel, or in the checkout."""
    from importlib.resources import files

    shipped = files("bundlepipe").joinpath("schemas")
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "schemas"


@cache
def _schema(name: str) -> Mapping[str, Any]:
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # Without a registry a validator fetches unknown references from the network.
    return Draft202012Validator(_schema(name), registry=Registry())
