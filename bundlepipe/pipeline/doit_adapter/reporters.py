"""Tell users who want reports of a run that the run's reporter writes none."""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

from doit.runner import Runner

_MARK = "_bundlepipe_tells"


def tell_of_missing_reports() -> None:
    """From now on, say so on stderr at the start of a run whose reporter does not write reports."""
    if hasattr(Runner, _MARK):
        return
    run_all = Runner.run_all

    @wraps(run_all)
    def told_run(self: Any, *arguments: Any) -> Any:
        # Only doit's own runs: a plan has no reports.
        if type(self).__module__ == Runner.__module__ and not getattr(self.reporter, "writes_reports", False):
            name = type(self.reporter).__name__
            # doit's JsonReporter has replaced sys.stderr by now.
            if sys.__stderr__:
                sys.__stderr__.write(f"no report is written: {name} writes none: use bundlepipe's, -r bundlepipe\n")
        return run_all(self, *arguments)

    Runner.run_all = told_run
    setattr(Runner, _MARK, True)
