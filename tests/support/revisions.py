"""Plans since a git revision, of a pipeline with an image in a bundle in another, and a bundle beside them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from bundlepipe.documents.schemas.validator import schema_text
from tests.support.project import Project

IGNORED = ".bundlepipe/\n.imgpkg/\nbuild/\ngenerated/text.txt\n__pycache__/\n"
CHAIN = """\
images:
  site: {files: [site]}
bundles:
  leaf: {files: [leaf], lock: {include: [{image: site}]}}
  middle: {files: [middle], lock: {include: [{bundle: leaf}]}}
  other: {files: [other], lock: {}}
"""


def write_chain(project: Project) -> None:
    """Write the pipeline and its files, in which git ignores what tasks make."""
    project.pipeline(CHAIN)
    project.write(".gitignore", IGNORED)
    project.write("site/index.html", "hello")
    for name in ("leaf", "middle", "other"):
        project.write(f"{name}/config.yml", f"kind: {name}\n")


def plan(project: Project, revision: str, *arguments: str, status: int = 0) -> Any:
    """Return the plan since a revision, which is valid by the schema."""
    document = json.loads(project.doit("plan", "--since", revision, "--json", *arguments, status=status).stdout)
    jsonschema.validate(document, json.loads(schema_text("plan")))
    return document


def states(document: Any) -> dict[str, str]:
    """Return the state of each task."""
    return {task["name"]: task["state"] for task in document["tasks"]}
