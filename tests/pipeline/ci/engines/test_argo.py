"""The Workflow for Argo: how waves depend on one another, what is kept where, and settings as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given

from bundlepipe import CI, Argo
from bundlepipe.errors import BundlepipeError
from bundlepipe.pipeline.ci.engines.argo import argo
from bundlepipe.pipeline.ci.engines.common import Place
from tests.support.ci import BELOW, FULL, ROOT, hostile, kubelet_text, parsed, texts

ENDED = " || ".join(f"wave-2.{state}" for state in ("Succeeded", "Skipped", "Failed", "Errored", "Omitted"))


def templates_of(text: str) -> dict[str, Any]:
    return {template["name"]: template for template in parsed(text)["spec"]["templates"]}


def tasks_of(text: str) -> dict[str, Any]:
    return {task["name"]: task for task in templates_of(text)["bundles"]["dag"]["tasks"]}


def by_name(items: list[Any]) -> dict[str, Any]:
    return {item["name"]: item for item in items}


def test_waves_wait_for_one_another_also_across_empty_ones() -> None:
    tasks = tasks_of(argo(CI(waves=2), ROOT))
    assert tasks["wave-1"]["depends"] == "plan.Succeeded"
    assert tasks["wave-2"]["depends"] == "plan.Succeeded && (wave-1.Succeeded || wave-1.Skipped)"
    assert tasks["report"]["depends"] == f"plan.Succeeded && ({ENDED})"
    assert tasks["report"]["when"] == "'{{tasks.plan.outputs.parameters.has-work}}' == 'true'"
    for number in (1, 2):
        assert tasks[f"wave-{number}"]["withParam"] == f"{{{{tasks.plan.outputs.parameters.wave-{number}}}}}"
    declared = by_name(templates_of(argo(CI(waves=2), ROOT))["plan"]["outputs"]["parameters"])
    assert set(declared) == {"commit", "has-work", "wave-1", "wave-2"}


def test_shards_of_environments_run_one_at_a_time() -> None:
    text = argo(FULL, ROOT)
    tasks, templates = tasks_of(text), templates_of(text)
    assert tasks["wave-1"]["when"] == "'{{item.environment}}' == ''"
    assert tasks["wave-1-in-environment"]["when"] == "'{{item.environment}}' != ''"
    assert "(wave-1-in-environment.Succeeded || wave-1-in-environment.Skipped)" in tasks["wave-2"]["depends"]
    mutexes = templates["shard-in-environment"]["synchronization"]["mutexes"]
    assert mutexes == [{"name": "{{inputs.parameters.environment}}"}]
    assert "synchronization" not in templates["shard"]
    assert "shard-in-environment" not in templates_of(argo(CI(), ROOT))


def test_all_pods_have_the_commit_that_was_planned() -> None:
    templates = templates_of(argo(FULL, ROOT))
    for name, template in templates.items():
        if name not in ("bundles", "plan"):
            assert (
                by_name(template["inputs"]["artifacts"])["source"]["git"]["revision"] == "{{inputs.parameters.commit}}"
            )


def test_artifacts_are_found_by_the_keys_that_they_are_kept_under() -> None:
    templates = templates_of(argo(FULL, ROOT))
    plan = by_name(templates["plan"]["outputs"]["artifacts"])["plan"]["gcs"]
    for name in ("shard", "report"):
        assert by_name(templates[name]["inputs"]["artifacts"])["plan"]["gcs"] == plan
    report = by_name(templates["shard"]["outputs"]["artifacts"])["report"]["gcs"]["key"]
    assert report.startswith(by_name(templates["report"]["inputs"]["artifacts"])["reports"]["gcs"]["key"] + "/")


def test_only_pods_that_use_registries_have_secrets() -> None:
    for name, template in templates_of(argo(FULL, ROOT)).items():
        if name != "bundles":
            variables = by_name(template["container"]["env"])
            has = {each for each in FULL.secrets if "valueFrom" in variables.get(each, {})}
            assert has == (set() if name == "report" else set(FULL.secrets))


def test_a_pipeline_below_the_root_works_in_its_directory() -> None:
    for name, template in templates_of(argo(CI(), BELOW)).items():
        if name != "bundles":
            assert template["container"]["workingDir"] == "/src/apps/a b"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"install": "x {{y}}"}, "ci: install: Argo Workflows replaces what is in {{ and }}"),
        ({"login": "{{=x}}"}, "ci: login: Argo"),
        ({"variables": {"A": "{{a}}"}}, r"ci: variables\.A: Argo"),
    ],
)
def test_what_argo_would_replace_is_an_error(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(BundlepipeError, match=told):
        argo(CI(**settings), ROOT)


def test_names_are_those_of_kubernetes() -> None:
    for path, name in {
        "argo/Our Bundles_1.yml": "our-bundles-1-",
        "_.yml": "bundles-",
        f"{'a' * 80}.yml": "a" * 50 + "-",
    }.items():
        assert parsed(argo(CI(), Place(path=path)))["metadata"]["generateName"] == name


@given(install=texts, login=texts, value=hostile, own=hostile, image=texts, secret=texts)
def test_settings_reach_pods_as_they_are(
    install: str, login: str, value: str, own: str, image: str, secret: str
) -> None:
    assume(not any("{{" in text for text in (install, login, value)))
    ci = CI(
        install=install,
        login=login,
        variables={"V": value},
        secrets=["TOKEN"],
        argo=Argo(image=image, secret=secret, variables={"OWN": own}),
    )
    container = templates_of(argo(ci, ROOT))["shard"]["container"]
    assert f"\n{install}\n{login}\n" in kubelet_text(container["args"][0])
    variables = by_name(container["env"])
    assert kubelet_text(variables["V"]["value"]) == value
    assert variables["OWN"]["value"] == own
    assert variables["TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == secret
    assert container["image"] == image
