"""The command `copy`, with imgpkg's options and output."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.messages import fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing import copy_faults
from bundlepipe.cli.parsing.command import PATH, Command, Option, Run, Switch
from bundlepipe.cli.parsing.images import bundle_option, image_option, sole
from bundlepipe.cli.parsing.lock_words import read_copied_lock
from bundlepipe.cli.parsing.outputs import check_tar, force_option, lock_writer
from bundlepipe.cli.parsing.references import location_of
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.cli.printing.results import Transfers, copied_to_json
from bundlepipe.cli.tool import BUNDLEPIPE, IMGPKG
from bundlepipe.errors import BundlepipeError, InvalidReference
from bundlepipe.events import Event
from bundlepipe.filesystem.dangerous import refuse_repository
from bundlepipe.stores.location import parse_location
from bundlepipe.verbs.outputs.kinds import BUNDLE_LOCK, IMAGES_LOCK, kind_of

if TYPE_CHECKING:
    from bundlepipe.cli.printing.copy_narration import Narration
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.stores.location import Place
    from bundlepipe.verbs.copying.request import Copied, CopyRequest
    from bundlepipe.verbs.outputs.replacing import Kind
    from bundlepipe.verbs.shared.bundles import Kind as ImageKind

_SOURCES = "Expected either --lock, --bundle (-b), --image (-i), or --tar as a source"
_DESTINATIONS = "Expected either --to-tar or --to-repo"
_NO_REPOSITORY = "a copy to this destination has no lock"


@click.command(
    cls=Command,
    examples={
        "Copy a bundle and all its images to another registry": (
            "copy -b registry.example/apps/shop-bundle:1.0 --to-repo registry.corp.example/shop"
        ),
        "Copy them to a file": "copy -b registry.example/apps/shop-bundle:1.0 --to-tar shop.tar",
        "Copy from the file inside an air gap": "copy --tar shop.tar --to-repo registry.inside.example/shop",
    },
)
@bundle_option("Copy this bundle with everything it names")
@image_option("Copy this image or index")
@click.option(
    "--lock",
    cls=Option,
    type=PATH,
    metavar="FILE",
    help="Copy the images in this BundleLock or ImagesLock (- reads stdin)",
)
@click.option("--tar", cls=Option, type=PATH, metavar="FILE", help="Copy everything in this tar file")
@click.option(
    "--to-repo",
    cls=Option,
    metavar="REPOSITORY",
    help="Copy to this repository, with the tag TAG if it is given (imgpkg takes no tag)",
)
@click.option("--to-tar", cls=Option, type=PATH, metavar="FILE", help="Copy to this tar file")
@click.option(
    "--concurrency", cls=Option, type=click.IntRange(min=1), metavar="N", help="Transfer up to N layers at once (8)"
)
@click.option("--cosign-signatures", cls=Switch, help="Also copy artifacts that cosign attached to images")
@click.option("--ignore-bundle-check", cls=Switch, help="Allow a bundle for -i, copied without the images it names")
@click.option(
    "--image-is-bundle-check", cls=Switch, default=True, help="Allow a bundle for -i, like --ignore-bundle-check"
)
@click.option(
    "--include-non-distributable-layers", cls=Switch, help="Also copy layers that are not meant to be redistributed"
)
@click.option(
    "--lock-output", cls=Option, type=PATH, metavar="FILE", help="Write a lock of the copied images (- prints it)"
)
@click.option("--repo-based-tags", cls=Switch, help="Begin internal tags with the repository of an image's origin")
@click.option("--resume", cls=Switch, help="Reuse layers that an interrupted copy left in the tar file")
@force_option
@registry_options
@click.pass_obj
def copy(
    run: Run,
    /,
    bundle: str | None,
    image: str | None,
    lock: str | None,
    tar: str | None,
    to_repo: str | None,
    to_tar: str | None,
    concurrency: int | None,
    lock_output: str | None,
    access: Access,
    force: bool = False,
    **options: Any,
) -> None:
    """Copy a bundle or images, with everything that they name, to one repository or to a tar file.

    Content that the destination already has is not sent again. Digests do not change, and each
    bundle gets its image locations, so that a later pull finds all its images in the destination.
    """
    source = sole({"bundle": bundle, "image": image, "lock": lock, "tar": tar}, _SOURCES)
    destination = sole({"--to-repo": to_repo, "--to-tar": to_tar}, _DESTINATIONS)
    if tar and to_tar and run.tool is not BUNDLEPIPE:
        raise BundlepipeError("Cannot use tar source (--tar) with tar destination (--to-tar)")
    if lock_output and to_tar:
        raise BundlepipeError(
            "cannot output lock file with tar destination", drop_in="Cannot output lock file with tar destination"
        )
    if _is_shallow(options) and source[0] != "image":
        raise BundlepipeError(
            f"Cannot set {_shallow_option(options)} without -i flag: it copies a bundle as an image alone"
        )
    if options["resume"] and not to_tar:
        raise BundlepipeError("Flag --resume can only be used when copying to tar")
    request = _request(run, source, destination, options)
    write_lock = _checked_outputs(run, request, lock_output, force=force)

    from bundlepipe.verbs.copying.copy import copy as copy_images

    narration, transfers = _narration(run, request), Transfers()

    def tell(event: Event) -> None:
        transfers.take(event)
        narration.take(event)

    with narrated(run, "copy", tell) as emit, fetching():
        stores = access.stores(run, emit, concurrency=concurrency)
        copied = copy_images(request, stores, about_to=_last_check(run, request, force=force), emit=emit)
    narration.end(copied)
    made = _lock_of(copied, lock_output) if lock_output else None
    if made:
        write_lock(made.to_bytes(), kind_of(made))
    if run.prints_results:
        run.console.document(copied_to_json(request, copied, transfers, made))


def _is_shallow(options: dict[str, bool]) -> bool:
    return options["ignore_bundle_check"] or not options["image_is_bundle_check"]


def _shallow_option(options: dict[str, bool]) -> str:
    return "--ignore-bundle-check" if options["ignore_bundle_check"] else "--image-is-bundle-check"


def _checked_outputs(
    run: Run, request: CopyRequest, lock_output: str | None, *, force: bool
) -> Callable[[bytes, Kind], None]:
    """Refuse outputs that must not be written; return the writer of the lock."""
    from bundlepipe.stores.location import ArchiveLocation, LayoutLocation

    if isinstance(request.destination, ArchiveLocation):
        check_tar(run, request.destination.path, force=force)
        if request.as_imgpkg:
            copy_faults.check_tar(request, request.destination.path)
    elif isinstance(request.destination, LayoutLocation):
        refuse_repository(request.destination.directory)
    return lock_writer(run, lock_output, [BUNDLE_LOCK, IMAGES_LOCK], force=force)


def _last_check(run: Run, request: CopyRequest, *, force: bool) -> Callable[[], object]:
    """Return a function that checks again what a tar file would replace, just before it is put in place."""
    from bundlepipe.stores.location import ArchiveLocation

    if not isinstance(request.destination, ArchiveLocation):
        return lambda: None
    return partial(check_tar, run, request.destination.path, force=force, is_written=True)


def _request(run: Run, source: tuple[str, str], destination: tuple[str, str], options: dict[str, bool]) -> CopyRequest:
    from bundlepipe.stores.location import ArchiveLocation
    from bundlepipe.verbs.copying.request import CopyRequest

    option, value = source
    to_option, to = destination
    to, tag = (to, None) if to_option == "--to-tar" or run.tool is not BUNDLEPIPE else _without_tag(to)
    # imgpkg finds faults of the destination first.
    target = ArchiveLocation(to) if to_option == "--to-tar" else _destination(run, to)
    what = _file_source(run, option, value) if option in ("lock", "tar") else location_of(run, value)
    return CopyRequest(
        source=what,
        destination=target,
        tag=tag,
        expected=_expected(run, option, what),
        shallow=_is_shallow(options),
        include_non_distributable=options["include_non_distributable_layers"],
        cosign=options["cosign_signatures"],
        repo_based_tags=options["repo_based_tags"],
        resume=options["resume"],
        as_imgpkg=run.tool is IMGPKG,
    )


def _expected(run: Run, option: str, source: object) -> ImageKind | None:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

    if option == "image":
        return "image"
    is_said = option == "bundle" or (run.tool is IMGPKG and isinstance(source, BundleLock))
    return "bundle" if is_said else None


def _file_source(run: Run, option: str, path: str) -> Any:
    from bundlepipe.stores.location import ArchiveLocation

    return ArchiveLocation(path) if option == "tar" else read_copied_lock(run, path)


def _without_tag(to: str) -> tuple[str, str | None]:
    """Return the name of a destination, and a repository's tag for the copied image."""
    from bundlepipe.oci.reference import Reference

    location = parse_location(to)
    if not isinstance(location, Reference) or location.tag is None or location.digest:
        return to, None
    return str(location.repository), location.tag


def _destination(run: Run, text: str) -> Place:
    """Return the destination in a string: a repository, whose images get their own tags, or a local location."""
    from bundlepipe.oci.reference import Reference, Repository

    if run.tool is IMGPKG:
        if fault := copy_faults.repository_fault(text):
            raise InvalidReference(fault, drop_in=fault)
        return Repository.parse(text)
    location = parse_location(text)
    return Repository.parse(text) if isinstance(location, Reference) else location


def _narration(run: Run, request: CopyRequest) -> Narration:
    from bundlepipe.cli.printing.copy_narration import ImgpkgNarration, Narration

    return (ImgpkgNarration if request.as_imgpkg else Narration)(run.console, request)


def _lock_of(copied: Copied, path: str) -> BundleLock | ImagesLock:
    """Return the lock of the copied images; BundlepipeError if there is none."""
    if copied.lock is None:
        what = _NO_REPOSITORY if copied.roots and copied.roots[0].image is None else "several bundles have no one lock"
        raise BundlepipeError(f"--lock-output {path}: {what}; everything is copied")
    return copied.lock
