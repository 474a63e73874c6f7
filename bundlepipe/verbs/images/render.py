"""render: replace every reference in configuration with the one in a lock, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from bundlepipe.documents.kbld.config import KbldConfig
from bundlepipe.documents.yaml.stream import joined
from bundlepipe.errors import BundlepipeError, DocumentError, InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.images.resolver import Lookup, Preresolved, plan
from bundlepipe.verbs.images.texts import Text, read_rules, search


class RenderRequest(Struct, frozen=True):
    """What to render.

    `texts` are rendered, in order. `locks` are ImagesLocks, or kbld's configuration with
    preresolved overrides; `config` are additional files of kbld's configuration.
    """

    texts: Sequence[Text]
    locks: Sequence[str] = ()
    config: Sequence[str] = ()


def render(request: RenderRequest) -> bytes:
    """Return the documents of all texts as one YAML text, unchanged except for references.

    A reference is replaced with that of a lock; one by digest that no lock has stays. Documents that
    configure kbld are left out. Raises InputError for an unreadable lock, and DocumentError with all
    faults of all texts and all references that are not locked.
    """
    # An override that led to a locked reference must not lead elsewhere now.
    rules = read_rules([*request.locks, *request.config])
    configuration = search(request.texts, rules)
    problems = list(configuration.problems)
    known = _Known(configuration.rules, request.locks)
    images: dict[str, str] = {}
    for found in configuration.images:
        if found.value not in images:
            try:
                images[found.value] = known.image(found.value)
            except (InvalidReference, _NotLocked) as error:
                problems.append(f"{found.where}: {error}")
    if problems:
        raise DocumentError(problems)
    return joined([file.rendered(images) for file in configuration.files])


class _NotLocked(BundlepipeError):
    """No lock has the reference."""


class _Known:
    """Known references, which need no network."""

    def __init__(self, rules: KbldConfig, locks: Sequence[str]) -> None:
        self._rules = rules
        self._locks = locks
        self._by_digest: Mapping[Digest, str] = {
            digest: override.new_image
            for override in reversed(rules.overrides)
            if override.preresolved and override.new_image and (digest := _digest(override.new_image))
        }

    def image(self, reference: str) -> str:
        """Return a reference's replacement; _NotLocked if it would need a lookup, InvalidReference if it is invalid.

        A lock written by hand may lack the reference as it is here; a digest is the same image wherever it is in the
        lock.
        """
        planned = plan(reference, self._rules, {})
        if isinstance(planned, Preresolved):
            return planned.image
        if isinstance(planned, Lookup) and planned.is_resolved and planned.reference.digest:
            return self._by_digest.get(planned.reference.digest, str(planned.reference))
        where = f"in none of {', '.join(self._locks)}" if self._locks else "not locked, and no locks are given"
        raise _NotLocked(f"'{reference}' is {where}: lock it, or name the lock that has it")


def _digest(image: str) -> Digest | None:
    try:
        return Reference.parse(image).digest
    except InvalidReference:
        return None
