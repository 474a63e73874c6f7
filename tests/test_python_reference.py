"""The page about Python says what the code says: every public name, every field, every signature, every error."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

import bundlepipe
import bundlepipe.documents
from bundlepipe import errors

PAGE = Path(__file__).parents[1] / "docs/reference/python.md"
_SECTION = re.compile(r"^##+ (?P<title>.+)\n(?P<text>(?:(?!^##).*\n)*)", re.MULTILINE)
_ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| `(?P<type>.+?)` \| (?P<default>required|`.*?`) \| (?P<text>.+) \|$", re.MULTILINE
)
_MODULES = re.compile(r"^\| ((?:`bundlepipe\.[\w.]+`(?:, )?)+) \| (.+) \|$", re.MULTILINE)
_ERROR = re.compile(r"\b(?:[A-Z][A-Za-z]*Error|[A-Z][A-Za-z]+)\b")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SECTIONS = {match["title"].removeprefix("bundlepipe."): match["text"] for match in _SECTION.finditer(PAGE.read_text())}
PUBLIC = {name: getattr(bundlepipe, name) for name in bundlepipe.__all__}
FUNCTIONS = sorted(name for name, value in PUBLIC.items() if inspect.isfunction(value))
DECLARATIONS = {name: value for name, value in PUBLIC.items() if dataclasses.is_dataclass(value)}
STRUCTS = {
    name: value for name, value in PUBLIC.items() if isinstance(value, type) and issubclass(value, msgspec.Struct)
}
WITH_FIELDS = sorted(DECLARATIONS | STRUCTS)


def _functions() -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield the section, the name and the code of everything that the page gives a signature of."""
    for name in FUNCTIONS:
        yield name, name, PUBLIC[name]
    for owner, names in {"Stores": ("__init__", "close"), "Pipeline": ("__init__", "load")}.items():
        for name in names:
            yield owner, name, getattr(PUBLIC[owner], name)


def test_every_public_name_is_on_the_page() -> None:
    assert sorted(set(PUBLIC) - set(SECTIONS) - {"__version__"}) == [], "public, but without a section"
    assert "`bundlepipe.__version__`" in PAGE.read_text()


@pytest.mark.parametrize("name", WITH_FIELDS)
def test_the_page_has_the_fields_of_the_code(name: str) -> None:
    told = {row["name"]: (row["type"].replace("\\|", "|"), row["default"]) for row in _ROW.finditer(SECTIONS[name])}
    fields = _declared_fields(name) if name in DECLARATIONS else _struct_fields(name)
    missing, superfluous = sorted(fields.keys() - told.keys()), sorted(told.keys() - fields.keys())
    assert not missing, f"{PAGE.name}, section '{name}': no row for {missing}"
    assert not superfluous, f"{PAGE.name}, section '{name}': there is no field {superfluous}"
    assert list(told.items()) == list(fields.items()), "types, defaults or their order differ"


def _declared_fields(name: str) -> dict[str, tuple[str, str]]:
    return {
        field.name: (str(field.type), _default(field, dataclasses.MISSING))
        for field in dataclasses.fields(DECLARATIONS[name])
    }


def _struct_fields(name: str) -> dict[str, tuple[str, str]]:
    annotations = inspect.get_annotations(STRUCTS[name])
    return {
        field.name: (annotations[field.name], _default(field, msgspec.NODEFAULT))
        for field in msgspec.structs.fields(STRUCTS[name])
    }


def _default(field: Any, nothing: object) -> str:
    if dataclasses.is_dataclass(field.default) and not isinstance(field.default, type):
        assert field.default == type(field.default)()
        return f"`{type(field.default).__name__}()`"
    if field.default is not nothing:
        return f"`{field.default!r}`".replace("'", '"')
    return f"`{field.default_factory()!r}`" if field.default_factory is not nothing else "required"


@pytest.mark.parametrize(
    ("section", "name", "function"), [pytest.param(*it, id=".".join(it[:2])) for it in _functions()]
)
def test_the_page_has_the_signatures_of_the_code(section: str, name: str, function: Callable[..., Any]) -> None:
    told = _parameters(_definition(section, name))
    code = {
        parameter.name: (parameter.kind, parameter.annotation, parameter.default)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("self", "cls")
    }
    assert not code.keys() ^ told.keys(), f"{PAGE.name}, section '{section}': {name} differs in these parameters"
    assert list(told.items()) == list(code.items())
    returned = _definition(section, name).returns
    assert returned is not None and ast.unparse(returned) == inspect.signature(function).return_annotation


def _definition(section: str, name: str) -> ast.FunctionDef:
    trees = map(ast.parse, _BLOCK.findall(SECTIONS[section]))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return next(node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == name)


