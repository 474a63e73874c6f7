"""Bundle: what a bundle says about itself (`.imgpkg/bundle.yml`)."""

from __future__ import annotations

from bundlepipe.documents.schemas import validator
from bundlepipe.errors import DocumentError


def check_bundle(content: bytes, path: str) -> list[str]:
    """Return a line `path:line:column: …` for each fault of a bundle.yml; none if it is in order.

    imgpkg never reads this file, so what others wrote may have any form: it is for the
    caller to decide between error and warning.
    """
    from bundlepipe.documents.yaml.reader import load_one

    try:
        return validator.problems(load_one(content, path), "bundle")
    except DocumentError as error:
        return list(error.problems)
