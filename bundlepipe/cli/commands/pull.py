"""The command `pull`, with imgpkg's options and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlepipe.cli.messages import fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import DIRECTORY, PATH, Command, Option, Run, Switch
from bundlepipe.cli.parsing.images import bundle_option, image_option, sole
from bundlepipe.cli.parsing.outputs import force_option, pull_output
from bundlepipe.cli.parsing.references import location_of
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.cli.printing.results import Transfers, pulled_to_json
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Event, UnpackingImage, UnpackingLayer

if TYPE_CHECKING:
    from bundlepipe.stores.location import Location
    from bundlepipe.verbs.pull import Pulled
    from bundlepipe.verbs.shared.bundles import Kind

_CHECK_OF_A_BUNDLE = "Cannot set --image-is-bundle-check while using -b flag"


@click.command(
    cls=Command,
    examples={
        "Pull a bundle into ./shop": "pull -b registry.example/apps/shop-bundle:1.0 -o shop",
        "Pull the bundle in a lock, with its nested bundles": "pull --lock shop.lock.yml -o shop --recursive",
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
    help="Pull the bundle in this BundleLock (- reads stdin)",
)
@click.option(
    "-o",
    "--output",
    cls=Option,
    required=True,
    type=DIRECTORY,
    metavar="DIR",
    help="Replace this directory with the files",
)
@click.option("-r", "--recursive", cls=Switch, help="Pull nested bundles as well, into .imgpkg/bundles")
@click.option("--image-is-bundle-check", cls=Switch, default=None, help="Allow a bundle for -i")
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

    If the bundle's repository has all images that .imgpkg/images.yml names, as after a copy, that
    file is rewritten to name them there.
    """
    if run.tool is BUNDLEPIPE:
        if image_is_bundle_check is not None and (bundle or lock):
            raise BundlepipeError(_CHECK_OF_A_BUNDLE)
    else:
        _check_output(output)
    chosen = sole(
        {"bundle": bundle, "image": image, "lock": lock},
        "Expected either image or bundle, or a lock that names one",
        none="Expected either image or bundle reference",
        several="Expected only one of image, bundle, or lock",
    )
    files_alone = image_is_bundle_check is False
    if run.tool is not BUNDLEPIPE:
        _check_as_imgpkg(chosen[0], recursive=recursive, files_alone=files_alone)
    source, expected = _source(run, *chosen)
    narrator, transfers = _Narrator(run), Transfers()

    def tell(event: Event) -> None:
        transfers.take(event)
        narrator.take(event)

    from bundlepipe.verbs.outputs.pulled import is_as_pulled, record_pulled
    from bundlepipe.verbs.pull import pull as pull_files

    # Under the name imgpkg its rule applies, and no records are kept.
    is_bundle = None if files_alone else expected == "bundle"
    replaces = pull_output(output, lambda: is_as_pulled(output), is_bundle=is_bundle, force=force)
    with narrated(run, "pull", tell) as emit, fetching():
        stores = access.stores(run, emit)
        pulled = pull_files(
            source,
            output,
            stores,
            expected=None if files_alone else expected,
            files_alone=files_alone,
            recursive=recursive,
            replaces=replaces if run.tool is BUNDLEPIPE else None,
            emit=emit,
        )
    if run.tool is BUNDLEPIPE:
        record_pulled(output, pulled.snapshot)
    narrator.finish(pulled)
    if run.prints_results:
        run.console.document(pulled_to_json(output, pulled, transfers))


def _check_output(output: str) -> None:
    """Raise BundlepipeError for the outputs that imgpkg refuses; others are checked later."""
    if not output:
        raise BundlepipeError("Expected --output to be none empty")
    if output in ("/", ".", ".."):
        raise BundlepipeError("Disallowed output directory (trying to avoid accidental deletion)")


def _check_as_imgpkg(option: str, *, recursive: bool, files_alone: bool) -> None:
    """Raise BundlepipeError for flags that cannot be combined, with imgpkg's text."""
    if recursive and option == "image":
        raise BundlepipeError("Cannot use --recursive (-r) flag when pulling a bundle")
    if files_alone and option == "bundle":
        raise BundlepipeError(_CHECK_OF_A_BUNDLE)


def _source(run: Run, option: str, value: str) -> tuple[Location, Kind]:
    """Return the source, and the expected kind."""
    if option == "bundle":
        return location_of(run, value), "bundle"
    if option == "image":
        return location_of(run, value), "image"
    from bundlepipe.cli.parsing.lock_words import read_bundle_lock

    return read_bundle_lock(run, value).image, "bundle"


class _Narrator:
    """Reports a pull as imgpkg does: nested bundles under a title of their own, the lock last.

    imgpkg extracts layers in reverse, and reports them in that order.
    """

    def __init__(self, run: Run) -> None:
        self._console = run.console
        self._as_imgpkg = run.tool is not BUNDLEPIPE
        self._has_nested = False
        self._indent = ""
        self._layers: list[str] = []

    def take(self, event: Event) -> None:
        """Report the start of a step."""
        match event:
            case UnpackingImage(kind="nested bundle"):
                self._nested(event)
            case UnpackingImage(image, kind):
                self._console.line(f"Pulling {kind} '{image}'")
                self._indent = "  " if kind == "bundle" or not self._as_imgpkg else ""
            case UnpackingLayer(digest, number, count):
                self._layer(digest, number, count)

    def _nested(self, event: UnpackingImage) -> None:
        if not self._has_nested:
            self._console.line("\nNested bundles")
        self._has_nested = True
        indent = "  " * (event.depth if self._as_imgpkg else 1)
        if event.again and not self._as_imgpkg:
            return
        self._console.line(f"{indent}Pulling nested bundle '{event.image}'")
        if event.again:
            self._console.line(f"{indent}Skipped, already downloaded")
        self._indent = f"{indent}  "

    def _layer(self, digest: str, number: int, count: int) -> None:
        if not self._as_imgpkg:
            self._console.line(f"{self._indent}Extracting layer '{digest}' ({number}/{count})")
            return
        self._layers.append(digest)
        if number == count:
            for position, layer in enumerate(reversed(self._layers), 1):
                self._console.line(f"{self._indent}Extracting layer '{layer}' ({position}/{count})")
            self._layers.clear()

    def finish(self, pulled: Pulled) -> None:
        """Report the result for the lock of the bundle itself."""
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
