"""lock: bundlepipe.lock: what is resolved from outside is in one file, and images.yml is generated."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import file_layer, put_image
from tests.support.project import HEADER, Project
from tests.support.proxy import Proxy
from tests.support.services import Registry, require

VENDOR = "layout.localhost/vendor"
IMAGES_LOCK = ".imgpkg/images.yml"
LOCK = "bundlepipe.lock"
KEY = f"lock: {LOCK}\n"
DEFAULTS = 'defaults: {push: "${REGISTRY:-layout.localhost}/{name}:dev"}\n'
BUNDLES = """\
images: {web: {files: [site]}}
bundles:
  leaf: {files: [leaf], lock: {}}
  app: {files: [app], lock: {include: [{bundle: leaf}]}}
"""


def put(project: Project, name: str, content: str) -> str:
    """Let somebody else put an image into the directory that stands for a registry; return its digest."""
    registry, _, path = f"{VENDOR}/{name}".partition("/")
    repository, _, tag = path.rpartition(":")
    before = Path.cwd()
    os.chdir(project.directory)
    try:
        store = Stores().repository(Repository(registry, repository), writes=True)
        return str(put_image(store, file_layer("content", content), tag=tag).digest)
    finally:
        os.chdir(before)


def entries(project: Project) -> dict[str, str]:
    """Return the digests of the lock file by the first line of each entry."""
    blocks = project.read(LOCK).partition("images:\n")[2].split("\n\n")
    lines = [[line.strip() for line in block.strip().splitlines()] for block in blocks]
    return {each[0].removeprefix("- reference: "): each[-1].removeprefix("digest: ") for each in lines if len(each) > 1}


def names(bundle: str, *images: str) -> tuple[str, str]:
    return f"{bundle}/config.yml", "".join(f"- image: {image}\n" for image in images)


@pytest.fixture
def nested(project: Project) -> Project:
    """Two bundles, one in the other, that name two images of others and one of this pipeline."""
    put(project, "db:1", "db")
    put(project, "proxy:2", "proxy")
    project.write("site/index.html", "hello")
    project.write(*names("leaf", f"{VENDOR}/db:1", "web"))
    project.write(*names("app", f"{VENDOR}/db:1", f"{VENDOR}/proxy:2"))
    project.pipeline(KEY + BUNDLES, DEFAULTS)
    return project


def clean_checkout(project: Project) -> None:
    """Remove what git does not have, and what could be asked."""
    shutil.rmtree(project.directory / ".bundlepipe", ignore_errors=True)
    shutil.rmtree(project.directory / "build", ignore_errors=True)
    for path in project.directory.glob(f"*/{IMAGES_LOCK}"):
        path.unlink()


def git(directory: Path, *arguments: str) -> str:
    require("git")
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always", *arguments],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_from_outside_is_in_the_lock_file_and_nothing_else(nested: Project) -> None:
    db, proxy = put(nested, "db:1", "db"), put(nested, "proxy:2", "proxy")
    nested.doit()
    assert entries(nested) == {f"{VENDOR}/db:1": db, f"{VENDOR}/proxy:2": proxy}
    assert f"image: {VENDOR}/db@{db}" in nested.read(f"app/{IMAGES_LOCK}")
    assert "kbld.carvel.dev/id: leaf\n" in nested.read(f"app/{IMAGES_LOCK}")
    assert nested.doit().ran == []


def test_the_file_is_the_same_whatever_the_registry_is(nested: Project, registry: Registry) -> None:
    nested.doit()
    before = nested.read(LOCK)
    for number in range(2):
        nested.doit(env={"REGISTRY": str(registry.repository(f"r{number}"))})
        assert f"r{number}" in nested.read(f"app/{IMAGES_LOCK}")
        assert nested.read(LOCK) == before


def test_a_clean_checkout_locks_without_asking_anyone_and_changes_nothing(nested: Project) -> None:
    nested.doit("lock_bundle")
    before = {path: nested.read(path) for path in (LOCK, f"app/{IMAGES_LOCK}", f"leaf/{IMAGES_LOCK}")}
    clean_checkout(nested)
    nested.doit("lock_bundle")
    assert {path: nested.read(path) for path in before} == before
    assert not (nested.directory / "build/registry/vendor").exists()


def test_without_the_key_nothing_is_written(nested: Project) -> None:
    nested.pipeline(BUNDLES, DEFAULTS)
    nested.doit()
    assert not (nested.directory / LOCK).exists()


def test_changing_over_keeps_every_digest(nested: Project) -> None:
    nested.pipeline(BUNDLES, DEFAULTS)
    nested.doit("lock_bundle")
    before = nested.read(f"app/{IMAGES_LOCK}")
    moved = put(nested, "db:1", "another db")
    nested.pipeline(KEY + BUNDLES, DEFAULTS)
    run = nested.doit("lock_bundle")
    assert "(lockFile changed)" in run.stdout
    assert nested.read(f"app/{IMAGES_LOCK}") == before and moved not in nested.read(LOCK)
    assert set(entries(nested)) == {f"{VENDOR}/db:1", f"{VENDOR}/proxy:2"}
    # Also for locks that run later, when the file is there already.
    nested.doit("lock_bundle", "refresh=leaf")
    assert moved in nested.read(LOCK)


def test_changing_over_one_bundle_at_a_time_keeps_the_others_digests(nested: Project) -> None:
    nested.pipeline(BUNDLES, DEFAULTS)
    nested.doit("lock_bundle")
    before = nested.read(f"app/{IMAGES_LOCK}")
    put(nested, "proxy:2", "another proxy")
    nested.pipeline(KEY + BUNDLES, DEFAULTS)
    nested.doit("lock_bundle:leaf")
    nested.doit("lock_bundle:app")
    assert nested.read(f"app/{IMAGES_LOCK}") == before


def test_a_refresh_moves_the_entry_for_all_bundles(nested: Project) -> None:
    nested.doit()
    moved = put(nested, "db:1", "another db")
    assert nested.doit().ran == []
    run = nested.doit(f"refresh={VENDOR}/db:1")
    assert {"lock_bundle:leaf", "lock_bundle:app"} <= run.executed
    assert entries(nested)[f"{VENDOR}/db:1"] == moved
    assert all(moved in nested.read(f"{bundle}/{IMAGES_LOCK}") for bundle in ("leaf", "app"))
    assert nested.doit().ran == []


def test_a_reference_can_be_named_on_a_clean_checkout(nested: Project) -> None:
    nested.doit()
    clean_checkout(nested)
    moved = put(nested, "db:1", "another db")
    put(nested, "proxy:2", "proxy")
    errors = nested.doit("lock_bundle", "refresh=other:1", status=3).stderr
    assert "refresh=other:1: nothing has that name" in errors
    nested.doit("lock_bundle", f"refresh={VENDOR}/db:1")
    assert entries(nested)[f"{VENDOR}/db:1"] == moved


def test_refresh_always_follows_the_tag(nested: Project) -> None:
    nested.pipeline(KEY + "bundles: {leaf: {files: [leaf], lock: {refresh: always}}}\n", DEFAULTS)
    nested.write(*names("leaf", f"{VENDOR}/db:1"))
    nested.doit()
    moved = put(nested, "db:1", "another db")
    nested.doit()
    assert entries(nested) == {f"{VENDOR}/db:1": moved}


@pytest.mark.parametrize("refreshed", ["app", "leaf"])
def test_a_refresh_of_one_bundle_reaches_all_that_share_its_entries(
    nested: Project, way: tuple[str, ...], refreshed: str
) -> None:
    nested.write(*names("other", f"{VENDOR}/proxy:2"))
    nested.write(*names("alone", f"{VENDOR}/alone:1"))
    alone = put(nested, "alone:1", "alone")
    declared = "".join(f"  {bundle}: {{files: [{bundle}], lock: {{}}}}\n" for bundle in ("alone", "other"))
    nested.pipeline(KEY + BUNDLES + declared, DEFAULTS)
    nested.doit(*way)
    moved = {f"{VENDOR}/{name}": put(nested, name, f"another {name}") for name in ("db:1", "proxy:2")}
    put(nested, "alone:1", "another")
    run = nested.doit(*way, f"refresh={refreshed}")
    assert "lock_bundle:alone" not in run.executed
    shared = moved if refreshed == "app" else {f"{VENDOR}/db:1": moved[f"{VENDOR}/db:1"]}
    now = entries(nested)
    assert now == {**now, f"{VENDOR}/alone:1": alone, **shared}
    assert now[f"{VENDOR}/db:1"] in nested.read(f"leaf/{IMAGES_LOCK}")
    assert now[f"{VENDOR}/db:1"] in nested.read(f"app/{IMAGES_LOCK}")
    assert now[f"{VENDOR}/proxy:2"] in nested.read(f"other/{IMAGES_LOCK}")
    assert nested.doit(*way).ran == []


def test_a_bundle_that_always_refreshes_takes_along_those_that_share_its_entries(nested: Project) -> None:
    always = BUNDLES.replace("lock: {include", "lock: {refresh: always, include")
    nested.pipeline(KEY + always, DEFAULTS)
    nested.doit()
    moved = put(nested, "db:1", "another db")
    run = nested.doit()
    assert f"(lock_bundle:app refreshes {VENDOR}/db:1)" in run.stdout
    assert all(moved in nested.read(f"{bundle}/{IMAGES_LOCK}") for bundle in ("leaf", "app"))
    assert entries(nested)[f"{VENDOR}/db:1"] == moved


def test_only_what_needs_an_entry_runs_when_it_moves(nested: Project) -> None:
    nested.doit()
    proxy = entries(nested)[f"{VENDOR}/proxy:2"]
    other = put(nested, "other:1", "other")
    nested.write(LOCK, nested.read(LOCK).replace(proxy, other))  # as git does when it merges
    run = nested.doit()
    assert set(run.ran) == {"lock_bundle:app", "push_bundle:app"}
    assert f"({LOCK} has another digest for {VENDOR}/proxy:2)" in run.stdout
    assert other in nested.read(f"app/{IMAGES_LOCK}")


def test_another_entry_runs_nothing(nested: Project) -> None:
    nested.doit("lock_bundle:leaf")
    nested.doit("lock_bundle:app")
    assert len(entries(nested)) == 2
    assert nested.doit("lock_bundle").ran == []
    text = nested.read(LOCK).replace("\n...", f"\n- reference: x:1\n  digest: sha256:{'ab' * 32}\n\n...")
    nested.write(LOCK, text)
    assert nested.doit("lock_bundle:leaf", "lock_bundle:app").ran == []
    assert nested.read(LOCK) == text


def test_an_entry_goes_when_no_lock_of_the_whole_pipeline_has_it(nested: Project) -> None:
    nested.doit()
    nested.write(*names("app", f"{VENDOR}/proxy:2"))
    nested.doit()
    assert set(entries(nested)) == {f"{VENDOR}/db:1", f"{VENDOR}/proxy:2"}
    nested.write(*names("leaf", "web"))
    nested.doit("lock_bundle:leaf")
    assert set(entries(nested)) == {f"{VENDOR}/db:1", f"{VENDOR}/proxy:2"}
    nested.doit("push_bundle")
    assert set(entries(nested)) == {f"{VENDOR}/proxy:2"}
    nested.pipeline(KEY + "bundles: {app: {files: [app]}}\n", DEFAULTS)
    nested.doit()
    assert entries(nested) == {}


@pytest.mark.parametrize("command", [("list", "--all", "-s"), ("info", "lock_bundle"), ("push_bundle:leaf",)])
def test_an_entry_stays_where_locks_were_not_looked_at(nested: Project, command: tuple[str, ...]) -> None:
    nested.doit()
    nested.write(*names("app"))
    nested.write(*names("leaf", "web"))
    nested.doit("lock_bundle:leaf")
    before = nested.read(LOCK)
    nested.doit(*command, status=None)
    assert nested.read(LOCK) == before


def test_a_failed_lock_keeps_entries(nested: Project) -> None:
    nested.doit()
    nested.write(*names("leaf", "web"))
    nested.write(*names("app", "{{ .Values.image }}"))
    nested.doit("--continue", status=2)
    assert len(entries(nested)) == 2


def test_all_ways_of_running(nested: Project, way: tuple[str, ...]) -> None:
    many = [f"b{number}" for number in range(6)]
    for bundle in many:
        nested.write(*names(bundle, f"{VENDOR}/db:1", f"{VENDOR}/{bundle}:1"))
        put(nested, f"{bundle}:1", bundle)
    nested.pipeline(KEY + "bundles:\n" + "".join(f"  {b}: {{files: [{b}], lock: {{}}}}\n" for b in many), DEFAULTS)
    nested.doit(*way)
    assert set(entries(nested)) == {f"{VENDOR}/{name}:1" for name in ["db", *many]}
    assert nested.doit(*way).ran == []
    for bundle in many[1:]:
        nested.write(*names(bundle, f"{VENDOR}/db:1"))
    nested.doit(*way)
    assert set(entries(nested)) == {f"{VENDOR}/db:1", f"{VENDOR}/b0:1"}


def test_runs_at_once_lose_nothing(nested: Project) -> None:
    many = [f"b{number}" for number in range(6)]
    for bundle in many:
        nested.write(*names(bundle, f"{VENDOR}/db:1", f"{VENDOR}/{bundle}:1"))
        put(nested, f"{bundle}:1", bundle)
    nested.pipeline(KEY + "bundles:\n" + "".join(f"  {b}: {{files: [{b}], lock: {{}}}}\n" for b in many), DEFAULTS)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda bundle: nested.doit(f"lock_bundle:{bundle}"), many))
    assert set(entries(nested)) == {f"{VENDOR}/{name}:1" for name in ["db", *many]}
    assert nested.doit("lock_bundle").ran == []


def test_what_chooses_is_part_of_an_entry(nested: Project) -> None:
    put(nested, "proxy:1.2.0", "old")
    chosen = put(nested, "proxy:1.9.0", "new")
    nested.write(*names("leaf", "proxy"))
    nested.write(*names("app", f"{VENDOR}/proxy:1.2.0"))
    nested.write(
        "kbld.yml",
        "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\noverrides:\n- image: proxy\n"
        f"  newImage: {VENDOR}/proxy\n  tagSelection: {{semver: {{constraints: 1.x}}}}\n",
    )
    nested.pipeline(
        KEY
        + "bundles:\n  leaf: {files: [leaf], lock: {config: [kbld.yml]}}\n"
        + "  app: {files: [app], lock: {platform: linux/amd64}}\n",
        DEFAULTS,
    )
    nested.doit()
    assert f"- reference: {VENDOR}/proxy\n  tags: 1.x\n  digest: {chosen}\n" in nested.read(LOCK)
    assert f"- reference: {VENDOR}/proxy:1.2.0\n  platform: linux/amd64\n" in nested.read(LOCK)
    before = {path: nested.read(path) for path in (LOCK, f"app/{IMAGES_LOCK}", f"leaf/{IMAGES_LOCK}")}
    assert f"dev.bundlepipe.question: {VENDOR}/proxy, tags 1.x" in before[f"leaf/{IMAGES_LOCK}"]
    put(nested, "proxy:1.10.0", "newest")
    # From images.yml alone the same file comes, and from the file the same images.yml.
    (nested.directory / LOCK).unlink()
    nested.doit("lock_bundle")
    assert {path: nested.read(path) for path in before} == before
    clean_checkout(nested)
    nested.doit("lock_bundle")
    assert {path: nested.read(path) for path in before} == before


def test_conflict_markers_fail_the_lock_by_name(nested: Project) -> None:
    nested.doit()
    text = nested.read(LOCK)
    nested.write(LOCK, text.replace("\n...", "\n<<<<<<< HEAD\n=======\n>>>>>>> main\n..."))
    errors = nested.doit(status=1).stdout
    line = text.count("\n")
    assert f"{LOCK}:{line}:1: a merge conflict that git left here ('<<<<<<< HEAD'): keep the entries" in errors
    assert "Traceback" not in errors
    nested.write(LOCK, text)
    assert nested.doit().executed == set()


@pytest.mark.parametrize("base", ["", "||||||| 12ab\n- image: x:1\n"])
def test_conflict_marks_in_images_yml_are_regenerated(nested: Project, base: str) -> None:
    nested.doit()
    path, before = f"app/{IMAGES_LOCK}", nested.read(f"app/{IMAGES_LOCK}")
    head, _, rest = before.partition("images:\n")
    images, kind, tail = rest.partition("kind:")
    conflict = (
        f"{head}images:\n<<<<<<< HEAD\n{images}{base}=======\n- image: x@sha256:{'ab' * 32}\n>>>>>>> main\n{kind}{tail}"
    )
    nested.write(path, conflict)
    nested.doit()
    assert nested.read(path) == before
    # What is more than two such files, and all of it where there is no lock file, is somebody's.
    for text, key in ((conflict.replace("- image: x@", "- mine: x@"), KEY), (conflict, "")):
        nested.pipeline(key + BUNDLES, DEFAULTS)
        nested.write(path, text)
        assert path in nested.doit(status=None).stdout
        assert nested.read(path) == text


def test_a_file_that_is_no_lock_file_is_never_replaced(nested: Project) -> None:
    nested.write(LOCK, "my notes\n")
    assert f"{LOCK}:1:1: " in nested.doit(status=1).stdout
    assert nested.read(LOCK) == "my notes\n"


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ("lock: dodo.py\n", "the lock file would replace dodo.py: write it elsewhere"),
        ("lock: .bundlepipe/lock\n", "the lock file would replace .bundlepipe/lock: write it elsewhere"),
        ("lock: bundlepipe.yml\n", "the lock file would replace bundlepipe.yml: write it elsewhere"),
        (
            f"lock: {LOCK}\nrenders: {{x: {{files: [leaf], output: {LOCK}}}}}\n",
            f"the output of render 'x' would replace {LOCK}, which is the lock file: write it elsewhere",
        ),
        (
            "lock: out/x.lock\npulls: {x: {from: 'nginx:1', to: out}}\n",
            "the lock file, out/x.lock, lies in out, which pull 'x' replaces as a whole",
        ),
        (
            f"lock: {LOCK}\nbundles: {{x: {{files: [.]}}}}\n",
            f"its input . holds {LOCK}, which every run changes: exclude it with 'exclude: [.git, {LOCK}]'",
        ),
        (
            f"lock: {LOCK}\ninclude: [other.yml]\n",
            f"other.yml:3:7: the lock file is other.lock here, and {LOCK} at bundlepipe.yml:3:7: a pipeline has one",
        ),
    ],
)
def test_faulty_declarations(project: Project, declared: str, fault: str) -> None:
    project.write("other.yml", HEADER + "lock: other.lock\n")
    project.pipeline(declared, "")
    assert fault in project.refusal()


def test_declared_in_python(nested: Project) -> None:
    nested.write(
        "dodo.py",
        "from pathlib import Path\nfrom bundlepipe import DOIT_CONFIG, Bundle, Lock, Pipeline\n"
        "bundle = Bundle(name='app', files=['app'], push='layout.localhost/app', lock=Lock())\n"
        f"pipeline = Pipeline(bundles=[bundle], lock=Path('x/../{LOCK}'))\n",
    )
    nested.doit()
    assert set(entries(nested)) == {f"{VENDOR}/db:1", f"{VENDOR}/proxy:2"}


def test_two_clones_merge_and_stay_clean(nested: Project, tmp_path: Path, registry: Registry) -> None:
    """Each of two branches changes another leaf and adds another image; runs with three registries change nothing."""
    put(nested, "cache:3", "cache")
    put(nested, "queue:4", "queue")
    leaves = "".join(f"  leaf{number}: {{files: [leaf{number}], lock: {{}}}}\n" for number in range(2))
    top = "  app: {files: [app], lock: {include: [{bundle: leaf0}, {bundle: leaf1}]}}\n"
    nested.pipeline(f"{KEY}images: {{web: {{files: [site]}}}}\nbundles:\n{leaves}{top}", DEFAULTS)
    for number in range(2):
        nested.write(*names(f"leaf{number}", "web", f"{VENDOR}/db:1"))
    nested.write(".gitignore", f".bundlepipe/\nbuild/\n__pycache__/\n{IMAGES_LOCK}\n**/{IMAGES_LOCK}\n")
    nested.write(".gitattributes", f"{LOCK} merge=bundlepipe\n")
    nested.doit()
    git(nested.directory, "init", "-q", "-b", "main")
    git(nested.directory, "add", "-A")
    git(nested.directory, "commit", "-qm", "main")
    for number, image in enumerate(("cache:3", "queue:4")):
        clone = tmp_path / f"clone{number}"
        git(tmp_path, "clone", "-q", str(nested.directory), str(clone))
        shutil.copytree(nested.directory / "build", clone / "build")
        project = Project(clone, nested.environment)
        project.write(*names(f"leaf{number}", "web", f"{VENDOR}/db:1", f"{VENDOR}/{image}"))
        project.doit()
        assert git(clone, "status", "--short").split() == ["M", LOCK, "M", f"leaf{number}/config.yml"]
        git(clone, "commit", "-qam", image)
    scripts = Path(sys.executable).parent
    git(clone, "config", "merge.bundlepipe.driver", f"{scripts}/bundlepipe lock merge %O %A %B %P")
    git(clone, "pull", "-q", "--no-rebase", "--no-edit", str(tmp_path / "clone0"), "main")
    assert set(entries(project)) == {f"{VENDOR}/{name}" for name in ("db:1", "proxy:2", "cache:3", "queue:4")}
    for registry_name in ("layout.localhost", str(registry.repository("one")), str(registry.repository("two"))):
        project.doit(env={"REGISTRY": registry_name})
        assert git(clone, "status", "--short") == ""
        assert project.doit(env={"REGISTRY": registry_name}).ran == []


def test_a_run_without_state_costs_one_request_a_bundle(project: Project, proxy: Proxy, registry: Registry) -> None:
    vendor, pushed = registry.repository("vendor"), registry.repository("pushed")
    put_image(Stores().repository(vendor, writes=True), file_layer("content", "x"), tag="1")
    bundles = [f"b{number}" for number in range(5)]
    for bundle in bundles:
        project.write(*names(bundle, f"{proxy.host}/{vendor.path}:1"))
    declared = "".join(f"  {bundle}: {{files: [{bundle}], lock: {{}}}}\n" for bundle in bundles)
    project.pipeline(f"{KEY}bundles:\n{declared}", f'defaults: {{push: "{proxy.host}/{pushed.path}/{{name}}:1"}}\n')
    project.doit()
    assert proxy.count("GET", f"{vendor.path}/manifests/1$") + proxy.count("HEAD", f"{vendor.path}/manifests/1$") == 1
    before = project.read(LOCK)
    clean_checkout(project)
    proxy.forget()
    project.doit()
    assert proxy.count() == len(bundles) == proxy.count("GET", f"{pushed.path}/.*/manifests/1$")
    assert project.read(LOCK) == before
