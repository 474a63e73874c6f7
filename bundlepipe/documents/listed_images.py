"""The images that resources say they have: kbld's annotation, read as `kbld inspect` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bundlepipe.documents._text import Text
from bundlepipe.documents.fault import Fault, rendered
from bundlepipe.documents.images_annotation import IMAGES_ANNOTATION, Origin
from bundlepipe.documents.resources import find_resources
from bundlepipe.documents.yaml_source import decoded, load_one
from bundlepipe.errors import DocumentError

_EXPECTED = "expected a list of mappings with a 'url', as a YAML text"


@dataclass(frozen=True)
class ListedImage:
    """An image of a resource, with what the annotation says of where it comes from."""

    image: str
    origins: Sequence[Origin]
    resource: str


def listed_images(content: bytes, path: str) -> list[ListedImage]:
    """Return the images in the annotations of all resources of a YAML file, in their order.

    What old releases of kbld wrote, with `URL` and `Metas`, is read as well. Raises
    DocumentError, calling the file `path`, for text that is not YAML and, with their
    places, for annotations that are not of this form.
    """
    found: list[ListedImage] = []
    faults: list[Fault] = []
    for resource in find_resources(content, path):
        node = resource.member("metadata", "annotations", IMAGES_ANNOTATION)
        if not isinstance(node, yaml.ScalarNode):
            continue
        try:
            found += (ListedImage(image, origins, resource.description) for image, origins in _images(node.value))
        except DocumentError as error:
            text = Text(decoded(content, path))
            faults.append(text.fault(node.start_mark.index, f"{IMAGES_ANNOTATION}: {error.problems[0]}"))
    if faults:
        raise DocumentError(rendered(path, faults))
    return found


def _images(text: str) -> Iterator[tuple[str, Sequence[Origin]]]:
    data = load_one(text.encode(), IMAGES_ANNOTATION).data
    if not isinstance(data, list):
        raise DocumentError([_EXPECTED])
    for entry in data:
        image = _member(entry, "url")
        origins = _member(entry, "origins") or _member(entry, "metas") or []
        if not isinstance(image, str) or not isinstance(origins, list):
            raise DocumentError([_EXPECTED])
        yield image, origins


def _member(entry: Any, name: str) -> Any:
    """Return what a mapping has under a name, in whatever letters, as Go's JSON finds it."""
    items = entry.items() if isinstance(entry, dict) else ()
    return next((value for key, value in items if key.lower() == name), None)
