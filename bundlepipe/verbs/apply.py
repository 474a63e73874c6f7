"""apply: give rendered configuration to a cluster, or compare it with one, through the `kubectl` on PATH."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from bundlepipe.concurrency.parallel import in_parallel
from bundlepipe.concurrency.processes import TakeLine, run_program
from bundlepipe.documents.resources import Resource, find_resources
from bundlepipe.errors import BundlepipeError, ProgramError, ProgramMissing, shortened
from bundlepipe.events import Emit, OutputLine, ignore
from bundlepipe.filesystem.base_directory import anchored
from bundlepipe.filesystem.files import read_file
from bundlepipe.redaction import Redactor

_KUBECTL = "kubectl"
_RESULT = re.compile(
    r"(?P<resource>[a-z0-9.-]+/\S+) (?P<how>created|configured|unchanged|serverside-applied|pruned)"
    r"(?: \((?:server )?dry run\))?"
)
# How error messages begin; the last is for an object that the server finds invalid.
_ERRORS = ("error", "Error", "The ")
_LONGEST_WORDS = 1000
# The exit status of `kubectl diff` if there are differences; a higher one is a failure.
_DIFFERENT = 1
# Whatever program the user compares with.
_PLAIN_DIFF = {"KUBECTL_EXTERNAL_DIFF": "diff -u -N", "LC_ALL": "C"}
_SIDE = re.compile(r"^(?P<sign>---|\+\+\+) .*?/(?P<side>LIVE|MERGED)-\d+/(?P<name>\S+).*")


class ApplyRequest(Struct, frozen=True, kw_only=True):
    """What to apply and how: the file `path`, and options of kubectl, omitted if None or False.

    `wait` is the time limit for rollouts of the applied workloads, in kubectl's notation; with None, and after
    a dry run, rollouts are not awaited.
    """

    path: str
    context: str | None = None
    namespace: str | None = None
    kubeconfig: str | None = None
    server_side: bool = False
    field_manager: str | None = None
    force_conflicts: bool = False
    dry_run: Literal["client", "server"] | None = None
    prune_label: str | None = None
    wait: str | None = None


class Applied(Struct, frozen=True):
    """How many resources kubectl called `created`, `configured`, `unchanged`, ...: for display, not to rely on."""

    counts: Mapping[str, int] = field(default_factory=dict)


def apply(request: ApplyRequest, emit: Emit = ignore) -> Applied:
    """Apply a file of resources, and wait for their rollouts if requested.

    kubectl's lines are emitted as they come, without values of the file's Secrets and without whole
    objects, which kubectl prints for a refused change. Raises InputError if the file cannot be
    read, DocumentError if it is not YAML, BundlepipeError if there is no kubectl, or with its last
    words if it fails.
    """
    resources = find_resources(read_file(request.path), request.path)
    output = _Output(resources, emit)
    _run(apply_command(request), output.take, f"{request.path}: cannot be applied", output)
    if request.wait and not request.dry_run:
        _wait([resource for resource in resources if resource.rolls_out], request, output)
    return Applied(output.counts)


def diff(request: ApplyRequest) -> str:
    """Return what an apply would change in the cluster, by `kubectl diff`, as a unified diff; empty if nothing.

    The server is asked what the objects would be, and changes none. Values of Secrets are left out. Raises what
    `apply` raises.
    """
    resources = find_resources(read_file(request.path), request.path)
    lines: list[str] = []
    output, failed = _Output(resources, ignore), f"{request.path}: cannot be compared with the cluster"
    try:
        run_program(diff_command(request), lines.append, environment=_PLAIN_DIFF)
    except ProgramError as error:
        if error.status != _DIFFERENT:
            raise _failure(failed, error, output) from None
    except ProgramMissing:
        raise _no_kubectl(failed) from None
    shown = (_SIDE.sub(_side, output.shown(line)) for line in lines if not line.startswith("diff "))
    return "".join(f"{line}\n" for line in shown)


def _side(match: re.Match[str]) -> str:
    """Return the line of a diff that names a file of kubectl, without its directory and time."""
    return f"{match['sign']} {'cluster' if match['side'] == 'LIVE' else 'rendered'}/{match['name']}"


def diff_command(request: ApplyRequest) -> list[str]:
    """Return the kubectl command that compares the file, as it is seen, with the cluster."""
    options = {"field-manager": request.field_manager, "selector": request.prune_label}
    flags = {
        "server-side": request.server_side,
        "force-conflicts": request.force_conflicts,
        "prune": bool(request.prune_label),
    }
    return [
        *(_KUBECTL, "diff"),
        *_cluster_options(request, request.namespace),
        f"--filename={_in_list(anchored(request.path))}",
        *(f"--{name}" for name, is_set in flags.items() if is_set),
        *_options(options),
    ]


def apply_command(request: ApplyRequest) -> list[str]:
    """Return the kubectl command that applies the file."""
    options = {
        "field-manager": request.field_manager,
        "dry-run": request.dry_run,
        "selector": request.prune_label,
    }
    flags = {
        "server-side": request.server_side,
        "force-conflicts": request.force_conflicts,
        "prune": bool(request.prune_label),
    }
    return [
        *(_KUBECTL, "apply"),
        *_cluster_options(request, request.namespace),
        f"--filename={_in_list(request.path)}",
        *(f"--{name}" for name, is_set in flags.items() if is_set),
        *_options(options),
    ]


def rollout_command(resource: Resource, request: ApplyRequest) -> list[str]:
    """Return the command that waits for the rollout of a workload."""
    return [
        *(_KUBECTL, "rollout", "status"),
        *_cluster_options(request, resource.text("metadata", "namespace") or request.namespace),
        *_options({"timeout": request.wait}),
        _name(resource),
    ]


def _cluster_options(request: ApplyRequest, namespace: str | None) -> Iterator[str]:
    return _options({"kubeconfig": request.kubeconfig, "context": request.context, "namespace": namespace})


def _options(values: Mapping[str, str | None]) -> Iterator[str]:
    return (f"--{name}={value}" for name, value in values.items() if value)


def _in_list(path: str) -> str:
    """Return a path for an option that takes a list in CSV format."""
    return '"' + path.replace('"', '""') + '"' if re.search(r'[,"\r\n]', path) else path


def _name(resource: Resource) -> str:
    return f"{(resource.kind or '').lower()}/{resource.text('metadata', 'name')}"


def _wait(workloads: Sequence[Resource], request: ApplyRequest, output: _Output) -> None:
    """Wait for all rollouts at once: they run in parallel, and the first failure decides."""
    if request.prune_label:
        # Without this label, kubectl did not apply the resource.
        workloads = [workload for workload in workloads if _name(workload) in output.applied]

    def wait(workload: Resource) -> None:
        _run(rollout_command(workload, request), output.emit, f"{_name(workload)}: was applied, but is not up", output)

    in_parallel(wait, workloads)


def _run(command: Sequence[str], take_line: TakeLine, what_failed: str, output: _Output) -> None:
    try:
        run_program(command, take_line)
    except ProgramMissing:
        raise _no_kubectl(what_failed) from None
    except ProgramError as error:
        raise _failure(what_failed, error, output) from None


def _no_kubectl(what_failed: str) -> BundlepipeError:
    return BundlepipeError(
        f"{what_failed}: there is no kubectl on PATH: "
        "install it (https://kubernetes.io/docs/tasks/tools/), or put its directory on PATH"
    )


def _failure(what_failed: str, error: ProgramError, output: _Output) -> BundlepipeError:
    words = shortened(" ".join(map(output.shown, _last_words(error.tail))), _LONGEST_WORDS)
    return BundlepipeError(f"{what_failed}: kubectl {error.reason}{words and f': {words}'}")


def _last_words(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines from the beginning of the last error; if none is marked as an error, the last line."""
    errors = [index for index, line in enumerate(lines) if line.startswith(_ERRORS)]
    return lines[errors[-1] :] if errors else lines[-1:]


