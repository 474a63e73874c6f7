"""The graph of jobs for people: as text, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundlepipe.documents.markdown import as_code
from bundlepipe.pipeline.ci.graph import CIGraph, Shard
from bundlepipe.progress.phrases import counted, few, human_size

# The most jobs of a wave that are listed.
_MOST = 20


def graph_text(graph: CIGraph) -> str:
    """Return a graph as text: a line for each wave, and one for each of its jobs."""
    return "".join(f"{line}\n" for line in _lines(graph))


def _lines(graph: CIGraph) -> Iterator[str]:
    for number, wave in enumerate(graph.waves, 1):
        yield f"wave {number}: {counted(len(wave), 'job')}, {_sum(wave)}"
        for shard in wave[:_MOST]:
            yield f"  {shard.name}  {_sum([shard])}  {few(shard.tasks)}{_after(shard)}"
        if len(wave) > _MOST:
            yield f"  and {counted(len(wave) - _MOST, 'more job')}"
    yield totals(graph)


def graph_markdown(graph: CIGraph) -> str:
    """Return a graph as Markdown: a table of the jobs."""
    rows = [
        f"| {shard.wave} | {shard.name} | {len(shard.tasks)} | {_duration(shard.seconds)} | {_bytes(shard)} | "
        f"{few([as_code(task) for task in shard.tasks])} |"
        for wave in graph.waves
        for shard in wave[:_MOST]
    ]
    hidden = sum(max(0, len(wave) - _MOST) for wave in graph.waves)
    if hidden:
        rows.append(f"| | {counted(hidden, 'more job')} | | | | |")
    head = ["| wave | job | tasks | estimate | to upload | first tasks |", "|---|---|---|---|---|---|"]
    return "".join(f"{line}\n" for line in [*([*head, *rows, ""] if rows else []), totals(graph)])


def totals(graph: CIGraph) -> str:
    """Return the number of jobs and waves, and the time that they take at least, in one line."""
    if not graph.shards:
        return "nothing to do: no jobs"
    longest = sum(max(shard.seconds for shard in wave) for wave in graph.waves)
    jobs, waves = counted(len(graph.shards), "job"), counted(len(graph.waves), "wave")
    return f"{jobs} in {waves}, {_sum(graph.shards)}, {_duration(longest)} with all jobs at once"


def _sum(shards: Sequence[Shard]) -> str:
    tasks, upload = sum(len(shard.tasks) for shard in shards), sum(shard.upload for shard in shards)
    parts = [counted(tasks, "task"), _duration(sum(shard.seconds for shard in shards))]
    return ", ".join([*parts, *([f"{human_size(upload)} to upload"] if upload else [])])


def _bytes(shard: Shard) -> str:
    return human_size(shard.upload) if shard.upload else ""


def _after(shard: Shard) -> str:
    return f"  after {few(shard.needs)}" if shard.needs else ""


def _duration(seconds: float) -> str:
    minutes = round(seconds) // 60
    return f"about {minutes} min" if minutes > 1 else f"about {max(1, round(seconds))} s"
