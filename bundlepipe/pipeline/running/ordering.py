"""The order of tasks: those that make what others use come first, and those named by `after`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.destinations import called
from bundlepipe.pipeline.declared.model import Copy, CopySource, Earlier, MadeHere, Pull, Pushable, Render
from bundlepipe.pipeline.records.groups import GROUP_OF, GROUPS, group_name
from bundlepipe.pipeline.records.state import digest_file
from bundlepipe.stores.location import ARCHIVE_PREFIX, LayoutLocation, parse_location

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.reading import Declared
    from bundlepipe.pipeline.running.run import Settings

_LOCK, _APPLY = "lock_bundle", "apply_config"
# The most existing names that a message shows.
_MOST_NAMES = 5


def tasks_before(after: Sequence[Earlier], settings: Settings) -> list[str]:
    """Return the names of the tasks that come first; in several pipelines, groups in texts mean this pipeline's."""
    return [_with_prefix(_task(item), settings.prefix) for item in after]


def edges_to(made: Collection[MadeHere | CopySource], settings: Settings) -> dict[str, list[str]]:
    """Return a task's doit dependencies on things made here: the tasks that make them, and their digest files."""
    ordered = sorted(made, key=lambda thing: (thing.kind, thing.name))
    return {
        "task_dep": [task_that_makes(thing, settings) for thing in ordered],
        "file_dep": [digest_file(thing.kind, settings.record(thing.name)) for thing in ordered],
    }


def task_that_makes(thing: MadeHere | CopySource, settings: Settings) -> str:
    """Return the name of the task that makes something."""
    return settings.task(GROUP_OF[thing.kind], thing.name)


def _task(item: Earlier) -> str:
    return item if isinstance(item, str) else f"{GROUP_OF[item.kind]}:{item.name}"


def _with_prefix(task: str, prefix: str) -> str:
    group, colon, name = task.partition(":")
    return f"{group_name(group, prefix)}{colon}{name}" if group in GROUPS else task


def order_faults(declared: Declared) -> Iterator[tuple[object, str]]:
    """Yield position and text of unknown names in `after`."""
    things: list[Pushable | Copy | Pull | Render] = [
        *declared.images,
        *declared.bundles,
        *declared.copies,
        *declared.pulls,
        *declared.renders,
    ]
    known = _known(declared, things)
    for thing in things:
        for item in thing.after:
            yield from ((thing.where, f"{called(thing)}: after: {text}") for text in _unknown(item, known))


def copies_of_tars(copies: Sequence[Copy]) -> dict[str, list[Copy]]:
    """Return the copies of tar files, by the repository or directory that they go to."""
    tars = {copy.name for copy in copies if copy.to.startswith(ARCHIVE_PREFIX)}
    found: dict[str, list[Copy]] = {}
    for copy in copies:
        if _is_of_tar(copy, tars):
            found.setdefault(place_of(copy), []).append(copy)
    return found


def unordered_beside(copy: Copy, of_tars: Sequence[Copy]) -> list[str]:
    """Return the copies of tar files to the same place that are not ordered before `copy`, also of a tar file.

    A tar file may lack layers that another one brings. `of_tars` are all that go to that place.
    """
    if copy not in of_tars:
        return []
    before = {item.name for item in copy.after if isinstance(item, CopySource)}
    return [other.name for other in of_tars if other is not copy and other.name not in before]


def _is_of_tar(copy: Copy, tars: Collection[str]) -> bool:
    if isinstance(copy.source, CopySource):
        return copy.source.name in tars
    return isinstance(copy.source, str) and copy.source.startswith(ARCHIVE_PREFIX)


def place_of(copy: Copy) -> str:
    """Return the repository or directory of a copy's destination, without tag."""
    to = parse_location(copy.to)
    if isinstance(to, Reference):
        return str(to.repository)
    return to.directory if isinstance(to, LayoutLocation) else str(to)


def order_advice(beside: Sequence[str]) -> str:
    """Return what to add to a message if a failed copy may have run before those it needs."""
    if not beside:
        return ""
    names = " and ".join(f"copy '{name}'" for name in beside)
    goes, it = ("goes", "it brings") if len(beside) == 1 else ("go", "they bring")
    after = ", ".join(f"{{copy: {name}}}" for name in beside)
    return f"; {names} {goes} there too: if {it} the layers, add 'after: [{after}]'"


def _known(declared: Declared, things: Sequence[Pushable | Copy | Pull | Render]) -> dict[str, set[str]]:
    """Return the known names of tasks in each group."""
    return {
        **{group: {thing.name for thing in things if thing.kind == kind} for kind, group in GROUP_OF.items()},
        _LOCK: {bundle.name for bundle in declared.bundles if bundle.lock},
        _APPLY: {render.name for render in declared.renders if render.apply},
    }


def _unknown(item: Earlier, known: dict[str, set[str]]) -> Iterator[str]:
    task = _task(item)
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
