"""List the registries that a pipeline uses, for `bundlepipe doctor`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from bundlepipe.documents.search.paths import searched_files
from bundlepipe.errors import BundlepipeError, InvalidReference
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.destinations import destination_of, stays_where_made
from bundlepipe.pipeline.declared.model import paths_among, search_exclude, searched_paths
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.stores.diagnosis.rights import Subject
from bundlepipe.stores.location import parse_location
from bundlepipe.verbs.images.resolver import Lookup, plan
from bundlepipe.verbs.images.texts import read_rules, read_text, search


def subjects(declared: Declared) -> list[Subject]:
    """Return one repository for each registry host: a written one if there is any, else one that is read.

    Faulty declarations are skipped; `check` reports them. Existing configuration files are searched.
    """
    found: dict[str, Subject] = {}
    for reference in _written(declared):
        repository = reference.repository
        found.setdefault(repository.registry, Subject(repository.registry, repository.path, writes=True))
    for reference in _read(declared):
        repository = reference.repository
        found.setdefault(repository.registry, Subject(repository.registry, repository.path))
    return list(found.values())


def _written(declared: Declared) -> Iterator[Reference]:
    for made in declared.made():
        with contextlib.suppress(InvalidReference):
            if not stays_where_made(made):
                yield destination_of(made)
    yield from _references(copy.to for copy in declared.copies)


def _read(declared: Declared) -> Iterator[Reference]:
    texts: list[object] = [*declared.sources()]
    for bundle in declared.bundles:
        texts += bundle.lock.include if bundle.lock else ()
    yield from _references(texts)
    yield from _searched(declared)


def _references(texts: Iterable[object]) -> Iterator[Reference]:
    for text in texts:
        with contextlib.suppress(InvalidReference):
            location = parse_location(text) if isinstance(text, str) else None
            if isinstance(location, Reference):
                yield location


def _searched(declared: Declared) -> Iterator[Reference]:
    """Yield the references in configuration that locks look up in a registry."""
    made = {thing.name: None for thing in declared.made()}
    for bundle in declared.bundles:
        if bundle.lock is None:
            continue
        with contextlib.suppress(BundlepipeError):
            rules = read_rules(bundle.lock.config)
            paths = searched_files(paths_among(searched_paths(bundle)), search_exclude(bundle))
            configuration = search([read_text(path) for path in paths], rules)
            for image in configuration.images:
                planned = plan(image.value, configuration.rules, made)
                if isinstance(planned, Lookup):
                    yield planned.reference
