"""The files that a new pipeline begins with, written for what a directory has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from bundlepipe.pipeline.found_parts import FoundBundle, FoundDockerfile, FoundParts, is_below

DODO = '''\
"""`doit list` shows the tasks, `doit` alone locks and pushes the bundles. They are declared in bundlepipe.yml."""

from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
'''
EXAMPLE_PATH = "config/settings.yml"
EXAMPLE = """\
# Configuration of the bundle that bundlepipe.yml declares. Put yours here.
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  greeting: hello
"""

_HEAD = """\
# What is made of this directory, and where it goes. `bundlepipe check` finds mistakes, `bundlepipe doit list`
# shows the tasks, `bundlepipe doit` locks and pushes. All keys: `bundlepipe schema pipeline`.
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline

defaults:
  # layout.localhost is a directory, build/registry, so this works without any registry.
  # With REGISTRY=registry.example in the environment the same goes there; VERSION is the tag.
  push: "${REGISTRY:-layout.localhost}/{name}:${VERSION:-dev}"
"""
_TAIL = """
# Further things that can be declared:
# copies:                         # a bundle, with all images that it names
#   production: {{from: {{bundle: {bundle}}}, to: registry.example/apps/{bundle}}}
#   file: {{from: {{bundle: {bundle}}}, to: tar:build/{bundle}.tar}}
# pulls:
#   {bundle}: {{from: {{bundle: {bundle}}}, to: build/{bundle}}}
"""
_OF_THE_PIPELINE = (".git", ".bundlepipe", "__pycache__", "build", "bundlepipe.yml", "dodo.py")
_LISTED = 4
# What is a text in YAML without quotes.
_PLAIN = re.compile(r"\.|[A-Za-z._][A-Za-z0-9._/-]*")


def pipeline_text(parts: FoundParts) -> str:
    """Return a bundlepipe.yml, with comments, for what was found; for nothing, one for the example configuration."""
    bundles = parts.bundles or [FoundBundle("config", "app")]
    lines = [line for bundle in bundles for line in _bundle(bundle, parts)]
    images = [line for image in parts.dockerfiles for line in _image(image, bundles)]
    return "".join(
        [
            _HEAD,
            *(f"{line}\n" for line in images and ["", *_images_head(images), *images]),
            *(f"{line}\n" for line in ["", "bundles:", *lines]),
            *map(_chart, parts.charts),
            _TAIL.format(bundle=bundles[0].name),
        ]
    )


def _images_head(images: Sequence[str]) -> list[str]:
    is_empty = all(line.lstrip().startswith("#") for line in images)
    return ["# images:" if is_empty else "images:", "  # Configuration that says `image: NAME` means these."]


def _image(image: FoundDockerfile, bundles: Sequence[FoundBundle]) -> Iterator[str]:
    declared = f"  {image.name}: {{build: {{context: {_quoted(image.path)}}}}}"
    if image.path != "." and not any(is_below(bundle.path, image.path) for bundle in bundles):
        yield declared
        return
    # What every run writes must not be part of what is built, or it would be built anew each time.
    written = ".imgpkg" if image.path != "." else ".imgpkg, .bundlepipe and build"
    yield f"  # With {written} in {image.path}/.dockerignore, as runs write there:"
    yield f"#{declared}"


def _bundle(bundle: FoundBundle, parts: FoundParts) -> Iterator[str]:
    made = {image.name for image in parts.dockerfiles}
    asked = [reference for reference in bundle.references if reference not in made]
    yield f"  {bundle.name}:"
    yield f"    files: [{_quoted(bundle.path)}]"
    if bundle.path == ".":
        built = ["Dockerfile" if image.path == "." else image.path for image in parts.dockerfiles]
        yield f"    exclude: [{', '.join(map(_quoted, (*_OF_THE_PIPELINE, *built)))}]"
    if bundle.is_authored:
        yield "    # .imgpkg/images.yml is yours: it names what configuration does not. `lock: {}` would maintain it."
        return
    if bundle.has_lock:
        yield "    # Keeps .imgpkg/images.yml: known images keep their digests, new ones get one."
    elif asked:
        named = ", ".join(asked[:_LISTED]) + (", ..." if len(asked) > _LISTED else "")
        yield f"    # Writes .imgpkg/images.yml. The first run asks for the digests of {named}."
    else:
        yield "    # Writes .imgpkg/images.yml, with the digest of every image that the files name."
    yield "    lock: {}"


def _chart(path: str) -> str:
    return (
        f"\n# {path} is a Helm chart. What helm makes of it can be searched for images, in a bundle:\n"
        f"#   lock: {{files: [{{run: [helm, template, {_quoted(path)}], files: [{_quoted(path)}]}}]}}\n"
    )


def _quoted(path: str) -> str:
    """Return a path as an item of a YAML list in one line."""
    return path if _PLAIN.fullmatch(path) else json.dumps(path)
