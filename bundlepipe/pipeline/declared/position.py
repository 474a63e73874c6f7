"""The position of a declaration in a file, computed only when a message needs it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from bundlepipe.errors import DocumentError
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.declared.interpolation import Keys


@dataclass(frozen=True)
class Position:
    """The value at `keys` in the YAML file at `path`, normalised for doit; with `at_key`, its key."""

    path: str
    keys: Keys
    at_key: bool = False

    @cached_property
    def directory(self) -> str:
        """The directory of the file; empty for the base of relative paths."""
        return os.path.dirname(self.path)

    def inside(self, *keys: str | int) -> Position:
        """Return the position of the value of a key in this one, or of a key in that, and so on."""
        return Position(self.path, (*self.keys, *keys))

    def __str__(self) -> str:
        """Return `path:line:column`, or only the path if the file has changed."""
        from bundlepipe.documents.yaml.reader import load_one

        try:
            with open(anchored(self.path), "rb") as file:
                line, column = load_one(file.read(), self.path).position(self.keys, key=self.at_key)
        except (OSError, DocumentError, LookupError):
            return self.path
        return f"{self.path}:{line}:{column}"
