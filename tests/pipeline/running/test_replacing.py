"""No output of a task replaces what bundlepipe did not make, unless nothing is lost by it or it is forced."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.checks.declarations import faults
from bundlepipe.pipeline.checks.python_values import checked_declarations
from bundlepipe.pipeline.declared.model import Bundle, BundleSource, Copy, Pull, Render
from bundlepipe.pipeline.declared.reading import Declared
from bundlepipe.pipeline.graph.tasks import create_tasks
from bundlepipe.pipeline.running.run import Settings
from bundlepipe.stores.settings import RegistrySettings
from tests.support.git import commit_all, git
from tests.support.project import EMPTY_LOCK, Project

DECLARATIONS = """\
images:
  site: {files: [site]}
bundles:
  app: {files: [app], lockOutput: out/app.lock.yml}
pulls:
  app: {from: {bundle: app}, to: out/app}
  site: {from: {image: site}, to: out/site}
renders:
  app: {files: [app/config.yml], output: out/app.yml}
copies:
  tar: {from: {bundle: app}, to: tar:out/app.tar}
  there: {from: {bundle: app}, to: layout.localhost/there, lockOutput: out/there.lock.yml}
"""
# What somebody has in the place of each output.
OTHERS = {
    "push_bundle:app": "out/app.lock.yml",
    "pull_bundle:app": "out/app/main.py",
    "pull_bundle:site": "out/site/main.py",
    "render_config:app": "out/app.yml",
    "copy_bundle:tar": "out/app.tar",
    "copy_bundle:there": "out/there.lock.yml",
}
OUTPUTS = {task: path.removesuffix("/main.py") for task, path in OTHERS.items()}


@pytest.fixture
def project(project: Project) -> Project:
    """A project whose outputs are not made yet."""
    project.pipeline(DECLARATIONS)
    project.bundle("app")
    project.write("site/index.html", "hello")
    return project


@pytest.mark.parametrize("task", OTHERS)
def test_what_is_there_stays_unless_forced(project: Project, task: str) -> None:
    project.write(OTHERS[task], "mine")
    run = project.doit(task, status=1)
    advice = f"remove it, name another path, or replace it with 'doit {task} force={task.partition(':')[2]}'"
    assert f"{OUTPUTS[task]}: exists, but " in run.output and advice in run.output
    assert project.read(OTHERS[task]) == "mine"
    assert project.doit(task, f"force={task}").marks[task] == "."
    there = project.directory / OTHERS[task]
    assert not there.exists() or there.read_bytes() != b"mine"


def test_force_names_what_it_is_for(project: Project) -> None:
    for path in OTHERS.values():
        project.write(path, "mine")
    project.doit("--continue", *OTHERS, "force=site,render_config:app", status=None)
    files = {task: project.directory / path for task, path in OTHERS.items()}
    kept = {task for task, path in files.items() if path.exists() and path.read_bytes() == b"mine"}
    assert kept == set(OTHERS) - {"pull_bundle:site", "render_config:app"}


@pytest.mark.parametrize("task", ["push_bundle:app", "pull_bundle:app", "copy_bundle:tar", "copy_bundle:there"])
def test_a_refusal_needs_no_registry(project: Project, task: str) -> None:
    """The registry of a pipeline that is refused is not asked: nobody listens there."""
    project.doit("push_bundle")
    project.write(OTHERS[task], "mine")
    closed = "127.0.0.1:1"
    project.pipeline(
        f"bundles: {{app: {{files: [app], push: {closed}/app, lockOutput: out/app.lock.yml}}}}\n"
        f"pulls: {{app: {{from: {{lock: given.yml}}, to: out/app}}}}\n"
        f"copies:\n  tar: {{from: {closed}/app, to: tar:out/app.tar}}\n"
        f"  there: {{from: {closed}/app, to: {closed}/there, lockOutput: out/there.lock.yml}}\n"
    )
    project.write("given.yml", project.read("out/app.lock.yml").replace("layout.localhost", closed))
    if task == "push_bundle:app":
        project.write(OTHERS[task], "mine")
    run = project.doit("-s", task, status=1)
    assert "exists, but" in run.output and closed not in run.output.partition("exists, but")[0].splitlines()[-1]


def test_what_a_task_would_write_is_no_loss(project: Project) -> None:
    """Records can be deleted at any time."""
    project.doit(*OTHERS)
    shutil.rmtree(project.directory / ".bundlepipe")
    before = {path: (project.directory / path).lstat().st_ino for path in OUTPUTS.values()}
    run = project.doit(*OTHERS)
    assert set(run.marks) >= set(OTHERS)
    changed = {path for path, inode in before.items() if (project.directory / path).lstat().st_ino != inode}
    assert changed == {"out/app", "out/site"}
    shutil.rmtree(project.directory / ".bundlepipe")
    project.write("out/site/index.html", "changed")
    assert "git does not have out/site/index.html as it is now" not in run.output
    assert "out/site: exists, but this pull did not make it" in project.doit("pull_bundle:site", status=1).output
    assert project.read("out/site/index.html") == "changed"


def test_what_a_task_made_is_its_own(project: Project) -> None:
    project.doit(*OTHERS)
    for task in ("pull_bundle:app", "render_config:app", "copy_bundle:tar"):
        project.write(OTHERS[task], "by hand")
        if task != "copy_bundle:tar":
            assert project.doit(task).marks[task] == "."


def test_git_has_vendored_pulls_and_committed_renders(project: Project) -> None:
    project.write("out/site/old.html", "old")
    project.write("out/app.yml", "old")
    project.write(".gitignore", ".bundlepipe\nbuild\n__pycache__\n")
    commit_all(project.directory)
    project.doit("pull_bundle:site", "render_config:app")
    assert git(project.directory, "status", "--short").splitlines() == [
        " M out/app.yml",
        " D out/site/old.html",
        "?? out/site/index.html",
    ]


@pytest.mark.parametrize("path", [".git", ".git/hooks", "sub/.git", "sub/.GIT", "sub/.git/x.yml"])
def test_repositories_are_refused_when_loading(project: Project, path: str) -> None:
    (project.directory / "sub/.git").mkdir(parents=True)
    for declaration in (
        f"pulls: {{app: {{from: {{bundle: app}}, to: {path}}}}}",
        f"renders: {{app: {{files: [app], output: {path}}}}}",
        f"copies: {{app: {{from: {{bundle: app}}, to: 'tar:{path}'}}}}",
        f"copies: {{app: {{from: {{bundle: app}}, to: 'oci:{path}'}}}}",
        f"copies: {{app: {{from: {{bundle: app}}, to: layout.localhost/x, lockOutput: {path}}}}}",
        f"registries: {{other.localhost: {{layout: {path}}}}}",
    ):
        project.pipeline(f"bundles: {{app: {{files: [app]}}}}\n{declaration}\n")
        errors = project.doit("list", "force=app", status=3).stderr
        assert f"{path} is in a repository of git: write it elsewhere" in errors


def test_a_directory_that_holds_a_repository_stays_even_when_forced(project: Project) -> None:
    (project.directory / "out/app/clone/.git").mkdir(parents=True)
    run = project.doit("pull_bundle:app", "force=app", status=1)
    assert "it is or contains the git repository" in run.output


def make_anew(path: Path) -> None:
    """Put something else at a path; file systems give it the number of what was removed."""
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
        (path / "fork.c").write_text("mine")
    else:
        path.unlink()
        path.write_text("mine")


@pytest.mark.parametrize("task", ["pull_bundle:app", "pull_bundle:site", "render_config:app", "copy_bundle:tar"])
def test_what_somebody_makes_anew_is_not_the_tasks_own(project: Project, task: str) -> None:
    project.doit(*OTHERS)
    path = project.directory / OUTPUTS[task]
    make_anew(path)
    assert f"{OUTPUTS[task]}: exists, but " in project.doit(task, status=1).output
    assert f"not removing '{OUTPUTS[task]}'" in project.doit("clean", task).stdout
    assert (path / "fork.c" if path.is_dir() else path).read_text() == "mine"


@pytest.mark.parametrize("task", ["pull_bundle:app", "pull_bundle:site", "render_config:app"])
def test_a_record_of_an_older_release_counts_once(project: Project, task: str) -> None:
    """Such a record holds the path alone."""
    project.doit(*OTHERS)
    group, name = task.split(":")
    project.write(f".bundlepipe/outputs/{group.partition('_')[0]}/{name}", OUTPUTS[task])
    path = project.directory / OUTPUTS[task]
    make_anew(path)
    assert project.doit(task).marks[task] == "."
    make_anew(path)
    assert f"{OUTPUTS[task]}: exists, but " in project.doit(task, status=1).output


@pytest.mark.parametrize("task", ["pull_bundle:app", "pull_bundle:site", "render_config:app"])
def test_an_output_that_was_edited_or_not_touched_is_still_its_tasks_own(project: Project, task: str) -> None:
    project.doit(*OTHERS)
    project.write("app/config.yml", "kind: Newer\n")
    project.write("site/index.html", "newer")
    project.doit("push_image", "push_bundle")
    assert project.doit(task).marks[task] == "."
    project.doit("forget", task)
    project.doit(task)
    there = project.directory / OUTPUTS[task]
    file = there / "new.txt" if there.is_dir() else there
    file.write_text("by hand")
    assert project.doit(task).marks[task] == "."
    assert not file.exists() or file.read_text() != "by hand"


@pytest.mark.parametrize("task", ["push_bundle:app", "copy_bundle:there"])
def test_a_lock_output_may_be_a_link(project: Project, task: str) -> None:
    project.doit(task)
    path = project.directory / OUTPUTS[task]
    lock = path.read_text()
    project.write("elsewhere.yml", lock.replace("layout.localhost", "other.localhost"))
    path.unlink()
    path.symlink_to(project.directory / "elsewhere.yml")
    project.doit("forget", task)
    project.doit(task)
    assert path.is_symlink() and project.read("elsewhere.yml") == lock


APPEARS = """\
from pathlib import Path
import bundlepipe.pipeline.tasks.copy as module
result_for = module.result_for
def appear(task):
    Path("out/app.tar").write_text("mine")
    return result_for(task)
