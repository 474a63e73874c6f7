"""build: build an image from a Dockerfile and push it, once for the same inputs.

Builds are not reproducible, so an image is identified by its inputs: their digest is a label of the
image, and no image is built if one with this label exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bundlepipe.errors import BundlepipeError, InputError, InvalidContent, StoreError, Unreachable
from bundlepipe.events import Emit, ignore
from bundlepipe.filesystem.snapshots import FileState, Snapshot, differences
from bundlepipe.limits import LARGEST_CONFIG
from bundlepipe.oci.builds.context import ContextFiles
from bundlepipe.oci.builds.request import BuildRequest
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.labels import INPUTS_LABEL, labels_of, platform_of
from bundlepipe.oci.manifest import Manifest, Platform
from bundlepipe.oci.reference import DEFAULT_TAG, Reference
from bundlepipe.stores.builders.choice import built_image
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source, Store, find_manifest, read_whole
from bundlepipe.verbs.push import NOT_ASKED, NotAsked
from bundlepipe.verbs.shared.blobs import put_further_tags, put_image, put_tagged
from bundlepipe.verbs.shared.bundles import inputs_tag

_NO_PLATFORM = "unknown"


class BuildInputs(Struct, frozen=True):
    """The inputs of a build: the current files, their state, and the digest of everything that decides the image."""

    request: BuildRequest
    files: ContextFiles
    snapshot: Snapshot
    digest: Digest

    @classmethod
    def read(cls, request: BuildRequest, known: Mapping[str, FileState] | None = None) -> BuildInputs:
        """Return the inputs of a build; files are not read if `known`, an earlier snapshot, vouches for them.

        Raises InputError.
        """
        request.check()
        files = request.context.walk()
        snapshot = files.snapshot(known or {})
        return cls(request, files, snapshot, request.inputs_digest(files.digest(snapshot)))


class Built(Struct, frozen=True):
    """The result of a build: where the image is, its inputs, and whether it existed already."""

    reference: Reference
    inputs: BuildInputs
    was_there: bool


def build_and_push(
    inputs: BuildInputs,
    destination: Reference,
    stores: Stores,
    *,
    tags: Sequence[str] = (),
    present: Manifest | NotAsked | None = NOT_ASKED,
    rebuild: bool = False,
    absence_advice: str | None = None,
    emit: Emit = ignore,
) -> Built:
    """Make the destination's tag (`latest` if it has none) and `tags` name an image of the inputs.

    Nothing is built if the destination's tag names one, which takes two requests to find out, or if
    one was pushed to the repository under another tag, which takes two more. `present` is the
    manifest that the tag names now, if the caller knows it. With `rebuild` it is always built: base
    images may have moved. With an `absence_advice` the image is only found, since another job builds it: the advice
    is for the case that it is not there. Raises ProgramError for a failing build, ProgramMissing for a missing
    builder, InputError for files that cannot be sent or change meanwhile, and StoreError.
    """
    if destination.digest:
        raise BundlepipeError(f"{destination}: the destination of a build cannot be a digest: give a tag")
    store = stores.repository(destination.repository, writes=True)
    tag = destination.tag or DEFAULT_TAG
    if isinstance(present, NotAsked):
        present = find_manifest(store, tag)
    earlier = None if rebuild else _find_built(store, present, inputs.digest)
    if absence_advice:
        if earlier is None:
            raise BundlepipeError(f"{destination}: is not an image of these inputs: {absence_advice}")
        return Built(destination.with_digest(earlier.digest), inputs, was_there=True)
    if earlier:
        put_further_tags(store, earlier, tags)
        if earlier is not present:
            put_tagged(store, earlier, tag)
        return Built(destination.with_digest(earlier.digest), inputs, was_there=earlier is present)
    labels = {**inputs.request.labels, INPUTS_LABEL: inputs.digest}
    with built_image(inputs.request, inputs.files, labels, emit) as (source, manifest):
        _require_unchanged(inputs)
        _require_platform(inputs.request, source, manifest)
        put_image(source, manifest, store, (*tags, tag), emit)
    _tag_inputs(store, manifest, inputs.digest)
    return Built(destination.with_digest(manifest.digest), inputs, was_there=False)


def _tag_inputs(store: Store, manifest: Manifest, inputs: Digest) -> None:
    """Add the tag by which an image is found by its inputs; StoreError if the store becomes unreachable."""
    try:
        put_tagged(store, manifest, inputs_tag(inputs))
    except Unreachable:
        raise
    except StoreError:
        return  # immutable tags: the image that was built first is found, which is as good


def _find_built(store: Store, present: Manifest | None, inputs: Digest) -> Manifest | None:
    """Return an image of these inputs: the one at the destination's tag, or one pushed earlier under another tag."""
    if present and inputs_label(store, present) == inputs:
        return present
    earlier = find_manifest(store, inputs_tag(inputs))
    return earlier if earlier and inputs_label(store, earlier) == inputs else None


def inputs_label(store: Source, manifest: Manifest) -> str | None:
    """Return the digest of a built image's inputs, None for any other image: one request, two for an index.

    Raises StoreError.
    """
    if manifest.is_index:
        # In an index, an attestation is listed beside the images, for the platform "unknown".
        images = [child for child in manifest.children if not (child.platform and child.platform.os == _NO_PLATFORM)]
        if not images:
            return None
        manifest = store.read_manifest(images[0].digest)
        if manifest.is_index:
            return None
    config = read_whole(store, manifest.config, LARGEST_CONFIG)
    try:
        return labels_of(config, store.name).get(INPUTS_LABEL)
    except InvalidContent:
        # The configuration of an artifact can be anything.
        return None


def _require_platform(request: BuildRequest, source: Source, manifest: Manifest) -> None:
    """Raise BundlepipeError for an image of another platform: the classic builder does not check its result."""
    if request.platform is None or manifest.is_index:
        return
    wanted, what = Platform.parse(request.platform), request.context.directory
    made = platform_of(read_whole(source, manifest.config, LARGEST_CONFIG), what)
    if (made.os, made.architecture) != (wanted.os, wanted.architecture):
        raise BundlepipeError(
            f"{what}: was built for {made}, not for {wanted}: install docker buildx, which can do that"
        )


def _require_unchanged(inputs: BuildInputs) -> None:
    """Raise InputError if files changed during the build: it is unknown which version the image has."""
    changes = differences(inputs.snapshot, inputs.request.context.snapshot(inputs.snapshot))
    if changes:
        raise InputError(f"{changes[0]} while it was built; run again")
