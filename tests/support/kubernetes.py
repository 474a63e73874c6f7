"""Just enough of a Kubernetes API server for kubectl to apply to: objects are kept in memory.

It knows the kinds that `kubectl apply --prune` looks for, plain creation and patches,
and deletion. What it creates of workloads is up at once, unless `rolls_out` is False.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.loopback import LoopbackServer

_KINDS = {
    "v1": ("ConfigMap", "Endpoints", "PersistentVolumeClaim", "Pod", "ReplicationController", "Secret", "Service"),
    "apps/v1": ("DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),
    "batch/v1": ("CronJob", "Job"),
    # What older clients look for.
    "batch/v1beta1": ("CronJob",),
    "extensions/v1beta1": ("Ingress",),
    "networking.k8s.io/v1": ("Ingress",),
}
_CLUSTER_KINDS = ("Namespace", "PersistentVolume")
_VERBS = ["create", "delete", "get", "list", "patch", "watch"]
_OBJECT = re.compile(
    r"(?P<root>/api/(?P<core>v1)|/apis/(?P<group>[^/]+/[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)

Document = dict[str, Any]


class ApiServer:
    """A running API server; `kubeconfig` writes a configuration that has it as context `test`.

    requests: what it was asked to change, as `PATCH /path?query`.
    objects: what it has, by path.
    rolls_out: whether workloads that it creates from now on come up.
    refusal: the message by which it refuses patches from now on.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.objects: dict[str, Document] = {}
        self.rolls_out = True
        self.refusal: str | None = None
        self._lock = threading.Lock()
        self._server = LoopbackServer(_handler_of(self))

    def kubeconfig(self, path: Path) -> Path:
        """Write a configuration for kubectl."""
        user = {"name": "nobody", "user": {}}
        cluster = {"name": "test", "cluster": {"server": f"http://{self._server.host}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "nobody"}}
        configuration = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "test"}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **configuration}))
        return path

    def close(self) -> None:
        """Stop the server."""
        self._server.close()

    def answer(self, method: str, target: str, body: Document | None) -> tuple[int, Document | bytes]:
        """Return status and document for a request."""
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        if method == "GET" and url.path in _DISCOVERY:
            return 200, _DISCOVERY[url.path]
        match = _OBJECT.fullmatch(url.path)
        if not match or not _kind_of(match):
            return _failure(404, "NotFound", "the server could not find the requested resource")
        with self._lock:
            if method != "GET":
                self.requests.append(f"{method} {target}")
            return self._operation(method, url.path, match, query, body or {})

    def _operation(
        self, method: str, path: str, match: re.Match[str], query: dict[str, str], body: Document
    ) -> tuple[int, Document | bytes]:
        before = self.objects.get(path)
        if method == "POST":
            return 201, self._keep(f"{path}/{body['metadata']['name']}", match, body, query)
        if not match["name"]:
            return 200, self._list(path, match, query)
        if before is None and not (method == "PATCH" and query.get("fieldManager") and "force" in query):
            return _failure(404, "NotFound", f'{match["plural"]} "{match["name"]}" not found')
        if method == "PATCH":
            if self.refusal:
                return _failure(400, "BadRequest", self.refusal)
            return 200, self._keep(path, match, _merged(before or {}, body), query)
        if method == "DELETE":
            del self.objects[path]
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return 200, before or {}

    def _keep(self, path: str, match: re.Match[str], document: Document, query: dict[str, str]) -> Document:
        replicas = document.get("spec", {}).get("replicas", 1)
        up = replicas if self.rolls_out else 0
        metadata = {**document["metadata"], "namespace": match["namespace"], "uid": path, "generation": 1}
        kept = {**document, "metadata": {**metadata, "resourceVersion": str(len(self.requests))}}
        if match["group"] == "apps/v1":
            counts = dict.fromkeys(("updatedReplicas", "availableReplicas", "readyReplicas"), up)
            kept["status"] = {"observedGeneration": 1, "replicas": replicas, **counts}
        if "dryRun" not in query:
            self.objects[path] = kept
        return kept

    def _list(self, path: str, match: re.Match[str], query: dict[str, str]) -> Document:
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        name = query.get("fieldSelector", "").removeprefix("metadata.name=")
        items = [
            item
            for key, item in self.objects.items()
            if key.rpartition("/")[0] == path
            and wanted.items() <= item["metadata"].get("labels", {}).items()
            and name in ("", item["metadata"]["name"])
        ]
        version = match["core"] or match["group"]
        metadata = {"resourceVersion": "1"}
        return {"kind": f"{_kind_of(match)}List", "apiVersion": version, "metadata": metadata, "items": items}


