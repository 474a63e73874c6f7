"""The contents of a bundle, as a value and as text, YAML or JSON.

Text is imgpkg's (`imgpkg describe`, as observed). YAML has the same keys as imgpkg's, and the
metadata and digests of bundles as well; `yaml_as_imgpkg` leaves those out. JSON has the data of
the YAML.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from msgspec import Struct, field

from bundlepipe.errors import printable
from bundlepipe.oci.digest import Digest


class ImageType(str, Enum):
    """The type of an image of a bundle, in imgpkg's words; nested bundles have a separate class."""

    IMAGE = "Image"
    SIGNATURE = "Signature"
    INTERNAL = "Internal"


class ImageDescription(Struct, frozen=True):
    """An image: `image` is its current location, `origin` that in images.yml (for other types than Image the same).

    An index has no `layers`; without `layers` in the request no image has any.
    """

    digest: Digest
    image: str
    type: ImageType
    origin: str
    layers: tuple[Digest, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


class BundleDescription(Struct, frozen=True):
    """A bundle with everything it nests; `bundles` and `images` are sorted by digest.

    `metadata` is that of its bundle.yml, `annotations` are those in images.yml of the bundle around
    it.
    """

    digest: Digest
    image: str
    origin: str
    layers: tuple[Digest, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    bundles: tuple[BundleDescription, ...] = ()
    images: tuple[ImageDescription, ...] = ()


def to_text(description: BundleDescription) -> str:
    """Return the description as text for users: nested bundles first, without the root's layers and metadata.

    Only bundles and images of images.yml have an origin here. Unprintable characters are escaped.
    """
    return "".join(text_blocks(description))


def text_blocks(description: BundleDescription) -> Iterator[str]:
    """Yield the text in the parts of imgpkg's `--json`: lines, and empty ones between images."""
    yield f"Bundle SHA: {description.digest}\n"
    yield "\n"
    yield from _contents(description, "", "  ")


def to_yaml(description: BundleDescription) -> str:
    """Return the description as YAML, keys sorted, without a leading `---`."""
    return _yaml(_bundle_data(description))


def yaml_as_imgpkg(description: BundleDescription) -> str:
    """Return the description as YAML without data that imgpkg does not have: metadata, and digests of bundles.

    imgpkg prints the digest of the bundle itself before the YAML.
    """
    return _yaml(_as_imgpkg(_bundle_data(description)))


def _yaml(data: Mapping[str, Any]) -> str:
    from bundlepipe.documents.yaml.writer import write

    return write(data).decode().removeprefix("---\n")


def to_json(description: BundleDescription) -> str:
    """Return the description as JSON, indented by two, with the keys and values of the YAML."""
    return json.dumps(_bundle_data(description), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _contents(bundle: BundleDescription, indent: str, item_indent: str) -> Iterator[str]:
    if bundle.bundles or bundle.images:
        yield f"{indent}Images:\n"
    for number, nested in enumerate(bundle.bundles):
        if number:
            yield "\n"
        yield from _item_lines(nested, "Bundle", nested.origin, item_indent)
        # Unlike the root's, the items of a nested bundle are not indented further than their title.
        yield from _contents(nested, item_indent + "  ", item_indent + "  ")
    if bundle.bundles:
        yield ""
    for number, image in enumerate(bundle.images):
        if number:
            yield ""
        origin = image.origin if image.type is ImageType.IMAGE else None
        yield from _item_lines(image, image.type.value, origin, item_indent)


def _item_lines(
    item: BundleDescription | ImageDescription, kind: str, origin: str | None, indent: str
) -> Iterator[str]:
    return (f"{line}\n" for line in _item(item, kind, origin, indent))


def _item(item: BundleDescription | ImageDescription, kind: str, origin: str | None, indent: str) -> Iterator[str]:
    yield f"{indent}- Image: {item.image}"
    yield f"{indent}  Type: {kind}"
    if origin:
        yield f"{indent}  Origin: {origin}"
    if item.layers:
        yield f"{indent}  Layers:"
        yield from (f"{indent}    - Digest: {layer}" for layer in item.layers)
    if item.annotations:
        yield f"{indent}  Annotations:"
        for key, value in sorted(item.annotations.items()):
            # Further lines are indented deeper than the key, so that no value can look like an
            # item.
            text = f"\n{indent}      ".join(map(printable, value.rstrip("\n").split("\n")))
            yield f"{indent}    {printable(key)}: {text}"


def _bundle_data(bundle: BundleDescription) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if bundle.bundles:
        content["bundles"] = {nested.digest: _bundle_data(nested) for nested in bundle.bundles}
    if bundle.images:
        content["images"] = {
            image.digest: {"imageType": image.type.value, **_common_data(image)} for image in bundle.images
        }
    return {
        "sha": bundle.digest,
        **_common_data(bundle),
        "metadata": dict(bundle.metadata),
        "content": content,
    }


def _as_imgpkg(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a bundle, with its nested bundles, as imgpkg has it."""
    content = dict(data["content"])
    if "bundles" in content:
        content["bundles"] = {digest: _as_imgpkg(nested) for digest, nested in content["bundles"].items()}
    told = {key: value for key, value in data.items() if key != "sha"}
    return {**told, "metadata": {}, "content": content}


def _common_data(item: BundleDescription | ImageDescription) -> dict[str, Any]:
    data: dict[str, Any] = {"image": item.image, "origin": item.origin}
    if item.layers:
        data["layers"] = [{"digest": layer} for layer in item.layers]
    if item.annotations:
        data["annotations"] = dict(item.annotations)
    return data
