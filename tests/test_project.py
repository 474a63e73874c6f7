"""The project around the code: what is shipped, and which way imports point."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"docker", "jsonschema", "requests", "rich", "urllib3"}


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist of this checkout and the wheel built from that sdist, without a network."""
    directory = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    return directory


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds what the wheel installs."""
    directory = tmp_path_factory.mktemp("installed")
    (wheel,) = distributions.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


def test_wheel_ships_every_schema(installed: Path) -> None:
    shipped = {path.name: path.read_bytes() for path in (installed / "bundlepipe" / "schemas").iterdir()}
    assert shipped == {path.name: path.read_bytes() for path in (ROOT / "schemas").iterdir()}
    assert "pipeline.schema.json" in shipped


def test_installed_package_finds_its_own_schemas(installed: Path, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import bundlepipe\n"
        "from bundlepipe.documents.schemas.validator import schema_text\n"
        "print(bundlepipe.__file__, schema_text('pipeline')[0])"
    )
    result = run(sys.executable, "-I", "-c", program, cwd=tmp_path)
    assert result.stdout.split() == [str(installed / "bundlepipe" / "__init__.py"), "{"], result.stderr


def test_wheel_holds_the_typed_package_and_nothing_beside_it(installed: Path) -> None:
    package, metadata = sorted(path.name for path in installed.iterdir())
    assert package == "bundlepipe"
    assert metadata.endswith(".dist-info")
    assert (installed / "bundlepipe" / "py.typed").is_file()
    assert "Apache License" in (installed / metadata / "licenses" / "LICENSE").read_text()


def test_entry_points_of_doit_lead_to_its_plugins(installed: Path) -> None:
    (distribution,) = Distribution.discover(path=[str(installed)])
    plugins = {point.group: point.load() for point in distribution.entry_points if "doit" in point.group}
    assert sorted(plugins) == ["doit.BACKEND", "doit.COMMAND", "doit.LOADER", "doit.REPORTER"]
    assert all(isinstance(plugin, type) for plugin in plugins.values())


def test_one_command_is_installed(installed: Path) -> None:
    (distribution,) = Distribution.discover(path=[str(installed)])
    (script,) = (point for point in distribution.entry_points if point.group == "console_scripts")
    assert script.name == "bundlepipe"
    assert callable(script.load())


def test_sdist_can_be_tested(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        modes = {member.name.partition("/")[2]: member.mode for member in archive}
    tests = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")}
    assert {*tests, "dodo.py", "pyproject.toml", ".importlinter", "schemas/pipeline.schema.json"} <= modes.keys()
    assert modes["doitw"] & 0o111
    assert not [name for name in modes if name.startswith((".venv", ".cache", "dist"))]


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    return run(Path(sysconfig.get_path("scripts"), "lint-imports"), "--no-cache", cwd=directory)


def test_imports_point_downwards() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        pytest.param("oci/upward.py", "import bundlepipe.stores.protocol", id="upward"),
        pytest.param("documents/online.py", "import urllib3", id="network below the stores"),
        pytest.param("verbs/online.py", "import urllib3", id="network in a verb"),
        pytest.param("verbs/guest.py", "import doit", id="doit in a verb"),
        pytest.param("verbs/copying/at_store.py", "import bundlepipe.stores.layout.store", id="a store in a verb"),
        pytest.param("outside.py", "", id="without a level"),
    ],
)
def test_contract_notices_an_import_that_is(module: str, statement: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bundlepipe", tmp_path / "bundlepipe", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    (tmp_path / "bundlepipe" / module).write_text(statement + "\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout
    assert module.removesuffix(".py").replace("/", ".") in result.stdout


PLUGINS = "bundlepipe.pipeline.plugins"


@pytest.mark.parametrize("module", ["bundlepipe", f"{PLUGINS}.backend", f"{PLUGINS}.reporter"])
def test_what_every_run_imports_is_light(module: str) -> None:
    result = run(sys.executable, "-c", f"import sys, {module}; print(*sys.modules)")
    assert result.returncode == 0, result.stderr
    assert HEAVY.isdisjoint(result.stdout.split())


FOLDERS = sorted(path.parent for path in (ROOT / "bundlepipe").glob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_readme_of_a_folder_tells_of_all_that_is_in_it(folder: Path) -> None:
    rows = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| `")]
    told = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    folders = {path.name for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert told == files | folders


def test_no_folder_holds_more_files_than_one_look_takes_in() -> None:
    folders = {path.parent for path in (ROOT / "bundlepipe").rglob("*.py")}
    counts = {str(folder): len(list(folder.glob("[!_]*.py"))) for folder in folders}
    assert {folder: count for folder, count in counts.items() if count > 15} == {}


def test_no_file_is_longer_than_a_reader_keeps_in_mind() -> None:
    lines = {str(path): len(path.read_text().splitlines()) for path in (ROOT / "bundlepipe").rglob("*.py")}
    assert {path: count for path, count in lines.items() if count >= 350} == {}


DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(path: Path) -> tuple[list[str], str]:
    """The docstrings of a module, and its code without them."""
    module, docstrings = ast.parse(path.read_text()), []
    for node in ast.walk(module):
        if isinstance(node, DOCUMENTED) and (docstring := ast.get_docstring(node)):
            docstrings.append(docstring)
            node.body = [*node.body[1:], ast.Pass()]
    return docstrings, ast.unparse(module)


def leads_nowhere(name: str, path: Path) -> bool:
    """Whether a name of a docstring begins with a folder or module near it or at the top, and names nothing there."""
    first, *others = name.split(".")
    for folder in path.parents[: len(path.relative_to(ROOT).parts) - 1]:
        found = folder / first
        for part in others:
            if found.with_suffix(".py").is_file():
                return part not in re.findall(r"\w+", found.with_suffix(".py").read_text())
            if not found.is_dir():
                break
            found /= part
        else:
            return bool(others) and not found.is_dir() and not found.with_suffix(".py").is_file()
    return False


def test_docstrings_name_what_exists() -> None:
    modules = {path: documented(path) for path in sorted((ROOT / "bundlepipe").rglob("*.py"))}
    words = {path.stem for path in modules}.union(*(re.findall(r"\w+", code) for _, code in modules.values()))
    strings = "\n".join(code for _, code in modules.values())
    for path, (docstrings, _) in modules.items():
        names = re.findall(r"`([a-z_]\w*(?:\.\w+)*)(?:\(.*?\))?`", "\n".join(docstrings))
        unknown = [name for name in names if "_" in name and not words.issuperset(name.split("."))]
        nowhere = [name for name in names if leads_nowhere(name, path) and f"'{name}'" not in strings]
        assert not unknown + nowhere, path
