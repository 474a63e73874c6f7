"""The settings of CI that loaded tasks have."""

from __future__ import annotations

from collections.abc import Iterable

from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.running.edges import PipelineTask


def ci_of(tasks: Iterable[Task]) -> CI:
    """Return the settings that the pipelines of some tasks declare, the defaults if none does.

    Raises BundlepipeError if two pipelines declare some: there is one graph of jobs.
    """
    declared = {task.pipeline: task.ci for task in tasks if isinstance(task, PipelineTask) and task.ci}
    if len(declared) > 1:
        names = " and ".join(f"'{name}'" if name else "the one without a prefix" for name in declared)
        raise BundlepipeError(f"several pipelines of the dodo.py have settings of CI, {names}: keep those of one")
    return next(iter(declared.values()), CI())
