"""The object that doit finds in a dodo.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from doit import get_var
from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.declaration import Bundle, Image, Pull, Verify
from bundlepipe.pipeline.reading import Declared, read_pipeline
from bundlepipe.stores.settings import RegistrySettings

DEFAULT_PATH = "bundlepipe.yml"
_VERIFY_VARIABLE = "BUNDLEPIPE_VERIFY"
_VERIFY_REGISTRY = "registry"


class Pipeline:
    """Images, bundles and pulls as doit tasks.

    Assigned to a name in a dodo.py, it is all that doit needs. Declare everything here, or
    in a file with `Pipeline.load`.
    """

    # On instances only: doit asks it of every name in a dodo.py, imported classes included.
    create_doit_tasks: Callable[[], Iterator[Task]]

    def __init__(
        self,
        *,
        images: Sequence[Image] = (),
        bundles: Sequence[Bundle] = (),
        pulls: Sequence[Pull] = (),
        registries: Mapping[str, RegistrySettings] | None = None,
        verify: Verify | None = None,
    ) -> None:
        declared = Declared(list(images), list(bundles), list(pulls), dict(registries or {}), verify)
        self._read: Callable[[], Declared] = lambda: declared
        self.create_doit_tasks = self._create_doit_tasks

    @classmethod
    def load(cls, path: str | os.PathLike[str] = DEFAULT_PATH) -> Pipeline:
        """Return the pipeline that a file declares; the file is read when doit asks for the tasks."""
        pipeline = cls()
        pipeline._read = lambda: read_pipeline(os.fspath(path), os.environ)
        return pipeline

    def _create_doit_tasks(self) -> Iterator[Task]:
        """tasks of a bundlepipe pipeline"""
        yield from _tasks(self._read)


def _tasks(read: Callable[[], Declared]) -> Iterator[Task]:
    from bundlepipe.pipeline.checking import faults
    from bundlepipe.pipeline.graph import create_tasks
    from bundlepipe.pipeline.settings import Settings

    try:
        declared = read()
        problems = faults(declared)
    except BundlepipeError as error:
        problems = str(error).splitlines()
    if problems:
        raise InvalidDodoFile("\n".join(problems))
    settings = Settings(
        registries=declared.registries,
        refresh=frozenset(name for name in _variable("refresh").split(",") if name),
        verify=_verify(declared.verify),
    )
    yield from create_tasks(declared, settings)


def _variable(name: str) -> str:
    """Return a variable of doit's command line; read while loading, as spawned workers have none."""
    value: Any = get_var(name)
    return str(value) if value else ""


def _verify(declared: Verify | None) -> bool:
    wanted = _variable("verify") or os.environ.get(_VERIFY_VARIABLE) or declared
    if wanted not in (None, _VERIFY_REGISTRY):
        raise InvalidDodoFile(f"verify={wanted}: expected verify={_VERIFY_REGISTRY}, which asks every destination")
    return wanted == _VERIFY_REGISTRY
