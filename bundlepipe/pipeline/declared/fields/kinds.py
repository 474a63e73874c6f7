"""Annotations and metadata for the fields of declarations.

To a type checker each annotation is the plain type of the value. Paths from a dodo.py may be `os.PathLike`;
they are converted to texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

from msgspec import Struct


class TextKind(Enum):
    """How a text is interpreted, which decides how it is normalised."""

    PLAIN = "any string, which may be empty"
    TEXT = "a string that is not empty"
    PATH = "a path, relative to the directory doit runs in"
    PATH_IN_CONTEXT = "a path, relative to something else"
    LOCATION = "a reference or a local location"
    EXCLUSION = "tar:FILE or the path of a lock"
    ARGUMENT = "an argument of a program, which may be secret"


class Limits(Struct, frozen=True):
    """The smallest and largest number allowed; None for no limit."""

    least: int
    most: int | None = None


Plain = Annotated[str, TextKind.PLAIN]
Text = Annotated[str, TextKind.TEXT]
Path = Annotated[str, TextKind.PATH]
PathInContext = Annotated[str, TextKind.PATH_IN_CONTEXT]
Location = Annotated[str, TextKind.LOCATION]
Exclusion = Annotated[str, TextKind.EXCLUSION]
Argument = Annotated[str, TextKind.ARGUMENT]
Size = Annotated[int, Limits(1)]
Concurrency = Annotated[int, Limits(1, 64)]

# The key of a command in the data of a pipeline file, unmodified. No key of a declaration begins like this.
WRITTEN = "$written"


def key(in_yaml: str | None, *, compared: bool = True) -> Mapping[str, Any]:
    """Return the `metadata` of a field whose YAML name is not its camel case name; None for one without a key."""
    return {"key": in_yaml, "compared": compared}


# The value belongs to another task, or only matters while the task runs: its change makes nothing stale.
NOT_COMPARED: Mapping[str, Any] = {"compared": False}
# In YAML, the key of the whole declaration.
NAME = key(None, compared=False)
# In YAML, a key that is the `kind` of the class.
UNDER_ITS_KIND = key("kind")
# In YAML, the directory of the file.
FILE_DIRECTORY = key(None)
# In YAML, it may be empty after variable substitution, and then is no path.
MAY_BE_EMPTY: Mapping[str, Any] = {"may_be_empty": True}
