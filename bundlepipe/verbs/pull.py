"""pull: unpack a bundle or image into a directory."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.image_locations import ImageLocations
from bundlepipe.documents.imgpkg.images_lock import ImageRef, ImagesLock
from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY, IMAGES_LOCK
from bundlepipe.errors import AccessDenied, BundlepipeError, InvalidContent, OutputError
from bundlepipe.events import Emit, UnpackingImage, UnpackingLayer, ignore
from bundlepipe.filesystem.dangerous import refuse_dangerous
from bundlepipe.filesystem.files import read_bounded, write_if_changed
from bundlepipe.filesystem.replace import replace_directory
from bundlepipe.filesystem.snapshots import Snapshot, directory_state, extracted_state
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.layers.unpack import Limits, unpack
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.location import Location
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source, find_manifest
from bundlepipe.verbs.outputs.replacing import DirectoryOutput
from bundlepipe.verbs.shared.blobs import receive_blob
from bundlepipe.verbs.shared.bundles import NOT_A_BUNDLE, Kind, StoredImage, require_kind
from bundlepipe.verbs.shared.image_locations import read_locations

# imgpkg's words.
_INDEX = "Unable to pull non-images, such as image indexes. (hint: provide a specific digest to the image instead)"
_NESTED_BUNDLES = f"{BUNDLE_DIRECTORY}/bundles"


class PulledBundle(Struct, frozen=True):
    """One bundle that a pull unpacked.

    `path` is relative to the output directory (`.` for the requested bundle); `relocated` says
    whether its images.yml now names its own repository.
    """

    path: str
    store_name: str
    digest: Digest
    relocated: bool


class Pulled(Struct, frozen=True):
    """The result of a pull. `bundles` is empty for a plain image; `snapshot` has paths below the output directory."""

    store_name: str
    digest: Digest
    bundles: tuple[PulledBundle, ...]
    snapshot: Snapshot


def pull(
    source: Location,
    output: str,
    stores: Stores,
    *,
    expected: Kind | None = None,
    files_alone: bool = False,
    recursive: bool = False,
    limits: Limits | None = None,
    protected: Iterable[str] = (),
    replaces: DirectoryOutput | None = None,
    about_to: Callable[[os.stat_result], object] = lambda status: None,
    emit: Emit = ignore,
) -> Pulled:
    """Replace the directory `output` with the files of an image or bundle.

    Images not of the `expected` kind are refused. With `files_alone` a bundle is unpacked like any
    image: nothing is looked up or rewritten. Otherwise the images.yml of a bundle is rewritten to
    the bundle's own repository if every image it names is there; with `recursive`, nested bundles
    go to `.imgpkg/bundles/sha256-HEX`. The directory is replaced as a whole, or left unchanged. An
    `output` that is or contains one of the `protected` paths, a home directory or the like is
    refused; with `replaces`, which has its own protected paths, also one in which files would be
    lost, if possible before anything is transferred. `about_to` gets the status of the new
    directory just before it is put in place. Raises OutputError, UnsafeArchive, IntegrityError,
    StoreError, DocumentError.
    """
    if replaces:
        is_settled = replaces.check_before() is not None
    else:
        refuse_dangerous(output, protected)
    store, manifest = stores.locate(source)
    if manifest.is_index:
        raise BundlepipeError(f"{source}: {_INDEX}", drop_in=NOT_A_BUNDLE if expected == "bundle" else _INDEX)
    image = StoredImage(store, manifest)
    has_bundle = not files_alone and image.is_bundle
    require_kind(source, "pulling", is_bundle=has_bundle, expected=expected)
    if replaces and not is_settled:
        replace(replaces, is_bundle=has_bundle).check_before()
    with replace_directory(output) as directory:
        pulling = _Pulling(stores, directory, limits, recursive, emit)
        pulling.image(image, is_bundle=has_bundle)
        below_output = _moved(pulling.states, directory, os.path.normpath(output))
        if replaces:
            replaces.check_against(directory)
        about_to(os.lstat(directory))
    return Pulled(store.name, manifest.digest, tuple(pulling.bundles), below_output)


class _Pulling:
    """The state of one pull: its output and the bundles unpacked so far."""

    def __init__(self, stores: Stores, directory: str, limits: Limits | None, recursive: bool, emit: Emit) -> None:
        self._stores = stores
        self._directory = directory
        self._limits = limits
        self._recursive = recursive
        self._emit = emit
        self._seen: set[Digest] = set()
        self.bundles: list[PulledBundle] = []
        self.states: Snapshot = {}

    def image(self, image: StoredImage, *, is_bundle: bool) -> None:
        """Unpack the requested image, and its nested bundles if it is a bundle."""
        self._emit(UnpackingImage(image.name, "bundle" if is_bundle else "image"))
        self._extract(image, self._directory)
        if is_bundle:
            self._seen.add(image.manifest.digest)
            self._bundle(image, ".", 0)

    def _extract(self, image: StoredImage, directory: str) -> None:
        expected = image.contents()
        layers = (self._layer(image.store, image.manifest, index) for index in range(len(image.manifest.layers)))
        unpack(layers, directory, limits=self._limits, what=image.name, expected=expected, states=self.states)

    def _layer(self, store: Source, manifest: Manifest, index: int) -> Generator[bytes, None, None]:
        layer = manifest.layers[index]
        self._emit(UnpackingLayer(layer.digest, index + 1, len(manifest.layers)))
        return receive_blob(store, layer, self._emit)

    def _bundle(self, bundle: StoredImage, path: str, depth: int) -> None:
        """Complete a bundle whose files are unpacked: its lock, and its nested bundles."""
        store, digest = bundle.store, bundle.manifest.digest
        directory = os.path.normpath(os.path.join(self._directory, path))
        lock_path = os.path.join(directory, IMAGES_LOCK)
        lock = _read_lock(lock_path, f"{bundle.name}: {IMAGES_LOCK}")
        known = read_locations(store, digest)
        relocated = _all_present(store, lock, known)
        if relocated and store.repository:
            content = _relocate(lock, store).to_bytes()
            write_if_changed(lock_path, content)
            self.states[lock_path] = extracted_state(os.stat(lock_path), hashlib.sha256(content).hexdigest())
        self.bundles.append(PulledBundle(path, store.name, digest, relocated))
        if self._recursive:
            images = _distinct(lock.images)
            found = in_parallel(lambda image: self._nested(store, image, known), images)
            for image, nested in zip(images, found, strict=True):
                if nested:
                    self._nest(nested, image, depth + 1)

    def _nested(self, parent: Source, image: ImageRef, known: ImageLocations | None) -> StoredImage | None:
        """Return a nested bundle, from its location; None for an image that is not a bundle."""
        digest = image.digest
        is_known = {location.image.digest: location.is_bundle for location in known.locations} if known else {}
        if is_known.get(digest) is False:
            return None
        store = parent
        manifest = find_manifest(parent, digest)
        if manifest is None:
            store = self._stores.repository(image.image.repository)
            manifest = store.read_manifest(digest)
        found = StoredImage(store, manifest)
        return found if found.is_bundle else None

    def _nest(self, bundle: StoredImage, named: ImageRef, depth: int) -> None:
        digest = bundle.manifest.digest
        again = digest in self._seen
        # As imgpkg reports it, which does not look for the bundle again.
        name = str(named.image) if again else bundle.name
        self._emit(UnpackingImage(name, "nested bundle", depth, again))
        if again:
            return
        self._seen.add(digest)
        path = f"{_NESTED_BUNDLES}/{digest.algorithm}-{digest.encoded}"
        directory = os.path.join(self._directory, path)
        # Only files that a registry gave for this digest may be there, not those from an outer
        # layer.
        if os.path.lexists(directory):
            shutil.rmtree(directory, ignore_errors=True)
            self.states = {
                path: state for path, state in self.states.items() if not f"{path}/".startswith(f"{directory}/")
            }
        try:
            os.makedirs(directory)
        except OSError as error:
            raise OutputError(f"{bundle.name}: cannot be laid out in {path}: {error.strerror}") from None
        self.states[os.path.dirname(directory)] = directory_state()
        self._extract(bundle, directory)
        self._bundle(bundle, path, depth)


def _moved(states: Snapshot, directory: str, output: str) -> Snapshot:
    """Return the states of a directory and of what is in it by the paths that they will have."""
    prefix = "" if output == os.curdir else f"{output}/"
    return {
        prefix + path[len(directory) + 1 :] if path != directory else output: state for path, state in states.items()
    }


def _read_lock(path: str, what: str) -> ImagesLock:
    return parse_of_bundle(_read(path, what), what)


def _read(path: str, what: str) -> bytes:
    """Return a document that an archive should have; InvalidContent if it does not, InputError if it is too large."""
    try:
        with open(path, "rb") as file:
            return read_bounded(file, what)
    except OSError as error:
        raise InvalidContent(f"{what}: cannot be read: {error.strerror}") from None


def _all_present(store: Source, lock: ImagesLock, known: ImageLocations | None) -> bool:
    """Return whether every image of the lock is in the bundle's own repository; refusals count as absence."""
    located = {location.image.digest for location in known.locations} if known else set()
    unknown = [digest for digest in dict.fromkeys(image.digest for image in lock.images) if digest not in located]
    # If the bundle was never copied, the first answer decides.
    try:
        for digests in (unknown[:1], unknown[1:]):
            in_parallel(lambda digest: _require(store, digest), digests)
    except _NotHere:
        return False
    return True


class _NotHere(Exception):
    """An image is not in the repository."""


def _require(store: Source, digest: Digest) -> None:
    try:
        if store.has_manifest(digest):
            return
    except AccessDenied:
        pass
    raise _NotHere


def _relocate(lock: ImagesLock, store: Source) -> ImagesLock:
    assert store.repository
    repository = store.repository
    return ImagesLock(tuple(replace(image, image=repository.at(image.digest)) for image in lock.images))


def _distinct(images: Iterable[ImageRef]) -> list[ImageRef]:
    return list({image.image.digest: image for image in images}.values())
