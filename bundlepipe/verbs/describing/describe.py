"""describe: list the images and nested bundles of a bundle, wherever they are now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError, InvalidContent
from bundlepipe.events import Emit, ignore
from bundlepipe.oci.digest import Digest
from bundlepipe.stores.location import Location
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.describing.description import BundleDescription, ImageDescription, ImageType
from bundlepipe.verbs.describing.survey import Bundle, Found, Survey
from bundlepipe.verbs.shared.bundles import COSIGN_SUFFIXES, SIGNATURE_SUFFIX, is_bundle, require_kind

# No real bundle is nested so deeply, and deeper ones could not be written recursively.
_DEEPEST = 100


def describe(
    source: Location,
    stores: Stores,
    *,
    layers: bool = True,
    cosign_artifacts: bool = True,
    as_imgpkg: bool = False,
    emit: Emit = ignore,
) -> BundleDescription:
    """Return the contents of a bundle, including its nested bundles.

    An image is looked for in the repository of the bundle that names it, then at its location in
    images.yml, so a relocated bundle takes requests to its own repository only. `layers` adds the
    digests of layers; `cosign_artifacts` lists the signatures, attestations and SBOMs of the images
    and the bundle itself, each as an image with its tag as an annotation.

    The image-locations image of a nested bundle counts among that bundle's images. That of
    the root does not, nor do artifacts of a nested bundle.

    `as_imgpkg` describes what imgpkg would: each bundle has its own image-locations image and
    signature among its images, only signatures are listed of cosign's artifacts, and an index has
    the layers of its image for linux/amd64, if there is one.

    Raises BundlepipeError if it is not a bundle, NotFound or AccessDenied for an image that is in
    neither repository, other StoreErrors, InvalidContent, DocumentError.
    """
    store, manifest = stores.locate(source)
    drop_in = f"Only bundles can be described, and {source} is not a bundle"
    if manifest.is_index:
        raise BundlepipeError(
            f"{source}: Unable to pull non-images, such as image indexes. "
            "(hint: provide a specific digest to the image instead)",
            drop_in=drop_in,
        )
    require_kind(source, "describing", is_bundle=is_bundle(store, manifest), expected="bundle", drop_in=drop_in)
    root = Found(store, manifest)
    survey = Survey(stores, emit, (SIGNATURE_SUFFIX,) if as_imgpkg else COSIGN_SUFFIXES)
    survey.find_all(root)
    if cosign_artifacts:
        survey.find_artifacts(root)
    if layers and as_imgpkg:
        survey.find_members()
    return _Assembly(survey, layers, as_imgpkg).root(root)


class _Assembly:
    """Builds the description from a survey; a bundle nested by several others is described once."""

    def __init__(self, survey: Survey, layers: bool, as_imgpkg: bool) -> None:
        self._survey = survey
        self._as_imgpkg = as_imgpkg
        self._with_layers = layers
        # For each bundle, its number of levels.
        self._made: dict[tuple[str, Digest], tuple[BundleDescription, int]] = {}

    def root(self, found: Found) -> BundleDescription:
        """Return the description of the requested bundle."""
        description, _ = self._bundle(found, 0)
        if self._as_imgpkg:
            return description
        return replace(description, images=_by_order([*description.images, *self._artifacts(found)]))

    def _bundle(self, found: Found, above: int) -> tuple[BundleDescription, int]:
        """Return the description of a single bundle, and its number of levels."""
        made = self._made.get(found.key)
        if above + (made[1] if made else 1) > _DEEPEST:
            raise InvalidContent(f"{found.image}: bundles are nested more than {_DEEPEST} deep, which is not supported")
        if made is None:
            made = self._made[found.key] = self._make(self._survey.bundles[found.key], above)
        return made

    def _make(self, bundle: Bundle, above: int) -> tuple[BundleDescription, int]:
        levels = 0
        bundles: list[BundleDescription] = []
        images: list[ImageDescription] = []
        for image in bundle.images:
            origin, annotations = str(image.entry.image), image.entry.annotations
            if image.is_bundle:
                description, below = self._bundle(image.found, above + 1)
                levels = max(levels, below)
                internal = [] if self._as_imgpkg else self._internal(self._survey.bundles[image.found.key])
                images_below = _by_order([*description.images, *internal])
                bundles.append(replace(description, origin=origin, annotations=annotations, images=images_below))
            else:
                images.append(self._image(image.found, ImageType.IMAGE, origin, annotations))
            images += self._artifacts(image.found)
        found = bundle.found
        if self._as_imgpkg:
            images += [*self._artifacts(found), *self._internal(bundle)]
        description = BundleDescription(
            found.manifest.digest,
            found.image,
            found.image,
            self._layers(found),
            bundle.metadata,
            bundles=_by_order(bundles),
            images=_by_order(images),
        )
        return description, levels + 1

    def _image(
        self, found: Found, kind: ImageType, origin: str, annotations: Mapping[str, str] | None = None
    ) -> ImageDescription:
        return ImageDescription(
            found.manifest.digest, found.image, kind, origin, self._layers(found), annotations or {}
        )

    def _internal(self, bundle: Bundle) -> list[ImageDescription]:
        found = bundle.locations_image
        return [self._image(found, ImageType.INTERNAL, found.image)] if found else []

    def _artifacts(self, subject: Found) -> list[ImageDescription]:
        artifacts = self._survey.artifacts(subject)
        return [self._image(found, ImageType.SIGNATURE, found.image, {"tag": tag}) for tag, found in artifacts.items()]

    def _layers(self, found: Found) -> tuple[Digest, ...]:
        manifest = self._survey.image_of(found)
        if not self._with_layers or manifest is None:
            return ()
        return tuple(layer.digest for layer in manifest.layers)


_Described = TypeVar("_Described", BundleDescription, ImageDescription)


def _by_order(described: Iterable[_Described]) -> tuple[_Described, ...]:
    """Return descriptions sorted by digest, one for each; a later entry wins, as in imgpkg's maps."""
    distinct = {each.digest: each for each in described}
    return tuple(distinct[digest] for digest in sorted(distinct))
