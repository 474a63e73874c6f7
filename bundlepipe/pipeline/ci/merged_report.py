"""The reports of the jobs of a plan, from files, as one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from bundlepipe.documents.plan.saved import SavedPlan
from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.files import read_document
from bundlepipe.limits import LARGEST_PLAN
from bundlepipe.pipeline.reports.content import Report
from bundlepipe.pipeline.reports.merging import merged
from bundlepipe.pipeline.reports.reading import is_report, read_report

_EXTENSION = ".json"


def merged_report(paths: Sequence[str], plan: str | None) -> tuple[Report, list[str]]:
    """Return the merged report of JSON reports, and a line for each that is left out; a directory stands for its files.

    `plan` is the path of the saved plan, by which tasks belong to jobs; reports of other runs are left out. Raises
    InputError for an unreadable file, DocumentError for one that is no report, BundlepipeError if there is neither a
    report nor a plan.
    """
    saved = SavedPlan.parse(read_document(plan, LARGEST_PLAN), plan) if plan is not None else None
    found = {path: read_report(read_document(path, LARGEST_PLAN), path) for given in paths for path in _files(given)}
    if saved is None:
        if not found:
            raise BundlepipeError("there is no report: name the .json files, or the plan whose jobs left none")
        return merged([*found.values()]), []
    others = {path: why for path, report in found.items() if (why := _why_not(report, saved))}
    own = [report for path, report in found.items() if path not in others]
    left_out = [f"{printable(path)}: left out: {why}" for path, why in others.items()]
    return merged(own, saved.shards, saved.identity), left_out


def _why_not(report: Report, plan: SavedPlan) -> str:
    """Return why a report is not one of a job of a plan; an empty text if it is."""
    if not report.plan:
        return f"it is of a run that carried out no saved plan, not {plan.path}"
    if report.plan != plan.identity:
        return f"it is of another plan than {plan.path}"
    if report.job not in {shard.name for shard in plan.shards}:
        return f"it is not of one shard of {plan.path}"
    return ""


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
