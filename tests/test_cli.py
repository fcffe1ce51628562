"""The `rag` command: what each sub-command prints, writes and refuses, and its exit codes."""

from __future__ import annotations

import contextlib
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

from index.sources import SourceStore
from rag.answer import read_answer
from rag.cli.options import Bars
from rag.prompt import read_prompt
from tests.parts import ROOT
from tests.parts.commands import MAIN, Output, invoke, run
from tests.parts.tiny_encoders import write_encoder, write_reranker
from tests.parts.tiny_models import saved
from tests.parts.works import PROMPTS, write

HEAVY = (
    *("torch", "sentence_transformers", "transformers", "faiss", "langchain_core", "pypdf"),
    *("httpx", "arxiv"),
)
PRINT_LOADED = f"""
import sys
from rag.cli.main import main
try:
    main()
finally:
    print("loaded:", *(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)
"""
COMMANDS = ("index", "ask", "serve", "verify", "catalog", "search", "remove")
QUESTION = "What is inpainting the task of?"


@dataclass(frozen=True)
class DataDir:
    """A data directory that the tests of this module share, and the options it was made with."""

    folder: Path
    mirror: Path
    encoder: Path

    @property
    def options(self) -> tuple[object, ...]:
        return self.at(self.folder)

    def at(self, folder: Path, mirror: Path | None = None) -> tuple[object, ...]:
        """The same options for another data directory."""
        where = ("--data-dir", folder, "--mirror", mirror or self.mirror)
        return (*where, "--encoder", self.encoder, "--offline")


