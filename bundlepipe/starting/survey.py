"""Find parts for a new pipeline in a directory: bundles, configuration, Dockerfiles."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from bundlepipe.documents.imgpkg.images_lock import KBLD_ID, ImageRef, ImagesLock
from bundlepipe.documents.imgpkg.paths import BUNDLE_DIRECTORY, IMAGES_LOCK
from bundlepipe.documents.kbld.config import KbldConfig
from bundlepipe.documents.resources import Resource, find_resources
from bundlepipe.documents.search.files import search_images
from bundlepipe.errors import BundlepipeError, InvalidReference
from bundlepipe.filesystem.files import is_utf8, read_document, read_file
from bundlepipe.oci.builds.context import DEFAULT_DOCKERFILES, BuildContext
from bundlepipe.oci.reference import Reference
from bundlepipe.pipeline.declared.paths import is_within
from bundlepipe.pipeline.records.state import STATE_DIRECTORY
from bundlepipe.stores.settings import DEFAULT_LAYOUT_DIRECTORY
from bundlepipe.verbs.images.texts import Text, read_texts, search

_DEEPEST = 8
_CHART = "Chart.yaml"
_OF_CHARTS = ("charts", "crds", "templates")
_YAML = (".yml", ".yaml")
_LARGEST = 4 << 20
# Directories that other tools write to in a checkout, and that this pipeline will.
_PASSED_OVER = frozenset({"build", "dist", "node_modules", "target", "vendor", "venv", "__pycache__"})
# Files of the pipeline itself and those that its runs write, in its directory.
_OF_THE_PIPELINE = (
    *(".git", ".gitattributes", ".gitignore", STATE_DIRECTORY),
    *("__pycache__", "build", "bundlepipe.lock", "bundlepipe.yml", "dodo.py"),
)
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
# Beginnings of an apiVersion that marks input of a tool instead of a resource for a cluster.
_OF_TOOLS = (
    *("backstage.io/", "bundlepipe.dev/", "ctlptl.dev/", "eksctl.io/", "imgpkg.carvel.dev/", "k3d.io/"),
    *("kbld.k14s.io/", "kind.x-k8s.io/", "kustomize.config.k8s.io/", "skaffold/", "vendir.k14s.io/"),
)


class FoundBundle(Struct, frozen=True):
    """A directory that is a bundle, or could become one.

    has_lock: its images.yml exists.
    is_authored: that lock has entries that its configuration does not name, so a user maintains it.
    references: the references in its configuration.
    exclude: files of the directory that do not belong to it.
    searched: its files that can be searched for images, if others, such as templates, cannot; None
    if all can.
    """

    path: str
    name: str
    has_lock: bool = False
    is_authored: bool = False
    references: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    searched: tuple[str, ...] | None = None


class FoundDockerfile(Struct, frozen=True):
    """A directory with a Dockerfile; `written` are files that runs would write there and no ignore file excludes."""

    path: str
    name: str
    written: tuple[str, ...] = ()


class FoundParts(Struct):
    """The parts found, with paths relative to the directory; `charts` are directories of Helm charts."""

    bundles: list[FoundBundle] = field(default_factory=list)
    dockerfiles: list[FoundDockerfile] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)


def find_parts(directory: str) -> FoundParts:
    """Return the parts of a directory, ordered by path; names are distinct and valid in a pipeline.

    Hidden directories, those of tools and builds, and links are skipped. Unreadable or invalid YAML
    files do not count as configuration. A directory with configuration is one bundle with everything
    below it, except the bundles there.
    """
    return _Finding(directory).parts()


class _Directory(Struct):
    """The names of the files in a directory, and of other entries that are skipped."""

    files: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    is_bundle: bool = False


class _Finding:
    """One search through a directory."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._directories: dict[str, _Directory] = dict(_walk(root, ".", 0))
        self._charts = [path for path, each in self._directories.items() if _CHART in each.files]
        self._contexts = [path for path, each in self._directories.items() if _dockerfile(each.files)]
        self._configured = [path for path in self._directories if self._has_configuration(path)]
        self._bundles = self._bundle_directories()

    def parts(self) -> FoundParts:
        """Return the parts with names, images first, since configuration may refer to them by name."""
        names = _Names(os.path.basename(os.path.abspath(self._root)))
        images = {path: names.new(path, "image") for path in self._contexts}
        made = frozenset(images.values())
        bundles = [replace(self._bundle(path, made), name=names.new(path, "bundle")) for path in self._bundles]
        locked = [bundle.path for bundle in bundles if not bundle.is_authored]
        dockerfiles = [FoundDockerfile(path, name, self._written(path, locked)) for path, name in images.items()]
        return FoundParts(bundles, dockerfiles, self._charts)

    def _bundle_directories(self) -> list[str]:
        found: list[str] = []
        for path, each in self._directories.items():
            in_another = any(is_within(path, other) for other in found) or any(
                path == chart or is_within(path, os.path.normpath(os.path.join(chart, part)))
                for chart in self._charts
                for part in _OF_CHARTS
            )
            if each.is_bundle or (path in self._configured and not in_another):
                found.append(path)
        return found

    def _has_configuration(self, path: str) -> bool:
        return any(_is_configuration(os.path.join(self._root, path, name)) for name in self._directories[path].files)

    def _bundle(self, path: str, made: Collection[str]) -> FoundBundle:
        exclude = self._excluded(path)
        directory = os.path.join(self._root, path)
        texts = read_texts([directory], exclude)
        readable = [text for text in texts if _can_be_searched(text)]
        found = search(readable, KbldConfig())
        references = tuple(dict.fromkeys(image.value for image in found.images))
        lock_path = os.path.join(directory, IMAGES_LOCK)
        has_lock = os.path.isfile(lock_path)
        return FoundBundle(
            path,
            "",
            has_lock,
            has_lock and _is_authored(lock_path, references, made),
            references,
            tuple(exclude),
            None if len(readable) == len(texts) else tuple(_relative(text.name, self._root) for text in readable),
        )

    def _excluded(self, bundle: str) -> list[str]:
        """Return what does not belong to a bundle: other bundles, the pipeline's own files, and inputs of builds.

        A directory that is not a bundle yet also excludes hidden and skipped entries; from existing ones imgpkg
        excludes nothing.
        """
        excluded = set(_OF_THE_PIPELINE) if bundle == "." else {".git"}
        excluded |= {_relative(path, bundle) for path in self._bundles if path != bundle and is_within(path, bundle)}
        if self._directories[bundle].is_bundle:
            return sorted(excluded)
        excluded |= {_relative(path, bundle) for path in self._of_builds() if is_within(path, bundle)}
        for path, each in self._directories.items():
            if is_within(path, bundle):
                excluded |= {_relative(os.path.join(path, name), bundle) for name in each.passed_over}
        # Paths inside an excluded one need not be listed.
        return sorted(
            path for path in excluded if not any(path != other and is_within(path, other) for other in excluded)
        )

    def _of_builds(self) -> Iterator[str]:
        for path in self._contexts:
            if any(is_within(other, path) for other in (*self._configured, *self._bundles)):
                name = _dockerfile(self._directories[path].files)
                yield os.path.normpath(os.path.join(path, name or ""))
            else:
                yield path

    def _written(self, context: str, locked: Iterable[str]) -> tuple[str, ...]:
        written = [os.path.join(path, BUNDLE_DIRECTORY) for path in locked if is_within(path, context)]
        if context == ".":
            written += [STATE_DIRECTORY, DEFAULT_LAYOUT_DIRECTORY]
        built = BuildContext(os.path.join(self._root, context))
        names = (_relative(path, context) for path in written)
        return tuple(name for name in names if not _leaves_out(built, name))


