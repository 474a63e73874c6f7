"""The order of tasks: those that make what others use come first, and those named by `after`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.model import Copy, CopySource, Earlier, MadeHere
from bundlepipe.pipeline.declared.spelling import setting
from bundlepipe.pipeline.records.groups import GROUP_OF, GROUPS, group_name
from bundlepipe.pipeline.records.state import digest_file
from bundlepipe.stores.location import ARCHIVE_PREFIX, LayoutLocation, parse_location

if TYPE_CHECKING:
    from bundlepipe.pipeline.running.run import Settings


def tasks_before(after: Sequence[Earlier], settings: Settings) -> list[str]:
    """Return the names of the tasks that come first; in several pipelines, groups in texts mean this pipeline's."""
    return [_with_prefix(task_of(item), settings.prefix) for item in after]


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


def task_of(item: Earlier) -> str:
    """Return the name of a task that comes first, as it is in a pipeline without prefix."""
    return item if isinstance(item, str) else f"{GROUP_OF[item.kind]}:{item.name}"


def _with_prefix(task: str, prefix: str) -> str:
    group, colon, name = task.partition(":")
    return f"{group_name(group, prefix)}{colon}{name}" if group in GROUPS else task


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


def order_advice(copy: Copy, beside: Sequence[str]) -> str:
    """Return what to add to a message if a failed copy may have run before those it needs."""
    if not beside:
        return ""
    names = " and ".join(f"copy '{name}'" for name in beside)
    goes, it = ("goes", "it brings") if len(beside) == 1 else ("go", "they bring")
    after = setting(copy, "after", [CopySource(name) for name in beside])
    return f"; {names} {goes} there too: if {it} the layers, add {after}"
