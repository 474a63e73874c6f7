"""Options of our commands of doit."""

from __future__ import annotations

from typing import Any


def switch(name: str, text: str, *, long: str = "", short: str = "") -> dict[str, Any]:
    """Return an option that is on or off, as doit defines them; `text` is its help."""
    return {"name": name, "short": short, "long": long or name, "type": bool, "default": False, "help": text}
