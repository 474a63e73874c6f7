"""render: configuration in which every reference is the one that a lock gives it. No network is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bundlepipe.documents.image_search import FoundImage
from bundlepipe.documents.joined import joined
from bundlepipe.documents.kbld_config import KbldConfig
from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.oci.digest import Digest
from bundlepipe.oci.reference import Reference
from bundlepipe.verbs.configuration import Text, read_rules, read_texts, search
from bundlepipe.verbs.resolution import Preresolved, Question, plan


@dataclass(frozen=True)
class RenderRequest:
    """What to render.

    `files` and `texts` are rendered, in this order. `locks` are ImagesLocks, or kbld's
    configuration with preresolved overrides; `config` are further files of kbld's
    configuration.
    """

    files: Sequence[str]
    texts: Sequence[Text] = ()
    locks: Sequence[str] = ()
    config: Sequence[str] = ()


def render(request: RenderRequest) -> bytes:
    """Return the documents of all files, byte for byte as they are but for references, as one YAML text.

    A reference becomes what a lock says; one by digest that no lock has stays. Documents
    that configure kbld are left out. Raises InputError for a file that cannot be read, and
    DocumentError with all faults of all files and all references that are not locked.
    """
    # An override that led to what a lock has must not lead elsewhere now.
    rules = read_rules([*request.locks, *request.config])
    configuration = search([*read_texts(request.files), *request.texts], rules)
    problems = list(configuration.problems)
    known = _Known(configuration.rules)
    images: dict[str, str] = {}
    for found in (found for file in configuration.files for found in file.images):
        if found.value not in images:
            image = known.image(found.value)
            if image is None:
                problems.append(_not_locked(found, request.locks))
            else:
                images[found.value] = image
    if problems:
        raise DocumentError(problems)
    return joined([file.rendered(images) for file in configuration.files])


class _Known:
    """What is known of references without asking anyone."""

    def __init__(self, rules: KbldConfig) -> None:
        self._rules = rules
        self._by_digest: Mapping[Digest, str] = {
            digest: override.new_image
            for override in reversed(rules.overrides)
            if override.preresolved and override.new_image and (digest := _digest(override.new_image))
        }

    def image(self, reference: str) -> str | None:
        """Return what a reference becomes; None if that would have to be asked for.

        A lock written by hand may lack the reference as it stands here; a digest is the
        same image wherever the lock has it.
        """
        planned = plan(reference, self._rules, {})
        if isinstance(planned, Preresolved):
            return planned.image
        if isinstance(planned, Question) and planned.is_answered and planned.reference.digest:
            return self._by_digest.get(planned.reference.digest, str(planned.reference))
        return None


def _digest(image: str) -> Digest | None:
    try:
        return Reference.parse(image).digest
    except InvalidReference:
        return None


def _not_locked(found: FoundImage, locks: Sequence[str]) -> str:
    where = f"in none of {', '.join(locks)}" if locks else "not locked, and no locks are given"
    return f"{found.where}: '{found.value}' is {where}: lock it, or name the lock that has it"
