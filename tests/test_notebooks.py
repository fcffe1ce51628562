"""The notebooks of the project: how they are stored, and that they run from top to bottom; and
what asking shows in a real kernel."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.parts import ROOT
from tests.parts.kernels import executed, of_cells, shown, streamed
from tests.parts.markup import parsed
from tests.parts.works import LANTERN, PROMPTS

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


@pytest.fixture(params=NOTEBOOKS, ids=NAMES)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def code(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_they_are_stored_without_what_a_run_leaves_behind(path: Path) -> None:
    notebook = read(path)
    for cell in notebook.cells:
        assert cell.metadata == {}
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata


def test_they_explain_their_steps_and_define_nothing(path: Path) -> None:
    notebook = read(path)
    assert notebook.cells[0].source.startswith("# ")
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= 0.6 * kinds.count("code")
    defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for source in code(notebook):
        assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, defining)]


def test_there_are_three_and_the_first_one_asks_in_ten_short_cells() -> None:
    assert NAMES == ["01_ask", "02_retrieval", "03_faithfulness"]
    cells = code(read(FOLDER / "01_ask.ipynb"))
    assert len(cells) == 10
    assert all(len(source.splitlines()) <= 18 for source in cells)


def test_they_run_on_a_machine_with_neither_papers_nor_a_network(
    path: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    beside = {each.name for each in FOLDER.iterdir()}
    # One data directory for all of them that this worker runs: a person has one, too.
    data_dir = tmp_path_factory.getbasetemp() / "data_dir of the notebooks"
    cells = executed(read(path), tmp_path, cwd=FOLDER, RAG_DATA_DIR=str(data_dir))
    assert streamed(cells, "stderr") == ""
    assert {each.name for each in FOLDER.iterdir()} == beside
    assert all(cell.execution_count for cell in cells)
    match path.stem:
        case "01_ask":
            first, second = (shown(cells[place], "text/html")[-1] for place in (3, 8))
            for answer in (first, second):
                assert "input → model → output" in parsed(answer).words
            assert repr(str(data_dir))[1:-1] in shown(cells[9], "text/plain")[-1]
            assert (data_dir / "answers" / "snow.html").is_file()
            assert "**verified: " in shown(cells[6], "text/markdown")[-1]
        case "02_retrieval":
            assert sum(len(shown(cell, "image/png")) for cell in cells) == 2
            assert sum("<mark>" in "".join(shown(cell, "text/html")) for cell in cells) >= 2
        case "03_faithfulness":
            assert sum(len(shown(cell, "image/png")) for cell in cells) == 2
            assert "**verified: " in shown(cells[1], "text/markdown")[-1]
            assert "**1 failure: " in shown(cells[2], "text/markdown")[-1]
            changed = re.match(
                "Changed: “([a-z]+)” is now “([a-z]+)” in “", streamed([cells[2]], "stdout")
            )
            assert changed
            assert changed[1] == changed[2][::-1]
            assert "extractive against typed" in shown(cells[8], "text/markdown")[-1]


# --- in a kernel ---------------------------------------------------------------------------------


def test_an_answer_is_shown_with_bars_that_are_gone_and_errors_in_one_line(
    tmp_path: Path, small_mirror: Path, encoder_folder: Path
) -> None:
    prompt = tmp_path / "move.txt"
    prompt.write_text(PROMPTS["move"].text, encoding="utf-8")
    (tmp_path / "mine.pdf").write_bytes(LANTERN)
    # As where it is not installed: the libraries that load models then warn of it.
    (tmp_path / "ipywidgets.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    options = f"writer='extractive', encoder={str(encoder_folder)!r}"
    cells = executed(
        of_cells(
            f"from rag import ask\nask({str(prompt)!r}, {options})",
            f"ask('missing.txt', {options})",
            f"ask('How does it move?', ['2401.00003', 'mine.pdf'], {options}).works",
            "from rag.views.notebook import ProgressBar, say\nprogress = ProgressBar()\n"
            "progress('fetch', 1, 3, 'a paper\\x1b[31m')\nsay('no <i>model</i>\\x1b[31m here')",
            "progress.write('word by ')\nprogress.write('word\\x1b[31m')",
            "progress('fetch', 3, 3, '')\nprogress.__exit__()",
        ),
        tmp_path,
        cwd=tmp_path,
        errors=True,
        RAG_DATA_DIR=str(tmp_path / "data_dir"),
        RAG_MIRROR=str(small_mirror),
    )
    asking, broken, linked, begun, writing, ended = cells
    assert streamed(cells, "stderr") == streamed([asking, ended], "stdout") == ""
    assert shown(asking, "text/plain")[0] == ""  # the bar
    (answer,) = shown(asking, "text/html")
    assert PROMPTS["move"].question in parsed(answer).words
    assert shown(asking, "text/markdown")[0].startswith("# My picture of a lake")
    assert "1. What you were doing" in shown(asking, "text/plain")[-1]

    (error,) = broken.outputs
    assert error["traceback"] == [f"PromptError: {error['evalue']}"]
    assert "cannot be read" in error["evalue"]

    works = parsed(shown(linked, "text/html")[-1]).words
    assert "Kite: Moving Pictures from One Frame" in works
    assert "Lantern: Colouring Grey Photographs" in works

    assert shown(begun, "text/plain") == [""]  # by the last cell
    assert streamed([begun], "stdout") == "no <i>model</i>[31m here\n"
    assert shown(writing, "text/plain") == shown(ended, "text/plain") == []


def test_a_bar_is_drawn_with_the_text_below_it_while_it_lasts(tmp_path: Path) -> None:
    cell = (
        "from rag.views.notebook import ProgressBar\nprogress = ProgressBar()\n"
        "progress('fetch', 1, 3, 'a paper\\x1b[31m')\nprogress('embed', 0, 2, 'b')\n"
        "import time; time.sleep(0.2)\nprogress.write('word\\x1b[31m by ')"
    )
    (drawn,) = executed(of_cells(cell), tmp_path, cwd=tmp_path)
    (text,) = shown(drawn, "text/plain")
    bar, words = text.splitlines()
    assert re.fullmatch(r"embed 0/2 +, b", bar)
    assert words == "word[31m by"
