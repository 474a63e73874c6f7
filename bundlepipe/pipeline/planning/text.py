"""A plan as text for people: tasks by state, those that fail last, then the totals; and why one task runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from bundlepipe.errors import printable
from bundlepipe.pipeline.planning.causes import Causes
from bundlepipe.pipeline.planning.plan import Plan, PlannedEntry, PlannedFile, PlannedTask, State
from bundlepipe.pipeline.reasons import sentences, summary
from bundlepipe.progress.phrases import counted, few, human_size, short

TITLES: Mapping[State, str] = {"run": "will run", "maybe": "may run", "error": "cannot run"}
_IDLE = "will run and change nothing"
_TOTALS: Mapping[str, str] = {
    "run": "to run",
    "maybe": "may run",
    "error": "cannot run",
    "idle": "to run without a change",
    "none": "up to date",
}
_COLOURS: Mapping[State, str] = {"run": "\x1b[1;32m", "maybe": "\x1b[1;33m", "error": "\x1b[1;31m", "none": "\x1b[1m"}
_DIFF_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"
# The most reasons in one line for several tasks: more say little about all.
_MOST_IN_COMMON = 2
# The most failures with lines of their own.
_MOST_FAILURES = 8
# The most entries of a lock that are told one by one.
_MOST_ENTRIES = 5
# The most levels of a chain that are indented.
_DEEPEST = 20


class Paint(Struct, frozen=True):
    """Colours text, or not."""

    is_on: bool = False

    def state(self, text: str, state: State) -> str:
        """Return a text in the colour of a state."""
        return f"{_COLOURS[state]}{text}{_PLAIN}" if self.is_on else text

    def diff(self, line: str) -> str:
        """Return a line of a unified diff."""
        colour = _DIFF_COLOURS.get(line[:1]) if self.is_on else None
        return f"{colour}{line}{_PLAIN}" if colour else line

    def faint(self, text: str) -> str:
        """Return a text that matters less."""
        return f"{_FAINT}{text}{_PLAIN}" if self.is_on and text else text


NO_PAINT = Paint()


def plan_text(plan: Plan, most_lines: int | None, paint: Paint = NO_PAINT) -> str:
    """Return a plan as text: a line for each task, or for each group where that takes more than `most_lines`."""
    idle = [task for task in plan.tasks if task.state != "none" and not task.has_work]
    is_brief = most_lines is not None and sum(task.has_work for task in plan.tasks) > most_lines
    lines: list[str] = []
    for state, title in TITLES.items():
        if state == "error" and idle:
            lines += [paint.state(_IDLE, "none"), *_idle_lines(idle, paint, are_told=most_lines is None)]
        tasks = [task for task in plan.tasks if task.state == state and task.has_work]
        if tasks:
            lines.append(paint.state(title, state))
            told = _group_lines(tasks) if is_brief else (line for task in tasks for line in _lines(task, paint))
            lines += [f"  {line}" for line in told]
    if plan.files:
        lines += ["will also change", *(f"  {_told_file(file)}" for file in plan.files)]
    if plan.removed:
        lines += ["no more there", *(f"  {printable(name)}" for name in plan.removed)]
    lines += [line for task in plan.tasks for line in _diff_lines(task, paint)]
    if is_brief:
        first = sentences(list(Causes(plan).first()))
        lines += [f"because  {few(first)}", paint.faint("each task: BUNDLEPIPE_SHOW=all; why one runs: --why TASK")]
    return "".join(f"{line}\n" for line in [*lines, totals(plan)])


def totals(plan: Plan) -> str:
    """Return the number of tasks in each state, and what will be transferred."""
    count = Counter("idle" if task.is_unchanged else task.state for task in plan.tasks)
    parts = [f"{count[key]} {words}" for key, words in _TOTALS.items() if count[key]]
    parts += _sizes(plan.tasks)
    return ", ".join(parts) or counted(0, "task")


def why_text(plan: Plan, names: Sequence[str], paint: Paint = NO_PAINT) -> str:
    """Return why tasks are in their states: their reasons, and below them the tasks behind these, each once."""
    causes, lines, told = Causes(plan), list[str](), set[str]()
    # Chains may be longer than Python's recursion is deep.
    waiting = [(causes.by_name[name], 0) for name in reversed(names)]
    while waiting:
        task, depth = waiting.pop()
        indent = "  " * min(depth, _DEEPEST)
        if task.name in told:
            lines.append(f"{indent}{printable(task.name)}, as above")
            continue
        told.add(task.name)
        lines += [f"{indent}{line}" for line in _why_lines(task, paint)]
        waiting += [(cause, depth + 1) for cause in reversed(causes.of(task))]
    return "".join(f"{line}\n" for line in lines)


def _why_lines(task: PlannedTask, paint: Paint) -> Iterator[str]:
    """Yield the state of a task with its reason; several reasons have lines of their own."""
    why = sentences(task.reasons)
    state = paint.state(TITLES.get(task.state, "is up to date"), task.state)
    yield f"{printable(task.name)} {state}{': ' if why else ''}{why[0] if len(why) == 1 else ''}".rstrip()
    if len(why) > 1:
        yield from (f"  - {reason}" for reason in why)


def _idle_lines(tasks: Sequence[PlannedTask], paint: Paint, *, are_told: bool) -> list[str]:
    if are_told:
        return [f"  {_line(task, paint)}" for task in tasks]
    return [f"  {few([printable(task.name) for task in tasks])}"]


def _lines(task: PlannedTask, paint: Paint) -> Iterator[str]:
    """Return the lines of a task: its own, and one for each of the first entries of its lock that change."""
    yield _line(task, paint)
    yield from (f"  {line}" for line in entry_lines(task))


def entry_lines(task: PlannedTask) -> list[str]:
    """Return how the entries of a task's lock change, the first few in full."""
    lines = [f"{printable(entry.reference)}  {_move(entry)}" for entry in task.entries[:_MOST_ENTRIES]]
    rest = len(task.entries) - len(lines)
    return [*lines, *([f"and {rest} more"] if rest else [])]


