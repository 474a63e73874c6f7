"""How much memory documents take that are just below the limits on their bytes: a process of its own reads each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from itertools import repeat
from json import dumps
from pathlib import Path

import pytest

from bundlepipe.limits import LARGEST_ARCHIVE_MANIFEST, LARGEST_DOCUMENT
from bundlepipe.oci.manifest import OCI_INDEX, OCI_MANIFEST
from tests.support.archives import END, entry

ROOT = Path(__file__).parents[1]
# Kilobytes beside what a process takes that has read a small document.
MOST = 250 * 1024
LOCK = b"apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\n"
DIGEST = "sha256:" + "0" * 64
MEASURE = """
import resource, sys
from pathlib import Path
from bundlepipe.errors import BundlepipeError
from bundlepipe.cli.parsing.command import Run
from bundlepipe.cli.parsing.lock_words import read_copied_lock
from bundlepipe.cli.tool import IMGPKG
from bundlepipe.documents.imgpkg.images_lock import ImagesLock
from bundlepipe.oci.manifest import Manifest
from bundlepipe.stores.archive.reader import ArchiveStore

def lock(path):
    return len(ImagesLock.parse(Path(path).read_bytes(), "images.yml").images)
def copied(path):
    read_copied_lock(Run(IMGPKG), path)
def archive(path):
    return len(ArchiveStore(path).entries)
def index(path):
    return len(Manifest.parse(Path(path).read_bytes(), None, "index").children)
def peak():
    # Of this process alone: that of the one that started it is what resource tells at first.
    if sys.platform == "linux":
        return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

try:
    ImagesLock.parse(b"kind: x", "images.yml")
except BundlepipeError:
    pass
before, said = peak(), ""
try:
    said = globals()[sys.argv[1]](sys.argv[2])
except BundlepipeError as error:
    said = str(error).partition("\\n")[0]
print(peak() - before, said)
"""


def _measured(reader: str, path: Path) -> tuple[int, str]:
    """Return how much memory reading takes, in kilobytes, and what was read, or what is wrong."""
    command = [sys.executable, "-c", MEASURE, reader, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    memory, _, said = done.stdout.strip().partition(" ")
    return int(memory), said


def _filled(unit: bytes, size: int) -> bytes:
    return unit * (size // len(unit))


def _list(unit: bytes, size: int) -> bytes:
    return b"[" + _filled(unit + b",", size - len(unit) - 2) + unit + b"]"


def _tar(manifest: bytes) -> bytes:
    return entry(b"manifest.json", manifest) + END


def _image(layers: int, name: str = "app") -> bytes:
    """Return an entry of manifest.json."""
    config = dumps({"config": {"Labels": {"name": name}}})
    described = [{"mediaType": "x", "digest": DIGEST, "size": 1}] * layers
    digest = "sha256:" + sha256(config.encode()).hexdigest()
    raw = dumps({"mediaType": OCI_MANIFEST, "config": {"digest": digest, "size": len(config)}, "layers": described})
    stated = {"MediaType": OCI_MANIFEST, "Digest": "sha256:" + sha256(raw.encode()).hexdigest(), "Raw": raw}
    image = {"Refs": [f"a.invalid/{name}@{stated['Digest']}"], "Config": {"Raw": config}, "Manifest": stated}
    return dumps({"Image": image}).encode()


HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "entries of a lock": ("copied", lambda: LOCK + b"images:\n" + b"- a\n" * 400_000, "more than 300000 values"),
    "aliases of a long text": (
        "lock",
        lambda: LOCK + b"images:\n- &a '" + b"a" * 400_000 + b"'\n" + b"- *a\n" * 1100,
        "expected a mapping",
    ),
    "conflicts": ("lock", lambda: _filled(b"<<<<<<<\n", LARGEST_DOCUMENT), "a merge conflict"),
    "entries of a tar": ("archive", lambda: _tar(_list(b"{}", 39 << 20)), "has more than 1000000 values"),
    "layers in a tar": (
        "archive",
        lambda: _tar(_list(_image(30_000), LARGEST_ARCHIVE_MANIFEST)),
        "the manifests in it have more than 1000000 values",
    ),
    "wide characters in a tar": (
        "archive",
        lambda: _tar(b'["\xf0\x9f\x98\x80' + bytes(LARGEST_ARCHIVE_MANIFEST - 10).replace(b"\0", b"a") + b'"]'),
        "takes more than 96 MiB of memory",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_document_that_is_made_to_take_much_memory(name: str, tmp_path: Path) -> None:
    reader, content, expected = HOSTILE[name]
    path = tmp_path / "index.json"
    path.write_bytes(content())
    memory, said = _measured(reader, path)
    assert expected in said
    assert memory < MOST


def _lock_entry(number: int) -> bytes:
    digest = sha256(b"%d" % number).hexdigest()
    return f"""\
- annotations:
    kbld.carvel.dev/id: registry.example.com/team/app{number}:1.0
    kbld.carvel.dev/origins: |
      - resolved:
          tag: "1.0"
          url: registry.example.com/team/app{number}:1.0
  image: registry.example.com/team/app{number}@sha256:{digest}
""".encode()


def _index(count: int) -> bytes:
    names = (sha256(b"%d" % number).hexdigest() for number in range(count))
    annotations = {"org.opencontainers.image.ref.name": "v1"}
    platform = {"os": "linux", "architecture": "amd64"}
    manifests = [
        {"mediaType": OCI_MANIFEST, "digest": f"sha256:{name}", "size": 1, "platform": platform}
        | {"annotations": {**annotations, "name": name}}
        for name in names
    ]
    return dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode()


USUAL: dict[str, tuple[str, Callable[[], bytes], int]] = {
    "lock": ("lock", lambda: LOCK + b"images:\n" + b"".join(map(_lock_entry, range(10_000))), 10_000),
    "index": ("index", lambda: _index(5000), 5000),
    "tar": ("archive", lambda: _tar(b"[" + b",".join(map(_image, repeat(20, 200))) + b"]"), 200),
}


@pytest.mark.parametrize("name", USUAL)
def test_what_people_have_is_read(name: str, tmp_path: Path) -> None:
    reader, content, count = USUAL[name]
    path = tmp_path / "document.yml"
    path.write_bytes(content())
    memory, said = _measured(reader, path)
    assert said == str(count)
    assert memory < MOST
