"""The command `inspect`, with kbld's options and table."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import Command, Run, Switch
from bundlepipe.cli.parsing.configuration import files_option, read_files
from bundlepipe.cli.parsing.registry_options import Access, tls_options
from bundlepipe.cli.printing.console import Table
from bundlepipe.cli.tool import KBLD

_HEADER = {"image": "Image", "metadata": "Metadata", "resource": "Resource"}


@click.command(
    cls=Command,
    examples={
        "List the images of resolved configuration, and where they came from": "inspect -f resolved.yml",
        "List only the images of configuration on stdin": "inspect -f - --column image < resolved.yml",
    },
)
@files_option(
    "List the images of the resources in this file, in the YAML and JSON files of this directory, at this URL or on "
    "stdin (-) (repeatable)"
)
@click.option("--sort", cls=Switch, default=True, help="Keep the order of the resources")
@tls_options
@click.pass_obj
def inspect(run: Run, files: Sequence[str], sort: bool, access: Access) -> None:
    """List the images in resolved configuration.

    They are read from the annotation kbld.k14s.io/images, which 'resolve' adds to each resource: a
    row for each image of each resource, with the image's origins. No registry is asked. Under the
    name kbld all images in resources are listed, resolved or not, and the annotation only adds
    their origins.
    """
    # kbld has the option --sort, and ignores its value.
    rows = _found(run, files) if run.tool is KBLD else _listed(run, files, access)
    if sort and run.tool is not KBLD:
        rows.sort()
    run.console.table(Table("Images", "images", _HEADER, rows, is_transposed=run.tool is KBLD))


def _found(run: Run, files: Sequence[str]) -> list[list[str]]:
    """Return rows for all images in resources; registries in the options are ignored."""
    from bundlepipe.stores.settings import DEFAULT_NETWORK
    from bundlepipe.verbs.images.inspect import inspect_as_kbld

    with narrated(run, "inspect") as emit:
        found = inspect_as_kbld(read_files(run, files, emit, DEFAULT_NETWORK))
    return [
        [each.image, each.metadata, each.resource] for each in sorted(found, key=lambda it: (it.image, it.resource))
    ]


def _listed(run: Run, files: Sequence[str], access: Access) -> list[list[str]]:
    """Return rows for the images in annotations."""
    from bundlepipe.documents.search.annotations import origins_text
    from bundlepipe.verbs.images.inspect import inspect as inspect_images

    with narrated(run, "inspect") as emit:
        listed = inspect_images(read_files(run, files, emit, access.network))
    return [[each.image, origins_text(each.origins).rstrip() if each.origins else "", each.resource] for each in listed]
