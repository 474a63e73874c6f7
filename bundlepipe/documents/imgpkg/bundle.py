"""Check a bundle's description of itself (`.imgpkg/bundle.yml`)."""

from __future__ import annotations

from bundlepipe.documents.schemas import validator
from bundlepipe.errors import DocumentError


def check_bundle(content: bytes, path: str) -> list[str]:
    """Return a line `path:line:column: …` for each fault of a bundle.yml; empty if it is valid.

    imgpkg never reads this file, so other authors' files may have any form: the caller decides
    between error and warning.
    """
    from bundlepipe.documents.yaml.reader import load_one

    try:
        return validator.problems(load_one(content, path), "bundle")
    except DocumentError as error:
        return list(error.problems)
