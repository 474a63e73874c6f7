"""inspect: list the images in the annotations of resolved configuration, or all that `kbld inspect` finds."""

from __future__ import annotations

from collections.abc import Sequence

from bundlepipe.documents.search.annotated import InspectedImage, ListedImage, inspected_images, listed_images
from bundlepipe.errors import DocumentError
from bundlepipe.verbs.images.texts import Text, read_as_kbld


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


def inspect_as_kbld(texts: Sequence[Text]) -> list[InspectedImage]:
    """Return every reference in the resources, by the rules among them; DocumentError with the first fault."""
    files, rules = read_as_kbld(texts)
    return [image for file in files for image in inspected_images(file, rules.search_rules)]
