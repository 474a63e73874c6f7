"""How long a task takes: as an earlier run measured, or else by what it does and how many bytes it moves.

Estimates only have to be right in proportion: they divide work among jobs that have the same speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundlepipe.filesystem.files import read_document
from bundlepipe.limits import LARGEST_PLAN

# A task that finds its result at the destination sends one request, and has to read its files for that.
SECONDS_UNCHANGED = 0.3
# Reading, packing, and three to five requests; bytes come on top.
SECONDS_OF_PUSH = 1.0
# Only files are read and written: digests come from the plan.
SECONDS_OF_LOCK = 0.2
SECONDS_OF_RENDER = 0.5
# As a push, but files are written too.
SECONDS_OF_PULL = 1.0
# A copy asks for each of its images at both ends, even if their blobs are there; how many is not in a plan.
SECONDS_OF_COPY = 2.0
# What most Dockerfiles take on a machine without a cache of their layers.
SECONDS_OF_BUILD = 60.0
# A program or a user's own task may do anything: most generate or compile something.
SECONDS_OF_PROGRAM = 10.0
# kubectl starts, asks the cluster about each object, and often waits for a rollout.
SECONDS_OF_APPLY = 10.0
# Between a hosted runner and a registry, over several connections, with compression on two cores.
BYTES_A_SECOND = 20e6


def estimated(group: str, options: Mapping[str, Any], task: Mapping[str, Any]) -> float:
    """Return the seconds that a task of a plan takes.

    `group` is one of `GROUPS`, empty for a user's own task; `options` are those of the saved task.
    """
    result, cost = task.get("result", {}), task.get("cost", {})
    if result.get("unchanged"):
        return SECONDS_UNCHANGED
    moved: int = cost.get("upload", 0) + cost.get("download", 0)
    return _of_work(group, options) + moved / BYTES_A_SECOND


def _of_work(group: str, options: Mapping[str, Any]) -> float:
    if group == "push_image" and "context" in options:
        return SECONDS_OF_BUILD
    if group == "push_image" and "run" in options:
        return SECONDS_OF_PROGRAM
    if group == "push_image" and "to" in options:
        return SECONDS_OF_COPY
    return {
        "push_image": SECONDS_OF_PUSH,
        "push_bundle": SECONDS_OF_PUSH,
        "lock_bundle": SECONDS_OF_LOCK,
        "render_config": SECONDS_OF_RENDER,
        "pull_bundle": SECONDS_OF_PULL,
        "copy_bundle": SECONDS_OF_COPY,
        "apply_config": SECONDS_OF_APPLY,
    }.get(group, SECONDS_OF_PROGRAM)


def measured(path: str) -> dict[str, float]:
    """Return the seconds that tasks took in a run, by name, from its report; only of those that did their work.

    It is what a run writes with `BUNDLEPIPE_REPORT=FILE.json`. Raises DocumentError for a file that is no such report,
    InputError for one that cannot be read.
    """
    from bundlepipe.pipeline.reports.content import DONE, UNCHANGED
    from bundlepipe.pipeline.reports.reading import read_report

    seconds: dict[str, float] = {}
    for task in read_report(read_document(path, LARGEST_PLAN), path).tasks:
        if task.outcome in (DONE, UNCHANGED) and task.seconds is not None:
            # Several jobs may have done a local task.
            seconds[task.name] = max(seconds.get(task.name, 0.0), task.seconds)
    return seconds
