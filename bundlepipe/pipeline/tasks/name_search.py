"""Find the images and bundles of the pipeline that configuration names, as a lock would."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping

from doit.task import Task
from msgspec import Struct

from bundlepipe.documents.search.kinds import may_configure
from bundlepipe.errors import BundlepipeError, DocumentError, InvalidReference
from bundlepipe.filesystem.base_directory import anchored, paths_from
from bundlepipe.filesystem.snapshots import Snapshot, differences
from bundlepipe.pipeline.declared.model import (
    Bundle,
    Lock,
    MadeHere,
    Program,
    programs_searched,
    search_exclude,
    searched_paths,
)
from bundlepipe.pipeline.declared.paths import normalise
from bundlepipe.pipeline.records.groups import group_name
from bundlepipe.pipeline.running.edges import (
    EDGES,
    GENERATED_INPUTS,
    Reads,
    found_edges,
    producers,
    reached,
    targets_of_others,
)
from bundlepipe.pipeline.running.ordering import edges_to, task_that_makes
from bundlepipe.pipeline.running.programs import text_printed
from bundlepipe.pipeline.running.run import Settings, may_run_programs
from bundlepipe.pipeline.running.spec import PipelineContext, TaskSpec
from bundlepipe.pipeline.running.staleness import FILES, Staleness, Values, from_values, to_values
from bundlepipe.pipeline.running.status import is_looked_at
from bundlepipe.pipeline.tasks.lock import NAME_SEARCH, lock_options, reads_of_lock, searched_now
from bundlepipe.progress.display import emitter

_NAMES = "names"
_KNOWN = "known"
_BUILT_FROM = "builtFrom"
# Used instead of a name: rules, in any file, decide what is found. No name has a star.
BY_RULES = "*"


def spec(bundle: Bundle, lock: Lock, context: PipelineContext) -> TaskSpec:
    """Return the private task that searches for a lock."""
    settings = context.settings
    return TaskSpec(
        group=NAME_SEARCH,
        name=bundle.name,
        action=None,
        uptodate=NameSearch(bundle, lock, context.made_here, settings),
        doc=f"find which images made here bundle {bundle.name} names",
        reads=reads_of_lock(bundle, lock),
        calc_dep=[group_name(GENERATED_INPUTS, settings.prefix)],
        after=bundle.after,
    )


def names_in(path: str, known: Collection[str]) -> list[str]:
    """Return the names under the `image` keys of one file, or BY_RULES if the file may change what others name."""
    with open(anchored(path), "rb") as file:
        content = file.read()
    if may_configure(content):
        return [BY_RULES]
    # Parsing is slow, and most files name nothing that is made here.
    if b"image" not in content or not any(name.encode() in content for name in known):
        return []
    from bundlepipe.documents.search.files import search_images

    try:
        return sorted({found.value for found in search_images(content, path).images} & set(known))
    except DocumentError:
        return []


class FoundByRules(Struct, frozen=True):
    """The names that configuration has by all its rules, and the directories that its sources are built from."""

    names: list[str]
    built_from: list[str]


def search_by_rules(bundle: Bundle, lock: Lock, known: Collection[str], settings: Settings) -> FoundByRules:
    """Return what a bundle's configuration needs by all its rules, in files and in output of programs.

    Raises BundlepipeError if a program fails or a file cannot be read; faulty documents need nothing.
    """
    from bundlepipe.verbs.images.resolver import FromSource, Made, plan
    from bundlepipe.verbs.images.texts import read_rules, read_texts, search

    emit = emitter(settings.task("lock_bundle", bundle.name))
    texts = read_texts(searched_paths(bundle), search_exclude(bundle))
    texts += [text_printed(program, settings, emit) for program in programs_searched(bundle)]
    configuration = search(texts, read_rules(lock.config))
    names, built_from = set(), set()
    for reference in {found.value for found in configuration.images}:
        try:
            planned = plan(reference, configuration.rules, dict.fromkeys(known))
        except InvalidReference:
            continue  # reported by the lock
        if isinstance(planned, Made):
            names.add(planned.name)
        elif isinstance(planned, FromSource):
            built_from.add(normalise(planned.source.path, lock.directory))
    return FoundByRules(sorted(names), sorted(built_from))


class NameSearch(Staleness):
    """Finds the images and bundles of the pipeline that a bundle's configuration names, and files that builds read.

    The uptodate object of a private task that the lock has as `calc_dep`: the names become edges of the
    lock before its turn comes. The lock reports faulty files.
    """

    def __init__(self, bundle: Bundle, lock: Lock, made_here: Mapping[str, MadeHere], settings: Settings) -> None:
        super().__init__({})
        self._bundle = bundle
        self._lock = lock
        self._lock_task = settings.task("lock_bundle", bundle.name)
        self._made_here = made_here
        self._settings = settings
        self._built_from: list[str] = []
        self._may_run_programs = True
        # The searches of a run, by task name, until the first program has to run.
        self.searches: dict[str, NameSearch] = {}

    def __call__(self, task: Task, values: Values) -> bool:
        """Search what changed since the last run; always up to date, as this is the work itself."""
        with paths_from(self.directory):
            self._search(task, values)
        return True

    def _search(self, task: Task, values: Values) -> None:
        before = from_values(values)
        self._may_run_programs = may_run_programs() and not is_looked_at(task)
        # If other names are made here, or the declaration changed, earlier results are invalid.
        known = self._known()
        names_before = values.get(_NAMES, {}) if values.get(_KNOWN) == known else {}
        self._built_from = values.get(_BUILT_FROM, [])
        try:
            now = searched_now(self._bundle, self._lock, before)
            names = self._names(before, now, names_before)
        except (BundlepipeError, OSError):
            now, names = {}, {}
        found = {name for in_path in names.values() for name in in_path} & self._made_here.keys()
        edges = edges_to(self._acyclic(found), self._settings)
        task.values = {
            EDGES: {self._lock_task: {**edges, "task_dep": [*edges["task_dep"], *self._generators()]}},
            FILES: to_values(now),
            _NAMES: names,
            _KNOWN: known,
            _BUILT_FROM: self._built_from,
        }
        if task.values != values and not is_looked_at(task):
            self.remember(task, task.values)

    def __str__(self) -> str:
        """Return the purpose, for `doit info`."""
        return f"a search for images made here in the configuration of bundle {self._bundle.name}"

    def _names(self, before: Snapshot, now: Snapshot, names_before: Mapping[str, list[str]]) -> dict[str, list[str]]:
        """Return the names by the path that has them; those from kbld's rules or programs have none."""
        unchanged = {path for path in names_before if path in now and before[path].same_content(now[path])}
        if not self._goes_by_rules(names_before):
            names = {path: names_before[path] if path in unchanged else names_in(path, self._made_here) for path in now}
            if not self._goes_by_rules(names):
                self._built_from = []
                return names
        if len(unchanged) == len(now) == len(names_before) - 1:
            return dict(names_before)
        if programs_searched(self._bundle):
            if not self._may_run_programs:
                return dict(names_before)
            self._run_announced()
        found = search_by_rules(self._bundle, self._lock, self._made_here, self._settings)
        self._built_from = found.built_from
        return {**{path: [] for path in now}, BY_RULES: found.names}

    def _run_announced(self) -> None:
        """Run the programs of all announced searches that need them now; failures are reported when their turn comes.

        One by one, in doit's main thread, they would take as long as all of them together.
        """
        from bundlepipe.concurrency.parallel import in_parallel

        inputs = self.tasks_dict[group_name(GENERATED_INPUTS, self._settings.prefix)]
        generated = inputs.values.get(EDGES, {})
        # The dependencies of other pipelines' programs are not known here.
        own = [name for name, search in self.searches.items() if search._settings.prefix == self._settings.prefix]
        searches = {name: self.searches.pop(name) for name in own}
        # Outputs of other tasks may not exist yet.
        ready = [
            search
            for name, search in searches.items()
            if not self.tasks_dict[name].task_dep and name not in generated
            if search.is_stale(self.recorded(name))
        ]
        programs = [(search, program) for search in ready for program in programs_searched(search._bundle)]
        in_parallel(lambda item: item[0].try_program(item[1]), programs)

    def is_stale(self, values: Values) -> bool:
        """Return whether the files that decide what programs print changed since an earlier run."""
        before = from_values(values)
        try:
            now = searched_now(self._bundle, self._lock, before)
        except (BundlepipeError, OSError):
            return False
        return bool(differences(before, now)) or values.get(_KNOWN) != self._known()

    def try_program(self, program: Program) -> None:
        """Run a program, whose output or failure is cached for this run."""
        with contextlib.suppress(BundlepipeError, OSError):
            text_printed(program, self._settings, emitter(self._lock_task))

    def _known(self) -> list[object]:
        """Return the other inputs of the search."""
        return [sorted(self._made_here), lock_options(self._bundle)]

    def _generators(self) -> list[str]:
        """Return users' tasks that make the files that sources are built from."""
        if not self._built_from:
            return []
        targets = targets_of_others(self.tasks_dict, self._settings.prefix)
        return [producer for _, producer in producers([Reads(self._lock_task, self._built_from)], targets)]

    def _goes_by_rules(self, names: Mapping[str, list[str]]) -> bool:
        declared = self._lock.config or programs_searched(self._bundle)
        return bool(declared) or BY_RULES in names or any(BY_RULES in in_path for in_path in names.values())

    def _acyclic(self, names: Collection[str]) -> list[MadeHere]:
        """Leave out tasks that need this lock itself: the lock reports it, while doit would hang."""

        def edges(task_name: str) -> list[str]:
            task = self.tasks_dict[task_name]
            late = [dep for search in task.calc_dep for dep in found_edges(self.tasks_dict[search], task_name)]
            return [*task.task_dep, *task.calc_dep, *late]

        made = [self._made_here[name] for name in sorted(names)]
        return [
            thing for thing in made if self._lock_task not in reached([task_that_makes(thing, self._settings)], edges)
        ]
