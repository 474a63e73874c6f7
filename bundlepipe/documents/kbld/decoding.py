"""Decode and check kbld's configuration exactly as kbld does: less strictly than the schema, with kbld's errors.

Keys match in any case, unknown ones are ignored, null and empty texts count as absent, numbers and booleans
are accepted as texts, and of alternatives the one that kbld checks first counts. It refuses what kbld's
`Unmarshal` and `Validate` refuse, one fault at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID
from bundlepipe.documents.kbld.config import KBLD_VERSION
from bundlepipe.documents.resources import Resource
from bundlepipe.documents.schemas import validator
from bundlepipe.documents.search.annotations import ORIGINS_ANNOTATION
from bundlepipe.documents.yaml.core_schema import as_text
from bundlepipe.documents.yaml.fault import kind, rendered, shown
from bundlepipe.documents.yaml.go_yaml import list_problem
from bundlepipe.documents.yaml.reader import YamlDocument
from bundlepipe.errors import DocumentError
from bundlepipe.oci.reference import names_digest

_Data = Mapping[str, Any]
_Keys = tuple[str | int, ...]
# str, bool or int; a list of one kind of items; a mapping; a function that converts a value.
_Form = Any

# Versions that hashicorp/go-version accepts.
_VERSION = re.compile(
    r"\s*v?(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?P<prerelease>-[0-9]+[0-9A-Za-z~.-]*|-?[A-Za-z~]+[0-9A-Za-z~.-]*)?"
    r"(?:\+[0-9A-Za-z~.-]+)?\s*"
)


class _Mapping(Struct, frozen=True):
    """The keys of a mapping; only the first of `alternatives` that is there counts."""

    fields: dict[str, _Form]
    alternatives: Sequence[str] = ()


class _Wrong(Exception):
    """A value is not of the expected form."""

    def __init__(self, keys: _Keys, problem: str) -> None:
        super().__init__(keys, problem)
        self.keys = keys
        self.problem = problem


def _path_part(value: Any, keys: _Keys) -> Any:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise _Wrong(keys, "Unknown path part")
    part = _decoded(value, _INDEX, keys)
    # Without either key it is an index that matches nothing.
    return {"index": -1, **part} if "allIndexes" not in part else {"allIndexes": True}


def _written_text(value: Any, keys: _Keys) -> str:
    """Return a text; kbld does not convert numbers here, as these keys belong to a nested structure."""
    if not isinstance(value, str):
        raise _Wrong(keys, _mismatch(keys, "a string", value))
    return value


_INDEX = _Mapping({"index": int, "allIndexes": bool}, ("index", "allIndexes"))
_BY_IMAGE = ("image", "imageRepo")
_MATCHER: dict[str, _Form] = {"image": _written_text, "imageRepo": _written_text}
_RAW: dict[str, _Form] = {"rawOptions": [str]}
_DOCKERFILE: dict[str, _Form] = {"target": str, "pull": bool, "noCache": bool, "file": str, **_RAW}
_RULES: list[_Form] = []
_WITHIN = _Mapping({"searchRules": _RULES})
_RULES.append(
    _Mapping(
        {
            "keyMatcher": _Mapping({"name": str, "path": [_path_part]}, ("name", "path")),
            "valueMatcher": _Mapping({"image": str, "imageRepo": str}, _BY_IMAGE),
            "updateStrategy": _Mapping(
                {"none": _Mapping({}), "entireValue": _Mapping({}), "json": _WITHIN, "yaml": _WITHIN},
                ("none", "entireValue", "json", "yaml"),
            ),
        }
    )
)
_SEMVER = _Mapping({"constraints": str, "prereleases": _Mapping({"identifiers": [str]})})
_PLATFORM: dict[str, _Form] = {"architecture": str, "os": str, "os.version": str, "variant": str}
_OVERRIDE: dict[str, _Form] = {
    **_MATCHER,
    "newImage": str,
    "preresolved": bool,
    "tagSelection": _Mapping({"semver": _SEMVER}),
    "platformSelection": _Mapping({**_PLATFORM, "os.features": [str], "features": [str]}),
    "origins": [dict],
}
_SOURCE: dict[str, _Form] = {
    **_MATCHER,
    "path": str,
    "pack": _Mapping({"build": _Mapping({"builder": str, "buildpacks": [str], "clearCache": bool, **_RAW})}),
    "kubectlBuildkit": _Mapping({"build": _Mapping({**_DOCKERFILE, "platform": str})}),
    "ko": _Mapping({"build": _Mapping(_RAW)}),
    "bazel": _Mapping({"run": _Mapping({"target": str, **_RAW})}),
    "docker": _Mapping(
        {"buildx": _Mapping(_DOCKERFILE), "build": _Mapping({**_DOCKERFILE, "buildkit": bool})}, ("buildx", "build")
    ),
}
_BUILDERS = ("pack", "kubectlBuildkit", "ko", "bazel", "docker")
_CONFIG = _Mapping(
    {
        "minimumRequiredVersion": str,
        "sources": [_Mapping(_SOURCE)],
        "overrides": [_Mapping(_OVERRIDE)],
        "destinations": [_Mapping({**_MATCHER, "newImage": str, "tags": [str]})],
        "keys": [str],
        "searchRules": _RULES,
    }
)
_LOCK_KEYS = ("apiVersion", "kind", "images")
_ENTRY_KEYS = ("image", "annotations")
_NO_IMAGE = "Expected Image or ImageRepo to be non-empty"
_TYPES = {str: "a string", bool: "true or false", int: "a whole number", dict: "a mapping"}


def decoded_config(document: YamlDocument) -> dict[str, Any]:
    """Decode a document of configuration as kbld does; DocumentError with kbld's text if it refuses."""
    try:
        data: dict[str, Any] = _decoded(document.data, _CONFIG, ())
    except _Wrong as wrong:
        raise _refused(document, wrong.keys, "Unmarshaling", wrong.problem) from None
    problem = _version_problem(data.get("minimumRequiredVersion", ""))
    if problem:
        raise _refused(document, ("minimumRequiredVersion",), "Validating", problem)
    for group, check in _CHECKS.items():
        for index, entry in enumerate(data.get(group, ())):
            problem = check(entry)
            if problem:
                name = group[0].upper() + group[1:] if group != "keys" else "Destinations"
                raise _refused(document, (group, index), "Validating", f"Validating {name}[{index}]: {problem}")
    return {name: list(map(_chosen, value)) if isinstance(value, list) else value for name, value in data.items()}