module.result_for = appear
"""


def test_a_file_that_appears_while_a_tar_is_written_stays(project: Project) -> None:
    project.doit("push_bundle")
    (project.directory / "out").mkdir(exist_ok=True)
    dodo = project.read("dodo.py")
    project.write("dodo.py", APPEARS + dodo)
    run = project.doit("copy_bundle:tar", status=1)
    assert "out/app.tar: exists, but it is not a tar of a copy" in run.output
    assert project.read("out/app.tar") == "mine"
    assert project.doit("-n", "0", "copy_bundle:tar", "force=tar").marks["copy_bundle:tar"] == "."
    assert (project.directory / "out/app.tar").stat().st_size > 1000
    assert not (project.directory / "out/.app.tar.partial").exists()


# doit clean


def test_clean_leaves_what_no_run_would_replace(project: Project) -> None:
    project.doit(*OTHERS)
    project.write("out/app/clone/.git/HEAD", "ref: refs/heads/main\n")
    output = project.doit("clean", "pull_bundle:app").stdout
    assert "pull_bundle:app - not removing 'out/app': Disallowed output directory" in output
    assert "it is or contains the git repository" in output
    assert project.read("out/app/clone/.git/HEAD")
    shutil.rmtree(project.directory / "out/app/clone")
    assert "removing dir 'out/app'" in project.doit("clean", "pull_bundle:app").stdout
    assert not (project.directory / "out/app").exists()


def test_clean_leaves_the_file_of_the_pipeline(project: Project) -> None:
    project.doit(*OTHERS)
    project.write("out/site/more.yml", project.read("bundlepipe.yml"))
    shutil.copy(project.directory / "dodo.py", project.directory / "out/site/dodo.py")
    (project.directory / "bundlepipe.yml").unlink()
    (project.directory / "bundlepipe.yml").symlink_to("out/site/more.yml")
    output = project.doit("clean", "pull_bundle:site").stdout
    assert "not removing 'out/site': Disallowed output directory" in output
    assert (project.directory / "out/site/more.yml").exists()


@pytest.mark.parametrize("task", ["pull_bundle:site", "copy_bundle:tar"])
def test_clean_of_another_kind_of_thing_is_a_line(project: Project, task: str) -> None:
    """Records of older releases hold a path alone, which says nothing about what is there now."""
    project.doit(*OTHERS)
    group, name = task.split(":")
    path = project.directory / OUTPUTS[task]
    project.write(f".bundlepipe/outputs/{group.partition('_')[0]}/{name}", OUTPUTS[task])
    if path.is_dir():
        shutil.rmtree(path)
        path.write_text("mine")
    else:
        path.unlink()
        path.mkdir()
    run = project.doit("clean", task)
    assert f"{task} - not removing '{OUTPUTS[task]}'" in run.stdout and "Traceback" not in run.output
    assert path.exists()


# Killed runs

KILLED = """\
import os, signal
import bundlepipe.pipeline.tasks.{module} as module
def kill(*arguments): os.kill(os.getpid(), signal.SIGKILL)
module.{function} = kill
"""


def kill_before(project: Project, task: str, module: str, function: str) -> None:
    dodo = project.read("dodo.py")
    project.write("dodo.py", KILLED.format(module=module, function=function) + dodo)
    assert project.doit("-n", "0", task, status=None).status == -signal.SIGKILL
    project.write("dodo.py", dodo)


@pytest.mark.parametrize(("task", "module"), [("pull_bundle:site", "pull"), ("render_config:app", "render")])
def test_a_task_that_is_killed_before_it_records_knows_its_output(project: Project, task: str, module: str) -> None:
    project.doit("push_image", "push_bundle")
    kill_before(project, task, module, "record_output")
    assert (project.directory / OUTPUTS[task]).exists()
    project.write("site/index.html", "newer")
    project.write("app/config.yml", "kind: Newer\n")
    assert project.doit(task).marks[task] == "."
    assert project.doit(task).marks[task] == "--"


@pytest.mark.parametrize(("task", "module"), [("pull_bundle:site", "pull"), ("render_config:app", "render")])
def test_a_task_that_is_killed_before_it_replaces_owns_nothing(project: Project, task: str, module: str) -> None:
    project.doit("push_image", "push_bundle")
    kill = "def kill(*arguments):\n    intend(*arguments)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    dodo = project.read("dodo.py")
    head = f"import os, signal\nimport bundlepipe.pipeline.tasks.{module} as module\nintend = module.intend_output\n"
    project.write("dodo.py", f"{head}{kill}module.intend_output = kill\n{dodo}")
    assert project.doit("-n", "0", task, status=None).status == -signal.SIGKILL
    project.write("dodo.py", dodo)
    project.write(OTHERS[task], "mine")
    assert "exists, but" in project.doit(task, status=1).output
    assert project.read(OTHERS[task]) == "mine"


# Any declarations

ROUNDS = 1000
CONTENTS = ("", "mine\n", "kind: Mine\n", EMPTY_LOCK, "apiVersion: v1\nkind: Config\n", "\0" * 600)
NAMES = ("src", "a.txt", "notes.md", "config.yml", "images.yml", ".imgpkg", "app.tar", "main.py", ".hidden", "ünïcode")


class Tree:
    """A directory with files that are not ours, and somewhere else what may be pulled, rendered and copied."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.directory = directory
        self._chance = chance
        self._fill(directory, 3)
        if chance.random() < 0.1:
            (directory / ".git").mkdir()
            (directory / ".git/HEAD").write_text("ref: refs/heads/main\n")
        self.before = dict(self._entries())

    def _fill(self, directory: Path, depth: int) -> None:
        directory.mkdir()
        for name in self._chance.sample(NAMES, self._chance.randrange(1, 5)):
            path, kind = directory / name, self._chance.random()
            if kind < 0.45 and depth:
                self._fill(path, depth - 1)
            elif kind < 0.55:
                path.symlink_to(self._chance.choice(["..", "a.txt", "src", "nowhere"]))
            elif kind < 0.6:
                path.mkdir()
            else:
                path.write_text(self._chance.choice(CONTENTS))

    def _entries(self) -> Iterator[tuple[Path, object]]:
        for parent, directories, files in os.walk(self.directory):
            for path in (Path(parent, name) for name in (*directories, *files)):
                status = path.lstat()
                if stat.S_ISLNK(status.st_mode):
                    yield path, (path.readlink(), status.st_ino)
                elif stat.S_ISREG(status.st_mode):
                    yield path, (path.read_bytes(), status.st_ino, status.st_mtime_ns)

    def changed(self) -> list[Path]:
        """Return what is not as it was; what is new, and empty directories, do not count."""
        now = dict(self._entries())
        return [path for path, was in self.before.items() if now.get(path) != was]

    def any_path(self) -> str:
        """Return a path as somebody may write it: something that is there, or beside it."""
        path = self._chance.choice([*self.before, self.directory])
        path = path.parent if self._chance.random() < 0.5 else path
        chance = self._chance.random()
        if chance < 0.15:
            path /= self._chance.choice(NAMES)
        elif chance < 0.2:
            path = path / ".." / path.name
        return str(path) if self._chance.random() < 0.1 else os.path.relpath(path, self.directory)


