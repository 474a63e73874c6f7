"""Results of a search for images: references, and texts with nested documents that contain references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import yaml
from msgspec import Struct

from bundlepipe.documents.yaml.edit import Edit
from bundlepipe.documents.yaml.scalar import ScalarText
from bundlepipe.documents.yaml.text import Text


class FoundImage(Struct, frozen=True):
    """A reference as configuration has it; line and column count from 1."""

    value: str
    path: str
    line: int
    column: int

    @property
    def where(self) -> str:
        """`path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"


class SearchedText(Struct, frozen=True):
    """A text to search: the file `path`, or a string in it.

    `file_index` converts a character index of `content` into one of the file.
    """

    content: str
    path: str
    file: Text
    file_index: Callable[[int], int]

    def image(self, value: str, index: int) -> FoundImage:
        """Return the reference `value` found at a character of this text."""
        return FoundImage(value, self.path, *self.file.position(self.file_index(index)))


class FoundReference(Struct, frozen=True):
    """A scalar that is a reference, in the text `content`."""

    content: str
    node: yaml.ScalarNode
    image: FoundImage

    def images(self) -> Iterator[FoundImage]:
        """Yield the reference."""
        yield self.image

    def edits(self, replacements: Mapping[str, str]) -> list[Edit]:
        """Return the edit of `content` that replaces the reference; none if it stays."""
        old = self.image.value
        new = replacements.get(old, old)
        return [] if new == old else ScalarText(self.content, self.node).edits([Edit(0, len(old), new)])


class FoundText(Struct, frozen=True):
    """A scalar whose value is a text with references, in order."""

    node: yaml.ScalarNode
    scalar: ScalarText
    found: Sequence[Found]

    def images(self) -> Iterator[FoundImage]:
        """Yield the references in it."""
        for found in self.found:
            yield from found.images()

    def edits(self, replacements: Mapping[str, str]) -> list[Edit]:
        """Return the edits that replace the references, for the text that holds the scalar."""
        within = [edit for found in self.found for edit in found.edits(replacements)]
        return self.scalar.edits(within) if within else []


Found = FoundReference | FoundText


def reference_text(node: yaml.ScalarNode) -> str:
    """Return the value of a scalar without the line breaks at the end of a block."""
    value: str = node.value
    return value.rstrip("\n") if node.style in ("|", ">") else value