def check_images_lock(document: YamlDocument) -> None:
    """Raise DocumentError, with kbld's text, for an ImagesLock that kbld refuses."""
    name = _described(document)
    for keys, key in _unknown_keys(document.data):
        problem = f'error unmarshaling JSON: while decoding JSON: json: unknown field "{key}"'
        raise _refusal(document, keys, f"Unmarshaling {name} as ImagesLock: Unmarshaling images lock: {problem}")
    for index, entry in enumerate(_entries(document.data)):
        image = entry.get("image") or ""
        if isinstance(image, str) and not names_digest(image):
            problem = f"Validating images lock: Expected ref to be in digest form, got '{image}'"
            raise _refusal(document, ("images", index, "image"), f"Unmarshaling {name} as ImagesLock: {problem}")
    for wrong in validator.faults(document, "images-lock"):
        text = f"Unmarshaling {name} as ImagesLock: Unmarshaling images lock: {wrong.text}"
        raise DocumentError(rendered(document.path, [wrong]), drop_in=text)
    annotations = [entry.get("annotations") or {} for entry in document.data.get("images") or ()]
    for index, found in enumerate(annotations):
        fault = list_problem(as_text(found.get(ORIGINS_ANNOTATION)), "[]config.Origin")
        if fault:
            # The two spaces are kbld's.
            text = f"Unmarshaling {name} as {ORIGINS_ANNOTATION} annotation:  {fault}"
            raise _refusal(document, ("images", index, "annotations", ORIGINS_ANNOTATION), text)
    for index, found in enumerate(annotations):
        if not as_text(found.get(KBLD_ID)):
            raise _refused(document, ("images", index), "Validating", f"Validating Overrides[{index}]: {_NO_IMAGE}")


def _entries(lock: _Data) -> list[_Data]:
    entries = lock.get("images")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _unknown_keys(lock: _Data) -> Iterator[tuple[_Keys, str]]:
    yield from (((key,), key) for key in lock if key not in _LOCK_KEYS)
    for index, entry in enumerate(_entries(lock)):
        yield from ((("images", index, key), key) for key in entry if key not in _ENTRY_KEYS)


def _refused(document: YamlDocument, keys: _Keys, what: str, problem: str) -> DocumentError:
    """Return kbld's error for a document, which it identifies by its kind instead of its file."""
    return _refusal(document, keys, f"{what} {_described(document)}: {problem}")


