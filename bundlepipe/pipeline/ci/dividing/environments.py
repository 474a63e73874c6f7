"""The environment of each unit: tasks of different protected environments never share a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.pipeline.ci.dividing.joining import Joined
from bundlepipe.pipeline.ci.dividing.stale import StaleTask


def environments_of(tasks: Sequence[StaleTask], homes: Sequence[int], joined: Joined) -> dict[int, str]:
    """Return the environment of each unit, by its smallest task; BundlepipeError for one that has several."""
    deciding: dict[int, int] = {}
    for number, task in enumerate(tasks):
        if homes[number] == number and task.environment is not None:
            first = deciding.setdefault(joined.of(number), number)
            if tasks[first].environment != task.environment:
                advice = _repeating(tasks, joined, number)
                raise _conflict(tasks, first, number, _why(tasks, joined, first, number), advice)
    return {
        own: (tasks[deciding[own]].environment or "") if own in deciding else ""
        for own in {joined.of(number) for number in range(len(tasks)) if homes[number] == number}
    }


def check_repeated(
    tasks: Sequence[StaleTask], homes: Sequence[int], joined: Joined, environments: Mapping[int, str]
) -> None:
    """Raise BundlepipeError if jobs of another environment than its own would have to do a local task again."""
    # For each open task the local one whose environment counts where it is needed: itself, or one that it needs.
    deciding: dict[int, int] = {}
    for number, task in enumerate(tasks):
        if task.is_local and task.environment is not None:
            deciding[number] = number
        for needed in task.needs:
            if needed not in deciding:
                continue
            of_needed = tasks[deciding[needed]].environment
            if task.is_open:
                deciding.setdefault(number, deciding[needed])
            is_passage = homes[number] != number
            if joined.of(needed) == joined.of(number) and not is_passage:
                continue
            own = tasks[deciding[number]].environment if is_passage else environments[joined.of(number)]
            if own != of_needed:
                raise _conflict(tasks, deciding[needed], number, _only_there(tasks[deciding[needed]]))


def _conflict(tasks: Sequence[StaleTask], one: int, other: int, why: str, advice: str = "") -> BundlepipeError:
    return BundlepipeError(
        f"{_of(tasks[one])} and {_of(tasks[other])} have to run in one job, since {why}: give both the same "
        f"environment in ci.environments{advice}"
    )


def _repeating(tasks: Sequence[StaleTask], joined: Joined, one: int) -> str:
    """Return that the users' own tasks of a unit may be repeated, if those are all that stays there."""
    staying = [task for number, task in enumerate(tasks) if task.stays and joined.of(number) == joined.of(one)]
    if not staying or not all(task.is_own for task in staying):
        return ""
    return f", or add {printable(staying[0].name)} to ci.repeat if it makes the same in every job"


def _of(task: StaleTask) -> str:
    where = f"of the environment {printable(task.environment)}" if task.environment else "of no environment"
    return f"{printable(task.name)} ({where})"


def _why(tasks: Sequence[StaleTask], joined: Joined, one: int, other: int) -> str:
    """Return why two tasks are in one unit."""
    members = [task for number, task in enumerate(tasks) if joined.of(number) == joined.of(one)]
    staying = [task for task in (tasks[one], tasks[other]) if task.is_local] or [task for task in members if task.stays]
    if staying:
        return _only_there(staying[0])
    places = [place for task in members for place in task.places]
    shared = next(place for place in places if places.count(place) > 1)
    return f"all with {printable(shared)} do"


def _only_there(task: StaleTask) -> str:
    return f"what {printable(task.name)} makes is only in the clone of its job"
