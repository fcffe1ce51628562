"""What users expect of any command: version, help, quiet, completion, environment, settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from index.errors import RagError
from index.settings import CONFIGURABLE, read_config, variable, write_config
from rag.cli.main import app
from rag.retrieval.retrieve import load_reranker
from rag.selection.grading import trained_model
from rag.selection.reader import SentenceReader, TokenPair
from rag.support.builtin import open_checker
from rag.views.notebook import settings_here
from tests.parts.commands import MAIN, invoke, run
from tests.parts.servers import Reply, Server
from tests.parts.tiny_encoders import write_reranker
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
    for line in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined]
        assert len(str(line.help).partition("\n\n")[0]) < 100
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
        ('writer = "nonsense"', "writer is 'nonsense'; expected auto or local or extractive"),
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
    for arguments in (("mirors", "x"), ("offline", "perhaps"), ("writer", "nonsense")):
        with pytest.raises(RagError, match="expected"):
            invoke("config", *arguments)
    assert not config.exists()


# Forms of an answer


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> tuple[object, ...]:
    """The options of `rag ask` over one data directory."""
    folder = tmp_path_factory.mktemp("data")
    options = ("--data-dir", folder, "--mirror", small_mirror, "--encoder", encoder_folder)
    return (*options, "--offline", "--writer", "extractive")


def test_the_ending_of_the_output_decides_the_form(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    for name, begins in (("a.md", "# "), ("a.json", "{"), ("a.html", "<!"), ("a.HTM", "<!")):
        invoke("ask", prompt_files["move"], *asked, "-o", tmp_path / name)
        assert (tmp_path / name).read_text("utf-8").lower().startswith(begins)
    wrong = (tmp_path / "wrong.html", "--format", "json")
    shown = invoke("ask", prompt_files["move"], *asked, "--output", *wrong, code=2)
    assert "ends in .html, which is html, and --format says json" in shown.refusal
    assert not wrong[0].exists()
    unknown = tmp_path / "answer.docx"
    shown = invoke("ask", prompt_files["move"], *asked, "-o", unknown, code=2)
    assert "answer.docx ends in .docx, which says nothing of the form" in shown.refusal
    assert not unknown.exists()
    invoke("ask", prompt_files["move"], *asked, "-o", unknown, "--format", "json")
    assert unknown.read_text("utf-8").startswith("{")
    shown = invoke("ask", *prompt_files.values(), *asked, "-o", tmp_path / "all.json", code=2)
    assert (
        "all.json is for one: several answers need a folder, or a file in .jsonl" in shown.refusal
    )


def test_several_answers_as_json_are_json_lines_that_verify(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    out = invoke("ask", *prompt_files.values(), *asked, "--format", "json").out
    questions = [json.loads(line)["prompt"]["question"] for line in out.splitlines()]
    assert len(set(questions)) == len(prompt_files)
    again = invoke("ask", *[*prompt_files.values()] * 2, *asked, "--format", "json").err
    unread = [line for line in again.splitlines() if line.startswith("not read: ")]
    assert len(unread) == len(set(unread)) > 0
    path = tmp_path / "answers.jsonl"
    invoke("ask", *prompt_files.values(), *asked, "--output", path)
    assert path.read_text("utf-8") == out
    data_dir = asked[:2]
    assert invoke("verify", path, *data_dir).out.startswith("verified: 3 answers, ")
    write(path, out.replace('"start": ', '"begin": ', 1))
    assert (
        f"{path}: line 1: does not have the form" in invoke("verify", path, *data_dir, code=1).err
    )


def test_a_search_can_be_read_by_programs(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path]
) -> None:
    search = ("search", "What is inpainting the task of?", prompt_files["remove"], *asked[:-2])
    objects = [json.loads(line) for line in invoke(*search, "--json", "-n", "3").out.splitlines()]
    assert [item["rank"] for item in objects] == [1, 2, 3]
    assert objects[0]["source_id"] == "arxiv:2401.00002"
    assert objects[0]["title"] == "Tide: Removing Objects from Pictures"
    assert objects[0]["pages"] == [1]
    assert objects[0]["section"] == "Abstract"
    words = " ".join(invoke(*search, "-n", "1").out.split())
    assert " ".join(objects[0]["text"].split()) in words


# What is said meanwhile


def test_without_a_terminal_what_could_not_be_read_is_said_and_nothing_is_fetched_offline(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    options = ("--data-dir", tmp_path / "data", *asked[2:])
    shown = invoke("ask", prompt_files["colour"], *options)
    # A slow machine adds lines of progress, each after five seconds.
    (line,) = [line for line in shown.err.splitlines() if not re.search(r" \d+/\d+: ", line)]
    assert line == "not read: arxiv:2401.00004v1: offline, and not in the mirror"
    options = ("--data-dir", tmp_path / "other", *asked[2:-2])
    assert "fetch" not in invoke("index", *prompt_files.values(), *options).err
    assert invoke("index", *prompt_files.values(), *options, "--quiet").err == ""


def test_without_a_terminal_a_stage_that_took_its_time_ends_with_a_line() -> None:
    program = (
        "import time; from rag.cli.options import Bars; bars = Bars(); "
        "bars('find sources', 1, 1, 'quick.pdf'); "
        "time.sleep(5.1); "  # a line is printed every five seconds
        "[bars('read and embed', done, 3, f'{done}.pdf') for done in (1, 2, 3)]; "
        "bars('write', 9, 9, 'about 0 seconds left')"
    )
    assert run(program=program).err == "read and embed 1/3: 1.pdf\nread and embed 3/3: 3.pdf\n"


def test_verbose_says_what_is_done(
    asked: tuple[object, ...], caplog: pytest.LogCaptureFixture
) -> None:
    for options, expected in (((), 0), (("-v",), 1)):
        caplog.clear()
        invoke("search", "What is removed?", *asked[:-2], *options)
        lines = [line for line in caplog.messages if line.startswith("encoder ")]
        assert len(lines) == expected
        assert all(re.fullmatch(r"encoder \S+: \w+, torch\.\w+", line) for line in lines)


# What does not apply is refused


@pytest.mark.parametrize(
    ("writer", "option", "value", "expected"),
    [
        ("extractive", "--model", "x", "--writer auto or --writer local or --writer chat"),
        ("extractive", "--temperature", "0.5", "--writer auto"),
        ("local", "--base-url", "http://127.0.0.1:9", "it is for --writer chat"),
        ("auto", "--base-url", "http://127.0.0.1:9", "it is for --writer chat"),
    ],
)
def test_options_that_do_not_apply_to_the_writer_are_refused(
    prompt_files: Mapping[str, Path], writer: str, option: str, value: str, expected: str
) -> None:
    shown = invoke("ask", prompt_files["move"], "--writer", writer, option, value, code=2).refusal
    assert f"{option}: --writer {writer} has no use for it" in shown
    assert expected in shown


def test_a_model_in_the_environment_does_not_forbid_another_writer(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_MODEL", "nobody/nothing")
    assert invoke("ask", prompt_files["move"], *asked).out.startswith("# My picture")


def test_a_device_that_is_not_there_is_refused(
    asked: tuple[object, ...], tmp_path: Path, prompt_files: Mapping[str, Path]
) -> None:
    options = ("--data-dir", tmp_path, *asked[2:])
    with pytest.raises(RagError, match="--device cuda:99: torch finds only cpu"):
        invoke("ask", prompt_files["move"], *options, "--device", "cuda:99")


def test_every_model_computes_on_the_device_that_is_named(tmp_path: Path) -> None:
    cross = str(write_reranker(tmp_path / "cross"))
    for load in (
        lambda device: load_reranker(cross, offline=True, device=device),
        lambda device: open_checker(cross, offline=True, device=device),
        lambda device: open_checker(offline=True, device=device),
        trained_model,
    ):
        with pytest.raises(RagError, match="torch finds only"):
            load("cuda:99")
    # torch's "meta" has no numbers: what is computed there alone has nothing on another device.
    reader = SentenceReader(device="meta")
    pairs = [TokenPair([101, 7592, 102], [2003, 102]), TokenPair([101, 7592, 2088, 102], [102])]
    about = torch.zeros(2, 5, device="meta")
    states, question = reader.lower(pairs), reader.question("Why?")
    scores = reader.logits(reader.adapter(5), states, question, about)
    assert (scores.device.type, scores.shape) == ("meta", (2, 15))


# Errors that help


@pytest.mark.parametrize("extra", ["ir_measures", "pytrec_eval"])
def test_a_missing_extra_is_named_before_any_work(extra: str, tmp_path: Path) -> None:
    program = f"import sys; sys.modules[{extra!r}] = None; " + MAIN
    shown = run("evaluate", "retrieval", tmp_path / "none", program=program, code=2)
    assert shown.err == (
        f"rag: this needs the extra `evaluate` ({extra} missing): "
        "pip install 'grounded-rag[evaluate]'\n"
    )


@pytest.mark.parametrize("model", ["./models/none", "models/of/mine"])
def test_a_folder_of_a_model_that_is_not_there_does_not_exist(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path], model: str
) -> None:
    options = (*asked[:-2], "--writer", "local", "--model", model)
    with pytest.raises(RagError, match=f"^{model} does not exist"):
        invoke("ask", prompt_files["move"], *options)


def test_the_version_in_a_servers_address_is_guessed_and_its_words_are_shown(
    asked: tuple[object, ...], prompt_files: Mapping[str, Path]
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
            invoke("ask", prompt_files["move"], *asked[:-2], *chat)


@pytest.mark.parametrize("value", ["🤖 model", "a\x7fb", 'a"b\\c\nd', "naïve"])
def test_what_is_set_can_be_read_again(value: str, config: Path, tmp_path: Path) -> None:
    write_config({"model": value, "mirror": str(tmp_path / value), "writer": "Local"})
    expected = {"model": value, "mirror": str(tmp_path / value), "writer": "local"}
    assert read_config() == expected
    with pytest.raises(RagError, match=r"UTF-8 only; found.*udcff"):
        write_config({"model": "a\udcff"})
    assert read_config() == expected
    config.write_text('mirror = ""')
    with pytest.raises(RagError, match="mirror is ''"):
        read_config()
