from __future__ import annotations

import subprocess

import pytest

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.oci.digest import Digest
from bundlepipe.pipeline.declared.reading import read_pipeline
from bundlepipe.stores.opening import Stores
from tests.support.command import LINUX, Command
from tests.support.files import write_bundle
from tests.support.images import file_layer, put_image
from tests.support.services import Registry, require

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: "IMAGE"}]}}}
"""
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def write(command: Command, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = command.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def check_and_run(command: Command) -> str:
    """Check what was written, and run it twice; return what the first run printed."""
    command.silently("bundlepipe", "check")
    first = command("bundlepipe", "doit").output
    again = command("bundlepipe", "doit").output
    assert first
    assert all(line.startswith("--") for line in again.splitlines()), again
    return first


def pipeline_of(command: Command) -> str:
    return (command.directory / "bundlepipe.yml").read_text()


def test_empty_directory(command: Command) -> None:
    assert command("bundlepipe", "init").output == (
        "wrote   bundlepipe.yml\n"
        "wrote   dodo.py\n"
        "wrote   config/settings.yml\n"
        "next    bundlepipe check, bundlepipe doit\n"
        "ignore  .bundlepipe, build and each images.yml that a lock writes, in git\n"
    )
    assert ".  push_bundle:config  layout.localhost/config:dev sha256:" in check_and_run(command)


def test_example_is_beside_what_there_is(command: Command) -> None:
    ignored = "**/.imgpkg\n.bundlepipe\nbuild/registry\n"
    write(command, {"config/web.json": "{", "Dockerfile": "FROM scratch\n", ".dockerignore": ignored})
    assert "wrote   config-2/settings.yml\n" in command("bundlepipe", "init").output
    check_and_run(command)


def test_directory_with_kubernetes_yaml(command: Command, registry: Registry) -> None:
    repository = registry.repository("site")
    put_image(Stores().repository(repository, writes=True), file_layer("index.html", "hello"), tag="1")
    write(
        command,
        {
            "deploy/web/deployment.yml": DEPLOYMENT.replace("IMAGE", f"{repository}:1"),
            "deploy/web/sub/settings.yaml": SETTINGS,
            "other/web/settings.yml": SETTINGS,
            ".github/workflows/ci.yml": SETTINGS,
            "node_modules/x/settings.yml": SETTINGS,
            "docker-compose.yml": "services: {web: {image: nginx}}\n",
            "notes/broken.yml": "{{ template }}\n",
        },
    )
    told = command("bundlepipe", "init").output
    assert told.startswith(
        "found   deploy/web: bundle 'web'\nfound   other/web: bundle 'other-web'\nwrote   bundlepipe.yml\n"
    )
    assert f"asks for the digests of {repository}:1." in pipeline_of(command)
    assert "lock_bundle:web  deploy/web/.imgpkg/images.yml 1 image " in check_and_run(command)


def test_directory_with_bundles(command: Command) -> None:
    write_bundle(command.directory / "one", {"settings.yml": SETTINGS})
    write_bundle(command.directory / "two/pkg", {"settings.yml": SETTINGS})
    assert "found   one: bundle 'one'\nfound   two/pkg: bundle 'pkg'\n" in command("bundlepipe", "init").output
    check_and_run(command)


def test_lock_that_is_an_authors_stays_so(command: Command, registry: Registry) -> None:
    repository = registry.repository("site")
    manifest = put_image(Stores().repository(repository, writes=True), file_layer("index.html", "hello"))
    bundle = write_bundle(command.directory / "one", {"settings.yml": SETTINGS}, [repository.at(manifest.digest)])
    before = (bundle / ".imgpkg/images.yml").read_bytes()
    command("bundlepipe", "init")
    assert ".imgpkg/images.yml is yours" in pipeline_of(command)
    check_and_run(command)
    assert (bundle / ".imgpkg/images.yml").read_bytes() == before


def test_lock_that_follows_from_configuration_is_maintained(command: Command, registry: Registry) -> None:
    repository = registry.repository("site")
    manifest = put_image(Stores().repository(repository, writes=True), file_layer("index.html", "hello"), tag="1")
    reference = f"{repository}:1"
    bundle = write_bundle(command.directory / "one", {"app.yml": DEPLOYMENT.replace("IMAGE", reference)})
    lock = ImagesLock((ImageRef(repository.at(manifest.digest), {KBLD_ID: reference}),)).to_bytes()
    (bundle / ".imgpkg/images.yml").write_bytes(lock)
    command("bundlepipe", "init")
    assert "known images keep their digests" in pipeline_of(command)
    check_and_run(command)
    assert (bundle / ".imgpkg/images.yml").read_bytes() == lock


def test_configuration_in_the_directory_itself(command: Command) -> None:
    write(command, {"app.yml": SETTINGS, "more/settings.yml": SETTINGS})
    assert "found   .: bundle 'work'\nwrote" in command("bundlepipe", "init").output
    check_and_run(command)


def test_dockerfiles_and_charts(command: Command) -> None:
    write(
        command,
        {
            "web/Dockerfile": "FROM scratch\n",
            "deploy/app.yml": DEPLOYMENT.replace("IMAGE", "web"),
            "charts/shop/Chart.yaml": "apiVersion: v2\nname: shop\n",
        },
    )
    told = command("bundlepipe", "init").output
    assert "found   web/Dockerfile: image 'web'\nfound   charts/shop: a Helm chart, see the comment" in told
    command.silently("bundlepipe", "check")
    text = pipeline_of(command)
    assert "  web: {build: {context: web}}\n" in text
    assert "run: [helm, template, charts/shop]" in text
    assert "asks for" not in text


def test_in_a_chart(command: Command) -> None:
    write(command, {"Chart.yaml": "apiVersion: v2\nname: shop\n", "crds/crd.yml": SETTINGS})
    assert command("bundlepipe", "init").output.startswith(
        "found   .: a Helm chart, see the comment in bundlepipe.yml\n"
    )
    assert "run: [helm, template, .], files: [.]" in pipeline_of(command)
    check_and_run(command)


@pytest.mark.parametrize("name", ["bundlepipe.yml", "dodo.py"])
def test_nothing_is_replaced(command: Command, name: str) -> None:
    write(command, {name: "mine\n"})
    error = f"bundlepipe: Error: {name}: is there already: edit it, or replace it with --force\n"
    assert command("bundlepipe", "init").failed == error
    assert [path.name for path in command.directory.iterdir()] == [name]
    assert command("bundlepipe", "init", "--force").status == 0
    check_and_run(command)


def test_another_directory(command: Command) -> None:
    write(command, {"shop/config/app.yml": SETTINGS, "shop/1 odd: name/app.yml": SETTINGS})
    told = command("bundlepipe", "init", "shop").output
    assert "wrote   shop/bundlepipe.yml\n" in told
    assert "next    cd shop, then bundlepipe check" in told
    assert command("bundlepipe", "check", cwd=command.directory / "shop").output == ""
    assert command("bundlepipe", "doit", cwd=command.directory / "shop").output
    assert command("bundlepipe", "init", "gone").failed == "bundlepipe: Error: gone: there is no such directory\n"


def test_names_are_valid_and_distinct(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("a/App", "b/app", "b/App_", "c/-", "b/Ä"):
        write(command, {f"{path}/settings.yml": SETTINGS, f"{path}/Dockerfile": "FROM scratch\n"})
    assert command("bundlepipe", "init").status == 0
    command.silently("bundlepipe", "check")
    monkeypatch.chdir(command.directory)
    declared = read_pipeline("bundlepipe.yml", {})
    assert len({thing.name for thing in (*declared.bundles, *declared.images)}) == 5


def test_context_that_runs_would_write_into_is_not_declared(command: Command) -> None:
    write(command, {"app/Dockerfile": "FROM scratch\n", "app/settings.yml": SETTINGS, "Dockerfile": "FROM scratch\n"})
    assert command("bundlepipe", "init").status == 0
    text = pipeline_of(command)
    assert "# Once app/.dockerignore has the lines .imgpkg, which runs write there:\n#  app: {build:" in text
    assert "# Once .dockerignore has the lines app/.imgpkg, .bundlepipe, build/registry, which" in text
    assert "  app-bundle:\n    files: [app]\n    exclude: [.git, Dockerfile]\n" in text
    check_and_run(command)
    write(command, {"app/.dockerignore": ".imgpkg\n", ".dockerignore": "**/.imgpkg\n.bundlepipe\nbuild/registry\n"})
    assert command("bundlepipe", "init", "--force").status == 0
    assert "\n  app: {build: {context: app}}\n" in pipeline_of(command)
    assert "\n  work: {build: {context: .}}\n" in pipeline_of(command)
    command.silently("bundlepipe", "check")


def test_images_have_the_names_that_configuration_says(command: Command) -> None:
    write(
        command,
        {"web/Dockerfile": "FROM scratch\n", "deploy/web/app.yml": DEPLOYMENT.replace("IMAGE", "web")},
    )
    told = command("bundlepipe", "init").output
    assert "found   deploy/web: bundle 'deploy-web'\nfound   web/Dockerfile: image 'web'\n" in told
    command.silently("bundlepipe", "check")


def test_bundles_in_bundles_are_bundles_of_their_own(command: Command) -> None:
    write(command, {"app.yml": SETTINGS})
    inner = write_bundle(command.directory / "sub", {"settings.yml": SETTINGS})
    write_bundle(inner / "deeper", {"settings.yml": SETTINGS})
    assert command("bundlepipe", "init").output.startswith(
        "found   .: bundle 'work'\nfound   sub: bundle 'sub'\nfound   sub/deeper: bundle 'deeper'\n"
    )
    assert "    exclude: [.git, deeper]\n" in pipeline_of(command)
    check_and_run(command)


def test_templates_are_not_searched(command: Command) -> None:
    write(
        command,
        {
            "deploy/app.yml": SETTINGS,
            "deploy/chart/Chart.yaml": "apiVersion: v2\nname: shop\n",
            "deploy/chart/templates/app.yaml": "{{ if .Values.on }}\nimage: x\n{{ end }}\n",
        },
    )
    command("bundlepipe", "init")
    assert "    lock: {files: [deploy/app.yml, deploy/chart/Chart.yaml]}\n" in pipeline_of(command)
    check_and_run(command)


def test_what_is_for_tools_or_hidden_is_no_part_of_a_bundle(command: Command) -> None:
    write(
        command,
        {
            "skaffold.yaml": "apiVersion: skaffold/v4beta6\nkind: Config\nmetadata: {name: shop}\n",
            "deploy/app.yml": SETTINGS,
            "deploy/.env": "secret\n",
            "deploy/node_modules/x.json": "{}\n",
        },
    )
    assert command("bundlepipe", "init").output.startswith("found   deploy: bundle 'deploy'\nwrote")
    assert "    exclude: [.env, .git, node_modules]\n" in pipeline_of(command)
    check_and_run(command)


def test_lock_whose_entries_lead_elsewhere_stays_an_authors(command: Command, registry: Registry) -> None:
    repository = registry.repository("site")
    manifest = put_image(Stores().repository(repository, writes=True), file_layer("index.html", "hello"))
    bundle = write_bundle(command.directory / "one", {"app.yml": DEPLOYMENT.replace("IMAGE", "my-app")})
    lock = ImagesLock((ImageRef(repository.at(manifest.digest), {KBLD_ID: "my-app"}),)).to_bytes()
    (bundle / ".imgpkg/images.yml").write_bytes(lock)
    command("bundlepipe", "init")
    assert ".imgpkg/images.yml is yours" in pipeline_of(command)
    check_and_run(command)


@LINUX
def test_names_that_yaml_cannot_have_are_passed_over(command: Command) -> None:
    write(command, {"odd\udcff/app.yml": SETTINGS, "good/app.yml": SETTINGS, "two\nlines/Chart.yaml": "name: x\n"})
    told = command("bundlepipe", "init").output
    assert "found   good: bundle 'good'\n" in told
    assert "found   two\\nlines: a Helm chart" in told
    check_and_run(command)


def git(command: Command, *arguments: str) -> str:
    require("git")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=command.directory, check=True, capture_output=True)
    return done.stdout.decode()


def test_in_git_what_runs_write_is_ignored_and_locks_are_merged(command: Command, registry: Registry) -> None:
    repository = registry.repository("site")
    put_image(Stores().repository(repository, writes=True), file_layer("index.html", "hello"), tag="1")
    deployment = DEPLOYMENT.replace("IMAGE", f"{repository}:1")
    write(command, {"de[pl]oy/web.yml": deployment, ".gitignore": "*.pyc\n/build/", ".gitattributes": "* text\n"})
    bundle = write_bundle(command.directory / "mine", {"settings.yml": SETTINGS}, [repository.at(Digest.of(b"x"))])
    git(command, "init", "-q")
    told = command("bundlepipe", "init").output
    assert "wrote   .gitignore\nwrote   .gitattributes\n" in told
    assert 'git     once in each clone, so that lock files are merged: git config merge.bundlepipe.driver "bund' in told
    ignored = (command.directory / ".gitignore").read_text()
    assert ignored == "*.pyc\n/build/\n/.bundlepipe/\n/de\\[pl]oy/.imgpkg/images.yml\n"
    assert (command.directory / ".gitattributes").read_text() == "* text\nbundlepipe.lock merge=bundlepipe\n"
    assert "wrote   .git" not in command("bundlepipe", "init", "--force").output
    assert "\nlock: bundlepipe.lock\n" in pipeline_of(command)
    command("bundlepipe", "doit", "lock_bundle", "push_bundle:de-pl-oy")
    git(command, "add", "-A")
    git(command, "commit", "-qm", "begin")
    assert git(command, "ls-files").split() == [
        *(".gitattributes", ".gitignore", "bundlepipe.lock", "bundlepipe.yml", "de[pl]oy/web.yml", "dodo.py"),
        *("mine/.imgpkg/images.yml", "mine/settings.yml"),
    ]
    assert bundle.exists()
    command("bundlepipe", "doit", "push_bundle:de-pl-oy", env={"REGISTRY": str(registry.repository("other"))})
    assert git(command, "status", "--short") == ""
