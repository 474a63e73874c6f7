"""The object that doit finds in a dodo.py."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.closed_output import end_quietly
from bundlepipe.pipeline.declaration import Bundle, Copy, Image, Pull, Render, Verify
from bundlepipe.pipeline.declared_types import checked_declarations, checked_path, listed
from bundlepipe.pipeline.reading import Declared, read_pipeline
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.task_output import separate_output
from bundlepipe.pipeline.termination import end_orderly
from bundlepipe.pipeline.variables import refuse_misspelled, wanted_force, wanted_refresh, wanted_verify
from bundlepipe.stores.settings import RegistrySettings

DEFAULT_PATH = "bundlepipe.yml"


class Pipeline:
    """Images, bundles, copies, pulls and renders as doit tasks.

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
        copies: Sequence[Copy] = (),
        pulls: Sequence[Pull] = (),
        renders: Sequence[Render] = (),
        registries: Mapping[str, RegistrySettings] | None = None,
        verify: Verify | None = None,
        lock: str | os.PathLike[str] | None = None,
    ) -> None:
        given = {
            "images": listed(images),
            "bundles": listed(bundles),
            "copies": listed(copies),
            "pulls": listed(pulls),
            "renders": listed(renders),
            "registries": registries,
            "verify": verify,
            "lock_file": lock,
        }
        self._read: Callable[[], Declared] = lambda: checked_declarations(given)
        self.create_doit_tasks = self._create_doit_tasks

    @classmethod
    def load(cls, path: str | os.PathLike[str] = DEFAULT_PATH) -> Pipeline:
        """Return the pipeline that a file declares; the file is read when doit asks for the tasks."""
        pipeline = cls()
        pipeline._read = lambda: read_pipeline(checked_path(path), os.environ)
        return pipeline

    def _create_doit_tasks(self) -> Iterator[Task]:
        """tasks of a bundlepipe pipeline"""
        yield from _tasks(self._read)


def _tasks(read: Callable[[], Declared]) -> Iterator[Task]:
    from bundlepipe.pipeline.checking import faults
    from bundlepipe.pipeline.graph import create_tasks

    try:
        declared = read()
        problems = faults(declared)
    except BundlepipeError as error:
        problems = str(error).splitlines()
    if problems:
        raise InvalidDodoFile("\n".join(problems))
    refuse_misspelled()
    settings = Settings(
        registries=declared.registries,
        refresh=wanted_refresh(declared),
        force=wanted_force(declared),
        verify=wanted_verify(declared.verify),
        run_id=secrets.token_hex(8),
        lock_file=declared.lock_file,
    )
    end_orderly()
    end_quietly()
    separate_output()
    yield from create_tasks(declared, settings)
