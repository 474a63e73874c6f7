"""200 bundles of 10 files and nothing to do: bundlepipe beside plain doit with the same 2,000 file_deps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from statistics import median
from types import ModuleType

from benchmarks._measure import DOIT, in_turn, ratio, report, run_once, scratch

BUNDLES, FILES, ROUNDS = 200, 10, 11
PLAIN = """\
DOIT_CONFIG = {{"default_tasks": ["push"]}}

def push():
    pass

def task_push():
    for number in range({bundles}):
        config = f"../flat/apps/app-{{number:03}}/config"
        files = [f"{{config}}/part-{{file:02}}.yml" for file in range({files})]
        yield {{"name": f"app-{{number:03}}", "actions": [push], "file_dep": files}}
"""


def load_generator() -> ModuleType:
    """Import examples/monorepo/generate.py, which is a program and in no package."""
    path = Path(__file__).parents[1] / "examples/monorepo/generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Print the ratios."""
    with scratch() as directory:
        generate = load_generator()
        generate.write_monorepo(directory / "flat", BUNDLES, FILES, flat=True)
        generate.write_monorepo(directory / "nested", BUNDLES, FILES)
        (directory / "plain").mkdir()
        (directory / "plain/dodo.py").write_text(PLAIN.format(bundles=BUNDLES, files=FILES))
        names = ("plain", "flat", "nested")
        for name in names:
            # Twice: what was written a moment ago is hashed once more before its stamps are trusted.
            run_once([*DOIT], directory / name)
            run_once(["sleep", "2.5"], directory)
            run_once([*DOIT], directory / name)
        commands = [lambda name=name: run_once([*DOIT], directory / name) for name in names]
        plain, flat, nested = in_turn(commands, ROUNDS)
    report("plain doit, 2,000 file_deps", f"{median(plain):.3f} s", "(reference)")
    report("200 bundles, side by side", f"{median(flat):.3f} s, {ratio(flat, plain):.2f} x plain", "2 x, 0.25 s")
    report(
        "200 bundles, each locking two others", f"{median(nested):.3f} s, {ratio(nested, plain):.2f} x plain", "(none)"
    )


if __name__ == "__main__":
    main()