def any_declared(tree: Tree, given: Path, chance: random.Random) -> Declared:
    """Return a pipeline with one random output; what it is made of lies elsewhere."""
    path = tree.any_path()
    layout = RegistrySettings(layout=str(given / "registry"))
    nothing = Declared([], [], [], [], [], registries={"layout.localhost": layout})
    made = BundleSource("app")
    bundle = Bundle(name="app", files=[str(given / "app")], push="layout.localhost/app:1")
    kinds: list[Callable[[], Declared]] = [
        lambda: replace(nothing, pulls=[Pull(name="x", source="layout.localhost/app:1", to=path)]),
        lambda: replace(nothing, bundles=[bundle], pulls=[Pull(name="x", source=made, to=path)]),
        lambda: replace(nothing, pulls=[Pull(name="x", source="layout.localhost/site:1", to=path)]),
        lambda: replace(nothing, renders=[Render(name="x", files=[str(given / "app/config.yml")], output=path)]),
        lambda: replace(nothing, copies=[Copy(name="x", source="layout.localhost/app:1", to=f"tar:{path}")]),
        lambda: replace(nothing, copies=[Copy(name="x", source="layout.localhost/app:1", to=f"oci:{path}")]),
        lambda: replace(
            nothing,
            copies=[Copy(name="x", source="layout.localhost/app:1", to="layout.localhost/x", lock_output=path)],
        ),
        lambda: replace(nothing, bundles=[replace(bundle, lock_output=path)]),
    ]
    return chance.choice(kinds)()


