"""A difference as JSON, in the form of `schemas/diff.schema.json`."""

from __future__ import annotations

from typing import Any

from bundlepipe.documents.imgpkg.images_lock import ImageRef
from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.verbs.diffing.difference import (
    Difference,
    FileChange,
    FileVersion,
    ImageChange,
    LinkTarget,
    PairDifference,
)
from bundlepipe.verbs.diffing.images import tag_of

KIND = "Diff"


def to_json(difference: Difference) -> dict[str, Any]:
    """Return the JSON object of a difference; patches may have surrogates for bytes that are not UTF-8."""
    transfer = difference.transfer
    first = difference.pairs[0]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "same": difference.is_empty,
        "old": {"location": difference.old, "digest": first.old},
        "new": {"location": difference.new, "digest": first.new},
        "pairs": list(map(_pair, difference.pairs)),
        "transfer": transfer and {"bytes": transfer.size, "blobs": transfer.blobs, "manifests": transfer.manifests},
        "unread": [{"image": unread.image, "reason": unread.reason} for unread in difference.unread],
    }


def _pair(pair: PairDifference) -> dict[str, Any]:
    return {
        "path": pair.path,
        "old": pair.old,
        "new": pair.new,
        "files": list(map(_file, pair.files)),
        "images": list(map(_image, pair.images)),
        "relocated": [
            {"name": image.name, "old": _entry(image.old), "new": _entry(image.new)} for image in pair.relocated
        ],
        "labels": [{"name": label.name, "old": label.old, "new": label.new} for label in pair.labels],
        "configuration": [{"name": each.name, "old": each.old, "new": each.new} for each in pair.configuration],
        "links": [{"path": link.path, "old": _link(link.old), "new": _link(link.new)} for link in pair.links],
        "differsOtherwise": pair.differs_otherwise,
    }


def _file(change: FileChange) -> dict[str, Any]:
    return {
        "path": change.path,
        "status": change.status,
        "kind": change.kind,
        "old": _version(change.old),
        "new": _version(change.new),
        "addedLines": change.added,
        "removedLines": change.removed,
        "patch": change.patch,
    }


def _version(version: FileVersion | None) -> dict[str, Any] | None:
    return {"mode": f"{version.mode:04o}", "size": version.size, "sha256": version.sha256} if version else None


def _link(link: LinkTarget | None) -> dict[str, str] | None:
    return {"kind": link.kind, "target": link.target} if link else None


def _image(change: ImageChange) -> dict[str, Any]:
    return {
        "name": change.name,
        "status": change.status,
        "bundle": change.is_bundle,
        "old": _entry(change.old),
        "new": _entry(change.new),
    }


def _entry(entry: ImageRef | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"image": str(entry.image), "tag": tag_of(entry), "annotations": dict(entry.annotations)}
