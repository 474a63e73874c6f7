"""Parse the two sides of a diff: locations, directories, and declarations of bundlepipe.yml."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bundlepipe.errors import BundlepipeError, InputError, quoted

if TYPE_CHECKING:
    from bundlepipe.pipeline.declared.model import Pushable
    from bundlepipe.pipeline.declared.reading import Declared as Pipeline
    from bundlepipe.stores.settings import RegistrySettings
    from bundlepipe.verbs.diffing.sides import Declared, Side

_PIPELINE = "bundlepipe.yml"
_KINDS = ("bundle", "image")


class Sides:
    """The sides in the arguments of a command; bundlepipe.yml is read once, if one of them is declared there."""

    def __init__(self) -> None:
        self._pipeline: Pipeline | None = None

    @property
    def registries(self) -> Mapping[str, RegistrySettings] | None:
        """The settings of registries in bundlepipe.yml; None unless a side is declared there."""
        return self._pipeline.registries if self._pipeline else None

    def parse(self, text: str) -> Side:
        """Return the side that an argument names.

        Raises InvalidReference, InputError for a path without a directory, DocumentError for a faulty bundlepipe.yml,
        BundlepipeError for a name that it does not declare, or that is not made of files.
        """
        from bundlepipe.verbs.diffing.sides import parse_side

        kind, colon, name = text.partition(":")
        if colon and kind in _KINDS:
            return self._declared(kind, name)
        return parse_side(text)

    def _declared(self, kind: str, name: str) -> Declared:
        from bundlepipe.pipeline.declared.suggestions import suggestions
        from bundlepipe.verbs.diffing.sides import Declared

        pipeline = self._read_pipeline(kind, name)
        things: list[Pushable] = [*(pipeline.bundles if kind == "bundle" else pipeline.images)]
        known = {thing.name: thing for thing in things}
        if name not in known:
            raise BundlepipeError(
                f"{kind}:{name}: {_PIPELINE} declares no {kind} {quoted(name)}: {suggestions(name, known)}"
            )
        thing = known[name]
        if not thing.files:
            raise BundlepipeError(
                f"{kind}:{name}: is not made of files, so what a push would make is unknown: "
                "name the image where it was pushed"
            )
        from bundlepipe.pipeline.tasks.push import inputs_of

        return Declared(f"{kind}:{name}", inputs_of(thing), kind == "bundle", thing.labels)

    def _read_pipeline(self, kind: str, name: str) -> Pipeline:
        from bundlepipe.pipeline.declared.reading import read_pipeline

        if self._pipeline is None:
            if not os.path.exists(_PIPELINE):
                raise InputError(
                    f"{kind}:{name}: there is no {_PIPELINE} here that would declare it; for a repository of Docker "
                    f"Hub say docker.io/library/{kind}:{name}"
                )
            self._pipeline = read_pipeline(_PIPELINE, os.environ, remembers=False)
        return self._pipeline