def run_tasks(declared: Declared, settings: Settings) -> bool:
    """Run the tasks of a pipeline one after another; tell whether all of them did their work."""
    given = {field.name: getattr(declared, field.name) for field in fields(declared)}
    declared = checked_declarations({**given, "reports": list(declared.reports)})
    if faults(declared):
        return False
    try:
        for task in create_tasks(declared, settings):
            for action in task.actions:
                action.work()
    except (BundlepipeError, OSError):
        return False
    return True


@pytest.mark.slow
def test_a_thousand_random_declarations_lose_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    given = project.directory
    project.pipeline(
        "images: {site: {files: [site]}}\nbundles: {app: {files: [app]}}\n"
        "registries: {layout.localhost: {layout: registry}}\n",
        'defaults: {push: "layout.localhost/{name}:1"}\n',
    )
    project.doit("push_image", "push_bundle")
    chance = random.Random(11)
    settings = Settings(registries={"layout.localhost": RegistrySettings(layout=str(given / "registry"))})
    done = forced_changes = 0
    for number in range(ROUNDS):
        trees = given / f"trees/{number}"
        trees.mkdir(parents=True)
        tree = Tree(trees / "mine", chance)
        monkeypatch.chdir(tree.directory)
        declared = any_declared(tree, given, chance)
        done += run_tasks(declared, settings)
        assert not tree.changed(), declared
        run_tasks(declared, Settings(registries=settings.registries, force=frozenset({"x", "app"})))
        forced_changes += bool(tree.changed())
    # Else this would say nothing.
    assert done > ROUNDS / 10
    assert forced_changes > ROUNDS / 10
