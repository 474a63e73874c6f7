"""The lines that a new pipeline needs in .gitignore and .gitattributes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from bundlepipe.documents.imgpkg.paths import IMAGES_LOCK
from bundlepipe.errors import OutputError
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.pipeline.declared.paths import ancestors
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.starting.files import LOCK_FILE
from bundlepipe.starting.survey import FoundParts

MERGE_DRIVER = 'git config merge.bundlepipe.driver "bundlepipe lock merge %O %A %B %P"'

_MEANS_SOMETHING = re.compile(r"[\\*?\[]")


def is_in_git(directory: str) -> bool:
    """Return whether a directory is in a work tree of git."""
    return any(os.path.lexists(os.path.join(each, ".git")) for each in ancestors(os.path.realpath(directory)))


def git_lines(parts: FoundParts) -> dict[str, list[str]]:
    """Return the lines by file name: outputs of runs are ignored, and lock files are merged by entry."""
    generated = [os.path.normpath(f"{bundle.path}/{IMAGES_LOCK}") for bundle in parts.bundles if not bundle.is_authored]
    ignored = [f"/{STATE_DIRECTORY}/", "/build/", *(f"/{_MEANS_SOMETHING.sub(_escaped, path)}" for path in generated)]
    return {".gitignore": ignored, ".gitattributes": [f"{LOCK_FILE} merge=bundlepipe"]}


def add_lines(path: str, lines: Sequence[str]) -> bool:
    """Append the missing lines to a file; return whether there were any. Raises OutputError."""
    try:
        content = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                content = file.read()
        there = {line.strip() for line in content.splitlines()}
        missing = b"".join(line.encode() + b"\n" for line in lines if line.encode() not in there)
        separator = b"\n" if content and missing and not content.endswith(b"\n") else b""
        # For a link, the file that it points to.
        return write_if_changed(os.path.realpath(path), content + separator + missing) if missing else False
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _escaped(match: re.Match[str]) -> str:
    return "\\" + match[0]