class _Names:
    """Assigns unique names; `root` is the one for the directory itself."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._given: set[str] = set()

    def new(self, path: str, what: str) -> str:
        """Return a name for a directory: its own, with more of its path or its kind if that is taken."""
        parts = [_as_name(part) for part in (self._root if path == "." else path).split("/")]
        candidates = ["-".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        candidates.append(f"{candidates[0]}-{what}")
        candidates += [f"{candidates[0]}-{number}" for number in range(2, len(self._given) + 3)]
        name = next(candidate for candidate in candidates if candidate not in self._given)
        self._given.add(name)
        return name


def _as_name(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text.lower()).strip("._-") or "app"


def _relative(path: str, directory: str) -> str:
    return os.path.relpath(path, directory)


def _walk(root: str, path: str, depth: int) -> Iterator[tuple[str, _Directory]]:
    """Yield directories by path, parents first."""
    try:
        entries = sorted(os.scandir(os.path.join(root, path)), key=lambda entry: entry.name)
    except OSError:
        return
    here, below = _Directory(), []
    for entry in entries:
        is_directory = entry.is_dir(follow_symlinks=False)
        if not is_utf8(entry.name):
            continue  # no valid name in YAML
        if entry.name == BUNDLE_DIRECTORY:
            here.is_bundle = is_directory
        elif _is_passed_over(entry) or (is_directory and depth == _DEEPEST):
            here.passed_over.append(entry.name)
        elif is_directory:
            below.append(entry.name)
        elif entry.is_file(follow_symlinks=False):
            here.files.append(entry.name)
    yield path, here
    for name in below:
        yield from _walk(root, os.path.normpath(os.path.join(path, name)), depth + 1)


def _is_passed_over(entry: os.DirEntry[str]) -> bool:
    is_of_tools = entry.name in _PASSED_OVER and entry.is_dir(follow_symlinks=False)
    return entry.name.startswith(".") or is_of_tools


def _dockerfile(files: Sequence[str]) -> str | None:
    return next((name for name in DEFAULT_DOCKERFILES if name in files), None)


def _is_configuration(path: str) -> bool:
    """Return whether a file holds resources for a cluster."""
    if not path.endswith(_YAML) or os.path.getsize(path) > _LARGEST:
        return False
    try:
        return any(map(_is_for_a_cluster, find_resources(read_file(path), path)))
    except BundlepipeError:
        return False  # perhaps a template: it cannot be locked in this form


def _is_for_a_cluster(resource: Resource) -> bool:
    version = resource.text("apiVersion")
    has_name = resource.text("metadata", "name") or resource.text("metadata", "generateName") or resource.kind == "List"
    return bool(version and has_name and not version.startswith(_OF_TOOLS))


def _can_be_searched(text: Text) -> bool:
    try:
        search_images(text.content, text.name)
    except BundlepipeError:
        return False
    return True


def _is_authored(path: str, references: Sequence[str], made: Collection[str]) -> bool:
    """Return whether a lock holds entries that its configuration does not name, which a lock task would remove."""
    try:
        lock = ImagesLock.parse(read_document(path), path)
    except BundlepipeError:
        return True
    return any(not _is_maintained(entry, references, made) for entry in lock.images)


def _is_maintained(entry: ImageRef, references: Sequence[str], made: Collection[str]) -> bool:
    """Return whether a lock task would keep an entry: an image made here, or one that its reference resolves to."""
    reference = entry.annotations.get(KBLD_ID)
    if reference not in references:
        return False
    try:
        return reference in made or Reference.parse(reference or "").repository == entry.image.repository
    except InvalidReference:
        return False


def _leaves_out(context: BuildContext, name: str) -> bool:
    try:
        return context.leaves_out(name)
    except BundlepipeError:
        return False
