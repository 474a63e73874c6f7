"""The reports of the jobs of a plan, from files, as one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from bundlepipe.documents.plan.saved import SavedPlan
from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.files import read_document
from bundlepipe.limits import LARGEST_PLAN
from bundlepipe.pipeline.reports.content import Report
from bundlepipe.pipeline.reports.merging import merged
from bundlepipe.pipeline.reports.reading import is_report, read_report

_EXTENSION = ".json"


def merged_report(paths: Sequence[str], plan: str | None) -> Report:
    """Return the merged report of JSON reports; a directory stands for those below it.

    `plan` is the path of the saved plan, by which tasks belong to jobs. Raises InputError for an unreadable file,
    DocumentError for one that is no report, BundlepipeError if there is neither a report nor a plan.
    """
    shards = None
    if plan:
        shards = {shard.name: shard.tasks for shard in SavedPlan.parse(read_document(plan, LARGEST_PLAN), plan).shards}
    found = [read_report(read_document(path, LARGEST_PLAN), path) for given in paths for path in _files(given)]
    if not found and shards is None:
        raise BundlepipeError("there is no report: name the .json files, or the plan whose jobs left none")
    return merged(found, shards)


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for directory, directories, names in os.walk(path):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(directory, name)
            if name.endswith(_EXTENSION) and is_report(read_document(path, LARGEST_PLAN)):
                yield path
