"""Which tool the command behaves as: its own self, or what the link says that it was started through."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

ToolName = Literal["bundlepipe", "imgpkg", "kbld"]


@dataclass(frozen=True)
class Tool:
    """A name to be called by, and what hangs on it.

    `prefixes` begin the environment variables that are read, the first that is set counts.
    `release` is the version whose behaviour it has, None for bundlepipe itself.
    """

    name: ToolName
    prefixes: tuple[str, ...]
    release: str | None = None


BUNDLEPIPE = Tool("bundlepipe", ("BUNDLEPIPE", "IMGPKG"))
IMGPKG = Tool("imgpkg", ("IMGPKG",), "0.44.0")
KBLD = Tool("kbld", ("KBLD",), "0.45.0")

_LINKS = {tool.name: tool for tool in (IMGPKG, KBLD)}


def tool_of(program: str) -> Tool:
    """Return the tool for a program's path: what it is called decides, an extension such as `.exe` apart."""
    name, _ = os.path.splitext(os.path.basename(program))
    return _LINKS.get(name, BUNDLEPIPE)  # type: ignore[call-overload, no-any-return]
