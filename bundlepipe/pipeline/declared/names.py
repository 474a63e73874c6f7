"""Syntax of names in a pipeline."""

from __future__ import annotations

import re

NAME_CHARACTERS = "lower-case letters, digits, '.', '_' and '-', and a letter or digit first"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def is_name(text: str) -> bool:
    """Return whether a value is a valid name."""
    return bool(_NAME.fullmatch(text))
