"""The specification of a task, as returned by the module of its kind; the graph makes doit's task and edges from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from msgspec import Struct

from bundlepipe.pipeline.declared.destinations import ByName, by_name
from bundlepipe.pipeline.declared.model import (
    BundleSource,
    Copy,
    CopySource,
    Earlier,
    ImageSource,
    MadeHere,
    Source,
    images_lock_path,
)
from bundlepipe.pipeline.declared.paths import Ignores
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.running.action import Action
from bundlepipe.pipeline.running.clean import Clean
from bundlepipe.pipeline.running.ordering import copies_of_tars
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.staleness import Staleness

# Paths that a task reads, and those excluded below them.
Read = tuple[Sequence[str], Sequence[str] | Ignores]


class TaskSpec(Struct, frozen=True, kw_only=True):
    """One task: `group:name`, private and without action if there is no such group.

    `records` are files that the pipeline itself writes as records, `targets` all other outputs; `directory` is
    the one of them that is made with everything in it. `needs` are things made here, and `source` is where the
    task reads from: it may be something made here, or a local location to which another task `puts` an image.
    Tasks that make what it `reads` come before as well.
    """

    group: str
    name: str
    action: Action | None
    uptodate: Staleness
    doc: str
    records: Sequence[str] = ()
    targets: Sequence[str] = ()
    directory: str | None = None
    clean: Sequence[Clean] = ()
    reads: Sequence[Read] = ()
    needs: Sequence[MadeHere | CopySource] = ()
    source: Source | None = None
    puts: str | None = None
    file_dep: Sequence[str] = ()
    task_dep: Sequence[str] = ()
    calc_dep: Sequence[str] = ()
    after: Sequence[Earlier] = ()


class PipelineContext(Struct, frozen=True, dict=True):
    """The pipeline that a task belongs to."""

    declared: Declared
    settings: Settings

    @cached_property
    def made_here(self) -> dict[str, MadeHere]:
        """Images and bundles by name."""
        return {
            **{image.name: ImageSource(image.name) for image in self.declared.images},
            **{bundle.name: BundleSource(bundle.name) for bundle in self.declared.bundles},
        }

    @cached_property
    def pushed(self) -> ByName:
        """Images and bundles by kind and name."""
        return by_name(self.declared.made())

    @cached_property
    def copies_of_tars(self) -> dict[str, list[Copy]]:
        """Copies of tar files by the place that they go to."""
        return copies_of_tars(self.declared.copies)

    @cached_property
    def images_locks(self) -> list[str]:
        """The images.yml of every lock."""
        return [images_lock_path(bundle) for bundle in self.declared.bundles if bundle.lock]

    @cached_property
    def refreshed_locks(self) -> frozenset[str]:
        """The lock tasks that are refreshed as a whole: if that is all of them, no list is needed."""
        settings = self.settings
        return frozenset(
            settings.task("lock_bundle", bundle.name)
            for bundle in self.declared.bundles
            if bundle.lock
            and (
                bundle.lock.refresh == "always" or settings.refreshes_by_name(bundle.name, f"lock_bundle:{bundle.name}")
            )
        )

    @cached_property
    def inputs(self) -> list[str]:
        """Every declared input."""
        return self.declared.inputs()
