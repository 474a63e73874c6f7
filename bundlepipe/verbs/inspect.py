"""inspect: the images that resolved configuration lists in its annotations, as `kbld inspect` shows them."""

from __future__ import annotations

from collections.abc import Sequence

from bundlepipe.documents.listed_images import ListedImage, listed_images
from bundlepipe.errors import DocumentError
from bundlepipe.verbs.configuration import Text


def inspect(texts: Sequence[Text]) -> list[ListedImage]:
    """Return the images of all resources, in the order of the texts; DocumentError with all faults."""
    found: list[ListedImage] = []
    problems: list[str] = []
    for text in texts:
        try:
            found += listed_images(text.content, text.name)
        except DocumentError as error:
            problems.extend(error.problems)
    if problems:
        raise DocumentError(problems)
    return found
