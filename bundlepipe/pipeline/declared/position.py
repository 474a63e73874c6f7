"""Where a declaration stands, found only when a message needs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from bundlepipe.errors import DocumentError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.declared.interpolation import Keys


@dataclass(frozen=True)
class Position:
    """The value that `keys` lead to in the YAML file at `path`, spelled as doit matches it; with `at_key`, its key."""

    path: str
    keys: Keys
    at_key: bool = False

    @cached_property
    def directory(self) -> str:
        """The directory of the file; empty for the one that paths are relative to."""
        return os.path.dirname(self.path)

    def inside(self, key: str) -> Position:
        """Return where the value of a key of this one is."""
        return Position(self.path, (*self.keys, key))

    def __str__(self) -> str:
        """Return `path:line:column`, or the path alone if the file is no longer what it was."""
        from bundlepipe.documents.yaml.reader import load_one

        try:
            with open(anchored(self.path), "rb") as file:
                line, column = load_one(file.read(), self.path).position(self.keys, key=self.at_key)
        except (OSError, DocumentError, LookupError):
            return self.path
        return f"{self.path}:{line}:{column}"
