"""Syntax of names in a pipeline."""

from __future__ import annotations

import re

NAME_CHARACTERS = "up to 200 lower-case letters, digits, '.', '_' and '-', and a letter or digit first"
# Records of tasks are files of these names, and names of files may have 255 bytes.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")


def is_name(text: str) -> bool:
    """Return whether a value is a valid name."""
    return bool(_NAME.fullmatch(text))
