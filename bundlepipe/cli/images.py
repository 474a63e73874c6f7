"""What names the subject of a command: `-b`, `-i`, `--lock`; and the locks that commands write."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.command import Option
from bundlepipe.errors import BundlepipeError, OutputError
from bundlepipe.files import read_file, write_if_changed
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.location import LOCAL_PREFIXES

if TYPE_CHECKING:
    from bundlepipe.documents.bundle_lock import BundleLock
    from bundlepipe.documents.images_lock import ImagesLock

STANDARD = "-"
# Where a redirection has put a file, that must not be exchanged for another.
_STREAMS = ("/dev/fd/", "/dev/stdout", "/dev/stderr", "/proc/")


def bundle_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that gives a command `-b/--bundle`."""
    return click.option("-b", "--bundle", cls=Option, metavar="REFERENCE", help=help_text)


def image_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that gives a command `-i/--image`."""
    return click.option("-i", "--image", cls=Option, metavar="REFERENCE", help=help_text)


def sole(given: dict[str, str | None], expected: str) -> tuple[str, str]:
    """Return the name and value of the one option that was given; BundlepipeError `expected` for none or several."""
    there = [(name, value) for name, value in given.items() if value]
    if len(there) != 1:
        raise BundlepipeError(expected)
    return there[0]


def registry_reference(text: str, what: str) -> Reference:
    """Return a reference for `what`, which knows registries and hosts backed by directories, but no local homes.

    Raises BundlepipeError for a local home, InvalidReference for what is no reference.
    """
    if text.startswith(LOCAL_PREFIXES):
        raise BundlepipeError(f"'{text}': {what} is for registries: expected REGISTRY/REPOSITORY[:TAG]")
    return Reference.parse(text)


def read_lock(path: str) -> BundleLock | ImagesLock:
    """Return the lock in a file, or on standard input (`-`); InputError, DocumentError."""
    from bundlepipe.documents.locks import parse_lock

    if path == STANDARD:
        return parse_lock(sys.stdin.buffer.read(), "standard input")
    return parse_lock(read_file(path), path)


def is_stream(path: str) -> bool:
    """Tell whether a path stands for a device or a pipe, which is written into, and nothing put in its place."""
    return path.startswith(_STREAMS) or (os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path))


def write_lock(path: str, content: bytes, print_block: Callable[[str], None]) -> None:
    """Write a lock to a file, or print it (`-`); OutputError if it cannot be written."""
    if path == STANDARD:
        print_block(content.decode())
        return
    try:
        if is_stream(path):
            with open(path, "ab") as stream:
                stream.write(content)
        else:
            write_if_changed(os.path.realpath(path), content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
