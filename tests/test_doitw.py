"""doitw, on small projects that build without a network: it sets up once, whole, and then stays out of the way."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DOITW = Path(__file__).parents[1] / "doitw"
PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# Builds the wheel of a project `sample` whose program `doit` says where it runs and with what.
BACKEND = """\
import pathlib
import zipfile

DIST_INFO = "sample-1.dist-info"
FILES = {
    "sample.py": "import os, sys\\ndef main():\\n    print(os.getcwd(), sys.argv[1:], os.environ.get('PIP_USER'))\\n",
    f"{DIST_INFO}/METADATA": "Metadata-Version: 2.1\\nName: sample\\nVersion: 1\\n"
    "Provides-Extra: test\\nProvides-Extra: lint\\n",
    f"{DIST_INFO}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    f"{DIST_INFO}/entry_points.txt": "[console_scripts]\\ndoit = sample:main\\n",
}


def build_editable(directory, config_settings=None, metadata_directory=None):
    if "broken" in pathlib.Path("pyproject.toml").read_text():
        raise SystemExit("the project is broken")
    with zipfile.ZipFile(pathlib.Path(directory, "sample-1-py3-none-any.whl"), "w") as wheel:
        for name, content in FILES.items():
            wheel.writestr(name, content)
        wheel.writestr(f"{DIST_INFO}/RECORD", "".join(f"{name},,\\n" for name in [*FILES, f"{DIST_INFO}/RECORD"]))
    return "sample-1-py3-none-any.whl"
