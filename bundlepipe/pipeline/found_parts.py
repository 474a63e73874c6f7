"""What a directory has that a pipeline could be made of: bundles, configuration, Dockerfiles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bundlepipe.documents.bundle_paths import BUNDLE_DIRECTORY, IMAGES_LOCK
from bundlepipe.documents.image_search import SearchedFile, search_images
from bundlepipe.documents.images_lock import KBLD_ID, ImagesLock
from bundlepipe.documents.kbld_config import KbldConfig
from bundlepipe.documents.resources import find_resources
from bundlepipe.errors import BundlepipeError
from bundlepipe.files import read_file

_DEEPEST = 8
_DOCKERFILE = "Dockerfile"
_CHART = "Chart.yaml"
_YAML = (".yml", ".yaml")
_LARGEST = 4 << 20
# What others write into a checkout, and what this pipeline will.
_PASSED_OVER = frozenset({"build", "dist", "node_modules", "target", "vendor", "venv", "__pycache__"})
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
_OWN_API = ("bundlepipe.dev/", "imgpkg.carvel.dev/", "kbld.k14s.io/")


@dataclass(frozen=True)
class FoundBundle:
    """A directory that is a bundle, or could be one.

    has_lock: its images.yml is there. is_authored: and holds what its configuration does not
    name, so that it is somebody's own. references: what its configuration names.
    """

    path: str
    name: str
    has_lock: bool = False
    is_authored: bool = False
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundDockerfile:
    """A directory with a Dockerfile."""

    path: str
    name: str


@dataclass
class FoundParts:
    """What was found, paths relative to the directory; `charts` are directories of Helm charts."""

    bundles: list[FoundBundle] = field(default_factory=list)
    dockerfiles: list[FoundDockerfile] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)


def find_parts(directory: str) -> FoundParts:
    """Return what a directory has, in the order of paths; names are distinct and valid in a pipeline.

    Hidden directories, those of tools and builds, and links are passed over. What cannot be
    read, or is no YAML, is no configuration. A directory that holds configuration is one
    bundle with all that lies below it.
    """
    names = _Names()
    parts = FoundParts()
    root_name = os.path.basename(os.path.abspath(directory))
    for path, files in _directories(directory, ".", 0):
        if _CHART in files:
            parts.charts.append(path)
        elif not any(is_below(path, bundle.path) for bundle in parts.bundles):
            bundle = _bundle(directory, path, files)
            if bundle:
                name = names.new(path, root_name)
                parts.bundles.append(FoundBundle(path, name, *bundle))
    for path, files in _directories(directory, ".", 0):
        if _DOCKERFILE in files:
            parts.dockerfiles.append(FoundDockerfile(path, names.new(path, root_name)))
    return parts


def is_below(path: str, directory: str) -> bool:
    """Tell whether a relative path is a directory, or lies in it."""
    return directory in (".", path) or path.startswith(f"{directory}/")


class _Names:
    """Gives names, each once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def new(self, path: str, root: str) -> str:
        """Return a name for a directory: its own, with more of its path where that is taken."""
        parts = [_as_name(part) for part in (root if path == "." else path).split("/")]
        candidates = ["-".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        candidates += [f"{candidates[0]}-{number}" for number in range(2, len(self._given) + 3)]
        name = next(candidate for candidate in candidates if candidate not in self._given)
        self._given.add(name)
        return name


def _as_name(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text.lower()).strip("._-") or "app"


def _directories(root: str, path: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    """Yield directories, those above first, with the names of their files and of a bundle's own directory."""
    try:
        entries = sorted(os.scandir(os.path.join(root, path)), key=lambda entry: entry.name)
    except OSError:
        return
    is_directory = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    yield path, [name for name, is_dir in is_directory.items() if not is_dir or name == BUNDLE_DIRECTORY]
    for name, is_dir in is_directory.items():
        if is_dir and depth < _DEEPEST and not name.startswith(".") and name not in _PASSED_OVER:
            yield from _directories(root, name if path == "." else f"{path}/{name}", depth + 1)


def _bundle(root: str, path: str, files: Sequence[str]) -> tuple[bool, bool, tuple[str, ...]] | None:
    """Return for a directory that could be a bundle whether it has a lock, whether that is authored, its references."""
    directory = os.path.join(root, path)
    configuration = list(filter(None, (_configuration(os.path.join(directory, name)) for name in files)))
    if not configuration and BUNDLE_DIRECTORY not in files:
        return None
    configuration = list(_all_configuration(directory))
    references = tuple(dict.fromkeys(image.value for file in configuration for image in file.images))
    lock_path = os.path.join(directory, IMAGES_LOCK)
    if not os.path.isfile(lock_path):
        return False, False, references
    return True, _is_authored(lock_path, references), references


def _all_configuration(directory: str) -> Iterator[SearchedFile]:
    for path, files in _directories(directory, ".", 0):
        for name in files:
            found = _configuration(os.path.join(directory, path, name))
            if found:
                yield found


def _configuration(path: str) -> SearchedFile | None:
    """Return a file if it holds Kubernetes resources that are not ours."""
    if not path.endswith(_YAML) or not os.path.isfile(path) or os.path.getsize(path) > _LARGEST:
        return None
    try:
        content = read_file(path)
        versions = [resource.text("apiVersion") for resource in find_resources(content, path)]
        if not any(version and not version.startswith(_OWN_API) for version in versions):
            return None
        return search_images(content, path, KbldConfig().search_rules)
    except BundlepipeError:
        return None  # a template, perhaps: nothing that could be locked as it is


def _is_authored(path: str, references: Sequence[str]) -> bool:
    """Tell whether a lock holds what its directory's configuration does not name, which maintaining it would remove."""
    try:
        lock = ImagesLock.parse(read_file(path), path)
    except BundlepipeError:
        return True
    return any(entry.annotations.get(KBLD_ID) not in references for entry in lock.images)
