"""lock_bundle by kbld's rules: configuration, programs whose output is searched, sources that are built."""

from __future__ import annotations

import shutil
import stat

import pytest

from tests.support.project import Project
from tests.support.services import require

DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
KBLD = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
SITE = "images:\n  site: {files: [site]}\n"


def _override(image: str = "web", digest: str = DIGEST) -> str:
    return f"{KBLD}overrides: [{{image: {image}, newImage: 'a.example/web@{digest}', preresolved: true}}]\n"


@pytest.fixture
def configured(project: Project) -> Project:
    """A bundle whose one image an override of kbld's configuration resolves."""
    project.pipeline("bundles:\n  app: {files: [app], lock: {config: [kbld.yml]}}\n")
    project.write("app/config.yml", "image: web\n")
    project.write("kbld.yml", _override())
    project.doit("lock_bundle")
    return project


def test_configuration_of_kbld_is_obeyed_and_makes_stale(configured: Project) -> None:
    assert f"image: a.example/web@{DIGEST}\n" in configured.read("app/.imgpkg/images.yml")
    assert configured.doit("lock_bundle").ran == []
    configured.write("kbld.yml", _override(digest=OTHER))
    assert "(kbld.yml changed)" in configured.doit("lock_bundle").stdout
    assert f"image: a.example/web@{OTHER}\n" in configured.read("app/.imgpkg/images.yml")


def test_faults_of_the_configuration_and_of_files_are_told_together(configured: Project) -> None:
    configured.write("kbld.yml", KBLD + "overrides: [{newImage: x}]\nsearchRules: [{keyMatcher: {}}]\n")
    configured.write("app/config.yml", "image: ''\n")
    run = configured.doit("lock_bundle", status=1)
    assert "kbld.yml:3:" in run.output
    assert "kbld.yml:4:" in run.output
    assert "app/config.yml:1:8: the image is empty" in run.output
    assert "Traceback" not in run.output


def test_a_configuration_file_that_another_task_makes_is_made_first(configured: Project) -> None:
    configured.write(
        "dodo.py",
        configured.read("dodo.py")
        + f"\ndef task_rules():\n    return {{'actions': [(write,)], 'targets': ['kbld.yml']}}\n\n"
        f"def write():\n    open('kbld.yml', 'w').write({_override(digest=OTHER)!r})\n",
    )
    assert configured.doit("lock_bundle").ran == ["rules", "lock_bundle:app"]
    assert OTHER in configured.read("app/.imgpkg/images.yml")


@pytest.mark.parametrize("rules_in", ["kbld.yml", "app/kbld.yml"])
def test_names_that_only_rules_find_become_edges(project: Project, rules_in: str) -> None:
    config = "config: [kbld.yml]" if rules_in == "kbld.yml" else ""
    project.pipeline(f"{SITE}bundles:\n  app: {{files: [app], lock: {{{config}}}}}\n")
    project.write("site/index.html", "one")
    project.write("app/config.yml", "picture: vendor/site:1\n")
    project.write(
        rules_in,
        f"{KBLD}searchRules: [{{keyMatcher: {{name: picture}}}}]\n"
        "overrides: [{imageRepo: vendor/site, newImage: site}]\n",
    )
    assert project.doit("lock_bundle").ran == ["push_image:site", "lock_bundle:app"]
    assert project.digest("image", "site") in project.read("app/.imgpkg/images.yml")
    assert project.doit("lock_bundle").ran == []
    project.write("site/index.html", "two")
    assert project.doit("lock_bundle").ran == ["push_image:site", "lock_bundle:app"]
    assert project.digest("image", "site") in project.read("app/.imgpkg/images.yml")


GENERATOR = """\
#!/bin/sh
echo run >> runs
echo rendering "$1" >&2
sed "s/{{ .Values.image }}/$(cat "$1/values")/" "$1/template"
"""


