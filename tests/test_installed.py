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

from tests.parts import ROOT
from tests.parts.works import write


def install(folder: Path) -> Path:
    """The programs of a fresh environment with this package in it, and with the libraries of the
    running one, so that nothing is downloaded."""
    source = folder / "source"
    for name in ("index", "rag"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv.create(folder / "venv")
    (site,) = (folder / "venv").glob("lib/*/site-packages")
    write(site / "libraries.pth", sysconfig.get_path("purelib"))
    programs = folder / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--no-compile")
    subprocess.run([*pip, *options, str(source)], check=True, cwd=folder, env={})
    return programs


def output(*command: object, cwd: Path) -> str:
    process = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        # No PYTHONPATH: the package is the installed one.
        env={"RAG_CONFIG": "/nowhere", "RAG_OFFLINE": "1"},
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout + process.stderr


def test_what_is_installed_runs_where_a_user_has_an_index_and_scripts_of_their_own(
    prompt_files: Mapping[str, Path], small_mirror: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    programs = install(tmp_path)
    folder, another = tmp_path / "work", tmp_path / "another"
    write(folder / "index.py", "raise SystemExit('the index.py of the user was imported')\n")
    write(folder / "scripts" / "__init__.py", "raise SystemExit('and their scripts')\n")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert output(programs / "rag", "--version", cwd=folder) == f"rag {version}\n"
    # As a script or a notebook has it: with the working folder first in the path.
    program = "from rag.cli.main import main; main()"
    options = ("--mirror", small_mirror, "--encoder", encoder_folder, "--data-dir", folder / "data")
    arguments = ("index", prompt_files["colour"], *options)
    shown = output(programs / "python", "-c", program, *arguments, cwd=folder)
    assert "the reader" not in shown
    assert "embedded (" in shown
    # An `index` that was imported before stays the user's.
    write(another / "index.py", "MINE = 1\n")
    program = "import index, rag; rag.Settings; print(index.MINE, index.__name__)"
    assert output(programs / "python", "-c", program, cwd=another) == "1 index\n"
