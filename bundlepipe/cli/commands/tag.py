"""The commands `tag list` and `tag resolve`, with imgpkg's options and tables."""

from __future__ import annotations

from contextlib import nullcontext

import click

from bundlepipe.cli.messages import fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import Command, Run, Switch
from bundlepipe.cli.parsing.groups import Commands
from bundlepipe.cli.parsing.images import image_option
from bundlepipe.cli.parsing.references import reference_of
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.cli.printing.console import Table
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import BundlepipeError

tag = Commands(
    {
        "list": ("tag:list_", "List the tags of a repository"),
        "resolve": ("tag:resolve", "Print the digest that a tag names now"),
    },
    aliases={"ls": "list"},
    name="tag",
    help="List and resolve tags.",
)


@click.command(
    "list",
    cls=Command,
    examples={
        "List the tags of a repository": "tag list -i registry.example/apps/shop",
        "With the digests that they name, for a script": "tag list -i registry.example/apps/shop --digests --json",
    },
)
@image_option("List the tags of this repository")
@click.option("--digests", cls=Switch, help="Also print the digest of each tag, at the cost of a request for each")
@click.option("--imgpkg-internal-tags", cls=Switch, help="Also list internal tags of copies")
@registry_options
@click.pass_obj
def list_(run: Run, image: str | None, digests: bool, imgpkg_internal_tags: bool, access: Access) -> None:
    """List the tags of a repository, by name."""
    from bundlepipe.verbs.tags import list_tags

    _check_access(run, access)
    repository = reference_of(run, _required(image), "tag list").repository
    with narrated(run, "tag list") as emit:
        found = list_tags(repository, access.stores(run, emit), digests=digests, internal=imgpkg_internal_tags)
    rows = sorted([tag.name, tag.digest or ""] for tag in found)
    header = {"name": "Name", "digest": "Digest"}
    run.console.table(Table("Tags", "tags", header, rows, hidden=() if digests else ("digest",)))


@click.command(
    cls=Command,
    examples={"Pin a tag": "tag resolve -i registry.example/apps/shop:1.0"},
)
@image_option("Resolve this reference")
@registry_options
@click.pass_obj
def resolve(run: Run, image: str | None, access: Access) -> None:
    """Print a reference with the digest that its tag (latest if it has none) names now."""
    from bundlepipe.verbs.tags import resolve_tag

    _check_access(run, access)
    reference = reference_of(run, _required(image), "tag resolve")
    with narrated(run, "tag resolve") as emit, fetching() if run.tool is BUNDLEPIPE else nullcontext():
        resolved = resolve_tag(reference, access.stores(run, emit))
    run.console.block(str(resolved))


def _check_access(run: Run, access: Access) -> None:
    """Raise the error for the registry options, which imgpkg checks first."""
    if run.tool is not BUNDLEPIPE:
        access.keychain(run.tool)


def _required(image: str | None) -> str:
    if not image:
        raise BundlepipeError("Expected image: give it with --image (-i)", drop_in="could not parse reference: ")
    return image
