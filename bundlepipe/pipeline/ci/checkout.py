"""The git commit that a plan was made for, held against the checkout of a job."""

from __future__ import annotations

import json
import os

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.files import read_document
from bundlepipe.limits import LARGEST_PLAN
from bundlepipe.pipeline.planning.checkouts import repository_of

_SHOWN = 12


def commit_here() -> str:
    """Return the git commit of the current directory; empty if it is in no repository, or its branch has no commit.

    Raises BundlepipeError for a repository that git cannot use, or if git is missing.
    """
    repository = repository_of(os.getcwd())
    return repository.head() if repository else ""


def check_commit(path: str) -> None:
    """Raise BundlepipeError if the current directory has another commit than that of the plan in a file.

    InputError if it cannot be read, BundlepipeError if git cannot say which commit is here. A plan without commit fits
    any directory: each task compares its own inputs.
    """
    try:
        document = json.loads(read_document(path, LARGEST_PLAN))
    except ValueError:
        return  # the run says where it is faulty
    planned = document.get("commit") if isinstance(document, dict) else None
    here = commit_here() if planned else ""
    if planned and here and here != planned:
        raise BundlepipeError(
            f"{printable(path)}: was made for commit {str(planned)[:_SHOWN]}, and this is {here[:_SHOWN]}: check that "
            "commit out, or plan again"
        )
