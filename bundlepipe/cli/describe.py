"""describe, with imgpkg's options and documents."""

from __future__ import annotations

import click

from bundlepipe.cli.command import Command, Option, Run, Switch
from bundlepipe.cli.images import bundle_option
from bundlepipe.cli.messages import fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.registry_options import Access, registry_options
from bundlepipe.errors import BundlepipeError
from bundlepipe.stores.location import parse_location

_FORMATS = ("text", "yaml")


@click.command(
    cls=Command,
    examples={
        "Show what a bundle consists of": "describe -b registry.example/apps/shop-bundle:1.0",
        "The same for programs": "describe -b registry.example/apps/shop-bundle:1.0 -o yaml",
        "Look into a tar": "describe -b tar:shop.tar",
    },
)
@bundle_option("Describe this bundle")
@click.option(
    "-o", "--output-type", cls=Option, default="text", metavar="FORMAT", help="Print text (so without it) or yaml"
)
@click.option("--layers", cls=Switch, default=True, help="Leave out the digests of layers")
@click.option("--cosign-artifacts", cls=Switch, default=True, help="Leave out what cosign attached to images")
@click.option(
    "--concurrency", cls=Option, type=click.IntRange(min=1), metavar="N", help="Transfer so many layers at once (8)"
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
    """Show the images of a bundle, those of nested bundles included: where they are, and where they came from."""
    if not bundle:
        raise BundlepipeError("Expected bundle: give it with --bundle (-b)")
    if output_type not in _FORMATS:
        raise BundlepipeError(f"--output-type can only have the following values [{', '.join(_FORMATS)}]")
    from bundlepipe.verbs.describe import describe as describe_bundle
    from bundlepipe.verbs.description import to_text, to_yaml

    with narrated(run, "describe") as emit, fetching():
        description = describe_bundle(
            parse_location(bundle),
            access.homes(run, emit, concurrency=concurrency),
            layers=layers,
            cosign_artifacts=cosign_artifacts,
            emit=emit,
        )
    run.console.block(to_text(description) if output_type == "text" else to_yaml(description))
