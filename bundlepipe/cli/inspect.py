"""inspect, with kbld's options and table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bundlepipe.cli.command import Command, Run, Switch
from bundlepipe.cli.configuration import files_option, read_files
from bundlepipe.cli.console import Table
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.registry_options import Access, tls_options
from bundlepipe.cli.tool import KBLD

if TYPE_CHECKING:
    from bundlepipe.documents.listed_images import ListedImage

_HEADER = {"image": "Image", "metadata": "Metadata", "resource": "Resource"}


@click.command(
    cls=Command,
    examples={
        "List the images of resolved configuration, and where they came from": "inspect -f resolved.yml",
        "List the images alone of what is on stdin": "inspect -f - --column image < resolved.yml",
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

    They are read from the annotation kbld.k14s.io/images, which resolving leaves at each
    resource: a row for each image of each resource, and where the image came from. Nothing is
    asked of a registry. Under the name kbld all images are listed that are found in resources,
    resolved or not, and the annotation only says where they came from.
    """
    from bundlepipe.verbs.inspect import inspect as inspect_images
    from bundlepipe.verbs.inspect import inspect_as_kbld

    find = inspect_as_kbld if run.tool is KBLD else inspect_images
    with narrated(run, "inspect") as emit:
        listed = find(read_files(run, files, emit, access.network))
    rows = [[found.image, _metadata(run, found), found.resource] for found in listed]
    if run.tool is KBLD:
        # It has the option --sort, and sorts whatever that says.
        rows.sort(key=lambda row: (row[0], row[2]))
    elif sort:
        rows.sort()
    run.console.table(Table("Images", "images", _HEADER, rows, is_transposed=run.tool is KBLD))


def _metadata(run: Run, found: ListedImage) -> str:
    from bundlepipe.documents.images_annotation import origins_text

    if found.origins or (run.tool is KBLD and found.origins is not None):
        return origins_text(found.origins).rstrip()
    return ""
