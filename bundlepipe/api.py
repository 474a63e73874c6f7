"""The Python API: push, pull, copy, lock, describe and diff as functions, without doit.

A front end. Each function builds a request from paths and texts and passes it to a verb. Modules
are imported when they are first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from bundlepipe.arguments import as_labels, as_paths, as_push_destination, as_side, as_tags, as_texts
from bundlepipe.errors import BundlepipeError

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.oci.reference import Reference, Repository
    from bundlepipe.pipeline.declared.model import Bundle, Image, LockSource
    from bundlepipe.stores.location import ArchiveLocation, Location, Place
    from bundlepipe.stores.opening import Stores
    from bundlepipe.verbs.copying.request import Copied
    from bundlepipe.verbs.describing.description import BundleDescription
    from bundlepipe.verbs.diffing.difference import Difference
    from bundlepipe.verbs.outputs.replacing import ReplacePolicy
    from bundlepipe.verbs.pull import Pulled
    from bundlepipe.verbs.push import Pushed


# How many images of kbld's sources are built at once.
_BUILDS = 4


def push(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    to: str | Reference,
    *,
    bundle: bool = True,
    tags: str | Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    exclude: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (".git",),
    preserve_permissions: bool = False,
    stores: Stores | None = None,
) -> Pushed:
    """Push files as a bundle, or with `bundle=False` as a plain image, to `to`; skip the upload if it is there already.

    `files` are packed as by `imgpkg push -f`, except paths that `exclude` names relative to them. `to` is
    `REGISTRY/REPOSITORY[:TAG]`, where the tag defaults to `latest`; `tags` are additional ones. Raises InputError,
    DocumentError, InvalidReference, StoreError and its subclasses, BundlepipeError for other invalid arguments,
    TypeError for values of other types.
    """
    from bundlepipe.filesystem.inputs import Inputs
    from bundlepipe.verbs.push import PushRequest
    from bundlepipe.verbs.push import push as push_files

    destination = as_push_destination(to)
    request = PushRequest(
        inputs=Inputs(as_paths("files", files), as_paths("exclude", exclude), preserve_permissions),
        destination=destination,
        is_bundle=bundle,
        labels=as_labels(labels or {}),
        tags=as_tags(tags),
    )
    if not request.inputs.paths:
        raise BundlepipeError(f"{destination}: there is nothing to push: name at least one file or directory")
    with _opened(stores) as opened:
        return push_files(request, opened)


def pull(
    source: str | Location,
    to: str | os.PathLike[str],
    *,
    recursive: bool = False,
    max_size: int | None = None,
    force: bool = False,
    stores: Stores | None = None,
) -> Pulled:
    """Replace the directory `to` with the files of a bundle or image, with `recursive` also those of nested bundles.

    `source` is a reference, `oci:DIR[:TAG]`, `tar:FILE` or `docker-daemon:NAME[:TAG]`. `max_size` bounds the bytes
    that may be extracted (None: 64 GiB). The directory is replaced as a whole or left unchanged. Without `force`
    it is not replaced if files would be lost: files that no pull wrote and that git does not have.
    Raises InvalidReference, OutputError, UnsafeArchive, InvalidContent, IntegrityError, DocumentError, StoreError
    and its subclasses, BundlepipeError for an index of images.
    """
    from bundlepipe.oci.layers.unpack import Limits
    from bundlepipe.verbs.outputs.pulled import is_as_pulled, record_pulled
    from bundlepipe.verbs.outputs.replacing import DirectoryOutput
    from bundlepipe.verbs.pull import pull as pull_files

    limits, directory = None if max_size is None else Limits(size=max_size), os.fspath(to)
    claim = _claim("its files are not as a pull left them", force=force, made=lambda: is_as_pulled(directory))
    with _opened(stores) as opened:
        pulled = pull_files(
            _location(source),
            directory,
            opened,
            recursive=recursive,
            limits=limits,
            replaces=DirectoryOutput(directory, claim),
        )
    record_pulled(directory, pulled.snapshot)
    return pulled


def copy(
    source: str | Location | LockSource | BundleLock | ImagesLock,
    to: str | Location,
    *,
    tags: str | Sequence[str] = (),
    include_non_distributable_layers: bool = False,
    cosign_signatures: bool = False,
    referrers: bool = False,
    repo_based_tags: bool = False,
    resume: bool = True,
    exclude: str | Sequence[str] = (),
    force: bool = False,
    stores: Stores | None = None,
) -> Copied:
    """Copy a bundle or image, with everything it names, to `to`; content that is already there is not sent again.

    `source` is what `pull` takes, or a lock whose images are all copied: an object, or
    `LockSource(path)`. `to` is a repository, with a tag if it should differ from the source's, or a
    local location. `exclude` are tar files (`tar:FILE`) and paths of locks whose layers are left out
    of a tar file. An existing file that no copy wrote is replaced only if git has it, or with `force`.
    Raises InvalidReference, InvalidContent, IntegrityError, DocumentError, InputError for a lock that
    cannot be read, OutputError, StoreError and its subclasses, BundlepipeError for other invalid
    arguments.
    """
    from bundlepipe.verbs.copying.copy import copy as copy_images
    from bundlepipe.verbs.copying.request import CopyRequest

    destination, tag = _destination(to)
    check = partial(_check_place, destination, force=force)
    check()
    request = CopyRequest(
        source=_source(source),
        destination=destination,
        tag=tag,
        tags=as_tags(tags),
        include_non_distributable=include_non_distributable_layers,
        cosign=cosign_signatures,
        referrers=referrers,
        repo_based_tags=repo_based_tags,
        resume=resume,
        exclude=[_excluded(item) for item in as_texts("exclude", exclude)],
    )
    with _opened(stores) as opened:
        return copy_images(request, opened, about_to=partial(check, is_written=True))


def lock(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    exclude: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    config: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    include: str | Sequence[str] = (),
    platform: str | None = None,
    refresh: bool = False,
    stores: Stores | None = None,
) -> ImagesLock:
    """Return the lock of all images that configuration names, and write it to `output` if that is given.

    `files` are searched as for a bundle's lock, except paths that `exclude` names relative to them;
    `config` are files of kbld's configuration, whose sources are built; `include` holds additional
    references. A reference that the file at `output` already has keeps its digest, unless `refresh`. An
    existing file that is not an ImagesLock is not replaced. Raises InputError, DocumentError for all
    faults of configuration, ResolutionError for all references that cannot be resolved or built,
    InvalidContent for an invalid platform, OutputError.
    """
    from bundlepipe.oci.manifest import Platform
    from bundlepipe.verbs.building.kbld_sources import SourceBuilds
    from bundlepipe.verbs.images.lock import LockRequest
    from bundlepipe.verbs.images.lock import lock as lock_images
    from bundlepipe.verbs.images.resolver import Resolver

    request = LockRequest(
        files=as_paths("files", files),
        exclude=as_paths("exclude", exclude),
        config=as_paths("config", config),
        include=dict.fromkeys(as_texts("include", include), "include"),
        platform=None if platform is None else Platform.parse(platform),
        refresh=lambda reference: refresh,
    )
    path = None if output is None else os.fspath(output)
    current = _current_lock(path)
    with _opened(stores) as opened:
        builds = SourceBuilds(opened, _BUILDS, lambda name, event: None)
        locked = lock_images(request, current, Resolver(opened), builds.build)
    if path is not None:
        _write(path, locked)
    return locked


def describe(
    source: str | Location,
    *,
    layers: bool = True,
    cosign_artifacts: bool = True,
    stores: Stores | None = None,
) -> BundleDescription:
    """Return the contents of a bundle: its images and nested bundles, where they are and where they came from.

    `source` is what `pull` takes. Without `layers` there are no digests of layers; without `cosign_artifacts`
    no artifacts of cosign are looked up. Raises InvalidReference, InvalidContent, IntegrityError,
    DocumentError, StoreError and its subclasses, BundlepipeError if it is not a bundle.
    """
    from bundlepipe.verbs.describing.describe import describe as describe_bundle

    with _opened(stores) as opened:
        return describe_bundle(_location(source), opened, layers=layers, cosign_artifacts=cosign_artifacts)


def diff(
    old: str | os.PathLike[str] | Location | Bundle | Image,
    new: str | os.PathLike[str] | Location | Bundle | Image,
    *,
    context: int = 3,
    sizes: bool = True,
    stores: Stores | None = None,
) -> Difference:
    """Return what differs between two bundles or images: files, images, configuration, and that of nested bundles.

    Each is what `pull` takes, the directory of a bundle's files, or a declaration, whose files and images.yml are
    compared as they are now. Patches have `context` lines around changes. Without `sizes`, what a site lacks that
    has the old one is not counted, which takes a request for each image. Images that cannot be read are in
    `unread`. Raises InvalidReference, InputError for files that cannot be read, InvalidContent, IntegrityError,
    UnsafeArchive, DocumentError, StoreError and its subclasses, BundlepipeError for an index, for a declaration
    that is not made of files, and for other invalid arguments.
    """
    from bundlepipe.verbs.diffing.diff import diff as compare

    if context < 0:
        raise BundlepipeError(f"context={context}: expected the number of lines around each change")
    sides = as_side(old), as_side(new)
    with _opened(stores) as opened:
        return compare(*sides, opened, context=context, sizes=sizes)


@contextmanager
def _opened(stores: Stores | None) -> Iterator[Stores]:
    """Yield the given stores, or new ones whose connections are closed at the end."""
    if stores is not None:
        yield stores
        return
    from bundlepipe.stores.opening import Stores

    with Stores() as own:
        yield own


def _location(given: str | Location) -> Location:
    from bundlepipe.stores.location import parse_location

    return parse_location(given) if isinstance(given, str) else given


def _destination(given: str | Location) -> tuple[Place, str | None]:
    """Return where a copy goes, and the tag it should have there if one is given."""
    from bundlepipe.oci.reference import Reference

    location = _location(given)
    if not isinstance(location, Reference):
        return location, None
    if location.digest:
        raise BundlepipeError(f"{location}: the destination of a copy cannot be a digest: give a repository")
    return location.repository, location.tag


def _source(
    given: str | Location | LockSource | BundleLock | ImagesLock,
) -> Location | BundleLock | ImagesLock:
    from bundlepipe.pipeline.declared.model import LockSource

    if isinstance(given, LockSource):
        return _read_lock(given.path)
    return _location(given) if isinstance(given, str) else given


def _excluded(text: str) -> ArchiveLocation | BundleLock | ImagesLock:
    from bundlepipe.stores.location import ArchiveLocation, parse_location

    if text.startswith("tar:") and isinstance(archive := parse_location(text), ArchiveLocation):
        return archive
    return _read_lock(text)


def _read_lock(path: str) -> BundleLock | ImagesLock:
    from bundlepipe.documents.imgpkg.any_lock import parse_lock
    from bundlepipe.filesystem.files import read_document

    return parse_lock(read_document(path), path)


def _current_lock(path: str | None) -> ImagesLock:
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.filesystem.files import read_document

    if path is None or not os.path.lexists(path):
        return ImagesLock(())
    return ImagesLock.parse(read_document(path), path)


def _claim(unknown: str, *, force: bool = False, made: Callable[[], bool] = lambda: False) -> ReplacePolicy:
    from bundlepipe.verbs.outputs.replacing import ReplacePolicy

    return ReplacePolicy(
        unknown=unknown, advice="remove it, name another path, or replace it with force=True", forced=force, made=made
    )


def _check_place(destination: Repository | Location, *, force: bool, is_written: bool = False) -> None:
    """Raise OutputError if a copy to a local location would replace files that would be lost.

    For a tar file that `is_written`, only its own path is checked, not that of the partial file.
    """
    from bundlepipe.filesystem.dangerous import refuse_repository
    from bundlepipe.stores.location import ArchiveLocation, LayoutLocation
    from bundlepipe.verbs.outputs.kinds import COPIED_TAR, tar_outputs
    from bundlepipe.verbs.outputs.replacing import check_all

    if isinstance(destination, LayoutLocation):
        refuse_repository(destination.directory)
    elif isinstance(destination, ArchiveLocation):
        outputs = tar_outputs(destination.path, _claim(f"it is not {COPIED_TAR.name}", force=force))
        check_all(outputs[:1] if is_written else outputs)


def _write(path: str, locked: ImagesLock) -> None:
    from bundlepipe.errors import OutputError
    from bundlepipe.verbs.outputs.kinds import IMAGES_LOCK
    from bundlepipe.verbs.outputs.replacing import FileOutput

    try:
        FileOutput(path, _claim(f"it is not {IMAGES_LOCK.name}"), [IMAGES_LOCK]).write(locked.to_bytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
