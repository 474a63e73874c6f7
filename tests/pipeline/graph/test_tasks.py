"""Order, early cut-off and generated inputs, under every way of running."""

from __future__ import annotations

from tests.support.project import DODO, EMPTY_LOCK, Project

NESTED = """\
images:
  site: {files: [site]}
bundles:
  base: {files: [base], push: "layout.localhost/base:${BASE_VERSION:-1}"}
  middle: {files: [middle], lock: {include: [{bundle: base}]}}
  top: {files: [top], lock: {include: [{bundle: middle}]}}
  aside: {files: [aside]}
"""
GENERATOR = """
def task_generate():
    target = "one/generated.yml"
    return {"actions": [f"cp source.txt {target}"], "file_dep": ["source.txt"], "targets": [target]}
"""


def _nested(project: Project) -> None:
    project.pipeline(NESTED)
    project.bundle("base")
    project.bundle("aside")
    project.write("site/index.html", "hello")
    project.write("middle/config.yml", "kind: Middle\n")
    project.write("top/config.yml", "spec: {containers: [{image: site}]}\n")


def test_a_change_deep_down_goes_up_in_order(project: Project, way: tuple[str, ...]) -> None:
    _nested(project)
    assert project.doit(*way).executed == {
        *("push_image:site", "push_bundle:base", "push_bundle:aside"),
        *("lock_bundle:middle", "push_bundle:middle", "lock_bundle:top", "push_bundle:top"),
    }
    assert project.doit(*way).ran == []

    project.write("base/config.yml", "kind: Changed\n")
    run = project.doit(*way)
    assert run.ran == [
        *("push_bundle:base", "lock_bundle:middle", "push_bundle:middle", "lock_bundle:top", "push_bundle:top"),
    ]
    assert project.digest("bundle", "base") in project.read("middle/.imgpkg/images.yml")
    assert project.digest("bundle", "middle") in project.read("top/.imgpkg/images.yml")
    assert project.doit(*way).ran == []


def test_an_image_that_configuration_names_is_pushed_before_the_lock(project: Project, way: tuple[str, ...]) -> None:
    _nested(project)
    project.doit(*way, "push_bundle:top")
    assert project.digest("image", "site") in project.read("top/.imgpkg/images.yml")

    project.write("site/index.html", "changed")
    assert project.doit(*way, "push_bundle:top").ran == ["push_image:site", "lock_bundle:top", "push_bundle:top"]


def test_a_push_that_leaves_the_digest_rebuilds_nothing_above(project: Project, way: tuple[str, ...]) -> None:
    _nested(project)
    project.doit(*way)
    run = project.doit(*way, env={"BASE_VERSION": "2"})
    assert run.ran == ["push_bundle:base"]


def test_a_single_bundle_pushes_what_it_needs_and_no_more(project: Project) -> None:
    _nested(project)
    run = project.doit("push_bundle:middle")
    assert set(run.ran) == {"push_bundle:base", "lock_bundle:middle", "push_bundle:middle"}


def test_a_generated_file_is_generated_before_the_push(project: Project, way: tuple[str, ...]) -> None:
    project.pipeline("bundles: {one: {files: [one]}}")
    project.bundle("one")
    project.write("source.txt", "kind: First\n")
    project.write("dodo.py", project.read("dodo.py") + GENERATOR)
    project.doit(*way)
    generated = project.directory / "one/generated.yml"
    assert generated.exists()
    assert project.doit(*way).ran == []

    first = project.digest("bundle", "one")
    project.write("source.txt", "kind: Second\n")
    project.doit(*way)
    assert generated.read_text() == "kind: Second\n"
    assert project.digest("bundle", "one") != first
    assert project.doit(*way).ran == []


def test_a_generated_file_is_searched_for_names_of_this_pipeline(project: Project, way: tuple[str, ...]) -> None:
    project.pipeline("images: {web: {files: [web]}}\nbundles: {one: {files: [one], lock: {}}}")
    project.write("web/index.html", "hello")
    project.write("one/config.yml", "kind: One\n")
    project.write("source.txt", "image: web\n")
    project.write("dodo.py", project.read("dodo.py") + GENERATOR)
    project.doit(*way)
    assert project.digest("image", "web") in project.read("one/.imgpkg/images.yml")
    assert project.doit(*way).ran == []


def test_a_generated_directory_around_an_input_comes_first(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [made/one]}}")
    project.write("images.yml", EMPTY_LOCK)
    command = "mkdir -p made/one/.imgpkg && cp images.yml made/one/.imgpkg/"
    task = {"actions": [command], "file_dep": ["images.yml"], "targets": ["made"]}
    project.write("dodo.py", f"{DODO}\ndef task_make():\n    return {task!r}\n")
    assert project.doit().executed >= {"push_bundle:one"}


