"""Plans made by hand, and the best division into jobs by trying all: for small graphs only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bundlepipe.pipeline.ci.dividing.pieces import Limits
from bundlepipe.pipeline.ci.dividing.units import Unit

Document = dict[str, Any]


class PlanMaker:
    """Makes the document of a saved plan, task by task."""

    def __init__(self) -> None:
        self.tasks: list[Document] = []
        self.saved: dict[str, Document] = {}

    def add(
        self,
        name: str,
        *needs: str,
        state: str = "run",
        own: bool = False,
        prefix: str = "",
        known: bool = True,
        unchanged: bool = False,
        cost: Mapping[str, int] | None = None,
        reason: tuple[str, str] | None = None,
        **options: Any,
    ) -> PlanMaker:
        """Add a task, a user's own if it is `own`; its result is known before the run unless it is not `known`.

        It is `unchanged` if it will find nothing to change. The `reason` is a code and a sentence.
        """
        result = {"result": {"unchanged": True}} if unchanged else {}
        values = {"digest": "sha256:" + "0" * 64, "sources": []} if known and not own else {}
        costs = {"cost": dict(cost)} if cost else {}
        reasons = [{"code": reason[0], "subject": name, "because": reason[1]}] if reason else []
        self.tasks.append({"name": name, "state": state, "reasons": reasons, "needs": list(needs), **costs, **result})
        self.saved[name] = {} if own else {"pipeline": prefix, "options": options, "values": values}
        return self

    def bundle(self, name: str, *needs: str, **given: Any) -> PlanMaker:
        """Add the lock of a bundle, with what that needs, and its push."""
        self.add(f"lock_bundle:{name}", *needs, **given)
        return self.add(f"push_bundle:{name}", f"lock_bundle:{name}", destination=f"r.example/{name}:1", **given)

    def copy(self, name: str, *needs: str, to: str, **given: Any) -> PlanMaker:
        """Add a copy of something."""
        return self.add(f"copy_bundle:{name}", *needs, to=to, **given)

    @property
    def document(self) -> Document:
        """The plan."""
        return {
            "apiVersion": "bundlepipe.dev/v1alpha1",
            "kind": "Plan",
            "tasks": self.tasks,
            "saved": {"salt": "00", "tasks": self.saved},
        }


def monorepo(bundles: int, depth: int) -> Document:
    """Return the plan of a monorepo: each bundle but the innermost includes up to three, and every tenth is copied."""
    plan = PlanMaker()
    level = [0] * bundles
    for number in range(bundles):
        level[number] = number * depth // bundles
        first = number - bundles // depth
        included = {max(0, first - (number * step) % 50) for step in (1, 7, 13)} if first >= 0 else set[int]()
        needs = [f"push_bundle:b{other}" for other in sorted(included) if level[other] < level[number]]
        plan.bundle(f"b{number}", *needs, cost={"upload": 1000 * (number % 97), "download": 0})
        if number % 10 == 0:
            plan.copy(f"b{number}", f"push_bundle:b{number}", to=f"mirror.example/b{number}")
    return plan.document


def least_longest(seconds: Sequence[float], environments: Sequence[str], limit: int) -> float:
    """Return the time of the longest bin of the best packing, by trying all; infinite if there is none."""
    best = math.inf
    bins: list[tuple[float, str]] = []

    def place(number: int, longest: float) -> None:
        nonlocal best
        if longest >= best:
            return
        if number == len(seconds):
            best = longest
            return
        for index, (load, name) in enumerate(bins):
            if name == environments[number]:
                bins[index] = (load + seconds[number], name)
                place(number + 1, max(longest, bins[index][0]))
                bins[index] = (load, name)
        if len(bins) < limit:
            bins.append((seconds[number], environments[number]))
            place(number + 1, max(longest, seconds[number]))
            bins.pop()

    place(0, 0.0)
    return best


def least_whole(units: Sequence[Unit], limits: Limits) -> float:
    """Return the seconds of the best division of units into waves and jobs, by trying all; infinite if there is none.

    Here a unit is put into a job of a wave, one after the other: with all that it needs in earlier waves or in the
    same job.
    """
    needs: list[set[int]] = []
    for unit in units:
        needs.append(set().union(*(needs[other] if units[other].is_passage else {other} for other in unit.needs)))
    order = [number for number, unit in enumerate(units) if not unit.is_passage]
    jobs: list[list[tuple[float, str]]] = [[] for _ in range(limits.waves)]
    where: dict[int, tuple[int, int]] = {}
    best = math.inf

    def place(index: int) -> None:
        nonlocal best
        if sum(limits.startup + max(job[0] for job in wave) for wave in jobs if wave) >= best - 1e-9:
            return
        if index == len(order):
            best = sum(limits.startup + max(job[0] for job in wave) for wave in jobs if wave)
            return
        number = order[index]
        unit = units[number]
        for wave in range(max((where[other][0] for other in needs[number]), default=0), limits.waves):
            same = {where[other][1] for other in needs[number] if where[other][0] == wave}
            if len(same) > 1:
                continue
            for job in same or range(len(jobs[wave])):
                before = jobs[wave][job]
                if before[1] == unit.environment:
                    jobs[wave][job] = (before[0] + unit.seconds, before[1])
                    where[number] = (wave, job)
                    place(index + 1)
                    jobs[wave][job] = before
            if not same and len(jobs[wave]) < limits.shards:
                where[number] = (wave, len(jobs[wave]))
                jobs[wave].append((unit.seconds, unit.environment))
                place(index + 1)
                jobs[wave].pop()

    place(0)
    return best
