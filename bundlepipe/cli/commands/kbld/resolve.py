"""The command `resolve`, with kbld's options and output; under the name kbld it is the command without a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import PATH, Command, Option, Run, Switch
from bundlepipe.cli.parsing.configuration import files_option, read_files
from bundlepipe.cli.parsing.groups import Commands
from bundlepipe.cli.parsing.images import STANDARD
from bundlepipe.cli.parsing.outputs import force_option, lock_writer
from bundlepipe.cli.parsing.registry_options import Access, tls_options
from bundlepipe.cli.printing.console import Table
from bundlepipe.cli.tool import KBLD
from bundlepipe.errors import BundlepipeError
from bundlepipe.events import Emit, Event, OutputLine
from bundlepipe.verbs.outputs.kinds import IMAGES_LOCK, KBLD_LOCK

if TYPE_CHECKING:
    from bundlepipe.documents.kbld.config import Override
    from bundlepipe.stores.opening import Stores
    from bundlepipe.verbs.images.resolve import Resolved, ResolveRequest
    from bundlepipe.verbs.images.resolver import AnyPlatform
    from bundlepipe.verbs.images.texts import Text


class _Resolve(Command):
    """As the command without a name, its help is that of the whole tool, and lists the other commands."""

    def example_name(self, context: click.Context) -> str:
        """Return the start of examples: the tool, with the command's name if it has one."""
        return context.command_path

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and the other commands."""
        super().format_epilog(context, formatter)
        others = _others(context)
        if others and context.parent:
            others.format_commands(context.parent, formatter)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options, and names of other commands."""
        others = _others(context)
        names = others.list_commands(context) if others else []
        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return found + super().shell_complete(context, incomplete)


def _others(context: click.Context) -> Commands | None:
    """Return the other commands, if this one has no name."""
    group = context.parent.command if context.parent and not context.info_name else None
    return group if isinstance(group, Commands) else None


@click.command(
    cls=_Resolve,
    examples={
        "Print configuration with digests in place of tags, and apply it": "-f config | kubectl apply -f -",
        "Lock the images of a bundle before it is pushed": (
            "-f config --imgpkg-lock-output config/.imgpkg/images.yml > resolved.yml"
        ),
        "Put the locked images of a pulled bundle into its configuration, without a network": (
            "-f config -f config/.imgpkg/images.yml"
        ),
        "Resolve the output of a template": "-f - -f kbld.yml < rendered.yml",
        "List the images that configuration names": "-f config --unresolved-inspect",
    },
)
@files_option(
    "Resolve the images in this file, in the YAML and JSON files of this directory, at this URL or on stdin (-), "
    "by the configuration of kbld and the ImagesLocks among them (repeatable)"
)
@click.option("--build", cls=Switch, default=True, help="Do not build the images of 'sources'")
@click.option(
    "--build-concurrency",
    cls=Option,
    type=click.IntRange(min=1),
    default=4,
    metavar="N",
    help="Build up to N images at once (4)",
)
@click.option(
    "--images-annotation",
    cls=Switch,
    default=True,
    help="Do not annotate resources with their images, which 'inspect' lists",
)
@click.option(
    "--origins-annotation", cls=Switch, default=True, help="Leave the origins of images, such as paths, out of locks"
)
@click.option(
    "--image-map-file",
    cls=Option,
    type=PATH,
    metavar="FILE",
    help="Replace references by this JSON object, which maps old ones to new ones",
)
@click.option(
    "--lock-output",
    cls=Option,
    type=PATH,
    metavar="FILE",
    help="Write overrides that resolve the same references again (- prints only them)",
)
@click.option(
    "--imgpkg-lock-output",
    cls=Option,
    type=PATH,
    metavar="FILE",
    help="Write the images.yml of a bundle (- prints only it)",
)
@click.option("--unresolved-inspect", cls=Switch, help="List the references found, and resolve nothing")
@click.option(
    "--platform",
    cls=Option,
    metavar="OS/ARCHITECTURE",
    help="Select the image for this platform from an index: OS/ARCHITECTURE[/VARIANT][:OS.VERSION]",
)
@click.option("--sort", cls=Switch, help="Sort documents by namespace, kind and name")
@force_option
@tls_options
@click.pass_obj
def resolve(
    run: Run,
    /,
    files: Sequence[str],
    build_concurrency: int,
    lock_output: str | None,
    imgpkg_lock_output: str | None,
    unresolved_inspect: bool,
    access: Access,
    force: bool = False,
    **options: Any,
) -> None:
    """Print configuration with every image resolved to a digest.

    A value under a key 'image' is a reference; kbld's configuration can add other rules, overrides,
    and images to build. Only references change, and the annotation of images is added. Nothing is
    printed if one of the references cannot be resolved. Results are listed on stderr.
    """
    if lock_output and imgpkg_lock_output:
        raise BundlepipeError(
            "Expected only one of --lock-output and --imgpkg-lock-output",
            drop_in=(
                "Can only output one lockfile type, please provide only one of '--lock-output' or "
                "'--imgpkg-lock-output'"
            ),
        )
    kind = KBLD_LOCK if lock_output else IMAGES_LOCK
    write_lock = lock_writer(run, lock_output or imgpkg_lock_output, [kind], force=force)
    with narrated(run, "resolve") as emit:
        texts = read_files(run, files, emit, access.network)
        if unresolved_inspect:
            _list(run, texts)
            return
        resolved = _resolved(_request(run, texts, options), access.stores(run, emit), build_concurrency, emit)
    for image in resolved.images:
        told = f"final: {image.reference} -> {image.image}".replace("\n", "\nresolve | ")
        run.console.note(f"resolve | {told}")
    if lock_output:
        write_lock(resolved.kbld_lock(), KBLD_LOCK)
    if imgpkg_lock_output:
        write_lock(resolved.imgpkg_lock(), IMAGES_LOCK)
    for block in resolved.blocks if STANDARD not in (lock_output, imgpkg_lock_output) else ():
        run.console.block(block.decode("utf-8", "surrogateescape"))