def test_what_a_pull_lays_out_can_be_bundled_again(project: Project) -> None:
    project.pipeline(
        """\
bundles:
  one: {files: [one]}
  again: {files: [build/one/config.yml, lock]}
pulls:
  one: {from: {bundle: one}, to: build/one}
"""
    )
    project.bundle("one")
    project.bundle("lock", note="kind: Note\n")
    assert project.doit("push_bundle:again").ran == ["push_bundle:one", "pull_bundle:one", "push_bundle:again"]
    assert project.doit("push_bundle:again").ran == []
    project.write("one/config.yml", "kind: Changed\n")
    assert project.doit("push_bundle:again").ran == ["push_bundle:one", "pull_bundle:one", "push_bundle:again"]


def test_a_cycle_of_bundles_is_an_error_of_one_line(project: Project) -> None:
    project.pipeline(
        """\
bundles:
  hen: {files: [hen], lock: {include: [{bundle: egg}]}}
  egg: {files: [egg], lock: {include: [{bundle: hen}]}}
"""
    )
    project.write("hen/a.yml", "kind: Hen\n")
    project.write("egg/a.yml", "kind: Egg\n")
    run = project.doit(status=3)
    assert "Traceback" not in run.output
    assert "hen" in run.output and "egg" in run.output


def test_a_bundle_that_names_itself_is_an_error_at_its_place(project: Project, way: tuple[str, ...]) -> None:
    project.pipeline("bundles: {hen: {files: [hen], lock: {}}, egg: {files: [egg], lock: {}}}")
    project.write("hen/a.yml", "kind: Hen\nimage: egg\n")
    project.write("egg/a.yml", "kind: Egg\nimage: hen\n")
    run = project.doit(*way, status=1)
    assert "Traceback" not in run.output
    assert "egg/a.yml:2:8: 'hen' is made by this pipeline" in run.output or "hen/a.yml:2:8: 'egg' is" in run.output


def test_a_directory_whose_name_has_a_dot_is_made_before_it_is_searched(project: Project) -> None:
    project.pipeline(
        "images: {web: {files: [web]}, vendor: {files: [vendor]}}\n"
        "bundles: {app: {files: [app], lock: {}}}\n"
        "pulls: {vendor: {from: {image: vendor}, to: app/vendor/db-1.2}}"
    )
    project.write("web/index.html", "hello")
    project.write("vendor/deployment.yml", "image: web\n")
    project.write("app/config.yml", "kind: App\n")
    project.doit()
    assert project.digest("image", "web") in project.read("app/.imgpkg/images.yml")
    assert project.doit().ran == []


def test_the_lock_stays_in_the_first_directory_when_a_file_before_it_is_generated(project: Project) -> None:
    project.pipeline("bundles: {one: {files: [generated.yml, one], lock: {files: [one]}}}")
    project.write("one/config.yml", "kind: One\n")
    project.write("source.txt", "kind: Generated\n")
    project.write("dodo.py", DODO + GENERATOR.replace("one/generated.yml", "generated.yml"))
    project.doit()
    assert (project.directory / "generated.yml").is_file()
    assert (project.directory / "one/.imgpkg/images.yml").exists()
    assert project.doit().ran == []


def test_inputs_outside_of_the_directory_doit_runs_in_have_their_edges(project: Project) -> None:
    inside = Project(project.directory / "ci", project.environment)
    inside.pipeline("bundles: {one: {files: [../one]}}")
    project.bundle("one")
    project.write("source.txt", "kind: Generated\n")
    target = str(project.directory / "one/generated.yml")
    task = {"actions": [f"cp ../source.txt {target}"], "file_dep": ["../source.txt"], "targets": [target]}
    inside.write("dodo.py", f"{DODO}\ndef task_generate():\n    return {task!r}\n")
    inside.doit()
    assert (project.directory / "one/generated.yml").exists()
    assert inside.doit().ran == []


def test_a_project_that_is_reached_by_a_link_has_its_edges(project: Project) -> None:
    link = project.directory.parent / "link"
    link.symlink_to(project.directory)
    project.pipeline("bundles: {one: {files: [one]}}")
    project.bundle("one")
    generated = "str(Path(__file__).parent / 'one/generated.yml')"
    task = f"{{'actions': ['touch one/generated.yml'], 'targets': [{generated}], 'uptodate': [True]}}"
    project.write("dodo.py", f"{DODO}\nfrom pathlib import Path\ndef task_generate():\n    return {task}\n")
    project.doit("-f", str(link / "dodo.py"))
    assert (project.directory / "one/generated.yml").exists()
