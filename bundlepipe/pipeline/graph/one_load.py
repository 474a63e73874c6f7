"""Check that the pipelines of one dodo.py, which doit loads separately, have distinct names."""

from __future__ import annotations

from doit.exceptions import InvalidDodoFile
from doit.task import Task
from msgspec import Struct, field

from bundlepipe.pipeline.declared.paths import absolute
from bundlepipe.pipeline.doit_adapter.internals import variables


class _Load(Struct):
    """The pipelines loaded so far, with their names in messages; their groups; prefixes by lock file.

    `variables` distinguishes loads in one process: doit creates a new object for each.
    """

    variables: object
    pipelines: dict[str, tuple[object, str]] = field(default_factory=dict)
    groups: dict[str, Task] = field(default_factory=dict)
    lock_files: dict[str, str] = field(default_factory=dict)


# Only the last one.
_loads: list[_Load] = []


def enter(pipeline: object, prefix: str, called: str) -> dict[str, Task]:
    """Record that doit loads a pipeline; return the groups that all pipelines of the dodo.py share.

    `called` is its name in messages. Raises InvalidDodoFile if another pipeline has the prefix, and so tasks
    of the same names.
    """
    given = variables()
    if given is None:
        return {}  # another caller, about whose other pipelines nothing is known
    if not _loads or _loads[0].variables is not given:
        _loads[:] = [_Load(given)]
    load = _loads[0]
    if prefix in load.pipelines:
        other, its_name = load.pipelines[prefix]
        if other is pipeline:
            raise InvalidDodoFile(f"the dodo.py has two names for one pipeline, {called}: keep one of them")
        raise InvalidDodoFile(_same_names(prefix, its_name, called))
    load.pipelines[prefix] = (pipeline, called)
    return load.groups


def claim_lock_file(path: str, prefix: str) -> None:
    """Record that the pipeline of a prefix, already entered, has a lock file.

    Raises InvalidDodoFile if another pipeline of the dodo.py has it too: each removes the entries
    that its own locks do not need.
    """
    if variables() is None:
        return
    load = _loads[0]
    other = load.lock_files.setdefault(absolute(path), prefix)
    if other != prefix:
        raise InvalidDodoFile(
            f"two pipelines in one dodo.py, {load.pipelines[other][1]} and {load.pipelines[prefix][1]}, have the same "
            f"lock file {path}, from which each would remove what the other needs: give one of them another lock file"
        )


def _same_names(prefix: str, one: str, other: str) -> str:
    have = f"have the same prefix '{prefix}'" if prefix else "have no prefix"
    advice = "give one of them another" if prefix else "give one of them a prefix"
    example = "Pipeline.load('blue/bundlepipe.yml', prefix='blue'), or Pipeline(prefix='blue', ...)"
    return (
        f"two pipelines in one dodo.py, {one} and {other}, {have}, so that their tasks have the same names: "
        f"{advice}, as in {example}"
    )