@pytest.fixture(scope="module")
def data_dir(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> DataDir:
    return DataDir(tmp_path_factory.mktemp("data"), small_mirror, encoder_folder)


@pytest.fixture(scope="module")
def answers(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The answer files of one run over all prompts, by the prompts' names."""
    folder = tmp_path_factory.mktemp("answers")
    ask(*prompt_files.values(), *data_dir.options, "--format", "json", "--output", folder)
    return {name: folder / f"{name}.json" for name in prompt_files}


def ask(*arguments: object, code: int = 0) -> Output:
    """`rag ask` with the writer that needs no model, whatever models this machine has."""
    return invoke("ask", "--writer", "extractive", *arguments, code=code)


def test_help_lists_the_commands_and_loads_nothing_heavy() -> None:
    shown = run("--help", program=PRINT_LOADED)
    assert all(command in shown.out for command in (*COMMANDS, "evaluate", "bench"))
    assert shown.err == "loaded:\n"
    for command in COMMANDS:
        assert "--data-dir" in invoke(command, "--help").out


# rag index


def test_index_reports_what_was_read_and_rebuilds_what_is_damaged(
    prompt_files: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    shown = invoke("index", *prompt_files.values(), *data_dir.at(tmp_path))
    assert shown.out == ""
    assert "not read: arxiv:2401.00004v1: offline, and not in the mirror" in shown.err
    assert "5 works, 8 of 9 sources usable: 8 new, 8 embedded (" in shown.err.splitlines()[-1]
    (path, *_) = (tmp_path / "index").glob("*.segment")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = invoke("index", *prompt_files.values(), *data_dir.at(tmp_path))
    assert "was damaged and is rebuilt: " in again.err
    assert "0 new, 1 embedded" in again.err


def test_an_index_that_is_up_to_date_writes_nothing_and_loads_nothing_heavy(
    answers: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in data_dir.folder.rglob("*")}
    shown = run("index", *prompt_files.values(), *data_dir.options, program=PRINT_LOADED)
    last, loaded = shown.err.splitlines()[-2:]
    assert "0 new, 0 embedded (0 passages)" in last
    assert loaded == "loaded:"
    assert {path: path.stat().st_mtime_ns for path in data_dir.folder.rglob("*")} == before


def test_index_says_what_it_embeds_anew_before_it_starts(
    data_dir: DataDir, answers: Mapping[str, Path], prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(data_dir.folder, tmp_path / "data_dir")
    other = DataDir(copy, data_dir.mirror, write_encoder(tmp_path / "other"))
    first, *rest = invoke("index", *prompt_files.values(), *other.options).err.splitlines()
    assert re.match(r"\d+ stored sources have no segment by this encoder", first)
    assert "0 new" in rest[-1]
    assert "no segment" not in invoke("index", *prompt_files.values(), *other.options).err


def test_settings_come_from_the_environment_where_no_option_is_given(
    data_dir: DataDir,
    answers: Mapping[str, Path],
    prompt_files: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(data_dir.folder))
    monkeypatch.setenv("RAG_MIRROR", str(data_dir.mirror))
    monkeypatch.setenv("RAG_OFFLINE", "1")
    shown = invoke("index", prompt_files["move"], "--encoder", data_dir.encoder)
    assert "0 new, 0 embedded" in shown.err


def test_the_script_indexes_what_the_prompts_of_the_repository_list(
    encoder_folder: Path, tmp_path: Path
) -> None:
    program = "import runpy; runpy.run_module('scripts.build_index', run_name='__main__')"
    options = ("--data-dir", tmp_path, "--encoder", encoder_folder, "--offline")
    prompts = map(read_prompt, (ROOT / "prompts").glob("*.txt"))
    works = {(item.name, item.source_ids) for prompt in prompts for item in prompt.listings}
    assert f"{len(works)} works, " in run(*options, program=program).err.splitlines()[-1]


# rag ask


def test_one_answer_goes_to_standard_output_alone(
    answers: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    shown = ask(prompt_files["move"], *data_dir.options, "--format", "json")
    assert shown.out == answers["move"].read_text()
    assert read_answer(answers["move"]).prompt.text == PROMPTS["move"].text
    markdown = ask(prompt_files["move"], *data_dir.options)
    assert markdown.out.startswith("# My picture of a lake")
    assert "## 3. Papers and tools" in markdown.out


def test_an_answer_goes_to_the_file_or_the_folder_that_is_named(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    for output, path in (
        ("new/answer.md", "new/answer.md"),
        ("new", "new/move.md"),
        ("none yet", "none yet/move.md"),
    ):
        ask(prompt_files["move"], *data_dir.options, "--output", tmp_path / output)
        assert (tmp_path / path).read_text().startswith("# My picture")


def test_pages_show_the_quotes_on_the_pages_of_their_papers(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    options = (*data_dir.options, "--format", "html")
    assert not ask(*prompt_files.values(), *options, "--output", tmp_path).out
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.html" for name in PROMPTS}
    for name in PROMPTS:
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        assert "<image" in page
        assert "See it on page" in page
    assert ask(prompt_files["move"], *options).out == (tmp_path / "move.html").read_text("utf-8")


def test_outputs_that_would_overwrite_an_answer_or_a_prompt_are_refused(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    text = PROMPTS["move"].text
    prompt, other = write(tmp_path / "move.md", text), write(tmp_path / "other" / "move.txt", text)
    for prompts, output, expected in (
        ([prompt, other], tmp_path / "x", "the same file name"),
        ([*prompt_files.values()], prompt, "several answers need a folder"),
        ([prompt], prompt, "which it is made from"),
        ([prompt], tmp_path, "which it is made from"),
    ):
        shown = ask(*prompts, *data_dir.options, "--output", output, code=2)
        assert expected in shown.refusal
    assert prompt.read_text("utf-8") == text


def test_a_bad_pdf_and_a_web_page_are_entries_with_a_reason(
    prompt_files: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    write(mirror / "arxiv/2401.00001v2.pdf", bytes(5000))
    write(mirror / "arxiv/2401.00002.pdf", "<!doctype html><title>Denied</title>")
    shown = ask(prompt_files["colour"], *data_dir.at(tmp_path / "data_dir", mirror))
    assert "3 papers" in shown.out
    assert "zero bytes" in shown.out
    assert "an HTML page came in its place" in shown.out
    store = SourceStore(tmp_path / "data_dir" / "sources")
    for source_id in ("arxiv:2401.00001v2", "arxiv:2401.00002"):
        failure = store.failure(source_id)
        assert failure is not None
        assert failure.reason.startswith("not a PDF: ")


# rag verify


def test_verify_counts_what_it_proved(answers: Mapping[str, Path], data_dir: DataDir) -> None:
    for name, path in answers.items():
        assert read_answer(path).prompt.text == PROMPTS[name].text
    shown = invoke("verify", *answers.values(), "--data-dir", data_dir.folder)
    quotes = sum(len(list(read_answer(path).quotes())) for path in answers.values())
    listings = sum(len(prompt.listings) for prompt in PROMPTS.values())
    assert shown.out.count("\n") == 1
    assert shown.out.startswith(f"verified: 3 answers, {quotes} quotes, ")
    assert f" {listings} listings, " in shown.out
    assert shown.err == ""


def rename_reference(data: str) -> str:
    raw = json.loads(data)
    raw["sections"]["references"][0]["name"] = "Forged\x1b[2J"
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (rename_reference, "references[0]: name is 'Forged"),
        (lambda data: data.replace('"start": ', '"start": "3", "was": ', 1), ""),
        (lambda data: data.replace('"pages": [', '"pages": "1", "was": [', 1), ""),
        (lambda data: data.replace('"seconds": null', '"seconds": NaN', 1), ""),
        (lambda data: re.sub(r"grounded-answer/\d", "grounded-answer/9", data), ""),
        (lambda data: data[: len(data) // 2], ""),
        (lambda _: "", ""),
        (lambda _: "[" * 100_000, ""),
        (lambda data: data.replace('"quotes"', '"quotations"', 1), ""),
    ],
)
def test_a_changed_answer_fails_by_name_among_good_ones(
    answers: Mapping[str, Path],
    data_dir: DataDir,
    tmp_path: Path,
    change: Callable[[str], str],
    expected: str,
) -> None:
    original = answers["colour"].read_text(encoding="utf-8")
    assert change(original) != original
    wrong = write(tmp_path / "wrong.json", change(original))
    shown = invoke("verify", answers["move"], wrong, "--data-dir", data_dir.folder, code=1)
    assert shown.out.startswith("1 failure: 2 answers, ")
    assert f"{wrong}: {expected}" in shown.err
    assert "\x1b" not in shown.err
    assert "Traceback" not in shown.err


def test_a_folder_in_place_of_an_answer_fails_by_name_once(tmp_path: Path) -> None:
    shown = invoke("verify", tmp_path, "--data-dir", tmp_path / "empty", code=1)
    assert shown.err.startswith(f"{tmp_path}: cannot be read (Is a directory); expected an answer")
    assert shown.err.count(str(tmp_path)) == 1
    assert shown.out.startswith("1 failure: 1 answer, ")


def test_another_data_directory_proves_nothing(answers: Mapping[str, Path], tmp_path: Path) -> None:
    shown = invoke("verify", answers["move"], "--data-dir", tmp_path / "empty", code=1)
    # One failure for each source, and none for what is quoted of it.
    sources = [source for source in read_answer(answers["move"]).sources if not source.reason]
    assert shown.err.count("no bytes with the recorded hash are") == len(sources)
    assert "not a listed source" not in shown.err
    assert not (tmp_path / "empty").exists()
    file = write(tmp_path / "file", "no folder")
    shown = invoke("verify", answers["move"], "--data-dir", file, code=1)
    assert "the ledger cannot be read" in shown.err


def test_verify_needs_neither_index_nor_cached_documents(
    prompt_files: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    answer = tmp_path / "answer.json"
    ask(prompt_files["move"], *data_dir.at(tmp_path), "--format", "json", "--output", answer)
    for folder in ("index", "documents"):
        shutil.rmtree(tmp_path / folder)
    assert invoke("verify", answer, "--data-dir", tmp_path).out.startswith("verified: 1 ")


# rag catalog


def test_the_catalog_shows_what_is_stored_and_why_not_more(
    answers: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    shown = run("catalog", *prompt_files.values(), "--data-dir", data_dir.folder)
    rows = {line.split("│")[1].strip(): line for line in shown.out.splitlines() if "│" in line}
    assert "full text v2 · readme" in rows["Lantern: Colouring Grey Photographs"]
    assert "summary only" in rows["Willow: Words for Pictures"]
    assert "offline, and not in the mirror" in rows["Willow: Words for Pictures"]
    assert shown.out.count("│") == 4 * len(rows) == 4 * 5
    empty = invoke("catalog", prompt_files["colour"], "--data-dir", tmp_path / "none")
    assert "not fetched yet" in " ".join(empty.out.replace("│", " ").split())
    assert not (tmp_path / "none").exists()


# rag search


def test_a_search_shows_passages_with_scores_and_places(
    answers: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    search = ("search", QUESTION, prompt_files["remove"], *data_dir.options)
    lines = invoke(*search, "-n", "2").out.splitlines()
    first, second = [line for line in lines if line[:1].isdigit()]
    assert first == "1. Tide: Removing Objects from Pictures · full text, p. 1 · Abstract"
    assert re.fullmatch(
        r"   score \d+\.\d\d \(cosine 0\.\d\d, BM25 \d+\.\d\) arxiv:2401\.00002", lines[1]
    )
    assert second.startswith("2. ")
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    only = invoke(*search, "--work", "mosaic")
    assert "github:mosaic-makers/mosaic" in only.out
    assert "arxiv:" not in only.out
    assert "no listed work matches" in invoke(*search, "--work", "kite", code=2).refusal


def test_a_search_without_prompts_is_over_everything_indexed_or_the_works_it_names(
    answers: Mapping[str, Path], data_dir: DataDir, tmp_path: Path
) -> None:
    search = ("search", QUESTION, *data_dir.options)
    lines = invoke(*search, "-n", "40").out.splitlines()
    source_ids = {line.split(") ")[1] for line in lines if "(cosine" in line}
    assert source_ids >= {"arxiv:2401.00001v2", "arxiv:2401.00002", "github:mosaic-makers/mosaic"}
    for work in ("arxiv:2401.00002", "https://arxiv.org/abs/2401.00002", "401.00002"):
        only = invoke(*search, "--work", work)
        assert only.out.count(") arxiv:2401.00002\n") == only.out.count("(cosine") > 0
    for refused, expected in (
        ((*search, "--work", "2999.00001"), "rag: 2999.00001: no work "),
        (("search", QUESTION, *data_dir.at(tmp_path / "new")), "run `rag index PROMPT…` first"),
        (("search", " ", *data_dir.options), "the question is empty"),
    ):
        assert expected in run(*refused, code=2).err
    assert not (tmp_path / "new").exists()


def test_a_search_may_have_the_best_passages_reranked(
    answers: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    reranker = write_reranker(tmp_path / "reranker")
    for prompts in ((), (prompt_files["remove"],)):
        search = ("search", QUESTION, *prompts, *data_dir.options, "-n", "40")
        plain, reranked = (invoke(*search, *more).out for more in ((), ("--reranker", reranker)))
        assert plain != reranked
        texts = [
            sorted(re.findall(r"^   (?!.*\(cosine ).*$", shown, re.MULTILINE))
            for shown in (plain, reranked)
        ]
        assert texts[0] == texts[1]


# What is refused, in one line


@pytest.mark.parametrize("command", ["ask", "index", "catalog", "remove"])
def test_a_document_that_is_no_prompt_is_refused(command: str, tmp_path: Path) -> None:
    wrong = write(tmp_path / "wrong.txt", "Nothing is asked here.\n")
    for path in (wrong, tmp_path / "missing.txt"):
        (line,) = run(command, path, "--data-dir", tmp_path / "data_dir", code=2).err.splitlines()
        assert line.startswith(f"rag: {path}")
        assert "expected" in line


def test_a_missing_encoder_or_mirror_is_refused(
    prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    options = ("--data-dir", tmp_path, "--encoder", missing)
    shown = run("index", prompt_files["move"], *options, code=2)
    assert shown.err == f"rag: {missing} does not exist: expected a folder with a model\n"
    shown = ask(prompt_files["move"], "--mirror", missing, code=2)
    # The box around it may be broken anywhere, within a path too.
    assert "missingdoesnotexist" in re.sub(r"[^a-z]", "", shown.refusal)


@pytest.mark.parametrize("command", ["ask", "index", "catalog", "remove"])
def test_a_data_directory_that_is_a_file_is_refused(
    command: str, data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    file = write(tmp_path / "data_dir", "a file")
    options = ("--data-dir", file) if command in ("catalog", "remove") else data_dir.at(file)
    shown = run(command, prompt_files["colour"], *options, code=2)
    assert re.fullmatch(rf"rag: {file}/sources/\S+: Not a directory", shown.err.splitlines()[-1])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_reported(data_dir: DataDir, prompt_files: Mapping[str, Path]) -> None:
    program = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n" + MAIN
    for command, *options in (
        ("ask", "--writer", "extractive", *data_dir.options),
        ("catalog", "--data-dir", data_dir.folder),
    ):
        shown = run(command, prompt_files["colour"], *options, program=program, code=2)
        assert shown.err.splitlines()[-1] == "rag: No space left on device"


def test_an_unknown_level_of_logging_is_refused(
    prompt_files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_LOG", "loud")
    shown = run("catalog", prompt_files["colour"], code=2)
    assert shown.err.startswith("rag: RAG_LOG is 'loud'; expected one of CRITICAL,")


# The process


def test_an_answer_is_utf8_whatever_the_locale(
    data_dir: DataDir, prompt_files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    options = (*data_dir.options, "--writer", "extractive")
    assert "“" in run("ask", prompt_files["colour"], *options).out


def test_an_interrupt_says_that_nothing_is_lost(prompt_files: Mapping[str, Path]) -> None:
    program = """
import index.catalog, rag.cli.main
def interrupt(_): raise KeyboardInterrupt
index.catalog.Catalog.of = interrupt
rag.cli.main.main()
"""
    shown = run("index", prompt_files["colour"], program=program, code=130)
    assert shown.err.splitlines()[-1].startswith("rag: interrupted. What was done is stored")


@pytest.mark.parametrize("command", ["verify", "catalog"])
def test_a_closed_pipe_is_no_error_to_report(
    command: str, answers: Mapping[str, Path], data_dir: DataDir, prompt_files: Mapping[str, Path]
) -> None:
    files = answers if command == "verify" else prompt_files
    arguments = (command, *map(str, files.values()), "--data-dir", str(data_dir.folder))
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdin.read(); {MAIN}", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_text_of_sources_is_no_markup_beside_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, as far as rich is concerned
    with Bars() as bars:
        bars("fetch", 1, 3, "moved to [link=https://evil.example]x[/link] \x1b[31m[/nothing]")
    shown = capsys.readouterr().err
    assert "[link=https://evil.example]x[/link] [31m[/nothing]" in shown.replace("\n", "")
    assert "\x1b]8;" not in shown


def test_on_a_terminal_the_answer_is_seen_being_made_and_then_stands_there_once(
    data_dir: DataDir, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    pty = pytest.importorskip("pty", reason="needs a terminal of POSIX")
    ours, theirs = pty.openpty()
    model = saved(tmp_path / "model")
    command = ("ask", prompt_files["move"], *data_dir.options, "--writer", "local", "--tries", "0")
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, (*command, "--model", model))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    # Reading fails when the other end is closed.
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    # What stays is what comes after the last line that was erased.
    gone, _, stays = shown.decode().rpartition("\x1b[2K")
    question = PROMPTS["move"].question.partition("?")[0][:40]
    assert "writing" in gone
    assert question not in gone
    assert "writing" not in stays
    assert stays.count(question) == 1
    kept = r"\d+ of \d+ statements were replaced by sentences of the works"
    assert re.search(kept, " ".join(stays.split()))
