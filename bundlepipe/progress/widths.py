"""The width of text in a fixed-width font, which has wide characters and such that join the one before."""

from __future__ import annotations

import unicodedata


def cells(text: str) -> int:
    """Return how many cells text takes: two for wide characters of East Asia, none for combining ones.

    Source: Unicode Standard Annex 11, "East Asian Width".
    """
    return len(text) if text.isascii() else sum(map(_of_character, text))


def _of_character(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
