"""The `rag` command: what each sub-command shows, writes, refuses, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from index.sources.store import SourceStore
from rag.answer.model import read_answer
from rag.cli.main import app
from tests.parts.tiny_encoders import write_encoder, write_reranker
from tests.parts.works import PROMPTS, write

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "sentence_transformers", "transformers", "faiss", "langchain_core", "pypdf")
MAIN = "from rag.cli.main import main; main()"
COUNTED = """
import sys
from rag.cli.main import main
try:
    main()
finally:
    print("loaded:", *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


@dataclass(frozen=True)
class DataDir:
    """A data directory that the tests of this module share, and the options that lead to it."""

    folder: Path
    options: tuple[str, ...]


@pytest.fixture(scope="module")
def data_dir(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> DataDir:
    folder = tmp_path_factory.mktemp("data")
    mirror, encoder = str(small_mirror), str(encoder_folder)
    return DataDir(
        folder,
        ("--data-dir", str(folder), "--mirror", mirror, "--encoder", encoder, "--offline"),
    )


@pytest.fixture(scope="module")
def asked(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The answer files of one run over all prompts."""
    folder = tmp_path_factory.mktemp("answers")
    ask(*prompt_files.values(), *data_dir.options, "--format", "json", "--output", folder)
    return {name: folder / f"{name}.json" for name in prompt_files}


@dataclass(frozen=True)
class Shown:
    """What a run left on the terminal, on one line each."""

    code: int
    out: str
    err: str


def rag(*arguments: object, code: int = 0) -> Shown:
    """One sub-command, inside this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return Shown(result.exit_code, result.stdout, result.stderr)


def ask(*arguments: object, code: int = 0) -> Shown:
    """`rag ask` by the writer that needs no model, whatever models this machine has."""
    return rag("ask", "--writer", "extractive", *arguments, code=code)


def process(*arguments: object, code: int = 0, program: str = "") -> Shown:
    """The command itself, as a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            program or MAIN,
            *map(str, arguments),
        ],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return Shown(done.returncode, done.stdout, done.stderr)


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    shown = process("--help", program=COUNTED.format(heavy=HEAVY))
    for command in ("index", "ask", "verify", "catalog", "search"):
        assert command in shown.out
    assert shown.err == "loaded:\n"


@pytest.mark.parametrize("command", ["index", "ask", "verify", "catalog", "search"])
def test_each_command_explains_itself(command: str) -> None:
    assert "--data-dir" in rag(command, "--help").out


def test_all_prompts_are_answered_into_a_folder_and_verified(
    asked: Mapping[str, Path], data_dir: DataDir
) -> None:
    for name, path in asked.items():
        answer = read_answer(path)
        assert answer.prompt.text == PROMPTS[name].text
    shown = rag("verify", *asked.values(), "--data-dir", data_dir.folder)
    quotes = sum(len(list(read_answer(path).quotes())) for path in asked.values())
    listings = sum(len(prompt.listings) for prompt in PROMPTS.values())
    assert shown.out.count("\n") == 1
    assert shown.out.startswith(f"verified: 3 answers, {quotes} quotes, ")
    assert f" {listings} listings, " in shown.out
    assert shown.err == ""


def test_an_index_that_is_up_to_date_fetches_and_embeds_nothing_and_loads_nothing(
    asked: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in data_dir.folder.rglob("*")}
    program = COUNTED.format(heavy=HEAVY)
    shown = process("index", *prompt_files.values(), *data_dir.options, program=program)
    last, loaded = shown.err.splitlines()[-2:]
    assert "0 fetched, 0 embedded (0 passages)" in last
    assert loaded == "loaded:"
    assert {path: path.stat().st_mtime_ns for path in data_dir.folder.rglob("*")} == before


def test_the_index_says_what_it_did_and_what_it_could_not(
    prompt_files: Mapping[str, Path], small_mirror: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    options = ("--mirror", small_mirror, "--encoder", encoder_folder, "--offline")
    shown = rag("index", *prompt_files.values(), "--data-dir", tmp_path, *options)
    assert shown.out == ""
    assert "not read: arxiv:2401.00004v1: offline, and not in the mirror" in shown.err
    last = shown.err.splitlines()[-1]
    assert last.startswith("5 works, 8 of 9 sources usable: 8 fetched, 8 embedded (")
    (path, *_) = (tmp_path / "index").glob("*.segment")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = rag("index", *prompt_files.values(), "--data-dir", tmp_path, *options)
    assert "was damaged and is rebuilt: " in again.err
    assert "0 fetched, 1 embedded" in again.err


def test_one_answer_goes_to_standard_output_alone(
    asked: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    shown = ask(prompt_files["move"], *data_dir.options, "--format", "json")
    assert shown.out == asked["move"].read_text()
    markdown = ask(prompt_files["move"], *data_dir.options)
    assert markdown.out.startswith("# My picture of a lake")
    assert "## 3. Papers and tools" in markdown.out


def test_one_answer_goes_to_the_file_or_the_folder_that_is_named(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    ask(prompt_files["move"], *data_dir.options, "--output", tmp_path / "new" / "answer.md")
    assert (tmp_path / "new" / "answer.md").read_text().startswith("# My picture")
    ask(prompt_files["move"], *data_dir.options, "--output", tmp_path / "new")
    assert (tmp_path / "new" / "move.md").read_text().startswith("# My picture")


def test_answers_that_would_overwrite_each_other_are_refused(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    other = write(tmp_path / "other" / "move.txt", PROMPTS["colour"].text)
    shown = ask(prompt_files["move"], other, *data_dir.options, "--output", tmp_path / "x", code=2)
    assert "the same file name" in shown.err
    file = write(tmp_path / "file", "")
    shown = ask(*prompt_files.values(), *data_dir.options, "--output", file, code=2)
    assert "several answers need a folder" in " ".join(shown.err.replace("│", " ").split())


def tampered(path: Path, folder: Path, change: Callable[[str], str]) -> Path:
    return write(folder / path.name, change(path.read_text(encoding="utf-8")))


def test_a_changed_answer_fails_by_name_among_good_ones(
    asked: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    def change(data: str) -> str:
        raw = json.loads(data)
        raw["sections"]["references"][0]["name"] = "Forged\x1b[2J"
        return json.dumps(raw)

    wrong = tampered(asked["colour"], tmp_path, change)
    shown = rag("verify", asked["move"], wrong, "--data-dir", data_dir.folder, code=1)
    assert shown.out.startswith("1 failure: 2 answers, ")
    assert f"{wrong}: references[0]: name is 'Forged" in shown.err
    assert "\x1b" not in shown.err


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace('"start": ', '"start": "3", "was": ', 1),
        lambda data: data.replace('"pages": [', '"pages": "1", "was": [', 1),
        lambda data: data.replace('"seconds": null', '"seconds": NaN', 1),
        lambda data: data.replace("grounded-answer/1", "grounded-answer/9"),
        lambda data: data[: len(data) // 2],
        lambda _: "",
        lambda _: "[" * 100_000,
        lambda data: data.replace('"quotes"', '"quotations"', 1),
    ],
)
def test_a_malformed_answer_fails_by_name_and_without_a_traceback(
    asked: Mapping[str, Path], data_dir: DataDir, tmp_path: Path, change: Callable[[str], str]
) -> None:
    wrong = tampered(asked["move"], tmp_path, change)
    assert wrong.read_text() != asked["move"].read_text()
    shown = rag("verify", wrong, "--data-dir", data_dir.folder, code=1)
    assert f"{wrong.name}: " in shown.err
    assert "Traceback" not in shown.err


def test_what_is_no_file_fails_by_name_once(tmp_path: Path) -> None:
    shown = rag("verify", tmp_path, "--data-dir", tmp_path / "empty", code=1)
    assert shown.err.startswith(f"{tmp_path}: cannot be read (Is a directory); expected an answer")
    assert shown.err.count(str(tmp_path)) == 1
    assert shown.out.startswith("1 failure: 1 answer, ")


def test_another_home_proves_nothing(asked: Mapping[str, Path], tmp_path: Path) -> None:
    shown = rag("verify", asked["move"], "--data-dir", tmp_path / "empty", code=1)
    assert "no bytes with the recorded hash are kept" in shown.err
    assert not (tmp_path / "empty").exists()


def test_verify_reads_again_where_the_whole_index_is_gone(
    prompt_files: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    options = ("--data-dir", tmp_path, *data_dir.options[2:])
    ask(prompt_files["move"], *options, "--format", "json", "--output", tmp_path / "a.json")
    for folder in ("index", "documents"):
        shutil.rmtree(tmp_path / folder)
    assert rag("verify", tmp_path / "a.json", "--data-dir", tmp_path).out.startswith("verified: 1 ")


def test_the_catalog_shows_what_there_is_and_why_not_more(
    asked: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    shown = process("catalog", *prompt_files.values(), "--data-dir", data_dir.folder)
    rows = {line.split("│")[1].strip(): line for line in shown.out.splitlines() if "│" in line}
    assert "full text v2 · readme" in rows["Lantern: Colouring Grey Photographs"]
    assert "summary only" in rows["Willow: Words for Pictures"]
    assert "offline, and not in the mirror" in rows["Willow: Words for Pictures"]
    assert shown.out.count("│") == 4 * len(rows) == 4 * 5


def test_the_catalog_of_an_empty_home_fetches_nothing(
    prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    shown = rag("catalog", prompt_files["colour"], "--data-dir", tmp_path / "none")
    assert "not fetched yet" in " ".join(shown.out.replace("│", " ").split())
    assert not (tmp_path / "none").exists()


def test_a_search_shows_passages_with_scores_and_places(
    asked: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    question = "What is inpainting the task of?"
    shown = rag("search", question, prompt_files["remove"], *data_dir.options, "-n", "2")
    first, second, *_ = [line for line in shown.out.splitlines() if line[:1].isdigit()]
    assert first.startswith("1. ")
    assert "arxiv:2401.00002 p. 1 · Abstract" in first
    assert second.startswith("2. ")
    only = rag("search", question, prompt_files["remove"], *data_dir.options, "--work", "mosaic")
    assert "github:mosaic-makers/mosaic" in only.out
    assert "arxiv:" not in only.out
    nothing = rag(
        "search", question, prompt_files["remove"], *data_dir.options, "--work", "kite", code=2
    )
    assert "no listed work matches" in nothing.err


def test_a_search_without_prompts_is_over_everything_indexed_or_the_works_it_names(
    asked: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    options = ("--data-dir", data_dir.folder, *data_dir.options[4:])
    question = "What is inpainting the task of?"
    shown = rag("search", question, *options, "-n", "40")
    found = {
        line.split(") ")[1].split(" ")[0] for line in shown.out.splitlines() if line[:1].isdigit()
    }
    assert found >= {"arxiv:2401.00001v2", "arxiv:2401.00002", "github:mosaic-makers/mosaic"}
    for work in ("arxiv:2401.00002", "https://arxiv.org/abs/2401.00002", "401.00002"):
        only = rag("search", question, "--work", work, *options)
        assert "1. " in only.out
        assert only.out.count("arxiv:2401.00002 p. 1") == only.out.count("(cosine")
    wrong = process("search", question, "--work", "arxiv:2", *options[:2], *options[2:4])
    assert "arxiv:2401" in wrong.out
    missing = process("search", question, "--work", "2999.00001", *options, code=2)
    assert missing.err == "rag: 2999.00001: no work that is kept here has this in its id\n"
    empty = process("search", question, "--data-dir", tmp_path / "new", *options[2:], code=2)
    assert "run `rag index PROMPT…` first" in empty.err
    assert not (tmp_path / "new").exists()
    assert "the question is empty" in process("search", " ", *options, code=2).err


def test_index_says_what_another_encoder_costs_before_it_starts(
    data_dir: DataDir, asked: Mapping[str, Path], prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(data_dir.folder, tmp_path / "data_dir")
    other = write_encoder(tmp_path / "other")
    options = (
        "--data-dir",
        tmp_path / "data_dir",
        *data_dir.options[2:4],
        "--offline",
        "--encoder",
        other,
    )
    shown = rag("index", *prompt_files.values(), *options)
    first, *rest = shown.err.splitlines()
    assert re.match(r"\d+ stored sources have no segment by this encoder", first)
    assert "0 fetched" in rest[-1]
    again = rag("index", *prompt_files.values(), *options)
    assert "no segment" not in again.err


def test_a_search_may_have_the_best_passages_read_again(
    asked: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    reranker = write_reranker(tmp_path / "reranker")
    question = "What is inpainting the task of?"
    for where in ((), (prompt_files["remove"],)):
        first, again = (
            rag("search", question, *where, *data_dir.options, "-n", "40", *more).out.splitlines()
            for more in ((), ("--reranker", reranker))
        )
        texts = [[line for line in shown if line.startswith("   ")] for shown in (first, again)]
        assert sorted(texts[0]) == sorted(texts[1])
        assert first != again


@pytest.mark.parametrize("command", ["ask", "index", "catalog"])
def test_a_document_that_is_no_prompt_is_refused_in_one_line(command: str, tmp_path: Path) -> None:
    wrong = write(tmp_path / "wrong.txt", "Nothing is asked here.\n")
    for path in (wrong, tmp_path / "missing.txt"):
        shown = process(command, path, "--data-dir", tmp_path / "data_dir", code=2)
        (line,) = shown.err.splitlines()
        assert line.startswith(f"rag: {path}")
        assert "expected" in line


def test_an_encoder_or_a_mirror_that_is_not_there_is_refused(
    prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    shown = process(
        "index", prompt_files["move"], "--data-dir", tmp_path, "--encoder", missing, code=2
    )
    assert shown.err == f"rag: {missing}: there is no such folder\n"
    shown = ask(prompt_files["move"], "--mirror", missing, code=2)
    assert "is not a folder" in " ".join(shown.err.replace("│", " ").split())


def test_a_bad_pdf_and_a_web_page_are_entries_with_a_reason(
    prompt_files: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    write(mirror / "arxiv/2401.00001v2.pdf", bytes(5000))
    write(mirror / "arxiv/2401.00002.pdf", "<!doctype html><title>Denied</title>")
    options = ("--data-dir", tmp_path / "data_dir", "--mirror", mirror, *data_dir.options[4:])
    shown = ask(prompt_files["colour"], *options)
    assert "2 papers" in shown.out or "3 papers" in shown.out
    assert "zero bytes" in shown.out
    assert "an HTML page came in its place" in shown.out
    store = SourceStore(tmp_path / "data_dir" / "sources")
    for source_id in ("arxiv:2401.00001v2", "arxiv:2401.00002"):
        entry = store.failure(source_id)
        assert entry is not None
        assert entry.reason.startswith("not a PDF: ")


@pytest.mark.parametrize("command", ["verify", "catalog"])
def test_a_reader_that_leaves_is_no_error_to_speak_of(
    command: str, asked: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    files = asked if command == "verify" else prompt_files
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; sys.stdin.read(); from rag.cli.main import main; main()",
            command,
            *map(str, files.values()),
            "--data-dir",
            str(data_dir.folder),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        run.stdin.close()
        assert run.stderr.read() == b""
        assert run.wait() == 1


def test_a_prompt_is_never_replaced_by_its_answer(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    text = prompt_files["colour"].read_text("utf-8")
    path = write(tmp_path / "colour.md", text)
    options = (*data_dir.options, "--writer", "extractive")
    for output in (path, tmp_path):
        shown = rag("ask", path, *options, "--output", output, code=2)
        assert "would replace the prompt" in " ".join(shown.err.replace("│", " ").split())
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("command", ["ask", "index", "catalog"])
def test_a_home_that_is_a_file_is_refused_in_one_line(
    command: str, data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    taken = write(tmp_path / "data_dir", "a file")
    options = () if command == "catalog" else data_dir.options
    shown = process(command, prompt_files["colour"], *options, "--data-dir", taken, code=2)
    assert shown.err.splitlines()[-1] == f"rag: {taken}/sources/ledger.jsonl: Not a directory"


def test_a_home_that_is_a_file_proves_nothing(asked: Mapping[str, Path], tmp_path: Path) -> None:
    taken = write(tmp_path / "data_dir", "a file")
    shown = process("verify", asked["colour"], "--data-dir", taken, code=1)
    assert "the ledger cannot be read" in shown.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_in_one_line(
    data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    options = (*data_dir.options, "--writer", "extractive")
    program = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n" + MAIN
    for command in (("ask", *options), ("catalog", "--data-dir", data_dir.folder)):
        shown = process(*command, prompt_files["colour"], program=program, code=2)
        assert shown.err.splitlines()[-1] == "rag: No space left on device"


def test_an_unknown_level_of_logging_is_refused_in_one_line(
    prompt_files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_LOG", "loud")
    shown = process("catalog", prompt_files["colour"], code=2)
    assert shown.err.startswith("rag: RAG_LOG is 'loud'; expected one of CRITICAL,")


def test_an_answer_is_utf8_whatever_the_locale(
    data_dir: DataDir, prompt_files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    options = (*data_dir.options, "--writer", "extractive")
    assert "“" in process("ask", prompt_files["colour"], *options).out


def test_an_interrupt_says_that_nothing_is_lost(prompt_files: Mapping[str, Path]) -> None:
    program = """
import index.catalog, rag.cli.main
def interrupted(_): raise KeyboardInterrupt
index.catalog.Catalog.of = interrupted
rag.cli.main.main()
"""
    shown = process("catalog", prompt_files["colour"], program=program, code=130)
    assert shown.err.splitlines()[-1].startswith("rag: interrupted. What was done is stored")
