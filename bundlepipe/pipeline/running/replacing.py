"""Which existing files tasks may replace with their outputs, and the messages for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.pipeline.declared.model import Bundle, BundleSource, Copy, ImageSource, LockSource, Pull, Render
from bundlepipe.pipeline.records.state import made_output
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.verbs.outputs.kinds import BUNDLE_LOCK, COPIED_TAR, IMAGES_LOCK, IMAGES_LOCK_IN_CONFLICT, tar_outputs
from bundlepipe.verbs.outputs.replacing import DirectoryOutput, FileOutput, ReplacePolicy, followed


def pull_output(pull: Pull, protected: Sequence[str], settings: Settings, base: str = "") -> DirectoryOutput:
    """Return the directory of a pull; `base` has the records of the pipeline, by default the current directory."""
    claim = _claim("pull_bundle", pull.name, "this pull did not make it", settings, pull.to, kind="pull", base=base)
    return DirectoryOutput(pull.to, claim, protected, _is_of_bundle(pull))


def _is_of_bundle(pull: Pull) -> bool | None:
    """Return whether a pull is of a bundle; None if only its source knows."""
    source = pull.source
    if isinstance(source, BundleSource | ImageSource):
        return isinstance(source, BundleSource)
    return True if isinstance(source, LockSource) else None


def render_output(render: Render, settings: Settings, base: str = "") -> FileOutput:
    """Return the output of a render."""
    unknown = "this render did not write it"
    claim = _claim("render_config", render.name, unknown, settings, render.output, kind="render", base=base)
    return FileOutput(render.output, claim)


def tar_files(copy: Copy, path: str, settings: Settings) -> list[FileOutput]:
    """Return the tar file of a copy, and its partial file."""
    # Records are not needed: a copy's tar file is recognised by its content.
    return tar_outputs(path, _claim("copy_bundle", copy.name, f"it is not {COPIED_TAR.name}", settings))


def lock_output(thing: Bundle | Copy, path: str, settings: Settings) -> FileOutput:
    """Return the lock that a push or a copy writes."""
    if isinstance(thing, Bundle):
        claim = _claim("push_bundle", thing.name, f"it is not {BUNDLE_LOCK.name}", settings)
        return FileOutput(followed(path), claim, [BUNDLE_LOCK])
    claim = _claim("copy_bundle", thing.name, f"it is neither {BUNDLE_LOCK.name} nor {IMAGES_LOCK.name}", settings)
    return FileOutput(followed(path), claim, [BUNDLE_LOCK, IMAGES_LOCK])


def images_lock_output(bundle: Bundle, path: str, settings: Settings) -> FileOutput:
    """Return the images.yml that a lock task writes."""
    claim = _claim("lock_bundle", bundle.name, f"it is not {IMAGES_LOCK.name}", settings)
    # With a lock file, it has nothing of its own that resolving a conflict could lose.
    kinds = [IMAGES_LOCK, IMAGES_LOCK_IN_CONFLICT] if settings.lock_file else [IMAGES_LOCK]
    return FileOutput(path, claim, kinds)


def protected_from(
    pull: Pull, pipeline_files: Sequence[str], inputs: Sequence[str], settings: Settings, base: str = ""
) -> Sequence[str]:
    """Return what a pull must not replace: including inputs, unless they can only come from this pull."""
    to, record = pull.to, settings.record(pull.name)
    if made_output("pull", record, to, base) or not os.path.isdir(anchored(to)) or not os.listdir(anchored(to)):
        return pipeline_files
    return [*pipeline_files, *inputs]


def _claim(
    group: str, name: str, unknown: str, settings: Settings, path: str = "", *, kind: str = "", base: str = ""
) -> ReplacePolicy:
    return ReplacePolicy(
        unknown=unknown,
        advice=f"remove it, name another path, or replace it with 'doit {settings.task(group, name)} force={name}'",
        forced=settings.forces(f"{group}:{name}", name),
        made=partial(made_output, kind, settings.record(name), path, base) if kind else lambda: False,
    )
