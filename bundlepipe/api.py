"""What bundlepipe does, as functions for Python programs that do without doit.

A door: `bundlepipe.push`, `pull`, `copy`, `lock` and `describe`. They take paths and texts, make
requests of them and hand those to the verbs. Nothing is imported before it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from bundlepipe.arguments import as_labels, as_paths, as_tags, as_texts
from bundlepipe.errors import BundlepipeError

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.oci.reference import Reference, Repository
    from bundlepipe.pipeline.declared.model import LockSource
    from bundlepipe.stores.homes import Homes
    from bundlepipe.stores.location import ArchiveLocation, Location, Place
    from bundlepipe.verbs.copying.request import Copied
    from bundlepipe.verbs.describing.description import BundleDescription
    from bundlepipe.verbs.outputs.replacing import Claim
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
    homes: Homes | None = None,
) -> Pushed:
    """Make files a bundle, or with `bundle=False` a plain image, at `to`; nothing is uploaded if it is there already.

    `files` are packed as by `imgpkg push -f`, less what `exclude` names relative to them. `to`
    is `REGISTRY/REPOSITORY[:TAG]`, with the tag `latest` where there is none; `tags` are
    further ones. Raises InputError, DocumentError, InvalidReference, StoreError and its kin,
    BundlepipeError for other things that make no sense; TypeError for values of other types.
    """
    from bundlepipe.filesystem.inputs import Inputs
    from bundlepipe.verbs.push import PushRequest
    from bundlepipe.verbs.push import push as push_files

    destination = _registry_reference(to)
    request = PushRequest(
        inputs=Inputs(as_paths("files", files), as_paths("exclude", exclude), preserve_permissions),
        destination=destination,
        is_bundle=bundle,
        labels=as_labels(labels or {}),
        tags=as_tags(tags),
    )
    if not request.inputs.paths:
        raise BundlepipeError(f"{destination}: there is nothing to push: name at least one file or directory")
    with _opened(homes) as opened:
        return push_files(request, opened)


def pull(
    source: str | Location,
    to: str | os.PathLike[str],
    *,
    recursive: bool = False,
    max_size: int | None = None,
    force: bool = False,
    homes: Homes | None = None,
) -> Pulled:
    """Replace the directory `to` by the files of a bundle or image, with `recursive` those of nested bundles too.

    `source` is a reference, `oci:DIR[:TAG]`, `tar:FILE` or `docker-daemon:NAME[:TAG]`. `max_size`
    bounds the bytes that may be extracted (None: 64 GiB). The directory is replaced as a
    whole, or left as it was. What would be lost by that is not replaced, unless `force`:
    files that no pull left there, and that git does not have. Raises InvalidReference, OutputError, UnsafeArchive,
    InvalidContent, IntegrityError, DocumentError, StoreError and its kin, BundlepipeError
    for an index of images.
    """
    from bundlepipe.oci.layers.unpack import Limits
    from bundlepipe.verbs.outputs.pulled import is_as_pulled, record_pulled
    from bundlepipe.verbs.outputs.replacing import DirectoryOutput
    from bundlepipe.verbs.pull import pull as pull_files

    limits, directory = None if max_size is None else Limits(size=max_size), os.fspath(to)
    claim = _claim("its files are not as a pull left them", force=force, made=lambda: is_as_pulled(directory))
    with _opened(homes) as opened:
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
    homes: Homes | None = None,
) -> Copied:
    """Make `to` have a bundle or image with everything that it names; what is there is not sent again.

    `source` is what `pull` takes, or a lock, of which everything is copied: as an object, or as
    `LockSource(path)`. `to` is a repository, with a tag if the copy is to have another one than
    the source, or a local home. `exclude` are tars (`tar:FILE`) and paths of locks whose
    layers a tar leaves out. A file in the place of a tar that is not a tar of a copy is replaced
    only if git has it, or with `force`. Raises InvalidReference, InvalidContent, IntegrityError,
    DocumentError, InputError for a lock that cannot be read, OutputError, StoreError and its
    kin, BundlepipeError for other things that make no sense.
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
    with _opened(homes) as opened:
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
    homes: Homes | None = None,
) -> ImagesLock:
    """Return the lock of all images that configuration names, and write it to `output` if that is given.

    `files` are searched as for a bundle's lock, less what `exclude` names relative to them;
    `config` are files of kbld's configuration, whose sources are built; `include` holds further
    references. A reference that the file at `output` has already keeps its digest, unless
    `refresh`. A file that is no ImagesLock is not replaced. Raises InputError, DocumentError
    for all faults of configuration, ResolutionError for all references that cannot be resolved
    or built, InvalidContent for a text that is no platform, OutputError.
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
    with _opened(homes) as opened:
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
    homes: Homes | None = None,
) -> BundleDescription:
    """Return what a bundle consists of: its images and nested bundles, where they are and where they came from.

    `source` is what `pull` takes. Without `layers` there are no digests of layers; without
    `cosign_artifacts` nobody is asked for what cosign attached. Raises InvalidReference,
    InvalidContent, IntegrityError, DocumentError, StoreError and its kin, BundlepipeError for
    what is not a bundle.
    """
    from bundlepipe.verbs.describing.describe import describe as describe_bundle

    with _opened(homes) as opened:
        return describe_bundle(_location(source), opened, layers=layers, cosign_artifacts=cosign_artifacts)


@contextmanager
def _opened(homes: Homes | None) -> Iterator[Homes]:
    """Lend the homes that were given, or some of our own, whose connections are closed in the end."""
    if homes is not None:
        yield homes
        return
    from bundlepipe.stores.homes import Homes as AllHomes

    with AllHomes() as own:
        yield own


def _location(given: str | Location) -> Location:
    from bundlepipe.stores.location import parse_location

    return parse_location(given) if isinstance(given, str) else given


def _registry_reference(given: str | Reference) -> Reference:
    from bundlepipe.oci.reference import Reference
    from bundlepipe.stores.location import LOCAL_PREFIXES

    if isinstance(given, Reference):
        return given
    if given.startswith(LOCAL_PREFIXES):
        raise BundlepipeError(f"'{given}': files are pushed to a repository: expected REGISTRY/REPOSITORY[:TAG]")
    return Reference.parse(given)


def _destination(given: str | Location) -> tuple[Place, str | None]:
    """Return where a copy goes, and the tag that it is to have there if that is said."""
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


def _claim(unknown: str, *, force: bool = False, made: Callable[[], bool] = lambda: False) -> Claim:
    from bundlepipe.verbs.outputs.replacing import Claim

    return Claim(
        unknown=unknown, advice="remove it, name another path, or replace it with force=True", forced=force, made=made
    )


def _check_place(destination: Repository | Location, *, force: bool, is_written: bool = False) -> None:
    """Raise OutputError if a copy to a local home would replace what would be lost.

    Of a tar that `is_written` only its own place is asked, not that of the partial file.
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
