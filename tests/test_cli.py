"""The `rag` command: what each sub-command prints, writes and refuses, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index.errors import RagError
from index.settings import Settings
from rag.answer import Answer, read_answer
from rag.cli.options import Bars
from rag.pipeline import Pipeline
from rag.prompt import read_prompt
from tests.parts import ROOT
from tests.parts.commands import MAIN, Output, invoke, options_of, run
from tests.parts.tiny_encoders import write_encoder, write_reranker
from tests.parts.works import KITE, PROMPTS, write

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
QUESTION = "What is inpainting the task of?"
Options = tuple[object, ...]


def ask(*arguments: object, code: int = 0) -> Output:
    """`rag ask` with the writer that needs no model, whatever models this machine has."""
    return invoke("ask", "--writer", "extractive", *arguments, code=code)


@pytest.fixture(scope="module")
def options(pipeline: Pipeline, answers: Mapping[str, Answer]) -> Options:
    """Of a data directory in which the works of all prompts are indexed."""
    return options_of(pipeline.settings)


@pytest.fixture(scope="module")
def files(
    options: Options, prompt_files: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The answer files of one run over all prompts, by the prompts' names."""
    folder = tmp_path_factory.mktemp("files")
    ask(*prompt_files.values(), *options, "--format", "json", "--output", folder)
    return {name: folder / f"{name}.json" for name in prompt_files}


# rag index


def test_index_reports_what_was_read_rebuilt_and_embedded_anew(
    prompt_files: Mapping[str, Path], own_settings: Settings, tmp_path: Path
) -> None:
    index = ("index", *prompt_files.values())
    shown = invoke(*index, *options_of(own_settings))
    assert shown.out == ""
    assert "not read: arxiv:2401.00004v1: offline, and not in the mirror" in shown.err
    assert "5 works, 8 of 9 sources usable: 8 new, 8 embedded (" in shown.err.splitlines()[-1]
    (path, *_) = own_settings.index.glob("*.segment")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = invoke(*index, *options_of(own_settings)).err
    assert "was damaged and is rebuilt: " in again
    assert "0 new, 1 embedded" in again
    other = options_of(replace(own_settings, encoder=str(write_encoder(tmp_path / "other"))))
    first, *_, last = invoke(*index, *other).err.splitlines()
    assert re.match(r"\d+ stored sources have no segment by this encoder", first)
    assert "0 new" in last
    assert "no segment" not in invoke(*index, *other).err