def _refusal(document: YamlDocument, keys: _Keys, text: str) -> DocumentError:
    """Return kbld's error, with these words, for the value at `keys` of a document."""
    return DocumentError([document.problem(keys, text)], drop_in=text)


def _described(document: YamlDocument) -> str:
    """Return kbld's name for a document in messages."""
    return Resource(document.node).description  # type: ignore[arg-type]


def _matcher_problem(data: _Data) -> str | None:
    """Return kbld's error for an override, source or destination that matches nothing."""
    return None if data.keys() & _MATCHER.keys() else _NO_IMAGE


def _source_problem(data: _Data) -> str | None:
    return _matcher_problem(data) or (None if "path" in data else "Expected Path to be non-empty")


def _override_problem(data: _Data) -> str | None:
    return _matcher_problem(data) or (None if "newImage" in data else "Expected NewImage to be non-empty")


def _key_problem(key: str) -> str | None:
    return None if key else "Expected to be non-empty"


def _rule_problem(data: _Data) -> str | None:
    if not data.keys() & {"keyMatcher", "valueMatcher"}:
        return "Expected KeyMatcher or ValueMatcher to be non-empty"
    if not data.get("keyMatcher", {"name": ""}):
        return "Expected KeyMatcher.Name or KeyMatcher.Path to be non-empty"
    if not data.get("valueMatcher", {"image": ""}):
        return "Expected ValueMatcher.Image or ValueMatcher.ImageRepo to be non-empty"
    return None


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "sources": _source_problem,
    "overrides": _override_problem,
    "destinations": _matcher_problem,
    "keys": _key_problem,
    "searchRules": _rule_problem,
}


def _version_problem(text: str) -> str | None:
    if not text:
        return None
    if text.startswith("v"):
        return "Validating minimum version: Must not have prefix 'v' (e.g. '0.8.0')"
    match = _VERSION.fullmatch(text)
    if not match:
        return f"Parsing minimum version constraint: Malformed constraint: >={text}"
    wanted, known = _numbers(match["numbers"]), _numbers(KBLD_VERSION)
    # The release also satisfies a minimum that is a prerelease of it.
    if known < wanted:
        return f"kbld version '{KBLD_VERSION}' does not meet the minimum required version '{text}'"
    return None


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(map(int, text.split(".")))
    return numbers + (0,) * (3 - len(numbers))


def _decoded(value: Any, form: _Form, keys: _Keys) -> Any:
    """Decode a value in a form, None if it counts as absent; _Wrong if it has another form."""
    if value is None:
        return None
    if isinstance(form, list):
        if not isinstance(value, list):
            raise _Wrong(keys, _mismatch(keys, "a list", value))
        items = (_decoded(item, form[0], (*keys, index)) for index, item in enumerate(value))
        return [_empty(form[0]) if item is None else item for item in items]
    if isinstance(form, _Mapping):
        return _decoded_mapping(value, form, keys)
    if form is str and not isinstance(value, (dict, list)):
        return as_text(value)
    if isinstance(form, type):
        if not isinstance(value, form) or (form is int and isinstance(value, bool)):
            raise _Wrong(keys, _mismatch(keys, _TYPES[form], value))
        return value
    return form(value, keys)


def _empty(form: _Form) -> Any:
    return "" if form is str else {}


def _decoded_mapping(value: Any, form: _Mapping, keys: _Keys) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong(keys, _mismatch(keys, "a mapping", value))
    names = {name.lower(): name for name in form.fields}
    data: dict[str, Any] = {}
    for key, child in value.items():
        name = names.get(key.lower())
        found = _decoded(child, form.fields[name], (*keys, key)) if name else None
        if name and found is not None and found not in ("", []):
            data[name] = found
    chosen = next((name for name in form.alternatives if name in data), None)
    return {name: child for name, child in data.items() if name == chosen or name not in form.alternatives}


def _chosen(entry: Any) -> Any:
    """Return a checked entry with only the parts that count."""
    if not isinstance(entry, dict):
        return entry
    for alternatives in (_BY_IMAGE, _BUILDERS):
        first = next((name for name in alternatives if name in entry), None)
        entry = {name: value for name, value in entry.items() if name == first or name not in alternatives}
    return entry


def _mismatch(keys: _Keys, expected: str, value: Any) -> str:
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
    return f"{shown(place)}: expected {expected}, found {kind(value)}"
