"""Tasks that other jobs do, in a run that does one shard of a plan.

Their results are taken over from the plan if it has them, once their images are found where they belong: one request
each, and what they need does not run. A result that no plan could know beforehand is found as a run finds it, by its
inputs, but not made. Tasks that only change files of this clone are done here as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from doit.task import Task
from msgspec.structs import replace

from bundlepipe.documents.plan.saved import SavedPlan, SavedTask
from bundlepipe.errors import BundlepipeError, StoreError
from bundlepipe.filesystem.files import write_if_changed
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.carrying_out.pipeline_tasks import carried_by
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.running.destination_lookups import LOOKUP_RESULT, DestinationLookup, LookupResult, look_up
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.spec import TaskSpec
from bundlepipe.pipeline.running.staleness import Staleness, Values
from bundlepipe.progress.phrases import short
from bundlepipe.stores.location import parse_location

# The groups of tasks that only change files of the clone they run in.
LOCAL_GROUPS = frozenset({"lock_bundle", "pull_bundle", "render_config"})


def with_adopted(plan: SavedPlan, specs: Mapping[str, TaskSpec], settings: Settings) -> dict[str, TaskSpec]:
    """Return the specifications of a run that does one shard: those of other shards take over what the plan has.

    Those that cannot are held against the plan, to find their results only.
    """
    elsewhere = {
        name: shard
        for name, shard in plan.elsewhere().items()
        if name in specs and specs[name].group not in LOCAL_GROUPS
    }
    found = dict(specs)
    for name, shard in elsewhere.items():
        advice = f"run the job of shard {shard} again" if shard else f"it was when {plan.path} was made: plan again"
        found[name] = _adopted(plan, name, specs[name], advice, settings)
    return found


def _adopted(plan: SavedPlan, name: str, spec: TaskSpec, advice: str, settings: Settings) -> TaskSpec:
    saved = plan.task(name) or SavedTask()
    images = _images(saved, settings)
    if spec.group != "apply_config" and (spec.targets or not saved.records or not images):
        if spec.action and plan.states[name] != "none":
            spec.uptodate.carried = spec.action.carried = carried_by(plan, name, advice)
        return spec
    return replace(
        spec,
        action=AdoptAction(saved, images, settings, advice),
        uptodate=AdoptStaleness(images, settings),
        reads=(),
        needs=(),
        source=None,
        puts=None,
        file_dep=(),
        task_dep=(),
        calc_dep=(),
        after=(),
    )


def _images(saved: SavedTask, settings: Settings) -> list[Reference]:
    """Return the images that a task made in registries; none if it made anything elsewhere."""
    found = [parse_location(place) for place in str(saved.values.get("image") or "").split(",") if place]
    images = [place for place in found if isinstance(place, Reference) and not _is_in_clone(place, settings)]
    return images if len(images) == len(found) else []


def _is_in_clone(image: Reference, settings: Settings) -> bool:
    host = settings.registries.get(image.repository.registry)
    return bool(host and host.layout)


class AdoptStaleness(Staleness):
    """Always stale: what another job made is looked up, with the lookups of other tasks."""

    compared = "nothing: another job does it"

    def __init__(self, images: Sequence[Reference], settings: Settings) -> None:
        super().__init__({})
        if images:
            self.lookup = DestinationLookup(images[0], settings)

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Return that there is no record of the result here."""
        result = self.announced.result(task.name, self.recorded) if self.lookup else None
        if result:
            task.meta[LOOKUP_RESULT] = result
        return [Reason("noLocalRecord", task.name, "made by another job")]


class AdoptAction(Action):
    """Takes over the result of another job; `advice` is for a result that is not there."""

    def __init__(self, saved: SavedTask, images: Sequence[Reference], settings: Settings, advice: str) -> None:
        super().__init__()
        self._saved = saved
        self._images = images
        self._settings = settings
        self._advice = advice

    def work(self) -> Values:
        """Look the images up, and write the records of the task."""
        for image, result in zip(self._images, self._results(), strict=True):
            if result.problem:
                raise StoreError(result.problem)
            if result.manifest is None:
                raise BundlepipeError(f"{image}: is not there: {self._advice}")
        for path, text in self._saved.records.items():
            write_if_changed(path, text.encode())
        digest = str(self._saved.values.get("digest", "")).partition(",")[0]
        summary = f"{self._images[0].repository} {short(digest)}" if self._images else ""
        return {**self._saved.values, UNCHANGED: True, SUMMARY: summary}

    def _results(self) -> Iterator[LookupResult]:
        announced: LookupResult | None = (self.task.meta or {}).get(LOOKUP_RESULT)
        for number, image in enumerate(self._images):
            known = announced if number == 0 else None
            yield known or look_up(DestinationLookup(image, self._settings))
