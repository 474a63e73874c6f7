"""kill -9 at random moments of a push into a layout and of a pull: old or new, whole, and the next run goes on."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from bundlepipe.filesystem.inputs import Inputs
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.layout.store import LayoutStore
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.push import PushRequest, push

ROUNDS = 12
REPOSITORY = Repository("layout.localhost", "app")
PUSH_FOR_EVER = """
import itertools, pathlib, sys
from bundlepipe.filesystem.snapshots import Inputs
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.push import PushRequest, push

directory = pathlib.Path(sys.argv[1])
stores = Stores({"layout.localhost": RegistrySettings(layout=str(directory / "registry"))})
request = PushRequest(Inputs([str(directory / "site")]), Repository("layout.localhost", "app").tagged("v1"), False)
for number in itertools.count(int(sys.argv[2])):
    (directory / "site/index.html").write_text(str(number) * 1000)
    push(request, stores)
    print(number, flush=True)
"""
PULL_FOR_EVER = """
import itertools, pathlib, sys
from bundlepipe.oci.reference import Repository
from bundlepipe.stores.opening import Stores
from bundlepipe.stores.settings import RegistrySettings
from bundlepipe.verbs.pull import pull

directory = pathlib.Path(sys.argv[1])
stores = Stores({"layout.localhost": RegistrySettings(layout=str(directory / "registry"))})
for number in itertools.count():
    pull(Repository("layout.localhost", "app").tagged(f"v{number % 2}"), str(directory / "out"), stores)
    print(number, flush=True)
"""


def _kill_after(program: str, directory: Path, argument: int, delay: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", program, str(directory), str(argument)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    time.sleep(delay)
    assert process.poll() is None
    process.kill()
    process.communicate()


def _stores(directory: Path) -> Stores:
    return Stores({"layout.localhost": RegistrySettings(layout=str(directory / "registry"))})


def test_a_killed_push_leaves_a_layout_whole(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    chance = random.Random(3)
    layout = tmp_path / "registry/app"
    for number in range(ROUNDS):
        _kill_after(PUSH_FOR_EVER, tmp_path, number * 100_000, chance.random() * 0.03)
        store = LayoutStore(str(layout), REPOSITORY)
        manifest = store.read_manifest("v1")
        for blob in (manifest.config, *manifest.layers):
            assert sum(map(len, store.read_blob(blob))) == blob.size
    request = PushRequest(Inputs([str(tmp_path / "site")]), REPOSITORY.tagged("v1"), False)
    push(request, _stores(tmp_path))
    assert [path for path in layout.rglob("*") if path.name.startswith(".incoming")] == []


def test_a_killed_pull_leaves_the_directory_whole(tmp_path: Path) -> None:
    trees = []
    for number in range(2):
        site = tmp_path / f"site{number}"
        for file in range(40):
            path = site / f"d{file % 5}/f{file}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}" * 5000)
        push(PushRequest(Inputs([str(site)]), REPOSITORY.tagged(f"v{number}"), False), _stores(tmp_path))
        trees.append(_contents(site))
    chance = random.Random(4)
    for _ in range(ROUNDS):
        _kill_after(PULL_FOR_EVER, tmp_path, 0, chance.random() * 0.05)
        assert _contents(tmp_path / "out") in trees
    from bundlepipe.verbs.pull import pull

    pull(REPOSITORY.tagged("v1"), str(tmp_path / "out"), _stores(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "registry", "site0", "site1"]


def _contents(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}
