"""Outside text in Markdown, as GitHub and GitLab show it: it stays text, whatever is in it.

Nothing stops these services from linking `@name` and `#1` but code, not even an escape before it; addresses are linked
in the source, so entities stop that. Used for plans, reports and differences.
"""

from __future__ import annotations

import re

from bundlepipe.errors import printable

# What begins something in a line of Markdown, also inside HTML elements; services link addresses and names of people.
_MARKUP = re.compile(r"[\\`*_\[\]#|~<>@:&$]|(?<=[Ww])\.")
# Between backticks no escape works, and spaces at both ends are lost; a bar ends a cell of a table.
_PLAIN = re.compile(r"[^`|\\\s]([^`|\\]*[^`|\\\s])?")


def as_code(text: str) -> str:
    """Return text of any content as code on one line, between backticks or else as `html_code`; empty text as it is."""
    shown = printable(text)
    return f"`{shown}`" if _PLAIN.fullmatch(shown) else html_code(text) if text else ""


def html_code(text: str) -> str:
    """Return text of any content as code on one line, by an HTML element: special characters are entities."""
    return f"<code>{_MARKUP.sub(lambda match: f'&#{ord(match[0])};', printable(text))}</code>"
