"""pull, with imgpkg's options and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlepipe.cli.command import DIRECTORY, PATH, Command, Option, Run, Switch
from bundlepipe.cli.images import bundle_option, image_option, read_lock, sole
from bundlepipe.cli.messages import fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.outputs import force_option, pull_output
from bundlepipe.cli.registry_options import Access, registry_options
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Event, ImageLaidOut, LayerLaidOut
from bundlepipe.stores.location import parse_location

if TYPE_CHECKING:
    from bundlepipe.stores.location import Location
    from bundlepipe.verbs.bundle import Kind
    from bundlepipe.verbs.pull import Pulled


@click.command(
    cls=Command,
    examples={
        "Pull a bundle into ./shop": "pull -b registry.example/apps/shop-bundle:1.0 -o shop",
        "Pull what a lock names, with the bundles that it nests": "pull --lock shop.lock.yml -o shop --recursive",
        "Pull the files of an image": "pull -i registry.example/apps/shop-site -o site",
    },
)
@bundle_option("Pull this bundle")
@image_option("Pull this image")
@click.option(
    "--lock",
    cls=Option,
    type=PATH,
    metavar="FILE",
    help="Pull the bundle that this BundleLock names (- reads stdin)",
)
@click.option(
    "-o",
    "--output",
    cls=Option,
    required=True,
    type=DIRECTORY,
    metavar="DIR",
    help="Replace this directory by the files",
)
@click.option("-r", "--recursive", cls=Switch, help="Pull nested bundles as well, into .imgpkg/bundles")
@click.option("--image-is-bundle-check", cls=Switch, default=None, help="Let -i pull the files of a bundle, too")
@force_option
@registry_options
@click.pass_obj
def pull(
    run: Run,
    bundle: str | None,
    image: str | None,
    lock: str | None,
    output: str,
    recursive: bool,
    image_is_bundle_check: bool | None,
    access: Access,
    force: bool = False,
) -> None:
    """Pull the files of a bundle or image into a directory, which is replaced as a whole.

    Where the bundle's repository has all images that .imgpkg/images.yml names, as it has after
    a copy, that file is rewritten to name them there.
    """
    if image_is_bundle_check is not None and (bundle or lock):
        raise BundlepipeError("Cannot set --image-is-bundle-check while using -b flag")
    chosen = sole(
        {"bundle": bundle, "image": image, "lock": lock}, "Expected either image or bundle, or a lock that names one"
    )
    source, expected = _source(*chosen)
    files_alone = image_is_bundle_check is False
    narrator = _Narrator(run)

    from bundlepipe.verbs.pull import pull as pull_files
    from bundlepipe.verbs.pulled import is_as_pulled, record_pulled

    # Under imgpkg's name its rule holds, and it keeps no records.
    is_bundle = None if files_alone else expected == "bundle"
    replaces = pull_output(output, lambda: is_as_pulled(output), is_bundle=is_bundle, force=force)
    with narrated(run, "pull", narrator.take) as emit, fetching():
        homes = access.homes(run, emit)
        pulled = pull_files(
            source,
            output,
            homes,
            expected=None if files_alone else expected,
            files_alone=files_alone,
            recursive=recursive,
            replaces=replaces if run.tool is BUNDLEPIPE else None,
            emit=emit,
        )
    if run.tool is BUNDLEPIPE:
        record_pulled(output, pulled.snapshot)
    narrator.finish(pulled)


def _source(option: str, value: str) -> tuple[Location, Kind]:
    """Return what is pulled and what it has to be."""
    if option == "bundle":
        return parse_location(value), "bundle"
    if option == "image":
        return parse_location(value), "image"
    from bundlepipe.documents.bundle_lock import BundleLock

    lock = read_lock(value)
    if not isinstance(lock, BundleLock):
        raise BundlepipeError(f"{value}: is an ImagesLock: expected a BundleLock, which names one bundle")
    return lock.image, "bundle"


class _Narrator:
    """Tells of a pull as imgpkg does: nested bundles under a title of their own, the lock last."""

    def __init__(self, run: Run) -> None:
        self._console = run.console
        self._has_nested = False

    def take(self, event: Event) -> None:
        """Narrate what begins."""
        indent = "  " if self._has_nested else ""
        match event:
            case ImageLaidOut(image, "nested bundle"):
                if not self._has_nested:
                    self._console.line("\nNested bundles")
                self._has_nested = True
                self._console.line(f"  Pulling nested bundle '{image}'")
            case ImageLaidOut(image, kind):
                self._console.line(f"Pulling {kind} '{image}'")
            case LayerLaidOut(digest, number, count):
                self._console.line(f"{indent}  Extracting layer '{digest}' ({number}/{count})")

    def finish(self, pulled: Pulled) -> None:
        """Narrate what became of the lock of the bundle itself."""
        if not pulled.bundles:
            return
        self._console.line("\nLocating image lock file images...")
        if pulled.bundles[0].relocated:
            self._console.line(
                f"The bundle repo ({pulled.store_name}) is hosting every image specified in the bundle's "
                "Images Lock file (.imgpkg/images.yml)"
            )
        else:
            self._console.line("One or more images not found in bundle repo; skipping lock file update")
