"""The tool that the command behaves as: bundlepipe, or that of the link it was started through."""

from __future__ import annotations

import os
from typing import Literal

from msgspec import Struct

ToolName = Literal["bundlepipe", "imgpkg", "kbld"]


class Tool(Struct, frozen=True):
    """A tool and its properties.

    `prefixes` begin its environment variables; the first that is set is used. `release` is the
    version of the tool whose behaviour it has, None for bundlepipe itself.
    """

    name: ToolName
    prefixes: tuple[str, ...]
    release: str | None = None


BUNDLEPIPE = Tool("bundlepipe", ("BUNDLEPIPE", "IMGPKG"))
IMGPKG = Tool("imgpkg", ("IMGPKG",), "0.44.0")
KBLD = Tool("kbld", ("KBLD",), "0.45.0")

_LINKS = {tool.name: tool for tool in (IMGPKG, KBLD)}


def tool_of(program: str) -> Tool:
    """Return the tool for a program's path: by its name, without an extension such as `.exe`."""
    name, _ = os.path.splitext(os.path.basename(program))
    return _LINKS.get(name, BUNDLEPIPE)  # type: ignore[call-overload, no-any-return]
