"""The package as it is installed: built, put into a fresh environment, and used from a folder in
which a user has an index.py and scripts/ of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.parts import ROOT
from tests.parts.works import write


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with this package in it, and with the libraries of the
    running one, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("index", "rag"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv.create(folder / "venv")
    (site,) = (folder / "venv").glob("lib/*/site-packages")
    write(site / "libraries.pth", sysconfig.get_path("purelib"))
    programs = folder / "venv" / "bin"
    installer = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(programs / "python"),
        "install",
        "--quiet",
    ]
    options = ("--no-deps", "--no-index", "--no-build-isolation")
    subprocess.run([*installer, *options, str(source)], check=True, cwd=folder, env={})
    return programs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's working folder."""
    write(tmp_path / "index.py", "raise SystemExit('the index.py of the user was imported')\n")
    write(tmp_path / "scripts" / "__init__.py", "raise SystemExit('and their scripts')\n")
    return tmp_path


def output(*command: object, cwd: Path) -> str:
    process = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        # No PYTHONPATH: the package is the installed one.
        env={"RAG_CONFIG": "/nowhere", "RAG_OFFLINE": "1"},
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout + process.stderr


def test_the_command_runs_from_any_folder(environment: Path, folder: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert output(environment / "rag", "--version", cwd=folder) == f"rag {version}\n"


def test_a_users_own_index_and_scripts_are_in_nobodys_way(
    environment: Path,
    folder: Path,
    prompt_files: Mapping[str, Path],
    small_mirror: Path,
    encoder_folder: Path,
) -> None:
    # As a script or a notebook has it: with the working folder first in the path.
    program = "from rag.cli.main import main; main()"
    options = ("--mirror", small_mirror, "--encoder", encoder_folder, "--data-dir", folder / "data")
    arguments = ("index", prompt_files["colour"], *options)
    shown = output(environment / "python", "-c", program, *arguments, cwd=folder)
    assert "the reader" not in shown
    assert "embedded (" in shown


def test_an_index_that_was_imported_before_stays_the_users(
    environment: Path, tmp_path: Path
) -> None:
    write(tmp_path / "index.py", "MINE = 1\n")
    program = "import index, rag; rag.Settings; print(index.MINE, index.__name__)"
    assert output(environment / "python", "-c", program, cwd=tmp_path) == "1 index\n"
