"""What users expect of any command: version, help, quiet, completion, environment, settings."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from index.errors import RagError
from index.settings import CONFIGURABLE, Settings, read_config, variable, write_config
from rag.answer import Answer
from rag.cli.main import app
from rag.cli.options import Bars, PipelineOptions, pipeline_options, with_options_of
from rag.pipeline import Pipeline
from rag.retrieval.retrieve import load_reranker
from rag.selection.grading import trained_model
from rag.selection.reader import SentenceReader, TokenPair
from rag.support.builtin import open_checker
from rag.views.notebook import settings_here
from rag.writers.choice import WriterChoice
from tests.parts.commands import invoke, options_of
from tests.parts.servers import Reply, Server
from tests.parts.tiny_encoders import write_encoder, write_reranker
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


def test_every_command_has_short_help_and_the_common_options() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert len(str(command.help).partition("\n\n")[0]) < 100
        if name != "bench":
            shown = help_of(name, *(["answers"] if name == "evaluate" else []))
            assert "--quiet -q" in shown
            assert "--verbose -v" in shown
            assert "--data-dir" in shown or name == "config"
    assert "Exit codes: 0 answered, 1 of the works of an answer nothing could" in help_of("ask")
    assert "Exit codes: 0 verified, 1 a failure, 2" in help_of("verify")
    assert "A score is the sum of cosine and BM25" in help_of("search")
    assert "--install-completion" in help_of()


def test_the_shell_can_complete_commands_and_options() -> None:
    complete = {
        "_RAG_COMPLETE": "complete_bash",
        "COMP_WORDS": "rag evaluate an",
        "COMP_CWORD": "2",
    }
    shown = CliRunner().invoke(app, prog_name="rag", env=complete).stdout
    assert shown.split() == ["answers"]


def test_every_option_reaches_the_settings_and_the_writer(tmp_path: Path) -> None:
    commands, opened = typer.Typer(), list[PipelineOptions]()

    @commands.command()
    @with_options_of(pipeline_options)
    def keep(described: Callable[[], PipelineOptions]) -> None:
        opened.append(described())

    url = "http://127.0.0.1:9/v1"
    invoke(
        "--writer", "chat", "--model", "m", "--base-url", url, "--temperature", 0.5, "--seed", 7,
        "--threshold", 0.6, "--tries", 3, "--concurrency", 9, "--data-dir", "d", "--offline",
        "--mirror", tmp_path, "--encoder", "e", "--device", "cpu", "--store", "s.db",
        commands=commands,
    )  # fmt: skip
    settings = Settings(Path("d"), tmp_path, True, "e", "cpu", "s.db")
    choice = WriterChoice("chat", "m", url, True, 0.5, 7, 0.6, 3, "cpu")
    assert opened == [PipelineOptions(settings, choice, 9)]


# Settings


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
    invoke("config", "store", "here.db")
    assert f'store = "{Path.cwd() / "here.db"}"' in config.read_text()
    invoke("config", "store", "--unset")
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
    shown = help_of("ask")
    assert f"[default: {folders['file']}]" in shown
    for name in ("RAG_DATA_DIR", "RAG_MIRROR", "RAG_OFFLINE", "RAG_MODEL", "RAG_STORE"):
        assert f"[env var: {name}" in shown
        assert f"[env var: {name}" in help_of("evaluate", "writers")
    assert "rag config" in help_of()

    def index(*options: object) -> set[str]:
        invoke("index", prompt_files["move"], *options)
        return {name for name, folder in folders.items() if folder.exists()}

    assert index() == {"file"}
    assert settings_here().data_dir == folders["file"]
    monkeypatch.setenv("RAG_DATA_DIR", str(folders["environment"]))
    assert index() == {"file", "environment"}
    here = settings_here()
    assert (here.data_dir, here.mirror, here.offline) == (
        folders["environment"], small_mirror, True,
    )  # fmt: skip
    assert index("--data-dir", folders["option"]) == set(folders)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('mirors = "x"', "there is no setting 'mirors'; expected one of data-dir, mirror,"),
        ('offline = "yes"', "offline is 'yes'; expected true or false"),
        ("model = 3", "model is 3; expected text"),
        ('writer = "nonsense"', "writer is 'nonsense'; expected auto or local or extractive"),
        ('mirror = ""', "mirror is ''"),
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


@pytest.mark.parametrize("value", ["🤖 model", "a\x7fb", 'a"b\\c\nd', "naïve"])
def test_what_is_set_can_be_read_again(value: str, config: Path, tmp_path: Path) -> None:
    write_config({"model": value, "mirror": str(tmp_path / value), "writer": "Local"})
    expected = {"model": value, "mirror": str(tmp_path / value), "writer": "local"}
    assert read_config() == expected
    with pytest.raises(RagError, match=r"UTF-8 only; found.*udcff"):
        write_config({"model": "a\udcff"})
    assert read_config() == expected


# What is said meanwhile


def test_without_a_terminal_what_could_not_be_read_is_said_and_nothing_is_fetched_offline(
    own_settings: Settings, prompt_files: Mapping[str, Path]
) -> None:
    here = options_of(own_settings)
    shown = invoke("ask", prompt_files["colour"], *here, "--writer", "extractive")
    # A slow machine adds lines of progress, each after five seconds.
    (line,) = [line for line in shown.err.splitlines() if not re.search(r" \d+/\d+: ", line)]
    assert line == "not read: arxiv:2401.00004v1: offline, and not in the mirror"
    assert "fetch" not in shown.err + invoke("index", *prompt_files.values(), *here).err
    assert invoke("index", *prompt_files.values(), *here, "--quiet").err == ""


def test_without_a_terminal_a_stage_that_took_its_time_ends_with_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bars = Bars()
    bars("find sources", 1, 1, "quick.pdf")
    bars._said -= 5.1  # a line is printed every five seconds
    for done in (1, 2, 3):
        bars("read and embed", done, 3, f"{done}.pdf")
    bars("write", 9, 9, "about 0 seconds left")
    assert capsys.readouterr().err == "read and embed 1/3: 1.pdf\nread and embed 3/3: 3.pdf\n"


def test_verbose_says_what_is_done(
    pipeline: Pipeline, answers: Mapping[str, Answer], caplog: pytest.LogCaptureFixture
) -> None:
    for options, expected in (((), 0), (("-v",), 1)):
        caplog.clear()
        invoke("search", "What is removed?", *options_of(pipeline.settings), *options)
        lines = [line for line in caplog.messages if line.startswith("encoder ")]
        assert len(lines) == expected
        assert all(re.fullmatch(r"encoder \S+: \w+, torch\.\w+", line) for line in lines)


# What does not apply or is not there is refused


def test_every_model_computes_on_the_device_that_is_named(
    own_settings: Settings, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    here = options_of(own_settings)
    cross = str(write_reranker(tmp_path / "cross"))
    load: Callable[[str], object]
    for load in (
        lambda device: invoke("index", prompt_files["move"], *here, "--device", device),
        lambda device: load_reranker(cross, offline=True, device=device),
        lambda device: open_checker(cross, offline=True, device=device),
        lambda device: open_checker(offline=True, device=device),
        trained_model,
    ):
        with pytest.raises(RagError, match="--device cuda:99: torch finds only"):
            load("cuda:99")
    # torch's "meta" has no numbers: what is computed there alone has nothing on another device.
    reader = SentenceReader(device="meta")
    pairs = [TokenPair([101, 7592, 102], [2003, 102]), TokenPair([101, 7592, 2088, 102], [102])]
    about = torch.zeros(2, 5, device="meta")
    states, question = reader.lower(pairs), reader.question("Why?")
    scores = reader.logits(reader.adapter(5), states, question, about)
    assert (scores.device.type, scores.shape) == ("meta", (2, 15))


@pytest.mark.parametrize("extra", ["ir_measures", "pytrec_eval"])
def test_a_missing_extra_is_named_before_any_work(
    extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, extra, None)
    expected = f"this needs the extra `evaluate` ({extra} missing): pip install 'grounded-rag["
    with pytest.raises(RagError, match=f"^{re.escape(expected)}evaluate]'"):
        invoke("evaluate", "retrieval", tmp_path / "none")


def test_an_encoder_is_no_instruct_model(
    own_settings: Settings, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    model = write_encoder(tmp_path / "encoder")
    local = ("--writer", "local", "--model", model)
    expected = rf"^{model} is no instruct model but a BertModel: name a causal language model"
    with pytest.raises(RagError, match=expected):
        invoke("ask", prompt_files["move"], *options_of(own_settings), *local)


def test_the_version_in_a_servers_address_is_guessed_and_its_words_are_shown(
    pipeline: Pipeline, answers: Mapping[str, Answer], prompt_files: Mapping[str, Path]
) -> None:
    pytest.importorskip("langchain_openai", reason="needs the extra `chat`")
    words = "Server is pinned to 'one'; requested 'another'."
    headers = {"Content-Type": "application/json"}
    with Server() as server:
        server.tell("/v1/models", Reply(200, b'{"data": []}', headers))
        refusal = json.dumps({"detail": words}).encode()
        server.tell("/v1/chat/completions", Reply(400, refusal, headers))
        chat = ("--writer", "chat", "--model", "another", "--base-url", server.url)
        with pytest.raises(RagError, match=f"does not answer: {re.escape(words)}"):
            invoke("ask", prompt_files["move"], *options_of(pipeline.settings), *chat)