def _move(entry: PlannedEntry) -> str:
    if not entry.new:
        return "no longer locked"
    return f"{short(entry.old)} -> {short(entry.new)}" if entry.old else f"{short(entry.new)}, new"


def _line(task: PlannedTask, paint: Paint) -> str:
    why = summary(task.reasons)
    parts = [printable(task.name), *filter(None, result_of(task)), *([paint.faint(f"({why})")] if why else [])]
    return "  ".join(parts)


def result_of(task: PlannedTask) -> list[str]:
    """Return what comes of a task in words: first its summary, which may be empty, then files and sizes."""
    return [task.summary, *filter(None, [", ".join(_changes(task))]), *_sizes([task])]


def _diff_lines(task: PlannedTask, paint: Paint) -> Iterator[str]:
    if task.diff is None:
        return
    change = "would change in the cluster" if task.diff else "would change nothing in the cluster"
    yield paint.state(f"{printable(task.name)} {change}", "none")
    yield from (f"  {paint.diff(line)}" for line in task.diff.splitlines())


def _group_lines(tasks: Sequence[PlannedTask]) -> Iterator[str]:
    """Yield a line for each group; the first failures have their own."""
    failures = [task for task in tasks if any(reason.code != "taskCannotRun" for reason in task.reasons)]
    own = failures[:_MOST_FAILURES] if tasks[0].state == "error" else []
    yield from (_line(task, NO_PAINT) for task in own)
    groups: dict[str, list[PlannedTask]] = {}
    for task in tasks:
        if task not in own:
            groups.setdefault(task.name.partition(":")[0], []).append(task)
    for group, members in groups.items():
        if len(members) == 1:
            yield _line(members[0], NO_PAINT)
            continue
        names = few([printable(task.name.partition(":")[2]) for task in members])
        reasons = sorted({sentence for task in members for sentence in sentences(task.reasons)})
        why = [f"({', '.join(reasons)})"] if 0 < len(reasons) <= _MOST_IN_COMMON else []
        yield "  ".join([f"{group}  {counted(len(members), 'task')}: {names}", *_sizes(members), *why])


def _sizes(tasks: Sequence[PlannedTask]) -> list[str]:
    sizes = {
        "to upload": sum(task.upload or 0 for task in tasks),
        "to download": sum(task.download or 0 for task in tasks),
    }
    return [f"{human_size(size)} {words}" for words, size in sizes.items() if size]


def _changes(task: PlannedTask) -> list[str]:
    """Return how many files are created, changed and removed, if the line does not name the only one."""
    if len(task.files) == 1 and task.files[0].path in task.summary:
        return []
    counts = Counter(file.change for file in task.files)
    found = [(counts[change], change) for change in ("created", "changed", "removed") if counts[change]]
    return [f"{count if at else counted(count, 'file')} {change}" for at, (count, change) in enumerate(found)]


def _told_file(file: PlannedFile) -> str:
    return f"{printable(file.path)}  {file.change}"
