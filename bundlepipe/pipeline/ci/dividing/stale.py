"""The stale tasks of a saved plan, and what decides in which jobs they can be.

A *local* task changes only the clone of its job, so any job that needs it can do it again: locks, renders, pulls, and
users' own tasks that the settings say may be repeated. All others have an effect outside: other jobs find what they
made where they put it. But what some make *stays* in the clone: users' own tasks, pushes and copies to layouts, tar
files and an Engine, copies that write a lock, and, as long as their result is not known, copies and images that a
program makes. What needs those must be in the same job.

A task is *open* if other jobs do not take its result over from the plan: local ones, since they do them again, and
those whose result the plan does not know or that also write a lock, since they find these by their inputs, which they
have to make first. So what needs an open task must also be in the job of what stays before that.

Tasks with a common *place* must be in one job too, since two would do work twice: builds of one context, copies to one
repository or local place, and locks that may build the sources of one kbld configuration. Such locks push images, so
they are not local.

Tasks that would find nothing to change are in no job, and neither are local tasks that no other task needs: a job's
clone is thrown away.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.carrying_out.elsewhere import LOCAL_GROUPS
from bundlepipe.pipeline.ci.dividing.costs import estimated
from bundlepipe.pipeline.ci.patterns import is_of_environment, may_repeat
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.records.groups import GROUPS, group_name
from bundlepipe.pipeline.running.edges import needs_among
from bundlepipe.stores.location import (
    ENGINE_PREFIX,
    LAYOUT_PREFIX,
    LOCAL_PREFIXES,
    EngineLocation,
    LayoutLocation,
    parse_location,
)

T = TypeVar("T", bound=Hashable)

# Whose files tasks of a group read, if there is one of the same name.
_PAIRS = {"push_bundle": "lock_bundle", "apply_config": "render_config"}
# What a saved task has of the files that it makes.
_MADE = ("records", "outputs")
_STALE = ("run", "maybe")
# Of tasks that cannot run, in the message.
_MOST_SHOWN = 3
# Between a reference and the directory of its layout, as the options of tasks have it.
_IN = " in "


class StaleTask(Struct, frozen=True, kw_only=True):
    """A task that a job has to do; `needs` are indexes of stale tasks before it.

    `is_own` says that it is a user's. Jobs that need the result of an open task need what that task needs, too.
    `environment` is None for a local task that matches no pattern: it can be in any job. `upload` and `download` are
    bytes.
    """

    name: str
    needs: Sequence[int]
    is_own: bool
    is_local: bool
    is_open: bool
    stays: bool
    places: Sequence[str]
    environment: str | None
    seconds: float
    upload: int
    download: int


def stale_tasks(
    plan: Mapping[str, Any], settings: CI, durations: Mapping[str, float], *, everything: bool = False
) -> list[StaleTask]:
    """Return the tasks of a saved plan that change anything, or all: in its order, but each after those that it needs.

    `durations` are measured seconds by name. Raises BundlepipeError for a plan that cannot be carried out.
    """
    if "saved" not in plan:
        raise BundlepipeError(
            "the plan says what a run would do, but not of what: make one that can be carried out with "
            "'doit plan --out FILE'"
        )
    saved = plan["saved"].get("tasks", {})
    _check_errors(plan["tasks"])
    found: dict[str, Mapping[str, Any]] = {}
    for task in plan["tasks"]:
        if everything or (task["state"] in _STALE and not _is_done(task, saved)):
            found[task["name"]] = task
    needs = {task["name"]: set(task["needs"]) for task in plan["tasks"]}
    if everything:
        for name, others in _needs_by_files(saved).items():
            needs.setdefault(name, set()).update(others)
    # Tasks with nothing to change may be on the way: a lock is as it was, but what it names is pushed with a new tag.
    before = needs_among(found, lambda name: needs.get(name, ()), found.__contains__)
    order = ordered(before)
    numbers = {name: number for number, name in enumerate(order)}
    if len(order) < len(found):
        stuck = next(name for name in found if name not in numbers)
        raise BundlepipeError(f"{printable(stuck)} waits for itself, by the plan: plan again")
    stale = []
    for name in order:
        earlier = sorted(numbers[other] for other in before[name])
        stale.append(_stale(found[name], saved.get(name, {}), earlier, settings, durations.get(name)))
    return stale if everything else _with_effect(stale)


def _check_errors(tasks: Sequence[Mapping[str, Any]]) -> None:
    """Raise BundlepipeError with the tasks that cannot run, and why; without those that only follow, if possible."""
    failing = [task for task in tasks if task["state"] == "error"]
    first = [task for task in failing if not any(reason["code"] == "taskCannotRun" for reason in task["reasons"])]
    shown = (first or failing)[:_MOST_SHOWN]
    if not shown:
        return
    named = "; ".join(_with_reason(task) for task in shown)
    others = len(failing) - len(shown)
    more = f"; and {others} more" if others else ""
    raise BundlepipeError(f"cannot run, as planned: {named}{more}: correct that, and plan again")


def _with_reason(task: Mapping[str, Any]) -> str:
    why = f" ({printable(task['reasons'][0]['because'])})" if task["reasons"] else ""
    return f"{printable(task['name'])}{why}"


def _is_done(task: Mapping[str, Any], saved: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether a task would find nothing to change, in any clone."""
    own = saved.get(task["name"], {})
    is_unchanged = bool(task.get("result", {}).get("unchanged"))
    return is_unchanged and not _stays(_group(task["name"], own.get("pipeline")), own)


