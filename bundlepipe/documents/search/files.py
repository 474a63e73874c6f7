"""Find the image references in configuration and replace them in its text.

kbld's rules decide what a reference is. A replaced scalar is edited in place: comments, order,
quotes, anchors and line endings are kept, and every byte outside a reference stays unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest

import yaml
from msgspec import Struct

from bundlepipe.documents.search.annotations import IMAGES_ANNOTATION
from bundlepipe.documents.search.found import Found, FoundImage, SearchedText
from bundlepipe.documents.search.kinds import configuration_kind
from bundlepipe.documents.search.printed import is_printed, items_of_list, marked, takes_annotations, written_anew
from bundlepipe.documents.search.rules import DEFAULT_RULE, SearchRule
from bundlepipe.documents.search.walk import ImageWalk, IndexedFault, compose_searched, in_order
from bundlepipe.documents.yaml.composer import ComposedDocument, YamlFault
from bundlepipe.documents.yaml.edit import Edit, apply
from bundlepipe.documents.yaml.entry import shared_nodes, with_entry
from bundlepipe.documents.yaml.fault import Fault, rendered
from bundlepipe.documents.yaml.reader import BYTE_ORDER_MARK, decoded, json_as_yaml
from bundlepipe.documents.yaml.text import Text
from bundlepipe.errors import DocumentError

__all__ = ["Annotation", "FoundImage", "RenderedDocument", "SearchedFile", "search_images"]

_IMAGES_ANNOTATION = ("metadata", "annotations", IMAGES_ANNOTATION)
# Returns the text of kbld's images annotation for a resource with these images, None for no annotation.
Annotation = Callable[[Sequence[FoundImage]], str | None]


class RenderedDocument(Struct, frozen=True):
    """A document of a file, with comments up to the next one: its root, None if there is none, and its content."""

    root: yaml.Node | None
    content: bytes


class _Resource(Struct, frozen=True):
    """A document, or an item of its `items`, with the images found in it."""

    root: yaml.MappingNode
    found: Sequence[Found]

    @property
    def is_kubernetes(self) -> bool:
        """Whether it has the fields of a Kubernetes resource."""
        return {"apiVersion", "kind"} <= {key.value for key, _ in self.root.value if isinstance(key, yaml.ScalarNode)}

    def annotation(self, text_of: Annotation) -> str | None:
        """Return the text of its annotation."""
        return text_of([image for found in self.found for image in found.images()])


class _Document(Struct, frozen=True):
    """A document, and what was found in it; kbld's configuration is not searched."""

    composed: ComposedDocument
    is_configuration: bool
    found: Sequence[Found] = ()
    resources: Sequence[_Resource] = ()

    def annotations(self, text_of: Annotation) -> dict[int, str]:
        """Return the annotations that kbld adds, by the ids of the mappings that get them."""
        texts = {id(each.root): each.annotation(text_of) for each in self.resources if takes_annotations(each.root)}
        return {identity: text for identity, text in texts.items() if text is not None}