def _parameters(definition: ast.FunctionDef) -> Mapping[str, tuple[Any, str, Any]]:
    arguments = definition.args
    missing = len(arguments.args) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [*[None] * missing, *arguments.defaults]
    positional = [
        (each, default, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for each, default in zip(arguments.args, defaults, strict=True)
    ]
    named = [
        (each, default, inspect.Parameter.KEYWORD_ONLY)
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return {
        each.arg: (kind, ast.unparse(each.annotation) if each.annotation else "", _value(default))
        for each, default, kind in [*positional, *named]
        if each.arg not in ("self", "cls")
    }


def _value(default: ast.expr | None) -> Any:
    from bundlepipe.events import ignore

    names = {"ignore": ignore, "NetworkSettings": bundlepipe.NetworkSettings}
    return inspect.Parameter.empty if default is None else eval(ast.unparse(default), names)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_page_has_the_errors_of_the_code(name: str) -> None:
    documentation = " ".join((PUBLIC[name].__doc__ or "").split())
    told = _errors_in(SECTIONS[name].partition("\nRaises ")[2])
    assert told == _errors_in(documentation.partition("Raises ")[2])
    assert {"StoreError", "BundlepipeError"} & told or name == "lock"


def _errors_in(text: str) -> set[str]:
    known = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    return known & set(_ERROR.findall(text))


def test_annotations_can_be_resolved() -> None:
    for name in WITH_FIELDS:
        assert typing.get_type_hints(PUBLIC[name])


def test_every_error_is_in_the_reference() -> None:
    page = (PAGE.parent / "errors.md").read_text().partition("## In Python")[2]
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert sorted(name for name in classes - {"BundlepipeError"} if f"`{name}`" not in page) == []


def test_modules_of_the_page_have_what_it_says() -> None:
    rows = _MODULES.findall(SECTIONS["Below the interface"])
    assert len(rows) > 10
    for places, text in rows:
        modules = [import_module(place) for place in re.findall(r"`(bundlepipe[\w.]+)`", places + text)]
        for name in re.findall(r"`([a-z_]+(?=\([a-zA-Z])|[A-Z]\w+)", text):
            assert any(hasattr(module, name) for module in modules), f"{places}: {name}"


def test_documents_are_imported_when_they_are_used() -> None:
    program = (
        "import sys, bundlepipe, bundlepipe.documents, bundlepipe.api\n"
        "assert not {'yaml', 'doit', 'urllib3', 'docker'} & sys.modules.keys(), 'imported too early'\n"
        "from bundlepipe.documents import BundleLock, ImagesLock\n"
        "assert ImagesLock is bundlepipe.ImagesLock"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in bundlepipe.documents.__all__:
        assert getattr(bundlepipe.documents, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Bundel'"):
        _ = bundlepipe.documents.Bundel
    with pytest.raises(AttributeError, match="has no attribute 'psuh'"):
        _ = bundlepipe.psuh


SAMPLE = """
from pathlib import Path

import bundlepipe
from bundlepipe import BundleLock, Stores, ImagesLock, LockSource, RegistrySettings
from bundlepipe.documents import ImageLocations

with Stores({"a.example": RegistrySettings(insecure=True)}) as stores:
    pushed = bundlepipe.push([Path("app"), "more"], "a.example/app:1", tags=["2"], labels={"a": "b"}, stores=stores)
    reveal_type(pushed.was_there)
    bundlepipe.pull(pushed.reference, Path("out"), recursive=True)
    copied = bundlepipe.copy(LockSource("a.lock"), "tar:out.tar", stores=stores)
    lock: BundleLock | ImagesLock | None = copied.lock
    reveal_type(bundlepipe.lock("app", "app/.imgpkg/images.yml").images[0].digest)
    reveal_type(bundlepipe.describe("oci:layout").images)
    reveal_type(ImageLocations)
    reveal_type(bundlepipe.diff(Path("app"), bundlepipe.Bundle(name="app", files=["app"])).pairs)
bundlepipe.push(1, "a.example/app")
bundlepipe.pull("a.example/app", "out", recursve=True)
"""


def test_type_checkers_know_what_users_write(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "sample.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed type" in line]
    wrong = [line for line in lines if ": error: " in line]
    assert len(revealed) == 5, done.stdout
    parts = ("bool", "Digest", "ImageDescription", "ImageLocations", "PairDifference")
    assert all(part in text for part, text in zip(parts, revealed, strict=True))
    assert [line.partition(": ")[0] for line in wrong] == ["sample.py:18", "sample.py:19"], done.stdout
