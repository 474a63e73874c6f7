"""Labels: what the configuration of an image says about it."""

from __future__ import annotations

import json

from bundlepipe.errors import InvalidContent

BUNDLE_LABEL = "dev.carvel.imgpkg.bundle"
# The digest of what a built image was made of, which is its identity: builds are not reproducible.
INPUTS_LABEL = "dev.bundlepipe.inputs"


def labels_of(config: bytes, what: str) -> dict[str, str]:
    """Return the labels in an image configuration; InvalidContent, naming `what`, if it is none."""
    try:
        document = json.loads(config)
        labels = (document.get("config") or {}).get("Labels") or {}
    except (ValueError, AttributeError, RecursionError):
        raise InvalidContent(f"{what}: the image configuration is not a JSON object") from None
    return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}
