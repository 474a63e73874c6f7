"""Check that names refer to existing declarations, and that none is written where it would mean Docker Hub."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from bundlepipe.errors import InvalidReference, quoted
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.destinations import called
from bundlepipe.pipeline.declared.model import (
    Bundle,
    BundleSource,
    Copy,
    CopySource,
    Image,
    ImageSource,
    Lock,
    Pull,
    Source,
)
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.pipeline.declared.suggestions import suggestions
from bundlepipe.stores.location import LOCAL_PREFIXES

# Kind and name of each declared image, bundle and copy.
Names = Collection[tuple[str, str]]
Fault = tuple[object, str]

_SOURCES = (ImageSource, BundleSource, CopySource)


def source_name_faults(thing: Image | Copy | Pull, source: Source, names: Names) -> Iterator[Fault]:
    """Find an unknown name in `source`, and a name that would be looked up at Docker Hub."""
    what = called(thing)
    if isinstance(source, BundleSource | ImageSource | CopySource):
        yield from _unknown(source, names, thing.where, what)
    elif isinstance(source, str):
        own = None if isinstance(thing, Pull) else (thing.kind, thing.name)
        # If an image of this name is copied from a tag of the same name, it must be another one.
        here = [(kind, name) for kind, name in _named(source, names) if (kind, name) != own]
        if here:
            yield _within(thing.where, "from"), f"{what}: from: {_advice(source, here, thing)}"


def included_name_faults(bundle: Bundle, lock: Lock, names: Names) -> Iterator[Fault]:
    """Find the same in a lock's included references."""
    what = f"lock of bundle '{bundle.name}'"
    for index, included in enumerate(lock.include):
        if not isinstance(included, str):
            yield from _unknown(included, names, lock.where, what)
            continue
        here = [(kind, name) for kind, name in _named(included, names) if kind != CopySource.kind]
        if here:
            yield _within(lock.where, "include", index), f"{what}: include: {_advice(included, here, bundle)}"


def _unknown(
    source: BundleSource | ImageSource | CopySource, names: Names, where: object, what: str
) -> Iterator[Fault]:
    if (source.kind, source.name) not in names:
        known = [name for kind, name in names if kind == source.kind]
        instead = suggestions(source.name, known)
        yield where, f"{what}: there is no {source.kind} '{source.name}' in this pipeline; {instead}"


def _named(text: str, names: Names) -> list[tuple[str, str]]:
    """Return what in this pipeline has the name at the start of a reference without registry and path."""
    repository, _, _ = text.partition("@")[0].partition(":")
    if "/" in text.partition("@")[0] or text.startswith(LOCAL_PREFIXES):
        return []
    return [(source.kind, repository) for source in _SOURCES if (source.kind, repository) in names]


def _advice(text: str, here: Collection[tuple[str, str]], thing: Image | Copy | Pull | Bundle) -> str:
    """Return what to write instead, in the syntax of the declaration."""
    try:
        elsewhere = str(Reference.parse(text))
    except InvalidReference:
        elsewhere = f"index.docker.io/library/{text}"  # its fault is reported separately
    sentence = f"{quoted(text)} has the name of something made here, but as a text it means the one at Docker Hub"
    for_docker_hub = f"{elsewhere} for the one at Docker Hub"
    if isinstance(thing, Image):
        return f"{sentence}: write {for_docker_hub}; what is made here is copied by one of the copies"
    by_name = " or ".join(_by_name(kind, name, thing.where is None) for kind, name in here)
    return f"{sentence}: write {by_name} for what is made here, or {for_docker_hub}"


def _by_name(kind: str, name: str, is_python: bool) -> str:
    if not is_python:
        return f"{{{kind}: {name}}}"
    source = next(source for source in _SOURCES if source.kind == kind)
    return f"{source.__name__}({name!r})"


def _within(where: Position | None, *keys: str | int) -> Position | None:
    return replace(where, keys=(*where.keys, *keys), at_key=False) if where else None
