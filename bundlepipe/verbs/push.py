"""push: push files as a bundle or a plain image to a repository."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from bundlepipe.errors import BundlepipeError, InputError
from bundlepipe.events import BlobDone, Emit, EntryPacked, ignore
from bundlepipe.filesystem.inputs import Entry, Inputs, refuse_repeated, walk
from bundlepipe.filesystem.snapshots import Snapshot
from bundlepipe.filesystem.temporary import reopened, temporary_file, temporary_room
from bundlepipe.oci.image import FilesImage, build, identify
from bundlepipe.oci.labels import BUNDLE_LABEL
from bundlepipe.oci.manifest import Manifest
from bundlepipe.oci.reference import DEFAULT_TAG, Reference
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Store, find_manifest
from bundlepipe.verbs.shared.blobs import put_further_tags, put_tags, send_blob
from bundlepipe.verbs.shared.bundles import NOT_AN_IMAGE, check_contents, check_documents, check_is_plain
from bundlepipe.verbs.shared.foretold import Foretold
from bundlepipe.verbs.shared.imgpkg_rules import all_entries, bundle_fault

# Larger layers wait in a temporary file until they are sent.
_KEPT_IN_MEMORY = 1 << 20
_HEADER_SIZE = 1024


class PushRequest(Struct, frozen=True):
    """What to push where.

    `destination` names a repository and a tag (`latest` if it has none); `tags` are additional tags for the
    same manifest. `as_imgpkg` accepts what imgpkg accepts although this is stricter: no inputs, an image with a
    `.imgpkg` somewhere that is not a bundle, any bundle.yml, links to files as inputs. What a plan has `foretold` is
    all that is done. With an `absence_advice` the image is only found, since another job pushes it: the advice is
    for the case that it is not there.
    """

    inputs: Inputs
    destination: Reference
    is_bundle: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    as_imgpkg: bool = False
    foretold: Foretold | None = None
    absence_advice: str | None = None

    def check(self) -> None:
        """Raise BundlepipeError for requests that are refused before anything is read."""
        if self.destination.digest:
            raise BundlepipeError(f"{self.destination}: the destination of a push cannot be a digest: give a tag")
        check_labels(self.labels)

    @property
    def all_labels(self) -> dict[str, str]:
        """All labels of the image."""
        return {**self.labels, **({BUNDLE_LABEL: "true"} if self.is_bundle else {})}

    @property
    def tag(self) -> str:
        """The tag of the destination."""
        return self.destination.tag or DEFAULT_TAG


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise BundlepipeError for a label reserved for bundles."""
    if BUNDLE_LABEL in labels:
        raise BundlepipeError(f"label '{BUNDLE_LABEL}' is reserved and cannot be overriden. Please use a different key")


class Pushed(Struct, frozen=True):
    """The result of a push: where the image is, its inputs, and whether it existed already."""

    reference: Reference
    image: FilesImage
    was_there: bool

    @property
    def snapshot(self) -> Snapshot:
        """The state of the inputs, for exactly the bytes that were pushed; empty unless the push took it."""
        return self.image.snapshot


class NotAsked:
    """Marks that the destination was not asked yet."""


NOT_ASKED = NotAsked()


def push(
    request: PushRequest,
    stores: Stores,
    present: Manifest | NotAsked | None = NOT_ASKED,
    *,
    takes_snapshot: bool = False,
    emit: Emit = ignore,
) -> Pushed:
    """Make the destination's tag name the image of the inputs; nothing is uploaded if it already does.

    Images are compared by image ID, so one that another tool pushed from the same inputs counts as
    present, with its own manifest digest. `present` is the manifest that the tag names now, if the
    caller knows it. A snapshot takes the hash of every file, besides that of the layer. Raises
    InputError, DocumentError, StoreError.
    """
    request.check()
    entries = _checked_inputs(request)
    for entry in entries:
        emit(EntryPacked(entry.name, entry.is_directory))
    store = stores.repository(request.destination.repository, writes=True)
    if isinstance(present, NotAsked):
        present = find_manifest(store, request.tag)
    if request.foretold:
        _check_destinations(request.foretold, request, store, present)
    if present and not present.is_index:
        image = identify(request.inputs, request.all_labels, entries, takes_snapshot=takes_snapshot)
        if image.image_id == present.config.digest:
            _check_result(request, present)
            put_further_tags(store, present, request.tags)
            for blob in (*present.layers, present.config):
                emit(BlobDone(blob.digest, blob.size, "present"))
            return Pushed(request.destination.with_digest(present.digest), image, was_there=True)
    if request.absence_advice:
        raise BundlepipeError(f"{request.destination}: is not the image of these files: {request.absence_advice}")
    image, manifest = _upload(store, request, entries, takes_snapshot, emit)
    return Pushed(request.destination.with_digest(manifest.digest), image, was_there=False)


def _checked_inputs(request: PushRequest) -> list[Entry]:
    if request.as_imgpkg:
        return _checked_as_imgpkg(request)
    entries = walk(request.inputs)
    if request.is_bundle:
        check_contents(entries, request.inputs.paths)
    else:
        check_is_plain(entries)
    return entries


def _checked_as_imgpkg(request: PushRequest) -> list[Entry]:
    """Return the entries if imgpkg accepts them, and if every reader can pull the resulting bundle."""
    inputs = request.inputs
    # imgpkg checks all files, including excluded ones.
    looked_at = all_entries(inputs.paths)
    fault = bundle_fault(looked_at, inputs.paths)
    if request.is_bundle and fault:
        raise InputError(fault)
    if not request.is_bundle and not fault:
        raise InputError(NOT_AN_IMAGE)
    refuse_repeated(looked_at)
    if "." in inputs.exclude:
        # imgpkg calls each input directory that.
        inputs = replace(inputs, paths=[path for path in inputs.paths if not os.path.isdir(path)])
    entries = walk(inputs)
    if request.is_bundle:
        check_documents(entries, request.inputs.paths, as_imgpkg=True)
    return entries


def _upload(
    store: Store, request: PushRequest, entries: Sequence[Entry], takes_snapshot: bool, emit: Emit
) -> tuple[FilesImage, Manifest]:
    size = sum(entry.status.st_size + _HEADER_SIZE for entry in entries)
    build_into = partial(build, request.inputs, request.all_labels, entries=entries, takes_snapshot=takes_snapshot)
    if size <= _KEPT_IN_MEMORY:
        kept = io.BytesIO()
        image, manifest = build_into(kept)
        _check_result(request, manifest)
        send_blob(store, manifest.layers[0], lambda: io.BytesIO(kept.getbuffer()), emit)
    else:
        with temporary_file("the layer", size) as layer:
            with temporary_room("the layer", size):
                image, manifest = build_into(layer)
                layer.flush()
            _check_result(request, manifest)
            send_blob(store, manifest.layers[0], lambda: reopened(layer.fileno()), emit)
    send_blob(store, manifest.config, lambda: io.BytesIO(image.config), emit)
    put_tags(store, manifest, (*request.tags, request.tag))
    return image, manifest


def _check_destinations(foretold: Foretold, request: PushRequest, store: Store, present: Manifest | None) -> None:
    repository = request.destination.repository
    foretold.check_destination(repository.tagged(request.tag), present.digest if present else None)
    for tag in request.tags:
        named = find_manifest(store, tag)
        foretold.check_destination(repository.tagged(tag), named.digest if named else None)


def _check_result(request: PushRequest, manifest: Manifest) -> None:
    if request.foretold:
        request.foretold.check_result(str(request.destination), [manifest.digest])
