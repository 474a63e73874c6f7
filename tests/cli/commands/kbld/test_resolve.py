from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.kbld.reading import parse_config
from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from tests.support.builds import write_files
from tests.support.command import Command, Result
from tests.support.engine import EngineImages, engine_images
from tests.support.images import file_layer, put_image, put_index
from tests.support.loopback import LoopbackServer
from tests.support.proxy import Proxy
from tests.support.registries import PasswordRegistry
from tests.support.services import Registry

TOOLS = {"bundlepipe": ("bundlepipe", "resolve"), "kbld": ("kbld",)}
KBLD = "apiVersion: kbld.k14s.io/v1alpha1\nkind: Config\n"
POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: y  # stays\n"
DIGEST = "sha256:" + "ab" * 32
WEB = f"a.invalid/web@{DIGEST}"
ANNOTATION = "kbld.k14s.io/images"
PLAIN = "--images-annotation=false"
Resolve = Callable[..., Result]


@pytest.fixture(params=TOOLS)
def tool(request: pytest.FixtureRequest) -> str:
    """The name to run under."""
    return str(request.param)


@pytest.fixture
def resolve(command: Command, tool: str) -> Resolve:
    """Run the command, under each name, with further arguments."""
    return partial(command, *TOOLS[tool])


@dataclass(frozen=True)
class App:
    """An image in a registry, with the tag 1.0."""

    repository: Repository
    digest: str

    @property
    def tagged(self) -> str:
        """The reference as configuration has it."""
        return f"{self.repository}:1.0"

    @property
    def pinned(self) -> str:
        """What it becomes."""
        return f"{self.repository}@{self.digest}"


@pytest.fixture
def app(registry: Registry) -> App:
    return put_app(registry.repository())


def put_app(repository: Repository, stores: Stores | None = None) -> App:
    store = (stores or Stores()).repository(repository, writes=True)
    return App(repository, str(put_image(store, file_layer("version", "1.0"), tag="1.0").digest))


def write(command: Command, **files: str) -> None:
    """Write YAML files by their names without extension."""
    for name, content in files.items():
        (command.directory / f"{name}.yml").write_text(content)


def final(*pairs: tuple[str, str]) -> str:
    """Return what is said of the references that were resolved."""
    return "".join(f"resolve | final: {reference} -> {image}\n" for reference, image in sorted(pairs))


def lock_of(**images: str) -> str:
    """Return an ImagesLock that has these images by the names that configuration calls them."""
    entries = [ImageRef(Reference.parse(image), {KBLD_ID: name}) for name, image in images.items()]
    return ImagesLock(tuple(entries)).to_bytes().decode()


def printed(tool: str, *documents: str) -> str:
    """Return what is printed of documents that begin with no mark: kbld marks each."""
    return "---\n".join(["" if tool == "kbld" else documents[0], *documents[tool != "kbld" :]])


def annotation_of(document: str) -> list[Mapping[str, object]]:
    annotations = yaml.safe_load(document)["metadata"]["annotations"]
    found: list[Mapping[str, object]] = yaml.safe_load(annotations[ANNOTATION])
    return found


def test_documents_go_to_stdout_and_what_was_resolved_to_stderr(command: Command, resolve: Resolve, app: App) -> None:
    write(command, config=f"{POD}spec:\n- image: {app.tagged} # here\n- image: {app.tagged}\n")
    result = resolve("-f", "config.yml")
    assert (result.status, result.stderr) == (0, final((app.tagged, app.pinned)))
    assert result.stdout.removeprefix("---\n").startswith("apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n")
    assert result.stdout.endswith(f"  name: y  # stays\nspec:\n- image: {app.pinned} # here\n- image: {app.pinned}\n")
    origins = [{"resolved": {"tag": "1.0", "url": app.tagged}}]
    assert annotation_of(result.stdout) == [{"origins": origins, "url": app.pinned}]


def test_an_image_that_needs_no_origin(command: Command) -> None:
    write(command, config=f"{POD}image: {WEB}\n")
    assert annotation_of(command("bundlepipe", "resolve", "-f", "config.yml").stdout) == [{"url": WEB}]
    (document,) = yaml.safe_load_all(command("kbld", "-f", "config.yml").stdout)
    assert document["metadata"]["annotations"] == {ANNOTATION: "null\n"}


