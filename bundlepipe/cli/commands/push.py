"""The command `push`, with imgpkg's options and output."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import PATH, Command, Option, Run, Switch, comma_separated, paths
from bundlepipe.cli.parsing.go_values import Labels, label_texts
from bundlepipe.cli.parsing.images import bundle_option, image_option, sole
from bundlepipe.cli.parsing.outputs import force_option, lock_writer
from bundlepipe.cli.parsing.references import tag_of
from bundlepipe.cli.parsing.registry_options import Access, registry_options
from bundlepipe.cli.printing.results import Transfers, pushed_to_json
from bundlepipe.cli.tool import BUNDLEPIPE, IMGPKG
from bundlepipe.errors import BundlepipeError, InputError, as_go, quoted
from bundlepipe.events import EntryPacked, Event
from bundlepipe.filesystem.files import is_utf8
from bundlepipe.verbs.outputs.kinds import BUNDLE_LOCK

if TYPE_CHECKING:
    from bundlepipe.filesystem.inputs import Inputs
    from bundlepipe.oci.reference import Reference
    from bundlepipe.verbs.push import PushRequest

_EXCLUDED = (".git",)
# Characters with a special meaning in a pattern.
_SPECIAL = re.compile(r"[][*?\\!]")


@click.command(
    cls=Command,
    examples={
        "Push the bundle in ./config": "push -b registry.example/apps/shop-bundle:1.0 -f config",
        "Push any files as an image": "push -i registry.example/apps/shop-site -f site -l team=web",
        "Write the digest to a lock": "push -b registry.example/shop -f config --lock-output shop.lock.yml",
    },
)
@bundle_option("Push a bundle, which has an .imgpkg directory, to this repository and tag")
@image_option("Push a plain image to this repository and tag")
@click.option(
    "-f",
    "--file",
    "files",
    cls=Option,
    multiple=True,
    type=PATH,
    metavar="PATH",
    help="Push this file or directory (repeatable)",
)
@click.option(
    "--file-exclusion",
    cls=Option,
    multiple=True,
    default=_EXCLUDED,
    type=PATH,
    metavar="PATH",
    help="Leave out this path or pattern (repeatable; default .git; imgpkg takes only paths)",
)
@click.option("--file-exclude-defaults", cls=Option, multiple=True, hidden=True, only_for=(IMGPKG.name,))
@click.option(
    "-l", "--labels", cls=Option, multiple=True, type=Labels(), metavar="KEY=VALUE", help="Set a label (repeatable)"
)
@click.option(
    "--lock-output",
    cls=Option,
    type=PATH,
    metavar="FILE",
    help="Write a BundleLock with the digest (- prints it)",
)
@click.option("--preserve-permissions", cls=Switch, help="Keep the permissions of files and directories")
@force_option
@registry_options
@click.pass_obj
def push(
    run: Run,
    bundle: str | None,
    image: str | None,
    files: Sequence[str],
    file_exclusion: Sequence[str],
    labels: Sequence[str],
    lock_output: str | None,
    preserve_permissions: bool,
    access: Access,
    file_exclude_defaults: Sequence[str] = (),
    force: bool = False,
) -> None:
    """Push files as a bundle or as a plain image.

    A bundle is a directory of configuration with .imgpkg/images.yml, which names its images by
    digest. Nothing is uploaded if the destination already has the same content.
    """
    if file_exclude_defaults:
        _tell_deprecated(run)
        file_exclusion = file_exclude_defaults if file_exclusion == _EXCLUDED else file_exclusion
    if run.tool is not BUNDLEPIPE:
        _check_as_imgpkg(run, labels, access)
    expected = "Expected either image or bundle"
    given = {"bundle": bundle, "image": image}
    kind, destination = sole(given, expected, none=expected, several="Expected only one of image or bundle")
    if lock_output and kind == "image":
        raise BundlepipeError("Lock output is not compatible with image, use bundle for lock output")
    if not files and run.tool is BUNDLEPIPE:
        raise BundlepipeError("Expected at least one file or directory: give it with --file (-f)")
    tag = tag_of(run, destination, "push")
    inputs = _inputs(run, files, file_exclusion, preserve_permissions)
    request = _request(run, tag, kind == "bundle", inputs, labels)
    write_lock = lock_writer(run, lock_output, [BUNDLE_LOCK], force=force)

    transfers = Transfers()

    def tell(event: Event) -> None:
        transfers.take(event)
        if isinstance(event, EntryPacked):
            run.console.line(f"{'dir' if event.is_directory else 'file'}: {event.name}")

    from bundlepipe.verbs.push import push as push_files

    with narrated(run, "push", tell) as emit:
        pushed = push_files(request, access.stores(run, emit), emit=emit)
    run.console.line(f"Pushed '{pushed.reference}'", ends=False)
    lock = None
    if lock_output:
        from bundlepipe.documents.imgpkg.bundle_lock import BundleLock

        lock = BundleLock(pushed.reference, request.tag)
        write_lock(lock.to_bytes(), BUNDLE_LOCK)
    if run.prints_results:
        run.console.document(pushed_to_json(request, pushed, transfers, lock))


def _check_as_imgpkg(run: Run, labels: Sequence[str], access: Access) -> None:
    """Raise BundlepipeError for faults that imgpkg checks first."""
    from bundlepipe.verbs.push import check_labels

    access.keychain(run.tool)
    check_labels(_labels(labels))


def _tell_deprecated(run: Run) -> None:
    text = "Flag --file-exclude-defaults has been deprecated, use '--file-exclusion' instead\n"
    if run.console.as_json:
        # imgpkg reports it while it parses arguments, and does not know yet how to print.
        run.console.write(text, sys.stdout)
    else:
        run.console.block(text)


def _inputs(run: Run, files: Sequence[str], exclude: Sequence[str], preserve_permissions: bool) -> Inputs:
    from bundlepipe.filesystem.inputs import IGNORE_FILE, Inputs

    taken, left_out = [_path(run, path) for path in paths(files)], comma_separated(exclude)
    if run.tool is BUNDLEPIPE:
        patterns = [_pattern(text, taken) for text in left_out]
        return Inputs(taken, (), preserve_permissions, patterns=patterns, ignore_file=IGNORE_FILE)
    return Inputs(taken, left_out, preserve_permissions, follow_links=True)


def _pattern(text: str, roots: Sequence[str]) -> str:
    """Return a pattern for an exclusion; if an input has a file of that name, it matches only that file."""
    if any(os.path.lexists(os.path.join(root, text)) for root in roots):
        return _SPECIAL.sub(r"\\\g<0>", text)
    return text


def _request(run: Run, destination: Reference, is_bundle: bool, inputs: Inputs, labels: Sequence[str]) -> PushRequest:
    from bundlepipe.verbs.push import PushRequest

    request = PushRequest(
        inputs,
        destination,
        is_bundle,
        _labels(labels),
        as_imgpkg=run.tool is not BUNDLEPIPE,
    )
    request.check()
    return request


def _path(run: Run, path: str) -> str:
    """Return a path without trailing slashes, unless they make a directory of a link; InputError for an empty one."""
    if run.tool is not BUNDLEPIPE:
        try:
            os.lstat(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}", drop_in=as_go("lstat", path, error)) from None
        if os.path.islink(path.rstrip("/")):
            return path
    return path.rstrip("/") or "/"


def _labels(texts: Sequence[str]) -> dict[str, str]:
    pairs = [pair for text in texts for pair in label_texts(text)]
    for pair in pairs:
        if "=" not in pair or not is_utf8(pair):
            raise BundlepipeError(f"{quoted(pair)} is not a label: expected KEY=VALUE, in UTF-8")
    return dict(pair.split("=", 1) for pair in pairs)
