"""diff: compare two bundles or images, wherever they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from itertools import chain, count

from msgspec.structs import replace

from bundlepipe.documents.imgpkg.images_lock import ImageRef
from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY, IMAGES_LOCK
from bundlepipe.errors import InvalidReference
from bundlepipe.events import Emit, ignore
from bundlepipe.filesystem.temporary import temporary_room
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.opening import Stores
from bundlepipe.verbs.diffing.configuration import changed_settings
from bundlepipe.verbs.diffing.difference import (
    Difference,
    ImageChange,
    LabelChange,
    PairDifference,
    Relocation,
    Transfer,
)
from bundlepipe.verbs.diffing.files import FileComparison, Texts, changed_links
from bundlepipe.verbs.diffing.images import changed_images, name_of
from bundlepipe.verbs.diffing.lines import CONTEXT
from bundlepipe.verbs.diffing.packages import Package, Packages
from bundlepipe.verbs.diffing.sides import Side
from bundlepipe.verbs.diffing.sizes import transfer
from bundlepipe.verbs.diffing.trees import read
from bundlepipe.verbs.shared.bundles import StoredImage

_NESTED = f"{BUNDLE_DIRECTORY}/bundles"
_SHORT_DIGEST = 12
# What differs in the manifests of an image after another compression, or in Docker's format and OCI's.
_FORM = ("mediaType", "config", "layers")


def diff(
    old: Side,
    new: Side,
    stores: Stores,
    *,
    context: int = CONTEXT,
    sizes: bool = True,
    emit: Emit = ignore,
) -> Difference:
    """Return what differs between two bundles or images: files, links, images, configuration, and moved nested bundles.

    Images are compared by digest: that a copy has them in another repository is no difference. `context` is the
    number of lines around changes. Only layers of bundles (and of the compared images) are fetched. With `sizes`,
    if the new side names other images than the old one, the manifest of each image is requested once, to count what
    a site lacks that has the old side; an image with one layer that only one side names also takes its configuration,
    unless an image-locations image says whether it is a bundle. Without `sizes` that is done for moved images alone.

    Images that cannot be found do not fail the diff: they are in `unread`. Raises BundlepipeError for an index,
    NotFound and other StoreErrors, InvalidContent, UnsafeArchive, DocumentError, InputError.
    """
    with (
        temporary_room("the files of the bundles"),
        tempfile.TemporaryDirectory(prefix="bundlepipe-") as workspace,
    ):
        packages = Packages(stores, workspace, emit)
        sides = packages.locate(old), packages.locate(new)
        was, now = (side.manifest.digest for side in sides)
        if was == now:
            return Difference(str(old), str(new), [PairDifference("", was, now)], Transfer() if sizes else None)
        before, after = (packages.read(side) if isinstance(side, StoredImage) else side for side in sides)
        lacking = transfer(before, after, packages) if sizes else None
        pairs = _Pairs(packages, context)
        pairs.compare(before, after)
        return Difference(str(old), str(new), pairs.compared, lacking, packages.unread)


class _Pairs:
    """The pairs of bundles that were compared, each once, in the order in which they were found."""

    def __init__(self, packages: Packages, context: int) -> None:
        self._packages = packages
        self._files = FileComparison(context)
        self._names: set[str] = set()
        self._seen: set[tuple[Digest, Digest]] = set()
        self.compared: list[PairDifference] = []

    def compare(self, old: Package, new: Package) -> None:
        """Compare a pair, and then the pairs of nested bundles that moved."""
        waiting = [("", old, new)]
        for path, before, after in waiting:
            images, relocated = changed_images(before.lock, after.lock)
            moved = [change for change in images if change.status == "moved"]
            self._packages.find(
                (bundle, entry)
                for change in moved
                for bundle, entry in ((before, change.old), (after, change.new))
                if entry
            )
            self.compared.append(
                PairDifference(
                    path,
                    before.manifest.digest,
                    after.manifest.digest,
                    self._files.changes(before.tree, after.tree, _locks(before, after, relocated)),
                    [self._with_kind(change) for change in images],
                    relocated,
                    _changed_labels(before.labels, after.labels),
                    changed_settings(before.settings, after.settings),
                    changed_links(before.tree, after.tree),
                )
            )
            if self.compared[-1].is_empty and not relocated and not _are_forms_of_one(before, after):
                self.compared[-1] = replace(self.compared[-1], differs_otherwise=True)
            waiting += self._nested(moved)

    def _nested(self, moved: list[ImageChange]) -> list[tuple[str, Package, Package]]:
        nested: list[tuple[str, Package, Package]] = []
        for change in moved:
            assert change.old and change.new
            key = change.old.digest, change.new.digest
            old, new = map(self._packages.bundle, key)
            if old and new and key not in self._seen:
                self._seen.add(key)
                nested.append((f"{_NESTED}/{self._name(change.new)}", old, new))
        return nested

    def _name(self, entry: ImageRef) -> str:
        """Return a short name for a nested bundle that no other one has, fit for a path."""
        try:
            repository = Reference.parse(name_of(entry)).repository
        except InvalidReference:
            repository = entry.image.repository
        short = repository.path.rpartition("/")[2]
        unique = f"{short}-{entry.digest.encoded[:_SHORT_DIGEST]}"
        numbered = (f"{unique}-{number}" for number in count(2))
        name = next(each for each in chain((short, repository.path, unique), numbered) if each not in self._names)
        self._names.add(name)
        return name

    def _with_kind(self, change: ImageChange) -> ImageChange:
        entry = change.new or change.old
        assert entry
        return replace(change, is_bundle=self._packages.is_bundle(entry.digest))


def _are_forms_of_one(old: Package, new: Package) -> bool:
    """Return whether both are the same image, at most compressed or described in another way.

    How the image of a directory was made is unknown, so its digest says nothing.
    """
    if old.settings is None or new.settings is None or old.manifest.digest == new.manifest.digest:
        return True
    if old.manifest.config.digest != new.manifest.config.digest or not old.is_identified:
        return False
    documents = [json.loads(package.manifest.raw) for package in (old, new)]
    rest = [{key: value for key, value in document.items() if key not in _FORM} for document in documents]
    return rest[0] == rest[1]


def _locks(old: Package, new: Package, relocated: list[Relocation]) -> Texts:
    """Return what to compare of both locks: only what differs besides the locations of the same images."""
    files = [package.tree.files.get(IMAGES_LOCK) for package in (old, new)]
    if not relocated or not files[0] or not files[1]:
        return {}
    entries = [[(entry.digest, entry.annotations) for entry in package.lock] for package in (old, new)]
    if entries[0] == entries[1]:
        return {IMAGES_LOCK: None}
    before, after = read(files[0]), read(files[1])
    for image in relocated:
        after = after.replace(str(image.new.image).encode(), str(image.old.image).encode())
    return {IMAGES_LOCK: (before, after)}


def _changed_labels(old: Mapping[str, str] | None, new: Mapping[str, str] | None) -> list[LabelChange]:
    if old is None or new is None:
        return []
    names = sorted(old.keys() | new.keys())
    return [LabelChange(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]
