"""apply: what kubectl is asked for, what it says, and how it ends; some of it with the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundlepipe.errors import BundlepipeError, DocumentError, InputError
from bundlepipe.events import Event, OutputLine
from bundlepipe.verbs.apply import Applied, ApplyRequest, apply, diff
from tests.support.kubernetes import ApiServer, StandIn
from tests.support.services import require

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {app: x}}\ndata: {key: value}\n"
WORKLOAD = """\
apiVersion: apps/v1
kind: %s
metadata: {name: %s, labels: {app: x}}
spec:
  replicas: 2
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: registry.example/app}]}}
"""
DEPLOYMENT = WORKLOAD % ("Deployment", "web")
PASSWORD = "correct horse"
ENCODED = "Y29ycmVjdCBob3JzZQ=="
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\nstringData: {{password: {PASSWORD}}}\n"


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is applied, as `app.yml` of the working directory: a ConfigMap."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "app.yml"
    path.write_text(CONFIG_MAP)
    return path


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A kubectl that does nothing yet, first on PATH."""
    stand_in = StandIn(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{stand_in.directory}:{os.environ['PATH']}")
    return stand_in


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster that the real kubectl finds by KUBECONFIG."""
    require("kubectl")
    running = ApiServer()
    monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig(tmp_path / "kubeconfig")))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield running
    running.close()


class Lines:
    """An emitter that keeps the lines of other programs."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def __call__(self, event: Event) -> None:
        assert isinstance(event, OutputLine)
        self.all.append(event.text)


# What kubectl is asked for.


@pytest.mark.parametrize(
    ("request_", "arguments"),
    [
        (ApplyRequest(path="app.yml"), []),
        (ApplyRequest(path="app.yml", context="kind-dev"), ["--context=kind-dev"]),
        (ApplyRequest(path="app.yml", kubeconfig="k/config"), ["--kubeconfig=k/config"]),
        (ApplyRequest(path="app.yml", namespace="-n"), ["--namespace=-n"]),
        (ApplyRequest(path="app.yml", server_side=True), ["--server-side"]),
        (ApplyRequest(path="app.yml", field_manager="me"), ["--field-manager=me"]),
        (ApplyRequest(path="app.yml", force_conflicts=True), ["--force-conflicts"]),
        (ApplyRequest(path="app.yml", dry_run="client"), ["--dry-run=client"]),
        (ApplyRequest(path="app.yml", dry_run="server"), ["--dry-run=server"]),
        (ApplyRequest(path="app.yml", prune_label="app=x,tier!=y"), ["--prune", "--selector=app=x,tier!=y"]),
    ],
)
@pytest.mark.usefixtures("rendered")
def test_each_option_is_one_of_kubectl(request_: ApplyRequest, arguments: list[str], kubectl: StandIn) -> None:
    apply(request_)
    (call,) = kubectl.calls
    assert call[0] == "apply"
    assert sorted(call[1:]) == sorted([*arguments, "--filename=app.yml"])


@pytest.mark.usefixtures("rendered")
def test_options_come_in_one_order(kubectl: StandIn) -> None:
    request = ApplyRequest(
        path="app.yml", wait="5m", prune_label="app=x", dry_run="server", force_conflicts=True, field_manager="me",
        server_side=True, namespace="n", context="c", kubeconfig="k",
    )  # fmt: skip
    apply(request)
    options = "--kubeconfig=k --context=c --namespace=n --filename=app.yml --server-side --force-conflicts --prune"
    last = "--field-manager=me --dry-run=server --selector=app=x"
    assert kubectl.calls == [["apply", *options.split(), *last.split()]]


@pytest.mark.usefixtures("rendered")
def test_kubectl_has_our_environment(kubectl: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "a:b")
    apply(ApplyRequest(path="app.yml"))
    assert "KUBECONFIG=a:b" in kubectl.environment


# What it says.


@pytest.mark.usefixtures("rendered")
def test_its_lines_are_told_and_counted(kubectl: StandIn) -> None:
    lines = Lines()
    said = [
        "Warning: policy/v1beta1 PodDisruptionBudget is deprecated",
        "namespace/a created",
        "configmap/settings unchanged",
        "clusterrole.rbac.authorization.k8s.io/system:reader configured (server dry run)",
        "deployment.apps/web configured",
        "service/web serverside-applied",
        "job.batch/old pruned",
        "secret/created is not a result",
    ]
    kubectl.plays(f"cat <<'END'\n{chr(10).join(said)}\nEND\necho to stderr >&2")
    applied = apply(ApplyRequest(path="app.yml"), lines)
    assert applied == Applied({"created": 1, "unchanged": 1, "configured": 2, "serverside-applied": 1, "pruned": 1})
    assert lines.all == [*said, "to stderr"]


@pytest.mark.usefixtures("rendered")
def test_the_exit_status_decides_and_not_what_is_said(kubectl: StandIn) -> None:
    kubectl.plays("echo error: this is nothing")
    assert apply(ApplyRequest(path="app.yml")).counts == {}
    kubectl.plays("echo configmap/settings created; exit 1")
    with pytest.raises(BundlepipeError, match=r"^app\.yml: cannot be applied: kubectl failed with exit status 1: "):
        apply(ApplyRequest(path="app.yml"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("configmap/a created\nerror: no context\n", "error: no context"),
        ("Error from server (Forbidden): a\nW1125 12:00:00 prune.go:71] old\nError from server: b\n at c\n",
         "Error from server: b  at c"),
        ('error: x\nThe Deployment "web" is invalid: \n* spec.a: Required\n',
         'The Deployment "web" is invalid:  * spec.a: Required'),
        ("kubectl: cannot execute\n", "kubectl: cannot execute"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("rendered")
def test_a_failure_says_the_last_error_in_one_line(said: str, words: str, kubectl: StandIn) -> None:
    kubectl.plays(f"cat >&2 <<'END'\n{said}END\nexit 7")
    with pytest.raises(BundlepipeError) as caught:
        apply(ApplyRequest(path="app.yml"))
    assert str(caught.value) == f"app.yml: cannot be applied: kubectl failed with exit status 7: {words}"


@pytest.mark.usefixtures("rendered")
def test_a_failure_without_words_says_how_kubectl_ended(kubectl: StandIn) -> None:
    for script, how in {"exit 7": "failed with exit status 7", "kill -9 $$": "was ended by signal 9"}.items():
        kubectl.plays(script)
        with pytest.raises(BundlepipeError) as caught:
            apply(ApplyRequest(path="app.yml"))
        assert str(caught.value) == f"app.yml: cannot be applied: kubectl {how}"


@pytest.mark.usefixtures("rendered")
def test_without_kubectl_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BundlepipeError, match=r"^app\.yml: cannot be applied: there is no kubectl on PATH: install it"):
        apply(ApplyRequest(path="app.yml"))


def test_what_cannot_be_read_is_told_before_anything_is_applied(rendered: Path, kubectl: StandIn) -> None:
    with pytest.raises(InputError, match=r"^missing\.yml: cannot be read: No such file"):
        apply(ApplyRequest(path="missing.yml"))
    rendered.write_text("a: [\n")
    with pytest.raises(DocumentError, match=r"^app\.yml:2:1: "):
        apply(ApplyRequest(path="app.yml"))
    assert kubectl.calls == []


# Secrets.


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        SECRET.replace("stringData", "data").replace(PASSWORD, ENCODED),
        f"apiVersion: v1\nkind: List\nitems:\n- {{kind: Secret, stringData: {{<<: {{8080: {PASSWORD}}}}}}}\n",
        f"kind: Secret\nstringData:\n  key: |\n    first line\n    {PASSWORD}\n",
    ],
    ids=["text", "base64", "merged into an item of a list", "a line of several"],
)
def test_what_secrets_hold_is_never_shown(secret: str, rendered: Path, kubectl: StandIn) -> None:
    lines = Lines()
    rendered.write_text(secret)
    kubectl.plays(f"echo 'error: Invalid value: \"{PASSWORD}\"' >&2; exit 1")
    with pytest.raises(BundlepipeError) as caught:
        apply(ApplyRequest(path="app.yml"), lines)
    assert lines.all == ['error: Invalid value: "***"']
    assert str(caught.value).endswith('error: Invalid value: "***"')


def test_the_other_spelling_of_a_secret_is_not_shown_either(rendered: Path, kubectl: StandIn) -> None:
    lines = Lines()
    rendered.write_text(SECRET)
    kubectl.plays(f"echo {ENCODED}")
    apply(ApplyRequest(path="app.yml"), lines)
    assert lines.all == ["***"]


def test_a_word_of_a_secret_does_not_blot_out_results(rendered: Path, kubectl: StandIn) -> None:
    lines = Lines()
    rendered.write_text(SECRET.replace(PASSWORD, "admin"))
    kubectl.plays("echo serviceaccount/admin created")
    assert apply(ApplyRequest(path="app.yml"), lines).counts == {"created": 1}
    assert lines.all == ["serviceaccount/admin created"]


# Rollouts.


def _two_workloads(rendered: Path) -> None:
    """Write what rolls out, among what does not."""
    away = (WORKLOAD % ("StatefulSet", "db")).replace("labels: {app: x}", "namespace: away", 1)
    by_hand = (WORKLOAD % ("DaemonSet", "by-hand")).replace("spec:", "spec:\n  updateStrategy: {type: OnDelete}", 1)
    alien = DEPLOYMENT.replace("apps/v1", "example.com/v1").replace("web", "alien")
    rendered.write_text("---\n".join([CONFIG_MAP, DEPLOYMENT, away, by_hand, alien]))


def test_rollouts_of_workloads_are_waited_for(rendered: Path, kubectl: StandIn) -> None:
    lines = Lines()
    _two_workloads(rendered)
    kubectl.plays('[ "$1" = apply ] || echo rolled out')
    apply(ApplyRequest(path="app.yml", context="c", namespace="n", wait="5m"), lines)
    first, *rest = kubectl.calls
    assert first[0] == "apply"
    assert sorted(rest) == [
        ["rollout", "status", "--context=c", "--namespace=away", "--timeout=5m", "statefulset/db"],
        ["rollout", "status", "--context=c", "--namespace=n", "--timeout=5m", "deployment/web"],
    ]
    assert lines.all == ["rolled out"] * 2


@pytest.mark.parametrize(
    "request_", [ApplyRequest(path="app.yml"), ApplyRequest(path="app.yml", wait="5m", dry_run="server")]
)
def test_rollouts_are_not_waited_for_unasked_or_after_a_dry_run(
    request_: ApplyRequest, rendered: Path, kubectl: StandIn
) -> None:
    rendered.write_text(DEPLOYMENT)
    apply(request_)
    assert len(kubectl.calls) == 1


def test_what_lacks_the_label_is_not_applied_and_not_waited_for(rendered: Path, kubectl: StandIn) -> None:
    _two_workloads(rendered)
    kubectl.plays("echo deployment.apps/web configured")
    apply(ApplyRequest(path="app.yml", prune_label="app=x", wait="5m"))
    assert [call[-1] for call in kubectl.calls[1:]] == ["deployment/web"]


def test_the_first_rollout_that_fails_ends_the_wait_for_others(rendered: Path, kubectl: StandIn) -> None:
    _two_workloads(rendered)
    kubectl.plays('case "$*" in *db) exec sleep 60;; *web) echo error: timed out >&2; exit 1;; esac')
    with pytest.raises(BundlepipeError) as caught:
        apply(ApplyRequest(path="app.yml", wait="5m"))
    assert str(caught.value) == (
        "deployment/web: was applied, but is not up: kubectl failed with exit status 1: error: timed out"
    )


# With the real kubectl.


def test_kubectl_creates_configures_and_leaves_alone(rendered: Path, cluster: ApiServer) -> None:
    lines = Lines()
    rendered.write_text(f"{CONFIG_MAP}---\n{DEPLOYMENT}")
    request = ApplyRequest(path="app.yml", context="test", namespace="n", wait="30s")
    assert apply(request).counts == {"created": 2}
    assert apply(request).counts == {"unchanged": 2}
    rendered.write_text(f"{CONFIG_MAP}---\n{DEPLOYMENT}".replace("key: value", "key: other"))
    assert apply(request, lines).counts == {"configured": 1, "unchanged": 1}
    assert lines.all == [
        "configmap/settings configured",
        "deployment.apps/web unchanged",
        'deployment "web" successfully rolled out',
    ]
    assert cluster.objects["/api/v1/namespaces/n/configmaps/settings"]["data"] == {"key": "other"}


def test_kubectl_changes_nothing_in_a_dry_run(rendered: Path, cluster: ApiServer) -> None:
    lines = Lines()
    rendered.write_text(f"{CONFIG_MAP}---\n{DEPLOYMENT}")
    assert apply(ApplyRequest(path="app.yml", dry_run="client"), lines).counts == {"created": 2}
    assert lines.all == ["configmap/settings created (dry run)", "deployment.apps/web created (dry run)"]
    assert cluster.requests == []


def test_kubectl_applies_on_the_server_side(cluster: ApiServer, rendered: Path) -> None:
    request = ApplyRequest(path=rendered.name, server_side=True, field_manager="me", force_conflicts=True)
    assert apply(request).counts == {"serverside-applied": 1}
    (asked,) = cluster.requests
    assert asked.startswith("PATCH /api/v1/namespaces/default/configmaps/settings?")
    assert "fieldManager=me" in asked and "force=true" in asked


def test_kubectl_prunes_what_has_the_label_and_is_rendered_no_more(rendered: Path, cluster: ApiServer) -> None:
    rendered.write_text(f"{CONFIG_MAP}---\n{DEPLOYMENT}")
    apply(ApplyRequest(path="app.yml"))
    rendered.write_text(CONFIG_MAP)
    assert apply(ApplyRequest(path="app.yml", prune_label="app=x")).counts == {"unchanged": 1, "pruned": 1}
    assert list(cluster.objects) == ["/api/v1/namespaces/default/configmaps/settings"]


@pytest.mark.usefixtures("cluster")
def test_a_path_may_have_what_separates_paths(rendered: Path) -> None:
    rendered.rename('a, "b".yml')
    assert apply(ApplyRequest(path='a, "b".yml')).counts == {"created": 1}


def test_a_change_that_is_refused_is_not_shown_whole(rendered: Path, cluster: ApiServer) -> None:
    lines = Lines()
    rendered.write_text(SECRET)
    apply(ApplyRequest(path="app.yml"))
    rendered.write_text(SECRET.replace(PASSWORD, "battery staple"))
    cluster.refusal = "not today"
    with pytest.raises(BundlepipeError, match=r"error when applying patch: \{\.\.\.\} to: .*: not today$"):
        apply(ApplyRequest(path="app.yml"), lines)
    assert "{...}" in lines.all
    # Neither the new nor the old one, however it is spelled.
    for secret in ("battery", "YmF0dGVyeSBzdGFwbGU=", PASSWORD, ENCODED):
        assert secret not in "\n".join(lines.all)


@pytest.mark.usefixtures("cluster", "rendered")
def test_a_context_that_is_missing_is_told_by_kubectl() -> None:
    with pytest.raises(
        BundlepipeError, match=r'kubectl failed with exit status 1: error: context "away" does not exist$'
    ):
        apply(ApplyRequest(path="app.yml", context="away"))


# What it would change.


@pytest.mark.usefixtures("rendered")
def test_a_diff_has_the_options_of_the_apply(kubectl: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", "meld")
    request = ApplyRequest(
        path="app.yml", wait="5m", prune_label="app=x", dry_run="server", force_conflicts=True, field_manager="me",
        server_side=True, namespace="n", context="c", kubeconfig="k",
    )  # fmt: skip
    assert diff(request) == ""
    options = "--kubeconfig=k --context=c --namespace=n --filename=app.yml --server-side --force-conflicts --prune"
    assert kubectl.calls == [["diff", *options.split(), "--field-manager=me", "--selector=app=x"]]
    assert "KUBECTL_EXTERNAL_DIFF=diff -u -N" in kubectl.environment


@pytest.mark.usefixtures("rendered")
def test_a_diff_shows_what_the_real_kubectl_would_change_and_changes_nothing(
    cluster: ApiServer, rendered: Path
) -> None:
    new = diff(ApplyRequest(path="app.yml"))
    assert new.startswith("--- cluster/v1.ConfigMap.default.settings\n+++ rendered/v1.ConfigMap.default.settings\n@@ ")
    assert "+  key: value\n" in new and "LIVE" not in new and not cluster.objects
    apply(ApplyRequest(path="app.yml"))
    assert diff(ApplyRequest(path="app.yml")) == ""
    objects = dict(cluster.objects)
    rendered.write_text(CONFIG_MAP.replace("value", "other"))
    changed = diff(ApplyRequest(path="app.yml"))
    assert "-  key: value\n" in changed and "+  key: other\n" in changed and cluster.objects == objects


@pytest.mark.usefixtures("cluster")
def test_a_diff_does_not_show_the_values_of_secrets(rendered: Path) -> None:
    rendered.write_text(SECRET)
    shown = diff(ApplyRequest(path="app.yml"))
    assert "Secret" in shown and PASSWORD not in shown and ENCODED not in shown


@pytest.mark.usefixtures("rendered")
def test_a_diff_that_fails_is_one_line(kubectl: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl.plays("echo error: no >&2; exit 2")
    with pytest.raises(BundlepipeError) as failure:
        diff(ApplyRequest(path="app.yml"))
    cannot = "app.yml: cannot be compared with the cluster: "
    assert str(failure.value) == f"{cannot}kubectl failed with exit status 2: error: no"
    (kubectl.directory / "kubectl").unlink()
    monkeypatch.setenv("PATH", str(kubectl.directory))
    with pytest.raises(BundlepipeError) as failure:
        diff(ApplyRequest(path="app.yml"))
    assert str(failure.value).startswith(f"{cannot}there is no kubectl on PATH: install it")
