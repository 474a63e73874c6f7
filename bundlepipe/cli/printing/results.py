"""Results of push, pull, copy and lock merge as JSON, by the schemas `push`, `pull`, `copy` and `lock-merge`.

Only under our own name: imgpkg prints its lines as JSON.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.events import BlobDone, Event, ImageDone

if TYPE_CHECKING:
    from bundlepipe.documents.imgpkg.bundle_lock import BundleLock
    from bundlepipe.documents.imgpkg.images_lock import ImagesLock
    from bundlepipe.documents.lock_file.merge import Merged
    from bundlepipe.verbs.copying.request import Copied, CopyRequest
    from bundlepipe.verbs.pull import Pulled
    from bundlepipe.verbs.push import Pushed, PushRequest

_HOW = ("transferred", "mounted", "present")


class Transfers:
    """Counts blobs, and collects images, from the events of a command; threads may report at once."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._blobs: Counter[str] = Counter()
        self._images: dict[str, str] = {}
        self.size = 0

    def take(self, event: Event) -> None:
        """Note an event."""
        with self._counting:
            if isinstance(event, BlobDone):
                self._blobs[event.how] += 1
                self.size += event.size if event.how == "transferred" else 0
            elif isinstance(event, ImageDone):
                self._images[event.image] = event.how

    @property
    def blobs(self) -> dict[str, int]:
        """The number of blobs by what became of them."""
        return {how: self._blobs[how] for how in _HOW}

    @property
    def images(self) -> list[dict[str, str]]:
        """The images that were copied, or were there, by name."""
        return [{"image": image, "status": how} for image, how in sorted(self._images.items())]


def pushed_to_json(
    request: PushRequest, pushed: Pushed, transfers: Transfers, lock: BundleLock | None
) -> dict[str, Any]:
    """Return the JSON object of a push; `lock` is the one that it wrote."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Push",
        "image": str(pushed.reference),
        "digest": str(pushed.reference.digest),
        "imageID": str(pushed.image.image_id),
        "tags": [request.tag, *request.tags],
        "bundle": request.is_bundle,
        "status": "present" if pushed.was_there else "pushed",
        "blobs": transfers.blobs,
        "bytes": transfers.size,
        "lock": _lock(lock),
    }


def copied_to_json(
    request: CopyRequest, copied: Copied, transfers: Transfers, lock: BundleLock | ImagesLock | None
) -> dict[str, Any]:
    """Return the JSON object of a copy; `lock` is the one that it wrote."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Copy",
        "destination": str(request.destination),
        "status": "copied" if copied.changed else "present",
        "roots": [
            {
                "image": str(root.image) if root.image else None,
                "digest": str(root.digest),
                "tag": root.tag,
                "bundle": root.is_bundle,
            }
            for root in copied.roots
        ],
        "images": transfers.images,
        "manifests": copied.images,
        "blobs": {"transferred": copied.uploaded, "mounted": copied.mounted, "present": copied.present},
        "bytes": copied.size,
        "skipped": [
            {"image": image, "layers": list(map(str, layers))} for image, layers in sorted(copied.skipped.items())
        ],
        "lock": _lock(lock),
    }


def pulled_to_json(directory: str, pulled: Pulled, transfers: Transfers) -> dict[str, Any]:
    """Return the JSON object of a pull into a directory."""
    files = [state for state in pulled.snapshot.values() if state.sha256 is not None]
    return {
        "apiVersion": API_VERSION,
        "kind": "Pull",
        "directory": directory,
        "image": f"{pulled.store_name}@{pulled.digest}",
        "digest": str(pulled.digest),
        "bundles": [
            {
                "path": bundle.path,
                "image": f"{bundle.store_name}@{bundle.digest}",
                "digest": str(bundle.digest),
                "relocated": bundle.relocated,
            }
            for bundle in pulled.bundles
        ],
        "files": len(files),
        "size": sum(state.size for state in files),
        "bytes": transfers.size,
    }


def merged_to_json(path: str, merged: Merged | None) -> dict[str, Any]:
    """Return the JSON object of a merge into a lock file; None for one that was merged by lines."""
    return {
        "apiVersion": API_VERSION,
        "kind": "LockMerge",
        "path": path,
        "mergedAs": "entries" if merged else "lines",
        "entries": [{**_lookup(key), "digest": str(digest)} for key, digest in merged.entries.items()]
        if merged
        else None,
        "conflicts": [
            {**_lookup(key), "ours": str(ours), "theirs": str(theirs)}
            for key, (ours, theirs) in merged.conflicts.items()
        ]
        if merged
        else None,
    }


def _lookup(key: tuple[str, str, str]) -> dict[str, str | None]:
    reference, tags, platform = key
    return {"reference": reference, "tags": tags or None, "platform": platform or None}


def _lock(lock: BundleLock | ImagesLock | None) -> Any:
    """Return the document that a lock is written as."""
    if lock is None:
        return None
    from bundlepipe.documents.yaml.reader import load_one

    return load_one(lock.to_bytes(), "lock").data
