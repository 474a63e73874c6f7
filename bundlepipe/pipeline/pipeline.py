"""The object that doit finds in a dodo.py."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from doit.exceptions import InvalidDodoFile
from doit.task import Task

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.declaration import (
    Apply,
    Build,
    Bundle,
    Copy,
    Image,
    Lock,
    LockSource,
    Program,
    Pull,
    Render,
    Source,
    Verify,
)
from bundlepipe.pipeline.paths import normal_exclusion, normal_location, normalise
from bundlepipe.pipeline.reading import Declared, read_pipeline
from bundlepipe.pipeline.settings import Settings
from bundlepipe.pipeline.termination import end_orderly
from bundlepipe.pipeline.variables import wanted_refresh, wanted_verify
from bundlepipe.stores.settings import DEFAULT_LAYOUT_DIRECTORY, LAYOUT_HOST, RegistrySettings

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
    ) -> None:
        known = {LAYOUT_HOST: RegistrySettings(layout=DEFAULT_LAYOUT_DIRECTORY), **(registries or {})}
        declared = Declared(
            list(images), list(bundles), list(copies), list(pulls), list(renders), registries=known, verify=verify
        )
        self._read: Callable[[], Declared] = lambda: _with_normal_paths(declared)
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


def _with_normal_paths(declared: Declared) -> Declared:
    """Spell the paths that a dodo.py gave as those of a pipeline file are spelled."""
    return replace(
        declared,
        images=[
            replace(
                image,
                files=_normal(image.files),
                build=image.build and _normal_build(image.build),
                program=image.program and _normal_program(image.program),
                source=image.source and normal_location(image.source),
            )
            for image in declared.images
        ],
        bundles=[
            replace(
                bundle,
                files=_normal(bundle.files),
                lock=bundle.lock and _normal_lock(bundle.lock),
                lock_output=bundle.lock_output and normalise(bundle.lock_output),
            )
            for bundle in declared.bundles
        ],
        copies=[
            replace(
                copy,
                source=_normal_source(copy.source),
                to=normal_location(copy.to),
                exclude=[normal_exclusion(item) for item in copy.exclude],
                lock_output=copy.lock_output and normalise(copy.lock_output),
            )
            for copy in declared.copies
        ],
        pulls=[replace(pull, to=normalise(pull.to), source=_normal_source(pull.source)) for pull in declared.pulls],
        renders=[
            replace(
                render,
                files=_normal_searched(render.files),
                output=normalise(render.output),
                locks=_normal(render.locks),
                config=_normal(render.config),
                apply=render.apply and _normal_apply(render.apply),
            )
            for render in declared.renders
        ],
    )


def _normal_lock(lock: Lock) -> Lock:
    return replace(
        lock,
        files=lock.files and _normal_searched(lock.files),
        config=_normal(lock.config),
        directory=normalise(lock.directory),
    )


def _normal_build(build: Build) -> Build:
    dockerfile = None if build.dockerfile is None else os.fspath(build.dockerfile)
    return replace(build, context=normalise(build.context), dockerfile=dockerfile)


def _normal_apply(apply: Apply) -> Apply:
    return replace(apply, kubeconfig=apply.kubeconfig and normalise(apply.kubeconfig))


def _normal_program(program: Program) -> Program:
    return replace(program, files=_normal(program.files), directory=normalise(program.directory))


def _normal_searched(files: Sequence[str | Program]) -> list[str | Program]:
    return [_normal_program(file) if isinstance(file, Program) else normalise(file) for file in files]


def _normal(paths: Sequence[str]) -> list[str]:
    return [normalise(path) for path in paths]


def _normal_source(source: Source) -> Source:
    if isinstance(source, LockSource):
        return LockSource(normalise(source.path))
    return normal_location(source) if isinstance(source, str) else source


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
    settings = Settings(
        registries=declared.registries,
        refresh=wanted_refresh(declared),
        verify=wanted_verify(declared.verify),
        run_id=secrets.token_hex(8),
    )
    end_orderly()
    yield from create_tasks(declared, settings)
