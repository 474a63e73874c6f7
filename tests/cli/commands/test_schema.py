from __future__ import annotations

import json
from pathlib import Path

from tests.support.command import Command

SCHEMAS = Path(__file__).parents[3] / "schemas"


def test_every_schema_is_printed(command: Command) -> None:
    names = command("bundlepipe", "schema").output.split()
    assert names == sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.iterdir())
    for name in names:
        text = command("bundlepipe", "schema", name).output
        assert text == (SCHEMAS / f"{name}.schema.json").read_text()
        assert json.loads(text)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_unknown_name(command: Command) -> None:
    assert command("bundlepipe", "schema", "pipelien").failed == (
        "bundlepipe: Error: 'pipelien': there is no such schema: expected bundle, bundle-lock, ci-graph, copy, "
        "diagnosis, diff, graph, image-locations, images-lock, kbld-config, lock-file, lock-merge, pipeline, plan, "
        "problems, pull, push, report\n"
    )


def test_other_tools_have_none(command: Command) -> None:
    assert command("imgpkg", "schema").failed == (
        "imgpkg: Error: command 'imgpkg' does not accept extra arguments 'schema'\n"
    )
