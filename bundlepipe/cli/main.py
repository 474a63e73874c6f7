"""The entry point of the command."""

from __future__ import annotations

import sys

from bundlepipe.garbage_collection import collect_rarely


def main() -> None:
    """Run the command in the arguments of the process, and exit: 0, 1 for an error, 130 if interrupted.

    It is 141 if the reader of the output is gone, as with imgpkg and kbld.
    """
    # Before anything large is imported.
    collect_rarely()
    from bundlepipe.cli.program import run

    status = run(sys.argv[0], sys.argv[1:])
    if status == 130:
        from bundlepipe.concurrency.termination import end_at_once_if_interrupted

        end_at_once_if_interrupted()
    sys.exit(status)
