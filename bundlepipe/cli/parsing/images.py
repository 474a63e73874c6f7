"""Options that name a bundle, image or lock (`-b`, `-i`, `--lock`), and the output of locks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.parsing.command import Option
from bundlepipe.errors import BundlepipeError, OutputError, as_go
from bundlepipe.filesystem.files import is_stream, read_bounded, read_document, write_if_changed, write_to_stream

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock

STANDARD = "-"
_STANDARD_INPUT = "standard input"
_OWNER_ALONE = 0o600


def bundle_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds `-b/--bundle` to a command."""
    return click.option("-b", "--bundle", cls=Option, metavar="REFERENCE", help=help_text)


def image_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds `-i/--image` to a command."""
    return click.option("-i", "--image", cls=Option, metavar="REFERENCE", help=help_text)


def sole(
    given: dict[str, str | None], expected: str, *, none: str | None = None, several: str | None = None
) -> tuple[str, str]:
    """Return the name and value of the one option that was given; BundlepipeError `expected` for none or several.

    imgpkg's text is `none` or `several`.
    """
    there = [(name, value) for name, value in given.items() if value]
    if len(there) != 1:
        raise BundlepipeError(expected, drop_in=several if there else none)
    return there[0]


def read_lock(path: str) -> BundleLock | ImagesLock:
    """Return the lock in a file, or on standard input (`-`); InputError, DocumentError."""
    return parse_any_lock(read_any_lock(path), path)


def read_any_lock(path: str) -> bytes:
    """Return the content of a file, or of standard input (`-`); InputError."""
    return read_bounded(sys.stdin.buffer, _STANDARD_INPUT) if path == STANDARD else read_document(path)


def parse_any_lock(content: bytes, path: str) -> BundleLock | ImagesLock:
    """Parse a lock that was read from a file, or from standard input (`-`); DocumentError."""
    from bundlepipe.documents.imgpkg.any_lock import parse_lock

    return parse_lock(content, named_lock(path))


def named_lock(path: str) -> str:
    """Return the name in messages of a file, or standard input (`-`)."""
    return _STANDARD_INPUT if path == STANDARD else path


def write_lock(path: str, content: bytes, print_block: Callable[[str], None], *, peers_name: str | None = None) -> None:
    """Write a lock to a file, or print it (`-`); OutputError if it cannot be written.

    With `peers_name`, its name in imgpkg or kbld, it is written as they do: a new file is readable
    only by its owner, and no directory is created.
    """
    if path == STANDARD:
        print_block(content.decode())
        return
    try:
        if is_stream(path):
            write_to_stream(path, content)
        elif peers_name:
            # Raises FileNotFoundError where write_if_changed would create a directory.
            os.stat(os.path.dirname(os.path.realpath(path)))
            if not write_if_changed(os.path.realpath(path), content, mode=_OWNER_ALONE):
                # Makefiles see by its time that the program ran.
                os.utime(path)
        else:
            write_if_changed(os.path.realpath(path), content)
    except OSError as error:
        drop_in = f"Writing {peers_name}: {as_go('open', path, error)}"
        raise OutputError(f"{path}: cannot be written: {error.strerror}", drop_in=drop_in) from None
