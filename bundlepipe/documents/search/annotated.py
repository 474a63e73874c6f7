"""Images of Kubernetes resources: those in kbld's annotation, and those that `kbld inspect` finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from msgspec import Struct

from bundlepipe.documents.resources import Resource, find_resources
from bundlepipe.documents.search.annotations import IMAGES_ANNOTATION, Origin
from bundlepipe.documents.search.files import ComposedFile
from bundlepipe.documents.search.kinds import configuration_kind
from bundlepipe.documents.search.rules import DEFAULT_RULE, SearchRule
from bundlepipe.documents.search.walk import ImageWalk
from bundlepipe.documents.yaml.core_schema import STRING, as_text
from bundlepipe.documents.yaml.fault import Fault, rendered
from bundlepipe.documents.yaml.go_yaml import list_problem
from bundlepipe.documents.yaml.reader import decoded, parse
from bundlepipe.documents.yaml.text import Text
from bundlepipe.documents.yaml.writer import text_of
from bundlepipe.errors import DocumentError

_EXPECTED = "expected a list of mappings with a 'url', as YAML in a string"


class ListedImage(Struct, frozen=True):
    """An image of a resource, and its origins from the annotation."""

    image: str
    origins: Sequence[Origin]
    resource: str


def listed_images(content: bytes, path: str) -> list[ListedImage]:
    """Return the images in the annotations of all resources of a YAML file, in order.

    Annotations of old releases of kbld, with `URL` and `Metas`, are read too. Raises DocumentError,
    calling the file `path`, for text that is not YAML and, with their positions, for annotations in
    another format.
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


class InspectedImage(Struct, frozen=True):
    """A reference in a resource, and its origins according to kbld, as YAML; empty if unknown."""

    image: str
    metadata: str
    resource: str


def inspected_images(file: ComposedFile, rules: Sequence[SearchRule]) -> Iterator[InspectedImage]:
    """Yield every reference that kbld finds in the resources of a file, resolved or not.

    Origins are those in the annotation of the resource. Raises DocumentError for an annotation that
    kbld cannot read.
    """
    for document in file.documents:
        if configuration_kind(document.root, as_kbld=True):
            continue
        walk = ImageWalk(file.text, [*rules, DEFAULT_RULE], [], as_kbld=True)
        for root in _roots(document.root):
            found = walk.found_in(root)
            resource = Resource(root)
            metadata = _metadata(file, resource) if found else {}
            for image in (image for each in found for image in each.images()):
                yield InspectedImage(image.value, metadata.get(image.value, ""), resource.description)


def _roots(root: yaml.Node) -> list[yaml.MappingNode]:
    """Return the resources of a document: itself, or its items."""
    if not isinstance(root, yaml.MappingNode):
        return []
    items = Resource(root).member("items")
    return [root] if not isinstance(items, yaml.SequenceNode) else items.value


def _metadata(file: ComposedFile, resource: Resource) -> dict[str, str]:
    """Return the origins in a resource's annotation by image; for an image that is listed twice, the first."""
    node = resource.member("metadata", "annotations", IMAGES_ANNOTATION)
    text = node.value if isinstance(node, yaml.ScalarNode) and node.tag == STRING else ""
    problem = list_problem(text, "[]cmd.imageStruct")
    found: dict[str, str] = {}
    for entry in () if problem else parse(text.encode(), IMAGES_ANNOTATION)[0].data or () if text.strip() else ():
        url, origins = _member(entry, "url"), _member(entry, "origins")
        if (
            not (entry is None or isinstance(entry, dict))
            or isinstance(url, (dict, list))
            or not (origins is None or isinstance(origins, list))
        ):
            problem = _EXPECTED
        else:
            found.setdefault(as_text(url), text_of(origins).strip() if origins is not None else "null")
    if problem:
        index = node.start_mark.index if node else 0
        fault = file.text.file.fault(index, f"{IMAGES_ANNOTATION}: {problem}")
        raise DocumentError(rendered(file.path, [fault]), drop_in=problem)
    return found


def _images(text: str) -> Iterator[tuple[str, Sequence[Origin]]]:
    # kbld writes null if no image has known origins.
    filled = [document for document in parse(text.encode(), IMAGES_ANNOTATION) if document.data is not None]
    if len(filled) > 1 or (filled and not isinstance(filled[0].data, list)):
        raise DocumentError([_EXPECTED])
    for entry in filled[0].data if filled else ():
        image = _member(entry, "url")
        origins = _member(entry, "origins") or _member(entry, "metas") or []
        if not isinstance(image, str) or not isinstance(origins, list):
            raise DocumentError([_EXPECTED])
        yield image, origins


def _member(entry: Any, name: str) -> Any:
    """Return the value of a key in a mapping, in any case, as Go's JSON library finds it."""
    items = entry.items() if isinstance(entry, dict) else ()
    return next((value for key, value in items if key.lower() == name), None)