def test_help_and_an_index_that_is_up_to_date_write_nothing_and_load_nothing_heavy(
    options: Options,
    pipeline: Pipeline,
    prompt_files: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the settings of the environment."""
    for name, value in zip(("DATA_DIR", "MIRROR", "ENCODER"), options[1::2], strict=False):
        monkeypatch.setenv(f"RAG_{name}", str(value))
    monkeypatch.setenv("RAG_OFFLINE", "1")
    data_dir = pipeline.settings.data_dir
    invoke("index", *prompt_files.values())  # Another test may have asked without the mirror.
    before = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")}
    shown = run("index", *prompt_files.values(), program=PRINT_LOADED)
    last, loaded = shown.err.splitlines()[-2:]
    assert "0 new, 0 embedded (0 passages)" in last
    assert loaded == "loaded:"
    assert {path: path.stat().st_mtime_ns for path in data_dir.rglob("*")} == before
    assert run("--help", program=PRINT_LOADED).err == "loaded:\n"


def test_the_script_indexes_what_the_prompts_of_the_repository_list(
    encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = ("--data-dir", tmp_path, "--encoder", encoder_folder, "--offline")
    monkeypatch.setattr("sys.argv", ["build_index", *map(str, here)])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("scripts.build_index", run_name="__main__")
    prompts = map(read_prompt, (ROOT / "prompts").glob("*.txt"))
    works = {(item.name, item.source_ids) for prompt in prompts for item in prompt.listings}
    assert f"{len(works)} works, " in capsys.readouterr().err.splitlines()[-1]


# rag ask


def test_one_answer_goes_to_standard_output_alone(
    files: Mapping[str, Path], options: Options, prompt_files: Mapping[str, Path]
) -> None:
    shown = ask(prompt_files["move"], *options, "--format", "json")
    assert (shown.out, shown.err) == (files["move"].read_text("utf-8"), "")
    markdown = ask(prompt_files["move"], *options).out
    assert markdown.startswith("# My picture of a lake")
    assert "## 3. Papers and tools" in markdown
    page = ask(prompt_files["move"], *options, "--format", "html").out
    assert "<image" in page
    assert "See it on page" in page


@pytest.mark.parametrize(
    ("output", "path", "begins"),
    [
        (("a.md",), "a.md", "# My picture"),
        (("a.json",), "a.json", "{"),
        (("a.HTM",), "a.HTM", "<!DOCTYPE html>"),
        (("new/answer.md",), "new/answer.md", "# My picture"),
        (("none yet",), "none yet/move.md", "# My picture"),
        ((".", "--format", "html"), "move.html", "<!DOCTYPE html>"),
        (("answer.docx", "--format", "json"), "answer.docx", "{"),
    ],
)
def test_an_answer_goes_to_the_file_or_folder_that_is_named_in_the_form_of_its_ending(
    options: Options,
    prompt_files: Mapping[str, Path],
    tmp_path: Path,
    output: Sequence[str],
    path: str,
    begins: str,
) -> None:
    name, *form = output
    assert not ask(prompt_files["move"], *options, "--output", tmp_path / name, *form).out
    assert (tmp_path / path).read_text("utf-8").startswith(begins)


def test_several_answers_as_json_are_json_lines_that_verify(
    options: Options, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    prompts = [*prompt_files.values(), prompt_files["colour"]]
    path = tmp_path / "answers.jsonl"
    shown = ask(*prompts, *options, "--output", path).err
    assert shown.count("not read: ") == 1  # however many prompts list it
    lines = path.read_text("utf-8")
    questions = [json.loads(line)["prompt"]["question"] for line in lines.splitlines()]
    assert questions == [read_prompt(prompt).question for prompt in prompts]
    assert ask(*prompts[:2], *options, "--format", "json").out in lines
    assert invoke("verify", path, *options[:2]).out.startswith("verified: 4 answers, ")
    write(path, lines.replace('"start": ', '"begin": ', 1))
    refused = invoke("verify", path, *options[:2], code=1).err
    assert f"{path}: line 1: does not have the form" in refused


# rag verify


def test_verify_counts_what_it_proved(
    answers: Mapping[str, Answer], files: Mapping[str, Path], options: Options
) -> None:
    assert {name: read_answer(path) for name, path in files.items()} == answers
    shown = invoke("verify", *files.values(), *options[:2])
    quotes = sum(len(list(answer.quotes())) for answer in answers.values())
    listings = sum(len(prompt.listings) for prompt in PROMPTS.values())
    counts = rf"verified: 3 answers, {quotes} quotes, \d+ statements, {listings} listings, .*\n"
    assert re.fullmatch(counts, shown.out)
    assert shown.err == ""


def test_answers_that_were_changed_fail_by_name_among_good_ones(
    files: Mapping[str, Path], options: Options, tmp_path: Path
) -> None:
    data = files["colour"].read_text("utf-8")
    forged = json.loads(data)
    forged["sections"]["references"][0]["name"] = "Forged\x1b[2J"
    changed = {
        "forged": json.dumps(forged),
        "newer": re.sub(r"grounded-answer/\d", "grounded-answer/9", data),
        "cut": data[: len(data) // 2],
        "deep": "[" * 100_000,
    }
    wrong = [write(tmp_path / f"{name}.json", text) for name, text in changed.items()]
    shown = invoke("verify", files["move"], *wrong, tmp_path, *options[:2], code=1)
    assert re.match(r"\d+ failures: 6 answers, ", shown.out)
    assert f"{wrong[0]}: references[0]: name is 'Forged" in shown.err
    lines = shown.err.splitlines()
    # What cannot be read is one failure, and a folder in place of an answer is named once.
    for path in (*wrong[1:], tmp_path):
        (line,) = [line for line in lines if line.startswith(f"{path}: ")]
        assert line.count(str(path)) == 1
        assert "expected" in line
    assert "\x1b" not in shown.err
    assert str(files["move"]) not in shown.err


def test_another_data_directory_proves_nothing(files: Mapping[str, Path], tmp_path: Path) -> None:
    shown = invoke("verify", files["move"], "--data-dir", tmp_path / "empty", code=1)
    # One failure for each source, and none for what is quoted of it.
    sources = [source for source in read_answer(files["move"]).sources if not source.reason]
    assert shown.err.count("no bytes with the recorded hash are") == len(sources)
    assert "not a listed source" not in shown.err
    assert not (tmp_path / "empty").exists()
    file = write(tmp_path / "file", "no folder")
    shown = invoke("verify", files["move"], "--data-dir", file, code=1)
    assert "the ledger cannot be read" in shown.err


# rag catalog and rag search


def test_the_catalog_shows_what_is_stored_and_why_not_more(
    options: Options,
    prompt_files: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = invoke("catalog", *prompt_files.values(), *options[:2]).out
    rows = {line.split("│")[1].strip(): line for line in shown.splitlines() if "│" in line}
    assert "full text v2 · readme" in rows["Lantern: Colouring Grey Photographs"]
    assert "summary only" in rows["Willow: Words for Pictures"]
    assert "offline, and not in the mirror" in rows["Willow: Words for Pictures"]
    assert shown.count("│") == 4 * len(rows) == 4 * 5
    empty = invoke("catalog", prompt_files["colour"], "--data-dir", tmp_path / "none").out
    assert "not fetched yet" in empty
    assert not (tmp_path / "none").exists()


def test_a_search_shows_passages_with_scores_and_places(
    options: Options, prompt_files: Mapping[str, Path]
) -> None:
    search = ("search", QUESTION, prompt_files["remove"], *options)
    lines = invoke(*search, "-n", "2").out.splitlines()
    first, second = [line for line in lines if line[:1].isdigit()]
    assert first == "1. Tide: Removing Objects from Pictures · full text, p. 1 · Abstract"
    scores = r"   score \d+\.\d\d \(cosine 0\.\d\d, BM25 \d+\.\d\) arxiv:2401\.00002"
    assert re.fullmatch(scores, lines[1])
    assert second.startswith("2. ")
    assert max(map(len, lines)) <= 80
    objects = [json.loads(line) for line in invoke(*search, "--json", "-n", "3").out.splitlines()]
    assert [item["rank"] for item in objects] == [1, 2, 3]
    expected = {"source_id": "arxiv:2401.00002", "pages": [1], "section": "Abstract"}
    assert expected.items() <= objects[0].items()
    assert first.startswith(f"1. {objects[0]['title']} · ")
    # Lines are broken between two words, and no word is lost.
    assert " ".join(objects[0]["text"].split()) in " ".join(" ".join(lines).split())
    only = invoke(*search, "--work", "mosaic").out
    assert "github:mosaic-makers/mosaic" in only
    assert "arxiv:" not in only


def test_a_search_without_prompts_is_over_everything_indexed_or_the_works_it_names(
    options: Options,
) -> None:
    search = ("search", QUESTION, *options)
    lines = invoke(*search, "-n", "40").out.splitlines()
    source_ids = {line.split(") ")[1] for line in lines if "(cosine" in line}
    assert source_ids >= {"arxiv:2401.00001v2", "arxiv:2401.00002", "github:mosaic-makers/mosaic"}
    for work in ("arxiv:2401.00002", "https://arxiv.org/abs/2401.00002", "401.00002"):
        only = invoke(*search, "--work", work)
        assert only.out.count(") arxiv:2401.00002\n") == only.out.count("(cosine") > 0


def test_a_search_may_have_the_best_passages_reranked(
    options: Options, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    reranker = ("--reranker", write_reranker(tmp_path / "reranker"))
    for prompts in ((), (prompt_files["remove"],)):
        search = ("search", QUESTION, *prompts, *options, "-n", "40", "--json")
        plain, reranked = (invoke(*search, *more).out for more in ((), reranker))
        texts = [[json.loads(line)["text"] for line in it.splitlines()] for it in (plain, reranked)]
        assert texts[0] != texts[1]
        assert sorted(texts[0]) == sorted(texts[1])


# What is refused


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ask 'How is it done?'", "nothing to be answered from; expected links"),
        ("ask 'How is it done?' gone.pdf", "gone.pdf does not exist"),
        ("ask scan.pdf How?", "the question comes first"),
        ("ask . How?", "the question comes first"),
        ("ask ' ' scan.pdf", "the question is empty"),
        ("ask degradation scan.pdf", "a question stands in quotes, and one of a single word ends"),
        ("ask gone.txt", "gone.txt: cannot be read (No such file or directory); expected"),
        ("index gone.txt", "gone.txt: cannot be read"),
        ("catalog gone.pdf", "gone.pdf does not exist"),
        ("catalog https://example.org/x", "expected the address or id of a paper on arXiv"),
        *((f"{command} wrong.txt", "wrong.txt") for command in ("ask", "index", "remove")),
        ("search ' '", "the question is empty"),
        ("search What?", "run `rag index PROMPT…` first"),
        ("search What? move.md --work tide", "no listed work matches"),
        ("ask move.md --mirror gone", "gone does not exist"),
        ("index move.md --encoder ./gone", "gone does not exist: expected a folder with a model"),
        ("ask move.md --writer local --model ./gone/x", "gone/x does not exist"),
        ("ask move.md --writer local --model gone/of/mine", "gone/of/mine does not exist"),
        ("ask move.md other/move.txt --output x", "two prompts have the same file name"),
        ("ask move.md colour.txt -o move.md", "several answers need a folder, or a file in .jsonl"),
        ("ask move.md colour.txt -o all.json", "all.json is for one: several answers need a"),
        ("ask move.md -o move.md", "would replace move.md, which it is made from"),
        ("ask move.md -o .", "would replace move.md, which it is made from"),
        ("ask How? scan.pdf -o scan.pdf --format json", "scan.pdf, which it is made from"),
        ("ask move.md -o x.html --format json", "ends in .html, which is html, and --format says"),
        ("ask move.md -o x.docx", "x.docx ends in .docx, which says nothing of the form"),
        (
            "ask move.md --writer extractive --model x",
            "--writer extractive has no use for it: it is for --writer auto or --writer local or "
            "--writer chat",
        ),
        ("ask move.md --writer extractive --temperature 0.5", "extractive has no use for it"),
        (
            "ask move.md --writer auto --base-url http://a",
            "has no use for it: it is for --writer c",
        ),
        ("evaluate writers move.md --store nonsense", "--store nonsense: expected `segments`, the"),
        ("config mirors x", "there is no setting 'mirors'; expected one of data-dir, mirror,"),
        ("config offline perhaps", "offline is 'perhaps'; expected true or false"),
        ("config writer nonsense", "writer is 'nonsense'; expected auto or local or extractive"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence_and_nothing_is_written(
    line: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("move.md", "other/move.txt", "colour.txt"):
        write(tmp_path / name, PROMPTS[Path(name).stem].text)
    write(tmp_path / "wrong.txt", "Nothing is asked here.\n")
    write(tmp_path / "scan.pdf", KITE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    try:
        refusal = invoke(*shlex.split(line), code=2).refusal
    except RagError as error:
        refusal = str(error)
    assert expected in refusal
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# The process


def test_what_the_system_refuses_is_reported_in_one_line_and_a_closed_pipe_in_none(
    options: Options, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    catalog = ("catalog", prompt_files["colour"], "--data-dir")
    file = write(tmp_path / "data_dir", "a file")
    shown = run(*catalog, file, code=2).err
    assert re.fullmatch(rf"rag: {file}/sources/\S+: Not a directory\n", shown)
    closed = "import os; ours, theirs = os.pipe(); os.dup2(theirs, 1); os.close(ours)\n"
    assert run(*catalog, options[1], program=closed + MAIN, code=1).err == ""
    if Path("/dev/full").exists():
        full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n"
        shown = run(*catalog, options[1], program=full + MAIN, code=2).err
        assert shown == "rag: No space left on device\n"


def test_what_is_refused_is_one_line_and_an_unknown_level_of_logging_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = run("catalog", tmp_path / "missing.txt", code=2).err
    assert re.fullmatch(rf"rag: {tmp_path}/missing.txt: cannot be read.*\n", shown)
    monkeypatch.setenv("RAG_LOG", "loud")
    shown = run("config", code=2).err
    assert shown.startswith("rag: RAG_LOG is 'loud'; expected one of CRITICAL,")


def test_what_is_printed_is_utf8_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert " – " in run("config").out


def test_an_interrupt_says_that_nothing_is_lost(prompt_files: Mapping[str, Path]) -> None:
    program = """
import index.catalog, rag.cli.main
def interrupt(_): raise KeyboardInterrupt
index.catalog.Catalog.of = interrupt
rag.cli.main.main()
"""
    shown = run("index", prompt_files["colour"], program=program, code=130)
    assert shown.err.splitlines()[-1].startswith("rag: interrupted. What was done is stored")


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
    options: Options, prompt_files: Mapping[str, Path]
) -> None:
    pty = pytest.importorskip("pty", reason="needs a terminal of POSIX")
    ours, theirs = pty.openpty()
    command = ("ask", prompt_files["move"], *options, "--writer", "extractive")
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, command)],
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