@pytest.fixture
def generated(project: Project) -> Project:
    """A bundle whose configuration a program renders from a template."""
    generator = project.write("render.sh", GENERATOR)
    generator.chmod(generator.stat().st_mode | stat.S_IXUSR)
    project.write("chart/template", "kind: Pod\nimage: {{ .Values.image }} # of the chart\n")
    project.write("chart/values", "site")
    project.write("site/index.html", "one")
    project.write("app/readme", "nothing to search")
    project.pipeline(
        f"{SITE}bundles:\n"
        "  app: {files: [app], lock: {files: [{run: [./render.sh, chart], files: [render.sh, chart]}]}}\n"
        "renders:\n"
        "  app:\n"
        "    files: [{run: [./render.sh, chart], files: [render.sh, chart]}]\n"
        "    locks: [app/.imgpkg/images.yml]\n"
        "    output: build/app.yml\n"
    )
    return project


def _runs(project: Project) -> int:
    return len(project.read("runs").splitlines())


def test_what_a_program_prints_is_locked_and_rendered_and_it_runs_once(
    generated: Project, way: tuple[str, ...]
) -> None:
    assert generated.doit(*way, "render_config").ran == ["push_image:site", "lock_bundle:app", "render_config:app"]
    image = generated.digest("image", "site")
    assert generated.read("build/app.yml") == f"kind: Pod\nimage: {image} # of the chart\n"
    assert _runs(generated) == 1


def test_only_its_files_make_a_program_run_again(generated: Project) -> None:
    run = generated.doit("render_config")
    assert "   lock_bundle:app  rendering chart\n" in run.stderr
    generated.write("elsewhere", "")
    generated.write("app/readme", "changed")
    assert generated.doit("render_config").ran == []
    assert _runs(generated) == 1
    generated.write("chart/template", "kind: Pod\n# other\nimage: {{ .Values.image }}\n")
    run = generated.doit("render_config")
    assert run.ran == ["lock_bundle:app", "render_config:app"]
    assert "(chart/template changed)" in run.stdout
    assert _runs(generated) == 2
    generated.write("site/index.html", "two")
    assert generated.doit("render_config").ran == ["push_image:site", "lock_bundle:app", "render_config:app"]
    assert generated.digest("image", "site") in generated.read("build/app.yml")


def test_forced_tasks_run_their_programs_again(generated: Project) -> None:
    generated.doit("lock_bundle")
    generated.doit("-a", "lock_bundle")
    assert _runs(generated) == 2


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "#!/bin/sh\necho 'no such value' >&2\nexit 4\n",
            "./render.sh chart: failed with exit status 4: no such value",
        ),
        ("#!/bin/sh\n", "./render.sh chart: printed nothing, expected configuration"),
        ("#!/bin/sh\necho 'a: [b'\n", "./render.sh chart:2:1: "),
    ],
)
def test_a_program_that_fails_is_one_line(generated: Project, script: str, message: str) -> None:
    generated.write("render.sh", script)
    run = generated.doit("lock_bundle", status=1)
    assert message in run.output
    assert "Traceback" not in run.output


def test_a_program_may_read_the_bundle_that_it_renders(generated: Project) -> None:
    generated.pipeline(
        "bundles:\n  app: {files: [app], push: 'layout.localhost/app',"
        " lock: {files: [{run: [cat, app/config.yml], files: [app]}]}}\n"
    )
    generated.write("app/config.yml", f"image: nginx@{DIGEST}\n")
    assert generated.doit("push_bundle").executed == {"lock_bundle:app", "push_bundle:app"}
    assert generated.doit("push_bundle").ran == []
    generated.pipeline(
        "bundles:\n  app: {files: [app], push: 'layout.localhost/app',"
        " lock: {files: [{run: [cat, app/config.yml], files: [.]}]}}\n"
    )
    generated.doit("push_bundle")
    assert generated.doit("push_bundle").ran == []


MEASURE = """\
#!/bin/sh
mkdir -p running "running/$1"
ls running | wc -l >> counts
sleep 0.3
rmdir "running/$1"
test "$1" != b3 || exit 3
echo "image: site"
"""


def test_programs_of_several_locks_run_side_by_side(generated: Project) -> None:
    generated.write("measure.sh", MEASURE)
    names = [f"b{number}" for number in range(6)]
    generated.pipeline(
        SITE
        + "bundles:\n"
        + "".join(
            f"  {name}: {{files: [{name}], lock: {{files: [{{run: [sh, measure.sh, {name}]}}]}}}}\n" for name in names
        )
    )
    for name in names:
        generated.write(f"{name}/readme", "")
    run = generated.doit("--continue", "lock_bundle", status=None)
    assert run.ran == ["push_image:site", *(name for name in run.ran if name != "push_image:site")]
    assert run.executed == {"push_image:site", *(f"lock_bundle:{name}" for name in names if name != "b3")}
    counts = [int(line) for line in generated.read("counts").split()]
    assert len(counts) == len(names)
    assert max(counts) > 1
    # Only what the run comes to.
    generated.doit("-a", "lock_bundle:b0")
    assert len(generated.read("counts").split()) == len(names) + 1


