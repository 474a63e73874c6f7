"""Names of a pipeline's groups and tasks, with its prefix if there are several pipelines."""

from __future__ import annotations

GROUPS = {
    "push_image": "push images made of files, built, or made by programs",
    "lock_bundle": "lock the images that bundles name to digests",
    "push_bundle": "push bundles",
    "copy_bundle": "copy bundles and images, with everything they name",
    "pull_bundle": "pull bundles and images into directories",
    "render_config": "render configuration with locked images",
    "apply_config": "apply rendered configuration to a cluster",
}

# The groups of the tasks that make declarations, by kind.
GROUP_OF = {
    "image": "push_image",
    "bundle": "push_bundle",
    "copy": "copy_bundle",
    "pull": "pull_bundle",
    "render": "render_config",
}


def group_name(group: str, prefix: str = "") -> str:
    """Return the name of a group, or of a private task, in the pipeline with this prefix."""
    if not prefix:
        return group
    hidden = group.startswith("_")
    return f"_{prefix}{group}" if hidden else f"{prefix}_{group}"


def is_task(text: str) -> bool:
    """Return whether a text can be the name of a task, `GROUP:NAME`, and so is hardly an image reference."""
    group, colon, _ = text.partition(":")
    return bool(colon) and group in GROUPS
