"""Read the bundles and images of both sides, each manifest and each layer of a bundle once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.documents.imgpkg.any_lock import parse_of_bundle
from bundlepipe.documents.imgpkg.images_lock import ImageRef
from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY, IMAGES_LOCK
from bundlepipe.errors import AccessDenied, BundlepipeError, InvalidContent, NotFound, Unreachable
from bundlepipe.events import Emit
from bundlepipe.filesystem.files import read_document
from bundlepipe.filesystem.inputs import DEFAULT_EXCLUDE, IGNORE_FILE, Inputs, walk
from bundlepipe.filesystem.temporary import temporary_room
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.image import build, config_json
from bundlepipe.oci.labels import BUNDLE_LABEL, labels_of
from bundlepipe.oci.manifest import DOCKER_CONFIG, OCI_CONFIG, Manifest
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.protocol import Source
from bundlepipe.verbs.diffing.configuration import Settings, settings_of
from bundlepipe.verbs.diffing.difference import Unread
from bundlepipe.verbs.diffing.sides import Declared, Directory, Side
from bundlepipe.verbs.diffing.trees import FileTree, declared, unpacked
from bundlepipe.verbs.shared.bundles import StoredImage, check_contents, check_is_plain
from bundlepipe.verbs.shared.image_locations import read_locations

_INDEX = "is an index of several images, which is not compared: name one of its images by its digest"
# With no other label, as imgpkg pushes it.
_BUNDLE_CONFIG_SIZE = len(config_json(Digest.of(b""), {BUNDLE_LABEL: "true"}))
_PULLED_BUNDLES = f"{BUNDLE_DIRECTORY}/bundles"


class Package(Struct, frozen=True):
    """A bundle or image that is compared.

    store: where it is; None for files that no push has sent yet.
    labels: those of its configuration; None if there is nothing to compare, as in a directory.
    settings: the other fields of its configuration, likewise.
    lock: the entries of its images.yml, empty for an image.
    is_identified: whether its configuration has the DiffIDs of all layers, and so says what is in them.
    located: of the images in its own repository, as its image-locations image says, whether they are bundles; None
    if there is no such image.
    """

    name: str
    store: Source | None
    manifest: Manifest
    labels: Mapping[str, str] | None
    settings: Settings | None
    tree: FileTree
    lock: Sequence[ImageRef]
    is_identified: bool
    located: Mapping[Digest, bool] | None


class _Wanted(NamedTuple):
    """An image that a bundle names, and the sources to try in their order."""

    bundle: Package
    entry: ImageRef
    places: dict[str, Source]


class Packages:
    """Everything that was read for one diff; unpacked files are below `workspace`, a directory of its own."""

    def __init__(self, stores: Stores, workspace: str, emit: Emit) -> None:
        self._stores = stores
        self._workspace = workspace
        self._emit = emit
        self._found: dict[Digest, StoredImage | Unread] = {}
        self._bundles: dict[Digest, Package | None] = {}
        self._unreachable: set[str] = set()
        # With what would be pushed before a declared side: digests are sought there too.
        self._written: list[Callable[[Repository, Digest], Source | None]] = []
        # The sources in which images were sought, by name.
        self._tried: dict[Digest, set[str]] = {}

    @property
    def unread(self) -> list[Unread]:
        """The images that could not be read, by name."""
        unread = {found.image: found for found in self._found.values() if isinstance(found, Unread)}
        return [unread[image] for image in sorted(unread)]

    def locate(self, side: Side) -> StoredImage | Package:
        """Return a side: where an image is, of which only the manifest was read, or a package of local files.

        Raises BundlepipeError for an index, InputError or DocumentError for faulty files, StoreError.
        """
        if isinstance(side, Directory):
            return self._of_directory(side)
        if isinstance(side, Declared):
            return self._of_declared(side)
        store, manifest = self._stores.locate(side)
        if manifest.is_index:
            raise BundlepipeError(f"{side}: {_INDEX}")
        return StoredImage(store, manifest)

    def read(self, image: StoredImage) -> Package:
        """Return a bundle or image with its files; errors are those of a pull."""
        is_bundle, digest = _is_bundle(image), image.manifest.digest
        package = self._read(image, is_bundle=is_bundle)
        self._found[digest], self._bundles[digest] = image, package if is_bundle else None
        return package

    def find(self, wanted: Iterable[tuple[Package, ImageRef]], shared: Collection[Digest] = ()) -> None:
        """Read the manifests of images that bundles name, and nested bundles, unless they are known, all at once.

        Of images in `shared` the configuration is only read if it is as large as that of a bundle without labels of
        its own; what others are stays open. What is absent, refused or unreachable everywhere becomes `unread`.
        Raises InvalidContent, DocumentError and other StoreErrors.
        """
        new: dict[Digest, _Wanted] = {}
        for bundle, entry in wanted:
            if entry.digest in self._bundles:
                continue
            places = self._untried(bundle, entry)
            is_open = isinstance(self._found.get(entry.digest), StoredImage) and entry.digest not in shared
            if places or is_open or entry.digest not in self._found:
                new.setdefault(entry.digest, _Wanted(bundle, entry, {})).places.update(places)
        self._found.update(zip(new, in_parallel(self._find, new.values()), strict=True))
        for digest, each in new.items():
            self._tried.setdefault(digest, set()).update(each.places)
        closed = {digest: each for digest, each in new.items() if not (digest in shared and self._stays_open(each))}
        for digest, found in zip(closed, in_parallel(self._nested, closed.values()), strict=True):
            if isinstance(found, Unread):
                self._found[digest] = found
            elif self.image(digest):
                self._bundles[digest] = found

    def image(self, digest: Digest) -> StoredImage | None:
        """Return an image that `find` found; None if it cannot be read."""
        found = self._found[digest]
        return None if isinstance(found, Unread) else found

    def bundle(self, digest: Digest) -> Package | None:
        """Return a nested bundle that `find` found; None for images, and for what cannot be read."""
        return self._bundles.get(digest)

    def is_bundle(self, digest: Digest) -> bool | None:
        """Return whether an image is a bundle; None if `find` did not look at its configuration, or did not find it."""
        return self._bundles[digest] is not None if digest in self._bundles else None

    def members(self, indexes: Iterable[StoredImage]) -> list[StoredImage]:
        """Return the members of indexes, at all depths, as far as they can be read."""
        members: list[StoredImage] = []
        level = [(index.store, child.digest) for index in indexes for child in index.manifest.children]
        while level:
            new = {digest: store for store, digest in level if digest not in self._found}
            read = in_parallel(lambda each: self._ask(each[1], each[0], f"{each[1].name}@{each[0]}"), new.items())
            self._found.update(zip(new, read, strict=True))
            found = [image for _, digest in level if (image := self.image(digest))]
            members += found
            level = [
                (image.store, child.digest)
                for image in found
                if image.manifest.is_index
                for child in image.manifest.children
            ]
        return members

    def _of_declared(self, side: Declared) -> Package:
        with side.seen():
            package = self._of_inputs(side.name, side.inputs, side.is_bundle, side.labels)
        self._written.append(side.written)
        image = side.image
        if not image or not image.digest or image.digest == package.manifest.digest:
            return package
        # The push would find an image of the same files, which another tool compressed.
        return replace(package, manifest=self._stores.repository(image.repository).read_manifest(image.digest))

    def _of_directory(self, side: Directory) -> Package:
        inputs = Inputs([side.path], (*DEFAULT_EXCLUDE, _PULLED_BUNDLES), ignore_file=IGNORE_FILE)
        return self._of_inputs(side.path, inputs, None, None)

    def _of_inputs(
        self, name: str, inputs: Inputs, is_bundle: bool | None, labels: Mapping[str, str] | None
    ) -> Package:
        entries = walk(inputs)
        if is_bundle is None:
            is_bundle = any(entry.is_directory and entry.name == BUNDLE_DIRECTORY for entry in entries)
        if is_bundle:
            check_contents(entries, inputs.paths)
        else:
            check_is_plain(entries)
        all_labels = {**(labels or {}), **({BUNDLE_LABEL: "true"} if is_bundle else {})}
        with open(os.devnull, "wb") as nowhere:
            image, manifest = build(inputs, all_labels, nowhere, entries)
        tree = declared(inputs, entries, image.snapshot)
        lock = _lock(tree, name) if is_bundle else ()
        if labels is None:
            return Package(name, None, manifest, None, None, tree, lock, True, None)
        return Package(name, None, manifest, all_labels, settings_of(image.config, name), tree, lock, True, None)

    def _read(self, image: StoredImage, *, is_bundle: bool) -> Package:
        with temporary_room("the files of a bundle"):
            # One from another source may have failed half-way.
            directory = tempfile.mkdtemp(dir=self._workspace)
            tree = unpacked(image, directory, self._emit)
        located = _located(image) if is_bundle and not image.store.is_closed else None
        lock = _lock(tree, image.name) if is_bundle else ()
        has_config = _has_labels(image.manifest)
        labels = labels_of(image.config, image.name) if has_config else {}
        settings = settings_of(image.config, image.name) if has_config else {}
        is_identified = bool(image.contents()) or not image.manifest.layers
        return Package(image.name, image.store, image.manifest, labels, settings, tree, lock, is_identified, located)

    def _untried(self, bundle: Package, entry: ImageRef) -> dict[str, Source]:
        tried = self._tried.get(entry.digest, ())
        return {store.name: store for store in self._places(bundle, entry) if store.name not in tried}

    def _find(self, wanted: _Wanted) -> StoredImage | Unread:
        known = self._found.get(wanted.entry.digest)
        if isinstance(known, StoredImage):
            return known
        reasons = [known.reason] if known else []
        for store in wanted.places.values():
            found = self._ask(store, wanted.entry.digest, str(wanted.entry.image))
            if isinstance(found, StoredImage):
                return found
            reasons.append(found.reason)
        return Unread(str(wanted.entry.image), "; ".join(reasons))

    def _ask(self, store: Source, digest: Digest, name: str) -> StoredImage | Unread:
        if store.name in self._unreachable:
            return Unread(name, f"{store.name} does not answer")
        try:
            return StoredImage(store, store.read_manifest(digest))
        except (NotFound, AccessDenied, Unreachable) as error:
            if isinstance(error, Unreachable):
                self._unreachable.add(store.name)
            return Unread(name, str(error))

    def _places(self, bundle: Package, entry: ImageRef) -> list[Source]:
        """Return where an image may be, the most likely place first: one request suffices nearly always."""
        own = bundle.store
        if own and own.is_closed:
            return [own]
        for written in self._written:
            if store := written(entry.image.repository, entry.digest):
                return [store]
        origin = self._stores.repository(entry.image.repository)
        if own is None or own.name == origin.name:
            return [origin]
        is_relocated = bundle.located is not None and entry.digest in bundle.located
        return [own, origin] if own.is_local or is_relocated else [origin, own]

    def _stays_open(self, wanted: _Wanted) -> bool:
        """Return whether an image may be a bundle, and is hardly one: neither its size nor anything else says so."""
        image = self._found[wanted.entry.digest]
        if isinstance(image, Unread) or wanted.entry.digest in (wanted.bundle.located or ()):
            return False
        return _may_be_bundle(image.manifest) and image.manifest.config.size != _BUNDLE_CONFIG_SIZE

    def _nested(self, wanted: _Wanted) -> Package | Unread | None:
        """Return the package of an image that was found, if it is a bundle; None if it is not, or not found."""
        image = self._found[wanted.entry.digest]
        if isinstance(image, Unread):
            return None
        known = (wanted.bundle.located or {}).get(wanted.entry.digest)
        try:
            is_bundle = _is_bundle(image) if known is None else known
            return self._read(image, is_bundle=True) if is_bundle else None
        except (NotFound, AccessDenied, Unreachable) as error:
            return Unread(str(wanted.entry.image), str(error))


def _located(image: StoredImage) -> Mapping[Digest, bool] | None:
    known = read_locations(image.store, image.manifest.digest)
    if known is None:
        return None
    return {each.image.digest: each.is_bundle for each in known.locations if each.image.digest}


def _is_bundle(image: StoredImage) -> bool:
    """Return whether an image is a bundle; artifacts, whose configurations are of other types, are not."""
    return _may_be_bundle(image.manifest) and image.is_bundle


def _may_be_bundle(manifest: Manifest) -> bool:
    return _has_labels(manifest) and len(manifest.layers) == 1


def _has_labels(manifest: Manifest) -> bool:
    return not manifest.is_index and manifest.config.media_type in (DOCKER_CONFIG, OCI_CONFIG)


def _lock(tree: FileTree, name: str) -> Sequence[ImageRef]:
    file = tree.files.get(IMAGES_LOCK)
    if file is None:
        raise InvalidContent(f"{name}: has the label of a bundle, but no {IMAGES_LOCK}")
    what = f"{name}: {IMAGES_LOCK}"
    return parse_of_bundle(read_document(file.path), what).images
