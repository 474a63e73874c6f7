"""Variables of doit's command line, `doit TASK refresh=NAME`: requests for one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from doit import get_initial_workdir, get_var
from doit.exceptions import InvalidDodoFile
from msgspec import Struct

from bundlepipe.errors import BundlepipeError
from bundlepipe.filesystem.base_directory import base_directory, paths_from
from bundlepipe.pipeline.declared.model import Image, Verify, images_lock_path
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.declared.suggestions import suggestions
from bundlepipe.pipeline.doit_adapter.internals import variables
from bundlepipe.pipeline.records.groups import group_name, is_task
from bundlepipe.pipeline.running.run import REFRESH_ALL
from bundlepipe.pipeline.running.sources import is_remote

if TYPE_CHECKING:
    from bundlepipe.documents.plan.saved import SavedPlan

_VERIFY_VARIABLE = "BUNDLEPIPE_VERIFY"
_VERIFY_REGISTRY = "registry"
_REFRESH, _VERIFY, _FORCE, _PLAN, _SHARD = "refresh", "verify", "force", "plan", "shard"
_OWN = (_REFRESH, _VERIFY, _FORCE, _PLAN, _SHARD)
# Similarity to one of our variables: one letter less, more or exchanged is enough.
_LIKENESS = 0.8

# Returns the declarations of other pipelines, with their prefixes; called only for a name that is
# unknown here.
Others = Callable[[], Iterable[tuple[Declared, str]]]


def refuse_misspelled() -> None:
    """Raise InvalidDodoFile for a misspelt variable of ours, which would otherwise be ignored silently."""
    # doit returns a variable only by its name.
    for name in variables() or ():
        if name in _OWN:
            continue
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), _OWN, 1, _LIKENESS)
        if near:
            raise InvalidDodoFile(
                f"{name}={get_var(name)}: no variable has that name: expected {near[0]}=; "
                "a variable of your own needs a less similar name"
            )


def wanted_refresh(declared: Declared, prefix: str = "", others: Others = tuple) -> frozenset[str]:
    """Return the names in `doit refresh=` of a pipeline: `all`, names, tasks as `GROUP:NAME`, references.

    `others` returns the other pipelines, with their prefixes. Raises InvalidDodoFile for unknown names,
    which would otherwise be ignored silently.
    """
    expected = (
        f"{REFRESH_ALL}, a bundle, copy or pull, an image that is not of files, a render that is applied, or a "
        "reference as a lock has it"
    )
    return _wanted(_REFRESH, declared, prefix, others, _refreshable, expected)


def wanted_force(declared: Declared, prefix: str = "", others: Others = tuple) -> frozenset[str]:
    """Return the names in `doit force=` of a pipeline, `NAME` or `GROUP:NAME`: tasks that replace any existing output.

    `others` and errors are as those of `wanted_refresh`.
    """
    expected = "a pull, render or copy, or a bundle with a lock or that writes one"
    return _wanted(_FORCE, declared, prefix, others, _forcible, expected)


class _Choice(Struct, frozen=True):
    """The values allowed for a variable in one pipeline: tasks, as `GROUP:NAME`, by name; words; texts in locks."""

    tasks: Mapping[str, str]
    words: Collection[str] = ()
    locks: Sequence[str] = ()

    @property
    def names(self) -> set[str]:
        """The names of what the tasks make."""
        return {task.partition(":")[2] for task in self.tasks}

    def chosen(self, text: str) -> str | None:
        """Return the values that a text without the pipeline's prefix names here; None for nothing."""
        if text in self.names or text in self.words:
            return text
        return self.tasks.get(text) or (text if any(_mentions(path, text) for path in self.locks) else None)


def _wanted(
    variable: str,
    declared: Declared,
    prefix: str,
    others: Others,
    choice: Callable[[Declared, str], _Choice],
    expected: str,
) -> frozenset[str]:
    wanted = [text for text in _variable(variable).split(",") if text]
    if not wanted:
        return frozenset()
    here = choice(declared, prefix)
    found = {text: here.chosen(text) for text in wanted}
    unknown = sorted(text for text in wanted if found[text] is None)
    elsewhere = [choice(*other) for other in others()] if unknown else []
    for text in unknown:
        if not any(each.chosen(text) for each in elsewhere):
            raise InvalidDodoFile(f"{variable}={text}: {_unknown(text, [here, *elsewhere], expected)}")
    return frozenset(chosen for chosen in found.values() if chosen is not None)


def _unknown(text: str, choices: Sequence[_Choice], expected: str) -> str:
    tasks = {task for choice in choices for task in choice.tasks}
    if is_task(text) or text.partition(":")[0] in {task.partition(":")[0] for task in tasks}:
        return f"there is no such task for it; {suggestions(text, tasks)}"
    names = {name for choice in choices for name in choice.names}
    return f"nothing has that name: expected {expected}; {suggestions(text, names)}"


