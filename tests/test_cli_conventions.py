"""What users expect of any command: version, help, quiet, completion, environment, settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from index.errors import RagError
from index.settings import CONFIGURABLE, variable
from rag.cli.main import app
from rag.views.notebook import settings_here
from tests.parts.commands import invoke
from tests.parts.works import write


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which help breaks no path."""
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file of settings would be, in an environment that sets nothing."""
    for key in CONFIGURABLE:
        monkeypatch.delenv(variable(key), raising=False)
    path = tmp_path / "settings" / "config.toml"
    monkeypatch.setenv("RAG_CONFIG", str(path))
    return path


def help_of(*command: str) -> str:
    return " ".join(invoke(*command, "-h").out.replace("│", " ").split())


def test_the_version_is_the_one_that_is_installed() -> None:
    assert re.fullmatch(r"rag \d+\.\d+\.\d+\n", invoke("--version").out)


def test_every_command_has_short_help_and_the_common_options() -> None:
    commands = typer.main.get_command(app)
    names = [name for name in commands.commands if name not in ("bench", "evaluate")]  # type: ignore[attr-defined]
    for command in (*([name] for name in names), ["evaluate", "answers"]):
        shown = help_of(*command)
        assert "--quiet -q" in shown
        assert "--verbose -v" in shown
    assert "--install-completion" in help_of()


def test_the_shell_can_complete_commands_and_options() -> None:
    complete = {
        "_RAG_COMPLETE": "complete_bash",
        "COMP_WORDS": "rag evaluate an",
        "COMP_CWORD": "2",
    }
    shown = CliRunner().invoke(app, prog_name="rag", env=complete).stdout
    assert shown.split() == ["answers"]


def test_help_names_the_environment() -> None:
    shown = help_of("ask")
    for name in ("RAG_DATA_DIR", "RAG_MIRROR", "RAG_OFFLINE", "RAG_MODEL"):
        assert f"[env var: {name}]" in shown
    assert "rag config" in help_of()


def test_settings_are_kept_shown_and_forgotten(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(config) in invoke("config").out
    assert not config.exists()
    invoke("config", "mirror", tmp_path)
    invoke("config", "offline", "True")
    assert config.read_text() == f'mirror = "{tmp_path}"\noffline = true\n'
    shown = invoke("config").out
    assert f"mirror    {tmp_path}  (this file)" in shown
    assert re.search(r"offline +True +\(this file\)", shown)
    monkeypatch.setenv("RAG_MODEL", "mine")
    assert "mine  (RAG_MODEL)" in invoke("config", "model").out
    invoke("config", "mirror", "--unset")
    assert config.read_text() == "offline = true\n"


def test_an_option_comes_before_the_environment_and_that_before_the_file(
    config: Path,
    small_mirror: Path,
    encoder_folder: Path,
    prompt_files: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folders = {name: tmp_path / name for name in ("file", "environment", "option")}
    for key, value in (
        ("data-dir", folders["file"]), ("mirror", small_mirror), ("encoder", encoder_folder),
        ("offline", "true"),
    ):  # fmt: skip
        invoke("config", key, value)
    assert f"[default: {folders['file']}]" in help_of("index")

    def index(*options: object) -> set[str]:
        invoke("index", prompt_files["move"], *options)
        return {name for name, folder in folders.items() if folder.exists()}

    assert index() == {"file"}
    assert settings_here().data_dir == folders["file"]
    monkeypatch.setenv("RAG_DATA_DIR", str(folders["environment"]))
    assert index() == {"file", "environment"}
    assert settings_here().data_dir == folders["environment"]
    assert settings_here().mirror == small_mirror
    assert settings_here().offline
    assert index("--data-dir", folders["option"]) == set(folders)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('mirors = "x"', "there is no setting 'mirors'; expected one of data-dir, mirror,"),
        ('offline = "yes"', "offline is 'yes'; expected true or false"),
        ("model = 3", "model is 3; expected text"),
        ("model = ", "cannot be read"),
    ],
)
def test_a_file_of_settings_that_cannot_be_used_is_refused(
    config: Path, prompt_files: Mapping[str, Path], text: str, expected: str
) -> None:
    write(config, text)
    with pytest.raises(RagError, match=re.escape(expected)) as error:
        invoke("catalog", prompt_files["move"])
    assert str(config) in str(error.value)


def test_settings_that_do_not_exist_cannot_be_set(config: Path) -> None:
    for arguments in (("mirors", "x"), ("offline", "perhaps")):
        with pytest.raises(RagError, match="expected"):
            invoke("config", *arguments)
    assert not config.exists()