def _needs_by_files(saved: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return what tasks need whose files they read, as far as a plan has them: of those that are up to date, too."""
    makers = {path: name for name, task in saved.items() for key in _MADE for path in task.get(key, {})}
    needs = {}
    for name, task in saved.items():
        needs[name] = {makers[path] for path in task.get("files") or () if path in makers} - {name}
        first = _PAIRS.get(_group(name, task.get("pipeline")))
        if first:
            before = f"{group_name(first, task['pipeline'])}:{name.partition(':')[2]}"
            needs[name] |= {before} & saved.keys()
    return needs


def _with_effect(tasks: Sequence[StaleTask]) -> list[StaleTask]:
    """Return the tasks with an effect outside of a job's clone, and the local ones that these need."""
    needed = [not task.is_local for task in tasks]
    for number in reversed(range(len(tasks))):
        if needed[number]:
            for other in tasks[number].needs:
                needed[other] = True
    kept = [number for number, is_needed in enumerate(needed) if is_needed]
    numbers = {old: new for new, old in enumerate(kept)}
    return [replace(tasks[old], needs=[numbers[other] for other in tasks[old].needs]) for old in kept]


def ordered(needs: Mapping[T, Collection[T]]) -> list[T]:
    """Return the keys in their order, but each after those that it needs; without those that are in a cycle."""
    names = list(needs)
    numbers = {name: number for number, name in enumerate(names)}
    waiting = [len(needs[name]) for name in names]
    needers: list[list[int]] = [[] for _ in names]
    for name, before in needs.items():
        for other in before:
            needers[numbers[other]].append(numbers[name])
    ready = [number for number, count in enumerate(waiting) if not count]
    order = []
    while ready:
        number = heappop(ready)
        order.append(names[number])
        for needer in needers[number]:
            waiting[needer] -= 1
            if not waiting[needer]:
                heappush(ready, needer)
    return order


def _stale(
    task: Mapping[str, Any], saved: Mapping[str, Any], needs: Sequence[int], settings: CI, seconds: float | None
) -> StaleTask:
    name, options, cost = task["name"], saved.get("options", {}), task.get("cost", {})
    group = _group(name, saved.get("pipeline"))
    is_local = _is_local(name, group, saved, settings)
    environment = _environment(name, settings)
    return StaleTask(
        name=name,
        needs=needs,
        is_own=not group,
        is_local=is_local,
        is_open=is_local or _is_open(group, saved),
        stays=not is_local and _stays(group, saved),
        places=() if is_local else tuple(_places(group, saved)),
        environment=environment if environment is not None or is_local else "",
        seconds=estimated(group, options, task) if seconds is None else seconds,
        upload=cost.get("upload", 0),
        download=cost.get("download", 0),
    )


def _group(name: str, prefix: str | None) -> str:
    """Return the group of a pipeline's task, one of `GROUPS`; empty for a user's own task."""
    own = name.partition(":")[0]
    return next((group for group in GROUPS if prefix is not None and own == group_name(group, prefix)), "")


def _environment(name: str, settings: CI) -> str | None:
    matching = (each for pattern, each in settings.environments.items() if is_of_environment(name, pattern))
    return next(matching, None)


def _is_local(name: str, group: str, saved: Mapping[str, Any], settings: CI) -> bool:
    if group:
        return group in LOCAL_GROUPS and not _may_build(group, saved)
    return any(may_repeat(name, pattern) for pattern in settings.repeat)


def _may_build(group: str, saved: Mapping[str, Any]) -> bool:
    """Return whether a lock may build sources of kbld's configuration: that is known only if its result is."""
    is_known = "sources" in saved.get("values", {})
    return group == "lock_bundle" and bool(saved.get("options", {}).get("config")) and not is_known


def _is_open(group: str, saved: Mapping[str, Any]) -> bool:
    """Return whether other jobs need what a task needs, to find its result; as `carrying_out.elsewhere` does."""
    if group == "apply_config":
        return False
    return "digest" not in saved.get("values", {}) or bool(saved.get("options", {}).get("lockOutput"))


def _stays(group: str, saved: Mapping[str, Any]) -> bool:
    """Return whether other jobs cannot find what a task makes."""
    options = saved.get("options", {})
    if not group or any(_is_local_place(options.get(key) or "") for key in ("destination", "to")):
        return True
    is_copied = group == "copy_bundle" or (group == "push_image" and "to" in options)
    is_open = "digest" not in saved.get("values", {})
    return (is_open and (is_copied or "run" in options)) or (is_copied and bool(options.get("lockOutput")))


def _is_local_place(text: str) -> bool:
    return text.startswith(LOCAL_PREFIXES) or _IN in text


def _places(group: str, saved: Mapping[str, Any]) -> Iterator[str]:
    options = saved.get("options", {})
    if group == "push_image" and "context" in options:
        yield f"the build context {normalise(options['context'])}"
    if _may_build(group, saved):
        yield from (f"the configuration {normalise(path)}" for path in options["config"])
    if group in ("copy_bundle", "push_image") and "to" in options:
        yield f"the destination {_without_tag(options['to'])}"


def _without_tag(to: str) -> str:
    """Return where a copy goes to, whatever its tag: two that are written at once do work twice."""
    if to.startswith(LOCAL_PREFIXES):
        location = parse_location(to)
        if isinstance(location, LayoutLocation):
            return f"{LAYOUT_PREFIX}{normalise(location.directory)}"
        return f"{ENGINE_PREFIX}{location.repository}" if isinstance(location, EngineLocation) else to
    reference, separator, directory = to.partition(_IN)
    return f"{Reference.parse(reference).repository}{separator}{directory}"
