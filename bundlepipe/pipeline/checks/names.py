"""Check that names refer to existing declarations, and that none is written where it would mean Docker Hub."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bundlepipe.errors import InvalidReference, quoted
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.destinations import called
from bundlepipe.pipeline.declared.model import (
    Bundle,
    BundleSource,
    Copy,
    CopySource,
    Earlier,
    Image,
    ImageSource,
    Lock,
    Pull,
    Source,
)
from bundlepipe.pipeline.declared.position import Position
from bundlepipe.pipeline.declared.spelling import field_name, spelled
from bundlepipe.pipeline.declared.suggestions import suggestions
from bundlepipe.pipeline.records.groups import GROUP_OF
from bundlepipe.pipeline.running.ordering import task_of
from bundlepipe.stores.location import LOCAL_PREFIXES

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.reading import Declared

# Kind and name of each declared image, bundle and copy.
Names = Collection[tuple[str, str]]
Fault = tuple[object, str]

_LOCK, _APPLY = "lock_bundle", "apply_config"
# The most existing names that a message shows.
_MOST_NAMES = 5
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
            yield _within(thing.where, "from"), f"{what}: {field_name(thing, 'source')}: {_advice(source, here, thing)}"


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


def order_faults(declared: Declared) -> Iterator[Fault]:
    """Yield position and text of unknown names in `after`."""
    known = _tasks_known(declared)
    for thing in declared.all():
        for item in thing.after:
            yield from ((thing.where, f"{called(thing)}: after: {text}") for text in _unknown_task(item, known))


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
    sentence = f"{quoted(text)} has the name of something made here, but as a string it means the one at Docker Hub"
    for_docker_hub = f"{elsewhere} for the one at Docker Hub"
    if isinstance(thing, Image):
        return f"{sentence}: write {for_docker_hub}; what is made here is copied by one of the copies"
    by_name = " or ".join(_by_name(kind, name, thing) for kind, name in here)
    return f"{sentence}: write {by_name} for what is made here, or {for_docker_hub}"


def _by_name(kind: str, name: str, thing: Copy | Pull | Bundle) -> str:
    source = next(source for source in _SOURCES if source.kind == kind)
    return spelled(source(name), in_python=thing.where is None)


def _within(where: Position | None, *keys: str | int) -> Position | None:
    return replace(where, keys=(*where.keys, *keys), at_key=False) if where else None


def _tasks_known(declared: Declared) -> dict[str, set[str]]:
    """Return the known names of tasks in each group."""
    return {
        **{group: {thing.name for thing in declared.all() if thing.kind == kind} for kind, group in GROUP_OF.items()},
        _LOCK: {bundle.name for bundle in declared.bundles if bundle.lock},
        _APPLY: {render.name for render in declared.renders if render.apply},
    }


def _unknown_task(item: Earlier, known: dict[str, set[str]]) -> Iterator[str]:
    task = task_of(item)
    group, colon, name = task.partition(":")
    # Other groups' tasks, and those matched by a pattern, are known only to doit.
    if not colon or group not in known or "*" in name or name in known[group]:
        return
    what = f"task '{task}'" if isinstance(item, str) else f"{item.kind} '{name}'"
    yield f"there is no {what} in this pipeline; {_nearest(name, known[group])}"


def _nearest(name: str, names: Collection[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(names), n=_MOST_NAMES)
    if close:
        return f"did you mean {' or '.join(close)}?"
    some = sorted(names)[:_MOST_NAMES]
    more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return f"there are: {', '.join(some) or 'none'}{more}"
