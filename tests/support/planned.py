"""A project whose plans are saved, and carried out in other clones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema

from bundlepipe.oci.reference import Reference, Repository
from bundlepipe.stores.opening import Stores
from tests.support.images import put_images
from tests.support.project import Project
from tests.support.services import Registry

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/plan.schema.json").read_text())
DECLARATIONS = """\
images:
  site: {files: [site]}
bundles:
  one: {files: [one], lock: {include: [{image: site}]}}
  two: {files: [two], lock: {include: [{bundle: one}]}}
copies:
  base: {from: "BASE:1", to: "HOST/copied:1"}
"""
DECLARED = ("push_bundle", "copy_bundle")


class Place:
    """A project that pushes to a registry, and locks and copies an image whose tag may move."""

    def __init__(self, project: Project, registry: Registry) -> None:
        self.project = project
        self.repository = registry.repository("saved")
        self._bases = Repository(self.repository.registry, f"{self.repository.path}/bases")
        self._made = put_images(Stores().repository(self._bases, writes=True), 3)
        self.tag(self._bases.tagged("1"), 0)
        host = str(self.repository)
        text = DECLARATIONS.replace("BASE", str(self._bases)).replace("HOST", host)
        project.pipeline(text, f'defaults: {{push: "{host}/{{name}}:${{VERSION:-1}}"}}\n')
        project.write("site/index.html", "hello")
        project.write("one/config.yml", f"kind: One\nimage: {self._bases}:1\n")
        project.write("two/config.yml", "kind: Two\n")

    @property
    def base(self) -> Reference:
        """The image that is locked and copied, by its tag."""
        return self._bases.tagged("1")

    def tag(self, reference: Reference, number: int) -> str:
        """Let a tag name one of the images; return its digest."""
        store = Stores().repository(reference.repository, writes=True)
        manifest = self._made[number]
        if reference.repository != self._bases:
            put_images(store, 3)
        store.put_manifest(manifest, reference.tag)
        return str(manifest.digest)

    def base_digest(self, number: int) -> str:
        """Return the digest of one of the images that the tag of `base` may name."""
        return str(self._made[number].digest)

    def named(self, name: str) -> str:
        """Return the digest that the tag of something pushed names."""
        pushed = Repository(self.repository.registry, f"{self.repository.path}/{name}")
        return str(Stores().repository(pushed).resolve("1"))

    def pushed(self, name: str) -> Reference:
        """Return where something is pushed."""
        return Repository(self.repository.registry, f"{self.repository.path}/{name}").tagged("1")

    def plan(self, *arguments: str) -> dict[str, Any]:
        """Save a plan, and return it."""
        self.project.doit("plan", "--out", "plan.json", *arguments, *DECLARED)
        document: dict[str, Any] = json.loads(self.project.read("plan.json"))
        jsonschema.validate(document, SCHEMA)
        return document

    def clone(self) -> Project:
        """Return another clone, without records and with later times."""
        return clone_of(self.project)


def clone_of(project: Project) -> Project:
    """Return another clone of a project, without records and with later times."""
    directory = project.directory.parent / "clone"
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(
        project.directory, directory, ignore=shutil.ignore_patterns(".bundlepipe"), copy_function=shutil.copy
    )
    return Project(directory, project.environment)
