"""Divide the tasks of a saved plan into jobs: `sharded` is all that others need.

`stale` reads the tasks, `costs` says how long they take, `units` joins what one job must do, `waves` finds the waves
(from `levels`, by `improving`), and `packing` the jobs of a wave. The same plan always gives the same graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.dividing.pieces import Limits
from bundlepipe.pipeline.ci.dividing.placing import jobs_of
from bundlepipe.pipeline.ci.dividing.stale import StaleTask, stale_tasks
from bundlepipe.pipeline.ci.dividing.units import Unit, units_of
from bundlepipe.pipeline.ci.dividing.waves import waves_of
from bundlepipe.pipeline.ci.graph import CIGraph, Shard
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.progress.phrases import counted

_LEAST_DIGITS = 2


def sharded(
    plan: Mapping[str, Any],
    settings: CI,
    *,
    durations: Mapping[str, float] | None = None,
    everything: bool = False,
    commit: str = "",
) -> CIGraph:
    """Return the graph of jobs that does what a saved plan says; without shards if nothing is stale.

    `plan` is the document of `doit plan --out`. `durations` are seconds by the name of the task, as `costs.measured`
    returns them; others are estimated. With `everything`, tasks that are up to date are in the graph too; what needs
    these follows from the files that a plan has. `commit` is passed on.

    Raises BundlepipeError for a plan that cannot be carried out, for tasks that must be in one job and are of different
    environments, and for settings with too few waves for the environments.
    """
    tasks = stale_tasks(plan, settings, durations or {}, everything=everything)
    if not tasks:
        return CIGraph(shards=(), commit=commit)
    units = units_of(tasks)
    limits = Limits(settings.shards, settings.waves, settings.startup)
    found = waves_of(units, limits)
    if found is None:
        raise BundlepipeError(
            f"the tasks do not fit into {counted(settings.waves, 'wave')} of {counted(settings.shards, 'job')}, since "
            "those of different environments cannot share a job: raise ci.waves or ci.shards, or give fewer tasks an "
            "environment in ci.environments"
        )
    shards = [
        _shard(tasks, units, numbers, wave, f"{wave}-{number:0{max(_LEAST_DIGITS, len(str(len(jobs))))}}")
        for wave, jobs in enumerate(jobs_of(units, found, limits), 1)
        for number, numbers in enumerate(jobs, 1)
    ]
    return CIGraph(shards=_with_edges(shards, tasks), commit=commit)


def _shard(tasks: Sequence[StaleTask], units: Sequence[Unit], numbers: Sequence[int], wave: int, name: str) -> Shard:
    members = sorted(task for number in numbers for task in units[number].tasks)
    return Shard(
        name=name,
        wave=wave,
        tasks=[tasks[number].name for number in members],
        seconds=sum(tasks[number].seconds for number in members),
        upload=sum(tasks[number].upload for number in members),
        download=sum(tasks[number].download for number in members),
        environment=units[numbers[0]].environment,
    )


def _with_edges(shards: Sequence[Shard], tasks: Sequence[StaleTask]) -> list[Shard]:
    """Return the shards, each with those that it needs, and the tasks whose results it uses."""
    numbers = {task.name: number for number, task in enumerate(tasks)}
    of_task = [0] * len(tasks)
    for index, shard in enumerate(shards):
        for name in shard.tasks:
            of_task[numbers[name]] = index
    inputs = [_inputs(tasks, [numbers[name] for name in shard.tasks]) for shard in shards]
    needed = [{of_task[number] for number in each} for each in inputs]
    return [
        replace(shard, needs=[shards[index].name for index in kept], inputs=[tasks[number].name for number in each])
        for shard, kept, each in zip(shards, _reduced(needed), inputs, strict=True)
    ]


def _inputs(tasks: Sequence[StaleTask], own: Sequence[int]) -> list[int]:
    """Return the tasks of other shards that those of one need, directly or through local tasks."""
    found, seen, waiting = set[int](), set(own), list(own)
    while waiting:
        for needed in tasks[waiting.pop()].needs:
            if needed in seen:
                continue
            seen.add(needed)
            if tasks[needed].is_local:
                waiting.append(needed)
            else:
                found.add(needed)
    return sorted(found)


def _reduced(needed: Sequence[set[int]]) -> list[list[int]]:
    """Return what each shard needs, without what one of those needs; sets of shards are the bits of a number."""
    before: list[int] = []
    reduced = []
    for others in needed:
        through = 0
        for other in others:
            through |= before[other]
        reduced.append(sorted(other for other in others if not through >> other & 1))
        before.append(through | sum(1 << other for other in others))
    return reduced