def _list(run: Run, texts: Sequence[Text]) -> None:
    from bundlepipe.documents.yaml.writer import text_of
    from bundlepipe.verbs.images.resolve import find

    references = sorted({found.value for found in find(texts, as_kbld=run.tool is KBLD)})
    if run.tool is KBLD:
        run.console.block(text_of([{"image": reference} for reference in references]) if references else "null\n")
        return
    run.console.table(Table("Images", "images", {"image": "Image"}, [[reference] for reference in references]))


def _request(run: Run, texts: Sequence[Text], options: dict[str, Any]) -> ResolveRequest:
    from bundlepipe.verbs.images.resolve import ResolveRequest

    return ResolveRequest(
        texts,
        image_map=_image_map(run, options["image_map_file"]),
        platform=_platform(run, options["platform"]),
        builds=options["build"],
        images_annotation=options["images_annotation"],
        origins_annotation=options["origins_annotation"],
        sort=options["sort"],
        as_kbld=run.tool is KBLD,
    )


def _image_map(run: Run, path: str | None) -> tuple[Override, ...]:
    from bundlepipe.documents.kbld.reading import parse_image_map
    from bundlepipe.filesystem.files import read_file

    return parse_image_map(read_file(path), path, as_kbld=run.tool is KBLD) if path else ()


def _platform(run: Run, text: str | None) -> AnyPlatform | None:
    from bundlepipe.oci.manifest import Platform, PlatformSelection

    if not text:
        return None
    return PlatformSelection.parse(text) if run.tool is KBLD else Platform.parse(text)


def _resolved(request: ResolveRequest, stores: Stores, concurrency: int, emit: Emit) -> Resolved:
    from bundlepipe.verbs.building.kbld_sources import SourceBuilds
    from bundlepipe.verbs.images.resolve import resolve as resolve_images
    from bundlepipe.verbs.images.resolver import Resolver

    def tell(image: str, event: Event) -> None:
        """Report the image along with each event: several may be built at once."""
        emit(OutputLine(f"{image} | {event.text}") if isinstance(event, OutputLine) else event)

    return resolve_images(request, Resolver(stores), SourceBuilds(stores, concurrency, tell).build)