def _refreshable(declared: Declared, prefix: str) -> _Choice:
    tasks = [
        *(("lock_bundle", bundle.name) for bundle in declared.bundles),
        *(("copy_bundle", copy.name) for copy in declared.copies),
        *(("pull_bundle", pull.name) for pull in declared.pulls),
        *(("push_image", image.name) for image in declared.images if _can_be_made_anew(image)),
        *(("apply_config", render.name) for render in declared.renders if render.apply),
    ]
    locks = [images_lock_path(bundle) for bundle in declared.bundles if bundle.lock]
    return _Choice(
        _by_whole_name(tasks, prefix),
        {REFRESH_ALL, *filter(is_remote, declared.sources())},
        [*locks, *filter(None, [declared.lock_file])],
    )


def _can_be_made_anew(image: Image) -> bool:
    return bool(image.build or image.program or (image.source and is_remote(image.source)))


def _forcible(declared: Declared, prefix: str) -> _Choice:
    tasks = [
        *(("pull_bundle", pull.name) for pull in declared.pulls),
        *(("render_config", render.name) for render in declared.renders),
        *(("copy_bundle", copy.name) for copy in declared.copies),
        *(("push_bundle", bundle.name) for bundle in declared.bundles if bundle.lock_output),
        *(("lock_bundle", bundle.name) for bundle in declared.bundles if bundle.lock),
    ]
    return _Choice(_by_whole_name(tasks, prefix))


def _by_whole_name(tasks: Iterable[tuple[str, str]], prefix: str) -> dict[str, str]:
    return {f"{group_name(group, prefix)}:{name}": f"{group}:{name}" for group, name in tasks}


def _mentions(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return text in file.read()
    except OSError:
        return False


def _variable(name: str) -> str:
    """Return a variable of doit's command line; read while loading, as spawned workers have none.

    In a run that carries out a plan it is the one that the plan was made with.
    """
    if name != _PLAN and (plan := wanted_plan()):
        return plan.saved.variables.get(name, "")
    value: Any = get_var(name)
    return str(value) if value else ""


def variables_in_use() -> dict[str, str]:
    """Return the variables that a plan keeps."""
    given = {_REFRESH: _variable(_REFRESH), _FORCE: _variable(_FORCE)}
    given[_VERIFY] = _variable(_VERIFY) or os.environ.get(_VERIFY_VARIABLE, "")
    return {name: value for name, value in given.items() if value}


def wanted_plan() -> SavedPlan | None:
    """Return the saved plan in `doit plan=FILE`, which is to be carried out, for one shard with `shard=NAME`.

    None if there is none.
    Raises InvalidDodoFile for a plan that cannot be carried out, and for a variable that it would contradict.
    """
    value: Any = get_var(_PLAN)
    if value == "":
        # As of a variable of the shell that is not set: a run without a plan was not meant.
        raise InvalidDodoFile(f"{_PLAN}=: expected {_PLAN}=FILE, a plan that doit plan --out has saved")
    shard: Any = get_var(_SHARD)
    if shard is not None and not value:
        raise InvalidDodoFile(f"{_SHARD}={shard}: expected {_PLAN}=FILE as well, the plan that has this shard")
    return _read_plan(str(value), get_initial_workdir() or base_directory(), shard) if value else None


@cache
def _read_plan(path: str, directory: str, shard: str | None) -> SavedPlan:
    from bundlepipe.documents.plan.saved import SavedPlan
    from bundlepipe.filesystem.files import read_document
    from bundlepipe.limits import LARGEST_PLAN

    for name in (_REFRESH, _FORCE, _VERIFY):
        if get_var(name):
            raise InvalidDodoFile(
                f"{name}= and {_PLAN}= exclude each other: a plan is carried out with the variables that it was made "
                "with"
            )
    try:
        with paths_from(directory):
            plan = SavedPlan.parse(read_document(path, LARGEST_PLAN), path)
            return plan if shard is None else plan.of_shard(shard)
    except BundlepipeError as error:
        raise InvalidDodoFile(str(error)) from None


# Whether tasks are only looked at, by a command that sends no request in any case.
_without_requests: ContextVar[bool] = ContextVar("without_requests", default=False)
# Whether of pipelines only the settings of CI are wanted.
_settings_alone: ContextVar[bool] = ContextVar("settings_alone", default=False)


def without_requests() -> AbstractContextManager[None]:
    """Load tasks that do not check destinations, whatever is wanted."""
    return _true(_without_requests)


def settings_alone() -> AbstractContextManager[None]:
    """Load the tasks of pipelines by their names alone, with the settings of CI."""
    return _true(_settings_alone)


def are_settings_alone() -> bool:
    """Return whether tasks of pipelines are loaded by their names alone."""
    return _settings_alone.get()


@contextmanager
def _true(variable: ContextVar[bool]) -> Iterator[None]:
    token = variable.set(True)
    try:
        yield
    finally:
        variable.reset(token)


def wanted_verify(declared: Verify | None) -> bool:
    """Return whether destinations are to be checked: by the variable, the environment or the declaration."""
    wanted = _variable(_VERIFY) or os.environ.get(_VERIFY_VARIABLE) or declared
    if wanted not in (None, _VERIFY_REGISTRY):
        raise InvalidDodoFile(f"verify={wanted}: expected verify={_VERIFY_REGISTRY}, which asks every destination")
    return wanted == _VERIFY_REGISTRY and not _without_requests.get()