def test_a_failing_program_runs_once_in_a_run(generated: Project) -> None:
    generated.write("render.sh", "#!/bin/sh\necho run >> runs\nexit 3\n")
    generated.doit("lock_bundle", status=1)
    assert _runs(generated) == 1


def test_renders_side_by_side_share_what_a_program_prints(generated: Project, way: tuple[str, ...]) -> None:
    program = "{run: [./render.sh, chart], files: [render.sh, chart]}"
    generated.write("chart/values", f"nginx@{DIGEST}")
    generated.pipeline(
        "renders:\n" + "".join(f"  r{number}: {{files: [{program}], output: r{number}.yml}}\n" for number in range(4))
    )
    generated.doit(*way, "render_config")
    assert _runs(generated) == 1


def test_what_variables_bring_is_in_no_message_and_no_record(generated: Project) -> None:
    generated.environment["PASSWORD"] = "hunter2-very-secret"
    generated.write("render.sh", '#!/bin/sh\necho "image: nginx@$3"; exit $4\n')
    run = "[./render.sh, chart, '${PASSWORD}', '" + DIGEST + "', '${STATUS:-0}']"
    generated.pipeline(
        f"images:\n  tool: {{run: {run}}}\n  none: {{run: ['${{PASSWORD}}']}}\n"
        "  web: {build: {context: web, args: {A: '${PASSWORD}'}}}\n"
        f"bundles:\n  app: {{files: [app], lock: {{files: [{{run: {run}}}]}}}}\n"
    )
    generated.write("web/Dockerfile", "FROM scratch\n")
    runs = [
        generated.doit("lock_bundle"),
        generated.doit("-a", "lock_bundle", env={"STATUS": "3"}, status=1),
        generated.doit("push_image:tool", status=1),
        generated.doit("push_image:none", status=1),
        generated.doit("list", "--all"),
    ]
    assert "'${PASSWORD}': no such program on PATH" in runs[3].output
    assert "./render.sh chart '${PASSWORD}'" in runs[1].output
    assert all("hunter2" not in run.output for run in runs)
    kept = [path for path in (generated.directory / ".bundlepipe").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


def test_a_program_that_is_missing_is_one_line(generated: Project) -> None:
    generated.pipeline("bundles:\n  app: {files: [app], lock: {files: [{run: [no-helm, template]}]}}\n")
    run = generated.doit("lock_bundle", status=1)
    assert "no-helm: no such program on PATH: install it" in run.output
    assert "Traceback" not in run.output


def test_a_template_says_that_a_program_has_to_render_it(project: Project) -> None:
    project.pipeline("bundles:\n  app: {files: [app], lock: {}}\n")
    project.write("app/helm.yml", "kind: Pod\n{{- if .Values.on }}\nimage: a\n{{- end }}\n")
    project.write("app/ytt.yml", "kind: Pod\nimage: #@ data.values.image\n")
    told, _, _ = project.doit("lock_bundle", status=1).output.partition("\nfailed  ")
    assert "app/helm.yml:" in told
    assert "app/ytt.yml:2:" in told
    assert told.count("{run: [") == 2


SOURCES = KBLD + (
    "sources: [{image: web, path: src}]\n"
    "destinations: [{image: web, newImage: layout.localhost/built/web, tags: [dev]}]\n"
)


@pytest.fixture
def with_source(project: Project) -> Project:
    """A bundle whose one image a source of kbld's configuration builds."""
    require("docker")
    project.pipeline("bundles:\n  app: {files: [app], lock: {config: [kbld.yml]}}\n")
    project.write("app/config.yml", "image: web\n")
    project.write("kbld.yml", SOURCES)
    project.write("src/Dockerfile", "FROM scratch\nCOPY page /\n")
    project.write("src/page", "one")
    return project


def test_a_source_is_built_pushed_and_locked_and_its_context_makes_stale(with_source: Project) -> None:
    run = with_source.doit("lock_bundle")
    assert "   lock_bundle:app  web: Step 1/" in run.stderr
    first = with_source.read("app/.imgpkg/images.yml")
    assert "image: layout.localhost/built/web@sha256:" in first
    assert '"dev"' in with_source.read("build/registry/built/web/index.json")
    assert with_source.doit("lock_bundle").ran == []
    with_source.write("src/page", "two")
    run = with_source.doit("lock_bundle")
    assert "(src/page changed)" in run.stdout
    assert with_source.read("app/.imgpkg/images.yml") != first
    with_source.write("src/page", "one")
    assert "Step" not in with_source.doit("lock_bundle").output
    assert with_source.read("app/.imgpkg/images.yml") == first


def test_locks_side_by_side_have_one_image_of_one_source(with_source: Project, way: tuple[str, ...]) -> None:
    with_source.pipeline(
        "bundles:\n"
        + "".join(f"  b{number}: {{files: [b{number}], lock: {{config: [kbld.yml]}}}}\n" for number in range(4))
    )
    for number in range(4):
        with_source.write(f"b{number}/config.yml", "image: web\n")
    with_source.write("src/page", str(way))
    run = with_source.doit(*way, "lock_bundle")
    assert run.stderr.count("Successfully built") == 1
    assert len({with_source.read(f"b{number}/.imgpkg/images.yml") for number in range(4)}) == 1


def test_a_source_that_holds_what_runs_change_is_refused(with_source: Project) -> None:
    with_source.write("Dockerfile", "FROM scratch\nCOPY src /\n")
    with_source.write("kbld.yml", SOURCES.replace("path: src", "path: ."))
    output = with_source.doit("lock_bundle", status=1).output
    assert "kbld.yml:3:" in output
    assert "its context . holds .bundlepipe, which every run changes: add the line '.bundlepipe' to ./.docker" in output
    with_source.write(".dockerignore", ".bundlepipe\nbuild\n")
    assert "holds app/.imgpkg" in with_source.doit("lock_bundle", status=1).output
    with_source.write(".dockerignore", ".bundlepipe\nbuild\n**/.imgpkg\n")
    with_source.doit("lock_bundle")
    assert with_source.doit("lock_bundle").ran == []


def test_what_generates_the_content_of_a_source_runs_first(with_source: Project) -> None:
    with_source.write(
        "dodo.py",
        with_source.read("dodo.py")
        + "\ndef task_page():\n    return {'actions': ['echo new > src/page'], 'targets': ['src/page']}\n",
    )
    (with_source.directory / "src/page").unlink()
    assert with_source.doit("lock_bundle").ran == ["page", "lock_bundle:app"]


def test_an_image_of_a_source_that_is_gone_is_missed_when_the_registry_is_verified(with_source: Project) -> None:
    with_source.doit("lock_bundle")
    assert with_source.doit("lock_bundle", "verify=registry").ran == []
    shutil.rmtree(with_source.directory / "build/registry/built")
    assert with_source.doit("lock_bundle").ran == []
    assert "is not there)" in with_source.doit("lock_bundle", "verify=registry").stdout


def test_a_refresh_by_name_builds_a_source_again(with_source: Project) -> None:
    assert "   lock_bundle:app  web: Step 1/" in with_source.doit("lock_bundle").stderr
    for name, is_built in (("all", False), ("app", True), ("web", True)):
        assert ("Step 1/" in with_source.doit("lock_bundle", f"refresh={name}").stderr) == is_built


def test_a_source_without_destination_says_where_to_add_one(with_source: Project) -> None:
    with_source.write("kbld.yml", SOURCES.partition("destinations")[0])
    output = with_source.doit("lock_bundle", status=1).output
    assert "app/config.yml:1:8: cannot build 'web': kbld.yml:3:" in output
    assert "add it to 'destinations'" in output


def test_a_source_whose_builder_is_missing_is_told(with_source: Project) -> None:
    with_source.write("kbld.yml", SOURCES.replace("path: src", "path: src, pack: {build: {builder: b}}"))
    output = with_source.doit("lock_bundle", status=1).output
    assert "pack: no such program on PATH" in output
    assert "kbld.yml:3:" in output