def test_in_a_pipe(command: Command, tool: str, app: App) -> None:
    write(command, config=f"{POD}image: {app.tagged}\n---\nimage: {app.pinned}\n")
    script = f"{' '.join(TOOLS[tool])} -f - < config.yml 2> told | python3 -c '{_AS_JSON}'"
    environment = command.environment()
    done = subprocess.run(["sh", "-c", script], cwd=command.directory, env=environment, capture_output=True, check=True)
    assert [document["image"] for document in json.loads(done.stdout)] == [app.pinned, app.pinned]
    told = (command.directory / "told").read_text()
    assert told == final((app.tagged, app.pinned), (app.pinned, app.pinned))


_AS_JSON = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"


def test_bytes_stay_what_they_are(command: Command, resolve: Resolve) -> None:
    content = "\ufeff# \u00fc \u2028\r\na: \U0001f600\r\nimage: web\r\n"
    (command.directory / "config.yml").write_bytes(content.encode())
    write(command, images=lock_of(web=WEB))
    result = command.process("bundlepipe", "resolve", "-f", "config.yml,images.yml", env={"LC_ALL": "C"})
    assert result.stdout == content.replace("web", WEB).encode()


def test_files_directories_and_stdin(command: Command, resolve: Resolve) -> None:
    write_files(
        command.directory,
        {
            "config/.hidden/a.yaml": "a: {image: web}\n",
            "config/b.json": '{"b": {"image": "web"}}',
            "config/c.txt": "image: nginx\n",
            "with,comma.yml": "d: {image: web}\n",
            "images.yml": lock_of(web=WEB),
        },
    )
    result = resolve("-f", "config/,images.yml", "--file=with,comma.yml", "-f", "-", stdin="e: {image: web}\n")
    documents = [*yaml.safe_load_all(result.stdout)]
    assert [{name: document[name] for name in document if name != "metadata"} for document in documents] == [
        {name: {"image": WEB}} for name in "abde"
    ]
    assert result.stderr == final(("web", WEB))


