"""Destinations, tags and files that declarations write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from bundlepipe.errors import InvalidReference
from bundlepipe.oci.reference import DEFAULT_TAG, Reference
from bundlepipe.pipeline.declared.model import (
    BundleSource,
    Copy,
    Image,
    ImageSource,
    Pull,
    Pushable,
    Render,
    Source,
)
from bundlepipe.pipeline.declared.paths import archives_in
from bundlepipe.pipeline.declared.spelling import setting
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.stores.location import LOCAL_PREFIXES, LayoutLocation, parse_location
from bundlepipe.stores.settings import RegistrySettings


def destination_of(made: Pushable) -> Reference:
    """Return the destination of an image or bundle; InvalidReference with its fault."""
    if made.push is None:
        default = ", or 'defaults: {push: ...}'" if made.where else ""
        raise InvalidReference(f"no destination: add {setting(made, 'push', 'REGISTRY/REPOSITORY:TAG')}{default}")
    return _destination(made.push.replace("{name}", made.name))


@lru_cache(maxsize=1 << 16)
def _destination(text: str) -> Reference:
    if text.startswith(LOCAL_PREFIXES):
        raise InvalidReference(
            f"'{text}': a destination becomes part of a bundle's content, so it is always REGISTRY/REPOSITORY:TAG; "
            "for a directory use the host layout.localhost, or a host with a 'layout' in 'registries'"
        )
    reference = Reference.parse(text)
    if reference.digest:
        raise InvalidReference(f"'{text}': the destination of a push cannot be a digest: give a tag")
    return reference


# By kind and name.
ByName = Mapping[tuple[str, str], Pushable]


def by_name(made: Iterable[Pushable]) -> ByName:
    """Return images and bundles by kind and name."""
    return {(thing.kind, thing.name): thing for thing in made}


def tag_of_push(source: Source, made: ByName) -> str | None:
    """Return the tag that a push gives a source; None if it is not pushed here."""
    pushed = made.get((source.kind, source.name)) if isinstance(source, BundleSource | ImageSource) else None
    return (destination_of(pushed).tag or DEFAULT_TAG) if pushed and not stays_where_made(pushed) else None


def outputs_of(thing: Copy | Render) -> list[str]:
    """Return the files that only this copy or render writes."""
    if isinstance(thing, Render):
        return [thing.output]
    return [*archives_in([thing.to]), *filter(None, [thing.lock_output])]


def written_by(copy: Copy) -> list[str]:
    """Return what a copy writes, including an OCI image layout, which it may share with other copies."""
    return [*outputs_of(copy), *layouts_written(copy)]


def layouts_written(copy: Copy) -> list[str]:
    """Return the OCI image layout that a copy writes to, if that is its destination."""
    try:
        location = parse_location(copy.to)
    except InvalidReference:
        return []  # reported by another check
    return [location.directory] if isinstance(location, LayoutLocation) else []


def called(thing: Pushable | Copy | Pull | Render) -> str:
    """Return a declaration's name in messages: `image 'web'`."""
    return f"{thing.kind} '{thing.name}'"


def stays_where_made(thing: Pushable) -> bool:
    """Return whether an image has no destination, since it stays where its program put it."""
    return isinstance(thing, Image) and thing.program is not None and thing.push is None


def is_from(source: Source, thing: Pushable) -> bool:
    """Return whether a source is this image or bundle."""
    return isinstance(source, BundleSource | ImageSource) and (source.kind, source.name) == (thing.kind, thing.name)


def kept_by_runs(registries: Mapping[str, RegistrySettings]) -> list[str]:
    """Return the directories that runs write to."""
    return [STATE_DIRECTORY, *(settings.layout for settings in registries.values() if settings.layout)]
