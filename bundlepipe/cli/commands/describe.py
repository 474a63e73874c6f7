"""The command `describe`, with imgpkg's options and documents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from bundlepipe.cli.messages import FetchFailed, fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import Command, Option, Run, Switch
from bundlepipe.cli.parsing.images import bundle_option
from bundlepipe.cli.parsing.references import location_of
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.cli.tool import IMGPKG
from bundlepipe.errors import BundlepipeError, InvalidReference

_FORMATS = ("text", "yaml")
_UNKNOWN = "Unable to check if {} is a bundle"


@click.command(
    cls=Command,
    examples={
        "Show the images of a bundle": "describe -b registry.example/apps/shop-bundle:1.0",
        "The same in machine-readable form": "describe -b registry.example/apps/shop-bundle:1.0 -o yaml",
    },
    own_examples={"Describe a tar file": "describe -b tar:shop.tar"},
)
@bundle_option("Describe this bundle")
@click.option(
    "-o", "--output-type", cls=Option, default="text", metavar="FORMAT", help="Print text (the default) or yaml"
)
@click.option("--layers", cls=Switch, default=True, help="Leave out the digests of layers")
@click.option("--cosign-artifacts", cls=Switch, default=True, help="Leave out artifacts that cosign attached to images")
@click.option(
    "--concurrency", cls=Option, type=click.IntRange(min=1), metavar="N", help="Transfer up to N layers at once (8)"
)
@registry_options
@click.pass_obj
def describe(
    run: Run,
    bundle: str | None,
    output_type: str,
    layers: bool,
    cosign_artifacts: bool,
    concurrency: int | None,
    access: Access,
) -> None:
    """Show the images of a bundle, including those of nested bundles: where they are, and where they came from."""
    if output_type not in _FORMATS:
        raise BundlepipeError(f"--output-type can only have the following values [{', '.join(_FORMATS)}]")
    if not bundle:
        drop_in = f"{_UNKNOWN.format('')}: could not parse reference: "
        raise BundlepipeError("Expected bundle: give it with --bundle (-b)", drop_in=drop_in)
    from bundlepipe.verbs.describing.describe import describe as describe_bundle
    from bundlepipe.verbs.describing.description import text_blocks, to_text, to_yaml, yaml_as_imgpkg

    as_imgpkg = run.tool is IMGPKG
    with narrated(run, "describe") as emit, _naming(bundle), fetching():
        description = describe_bundle(
            location_of(run, bundle),
            access.stores(run, emit, concurrency=concurrency),
            layers=layers,
            cosign_artifacts=cosign_artifacts,
            as_imgpkg=as_imgpkg,
            emit=emit,
        )
    if not as_imgpkg:
        run.console.block(to_text(description) if output_type == "text" else to_yaml(description))
        return
    yaml = (f"sha: {description.digest}\n", yaml_as_imgpkg(description))
    run.console.blocks(list(text_blocks(description)) if output_type == "text" else yaml)


@contextmanager
def _naming(bundle: str) -> Iterator[None]:
    """Name the described bundle in errors, as imgpkg does."""
    try:
        yield
    except (FetchFailed, InvalidReference) as error:
        error.drop_in = f"{_UNKNOWN.format(bundle)}: {error.drop_in or error}"
        raise
