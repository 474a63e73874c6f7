"""Graphs of tasks to draw: made by hand, of any size, and with names that mean something elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from bundlepipe.pipeline.drawing.model import STATES, GraphTask, State, TaskGraph, TaskKind
from bundlepipe.pipeline.reasons import Reason

HOSTILE = [
    "</script><script>document.title='taken'</script>",
    '"><img src=x onerror=document.title="taken">',
    "a&amp;b;#quot;`x`",
    "[[data]] [[style]] ${x} %s",
    "名前:任务",
    "-->|x| end",
    "end",
    "line\nbreak\x07\x1b[31m",
    "back\\slash\\N\\",
    "'quotes' \"and\" <more>",
    "x" * 120,
    "fa:fa-car",
    "1. first",
    "- second",
]


def graph(**needs: Sequence[str]) -> TaskGraph:
    """Return a graph of users' tasks by what each needs."""
    return TaskGraph([GraphTask(name, "task", f"makes {name}", sorted(needed)) for name, needed in needs.items()])


def hostile() -> TaskGraph:
    """Return a chain of tasks whose names, texts, reasons and targets are hostile."""
    before: list[list[str]] = [[], *([name] for name in HOSTILE)]
    reasons = [Reason("fileChanged", name, name) for name in HOSTILE]
    states = [State(STATES[number % len(STATES)], [reason]) for number, reason in enumerate(reasons)]
    return TaskGraph(
        [
            GraphTask(name, "task", name, needs, targets=[name], state=state)
            for name, needs, state in zip(HOSTILE, before, states, strict=False)
        ]
    )


def monorepo(bundles: int, seed: int = 1) -> TaskGraph:
    """Return three tasks for each of some bundles, most of which contain one or two others, and a common one."""
    random = Random(seed)
    return TaskGraph([task for number in range(bundles) for task in _bundle(number, random)])


def _bundle(number: int, random: Random) -> Iterator[GraphTask]:
    nested = sorted({random.randrange(max(0, number - 30), number) for _ in range(2)} | {0}) if number else []
    kinds: list[tuple[TaskKind, str, list[str]]] = [
        ("lock", "lock_bundle", [f"push_bundle:app-{other:03}" for other in nested]),
        ("push", "push_bundle", [f"lock_bundle:app-{number:03}"]),
        ("pull", "pull_bundle", [f"push_bundle:app-{number:03}"]),
    ]
    for kind, group, needs in kinds:
        state = State(random.choice(STATES))
        yield GraphTask(f"{group}:app-{number:03}", kind, "", needs, state=state)
