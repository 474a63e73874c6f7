"""What the texts and numbers in declarations are: annotations that the guard of Python declarations reads.

To a type checker each of them is the plain type that code gets to see. Where a dodo.py gives a
path, `os.PathLike` is taken as well, and has become a text by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Annotated


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
