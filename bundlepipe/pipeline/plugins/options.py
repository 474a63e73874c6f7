"""Options of our commands of doit."""

from __future__ import annotations

import os
from typing import Any


def switch(name: str, text: str, *, long: str = "", short: str = "") -> dict[str, Any]:
    """Return an option that is on or off, as doit defines them; `text` is its help."""
    return {"name": name, "short": short, "long": long or name, "type": bool, "default": False, "help": text}


def seen_from(directory: str, path: str) -> str:
    """Return a path of the command line, given in a directory, after doit has changed to that of the tasks."""
    return path if os.getcwd() == directory else os.path.join(directory, path)
