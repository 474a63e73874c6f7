"""Properties of a bundle: its directory, its label, its tags."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.bundle import check_bundle
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY, BUNDLE_METADATA, IMAGES_LOCK
from bundlepipe.errors import BundlepipeError, DocumentError, InputError, InvalidContent
from bundlepipe.filesystem.files import read_document
from bundlepipe.filesystem.inputs import Entry
from bundlepipe.limits import LARGEST_CONFIG
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import BUNDLE_LABEL, diff_ids_of, labels_of
from bundlepipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest
from bundlepipe.stores.protocol import Source, read_whole

if TYPE_CHECKING:
    from bundlepipe.oci.layers.unpack import LayerContent

# imgpkg's words.
NOT_A_BUNDLE = "Expected bundle image but found plain image (hint: Did you use -i instead of -b?)"
NOT_AN_IMAGE = "Images cannot be pushed with '.imgpkg' directories, consider using --bundle (-b) option"

# Suffixes of the tags by which cosign finds artifacts of an image: signatures, attestations, SBOMs.
SIGNATURE_SUFFIX = ".sig"
COSIGN_SUFFIXES = (SIGNATURE_SUFFIX, ".att", ".sbom")

# The expected kind: imgpkg's `-b` or `-i`.
Kind = Literal["bundle", "image"]


def internal_tag(digest: Digest) -> str:
    """Return the tag that every pushed or copied manifest gets, so that a registry never deletes it."""
    return f"{digest.algorithm}-{digest.encoded}.imgpkg"


def inputs_tag(inputs: Digest) -> str:
    """Return the tag by which a built image is found by the digest of its inputs."""
    return f"{inputs.algorithm}-{inputs.encoded}.inputs.imgpkg"


def locations_tag(digest: Digest) -> str:
    """Return the tag of the image-locations image of a relocated bundle."""
    return f"{digest.algorithm}-{digest.encoded}.image-locations.imgpkg"


class StoredImage(Struct, frozen=True, dict=True):
    """An image or index and its store; its configuration is read once, on first use."""

    store: Source
    manifest: Manifest

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.store.name}@{self.manifest.digest}"

    @cached_property
    def config(self) -> bytes:
        """The configuration; StoreError, IntegrityError if it is not available."""
        return read_whole(self.store, self.manifest.config, LARGEST_CONFIG)

    @property
    def is_bundle(self) -> bool:
        """Whether it has the label of a bundle, and one layer; one request, unless that is ruled out.

        An image that was built on a bundle inherits the label, and has more layers.
        """
        if self.manifest.is_index or len(self.manifest.layers) != 1:
            return False
        return BUNDLE_LABEL in labels_of(self.config, self.name)

    def contents(self) -> tuple[LayerContent, ...]:
        """Return the expected content of the layers; empty if the configuration does not say.

        Artifacts have configurations of other types, or without DiffIDs. Raises InvalidContent
        unless there is one for each layer: otherwise they cannot be matched.
        """
        from bundlepipe.oci.layers.unpack import LayerContent

        layers = self.manifest.layers
        if not layers or self.manifest.config.media_type not in (DOCKER_CONFIG, OCI_CONFIG):
            return ()
        diff_ids = diff_ids_of(self.config, self.name)
        if diff_ids and len(diff_ids) != len(layers):
            raise InvalidContent(
                f"{self.name}: the image configuration has the DiffIDs of {len(diff_ids)} layers, "
                f"and the manifest has {len(layers)}: the image is faulty: have it built or copied again"
            )
        return tuple(LayerContent(layer.digest, diff_id) for layer, diff_id in zip(layers, diff_ids, strict=False))


def is_bundle(store: Source, manifest: Manifest) -> bool:
    """Return whether an image is a bundle; errors are those of `StoredImage`."""
    return StoredImage(store, manifest).is_bundle


def require_kind(
    what: object, verb: str, *, is_bundle: bool, expected: Kind | None, drop_in: str | None = None
) -> None:
    """Raise BundlepipeError, in imgpkg's words, if an image is not of the expected kind.

    `verb` is the operation: "pulling", "copying". `drop_in` is imgpkg's text, if it has other words
    for that.
    """
    if expected == "image" and is_bundle:
        words = f"Expected bundle flag when {verb} a bundle (hint: Use -b instead of -i for bundles)"
    elif expected == "bundle" and not is_bundle:
        words = NOT_A_BUNDLE
    else:
        return
    raise BundlepipeError(f"{what}: {words}", drop_in=drop_in or words)


def check_contents(entries: Sequence[Entry], roots: Sequence[str]) -> None:
    """Raise InputError or DocumentError unless the entries make a bundle: imgpkg's rules, in its words.

    Exactly one `.imgpkg` directory, directly below one of the inputs, with a valid images.yml;
    bundle.yml, if present, is valid.
    """
    check_placement(entries, roots)
    check_documents(entries, roots)


def check_documents(entries: Sequence[Entry], roots: Sequence[str], *, as_imgpkg: bool = False) -> None:
    """Raise InputError if there is no images.yml, and DocumentError if it or bundle.yml is faulty.

    With `as_imgpkg` images.yml only has to be valid for imgpkg, and bundle.yml may be anything.
    """
    names = (IMAGES_LOCK, BUNDLE_METADATA)
    paths = {entry.name: entry.path for entry in entries if entry.name in names and not entry.is_directory}
    if IMAGES_LOCK not in paths:
        raise InputError(
            f"{', '.join(roots)}: This directory is not a bundle. It is missing .imgpkg/images.yml: "
            "write it, or let lock maintain it"
        )
    parse = parse_of_bundle if as_imgpkg else ImagesLock.parse
    parse(read_document(paths[IMAGES_LOCK]), paths[IMAGES_LOCK])
    metadata = None if as_imgpkg else paths.get(BUNDLE_METADATA)
    if metadata and (problems := check_bundle(read_document(metadata), metadata)):
        raise DocumentError(problems)


def check_placement(entries: Sequence[Entry], roots: Sequence[str]) -> None:
    """Raise InputError unless the entries have at most one `.imgpkg` directory, directly below one of the inputs."""
    directories = [entry for entry in entries if entry.is_directory and _base(entry.name) == BUNDLE_DIRECTORY]
    misplaced = [entry for entry in directories if entry.name != BUNDLE_DIRECTORY]
    if misplaced:
        raise InputError(
            f"Expected '.imgpkg' directory, to be a direct child of one of: {', '.join(roots)}; "
            f"was {', '.join(entry.path for entry in misplaced)}"
        )
    if len(directories) > 1:
        raise InputError(
            "This directory contains multiple bundle definitions. Only a single instance of .imgpkg/images.yml "
            f"can be provided and instead these were provided {', '.join(entry.path for entry in directories)}"
        )


def check_is_plain(entries: Sequence[Entry]) -> None:
    """Raise InputError if the entries of a plain image include a bundle's directory."""
    if any(entry.is_directory and _base(entry.name) == BUNDLE_DIRECTORY for entry in entries):
        raise InputError(NOT_AN_IMAGE)


def _base(name: str) -> str:
    return name.rpartition("/")[2]