def _kind_of(match: re.Match[str]) -> str | None:
    version = match["core"] or match["group"]
    kinds = (*_KINDS.get(version, ()), *(_CLUSTER_KINDS if version == "v1" else ()))
    return next((kind for kind in kinds if _plural(kind) == match["plural"]), None)


def _plural(kind: str) -> str:
    name = kind.lower()
    return name if name == "endpoints" else f"{name}es" if name.endswith("s") else f"{name}s"


def _merged(before: Document, patch: Document) -> Document:
    """Return the outcome of a JSON merge patch (RFC 7396)."""
    merged = dict(before)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merged(merged[key] if isinstance(merged.get(key), dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _failure(code: int, reason: str, message: str) -> tuple[int, Document]:
    status = {"status": "Failure", "reason": reason, "code": code, "message": message}
    return code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, **status}


def _discovery() -> dict[str, Document | bytes]:
    known: dict[str, Document | bytes] = {
        "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0", "platform": "linux/amd64"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        # A document of protocol buffers without content: clients do not check what it has no schema for.
        "/openapi/v2": b"",
    }
    groups = []
    for version, kinds in _KINDS.items():
        group, _, number = version.rpartition("/")
        if group:
            entry = {"groupVersion": version, "version": number}
            groups.append({"name": group, "versions": [entry], "preferredVersion": entry})
        namespaced = [(kind, True) for kind in kinds]
        resources = [*namespaced, *((kind, False) for kind in _CLUSTER_KINDS if not group)]
        known[f"/apis/{version}" if group else f"/api/{version}"] = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": version,
            "resources": [
                {
                    "name": _plural(kind),
                    "singularName": kind.lower(),
                    "kind": kind,
                    "namespaced": is_namespaced,
                    "verbs": _VERBS,
                }
                for kind, is_namespaced in resources
            ],
        }
    known["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    return known


_DISCOVERY = _discovery()


def _handler_of(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            if "watch=true" in self.path:
                self._watch()
            else:
                self._answer()

        def do_POST(self) -> None:
            self._answer()

        do_PATCH = do_DELETE = do_POST  # noqa: N815  (the base class names them so)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it so)
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status, document = api.answer(self.command, self.path, json.loads(body) if body else None)
            is_json = not isinstance(document, bytes)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if is_json else "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def _watch(self) -> None:
            """Tell of no change, until the client hangs up."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.flush()
            self.rfile.read(1)
            self.close_connection = True

    return Handler


class StandIn:
    """A `kubectl` in `directory` that records how it is called, and then runs a script of the test.

    The script is one for `/bin/sh`; `$*` has the arguments.
    """

    def __init__(self, directory: Path, script: str = "") -> None:
        self.directory = directory
        self._calls = directory / "calls"
        self._environment = directory / "environment"
        directory.mkdir(exist_ok=True)
        self.plays(script)

    def plays(self, script: str) -> None:
        """Replace the script."""
        record = f"""printf '%s\\n' "$(IFS='|'; echo "$*")" >> '{self._calls}'\nenv > '{self._environment}'"""
        program = self.directory / "kubectl"
        program.write_text(f"#!/bin/sh\n{record}\n{script}\n")
        program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call so far."""
        return [line.split("|") for line in self._calls.read_text().splitlines()] if self._calls.exists() else []

    @property
    def environment(self) -> list[str]:
        """The environment of the last call, as `NAME=VALUE`."""
        return self._environment.read_text().splitlines()
