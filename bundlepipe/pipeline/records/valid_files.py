"""Which pipeline files are valid, and their data: it saves a run without changes the YAML parser and the validator."""

from __future__ import annotations

import contextlib
import hashlib
import json
from importlib.metadata import version
from typing import Any

from bundlepipe.filesystem.files import write_if_changed


class ValidFiles:
    """The data of files that are valid by a schema, in the file `cache` by the hashes of their content."""

    def __init__(self, cache: str, schema: str) -> None:
        self._cache = cache
        self._schema = schema
        self._generation = f"{version('bundlepipe')} 4"
        self._known: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        try:
            with open(cache, "rb") as file:
                stored = json.load(file)
            if stored["generation"] == self._generation:
                self._known = stored["files"]
        except (OSError, ValueError, KeyError, TypeError):
            # Without a usable cache the files are just parsed and validated.
            self._known = {}

    def load(self, path: str, content: bytes) -> dict[str, Any]:
        """Return the data of a file; DocumentError if it is not valid."""
        content_hash = hashlib.sha256(content).hexdigest()
        entry = self._known.get(path)
        if not entry or entry["sha256"] != content_hash:
            from bundlepipe.documents.schemas.validator import check
            from bundlepipe.documents.yaml.reader import load_one

            document = load_one(content, path)
            check(document, self._schema)
            entry = {"sha256": content_hash, "data": document.data}
        self._used[path] = entry
        data: dict[str, Any] = entry["data"]
        return data

    def save(self) -> None:
        """Save the files loaded, and only those."""
        if self._used != self._known:
            content = json.dumps({"generation": self._generation, "files": self._used})
            # If it cannot be written, the next run just parses and validates again.
            with contextlib.suppress(OSError):
                write_if_changed(self._cache, content.encode())
