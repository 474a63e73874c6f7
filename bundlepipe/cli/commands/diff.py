"""The command `diff`: what differs between two bundles or images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bundlepipe.cli.messages import fetching
from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import Command, Option, Run, Switch
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.cli.parsing.sides import Sides
from bundlepipe.errors import BundlepipeError, StoreError

if TYPE_CHECKING:
    from bundlepipe.verbs.diffing.difference import Difference

_FORMS = "--stat, --name-only and --markdown are different forms of output: give one of them"
_NOT_JSON = "--json is a form of output too, and has everything: leave out --stat and --markdown"
_DIFFERENT = 1
_TROUBLE = 2


@click.command(
    cls=Command,
    failure_status=_TROUBLE,
    examples={
        "Compare two releases of a bundle": "diff registry.example/shop:1.0 registry.example/shop:1.1",
        "Show what a push would change": "diff registry.example/shop:1.0 bundle:shop",
        "List the changed files between a tar file and a directory": "diff tar:shop.tar deploy/shop --name-only",
        "Write a comment for a pull request": "diff registry.example/shop:1.0 bundle:shop --markdown > comment.md",
    },
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.option("--stat", cls=Switch, help="Print for each file how much changed, without its lines")
@click.option("--name-only", cls=Switch, help="Print only the paths of changed files")
@click.option("--markdown", cls=Switch, help="Print Markdown for a pull request, of at most 60,000 bytes")
@click.option(
    "-U",
    "--unified",
    cls=Option,
    type=click.IntRange(min=0),
    default=3,
    metavar="N",
    help="Print N lines around each change (3)",
)
@registry_options
@click.pass_obj
def diff(
    run: Run, old: str, new: str, stat: bool, name_only: bool, markdown: bool, unified: int, access: Access
) -> int:
    """Show what differs between two bundles or images: files, images, labels, and the same of nested bundles.

    OLD and NEW are each a reference, oci:DIR[:TAG], tar:FILE, docker-daemon:NAME[:TAG], a directory with the files of
    a bundle, or bundle:NAME or image:NAME for a declaration of bundlepipe.yml, as a push would make it now. Images are
    compared by digest: a copy in another registry is the same. The last line says how many bytes a site that has OLD
    lacks of NEW. The exit status is 0 if both are the same, 1 if they differ, and 2 for an error.
    """
    if stat + name_only + markdown > 1:
        raise BundlepipeError(_FORMS)
    if run.console.as_json and (stat or markdown):
        raise BundlepipeError(_NOT_JSON)
    from bundlepipe.cli.doit_program import load_tasks
    from bundlepipe.verbs.diffing.diff import diff as compare
    from bundlepipe.verbs.diffing.sides import may_be_a_directory

    sides = Sides(lambda: load_tasks(run.tool.name), lambda text: run.console.note(f"{run.tool.name}: {text}"))
    with sides.parsed(old, new) as pair, narrated(run, "diff") as emit, fetching():
        stores = access.stores(run, emit, registries=sides.registries)
        try:
            difference = compare(*pair, stores, context=unified, sizes=not name_only, emit=emit)
        except StoreError:
            for text, side in zip((old, new), pair, strict=True):
                if may_be_a_directory(text, side):
                    run.console.note(
                        f"{run.tool.name}: {text}: there is no such directory here, so it was taken for {side}"
                    )
            raise
    for unread in difference.unread:
        run.console.note(f"{run.tool.name}: not compared: {unread.image}: {unread.reason}")
    _print(run, difference, stat=stat, name_only=name_only, markdown=markdown)
    return 0 if difference.is_empty else _DIFFERENT


def _print(run: Run, difference: Difference, *, stat: bool, name_only: bool, markdown: bool) -> None:
    from bundlepipe.cli.printing.differences import text
    from bundlepipe.verbs.diffing.to_json import to_json

    if run.console.as_json:
        run.console.document(to_json(difference))
    elif markdown:
        from bundlepipe.cli.printing.differences.markdown import to_markdown

        run.console.block(to_markdown(difference))
    else:
        lines = text.names if name_only else text.summary if stat else text.patch
        console = run.console
        if shown := text.rendered(lines(difference), color=console.is_colored, escapes=console.narrates):
            console.block(shown)
