"""What is observed of a command line: status, output, files and repositories, in terms of what images hold.

The digest of a manifest that a tool makes depends on its compressor, and registries have
another port each time. So what a digest stands for is put in its place: a name that is a
digest of the contents, files by files, whatever their layers were compressed by.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.peers.scene import Scene

# As long as what it stands for: tables are aligned.
_HOST = "registry.te:5000"
_DIGEST = re.compile(r"sha256([:-])([0-9a-f]{64})")
_SIZE = re.compile(r'(size\\*": ?)\d+', re.IGNORECASE)
# What is told in the order of digests, which depend on the port.
_EXPORTED = re.compile(r"(^.*copy \| will export .*\n)+", re.MULTILINE)
_DURATION = re.compile(r"\b\d+(\.\d+)?(ms|µs|s)\b")
_TEMPORARY = re.compile(r"/(?:tmp|var)/[^\s'\":]*")


@dataclass(frozen=True)
class Outcome:
    """What came of a command line.

    files: what was written into the directory, by path, and what was removed. repositories:
    tags, and what they stand for; manifests that no tag names are there by what they stand for alone.
    """

    status: int
    stdout: str
    stderr: str
    files: dict[str, str]
    repositories: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)


def files_of(scene: Scene) -> dict[str, str]:
    """Return what is in the directory of a scene, by path."""
    return dict(_Content(scene).files())


def observe(scene: Scene, before: Mapping[str, str], status: int, stdout: str, stderr: str) -> Outcome:
    """Return what came of a command line that ran in a scene; `before` has the files that were there."""
    content = _Content(scene)
    after = dict(content.files())
    written = {path: text for path, text in after.items() if before.get(path) != text}
    return Outcome(
        status,
        content.named(stdout),
        content.named(stderr),
        {**written, **{path: "removed" for path in before if path not in after}},
        {name: content.repository(name) for name in content.repositories()},
    )


def _name(kind: str, value: object) -> str:
    return hashlib.sha256(f"{kind} {json.dumps(value, sort_keys=True)}".encode()).hexdigest()


class _Content:
    """Reads what the registry of a scene has, in its own files."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._root = scene.registry.directory / "content/docker/registry/v2"
        self._names: dict[str, str] = {}

    def named(self, text: str) -> str:
        """Return a text with what this scene alone has replaced by what it stands for."""
        text = text.replace(str(self._scene.directory), "DIRECTORY")
        text = text.replace(self._scene.name, self._scene.known_as)
        text = text.replace(self._scene.registry.host, _HOST[: len(self._scene.registry.host)])
        text = _DURATION.sub("TIME", _TEMPORARY.sub("TEMPORARY", text))
        text = _DIGEST.sub(lambda found: f"sha256{found[1]}{self._stands_for(found[2])}", text)
        return _EXPORTED.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text)

    def _stands_for(self, encoded: str) -> str:
        if encoded not in self._names:
            self._names[encoded] = encoded
            blob = self._root / "blobs/sha256" / encoded[:2] / encoded / "data"
            if blob.exists():
                self._names[encoded] = self._identify(encoded, blob.read_bytes())
        return self._names[encoded]

    def _identify(self, encoded: str, data: bytes) -> str:
        try:
            document = json.loads(data)
        except ValueError:
            return self._identify_layer(encoded, data)
        if not isinstance(document, dict):
            return encoded
        if "layers" in document or "manifests" in document:
            return self._identify_manifest(document)
        if "rootfs" in document:
            return _name("config", json.loads(self.named(json.dumps(document))))
        # What cosign signs names the digest of an image.
        return _name("document", json.loads(self.named(json.dumps(document))))

    def _identify_manifest(self, document: dict[str, Any]) -> str:
        # Layers come first: configurations name them by what is in them.
        for blob in document.get("layers", []):
            self._stands_for(blob["digest"].partition(":")[2])

        def described(blob: dict[str, Any]) -> dict[str, Any]:
            return {key: value for key, value in blob.items() if key != "size"}

        parts = {key: value for key, value in document.items() if key not in ("layers", "config", "manifests")}
        parts["blobs"] = [described(blob) for blob in [document.get("config", {}), *document.get("layers", [])]]
        parts["manifests"] = [described(child) for child in document.get("manifests", [])]
        return _name("manifest", json.loads(self.named(json.dumps(parts))))

    def _identify_layer(self, encoded: str, data: bytes) -> str:
        try:
            archive = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        except (OSError, EOFError, zlib.error):
            return encoded
        try:
            entries = list(self._entries(archive))
        except tarfile.TarError:
            return encoded
        name = _name("layer", entries)
        self._names[hashlib.sha256(archive).hexdigest()] = name
        return name

    def _entries(self, archive: bytes) -> Iterator[list[Any]]:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                content = self.named(file.read().decode("utf-8", "surrogateescape")) if file else ""
                if member.name == "image-locations.yml":
                    # Its order is that of digests, which depend on the port.
                    content = "".join(sorted(content.split("- image")))
                yield [member.name, member.mode, member.type.decode(), member.mtime, member.linkname, content]

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the paths of what is in the directory, with mode and content."""
        directory = self._scene.directory
        for path in sorted(directory.rglob("*")):
            name = self.named(str(path.relative_to(directory)))
            if path.is_symlink():
                yield name, f"-> {path.readlink()}"
            elif path.is_file():
                yield name, f"{stat.S_IMODE(path.stat().st_mode):o} {self._file(path)}"
            elif not any(path.iterdir()):
                yield name, "empty directory"

    def _file(self, path: Path) -> str:
        if tarfile.is_tarfile(path) and path.suffix in (".tar", ".tgz"):
            return "\n".join(self._archive(path))
        data = path.read_bytes()
        try:
            return self.named(data.decode())
        except UnicodeDecodeError:
            return f"sha256 {hashlib.sha256(data).hexdigest()}"

    def _archive(self, path: Path) -> Iterator[str]:
        """Yield the entries of a tar; what is ordered by digests is sorted by what those stand for."""
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            layers = [member.name for member in members if member.name.startswith("sha256-")]
            yield f"{len(layers)} layers, {'' if layers == sorted(layers) else 'not '}ordered"
            yield from sorted(self._entry(tar, member) for member in members)

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
        file = tar.extractfile(member)
        assert file
        told = self._images(file.read()) if member.name == "manifest.json" else ""
        return f"{self.named(member.name)} {member.mode:o} {member.uid} {member.mtime} {told}"

    def _images(self, manifest: bytes) -> str:
        """Return a tar's list of images, sorted by what they are; sizes are those of a compressor."""
        images = json.loads(manifest)
        if not isinstance(images, list):
            return manifest.decode()
        return "".join(sorted(map(self._image, images)))

    def _image(self, image: dict[str, Any]) -> str:
        """Return a line that tells what an image of a tar is called, and stands for all that the tar says of it."""
        text = _SIZE.sub(r"\g<1>0", self.named(json.dumps(image)))
        called = json.loads(text)["Image"] or json.loads(text)["ImageIndex"]
        names = {key: called[key] for key in ("Refs", "OrigRef", "Tag", "Labels") if key in called}
        return f"\n  {json.dumps(names)} {_name('image', text)[:16]}"

    def repositories(self) -> list[str]:
        """Return the repositories of the scene that have manifests, without its own name."""
        root = self._root / "repositories" / self._scene.name
        # A registry may still be removing what was not uploaded to the end; os.walk passes over that.
        found = (Path(path) for path, directories, _ in os.walk(root) if "_manifests" in directories)
        return sorted(str(path.relative_to(root)) for path in found)

    def repository(self, name: str) -> list[str]:
        """Return the tags of a repository and what they stand for, and what else it has."""
        manifests = self._root / "repositories" / self._scene.name / name / "_manifests"
        tags = {}
        for link in manifests.glob("tags/*/current/link"):
            tags[link.parent.parent.name] = link.read_text().partition(":")[2]
        revisions = {path.parent.name for path in manifests.glob("revisions/sha256/*/link")}
        lines = [f"{self.named(tag)} {self._stands_for(encoded)}" for tag, encoded in tags.items()]
        return sorted([*lines, *(self._stands_for(encoded) for encoded in revisions - set(tags.values()))])
