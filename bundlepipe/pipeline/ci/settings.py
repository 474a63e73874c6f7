"""The settings of CI that loaded tasks have."""

from __future__ import annotations

from collections.abc import Sequence

from doit.task import Task

from bundlepipe.errors import BundlepipeError, DocumentError
from bundlepipe.pipeline.ci.patterns import unmatched
from bundlepipe.pipeline.declared.ci import CI
from bundlepipe.pipeline.running.edges import PipelineTask


def ci_of(tasks: Sequence[Task]) -> CI:
    """Return the settings that the pipelines of some tasks declare, the defaults if none does.

    Raises BundlepipeError if two pipelines declare some, as there is one graph of jobs, and DocumentError for patterns
    that match none of the tasks, which are all of the dodo.py.
    """
    declared = {task.pipeline: task.ci for task in tasks if isinstance(task, PipelineTask) and task.ci}
    if len(declared) > 1:
        names = " and ".join(f"'{name}'" if name else "the one without a prefix" for name in declared)
        raise BundlepipeError(f"several pipelines of the dodo.py have settings of CI, {names}: keep those of one")
    ci = next(iter(declared.values()), CI())
    if faults := list(unmatched(ci, tasks)):
        raise DocumentError(faults)
    return ci
