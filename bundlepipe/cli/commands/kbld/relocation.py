"""The commands `package`, `unpackage` and `relocate` of kbld, with its options and output."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from bundlepipe.cli.narration import narrated
from bundlepipe.cli.parsing.command import PATH, Command, Option, Run, Switch
from bundlepipe.cli.parsing.configuration import files_option, read_files
from bundlepipe.cli.parsing.copy_faults import check_directory, repository_fault
from bundlepipe.cli.parsing.images import STANDARD
from bundlepipe.cli.parsing.outputs import check_tar, lock_writer
from bundlepipe.cli.parsing.registry_options import Access, tls_options
from bundlepipe.cli.printing.copy_narration import WrittenFiles
from bundlepipe.errors import BundlepipeError, InvalidReference
from bundlepipe.events import CopyPlanned, Emit, Event
from bundlepipe.verbs.outputs.kinds import KBLD_LOCK

if TYPE_CHECKING:
    from bundlepipe.oci.reference import Repository
    from bundlepipe.stores.opening import Stores
    from bundlepipe.verbs.images.texts import Configuration
    from bundlepipe.verbs.kbld_relocation import RelocatedImage

_INSTEAD = {"package": "push", "unpackage": "pull", "relocate": "copy"}
_LOCK_HELP = "Write overrides that resolve to the copied images (- prints only them)"


def _concurrency_option(kind: click.types.IntParamType) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    text = "Transfer up to N layers at once (5)"
    return click.option("--concurrency", cls=Option, type=kind, default=5, metavar="N", help=text)


def _repository_option(function: Callable[..., Any]) -> Callable[..., Any]:
    text = "Copy the images to this repository"
    return click.option("-r", "--repository", cls=Option, default="", metavar="REPOSITORY", help=text)(function)


def _lock_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--lock-output", cls=Option, type=PATH, metavar="FILE", help=_LOCK_HELP)(function)


def _sort_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--sort", cls=Switch, default=True, help="Accepted for scripts; has no effect")(function)


@click.command(
    cls=Command,
    examples={"Copy the images of resolved configuration to a file": "package -f resolved.yml -o images.tar"},
)
@files_option("Copy the images named in this file, directory, at this URL or on stdin (-) (repeatable)")
@click.option("-o", "--output", cls=Option, type=PATH, default="", metavar="FILE", help="Write this tar file")
@_concurrency_option(click.INT)
@_sort_option
@tls_options
@click.pass_obj
def package(run: Run, files: Sequence[str], output: str, concurrency: int, sort: bool, access: Access) -> None:
    """Copy the images that configuration names by digest to a tar file. kbld advises against it: use imgpkg copy."""
    _warn(run, "package")
    if not output:
        raise BundlepipeError("Expected 'output' flag to be non-empty")
    check_tar(run, output, force=False)
    from bundlepipe.verbs.kbld_relocation import named_images, write_archive

    told = _Narration(run, "package")
    with narrated(run, "package", told.take) as emit:
        names = named_images(_configuration(run, files, emit))
        stores = access.stores(run, emit, concurrency=max(1, concurrency))
        carried = _exported(told, names, stores)
        check_directory(output)
        write_archive(carried, output, stores, emit)


@click.command(
    cls=Command,
    examples={
        "Copy from the file to a repository, and print configuration to apply there": (
            "unpackage -f resolved.yml -i images.tar -r registry.inside.example/shop"
        )
    },
)
@files_option("Print this file, directory, URL or stdin (-) with the new names of images (repeatable)")
@click.option("-i", "--input", "path", cls=Option, type=PATH, default="", metavar="FILE", help="Read this tar file")
@_repository_option
@_lock_option
@_concurrency_option(click.IntRange(min=1))
@_sort_option
@tls_options
@click.pass_obj
def unpackage(
    run: Run,
    /,
    files: Sequence[str],
    path: str,
    repository: str,
    lock_output: str | None,
    concurrency: int,
    sort: bool,
    access: Access,
) -> None:
    """Copy the images of a tar file to one repository, and print configuration with their new names.

    kbld advises against it: use imgpkg copy.
    """
    _warn(run, "unpackage")
    for name, value in (("input", path), ("repository", repository)):
        if not value:
            raise BundlepipeError(f"Expected '{name}' flag to be non-empty")
    from bundlepipe.verbs.kbld_relocation import read_archive

    told = _Narration(run, "unpackage")
    with narrated(run, "unpackage", told.take) as emit:
        configuration = _configuration(run, files, emit)
        destination = _repository(repository)
        stores = access.stores(run, emit, concurrency=concurrency)
        moved = _imported(told, read_archive(path, stores), destination, stores, emit)
    _print(run, configuration, moved, lock_output)


@click.command(
    cls=Command,
    examples={
        "Copy the images of resolved configuration to a repository, and print it for there": (
            "relocate -f resolved.yml -r registry.corp.example/shop"
        )
    },
)
@files_option("Copy the images named in this file, directory, at this URL or on stdin (-) (repeatable)")
@_repository_option
@_lock_option
@_concurrency_option(click.IntRange(min=1))
@_sort_option
@tls_options
@click.pass_obj
def relocate(
    run: Run,
    /,
    files: Sequence[str],
    repository: str,
    lock_output: str | None,
    concurrency: int,
    sort: bool,
    access: Access,
) -> None:
    """Copy the images that configuration names by digest to one repository, and print it with their new names.

    kbld advises against it: use imgpkg copy.
    """
    _warn(run, "relocate")
    if not repository:
        raise BundlepipeError("Expected repository flag to be non-empty")
    if not files:
        raise BundlepipeError("Expected at least one input file")
    from bundlepipe.verbs.kbld_relocation import named_images

    told = _Narration(run, "relocate")
    with narrated(run, "relocate", told.take) as emit:
        configuration = _configuration(run, files, emit)
        names = named_images(configuration)
        destination = _repository(repository)
        stores = access.stores(run, emit, concurrency=concurrency)
        moved = _imported(told, _exported(told, names, stores), destination, stores, emit)
    _print(run, configuration, moved, lock_output)


def _warn(run: Run, name: str) -> None:
    instead = _INSTEAD[name]
    page = f"https://carvel.dev/imgpkg/docs/latest/commands/#{instead}"
    run.console.note(f"Warning: Command \"{name}\" is deprecated, please use 'imgpkg {instead}', learn more in {page}")


class _Narration:
    """Reports a copy in lines that begin with the command; `take` reports the writing of a tar file."""

    def __init__(self, run: Run, name: str) -> None:
        self._run = run
        self._name = name
        self._files = WrittenFiles(self.line)

    def line(self, text: str) -> None:
        self._run.console.note(f"{self._name} | {text}")

    @contextmanager
    def counting(self, verb: str, count: int, done: Collection[object]) -> Iterator[None]:
        """Report that `count` images are being processed, and at the end how many, even after an error."""
        self.line(f"{verb}ing {count} images...")
        try:
            yield
        finally:
            self.line(f"{verb}ed {len(done)} images")

    def take(self, event: Event) -> None:
        if self._name != "package":
            return
        if isinstance(event, CopyPlanned):
            self.line("writing layers...")
        self._files.take(event)


def _configuration(run: Run, files: Sequence[str], emit: Emit) -> Configuration:
    from bundlepipe.stores.settings import DEFAULT_NETWORK
    from bundlepipe.verbs.images.texts import search_as_kbld

    return search_as_kbld(read_files(run, files, emit, DEFAULT_NETWORK))


def _repository(text: str) -> Repository:
    from bundlepipe.oci.reference import Repository

    if fault := repository_fault(text):
        raise InvalidReference(fault)
    return Repository.parse(text)


def _exported(told: _Narration, names: Sequence[str], stores: Stores) -> list[RelocatedImage]:
    from bundlepipe.verbs.kbld_relocation import read_images, spelled

    references = []
    with told.counting("export", len(names), names):
        for name in names:
            references.append(spelled(name))
            told.line(f"will export {name}")
        return read_images(references, stores)


def _imported(
    told: _Narration, carried: Sequence[RelocatedImage], repository: Repository, stores: Stores, emit: Emit
) -> dict[str, str]:
    from bundlepipe.verbs.kbld_relocation import put_images

    moved: dict[str, str] = {}
    with told.counting("import", len(carried), moved):
        for each in carried:
            told.line(f"importing {each.image} -> {repository.at(each.digest)}...")
        moved.update(put_images(carried, repository, stores, emit))
    return moved


def _print(run: Run, configuration: Configuration, moved: dict[str, str], lock_output: str | None) -> None:
    from bundlepipe.verbs.kbld_relocation import lock_of, moved_documents

    if lock_output:
        write = lock_writer(run, lock_output, [KBLD_LOCK], force=False)
        write(lock_of(configuration.rules, moved), KBLD_LOCK)
    documents = moved_documents(configuration, moved)
    for block in documents if lock_output != STANDARD else ():
        run.console.block(block.decode("utf-8", "surrogateescape"))
