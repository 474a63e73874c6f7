"""What commands cost in requests, bytes and modules, which unlike seconds do not depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from tests.support.command import Command
from tests.support.images import put_bundle, put_images
from tests.support.proxy import Proxy
from tests.support.services import Registry

IMAGES, LAYERS = 4, 3
# What is imported to talk to a registry; PyYAML, jsonschema, docker and rich take as long as all else.
# msgspec imports typing_extensions where it is installed.
PACKAGES = {"bundlepipe", "click", "deflate", "isal", "msgspec", "typing_extensions", "urllib3"}
# A little more than a copy imports with Python 3.10 to 3.13.
MODULES = 365
LOADED = """
import json, sys
before = set(sys.modules)
from bundlepipe.cli.program import run
status = run("bundlepipe", sys.argv[1:])
imported = sys.modules.keys() - before
packages = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
json.dump([status, len(imported), sorted(packages)], sys.stderr)
"""


@pytest.fixture
def small(command: Command) -> Path:
    """A directory of three files that is a bundle without images."""
    directory = command.directory / "small"
    (directory / ".imgpkg").mkdir(parents=True)
    lock = "---\napiVersion: imgpkg.carvel.dev/v1alpha1\nimages: []\nkind: ImagesLock\n"
    for name, text in {".imgpkg/images.yml": lock, "one.yml": "number: 1\n", "two.yml": "number: 2\n"}.items():
        (directory / name).write_text(text)
    return directory


class Costs:
    """Runs commands through the proxy."""

    def __init__(self, command: Command, proxy: Proxy) -> None:
        self.proxy = proxy
        self._command = command

    def __call__(self, *arguments: str | Path) -> tuple[int, int]:
        """Run a command, and return the number of its requests and the bytes that it sends."""
        self.proxy.forget()
        result = self._command("bundlepipe", *arguments)
        assert result.status == 0, result
        seen = self.proxy.requests
        return len(seen), sum(exchange.bytes_up for exchange in seen)

    def only_read(self, most: int, *arguments: str | Path) -> None:
        """Run a command, which sends nothing, in at most so many requests."""
        requests, sent = self(*arguments)
        assert requests <= most and not sent, self.proxy.summary()


@pytest.fixture
def costs(command: Command, proxy: Proxy) -> Costs:
    """Count what commands cost."""
    return Costs(command, proxy)


def test_a_push_sends_each_blob_once_and_the_manifest_by_two_tags(
    costs: Costs, small: Path, registry: Registry, proxy: Proxy
) -> None:
    pushed = Repository(proxy.host, registry.repository().path).tagged("1")
    requests, sent = costs("push", "-b", str(pushed), "-f", small)
    manifest = Stores().repository(pushed.repository).read_manifest("1")
    # One looks for the destination; HEAD, POST and PUT for the layer and the configuration.
    assert requests <= 1 + 2 * 3 + 2, proxy.summary()
    assert sent == manifest.config.size + manifest.layers[0].size + 2 * len(manifest.raw)


def test_a_push_of_what_is_in_the_registry_is_one_request(
    costs: Costs, small: Path, registry: Registry, proxy: Proxy
) -> None:
    pushed = f"{proxy.host}/{registry.repository().path}:1"
    costs("push", "-b", pushed, "-f", small)
    costs.only_read(1, "push", "-b", pushed, "-f", small)


def test_small_commands_send_nothing_and_few_requests(
    costs: Costs, small: Path, registry: Registry, proxy: Proxy, tmp_path: Path
) -> None:
    repository = f"{proxy.host}/{registry.repository().path}"
    costs("push", "-b", f"{repository}:1", "-f", small)
    costs.only_read(4, "pull", "-b", f"{repository}:1", "-o", tmp_path / "pulled")
    costs.only_read(5, "describe", "-b", f"{repository}:1")
    costs.only_read(1, "tag", "list", "-i", repository)


def test_commands_on_a_bundle_of_images_take_requests_by_image_and_blob(
    costs: Costs, registry: Registry, proxy: Proxy, tmp_path: Path
) -> None:
    stores = Stores()
    images = Repository(proxy.host, registry.repository("images").path)
    manifests = put_images(stores.repository(images, writes=True), IMAGES, own=LAYERS)
    bundle = Repository(proxy.host, registry.repository("bundle").path).tagged("1")
    outer = put_bundle(stores, bundle, [images.at(manifest.digest) for manifest in manifests])
    copied, imported = (f"{proxy.host}/{registry.repository('copy').path}" for _ in range(2))
    blobs = IMAGES * (LAYERS + 1)
    archive = tmp_path / "bundle.tar"
    # The manifest of the bundle by its digest's tag and its own, and the locations image of a few hundred bytes.
    written = sum(len(manifest.raw) for manifest in manifests) + 2 * len(outer.raw)

    costs.only_read(5, "pull", "-b", str(bundle), "-o", tmp_path / "not copied")
    requests, sent = costs("copy", "-b", str(bundle), "--to-repo", copied)
    assert requests <= 2 * IMAGES + blobs + 17 and sent <= written + 2_500, proxy.summary()
    costs.only_read(IMAGES + 4, "copy", "-b", str(bundle), "--to-repo", copied)
    costs.only_read(IMAGES + 6, "describe", "-b", f"{copied}:1")
    costs.only_read(5, "pull", "-b", f"{copied}:1", "-o", tmp_path / "pulled")
    costs.only_read(IMAGES + blobs + 4, "copy", "-b", str(bundle), "--to-tar", archive)
    requests, sent = costs("copy", "--tar", archive, "--to-repo", imported)
    assert requests <= IMAGES + blobs + 13 and sent <= written + 2_500, proxy.summary()
    costs.only_read(IMAGES + 4, "copy", "--tar", archive, "--to-repo", imported)


def test_small_commands_import_few_modules(small: Path, registry: Registry, tmp_path: Path) -> None:
    repository = f"{registry.host}/{registry.repository().path}"
    commands = {
        "push": ["push", "-b", f"{repository}:1", "-f", str(small)],
        "push again": ["push", "-b", f"{repository}:1", "-f", str(small)],
        "pull": ["pull", "-b", f"{repository}:1", "-o", str(tmp_path / "pulled")],
        "tags": ["tag", "list", "-i", repository],
        "copy": ["copy", "-b", f"{repository}:1", "--to-repo", f"{repository}/copy"],
        "to tar": ["copy", "-b", f"{repository}:1", "--to-tar", str(tmp_path / "bundle.tar")],
        "from tar": ["copy", "--tar", str(tmp_path / "bundle.tar"), "--to-repo", f"{repository}/imported"],
    }
    for name, arguments in commands.items():
        done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, check=True)
        status, modules, packages = json.loads(done.stderr)
        assert status == 0, name
        assert set(packages) <= PACKAGES, name
        assert modules <= MODULES, f"{name}: {modules}"
