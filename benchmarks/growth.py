"""Costs of two sizes a decade apart: seconds beyond the start of the process, and memory for each further entry."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks._content import DODO
from benchmarks._measure import DOIT, Command, peak_megabytes, run_once, scratch
from benchmarks.noop import load_generator
from bundlepipe.stores.opening import Stores
from tests.support.images import put_bundle, put_images
from tests.support.services import Registry

BUNDLEPIPE = (sys.executable, "-m", "bundlepipe")
DECADE = 10
ROUNDS = 3
LOCK = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages:\n{entries}kind: ImagesLock\n"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Work:
    """A command on so many entries, which `prepare` makes: it returns the command, given directory and number."""

    title: str
    entries: int
    prepare: Callable[[Path, int], Command]


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--small", action="store_true", help="few entries: shows that all works, not how costs grow")
    is_small = parser.parse_args().small
    print(f"{'work':<44} {'entries':>15} {'seconds':>15} {'ratio':>7} {'MB':>9} {'KB an entry':>12}")
    with scratch() as directory:
        (directory / "registry").mkdir()
        registry = Registry(directory / "registry")
        try:
            start = median(run_once(_tags(registry, directory, 1), directory) for _ in range(ROUNDS))
            for number, work in enumerate(_works(registry)):
                least, rounds = (3, 1) if is_small else (work.entries, ROUNDS)
                _measure(work, least, rounds, start, directory / str(number))
        finally:
            registry.stop()


def _measure(work: Work, least: int, rounds: int, start: float, parent: Path) -> None:
    sizes = (least, least * DECADE)
    seconds, peaks = [], []
    for size in sizes:
        directory = parent / str(size)
        directory.mkdir(parents=True)
        command = work.prepare(directory, size)
        seconds.append(median(run_once(command, directory) for _ in range(rounds)))
        peaks.append(peak_megabytes(command, directory))
    grown = (seconds[1] - start) / max(seconds[0] - start, 0.001)
    each = (peaks[1] - peaks[0]) * 1000 / (sizes[1] - sizes[0])
    print(
        f"{work.title:<44} {' '.join(f'{size:>7,}' for size in sizes)} "
        f"{' '.join(f'{taken:>7.2f}' for taken in seconds)} {grown:>5.1f} x "
        f"{' '.join(f'{peak:>4.0f}' for peak in peaks)} {each:>12.2f}",
        flush=True,
    )


def _works(registry: Registry) -> Iterator[Work]:
    yield Work("doit with nothing to do, bundles", 1_000, _monorepo)
    yield Work("plain doit with nothing to do, tasks", 1_000, _plain)
    yield Work("push of a bundle that locks images", 2_000, partial(_push, registry))
    yield Work("pull of a bundle that locks images", 2_000, partial(_pull, registry))
    yield Work("copy of images in a registry", 500, partial(_copy, registry))
    yield Work("copy of them again", 500, partial(_copy_again, registry))
    yield Work("copy of one image from a layout of blobs", 10_000, _from_layout)
    yield Work("copy of one image into a layout of blobs", 10_000, _into_layout)
    yield Work("tag list of a repository, tags", 5_000, partial(_tags, registry))


def _monorepo(directory: Path, bundles: int) -> Command:
    load_generator().write_monorepo(directory, bundles, 1, flat=True)
    # Twice: what was written a moment ago is hashed once more before its stamps are trusted.
    run_once([*DOIT], directory)
    run_once(["sleep", "2.5"], directory)
    run_once([*DOIT], directory)
    return [*DOIT]


def _plain(directory: Path, tasks: int) -> Command:
    (directory / "file").touch()
    (directory / "dodo.py").write_text(
        f"def task_push():\n    for number in range({tasks}):\n"
        "        yield {'name': str(number), 'actions': [lambda: None], 'file_dep': ['file']}\n"
    )
    run_once([*DOIT], directory)
    return [*DOIT]


def _locking(directory: Path, images: int) -> Path:
    entries = (f"- image: registry.example/team/image@sha256:{number:064x}\n" for number in range(images))
    lock = directory / "bundle/.imgpkg/images.yml"
    lock.parent.mkdir(parents=True)
    lock.write_text(LOCK.format(entries="".join(entries)))
    return directory / "bundle"


def _push(registry: Registry, directory: Path, images: int) -> Command:
    return [*BUNDLEPIPE, "push", "-b", f"{registry.repository()}:1", "-f", str(_locking(directory, images))]


def _pull(registry: Registry, directory: Path, images: int) -> Command:
    command = _push(registry, directory, images)
    run_once(command, directory)
    return [*BUNDLEPIPE, "pull", "-b", command[command.index("-b") + 1], "-o", "out"]


def _copy(registry: Registry, directory: Path, images: int) -> Command:
    stores, source = Stores(), registry.repository()
    manifests = put_images(stores.repository(source, writes=True), images, own=1)
    bundle = registry.repository().tagged("1")
    put_bundle(stores, bundle, [source.at(manifest.digest) for manifest in manifests])
    # Another destination each time.
    copy = f"exec {' '.join(BUNDLEPIPE)} copy -b {bundle} --to-repo {registry.repository()}-$(date +%s%N)"
    return ["sh", "-c", copy]


def _copy_again(registry: Registry, directory: Path, images: int) -> Command:
    fixed = _copy(registry, directory, images)[-1].replace("$(date +%s%N)", "copied")
    run_once(["sh", "-c", fixed], directory)
    return ["sh", "-c", fixed]


def _from_layout(directory: Path, blobs: int) -> Command:
    _write_layout(directory / "layout", blobs)
    return _copied_each_time(directory, "oci:layout:image-0", "oci:copied-${NOW}")


def _into_layout(directory: Path, blobs: int) -> Command:
    _write_layout(directory / "layout", blobs)
    _write_layout(directory / "one", 3)
    return _copied_each_time(directory, "oci:one:image-0", "oci:layout:copied-${NOW}")


def _copied_each_time(directory: Path, source: str, destination: str) -> Command:
    copy = {"from": source, "to": destination}
    pipeline = {"apiVersion": "bundlepipe.dev/v1alpha1", "kind": "Pipeline", "copies": {"one": copy}}
    (directory / "bundlepipe.yml").write_text(json.dumps(pipeline))
    (directory / "dodo.py").write_text(DODO)
    return ["sh", "-c", f"NOW=$(date +%s%N) exec {' '.join(DOIT)} copy_bundle"]


def _write_layout(layout: Path, blobs: int) -> None:
    """Write an OCI image layout of images with a configuration and a layer of their own."""
    content = layout / "blobs/sha256"
    content.mkdir(parents=True)

    def put(kind: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (content / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    manifests = []
    for number in range(max(blobs // 3, 1)):
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{number:064x}"]}
        config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs, "number": number})
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": put("application/vnd.oci.image.config.v1+json", config.encode()),
            "layers": [put("application/vnd.oci.image.layer.v1.tar", str(number).encode())],
        }
        tag = {"org.opencontainers.image.ref.name": f"image-{number}"}
        manifests.append({**put(OCI_MANIFEST, json.dumps(manifest).encode()), "annotations": tag})
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _tags(registry: Registry, directory: Path, tags: int) -> Command:
    repository = registry.repository()
    (manifest,) = put_images(Stores().repository(repository, writes=True), 1)
    # Through the registry this would take minutes.
    found = next(registry.directory.rglob(f"repositories/{repository.path}"))
    for number in range(tags):
        link = found / f"_manifests/tags/1.0.{number}/current/link"
        link.parent.mkdir(parents=True)
        link.write_text(manifest.digest)
    return [*BUNDLEPIPE, "tag", "list", "-i", str(repository)]


if __name__ == "__main__":
    main()
