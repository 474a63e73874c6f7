"""Secrets in the environment, which messages and output of users' own tasks may quote."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

# What the names of secrets have in them; further letters would make other words of the short ones: AUTHOR, PATH.
_NAMES = re.compile(
    r"PASS(WORD|WD|PHRASE|CODE)|PASS(?![A-Z])|(?<=_)PWD(?![A-Z])|SECRET|TOKEN|CRED(ENTIAL)?S?(?![A-Z])"
    r"|KEYS?(?![A-Z])|AUTH(?!OR(?!I[SZ]))|(?<![A-Z])PAT(?![A-Z])|JWT|COOKIE|WEBHOOK",
    re.IGNORECASE,
)
# A shorter value, such as `true`, would blot out ordinary words.
_SHORTEST = 6
# The part of a URL before its host; an `@` of a password may be as it is.
_USER = re.compile(r"\b[a-z][a-z0-9+.-]*://([^/?#\s]*)@", re.IGNORECASE)
# A user without a password may be a token, if no name of a person or account is as long.
_SHORTEST_TOKEN = 20
# A parameter of a URL, a connection string or a command line.
_PARAMETER = re.compile(r"([\w.-]+)=([^&;\s#\"']+)")


def secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts of variables that are secret by their names, and what is secret inside of other values.

    A value that is the path of a file that exists is none. bundlepipe's own errors have no secrets: stores redact
    what servers quote. But doit shows the command of a task that failed, and a report is kept longer, and read by more
    people, than a terminal.
    """
    for name, value in environment.items():
        is_secret = bool(_NAMES.search(name)) and not ("/" in value and os.path.exists(value))
        found = [value] if is_secret else []
        for secret in (*found, *_within(value)):
            yield from (text for text in _shown(secret) if len(text) >= _SHORTEST)


def _shown(secret: str) -> Iterator[str]:
    """Yield a secret, and the parts of it that are shown by themselves: programs strip texts, and show single lines."""
    yield secret
    yield from dict.fromkeys(line.strip() for line in (secret, *secret.splitlines()))


def _within(value: str) -> Iterator[str]:
    """Yield the passwords of URLs, and the parameters and members that are secret by their names, in a value."""
    for url in _USER.finditer(value):
        user, _, password = url[1].partition(":")
        if not password and len(user) >= _SHORTEST_TOKEN:
            password = user
        yield from (password, unquote(password))
    for parameter in _PARAMETER.finditer(value):
        if _NAMES.search(parameter[1]):
            yield from (parameter[2], unquote(parameter[2]))
    if value.lstrip().startswith(("{", "[")):
        try:
            yield from _members(json.loads(value))
        except (ValueError, RecursionError):
            return  # it only looks like JSON


def _members(value: Any, name: str = "") -> Iterator[str]:
    """Yield the strings of a JSON value that are secret by the names of their members."""
    if isinstance(value, str):
        if _NAMES.search(name):
            yield value
    elif isinstance(value, (dict, list)):
        members: Iterable[tuple[str, Any]] = value.items() if isinstance(value, dict) else ((name, v) for v in value)
        for key, member in members:
            yield from _members(member, key)
