"""Generate the files of a new pipeline for a directory."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, count

from bundlepipe.errors import printable
from bundlepipe.starting.survey import FoundBundle, FoundDockerfile, FoundParts

DODO = '''\
"""`doit list` shows the tasks, `doit` alone locks and pushes the bundles. They are declared in bundlepipe.yml."""

from bundlepipe import DOIT_CONFIG, Pipeline

pipeline = Pipeline.load("bundlepipe.yml")
'''
LOCK_FILE = "bundlepipe.lock"
_EXAMPLE_FILE = "settings.yml"
_EXAMPLE_DIRECTORY = "config"
EXAMPLE = """\
# Configuration of the bundle that bundlepipe.yml declares. Put yours here.
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  greeting: hello
"""

_HEAD = f"""\
# What is made of this directory, and where it goes. `bundlepipe check` finds mistakes, `bundlepipe doit list`
# shows the tasks, `bundlepipe doit` locks and pushes. All keys: `bundlepipe schema pipeline`.
apiVersion: bundlepipe.dev/v1alpha1
kind: Pipeline

# What the images that configuration names were resolved to: commit this file. Each .imgpkg/images.yml that a lock
# writes is made of it, and belongs into .gitignore.
lock: {LOCK_FILE}

defaults:
  # layout.localhost is a directory, build/registry, so this works without any registry.
  # With REGISTRY=registry.example in the environment the same goes there; VERSION is the tag.
  push: "${{REGISTRY:-layout.localhost}}/{{name}}:${{VERSION:-dev}}"
"""
_TAIL = """
# Further things that can be declared:
# copies:                         # a bundle, with all images that it names
#   production: {{from: {{bundle: {bundle}}}, to: registry.example/apps/{bundle}}}
#   file: {{from: {{bundle: {bundle}}}, to: tar:build/{bundle}.tar}}
# pulls:
#   {bundle}: {{from: {{bundle: {bundle}}}, to: build/{bundle}}}
"""
_LISTED = 4
# Texts that YAML can hold without quotes.
_PLAIN = re.compile(r"\.|[A-Za-z._][A-Za-z0-9._/-]*")


def example_path(directory: str) -> str:
    """Return the path for an example of configuration, in a directory of its own."""
    names = chain([_EXAMPLE_DIRECTORY], (f"{_EXAMPLE_DIRECTORY}-{number}" for number in count(2)))
    name = next(name for name in names if not os.path.lexists(os.path.join(directory, name)))
    return os.path.join(name, _EXAMPLE_FILE)


def pipeline_text(parts: FoundParts) -> str:
    """Return a bundlepipe.yml, with comments, for the parts found, which include at least one bundle."""
    lines = [line for bundle in parts.bundles for line in _bundle(bundle, parts)]
    images = [line for image in parts.dockerfiles for line in _image(image)]
    return "".join(
        [
            _HEAD,
            *(f"{line}\n" for line in images and ["", *_images_head(images), *images]),
            *(f"{line}\n" for line in ["", "bundles:", *lines]),
            *map(_chart, parts.charts),
            _TAIL.format(bundle=parts.bundles[0].name),
        ]
    )


def _images_head(images: Sequence[str]) -> list[str]:
    is_empty = all(line.lstrip().startswith("#") for line in images)
    return ["# images:" if is_empty else "images:", "  # Configuration that says `image: NAME` means these."]


def _image(image: FoundDockerfile) -> Iterator[str]:
    declared = f"  {image.name}: {{build: {{context: {_quoted(image.path)}}}}}"
    if not image.written:
        yield declared
        return
    # Files that every run writes must not be part of a build's inputs, or each run would build
    # again.
    ignore_file = os.path.normpath(f"{image.path}/.dockerignore")
    yield f"  # Once {ignore_file} has the lines {', '.join(image.written)}, which runs write there:"
    yield f"#{declared}"


def _bundle(bundle: FoundBundle, parts: FoundParts) -> Iterator[str]:
    yield f"  {bundle.name}:"
    if bundle.path == ".":
        yield "    # Everything in this directory goes into the bundle but what 'exclude' names."
    yield f"    files: [{_quoted(bundle.path)}]"
    if set(bundle.exclude) - {".git"}:
        yield f"    exclude: {_listed(bundle.exclude)}"
    if bundle.is_authored:
        yield "    # .imgpkg/images.yml is yours: it names what configuration does not. `lock: {}` would maintain it."
    else:
        yield from _lock(bundle, {image.name for image in parts.dockerfiles})


def _lock(bundle: FoundBundle, made: Collection[str]) -> Iterator[str]:
    asked = [reference for reference in bundle.references if reference not in made]
    if bundle.has_lock:
        yield "    # Keeps .imgpkg/images.yml: known images keep their digests, new ones get one."
    elif asked:
        named = printable(", ".join(asked[:_LISTED])) + (", ..." if len(asked) > _LISTED else "")
        yield f"    # Writes .imgpkg/images.yml. The first run asks for the digests of {named}."
    else:
        yield "    # Writes .imgpkg/images.yml, with the digest of every image that the files name."
    if bundle.searched is None:
        yield "    lock: {}"
        return
    yield "    # Only these files are searched for images: others are no YAML as they stand, templates perhaps."
    yield "    # Name the program that renders those, too: {run: [ytt, -f, DIRECTORY], files: [DIRECTORY]}"
    yield f"    lock: {{files: {_listed(bundle.searched)}}}"


def _chart(path: str) -> str:
    return (
        f"\n# {printable(path)} is a Helm chart. What helm makes of it can be searched for images, in a bundle:\n"
        f"#   lock: {{files: [{{run: [helm, template, {_quoted(path)}], files: [{_quoted(path)}]}}]}}\n"
    )


def _listed(paths: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, paths))}]"


def _quoted(path: str) -> str:
    """Return a path as an item of a YAML list on one line."""
    return path if _PLAIN.fullmatch(path) else json.dumps(path)