class _Output:
    """kubectl's output, with secrets removed; may be used by several threads at once, except `take`."""

    def __init__(self, resources: Sequence[Resource], emit: Emit) -> None:
        self.counts: Counter[str] = Counter()
        self.applied: set[str] = set()
        self._emit = emit
        self._redactor = Redactor()
        for resource in resources:
            for secret in resource.secrets:
                self._redactor.keep(*_spellings(secret))

    def take(self, line: str) -> None:
        """Emit a line of `kubectl apply`, and count its result."""
        result = _RESULT.fullmatch(line)
        if result:
            self.counts[result["how"]] += 1
            kind, _, name = result["resource"].partition("/")
            self.applied.add(f"{kind.partition('.')[0]}/{name}")
        self.emit(line)

    def emit(self, line: str) -> None:
        """Emit a line."""
        self._emit(OutputLine(self.shown(line)))

    def shown(self, line: str) -> str:
        """Return a line without secrets. Result lines have none, but may have words that equal one."""
        if _RESULT.fullmatch(line):
            return line
        return "{...}" if line.startswith("{") else self._redactor.redact(line)


def _spellings(secret: str) -> Iterator[str]:
    """Yield a secret in its encodings in a Secret, and line by line, since that is how it is shown."""
    texts = {secret, base64.b64encode(secret.encode()).decode()}
    # It may not be base64, or not encode text.
    with contextlib.suppress(ValueError):
        texts.add(base64.b64decode(secret, validate=True).decode())
    for text in texts:
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield from text.splitlines()
