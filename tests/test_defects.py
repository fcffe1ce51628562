"""Strange arguments are refused with a sentence; what nobody thought of is one line and code 70."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import rag
from index.errors import RagError
from rag.answer import Answer
from rag.cli.main import DEFECT, main
from rag.pipeline import Pipeline
from rag.views.notebook import show
from tests.parts.commands import run
from tests.parts.works import PROMPTS

BYTE = "\udcff"
"""What Python makes of an argument that is no text."""

STRANGE = [
    *(f"serve --host {host}" for host in ("a..b", "x" * 70, BYTE, "[", "-", "1.2.3.4.5", ".")),
    *(f"ask PROMPT --temperature {value}" for value in ("inf", "nan", "-inf", "1e999", "1e9")),
    *(f"ask PROMPT --threshold {value}" for value in ("nan", "inf")),
    *(f"ask PROMPT --tries {value}" for value in ("99999999999", "-1", "9" * 5000)),
    f"ask PROMPT --seed {10**30}",
    f"ask PROMPT --writer extractive --seed {10**30}",
    *(f"ask PROMPT --encoder {name}" for name in ("~nouser/x", BYTE, "/", "/dev/null", "x" * 5000)),
    *(f"ask PROMPT --writer local --model {name}" for name in ("~nouser/x", BYTE, "/", "x" * 5000)),
    *(f"ask PROMPT --writer auto --model {name}" for name in ("~nouser/x", BYTE, "/dev/null")),
    *(
        f"ask PROMPT --writer chat --model m --base-url {url}"
        for url in ("http://[", "http://[x]", BYTE, "ftp://127.0.0.1", "127.0.0.1:x", "http://:x")
    ),
    *(f"ask {path}" for path in (BYTE, "/", "/dev/null", "x" * 5000, "~nouser")),
    *(f"ask PROMPT --writer extractive --output {path}" for path in ("/", "/dev/full", "x" * 300)),
    *(f"ask PROMPT --mirror {path}" for path in (BYTE, "~nouser/x", "x" * 5000)),
    *(f"ask PROMPT --writer extractive --data-dir {path}" for path in ("/dev/null", "x" * 5000)),
    *(f"search {words}" for words in (BYTE, f"a --work {BYTE}", f"a -n {10**30}", "a --work (")),
    *(f"search a PROMPT -n {10**30} --work {work}" for work in (BYTE, "[")),
    *(f"verify {path}" for path in (BYTE, "/", "/dev/null", "x" * 5000)),
    *(f"catalog {path}" for path in (BYTE, "/", "PROMPT --encoder ~nouser/x")),
    *(f"config {pair}" for pair in (f"model {BYTE}", "mirror ~nouser", f"{BYTE} x", "model \n")),
    f"evaluate convert {BYTE} PROMPT",
    f"evaluate sheet /dev/null --output SHEET --size {10**30}",
    f"evaluate answers /dev/null --perturbed {10**30}",
    "evaluate support /dev/null",
    "evaluate retrieval /dev",
    "evaluate compare /dev /dev",
]


@pytest.fixture
def here(
    tmp_path: Path, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    """A working directory with a prompt; the environment names the encoder of the tests."""
    prompt = tmp_path / "prompt.txt"
    prompt.write_text(PROMPTS["move"].text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_ENCODER", str(encoder_folder))
    monkeypatch.setenv("RAG_OFFLINE", "1")
    monkeypatch.setenv("RAG_CONFIG", str(tmp_path / "settings.toml"))
    return {"PROMPT": str(prompt), "SHEET": str(tmp_path / "sheet.csv")}


@pytest.mark.parametrize("line", STRANGE, ids=lambda line: ascii(line[:60]))
def test_strange_arguments_are_refused_and_never_a_defect(
    here: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    line: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["rag", *(here.get(word, word) for word in line.split(" "))])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code in (0, 1, 2), capfd.readouterr().err


def test_a_defect_is_one_line_that_asks_for_a_report() -> None:
    program = (
        "import typer; from rag.cli.main import main; commands = typer.Typer()\n"
        "@commands.command()\ndef fail(): [].defective\n"
        "commands.pretty_exceptions_enable = False; main(commands)"
    )
    output = run(code=DEFECT, program=program)
    assert len(output.err.splitlines()) == 1
    for words in ("AttributeError", "defective", "line 3", "Please report", "-vv"):
        assert words in output.err


Call = Callable[[Any], object]


def option(name: str, value: Any) -> object:
    options: Any = {name: value}
    return rag.ask(PROMPTS["move"], **options)


NOTEBOOK: dict[str, Call] = {
    "ask": rag.ask,
    "question": lambda value: rag.ask(question=value, works=[{"model": "x"}]),
    "works": lambda value: rag.ask(question="Why?", works=value),
    "a work": lambda value: rag.ask(question="Why?", works=[value]),
    "a name": lambda value: rag.ask(question="Why?", works=[{"model": value}]),
    "a summary": lambda value: rag.ask(question="Why?", works=[{"model": "x", "summary": value}]),
    "related": lambda value: rag.ask(question="Why?", works=[{"model": "x"}], related=value),
    **{
        name: partial(option, name)
        for name in ("data_dir", "mirror", "offline", "encoder", "writer", "model", "base_url")
    },
    "look": rag.look,
}
"""Where a notebook takes a value."""


@pytest.mark.parametrize("call", NOTEBOOK.values(), ids=NOTEBOOK)
@pytest.mark.parametrize(
    "value", [5, 2.5, b"x", ["x"], {"x": 1}, object(), [[]]], ids=lambda value: type(value).__name__
)
@pytest.mark.usefixtures("here")
def test_a_notebook_refuses_arguments_of_wrong_types(call: Call, value: Any) -> None:
    with pytest.raises(RagError):
        call(value)


@pytest.mark.parametrize("name", ["data_dir", "mirror", "encoder", "model", "base_url"])
@pytest.mark.usefixtures("here")
def test_a_notebook_refuses_what_no_file_is_called(name: str) -> None:
    with pytest.raises(RagError, match=name):
        option(name, "a\0")


def test_what_an_answer_and_a_library_take_is_checked(
    answers: Mapping[str, Answer], pipeline: Pipeline
) -> None:
    shown = show(answers["move"], data_dir=pipeline.settings.data_dir)
    library = rag.look(PROMPTS["move"], data_dir=pipeline.settings.data_dir)
    first: list[Call] = [show, shown.save, library.find, library.passages, library.map]
    calls: list[Call] = [*first, partial(library.find, "x")]
    for call in calls:
        with pytest.raises(RagError, match="expected"):
            call([5])
