"""400 MB of layers to a tar and back: seconds, beside the reading and hashing of as much, and peak memory."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from benchmarks._measure import DOIT, in_turn, peak_megabytes, ratio, report, run_once, scratch
from benchmarks.relocation import DODO, PIPELINE
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import file_layer, put_bundle, put_image
from tests.support.services import Registry

LAYERS = 8
LAYER_SIZE = 50_000_000
ROUNDS = 5


def main() -> None:
    """Print seconds, ratios and peaks."""
    with scratch() as directory:
        (directory / "registry").mkdir()
        (directory / "dodo.py").write_text(DODO)
        (directory / "bundlepipe.yml").write_text(PIPELINE)
        registry = Registry(directory / "registry")
        try:
            _put_bundle(registry.host)
            _measure(directory, registry.host)
        finally:
            registry.stop()


def _put_bundle(host: str) -> None:
    stores, repository = Stores(), Repository(host, "src/bundle")
    store = stores.repository(repository, writes=True)
    images = []
    for seed in range(0, LAYERS, 2):
        layers = [file_layer(f"data{n}", random.Random(n).randbytes(LAYER_SIZE)) for n in (seed, seed + 1)]
        images.append(repository.at(put_image(store, *layers).digest))
    put_bundle(stores, repository.tagged("v1"), images)


def _measure(directory: Path, host: str) -> None:
    numbers = itertools.count()

    def copy(task: str, to: str) -> float:
        _forget(directory)
        return run_once([*DOIT, f"copy_bundle:{task}"], directory, {"FROM": f"{host}/src", "TO": to})

    def to_tar() -> float:
        seconds = copy("tar", "0")
        (directory / "0.tar").rename(directory / "last.tar")
        return seconds

    def reference() -> float:
        # Any tool has to read and hash the moved bytes.
        return run_once(["sha256sum", "last.tar"], directory)

    copy("tar", "0")
    (directory / "0.tar").rename(directory / "last.tar")
    exports, hashed = in_turn([to_tar, reference], ROUNDS)
    _row("400 MB of layers to a tar", exports, hashed, "0.67 s")
    (directory / "last.tar").rename(directory / "0.tar")
    imports, mounts = in_turn([lambda: copy("import", "bundle"), lambda: copy("import", f"v{next(numbers)}")], ROUNDS)
    _row("the tar back to where it came from", imports, hashed, "0.13 s")
    _row("the tar to another repository there", mounts, hashed, "none")
    environment = {"FROM": f"{host}/src", "TO": "peak"}
    _forget(directory)
    exporting = peak_megabytes([*DOIT, "copy_bundle:tar"], directory, environment)
    other = Registry(_made(directory / "other"))
    try:
        _forget(directory)
        importing = peak_megabytes([*DOIT, "copy_bundle:import"], directory, {"FROM": other.host, "TO": "peak"})
    finally:
        other.stop()
    report("peak memory", f"to the tar {exporting:.0f} MB, into another registry {importing:.0f} MB", "90 MB, flat")


def _forget(directory: Path) -> None:
    (directory / ".bundlepipe/doit.db").unlink(missing_ok=True)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _row(what: str, seconds: list[float], reference: list[float], budget: str) -> None:
    middle = sorted(seconds)[len(seconds) // 2]
    report(what, f"{middle:.2f} s, {ratio(seconds, reference):.2f} x sha256sum of it", budget)


if __name__ == "__main__":
    main()
