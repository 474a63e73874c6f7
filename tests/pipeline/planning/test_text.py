"""A plan as text and Markdown: with one task, with hundreds, and with long chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bundlepipe.pipeline.planning.markdown import plan_markdown
from bundlepipe.pipeline.planning.plan import Plan, PlannedEntry, PlannedFile, PlannedTask, State
from bundlepipe.pipeline.planning.text import plan_text, why_text
from bundlepipe.pipeline.reasons import Reason

CHANGED = Reason("fileChanged", "a", "a changed")


def _task(name: str, state: State = "run", reasons: Sequence[Reason] = (CHANGED,), **more: Any) -> PlannedTask:
    return PlannedTask(name=name, state=state, reasons=reasons, **more)


def _lines(plan: Plan, most: int | None = 22) -> list[str]:
    return plan_text(plan, most).splitlines()


def test_one_task() -> None:
    files = [PlannedFile("x/a", "created"), PlannedFile("x/b", "created"), PlannedFile("x/c", "removed")]
    task = _task("pull_bundle:x", summary="x from y", download=1500, upload=0, files=files)
    assert _lines(Plan([task])) == [
        "will run",
        "  pull_bundle:x  x from y  2 files created, 1 removed  1.5 kB to download  (a changed)",
        "1 to run, 1.5 kB to download",
    ]
    assert _lines(Plan([])) == ["no tasks"]
    assert _lines(Plan([_task("a", "none")])) == ["1 up to date"]
    assert _lines(Plan([], [PlannedFile("bundlepipe.lock", "changed")])) == [
        "will also change",
        "  bundlepipe.lock  changed",
        "no tasks",
    ]


def test_the_entries_of_a_lock_have_lines_of_their_own() -> None:
    first, second = (f"sha256:{digit * 64}" for digit in "12")
    entries = [PlannedEntry("a", first, second), PlannedEntry("b", None, first), PlannedEntry("c", first, None)]
    entries += [PlannedEntry(f"d{n}", first, second) for n in range(9)]
    plan = Plan([_task("lock_bundle:x", entries=entries)])
    assert _lines(plan)[2:8] == [
        "    a  sha256:111111111111 -> sha256:222222222222",
        "    b  sha256:111111111111, new",
        "    c  no longer locked",
        "    d0  sha256:111111111111 -> sha256:222222222222",
        "    d1  sha256:111111111111 -> sha256:222222222222",
        "    and 7 more",
    ]
    assert "<br>`b  sha256:111111111111, new`<br>" in plan_markdown(plan)


def test_tasks_are_grouped_by_state_and_those_that_cannot_run_come_last() -> None:
    tasks = [_task("e", "error"), _task("m", "maybe"), _task("r"), _task("n", "none")]
    assert _lines(Plan(tasks)) == [
        *("will run", "  r  (a changed)", "may run", "  m  (a changed)", "cannot run", "  e  (a changed)"),
        "1 to run, 1 may run, 1 cannot run, 1 up to date",
    ]


def test_tasks_that_run_and_change_nothing_share_a_line() -> None:
    idle = [_task(f"push_image:{n}", is_unchanged=True, summary="x unchanged") for n in range(30)]
    plan = Plan([_task("r"), *idle])
    assert _lines(plan) == [
        *("will run", "  r  (a changed)", "will run and change nothing"),
        "  push_image:0, push_image:1, push_image:2 and 27 more",
        "1 to run, 30 to run without a change",
    ]
    assert _lines(plan, None)[3] == "  push_image:0  x unchanged  (a changed)"
    assert plan_markdown(plan).count("\n") == 5 and plan.has_work and not Plan(idle).has_work


def test_more_tasks_than_lines_are_summed_up_by_group() -> None:
    tasks = [_task(f"{group}:{n:03}", upload=n) for n in range(250) for group in ("lock_bundle", "push_bundle")]
    tasks += [_task("apply_config:x", reasons=[Reason("fileChanged", "b", "b changed")])]
    assert _lines(Plan(tasks)) == [
        "will run",
        "  lock_bundle  250 tasks: 000, 001, 002 and 247 more  31.1 kB to upload  (a changed)",
        "  push_bundle  250 tasks: 000, 001, 002 and 247 more  31.1 kB to upload  (a changed)",
        "  apply_config:x  (b changed)",
        "because  a changed, b changed",
        "each task: BUNDLEPIPE_SHOW=all; why one runs: --why TASK",
        "501 to run, 62.2 kB to upload",
    ]
    assert len(_lines(Plan(tasks), None)) == 503


def test_failures_have_lines_of_their_own_and_what_waits_for_them_is_summed_up() -> None:
    failures = [_task(f"push_image:{n}", "error", [Reason("failure", "x", f"fault {n}")]) for n in range(10)]
    waiting = [_task(f"push_bundle:{n}", "error", [Reason("taskCannotRun", "push_image:0", "!")]) for n in range(20)]
    lines = _lines(Plan([*failures, *waiting]))
    assert lines[:2] == ["cannot run", "  push_image:0  (fault 0)"]
    assert lines[9:11] == [
        "  push_image  2 tasks: 8, 9  (fault 8, fault 9)",
        "  push_bundle  20 tasks: 0, 1, 2 and 17 more  (!)",
    ]


def test_a_chain_longer_than_any_recursion_is_told_to_its_end() -> None:
    tasks = [_task("0")]
    tasks += [_task(str(n), reasons=[Reason("resultChanged", str(n - 1), f"{n - 1} changed")]) for n in range(1, 5000)]
    lines = why_text(Plan(tasks), ["4999"]).splitlines()
    assert lines[0] == "4999 will run: 4998 changed" and lines[-1].strip() == "0 will run: a changed"
    assert len(lines) == 5000 and max(map(len, lines)) < 80


def test_a_cause_is_told_once_and_a_file_leads_to_the_task_that_changes_it() -> None:
    made = _task("generate", files=[PlannedFile("made", "changed")])
    of_made = [Reason("fileChanged", "made", "made changed")]
    both = [Reason("resultChanged", "one", "one changed"), Reason("resultChanged", "two", "two changed")]
    plan = Plan([made, _task("one", reasons=of_made), _task("two", "maybe", of_made), _task("all", reasons=both)])
    assert why_text(plan, ["all", "one"]).splitlines() == [
        "all will run:",
        "  - one changed",
        "  - two changed",
        "  one will run: made changed",
        "    generate will run: a changed",
        "  two may run: made changed",
        "    generate, as above",
        "one, as above",
    ]
    many = _task("x", reasons=[Reason("fileAdded", str(n), f"{n} is new") for n in range(300)])
    assert why_text(Plan([many]), ["x"]).splitlines() == ["x will run:", *(f"  - {n} is new" for n in range(300))]


def test_markdown_stays_below_the_limit_of_a_comment() -> None:
    tasks = [_task(f"push_bundle:{n}", summary="x" * 600) for n in range(500)]
    text = plan_markdown(Plan([*tasks, _task("last", "error")]))
    assert len(text) < 60_000 and text.splitlines()[2].startswith("| cannot run `last` |")
    assert " more tasks` | | |" in text or "more tasks | | |" in text
    assert text.endswith("\n\n500 to run, 1 cannot run\n")