class Site(SimpleHTTPRequestHandler):
    """Files of a directory."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
        """Keep the output of tests clean."""


def test_urls(command: Command, resolve: Resolve, tool: str, tmp_path: Path) -> None:
    write_files(tmp_path / "site", {"config.yml": "image: web\n"})
    write(command, images=lock_of(web=WEB))
    server = LoopbackServer(partial(Site, directory=str(tmp_path / "site")))  # type: ignore[arg-type]
    try:
        result = resolve(*("-f", f"http://{server.host}/config.yml", "-f", "images.yml"), PLAIN)
        assert result.stdout == printed(tool, f"image: {WEB}\n")
        error = resolve("-f", f"http://{server.host}/none.yml?token=x").failed
        assert f"Error: GET http://{server.host}/none.yml:\n  404" in error
    finally:
        server.close()


def test_an_images_lock_is_enough(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB))
    result = resolve("-f", "config.yml", "-f", "images.yml", PLAIN)
    assert result == Result(0, printed(tool, f"image: {WEB}\n"), final(("web", WEB)))


def test_what_cannot_be_resolved_is_told_with_its_place_and_nothing_is_printed(
    command: Command, resolve: Resolve, registry: Registry, tool: str, app: App
) -> None:
    gone = f"{registry.repository('none')}:gone"
    images = (app.tagged, gone, f"{app.repository}:none", "a b")
    write(command, config="list:\n" + "".join(f"- image: {image}\n" for image in images))
    result = resolve("-f", "config.yml", "--lock-output", "lock.yml", "--imgpkg-lock-output=")
    first, *problems = result.failed.splitlines()
    assert first == f"{tool}: Error: "

    def where(line: int) -> str:
        return "" if tool == "kbld" else rf" \(config.yml:{line}:10\)"

    url = f"http://{app.repository.registry}/v2"
    assert re.fullmatch(
        rf"- Resolving image '{gone}': GET {url}/.*/manifests/gone: (MANIFEST|NAME)_UNKNOWN: .*{where(3)}",
        problems[0],
    )
    assert problems[1].startswith(f"- Resolving image '{app.repository}:none': GET {url}/")
    assert re.fullmatch(rf"- Resolving image 'a b': .*[^)]{where(5)}", problems[2])
    assert len(problems) == 3
    assert not (command.directory / "lock.yml").exists()


def test_faults_of_configuration_are_told_with_their_places(command: Command) -> None:
    write(command, config="image: [\n", ytt="image: #@ data.values.image\n")
    error = command("bundlepipe", "resolve", "-f", "config.yml", "-f", "ytt.yml").failed
    assert error.startswith("bundlepipe: Error: \nconfig.yml:2:1: ")
    assert "\nytt.yml:1:" in error
    error = command("kbld", "-f", "config.yml", "-f", "ytt.yml").failed
    assert error.startswith("kbld: Error: Parsing file 'config.yml' doc 1: error converting YAML to JSON: yaml: line ")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("", "Expected configuration: give files, directories, URLs or - for standard input with --file (-f)"),
        ("-f none", "none: no such file or directory to search for images"),
        ("-f . --platform linux", "'linux' is not a platform: expected OS/ARCHITECTURE[/VARIANT][:OS.VERSION]"),
        ("-f . --image-map-file none", "none: cannot be read: No such file or directory"),
        (
            "-f . --lock-output a --imgpkg-lock-output b",
            "Expected only one of --lock-output and --imgpkg-lock-output",
        ),
    ],
)
def test_arguments_that_make_no_sense(command: Command, arguments: str, error: str) -> None:
    assert command("bundlepipe", "resolve", *arguments.split()).failed == f"bundlepipe: Error: {error}\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("-f none", "Unable to stat file: stat none: no such file or directory"),
        ("-f . --platform linux", "Parsing platform 'linux': expected format os/arch[/variant]"),
        ("-f . --platform a/b/c/d", "Parsing platform 'a/b/c/d': too many slashes"),
        ("-f . --image-map-file none", "open none: no such file or directory"),
        (
            "-f . --lock-output a --imgpkg-lock-output b",
            "Can only output one lockfile type, please provide only one of '--lock-output' or '--imgpkg-lock-output'",
        ),
    ],
)
def test_arguments_that_make_no_sense_to_kbld(command: Command, arguments: str, error: str) -> None:
    assert command("kbld", *arguments.split()).failed == f"kbld: Error: {error}\n"


def test_as_json(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB))
    result = resolve("-f", "config.yml,images.yml", "--json", PLAIN)
    blocks = [printed(tool, f"image: {WEB}\n")]
    assert json.loads(result.stdout) == {"Tables": None, "Blocks": blocks, "Lines": ["Succeeded"]}
    assert result.stderr == final(("web", WEB))
    failed = resolve("-f", "config.yml", "-f", "none.yml", "--json")
    words = {"kbld": "Unable to stat file: stat none.yml: no such file or directory"}
    told = f"{tool}: Error: {words.get(tool, 'none.yml: no such file or directory to search for images')}"
    assert (failed.status, failed.stderr) == (1, told + "\n")
    assert json.loads(failed.stdout) == {"Tables": None, "Blocks": None, "Lines": [told]}


def test_as_on_a_terminal(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB))
    expected = printed(tool, f"image: {WEB}\n") + "\nSucceeded\n"
    assert resolve("-f", "config.yml,images.yml", "--tty", PLAIN).stdout == expected


def test_nothing_to_resolve(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="a: 1\n", images=lock_of())
    assert resolve("-f", "config.yml").output == printed(tool, "a: 1\n")
    assert resolve("-f", "images.yml").output == ""


def test_without_annotation(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config=f"{POD}image: web\n", images=lock_of(web=WEB))
    assert resolve("-f", "config.yml,images.yml", PLAIN).stdout == printed(tool, f"{POD}image: {WEB}\n")
    if tool == "bundlepipe":
        short = resolve("-f", "config.yml,images.yml", "--no-images-annotation").stdout
        assert short == f"{POD}image: {WEB}\n"


def test_kbld_marks_each_document_and_prints_none_that_is_empty(command: Command) -> None:
    """Held against the bytes, which kbld prints so: whoever parses them does not see a mark too many or too few."""
    items = "apiVersion: v1\nkind: List\nitems:\n- a: b\n- image: web\n"
    config = f"# a\n---\n# b\n---\nimage: web\n---\n---\n{{}}\n---\n{items}...\n"
    rules = f"{KBLD}overrides:\n- {{image: web, newImage: '{WEB}', preresolved: true}}\n"
    write(command, config=config, kbld=rules)
    arguments = ("kbld", "-f", "config.yml,kbld.yml", PLAIN)
    printed = command(*arguments, "--lock-output", "kbld.lock.yml").stdout
    assert printed == f"---\nimage: {WEB}\n---\na: b\n---\nimage: {WEB}\n"
    command(*arguments, "--imgpkg-lock-output", "images.yml")
    override = f"- image: web\n  newImage: {WEB}\n  preresolved: true\n"
    lock = f"{KBLD}minimumRequiredVersion: 0.45.0\noverrides:\n{override}"
    assert (command.directory / "kbld.lock.yml").read_text() == lock
    origins = f"kbld.carvel.dev/origins: |\n      - preresolved:\n          url: {WEB}\n"
    entry = f"- annotations:\n    kbld.carvel.dev/id: web\n    {origins}  image: {WEB}\n"
    head = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\n"
    assert (command.directory / "images.yml").read_text() == f"{head}images:\n{entry}kind: ImagesLock\n"


def test_the_lock_of_imgpkg(command: Command, resolve: Resolve, app: App) -> None:
    rules = f"{KBLD}overrides: [{{image: web, newImage: '{WEB}', preresolved: true}}]\n"
    write(command, config=f"list:\n- image: web\n- image: {app.tagged}\n", kbld=rules)
    (command.directory / "config/.imgpkg").mkdir(parents=True)
    resolve("-f", "config.yml,kbld.yml", "--imgpkg-lock-output", "config/.imgpkg/images.yml")
    content = (command.directory / "config/.imgpkg/images.yml").read_bytes()
    first, second = ImagesLock.parse(content, "images.yml").images
    assert (str(first.image), first.annotations[KBLD_ID]) == (app.pinned, app.tagged)
    assert (str(second.image), second.annotations[KBLD_ID]) == (WEB, "web")
    origins = [{"resolved": {"tag": "1.0", "url": app.tagged}}]
    assert yaml.safe_load(first.annotations["kbld.carvel.dev/origins"]) == origins

    resolve("-f", "config.yml,kbld.yml", "--imgpkg-lock-output=images.yml", "--origins-annotation=false")
    plain = ImagesLock.parse((command.directory / "images.yml").read_bytes(), "images.yml").images
    assert [entry.annotations for entry in plain] == [{KBLD_ID: app.tagged}, {KBLD_ID: "web"}]


def test_the_lock_of_kbld_resolves_the_same_again(command: Command, resolve: Resolve, app: App) -> None:
    write(command, config=f"picture: {app.tagged}\n", kbld=f"{KBLD}searchRules: [{{keyMatcher: {{name: picture}}}}]\n")
    first = resolve("-f", "config.yml", "-f", "kbld.yml", "--lock-output", "lock.yml")
    lock = (command.directory / "lock.yml").read_bytes()
    (override,) = parse_config(lock, "lock.yml").overrides
    assert (override.new_image, override.preresolved) == (app.pinned, True)
    assert override.origins == ()
    plain = resolve("-f", "config.yml", "-f", "kbld.yml", PLAIN)
    assert (plain.stderr, plain.status) == (first.stderr, 0)
    assert resolve("-f", "config.yml", "-f", "lock.yml", PLAIN) == plain


@pytest.mark.parametrize("option", ["--lock-output", "--imgpkg-lock-output"])
def test_a_lock_on_stdout_is_alone_there(command: Command, resolve: Resolve, tool: str, option: str) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB))
    result = resolve("-f", "config.yml,images.yml", option, "-")
    assert (result.status, result.stderr) == (0, final(("web", WEB)))
    write(command, lock=result.stdout)
    assert resolve("-f", "config.yml,lock.yml", PLAIN).stdout == printed(tool, f"image: {WEB}\n")


def test_a_lock_is_written_into_pipes_and_devices(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB))
    result = resolve("-f", "config.yml,images.yml", PLAIN, "--imgpkg-lock-output", "/dev/stderr")
    assert (result.status, result.stdout) == (0, printed(tool, f"image: {WEB}\n"))
    assert result.stderr.startswith(final(("web", WEB)) + "---\napiVersion: imgpkg.carvel.dev/v1alpha1\n")
    resolve("-f", "config.yml,images.yml", "--imgpkg-lock-output", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_kbld_writes_a_lock_for_its_owner_alone_and_into_no_new_directory(command: Command) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB), old="a: 1\n")
    arguments = ("kbld", "-f", "config.yml,images.yml", "--imgpkg-lock-output")
    new, old = command.directory / "new.yml", command.directory / "old.yml"
    for path in (new, old):
        command(*arguments, path.name)
        assert path.read_text().startswith("---\napiVersion: imgpkg.carvel.dev/v1alpha1\n")
    assert (stat.S_IMODE(new.stat().st_mode), stat.S_IMODE(old.stat().st_mode) & 0o444) == (0o600, 0o444)
    os.utime(new, (0, 0))
    command(*arguments, "new.yml")
    assert new.stat().st_mtime > 0
    error = command(*arguments, "none/lock.yml").failed
    assert error.endswith("kbld: Error: Writing images config: open none/lock.yml: no such file or directory\n")
    assert not (command.directory / "none").exists()


def test_kbld_locks_what_configuration_spells(command: Command) -> None:
    override = f"overrides: [{{image: web, newImage: 'nginx@{DIGEST}', preresolved: true}}]\n"
    write(command, config="image: web\n", kbld=KBLD + override)
    for tool, image in (("bundlepipe", "index.docker.io/library/nginx"), ("kbld", "nginx")):
        command(*TOOLS[tool], "-f", "config.yml,kbld.yml", "--imgpkg-lock-output", f"{tool}-lock.yml")
        assert f"  image: {image}@{DIGEST}\n" in (command.directory / f"{tool}-lock.yml").read_text()


def test_kbld_chooses_platforms_of_digests_and_exactly(command: Command, registry: Registry) -> None:
    repository = registry.repository()
    store = Stores().repository(repository, writes=True)
    child = put_image(store, file_layer("of", "it"), platform={"os": "linux", "architecture": "arm64"})
    index = f"{repository}@{put_index(store, [child], tag='1.0', architectures=['arm64']).digest}"
    override = f"overrides: [{{image: app, newImage: '{index}', platformSelection: {{architecture: arm64}}}}]\n"
    write(command, config=f"image: {index}\n", kbld=KBLD + override, app="image: app\n")
    platform = ("--platform", "linux/arm64")
    assert f"image: {index}\n" in command("bundlepipe", "resolve", "-f", "config.yml", *platform).stdout
    chosen = command("kbld", "-f", "config.yml", *platform).stdout
    assert f"image: {repository}@{child.digest}\n" in chosen
    assert yaml.safe_load(yaml.safe_load(chosen)["metadata"]["annotations"][ANNOTATION]) == [
        {
            "origins": [{"platformSelected": {"architecture": "arm64", "index": index, "os": "linux"}}],
            "url": f"{repository}@{child.digest}",
        }
    ]
    arguments = ("-f", "app.yml,kbld.yml")
    assert f"{repository}@{child.digest}" in command("bundlepipe", "resolve", *arguments).stdout
    assert "with matching platform, but found none" in command("kbld", *arguments).failed
    assert "with matching platform, but found none" in command("kbld", "-f", "config.yml", "--platform", "/").failed


def test_kbld_follows_a_link_to_a_directory(command: Command) -> None:
    write_files(command.directory, {"d/a/x.yml": "a: 2\n", "d/a-b.yml": "a: 1\n", "d/c.YML": "c: 1\n"})
    (command.directory / "link").symlink_to("d")
    for name in ("d", "./d", "link", "link/"):
        assert command("kbld", "-f", name).output == "---\na: 1\n---\na: 2\n"
    (command.directory / "d/none.yml").symlink_to("nowhere")
    assert command("bundlepipe", "resolve", "-f", "d").output == "a: 2\n---\na: 1\n"
    error = command("kbld", "-f", "d").failed
    assert error == "kbld: Error: Parsing file 'd/none.yml': open d/none.yml: no such file or directory\n"


def test_configuration_that_a_shell_pipes(command: Command, resolve: Resolve, tool: str) -> None:
    pipe = command.directory / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("a: 1\n",))
    writer.start()
    assert resolve("-f", "pipe").output == printed(tool, "a: 1\n")
    writer.join()


def test_a_lock_that_cannot_be_written(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="image: web\n", images=lock_of(web=WEB))
    error = resolve("-f", "config.yml,images.yml", "--lock-output", "config.yml/lock.yml").failed
    assert (
        error
        == {
            "bundlepipe": "bundlepipe: Error: config.yml/lock.yml: cannot be written: config.yml is not a directory\n",
            "kbld": final(("web", WEB))
            + "kbld: Error: Writing lock config: open config.yml/lock.yml: not a directory\n",
        }[tool]
    )


def test_an_image_map(command: Command, resolve: Resolve, tool: str) -> None:
    write(command, config="list:\n- image: web\n- image: api\n", images=lock_of(web=WEB))
    (command.directory / "map.json").write_text(json.dumps({"web": "a.invalid/other", "api": WEB}))
    result = resolve("-f", "config.yml", "-f", "images.yml", "--image-map-file", "map.json", PLAIN)
    expected = printed(tool, "list:\n" + f"- image: {WEB}\n" * 2)
    assert (result.stdout, result.stderr) == (expected, final(("web", WEB), ("api", WEB)))
    (command.directory / "map.json").write_text('{"web": 1}')
    error = resolve("-f", "config.yml", "--image-map-file", "map.json").failed
    words = {"kbld": "json: cannot unmarshal number into Go struct field .web of type string\n"}
    assert error.startswith(f"{tool}: Error: {words.get(tool, 'map.json:1:9: ')}")


def test_what_is_found_is_listed_without_network(command: Command) -> None:
    rules = f"{KBLD}searchRules: [{{keyMatcher: {{name: picture}}}}]\n"
    write(command, config="list:\n- image: web:1\n- picture: a.invalid/b\n- image: web:1\n", kbld=rules)
    arguments = ["-f", "config.yml", "-f", "kbld.yml", "--unresolved-inspect"]
    listed = "- image: a.invalid/b\n- image: web:1\n"
    assert command("kbld", *arguments).output == listed
    assert json.loads(command("kbld", *arguments, "--json").output)["Blocks"] == [listed]
    resolve = partial(command, "bundlepipe", "resolve")
    assert resolve(*arguments).output == "a.invalid/b\t\nweb:1\t\n"
    assert resolve(*arguments, "--tty").output == "Images\n\nImage\na.invalid/b\nweb:1\n\n2 images\n\nSucceeded\n"
    assert json.loads(resolve(*arguments, "--json").output)["Tables"] == [
        {
            "Content": "images",
            "Header": {"image": "Image"},
            "Rows": [{"image": "a.invalid/b"}, {"image": "web:1"}],
            "Notes": None,
        }
    ]


def test_a_platform(command: Command, resolve: Resolve, registry: Registry, tool: str) -> None:
    repository = registry.repository()
    store = Stores().repository(repository, writes=True)
    children = {name: put_image(store, file_layer("of", name)) for name in ("amd64", "arm64")}
    index = put_index(store, list(children.values()), tag="1.0")
    write(command, config=f"image: {repository}:1.0\n")
    assert resolve("-f", "config.yml", PLAIN).stdout == printed(tool, f"image: {repository}@{index.digest}\n")
    chosen = resolve("-f", "config.yml", "--platform", "linux/arm64", PLAIN).stdout
    assert chosen == printed(tool, f"image: {repository}@{children['arm64'].digest}\n")
    resolve("-f", "config.yml", "--platform", "linux/arm64", "--imgpkg-lock-output", "images.yml")
    (entry,) = ImagesLock.parse((command.directory / "images.yml").read_bytes(), "images.yml").images
    origins = [
        {"resolved": {"tag": "1.0", "url": f"{repository}:1.0"}},
        {"platformSelected": {"architecture": "arm64", "index": f"{repository}@{index.digest}", "os": "linux"}},
    ]
    assert yaml.safe_load(entry.annotations["kbld.carvel.dev/origins"]) == origins
    error = resolve("-f", "config.yml", "--platform", "linux/s390x").failed
    expected = {
        "bundlepipe": "has no image for platform linux/s390x; its platforms: linux/amd64, linux/arm64 (config.yml:1:8)",
        "kbld": f"one image under index '{repository}@{index.digest}' with matching platform, but found none",
    }
    assert expected[tool] in error


def test_sorted(command: Command) -> None:
    write(
        command,
        config="kind: B # first\nmetadata: {name: b}\n---\nkind: B\nmetadata: {name: a}\n---\nkind: A\nimage: web\n",
        images=lock_of(web=WEB),
    )
    arguments = ["-f", "config.yml,images.yml"]
    resolve = partial(command, "bundlepipe", "resolve")
    in_order = resolve(*arguments, "--sort=false").stdout
    assert in_order == resolve(*arguments).stdout
    assert resolve(*arguments, "--sort=true").stdout == (
        f"---\nkind: A\nimage: {WEB}\n"
        "---\nkind: B\nmetadata: {name: a}\n"
        "---\nkind: B # first\nmetadata: {name: b}\n"
    )
    as_kbld = {command("kbld", *arguments, PLAIN, *sort).stdout for sort in ([], ["--sort"], ["--sort=false"])}
    assert as_kbld == {f"---\n{in_order}"}


def test_certificates(command: Command, resolve: Resolve, tool: str, tls_registry: Registry) -> None:
    authority = str(tls_registry.tls.authority)
    stores = Stores({tls_registry.host: RegistrySettings(ca=authority)})
    app = put_app(tls_registry.repository(), stores)
    write(command, config=f"image: {app.tagged}\n")
    assert "certificate" in resolve("-f", "config.yml").failed
    for option in (f"--registry-ca-cert-path={authority}", "--registry-verify-certs=false"):
        assert resolve("-f", "config.yml", option, PLAIN).stdout == printed(tool, f"image: {app.pinned}\n")


def test_plain_http_where_it_is_allowed(
    command: Command, resolve: Resolve, registry: Registry, proxy: Proxy, tool: str
) -> None:
    app = put_app(registry.repository())
    elsewhere = f"registry.test:5000/{app.repository.path}"
    write(command, config=f"image: {elsewhere}:1.0\n")
    command.env.update(http_proxy=f"http://{proxy.host}", https_proxy=f"http://{proxy.host}")
    assert "registry.test:5000" in resolve("-f", "config.yml").failed
    resolved = resolve("-f", "config.yml", "--registry-insecure", PLAIN).stdout
    assert resolved == printed(tool, f"image: {elsewhere}@{app.digest}\n")


def test_credentials_of_the_environment(command: Command, authenticated_registry: PasswordRegistry) -> None:
    host, account = authenticated_registry.host, authenticated_registry.account
    variables = {
        "REGISTRY_HOSTNAME": host,
        "REGISTRY_USERNAME": account.username,
        "REGISTRY_PASSWORD": account.password,
    }
    repository = authenticated_registry.repository()
    write_files(command.directory, {"config/a.yml": "a: 1\n"})
    as_imgpkg = {f"IMGPKG_{name}": value for name, value in variables.items()}
    pushed = command("imgpkg", "push", "-i", f"{repository}:1.0", "-f", "config", env=as_imgpkg)
    assert pushed.output == ""
    write(command, config=f"image: {repository}:1.0\n")
    as_kbld = {f"KBLD_{name}": value for name, value in variables.items()}
    resolved = command("kbld", "-f", "config.yml", PLAIN, env=as_kbld).stdout
    assert re.fullmatch(rf"---\nimage: {repository}@sha256:\w+\n", resolved)
    refused = command("kbld", "-f", "config.yml", env=as_imgpkg).failed
    assert f"- Resolving image '{repository}:1.0': " in refused
    assert account.password not in refused


# Builds

SOURCE = f"""\
{KBLD}sources:
- {{imageRepo: app, path: src, OPTIONS}}
destinations:
- {{imageRepo: app, newImage: REPOSITORY, tags: [built]}}
"""
# A stand-in of a builder that notes how many of it run, and waits until so many do.
COUNTING = """\
#!/bin/sh
cd {directory}
touch running-$$
for attempt in $(seq 200); do
    running=$(ls | grep -c running-)
    echo $running >> counts
    [ $running -ge {awaited} ] || [ -e enough ] && break
    sleep 0.05
