"""Parse references in options, under the name imgpkg with its errors."""

from __future__ import annotations

import re

from bundlepipe.cli.parsing.command import Run
from bundlepipe.cli.tool import BUNDLEPIPE
from bundlepipe.errors import BundlepipeError, InvalidReference
from bundlepipe.oci.go_names import parse_problem, tag_problem
from bundlepipe.oci.reference import Reference
from bundlepipe.stores.location import LOCAL_PREFIXES, Location, parse_location

_PROTOCOL = re.compile("https?://")


def tag_of(run: Run, text: str, what: str) -> Reference:
    """Return the repository, and the tag if any, that `what` writes to; InvalidReference, BundlepipeError."""
    if run.tool is BUNDLEPIPE:
        return _in_a_registry(text, what)
    if problem := tag_problem(text):
        raise InvalidReference(f"'{text}': {problem}", drop_in=f"Parsing '{text}': {problem}")
    return _parsed(text)


def reference_of(run: Run, text: str, what: str) -> Reference:
    """Return the reference that `what` needs; InvalidReference, BundlepipeError."""
    if run.tool is BUNDLEPIPE:
        return _in_a_registry(text, what)
    _refuse_faulty(text)
    return _parsed(text)


def location_of(run: Run, text: str) -> Location:
    """Return the location to read: in a registry, or, except under the name imgpkg, a local one; InvalidReference."""
    if run.tool is BUNDLEPIPE:
        return parse_location(text)
    _refuse_faulty(text)
    protocol = _PROTOCOL.match(text)
    if protocol:
        fault = f"Fetching image: Reference '{text}' should not include {protocol[0]} protocol prefix"
        raise InvalidReference(f"'{text}' is not an image reference", drop_in=fault)
    return _parsed(text)


def _in_a_registry(text: str, what: str) -> Reference:
    if text.startswith(LOCAL_PREFIXES):
        raise BundlepipeError(f"'{text}': {what} is for registries: expected REGISTRY/REPOSITORY[:TAG]")
    return Reference.parse(text)


def _refuse_faulty(text: str) -> None:
    if problem := parse_problem(text):
        raise InvalidReference(f"'{text}' is not an image reference", drop_in=problem)


def _parsed(text: str) -> Reference:
    """Return the reference in a text; as in imgpkg, an empty tag is allowed, and ignored."""
    return Reference.parse(text.removesuffix(":"))
