"""A monorepo divided into jobs: how long that takes, and on paper what the jobs cost in time, requests and bytes.

No job runs: durations are the estimates of plans, and requests are counted as tests and reports of such jobs show them.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from bundlepipe.pipeline.ci.graph import CIGraph
from bundlepipe.pipeline.ci.sharding import sharded
from bundlepipe.pipeline.declared.ci import CI

BUNDLES = 10_000
# The share of bundles in each depth of nesting, the innermost first: each other one includes some of the depth before.
DEPTHS = (0.4, 0.3, 0.2, 0.1)
INCLUDED = 2
BYTES_OF_BUNDLE, BYTES_OF_IMAGE = 20_000, 5_000_000
# A copy takes all that is nested in an outermost bundle along, with an image for each.
IMAGES_OF_COPY = sum(INCLUDED**depth for depth in range(len(DEPTHS)))
# The destination is looked up; of both blobs each is asked for, begun and sent, and the manifest is put.
REQUESTS_OF_LOOKUP, REQUESTS_OF_PUSH = 1, 8
# For each image of a copy: manifests and blobs at both ends, and again if it is there.
REQUESTS_OF_COPIED, REQUESTS_OF_COPIED_AGAIN = 17, 4


@dataclass(frozen=True)
class Costs:
    """What a graph costs: seconds, requests and bytes."""

    work: float
    by_waves: float
    by_needs: float
    requests: int
    again: int
    sent: int


def main() -> None:
    """Print a line for each division of each set of stale tasks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ci_graph", description=__doc__)
    parser.add_argument("--small", action="store_true", help="few bundles: shows that all works")
    bundles = BUNDLES // 100 if parser.parse_args().small else BUNDLES
    tasks = list(_tasks(bundles, Random(1)))
    print(f"{'stale':<22} {'jobs':>9} {'waves':>5} {'dividing':>9} {'work':>8} {'by waves':>9} {'by needs':>9}", end="")
    print(f" {'requests':>9} {'again':>7} {'sent':>8}")
    common = Counter(need for _, needs, _, _ in tasks for need in needs if need.startswith("push_bundle:")).most_common(
        1
    )
    for title, stale in (("all", None), ("one image", "push_image:i0"), ("one bundle", common[0][0])):
        document = _plan(tasks, stale)
        for shards, waves in ((1, 1), (8, 5), (50, 5)):
            _print(title, document, CI(shards=shards, waves=waves))


def _print(title: str, document: Mapping[str, Any], settings: CI) -> None:
    began = time.process_time()
    graph = sharded(document, settings)
    seconds = time.process_time() - began
    costs = _costs(graph, settings)
    jobs = f"{len(graph.shards)} of {settings.shards}"
    print(
        f"{title:<22} {jobs:>9} {len(graph.waves):>5} {seconds:>7.2f} s {costs.work:>6.0f} s {costs.by_waves:>7.0f} s "
        f"{costs.by_needs:>7.0f} s {costs.requests:>9,} {costs.again:>7,} {costs.sent / 1e9:>5.1f} GB"
    )


def _tasks(bundles: int, random: Random) -> Iterator[tuple[str, Sequence[str], Mapping[str, Any], int]]:
    """Yield the tasks of a monorepo: name, needs, options, and bytes to upload."""
    images = bundles // 20
    for number in range(images):
        yield f"push_image:i{number}", (), {"destination": f"r.example/i{number}:1"}, BYTES_OF_IMAGE
    inner: list[str] = []
    count = 0
    for share in DEPTHS:
        names = [f"b{number}" for number in range(count, count + round(share * bundles))]
        count += len(names)
        for name in names:
            nested = [f"push_bundle:{other}" for other in random.sample(inner, INCLUDED)] if inner else []
            needs = sorted([f"push_image:i{random.randrange(images)}", *nested])
            yield f"lock_bundle:{name}", needs, {"config": []}, 0
            yield (
                f"push_bundle:{name}",
                (f"lock_bundle:{name}",),
                {"destination": f"r.example/{name}:1"},
                BYTES_OF_BUNDLE,
            )
        inner = names
    for name in inner[: bundles // 50]:
        size = IMAGES_OF_COPY * (BYTES_OF_BUNDLE + BYTES_OF_IMAGE)
        yield f"copy_bundle:{name}", (f"push_bundle:{name}",), {"to": f"mirror.example/{name}"}, size


def _plan(tasks: Sequence[tuple[str, Sequence[str], Mapping[str, Any], int]], changed: str | None) -> dict[str, Any]:
    """Return the saved plan of a run for which all is stale, or one task and what needs it."""
    stale: set[str] = set()
    shown, saved = [], {}
    for name, needs, options, upload in tasks:
        if changed is None or name == changed or stale.intersection(needs):
            stale.add(name)
            before = [needed for needed in needs if needed in stale]
            cost = {"upload": upload, "download": 0}
            shown.append({"name": name, "state": "run", "reasons": [], "needs": before, "cost": cost})
            saved[name] = {"pipeline": "", "options": options, "values": {"digest": "sha256:0", "sources": []}}
    return {"tasks": shown, "saved": {"tasks": saved}}


def _costs(graph: CIGraph, settings: CI) -> Costs:
    ends: dict[str, float] = {}
    for shard in graph.shards:
        ends[shard.name] = max((ends[name] for name in shard.needs), default=0.0) + settings.startup + shard.seconds
    done = [name.partition(":")[0] for shard in graph.shards for name in shard.tasks]
    pushes = done.count("push_image") + done.count("push_bundle")
    inputs = sum(len(shard.inputs) for shard in graph.shards)
    copied = done.count("copy_bundle") * 2 * IMAGES_OF_COPY
    again = inputs + pushes * REQUESTS_OF_LOOKUP + copied * REQUESTS_OF_COPIED_AGAIN
    made = pushes * (REQUESTS_OF_LOOKUP + REQUESTS_OF_PUSH) + copied * REQUESTS_OF_COPIED
    return Costs(
        work=sum(shard.seconds for shard in graph.shards),
        by_waves=sum(settings.startup + max(shard.seconds for shard in wave) for wave in graph.waves),
        by_needs=max(ends.values()),
        requests=inputs + made,
        again=again,
        sent=sum(shard.upload for shard in graph.shards),
    )


if __name__ == "__main__":
    main()
