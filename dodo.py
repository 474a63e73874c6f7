"""The tasks of development: `./doitw list` lists them, `./doitw help TASK` describes one.

`./doitw` alone runs the checks that a change has to pass: lint, typecheck, test.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import Any

from doit import task_params
from doit.action import CmdAction
from doit.exceptions import TaskFailed
from doit.tools import config_changed

Task = dict[str, Any]

ROOT = Path(__file__).parent
CACHE = ROOT / ".cache"
CACHE.mkdir(exist_ok=True)
COVERAGE = CACHE / "coverage"
# How many of the least covered files are named.
_LEAST_COVERED = 10

DOIT_CONFIG = {
    # `test` takes all arguments after it, so it is the last.
    "default_tasks": ["lint", "typecheck", "test"],
    # JSON, because Pythons differ in their dbm formats, and a checkout is used with several.
    "backend": "json",
    "dep_file": str(CACHE / "doit.json"),
}

DRAWING = ["docs/draw_benchmarks.py", "docs/draw_pictures.py", "docs/draw_tasks.py"]
CODE = ["benchmarks", "bundlepipe", *DRAWING, "dodo.py", "examples", "tests"]
TYPED_CODE = [tree for tree in CODE if tree != "examples"]
PROSE = ["docs", "schemas", "doitw", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
WORDS = "codespell-words.txt"
SHIPPED = [*CODE, *PROSE, "LICENSE", "mkdocs.yml", WORDS]

# For interactive programs: they have the terminal, and their output appears immediately.
UNCAPTURED: Task = {"verbosity": 2, "io": {"capture": False}}


def task_demo() -> Task:
    """lock, push and pull a bundle, offline, then change it and run again"""
    return {"actions": [[sys.executable, "examples/quickstart/demo.py"]], **UNCAPTURED}


def task_lint() -> Iterator[Task]:
    """check the style of the code, that its imports point downwards only, and the spelling"""
    yield {"name": None, "doc": task_lint.__doc__}
    ruff = {"file_dep": [*_files(CODE, "*.py"), "pyproject.toml"], "uptodate": [_same_versions("ruff")]}
    yield {
        "name": "rules",
        "doc": "ruff's rules, chosen in pyproject.toml",
        "actions": [[_tool("ruff"), "check", *CODE]],
        "clean": [(_remove, [CACHE / "ruff"])],
        **ruff,
    }
    yield {
        "name": "format",
        "doc": "ruff's format; `./doitw format` applies it",
        "actions": [[_tool("ruff"), "format", "--diff", *CODE]],
        **ruff,
    }
    yield {
        "name": "imports",
        "doc": "the imports that .importlinter allows",
        "actions": [[_tool("lint-imports"), "--cache-dir", str(CACHE / "import-linter")]],
        "file_dep": [*_files(["bundlepipe"], "*.py"), ".importlinter"],
        "uptodate": [_same_versions("import-linter")],
        "clean": [(_remove, [CACHE / "import-linter"])],
    }
    yield {
        "name": "pictures",
        "doc": "the pictures of the folders, drawn from the code, and those of the benchmarks and of tasks",
        "actions": [[sys.executable, "-m", "docs.draw_pictures", "--check"]],
        "file_dep": [
            *_files(["bundlepipe"], "*.py"),
            *_files(["bundlepipe"], "*.css"),
            *_files(["examples/quickstart"]),
            *_files(["docs/pictures", "docs/explanation"]),
            *DRAWING,
            "benchmarks/_comparison.py",
        ],
        "uptodate": [_same_versions("grimp")],
    }
    yield {
        "name": "spelling",
        "doc": f"misspelled words, and except in tests those of {WORDS}",
        "actions": [
            [_tool("codespell"), f"--dictionary=-,{WORDS}", *PROSE, *(tree for tree in CODE if tree != "tests")],
            [_tool("codespell"), "tests"],
        ],
        "file_dep": [*_files([*PROSE, *CODE]), WORDS],
        "uptodate": [_same_versions("codespell")],
    }


def task_pictures() -> Task:
    """draw the pictures of the folders, of the benchmarks and of tasks"""
    return {"actions": [[sys.executable, "-m", "docs.draw_pictures"]]}


def task_format() -> Task:
    """rewrite the code in the style that lint expects, as far as ruff can"""
    return {
        "actions": [
            [_tool("ruff"), "check", "--fix-only", *CODE],
            [_tool("ruff"), "format", *CODE],
        ],
        "verbosity": 2,
    }


def task_typecheck() -> Task:
    """check the types, strictly"""
    return {
        "actions": [[_tool("mypy")]],
        "file_dep": [*_files(TYPED_CODE, "*.py"), "pyproject.toml"],
        "uptodate": [_same_versions("mypy", "types-PyYAML", "types-docker", "types-jsonschema")],
        "clean": [(_remove, [CACHE / "mypy"])],
    }


# Tests wait for services and for processes part of their time.
_WORKERS = str((os.cpu_count() or 1) + 1)


# Options and arguments of the tasks that run tests.
_TESTS: Task = {
    "params": [
        {"name": "keyword", "short": "k", "long": "keyword", "default": "", "help": "only tests whose names match"},
        {"name": "workers", "short": "n", "long": "workers", "default": _WORKERS, "help": "parallel processes"},
        {
            "name": "exit_first",
            "short": "x",
            "long": "exitfirst",
            "type": bool,
            "default": False,
            "help": "stop at the first failure",
        },
        {"name": "slow", "long": "slow", "type": bool, "default": False, "help": "also slow tests"},
        {"name": "last_failed", "long": "lf", "type": bool, "default": False, "help": "only what failed before"},
    ],
    "pos_arg": "arguments",
    **UNCAPTURED,
}


def task_test() -> Task:
    """run the tests; arguments are for pytest: -k lock, tests/verbs, or after -- any of its options"""
    return {
        # Without dependencies the task is never up to date: tests also depend on services.
        "actions": [CmdAction((_pytest, [["-m", "pytest"]], {}), shell=False)],
        "clean": [(_remove, [CACHE / "pytest", ROOT / ".hypothesis"])],
        **_TESTS,
    }


def task_coverage() -> Task:
    """run the tests as `test` does, and measure which lines and branches they run, in all processes"""
    required = {
        "name": "required",
        "long": "required",
        "default": "",
        "help": "required percentage, in place of fail_under",
    }
    return {
        "actions": [
            _forget_coverage,
            CmdAction((_pytest, [["-m", "coverage", "run", "-m", "pytest"]], {}), shell=False),
            [sys.executable, "-m", "coverage", "combine", "--quiet"],
            _report_coverage,
        ],
        "clean": [(_remove, [COVERAGE])],
        **_TESTS,
        "params": [*_TESTS["params"], required],
    }


def _pytest(
    program: list[str],
    keyword: str,
    workers: str,
    exit_first: bool,
    slow: bool,
    last_failed: bool,
    arguments: list[str] | None,
) -> list[str]:
    # Services that the tests of a file share (a registry, a build) are started once.
    command = [sys.executable, *program, "-n", workers, "--dist", "loadfile"]
    if keyword:
        command += ["-k", keyword]
    if exit_first:
        command.append("--exitfirst")
    if slow:
        # Files stay in the order in which tests/conftest.py puts them then.
        command += ["--slow", "--no-loadscope-reorder"]
    if last_failed:
        command.append("--last-failed")
    return [*command, *(arguments or [])]


def _forget_coverage() -> None:
    shutil.rmtree(COVERAGE, ignore_errors=True)


def _report_coverage(required: str) -> TaskFailed | None:
    from coverage import Coverage

    measured, told = Coverage(), StringIO()
    measured.load()
    total = measured.report(file=told, sort="cover", skip_empty=True)
    heading, _, *files = told.getvalue().splitlines()
    (summary,) = (line for line in files if line.startswith("TOTAL"))
    print(heading, *files[:_LEAST_COVERED], summary, sep="\n")  # noqa: T201  (the report)
    wanted = float(required or str(measured.get_option("report:fail_under")))
    return TaskFailed(f"coverage is {total:.1f} %, below {wanted} %") if total < wanted else None


@task_params(  # type: ignore[untyped-decorator]  # doit has no types
    [
        {"name": "against", "long": "against", "default": "", "help": "a commit: compare this checkout with it"},
        {
            "name": "only",
            "long": "only",
            "default": [],
            "type": list,
            "help": "with --against: small, doit, copy, files or text; may be repeated",
        },
        {
            "name": "instructions",
            "long": "instructions",
            "type": bool,
            "default": False,
            "help": "with --against: also count instructions, with valgrind",
        },
    ]
)
def task_bench(against: str, only: list[str], instructions: bool) -> Iterator[Task]:
    """run the benchmarks, and print ratios"""
    yield {"name": None, "doc": task_bench.__doc__}
    if against:
        options = [*(f"--only={works}" for works in only), *(["--instructions"] if instructions else [])]
        yield _benchmark("against", against, *options)
        return
    for program in sorted((ROOT / "benchmarks").glob("[!_]*.py")):
        if program.stem != "against":
            yield _benchmark(program.stem)


def _benchmark(name: str, *arguments: str) -> Task:
    return {
        "name": name,
        "doc": f"python -m benchmarks.{name}",
        "actions": [[sys.executable, "-m", f"benchmarks.{name}", *arguments]],
        **UNCAPTURED,
    }


def task_build() -> Task:
    """build the source distribution and the wheel, and check that the wheel is complete"""
    stem = f"dist/bundlepipe-{version('bundlepipe')}"
    return {
        # The installed tools build it, so that no network is needed.
        "actions": [[sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist"], _check_wheel],
        "file_dep": _files(SHIPPED),
        "targets": [f"{stem}.tar.gz", f"{stem}-py3-none-any.whl"],
        "clean": True,
    }


def _check_wheel(targets: list[str]) -> TaskFailed | None:
    (wheel,) = (target for target in targets if target.endswith(".whl"))
    parts = [file for pattern in ("*.css", "*.html", "*.js") for file in _files(["bundlepipe"], pattern)]
    expected = {"bundlepipe/py.typed", *parts, *(f"bundlepipe/{schema}" for schema in _files(["schemas"]))}
    with zipfile.ZipFile(wheel) as archive:
        missing = expected.difference(archive.namelist())
    return TaskFailed(f"{wheel} lacks {', '.join(sorted(missing))}") if missing else None


def _files(trees: Sequence[str], pattern: str = "*") -> list[str]:
    """Return the files of the trees, relative to the root, without files that Python or a pipeline writes."""
    found = []
    for tree in trees:
        path = ROOT / tree
        for file in [path] if path.is_file() else path.rglob(pattern):
            relative = file.relative_to(ROOT)
            if file.is_file() and not {"__pycache__", ".bundlepipe", "build"}.intersection(relative.parts):
                found.append(str(relative))
    return sorted(found)


def _tool(name: str) -> str:
    """Return the path of a program in the environment of this process, activated or not."""
    return str(Path(sysconfig.get_path("scripts"), name))


def _same_versions(*distributions: str) -> config_changed:
    """Return a condition that is stale with other versions of a tool, or of Python."""
    return config_changed({"python": sys.version, **{name: _version(name) for name in distributions}})


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None  # the task that needs it fails; the others work


def _remove(*trees: Path, dryrun: bool) -> None:
    for tree in trees:
        if tree.exists():
            print(f"removing {tree.relative_to(ROOT)}")  # noqa: T201  (as doit itself does)
            if not dryrun:
                shutil.rmtree(tree)
