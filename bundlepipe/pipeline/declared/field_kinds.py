"""What the fields of declarations say of themselves: annotations of their texts and numbers, and `metadata`.

To a type checker each of the annotations is the plain type that code gets to see. Where a dodo.py
gives a path, `os.PathLike` is taken as well, and has become a text by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any


class TextKind(Enum):
    """How a text is understood, which decides how it is spelled from then on."""

    PLAIN = "any text, which may be empty"
    TEXT = "a text that says something"
    PATH = "a path, relative to the directory doit runs in"
    PATH_IN_CONTEXT = "a path, relative to something else"
    LOCATION = "a reference or a local home"
    EXCLUSION = "tar:FILE or the path of a lock"
    ARGUMENT = "what a program gets, which may be secret"


@dataclass(frozen=True)
class Limits:
    """The least and the greatest number that is taken; None for no limit."""

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

# The key of a command in the data of a pipeline file, as it is written there. No key of a declaration begins so.
WRITTEN = "$written"


def key(in_yaml: str | None, *, compared: bool = True) -> Mapping[str, Any]:
    """Return the `metadata` of a field that is not the camel case of its name in YAML; None for one that has no key."""
    return {"key": in_yaml, "compared": compared}


# The value belongs to another task, or matters only while the task runs: its change makes nothing stale.
NOT_COMPARED: Mapping[str, Any] = {"compared": False}
# In YAML, the key of the whole declaration.
NAME = key(None, compared=False)
# In YAML, under a key that is the `kind` of the class.
UNDER_ITS_KIND = key("kind")
# In YAML, the directory of the file.
FILE_DIRECTORY = key(None)
# In YAML, where variables may leave it empty, which is then no path.
MAY_BE_EMPTY: Mapping[str, Any] = {"may_be_empty": True}
