"""Which images and bundles of the pipeline are named by configuration, as far as a lock would find them."""

from __future__ import annotations

from collections.abc import Collection

from bundlepipe.errors import DocumentError, InvalidReference
from bundlepipe.pipeline.declaration import Bundle, programs_searched, search_exclude, searched_paths
from bundlepipe.pipeline.programs import text_printed
from bundlepipe.pipeline.progress import emitter
from bundlepipe.pipeline.settings import Settings

# In the place of a name: rules decide what is found, in other files too. No name has a star.
BY_RULES = "*"
_SIGNS_OF_RULES = (b"kbld.k14s.io/", b"ImagesLock")


def names_in(path: str, known: Collection[str]) -> list[str]:
    """Return the names that one file holds under its `image` keys, or BY_RULES if it may change what others hold."""
    with open(path, "rb") as file:
        content = file.read()
    if any(sign in content for sign in _SIGNS_OF_RULES):
        return [BY_RULES]
    # Parsing is slow, and most files name nothing that is made here.
    if b"image" not in content or not any(name.encode() in content for name in known):
        return []
    from bundlepipe.documents.image_search import search_images

    try:
        return sorted({found.value for found in search_images(content, path).images} & set(known))
    except DocumentError:
        return []


def names_by_rules(bundle: Bundle, known: Collection[str], settings: Settings) -> list[str]:
    """Return the names that a bundle's configuration holds by all its rules, in files and in what programs print.

    Raises BundlepipeError if a program fails or a file cannot be read; faulty documents have no names.
    """
    from bundlepipe.verbs.configuration import read_rules, read_texts, search
    from bundlepipe.verbs.resolution import MadeHere, plan

    assert bundle.lock
    emit = emitter(f"lock_bundle:{bundle.name}")
    texts = read_texts(searched_paths(bundle), search_exclude(bundle))
    texts += [text_printed(program, settings, emit) for program in programs_searched(bundle)]
    configuration = search(texts, read_rules(bundle.lock.config))
    names = set()
    for reference in {found.value for file in configuration.files for found in file.images}:
        try:
            planned = plan(reference, configuration.rules, dict.fromkeys(known))
        except InvalidReference:
            continue  # which the lock reports
        if isinstance(planned, MadeHere):
            names.add(planned.name)
    return sorted(names)
