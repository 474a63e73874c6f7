"""The graph as JSON, by `schemas/graph.schema.json`: everything that is known, and all edges."""

from __future__ import annotations

import json
from typing import Any

from bundlepipe.documents.schemas import API_VERSION
from bundlepipe.pipeline.drawing.model import GraphTask, TaskGraph
from bundlepipe.pipeline.reasons import as_json

KIND = "Graph"
# The beginning of each document, by which a file is recognised.
START = f'{{\n  "apiVersion": "{API_VERSION}",\n  "kind": "{KIND}",'


def to_json(graph: TaskGraph) -> str:
    """Return the graph as a JSON document."""
    document = {"apiVersion": API_VERSION, "kind": KIND, "tasks": [_task(task) for task in graph.tasks]}
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    # JSON is UTF-8, and the name of a file may have other bytes.
    return text.encode("utf-8", "replace").decode()


def _task(task: GraphTask) -> dict[str, Any]:
    state: dict[str, Any] = {"state": task.state.name, "reasons": as_json(task.state.reasons)} if task.state else {}
    return {
        "name": task.name,
        "kind": task.kind,
        "doc": task.doc,
        **state,
        "needs": list(task.needs),
        "setup": list(task.setup),
        "targets": list(task.targets),
    }
