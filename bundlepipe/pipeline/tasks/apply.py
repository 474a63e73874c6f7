"""apply_config: apply rendered configuration to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doit.task import Task

from bundlepipe.filesystem.base_directory import paths_from
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.pipeline.declared.model import Apply, Render
from bundlepipe.pipeline.reasons import REFRESH_REQUESTED, Reason
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action, handed_on
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Staleness, Values, options_of, to_values
from bundlepipe.progress.display import emitter

if TYPE_CHECKING:
    from bundlepipe.verbs.apply import ApplyRequest


def spec(render: Render, apply: Apply, context: PipelineContext) -> TaskSpec:
    """Return the task that applies rendered configuration."""
    return TaskSpec(
        group="apply_config",
        name=render.name,
        action=ApplyAction(render.output, apply),
        uptodate=ApplyStaleness(render.name, render.output, apply, context.settings),
        doc=f"apply {render.output}",
        reads=[([render.output, *filter(None, [apply.kubeconfig])], ())],
    )


def _options(apply: Apply, rendered: str) -> Values:
    return {**options_of(apply), "rendered": rendered}


class ApplyStaleness(Staleness):
    """Stale if the rendered file changed, and on request: the state of the cluster is not checked."""

    compared = "the rendered file and the options of the apply"

    def __init__(self, name: str, rendered: str, apply: Apply, settings: Settings) -> None:
        super().__init__(_options(apply, rendered))
        self._name = name
        self._rendered = rendered
        self._settings = settings

    def reasons(self, task: Task, values: Values) -> list[Reason]:
        """Compare as all tasks do; a refresh always applies."""
        is_asked = self._settings.refreshes(self._name, f"apply_config:{self._name}")
        return [*([REFRESH_REQUESTED] if is_asked else []), *super().reasons(task, values)]

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the rendered file."""
        return file_snapshot([self._rendered], before)


class ApplyAction(Action):
    """Applies the file `rendered`."""

    def __init__(self, rendered: str, apply: Apply) -> None:
        super().__init__()
        self._rendered = rendered
        self._apply = apply

    def cluster_diff(self) -> str:
        """Return what an apply would change in the cluster, as a unified diff; BundlepipeError if that is unknown."""
        from bundlepipe.verbs.apply import diff

        with paths_from(self.directory):
            return diff(self._request())

    def _request(self) -> ApplyRequest:
        from bundlepipe.verbs.apply import ApplyRequest

        return ApplyRequest(path=self._rendered, **handed_on(self._apply, ApplyRequest))

    def work(self) -> Values:
        """Apply; the record has the file as it was when kubectl started."""
        from bundlepipe.verbs.apply import apply

        before = file_snapshot([self._rendered], {})
        applied = apply(self._request(), emitter(self.task.name))
        counts = ", ".join(f"{count} {how}" for how, count in applied.counts.items()) or "nothing reported"
        cluster = f" to {self._apply.context}" if self._apply.context else ""
        dry = f", a dry run of the {self._apply.dry_run}" if self._apply.dry_run else ""
        return {
            UNCHANGED: set(applied.counts) == {"unchanged"},
            SUMMARY: f"{self._rendered}{cluster}: {counts}{dry}",
            OPTIONS: _options(self._apply, self._rendered),
            FILES: to_values(before),
        }