class SearchedFile:
    """A file and the references in it.

    `images` are the references in order, once for each alias target. Documents that configure kbld
    are not searched; `has_configuration` says whether there are any.
    """

    def __init__(self, path: str, content: bytes, text: str, documents: Sequence[_Document]) -> None:
        self.path = path
        self.images: tuple[FoundImage, ...] = tuple(
            image for document in documents for found in document.found for image in found.images()
        )
        self.has_configuration = any(document.is_configuration for document in documents)
        self._content = content
        self._text = text
        self._documents = documents

    def replaced(self, replacements: Mapping[str, str]) -> bytes:
        """Return the content of the file with references replaced by their value in `replacements`."""
        edits = self._edits(replacements, None)
        return self._edited([edit for of_document in edits for edit in of_document])

    def rendered(self, replacements: Mapping[str, str], annotation: Annotation | None = None) -> bytes:
        """Return the content as `replaced` does, without the documents that configure kbld.

        With `annotation`, each resource (a document, or an item of its `items`, with apiVersion and
        kind) in which images were found gets the annotation `kbld.k14s.io/images` that it returns.
        Raises DocumentError if a resource cannot be annotated in place.
        """
        edits = [edit for of_document in self._edits(replacements, annotation) for edit in of_document]
        return self._edited(_apart([*edits, *self._removing()]))

    def rendered_documents(
        self, replacements: Mapping[str, str], annotation: Annotation | None = None
    ) -> list[RenderedDocument]:
        """Return what `rendered` does, split by document; a file without documents is returned as one."""
        if not self._documents:
            return [RenderedDocument(None, self._content)]
        bounds = [0, *(document.composed.start for document in self._documents[1:]), len(self._text)]
        return [
            RenderedDocument(document.composed.root, self._part(edits, *bounds[index : index + 2]))
            for index, (document, edits) in enumerate(
                zip(self._documents, self._edits(replacements, annotation), strict=True)
            )
            if not document.is_configuration
        ]

    def printed(self, replacements: Mapping[str, str], annotation: Annotation | None = None) -> Iterator[bytes]:
        """Yield the documents as kbld prints them.

        This is the result of `rendered`, each document after its own `---`, without empty ones. The
        items of a list become documents, and every document, or item, with images gets the
        annotation. Raises DocumentError if it cannot be placed.
        """
        bounds = [0, *(document.composed.start for document in self._documents[1:]), len(self._text)]
        for document, (start, end) in zip(self._documents, pairwise(bounds), strict=False):
            if document.is_configuration or not is_printed(document.composed.root):
                continue
            edits = [edit for found in document.found for edit in found.edits(replacements)]
            texts = document.annotations(annotation) if annotation else {}
            try:
                added = self._adding(document, texts)
            except YamlFault as fault:
                raise DocumentError(rendered(self.path, [Text(self._text).fault(fault.index, fault.text)])) from None
            part = self._part([*(added or ()), *edits], start, end)
            if added is not None:
                yield marked(part)
                continue
            items = items_of_list(document.composed.root)
            nodes = [document.composed.root] if items is None else items
            is_json = self.path.endswith(".json")
            yield from written_anew(part.decode(), [texts.get(id(node)) for node in nodes], is_json=is_json)

    def _adding(self, document: _Document, texts: Mapping[int, str]) -> list[Edit] | None:
        """Return the edits that add the annotations of a document; None if it has to be rewritten."""
        root = document.composed.root
        if items_of_list(root) is not None:
            return None
        shared = shared_nodes(root)
        annotated = [resource.root for resource in document.resources if id(resource.root) in texts]
        try:
            return [with_entry(self._text, node, _IMAGES_ANNOTATION, texts[id(node)], shared) for node in annotated]
        except YamlFault:
            if annotated != [root]:
                raise
            return None

    def _part(self, edits: Sequence[Edit], start: int, end: int) -> bytes:
        within = [Edit(edit.start - start, edit.end - start, edit.text) for edit in _apart(edits)]
        return apply(within, self._text[start:end]).encode()

    def _edited(self, edits: Sequence[Edit]) -> bytes:
        # Not parsed again: each edit either stays within a scalar, whose new text was already checked against
        # the parser, or inserts an entry in a form that does not depend on its surroundings.
        if not edits:
            return self._content
        mark = BYTE_ORDER_MARK.encode() if self._content.startswith(BYTE_ORDER_MARK.encode()) else b""
        return mark + apply(edits, self._text).encode()

    def _removing(self) -> Iterator[Edit]:
        kept_before = False
        for document, following in zip_longest(self._documents, self._documents[1:]):
            if not document.is_configuration:
                kept_before = True
                continue
            composed = document.composed
            start = composed.start if composed.has_marker else 0
            end = following.composed.start if following else len(self._text)
            if kept_before and following and composed.end is not None and self._text[end] == "%":
                # Content before a directive has to be ended.
                end = composed.end
            yield Edit(start, end, "")

    def _edits(self, replacements: Mapping[str, str], annotation: Annotation | None) -> list[list[Edit]]:
        """Return the edits for each document that replace its references and annotate its resources."""
        faults: list[Fault] = []
        edits = []
        for document in self._documents:
            added = [*self._annotating(document, annotation, faults)] if annotation else []
            edits.append([*added, *(edit for found in document.found for edit in found.edits(replacements))])
        if faults:
            raise DocumentError(rendered(self.path, faults))
        return edits

    def _annotating(self, document: _Document, annotation: Annotation, faults: list[Fault]) -> Iterator[Edit]:
        shared = shared_nodes(document.composed.root)
        for resource in document.resources:
            text = resource.annotation(annotation) if resource.is_kubernetes else None
            if text is None:
                continue
            try:
                yield with_entry(self._text, resource.root, _IMAGES_ANNOTATION, text, shared)
            except YamlFault as fault:
                faults.append(Text(self._text).fault(fault.index, fault.text))


