"""Check the declarations of a dodo.py as the schema checks a pipeline file, before anything uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bundlepipe.errors import DocumentError, quoted
from bundlepipe.pipeline.declared.destinations import called
from bundlepipe.pipeline.declared.fields.kinds import Path, PathInContext, Plain
from bundlepipe.pipeline.declared.fields.types import ListType, ObjectType, type_of
from bundlepipe.pipeline.declared.model import Verify
from bundlepipe.pipeline.declared.names import NAME_CHARACTERS, is_name
from bundlepipe.pipeline.declared.reading import KINDS, Declared, registry_fault
from bundlepipe.stores.settings import DEFAULT_LAYOUT_DIRECTORY, LAYOUT_HOST, RegistrySettings

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.ci import CI

_PIPELINE = "Pipeline"


def listed(value: Any) -> Any:
    """Return a list of any iterable, copied before it can change; other values unchanged, to be refused."""
    return list(value) if ListType(ObjectType(object)).accepts(value) else value


def checked_declarations(given: Mapping[str, Any]) -> Declared:
    """Return the declarations in the arguments of a `Pipeline`, with lists for sequences and normalised paths.

    Raises DocumentError with all values of the wrong type, or out of bounds.
    """
    problems: list[str] = []
    lists: dict[str, Any] = {name: _declarations(name, kind, given[name], problems) for name, kind in KINDS.items()}
    verify = type_of(Verify | None).checked(given["verify"], f"{_PIPELINE}: verify", problems.append)
    lock_file = type_of(Path | None).checked(given.get("lock_file"), f"{_PIPELINE}: lock", problems.append)
    reports = type_of(Sequence[Path]).checked(given.get("reports", ()), f"{_PIPELINE}: reports", problems.append)
    ci = _ci(given.get("ci"), problems)
    registries = _registries({} if given["registries"] is None else given["registries"], problems)
    if problems:
        raise DocumentError(problems)
    return Declared(
        **lists,
        registries=registries,
        verify=verify,
        lock_file=lock_file,
        reports=dict.fromkeys(reports),
        ci=ci,
    )


def checked_path(given: Any) -> str:
    """Return the path of a pipeline file as a text; DocumentError for other types."""
    problems: list[str] = []
    path: str = type_of(PathInContext).checked(given, f"{_PIPELINE}: path", problems.append)
    if problems:
        raise DocumentError(problems)
    return path


def checked_prefix(given: Any) -> str:
    """Return the prefix of a pipeline, which may be empty; DocumentError if it cannot be part of names."""
    problems: list[str] = []
    where = f"{_PIPELINE}: prefix"
    prefix: str = type_of(Plain).checked(given, where, problems.append)
    if not problems and prefix and not is_name(prefix):
        problems.append(f"{where}: {quoted(prefix)} is not a prefix: expected {NAME_CHARACTERS}")
    if problems:
        raise DocumentError(problems)
    return prefix


def _declarations(name: str, kind: type[Any], given: Any, problems: list[str]) -> list[Any]:
    item = ObjectType(kind)
    expected = ListType(item)
    where = f"{_PIPELINE}: {name}"
    if not expected.accepts(given):
        expected.checked(given, where, problems.append)
        return []
    return [_declaration(item, each, f"{where}[{index}]", problems) for index, each in enumerate(given)]


def _declaration(item: ObjectType, given: Any, place: str, problems: list[str]) -> Any:
    has_name = item.accepts(given) and isinstance(given.name, str) and given.name
    return item.checked(given, called(given) if has_name else place, problems.append)


def _ci(given: Any, problems: list[str]) -> CI | None:
    if given is None:
        return None
    from bundlepipe.pipeline.declared.ci import CI

    checked: CI = ObjectType(CI).checked(given, f"{_PIPELINE}: ci", problems.append)
    return checked


def _registries(given: Any, problems: list[str]) -> dict[str, RegistrySettings]:
    built_in = {LAYOUT_HOST: RegistrySettings(layout=DEFAULT_LAYOUT_DIRECTORY)}
    where, before = f"{_PIPELINE}: registries", len(problems)
    checked = type_of(Mapping[str, RegistrySettings]).checked(given, where, problems.append)
    if len(problems) > before:
        return built_in
    faults = ((host, registry_fault(host, settings)) for host, settings in checked.items())
    problems += [f"{_PIPELINE}: {fault}" for _, fault in faults if fault]
    return {**built_in, **checked}