done
touch enough
rm running-$$
echo no builder
exit 4
"""


@pytest.fixture
def images() -> Iterator[EngineImages]:
    with engine_images() as images:
        yield images


def test_builds(command: Command, resolve: Resolve, registry: Registry, images: EngineImages) -> None:
    repository = registry.repository()
    name = images.name()
    write_files(command.directory, {"src/Dockerfile": f"FROM scratch\nLABEL name={name}\nCOPY a /a\n", "src/a": "a"})
    rules = SOURCE.replace("OPTIONS", "docker: {build: {buildkit: false}}").replace("REPOSITORY", str(repository))
    write(command, config=f"{POD}spec:\n- image: app:1\n- image: app:2\n", kbld=rules)
    result = resolve("-f", "config.yml,kbld.yml", "--lock-output", "lock.yml")
    manifest = Stores().repository(repository).read_manifest("built")
    images.also(manifest.config.digest)
    built = f"{repository}@{manifest.digest}"
    assert result.status == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[-2:] == final(("app:1", built), ("app:2", built)).splitlines()
    assert any(re.fullmatch(r"app:[12] \| .*COPY a /a", line) for line in lines)
    assert all(line.startswith(("app:1 | ", "app:2 | ", "resolve | ")) for line in lines)
    (listed,) = annotation_of(result.stdout)
    assert listed["url"] == built
    assert {"local": {"path": str(command.directory / "src")}} in listed["origins"]  # type: ignore[operator]

    again = resolve("-f", "config.yml,kbld.yml")
    assert again.stderr == final(("app:1", built), ("app:2", built))
    assert again.stdout == result.stdout


def test_without_builds_a_source_is_no_matter(command: Command, app: App) -> None:
    resolve = partial(command, "bundlepipe", "resolve")
    rules = f"{KBLD}sources: [{{imageRepo: {app.repository}, path: none}}]\n"
    write(command, config=f"image: {app.tagged}\n", kbld=rules)
    assert resolve("-f", "config.yml,kbld.yml", "--build=false").stdout == f"image: {app.pinned}\n"
    error = resolve("-f", "config.yml,kbld.yml").failed
    assert f"- Resolving image '{app.tagged}': kbld.yml:3:" in error
    assert error.endswith(
        "has no destination, without which it gets no digest: add it to 'destinations' (config.yml:1:8)\n"
    )
    assert command("kbld", "-f", "config.yml,kbld.yml", "--build=false").failed == (
        f"kbld: Error: \n- Resolving image '{app.tagged}': Building of images is disallowed "
        f"(tried to build '{app.tagged}' because a source was configured for it)\n"
    )


@pytest.mark.parametrize(
    ("options", "most"), [(["--build-concurrency=1"], 1), (["--build-concurrency", "2"], 2), ([], 4)]
)
def test_so_many_images_are_built_at_once(
    command: Command, resolve: Resolve, tmp_path: Path, options: list[str], most: int
) -> None:
    counters = tmp_path / "counters"
    program = write_files(tmp_path, {"bin/pack": COUNTING.format(directory=counters, awaited=most), "counters/x": ""})
    (program / "bin/pack").chmod(0o755)
    names = [f"app{number}" for number in range(6)]
    sources = [{"image": name, "path": ".", "pack": {"build": {}}} for name in names]
    destinations = [{"image": name, "newImage": f"a.invalid/{name}"} for name in names]
    write(
        command,
        config="list:\n" + "".join(f"- image: {name}\n" for name in names),
        kbld=KBLD + yaml.safe_dump({"sources": sources, "destinations": destinations}),
    )
    path = f"{tmp_path / 'bin'}{os.pathsep}{command.environment()['PATH']}"
    result = resolve("-f", "config.yml,kbld.yml", *options, env={"PATH": path})
    assert max(map(int, (counters / "counts").read_text().split())) == most
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr.count(" | no builder\n") == result.stderr.count("failed with exit status 4: no builder") == 6


def test_help(command: Command, resolve: Resolve, tool: str) -> None:
    options = (
        *("file", "build", "build-concurrency", "images-annotation", "origins-annotation", "image-map-file"),
        *("lock-output", "imgpkg-lock-output", "unresolved-inspect", "platform", "sort", "registry-ca-cert-path"),
        *("registry-verify-certs", "registry-insecure", "json"),
    )
    text = resolve("--help").output
    name = " ".join(TOOLS[tool])
    assert text.startswith(f"Usage: {name} [OPTIONS]\n")
    assert f"\n  {name} -f config --unresolved-inspect" in text
    for option in options:
        assert f" --{option}" in text
    assert ("\n  inspect " in text) == (tool == "kbld")


def test_kbld_without_anything_has_nothing_to_do(command: Command) -> None:
    assert command("kbld").output == command("kbld", "-f", "").output == ""
    assert command("kbld", "--unresolved-inspect").output == "null\n"
    assert command("kbld", "help").output == command("kbld", "--help").output
    assert command("kbld", "--debug").failed == "kbld: Error: unknown flag: --debug\n"
    assert (
        command("kbld", "resolve").failed == "kbld: Error: command 'kbld' does not accept extra arguments 'resolve'\n"
    )


@pytest.mark.parametrize(
    ("words", "completed"), [("kbld in", "plain,inspect\n"), ("kbld --plat", "plain,--platform\n")]
)
def test_shells_complete_options_and_commands_of_kbld(command: Command, words: str, completed: str) -> None:
    asked = {"_KBLD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "1"}
    assert command("kbld", env=asked).output == completed