class ComposedFile(Struct, frozen=True):
    """A parsed YAML file, before it is searched."""

    path: str
    content: bytes
    text: SearchedText
    documents: Sequence[ComposedDocument]


def compose_file(content: bytes, path: str) -> ComposedFile:
    """Parse the documents of a file; DocumentError for text that is not YAML."""
    text = decoded(content, path)
    source = Text(text)
    is_json = path.endswith(".json")
    searched = SearchedText(json_as_yaml(text) if is_json else text, path, source, lambda index: index)
    try:
        return ComposedFile(path, content, searched, compose_searched(searched))
    except YamlFault as fault:
        raise DocumentError(rendered(path, [source.fault(fault.index, fault.text)])) from None


def search_composed(file: ComposedFile, rules: Sequence[SearchRule] = (), *, as_kbld: bool = False) -> SearchedFile:
    """Search the documents of a file, by the rules and then by the rule for keys named `image`.

    A document with a list `items` is searched item by item: the paths that rules match start at the
    item. Raises DocumentError, with all faults of the file at their positions, for an empty
    reference and for an unrendered template expression; with `as_kbld` for neither.
    """
    faults: list[IndexedFault] = []
    documents = []
    for document in file.documents:
        walk = ImageWalk(file.text, [*rules, DEFAULT_RULE], faults, as_kbld=as_kbld)
        documents.append(_searched(document, walk, as_kbld=as_kbld))
    source = file.text.file
    if faults:
        raise DocumentError(rendered(file.path, [source.fault(*fault) for fault in faults]))
    return SearchedFile(file.path, file.content, source.content, documents)


def search_images(content: bytes, path: str, rules: Sequence[SearchRule] = ()) -> SearchedFile:
    """Search a file as `search_composed` does; also DocumentError for text that is not YAML."""
    return search_composed(compose_file(content, path), rules)


def _searched(document: ComposedDocument, walk: ImageWalk, *, as_kbld: bool) -> _Document:
    if configuration_kind(document.root, as_kbld=as_kbld):
        return _Document(document, True)
    items = _items(document.root)
    # kbld drops a list's other fields, and so never searches them; here they stay and are searched.
    is_list = as_kbld and items_of_list(document.root) is not None
    found_in = [(document.root, [] if is_list else walk.found_in(document.root, without=items))]
    if items:
        found_in += [(item, walk.found_in(item)) for item in items.value]
    resources = [
        _Resource(root, found)
        for root, found in (found_in[1:] if items else found_in)
        if found and isinstance(root, yaml.MappingNode)
    ]
    return _Document(document, False, in_order(each for _, found in found_in for each in found), resources)


def _items(root: yaml.Node) -> yaml.SequenceNode | None:
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "items" and isinstance(value, yaml.SequenceNode):
                return value
    return None


def _apart(edits: Sequence[Edit]) -> list[Edit]:
    """Return edits in order; of overlapping ones, the first and longest."""
    apart: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if not apart or edit.start >= apart[-1].end:
            apart.append(edit)
    return apart