"""


class Project:
    """A directory with a doitw of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir()
        shutil.copy(DOITW, self.root)
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "backend.py").write_text(BACKEND)

    def start(
        self, *arguments: str, path: str = "/usr/bin:/bin", cwd: Path | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        """Start doitw in a process group of its own, with a HOME that is not there and no package index."""
        settings = {"DOITW_PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_USER": "1", **variables}
        environment = {name: value for name, value in settings.items() if value}
        return subprocess.Popen(
            [self.root / "doitw", *arguments],
            env={"PATH": path, "HOME": str(self.root / "no-home"), **environment},
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str, path: str = "/usr/bin:/bin", cwd: Path | None = None, **variables: str
    ) -> tuple[int, str, str]:
        """Run doitw; return its status, output and errors."""
        return finish(self.start(*arguments, path=path, cwd=cwd, **variables))


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def first_line_of_errors(process: subprocess.Popen[str]) -> str:
    """Return the first line that doitw says, and end it there."""
    assert process.stderr
    line = process.stderr.readline()
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    return line


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that two first calls at the same time have set up."""
    project = Project(tmp_path_factory.mktemp("doitw") / "a project")
    calls = [finish(process) for process in [project.start(), project.start()]]
    assert [status for status, _, _ in calls] == [0, 0], calls
    assert sum("setting up" in errors and "waiting" not in errors for _, _, errors in calls) == 1, calls
    return project


def test_second_call_is_silent_and_passes_its_arguments(project: Project) -> None:
    status, output, errors = project.run("-n", "2", "a task")
    assert (status, output, errors) == (0, f"{project.root} ['-n', '2', 'a task'] 1\n", "")


def test_runs_in_its_own_directory_from_elsewhere_and_through_links(project: Project, tmp_path: Path) -> None:
    (tmp_path / "far").symlink_to(project.root / "doitw")
    (tmp_path / "near").symlink_to("far")
    environment = {"PATH": "/usr/bin:/bin", "CDPATH": "/", "DOITW_PYTHON": sys.executable}
    for command in ["./near", str(tmp_path / "near"), "near"]:
        if command == "near":
            environment["PATH"] += f":{tmp_path}"
        output = subprocess.check_output(
            [shutil.which("env") or "env", command], cwd=tmp_path, env=environment, text=True
        )
        assert output == f"{project.root} [] None\n"


def test_home_is_left_alone(project: Project) -> None:
    assert not (project.root / "no-home").exists()
    assert {path.name for path in project.root.iterdir()} <= {
        *(".cache", ".venv", "backend.py", "doitw", "pyproject.toml"),
        "__pycache__",
    }


def test_changed_pyproject_is_installed_into_the_same_environment(project: Project) -> None:
    witness = project.root / ".venv" / "witness"
    witness.touch()
    (project.root / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    status, _, errors = project.run()
    assert status == 0, errors
    assert "pyproject.toml has changed" in errors
    assert project.run()[2] == ""
    assert witness.exists()


def test_failed_installation_shows_what_pip_said_and_keeps_the_environment(project: Project) -> None:
    before = (project.root / "pyproject.toml").read_text()
    (project.root / "pyproject.toml").write_text(before + "# broken\n")
    for _ in range(2):
        status, output, errors = project.run()
        assert (status, output) == (3, "")
        assert "the project is broken" in errors
        assert errors.endswith("doitw: pip could not install the project; its output is above\n")
    (project.root / "pyproject.toml").write_text(before)
    assert project.run()[::2] == (0, "")


def test_environment_whose_python_is_gone_is_made_again(project: Project) -> None:
    python = project.root / ".venv" / "bin" / "python"
    target = python.readlink()
    python.unlink()
    python.symlink_to("/nowhere/python3")
    # With the lock held here, the call stops before it changes anything.
    with (project.root / ".cache" / "doitw.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = first_line_of_errors(project.start())
    assert line == f"doitw: waiting for another doitw, which is setting up {project.root}/.venv\n"
    python.unlink()
    python.symlink_to(target)


@pytest.mark.slow
def test_killed_set_up_is_not_taken_for_complete(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    process = project.start()
    while not (project.root / ".venv" / "bin" / "python").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    status, output, errors = project.run()
    assert (status, output) == (0, f"{project.root} [] 1\n"), errors
    assert "setting up" in errors


def test_environment_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    (project.root / ".venv").mkdir()
    (project.root / ".venv" / "precious").touch()
    status, _, errors = project.run()
    assert status == 3
    assert errors == (
        f"doitw: {project.root}/.venv is there already and is not doitw's: move it away, or run doit from it yourself\n"
    )
    assert (project.root / ".venv" / "precious").exists()


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory for PATH with what POSIX promises and no Python."""
    directory = tmp_path / "tools"
    directory.mkdir()
    for name in ["cat", "cmp", "dirname", "head", "ls", "mkdir", "mv", "readlink", "rm", "sh"]:
        (directory / name).symlink_to(shutil.which(name) or name)
    return directory


def stand_in(directory: Path, name: str, change: str) -> None:
    """Make a Python that differs from the real one by a change made before it runs a program given with -c."""
    program = directory / name
    program.write_text(
        "#!/bin/sh\n"
        "for last; do :; done\n"
        f'exec "{sys.executable}" -I -S -c "import sys; {change}; exec(sys.argv[1])" "$last"\n'
    )
    program.chmod(0o755)


def test_missing_python_is_one_clear_line(tools: Path, tmp_path: Path) -> None:
    answer = Project(tmp_path / "project").run(path=str(tools), DOITW_PYTHON="")
    expected = "doitw: found no Python 3.10 or later on PATH; install one, or name one in DOITW_PYTHON\n"
    assert answer == (3, "", expected)


def test_old_python_is_refused_by_its_version(tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "python3", "sys.version_info = (3, 9, 18)")
    project = Project(tmp_path / "project")
    status, output, errors = project.run(path=str(tools), DOITW_PYTHON="")
    assert (status, output) == (3, "")
    assert errors == (
        "doitw: found no Python 3.10 or later on PATH (python3 is 3.9); install one, or name one in DOITW_PYTHON\n"
    )
    assert not (project.root / ".venv").exists()


def test_newer_python_beside_an_old_one_is_found(tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "python3", "sys.version_info = (3, 9, 18)")
    (tools / "python3.11").symlink_to(sys.executable)
    project = Project(tmp_path / "project")
    line = first_line_of_errors(project.start(path=str(tools), DOITW_PYTHON=""))
    assert line.startswith(f"doitw: setting up {project.root}/.venv with {Path(sys.executable).resolve()};")


@pytest.mark.parametrize("module", ["ensurepip", "venv"])
def test_python_without_environments_says_what_to_install(module: str, tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "python3", f"sys.modules['{module}'] = None")
    status, output, errors = Project(tmp_path / "project").run(path=str(tools), DOITW_PYTHON="")
    python = Path(sys.executable).resolve()
    assert (status, output) == (3, "")
    assert errors == (
        f"doitw: {python} cannot make virtual environments: its module venv or ensurepip is missing; "
        f"on Debian and Ubuntu, install {python.name}-venv\n"
    )


def test_unsuitable_doitw_python_is_named(tmp_path: Path) -> None:
    true = shutil.which("true") or "true"
    answer = Project(tmp_path / "project").run(DOITW_PYTHON=true)
    assert answer == (3, "", f"doitw: DOITW_PYTHON={true} is no Python 3.10 or later\n")
