"""What differs from the same pipeline at a git revision, without any registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatch

from msgspec import Struct

from bundlepipe.errors import BundlepipeError, printable
from bundlepipe.filesystem.base_directory import base_directory
from bundlepipe.filesystem.snapshots import differences
from bundlepipe.pipeline.planning.checkouts import Repository
from bundlepipe.pipeline.planning.plan import Plan, PlannedFile, PlannedTask
from bundlepipe.pipeline.planning.tree_outcomes import Outcome, Outcomes, read_outcomes, write_request
from bundlepipe.pipeline.planning.tree_repositories import ELSEWHERE
from bundlepipe.pipeline.reasons import Reason
from bundlepipe.pipeline.running.edges import reached
from bundlepipe.pipeline.running.staleness import FILES, changed_options, file_reason, from_values

# The current directory is no place of modules: the tree may have some of the names of those that are imported. Ours
# are those that run now, which need not be installed.
_PROGRAM = (
    "import sys; sys.path[:] = [*filter(None, sys.path), sys.argv.pop(1)]; sys.argv[0] = 'bundlepipe'; "
    "from bundlepipe.cli.main import main; main()"
)
_FRAME = re.compile(r'\s*File "(.+)", line (\d+)')


class Chosen(Struct, frozen=True):
    """The tasks of a plan: the names and patterns on the command line, None for all; and all that these reach."""

    asked: Sequence[str] | None
    reached: Collection[str]

    def names(self, task: str) -> bool:
        """Return whether a task that is there no more would be one of them."""
        group = task.partition(":")[0]
        if self.asked is None or group in self.reached:
            return True
        return any(fnmatch(each, pattern) for each in (task, group) for pattern in self.asked)


def plan_since(revision: str, files: Sequence[str], arguments: Sequence[str], chosen: Chosen) -> Plan:
    """Return the plan of a run in the working tree, where the revision was run before.

    Both are taken as git has them, without ignored files. `files` are those that doit may read the tasks from,
    relative to the current directory, and `arguments` what else it is told; `chosen` are the tasks of the plan.
    Raises BundlepipeError if the repository lacks the revision, or the pipeline cannot be read.
    """
    repository = Repository.of(os.path.realpath(base_directory()))
    commit = repository.commit(revision)
    for file in files:
        if os.path.normpath(os.path.join(repository.below, file)).startswith(("..", "/")):
            raise BundlepipeError(f"{printable(file)}: is outside of the git repository {printable(repository.root)}")
    with tempfile.TemporaryDirectory(prefix="bundlepipe-since-") as scratch:
        # The same path for both, which may be part of what tasks make.
        tree = os.path.join(os.path.realpath(scratch), os.path.basename(repository.root) or "tree")
        side = _Side(tree, repository.below, files, arguments)
        before = side.outcomes(repository.check_out(commit, tree), f"the pipeline at {revision}")
        shutil.rmtree(tree)
        now = side.outcomes(repository.copy_working_tree(tree), "the pipeline")
    if now is None:
        raise BundlepipeError(f"{printable(files[0])}: is ignored by git, so it cannot be compared with {revision}")
    where = f"no pipeline in {printable(repository.below or '.')}" if before is None else "no such task"
    return _Comparison(before or {}, now, revision, f"{revision} has {where}", repository.not_in_git).plan(chosen)


class _Side(Struct, frozen=True):
    """Where the pipeline of one side is: below the root of a tree of files."""

    tree: str
    below: str
    files: Sequence[str]
    arguments: Sequence[str]

    @property
    def directory(self) -> str:
        return os.path.join(self.tree, self.below)

    def outcomes(self, repositories: Sequence[str], what: str) -> Outcomes | None:
        """Return the outcomes of the pipeline, None if there is none; BundlepipeError if it cannot be read.

        `repositories` are directories, below the root, whose files are not there.
        """
        if not any(os.path.exists(os.path.join(self.directory, file)) for file in self.files):
            return None
        handed = f"{self.tree}.json"
        unknown = [os.path.relpath(os.path.join(self.tree, path), self.directory) for path in repositories]
        write_request(handed, unknown)
        ours = os.path.dirname(os.path.abspath(sys.modules["bundlepipe"].__path__[0]))
        asks = ("doit", "plan", "--outcomes", handed, "--db-file", f"{self.tree}.db")
        finished = subprocess.run(
            [sys.executable, "-c", _PROGRAM, ours, *asks, *self.arguments],
            cwd=self.directory,
            env={key: value for key, value in os.environ.items() if key not in ELSEWHERE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        try:
            return read_outcomes(handed)
        except ValueError:
            told = (finished.stderr.strip() or finished.stdout.strip()).decode(errors="backslashreplace")
            why = self._why(told.splitlines() or [f"it ended with status {finished.returncode}"])
            raise BundlepipeError(f"{what}: cannot be read: {printable(why)}") from None

    def _why(self, lines: Sequence[str]) -> str:
        """Return what a failed process says: its error, or where and which exception ended it."""
        for line in lines:
            if line.startswith("ERROR: "):
                return self._shown(line.removeprefix("ERROR: "))
        frames = [found.groups() for line in lines if (found := _FRAME.match(line))]
        own = [frame for frame in frames if frame[0].startswith(self.tree)]
        last = next((line for line in reversed(lines) if line.strip()), "")
        return self._shown(": ".join([*map(":".join, own[-1:]), last]))

    def _shown(self, text: str) -> str:
        return text.replace(f"{self.directory.rstrip('/')}/", "").replace(f"{self.tree}/", "")


class _Comparison:
    """Compares outcomes: those `now` in place of those `before`, which `revision` has.

    `absence` says that it has no such task; `not_in_git` returns those of some paths that git does not know.
    """

    def __init__(
        self,
        before: Outcomes,
        now: Outcomes,
        revision: str,
        absence: str,
        not_in_git: Callable[[Collection[str]], Collection[str]],
    ) -> None:
        self._before, self._now = before, now
        self._revision, self._absence = revision, absence
        missing = {path for outcome in now.values() for path in outcome.missing}
        self._not_in_git = not_in_git(missing) if missing else ()
        self._tasks: dict[str, PlannedTask] = {}
        # Tasks whose result is not that of a run, since some of their input is not there.
        self._unsure: set[str] = set()

    def plan(self, chosen: Chosen) -> Plan:
        """Return the plan of the tasks that are chosen, with those that are gone."""
        wanted = reached([name for name in self._now if name in chosen.reached], lambda name: self._now[name].needs)
        for name, outcome in self._now.items():
            if name in wanted:
                self._tasks[name] = self._task(name, outcome)
        starts = [name for name in self._before if name in chosen.reached or chosen.names(name)]
        known = reached(starts, lambda name: self._before[name].needs if name in self._before else ())
        removed = tuple(name for name in self._before if name in known and name not in self._now)
        return Plan(tuple(self._tasks.values()), removed=removed)

    def _task(self, name: str, outcome: Outcome) -> PlannedTask:
        old = self._before.get(name)
        needs = [each for each in outcome.needs if each in self._tasks and self._tasks[each].state != "none"]
        if outcome.problem is not None:
            return self._failed(name, outcome, needs)
        unknown = outcome.unknown or (old.unknown if old else None)
        open_needs = [each for each in needs if self._tasks[each].state == "maybe"]
        if unknown or not self._unsure.isdisjoint(needs):
            self._unsure.add(name)
        if not old or old.made != outcome.made:
            is_known = name not in self._unsure
            return PlannedTask(
                name=name,
                state="run",
                reasons=self._reasons(name, old, outcome, needs),
                needs=needs,
                image=outcome.image if is_known else None,
                summary=outcome.summary if is_known else "",
                files=_changed_files(old.outputs if old else {}, outcome.outputs),
            )
        if unknown:
            words = f"{unknown} is a git repository of its own, whose files are not compared"
            return PlannedTask(name=name, state="maybe", reasons=[Reason("notForeseen", name, words)], needs=needs)
        if open_needs:
            reasons = [Reason("mayChange", each, f"{each} may change it") for each in open_needs]
            return PlannedTask(name=name, state="maybe", reasons=reasons, needs=needs)
        return PlannedTask(name=name, state="none", needs=needs)

    def _failed(self, name: str, outcome: Outcome, needs: Sequence[str]) -> PlannedTask:
        """Return a task whose result is not known: it fails in a run as well, unless what it lacks is not in git."""
        failed = [each for each in outcome.failed if each in self._tasks]
        if failed:
            is_open = all(self._tasks[each].state != "error" for each in failed)
        else:
            is_open = bool(outcome.is_open or outcome.unknown or not set(self._not_in_git).isdisjoint(outcome.missing))
        if is_open:
            self._unsure.add(name)
            reason = Reason("notForeseen", name, f"not known from the files in git alone: {outcome.problem}")
            return PlannedTask(name=name, state="maybe", reasons=[reason], needs=needs)
        reason = Reason("taskCannotRun" if failed else "failure", failed[0] if failed else name, str(outcome.problem))
        return PlannedTask(name=name, state="error", reasons=[reason], needs=needs)

    def _reasons(self, name: str, old: Outcome | None, now: Outcome, needs: Sequence[str]) -> list[Reason]:
        """Return why a task runs: options and files that it reads, else tasks that it needs, else its outputs."""
        if old is None:
            return [Reason("newTask", name, self._absence)]
        if old.problem is not None:
            return [Reason("notForeseen", name, f"not known at {self._revision}: {old.problem}")]
        changes = differences(from_values({FILES: old.files}), from_values({FILES: now.files}))
        read = [file_reason(code, path) for path, code in changes if path not in now.outputs]
        reasons = [*changed_options(old.options, now.options), *read]
        reasons = reasons or [Reason("resultChanged", need, f"{need} changed") for need in needs]
        # A lock keeps what is in it, which may be a change by hand.
        return reasons or [file_reason("fileChanged", file.path) for file in _changed_files(old.outputs, now.outputs)]


def _changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[PlannedFile]:
    changed = [path for path in now if now[path] != before.get(path)]
    return [PlannedFile(path, "changed" if path in before else "created") for path in changed]
