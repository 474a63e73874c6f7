"""render_config: write configuration with locked images to a file."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.snapshots import Snapshot, file_snapshot
from bundlepipe.pipeline.declared.model import Program, Render, paths_among, programs_among
from bundlepipe.pipeline.records.read_files import files_among
from bundlepipe.pipeline.records.state import forget_output, intend_output, made_output, record_output
from bundlepipe.pipeline.running.action import SUMMARY, UNCHANGED, Action
from bundlepipe.pipeline.running.clean import Clean, remove_file
from bundlepipe.pipeline.running.edges import is_bundles_own
from bundlepipe.pipeline.running.programs import files_of_programs, options_of_files, text_printed
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, OPTIONS, Staleness, Values, options_of, to_values
from bundlepipe.progress.display import emitter
from bundlepipe.progress.phrases import short

if TYPE_CHECKING:
    from bundlepipe.events import Emit
    from bundlepipe.verbs.images.texts import Text


def spec(render: Render, context: PipelineContext) -> TaskSpec:
    """Return the task that renders."""
    settings = context.settings
    task_name, record = settings.task("render_config", render.name), settings.record(render.name)
    return TaskSpec(
        group="render_config",
        name=render.name,
        action=RenderAction(render, settings),
        uptodate=RenderStaleness(render),
        doc=f"render {render.output}",
        targets=[render.output],
        clean=[Clean(remove_rendered, task_name=task_name, render=render, record=record)],
        reads=[
            (paths_among(render.files), is_bundles_own),
            ([*render.locks, *render.config, *files_of_programs(render.files)], ()),
        ],
        after=render.after,
    )


def _options(render: Render) -> Values:
    return {**options_of(render), **options_of_files(render.files)}


def _read_now(render: Render, before: Snapshot) -> Snapshot:
    """Return the state of everything that a render reads; InputError if something cannot be read."""
    from bundlepipe.documents.search.paths import searched_files

    now = file_snapshot([*searched_files(paths_among(render.files)), *render.locks, *render.config], before)
    for program in programs_among(render.files):
        now.update(files_among(program.files, before, with_bundles_own=True))
    return now


class RenderStaleness(Staleness):
    """Stale if anything it reads, or the file that it wrote, changed."""

    compared = "the rendered files, the locks, the output and the options of the render"

    def __init__(self, render: Render) -> None:
        super().__init__(_options(render))
        self._render = render

    def inputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the rendered files, and the locks."""
        return _read_now(self._render, before)

    def outputs_now(self, before: Snapshot) -> Snapshot:
        """Return the state of the output."""
        return file_snapshot([self._render.output], before)


class RenderAction(Action):
    """Writes the output if its content changes."""

    def __init__(self, render: Render, settings: Settings) -> None:
        super().__init__()
        self._render = render
        self._settings = settings

    # The output has all that they decide.
    decisive_options = ()
    checks_output = True

    @property
    def is_foreseen(self) -> bool:
        """Whether no program prints what is rendered."""
        return not programs_among(self._render.files)

    def work(self) -> Values:
        """Render; only files are read."""
        from bundlepipe.oci.digest import Digest
        from bundlepipe.pipeline.running.replacing import render_output
        from bundlepipe.verbs.images.render import RenderRequest, render

        declared, emit, record = self._render, emitter(self.task.name), self._settings.record(self._render.name)
        output = render_output(declared, self._settings)
        output.check_place()
        before = _read_now(declared, {})
        content = render(RenderRequest(self._texts(emit), declared.locks, declared.config))
        self.check_output(declared.output, content)
        written = output.write(content, partial(intend_output, Render.kind, record, declared.output))
        record_output(Render.kind, record, declared.output)
        digest = str(Digest.of(content))
        return {
            "digest": digest,
            UNCHANGED: not written,
            SUMMARY: f"{declared.output} {'' if written else 'unchanged, '}{short(digest)}",
            OPTIONS: _options(declared),
            FILES: to_values({**before, **file_snapshot([declared.output], {})}),
        }

    def adopt(self) -> None:
        """Record the output as that of this render."""
        record_output(Render.kind, self._settings.record(self._render.name), self._render.output)

    def _texts(self, emit: Emit) -> list[Text]:
        """Return the texts to render, in the order of the declaration, each file once."""
        from bundlepipe.verbs.images.texts import read_texts

        texts: list[Text] = []
        for file in self._render.files:
            if isinstance(file, Program):
                texts.append(text_printed(file, self._settings, emit))
            else:
                known = {text.name for text in texts}
                texts += [text for text in read_texts([file]) if text.name not in known]
        return texts


def remove_rendered(task_name: str, render: Render, record: str, dryrun: bool) -> None:
    """Remove the output of a render: what `doit clean` does. A file that this render did not write stays."""
    if not os.path.lexists(anchored(render.output)):
        return
    if not made_output(Render.kind, record, render.output):
        print(f"{task_name} - not removing '{render.output}', which was not written by this render")
        return
    if remove_file(task_name, render.output, dryrun=dryrun) and not dryrun:
        forget_output(Render.kind, record)
