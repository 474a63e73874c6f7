"""Variables of doit's command line, `doit TASK refresh=NAME`: what one run is asked to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from typing import Any

from doit import doit_cmd, get_var
from doit.exceptions import InvalidDodoFile

from bundlepipe.pipeline.declaration import Image, Source, Verify, images_lock_path
from bundlepipe.pipeline.reading import Declared
from bundlepipe.pipeline.settings import REFRESH_ALL
from bundlepipe.pipeline.sources import is_remote
from bundlepipe.pipeline.suggestions import suggestions

_VERIFY_VARIABLE = "BUNDLEPIPE_VERIFY"
_VERIFY_REGISTRY = "registry"
_REFRESH, _VERIFY, _FORCE = "refresh", "verify", "force"
# How much of a name is that of another variable of ours: one letter less, more or exchanged is enough.
_LIKENESS = 0.8

# Group and name of a task: `pull_bundle` and `g`.
Task = tuple[str, str]


def refuse_misspelled() -> None:
    """Raise InvalidDodoFile for a variable that is nearly one of ours, and would be passed over in silence."""
    # doit keeps them for itself, and tells of a variable only to those who know its name.
    for name in getattr(doit_cmd, "_CMDLINE_VARS", None) or ():
        if name in (_REFRESH, _VERIFY, _FORCE):
            continue
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), (_REFRESH, _VERIFY, _FORCE), 1, _LIKENESS)
        if near:
            raise InvalidDodoFile(
                f"{name}={get_var(name)}: no variable has that name: expected {near[0]}=; "
                "a variable of your own needs a name that is less like it"
            )


def wanted_refresh(declared: Declared) -> frozenset[str]:
    """Return what `doit refresh=` names: `all`, names, tasks as `GROUP:NAME`, references.

    Raises InvalidDodoFile for what nothing has, which would otherwise be passed over in silence.
    """
    tasks = list(_refreshable(declared))
    given: list[Source | None] = [image.source for image in declared.images]
    given += [copy.source for copy in declared.copies]
    given += [pull.source for pull in declared.pulls]
    sources = {source for source in given if source is not None and is_remote(source)}
    locks = [images_lock_path(bundle) for bundle in declared.bundles if bundle.lock]
    locks += filter(None, [declared.lock_file])
    return _wanted(
        _REFRESH,
        tasks,
        {REFRESH_ALL, *sources},
        f"{REFRESH_ALL}, a bundle, copy or pull, an image that is not of files, a render that is applied, or a "
        "reference as a lock has it",
        lambda name: any(_mentions(path, name) for path in locks),
    )


def _refreshable(declared: Declared) -> Iterator[Task]:
    yield from (("lock_bundle", bundle.name) for bundle in declared.bundles)
    yield from (("copy_bundle", copy.name) for copy in declared.copies)
    yield from (("pull_bundle", pull.name) for pull in declared.pulls)
    yield from (("push_image", image.name) for image in declared.images if _can_be_made_anew(image))
    yield from (("apply_config", render.name) for render in declared.renders if render.apply)


def _can_be_made_anew(image: Image) -> bool:
    return bool(image.build or image.program or (image.source and is_remote(image.source)))


def wanted_force(declared: Declared) -> frozenset[str]:
    """Return what `doit force=` names, `NAME` or `GROUP:NAME`: tasks whose output replaces whatever is there.

    Raises InvalidDodoFile for what nothing has.
    """
    return _wanted(
        _FORCE, list(_forcible(declared)), (), "a pull, render or copy, or a bundle with a lock or lockOutput"
    )


def _forcible(declared: Declared) -> Iterator[Task]:
    yield from (("pull_bundle", pull.name) for pull in declared.pulls)
    yield from (("render_config", render.name) for render in declared.renders)
    yield from (("copy_bundle", copy.name) for copy in declared.copies)
    yield from (("push_bundle", bundle.name) for bundle in declared.bundles if bundle.lock_output)
    yield from (("lock_bundle", bundle.name) for bundle in declared.bundles if bundle.lock)


def _wanted(
    variable: str,
    tasks: Collection[Task],
    more: Collection[str],
    expected: str,
    is_known: Callable[[str], bool] = lambda name: False,
) -> frozenset[str]:
    """Return what a variable names among tasks, by name or by `GROUP:NAME`, and among `more`."""
    wanted = frozenset(name for name in _variable(variable).split(",") if name)
    if not wanted:
        return wanted
    names = {name for _, name in tasks}
    by_group = {f"{group}:{name}" for group, name in tasks}
    groups = {group for group, _ in tasks}
    for name in sorted(wanted - names - by_group - {*more}):
        group = name.partition(":")[0]
        if group in groups:
            of_group = [task for task in by_group if task.startswith(f"{group}:")]
            raise InvalidDodoFile(f"{variable}={name}: there is no such task; {suggestions(name, of_group)}")
        if not is_known(name):
            offered = suggestions(name, names)
            raise InvalidDodoFile(f"{variable}={name}: nothing has that name: expected {expected}; {offered}")
    return wanted


def _mentions(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return text in file.read()
    except OSError:
        return False


def _variable(name: str) -> str:
    """Return a variable of doit's command line; read while loading, as spawned workers have none."""
    value: Any = get_var(name)
    return str(value) if value else ""


def wanted_verify(declared: Verify | None) -> bool:
    """Tell whether destinations are to be asked: by the variable, the environment or the declaration."""
    wanted = _variable(_VERIFY) or os.environ.get(_VERIFY_VARIABLE) or declared
    if wanted not in (None, _VERIFY_REGISTRY):
        raise InvalidDodoFile(f"verify={wanted}: expected verify={_VERIFY_REGISTRY}, which asks every destination")
    return wanted == _VERIFY_REGISTRY
