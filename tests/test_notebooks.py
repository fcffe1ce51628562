"""The notebooks of the project: how they are stored, and that they run from top to bottom; and
what asking shows in a real kernel."""

from __future__ import annotations

import ast
import re
from itertools import groupby
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
NAMES = ("01_ask", "02_retrieval", "03_faithfulness")
APART = "%reset -f"
"""A cell after which the kernel knows no name of the cells before it."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_explain_their_steps_define_nothing_and_are_stored_as_before_a_run(path: Path) -> None:
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    kinds = [cell.cell_type for cell in notebook.cells]
    assert notebook.cells[0].source.startswith("# ")
    assert kinds[0] == "markdown"
    assert kinds.count("markdown") >= 0.6 * kinds.count("code")
    defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for cell in notebook.cells:
        assert (cell.metadata, cell.get("outputs", []), cell.get("execution_count")) == (
            {},
            [],
            None,
        )
        if cell.cell_type == "code":
            assert not [it for it in ast.walk(ast.parse(cell.source)) if isinstance(it, defining)]


def test_they_run_on_a_machine_with_neither_papers_nor_a_network(tmp_path: Path) -> None:
    assert tuple(path.stem for path in NOTEBOOKS) == NAMES
    beside = {each.name for each in FOLDER.iterdir()}
    data_dir = tmp_path / "data_dir of the notebooks"
    together = of_cells()
    for path in NOTEBOOKS:
        together.cells += [*read(path).cells, *of_cells(APART).cells]
    cells = executed(together, tmp_path, cwd=FOLDER, RAG_DATA_DIR=str(data_dir))
    assert streamed(cells, "stderr") == ""
    assert {each.name for each in FOLDER.iterdir()} == beside
    assert all(cell.execution_count for cell in cells)
    first, second, third = (
        list(run) for apart, run in groupby(cells, lambda cell: cell.source == APART) if not apart
    )

    assert len(first) == 10
    assert all(len(cell.source.splitlines()) <= 18 for cell in first)
    for place in (3, 8):
        assert "input → model → output" in parsed(shown(first[place], "text/html")[-1]).words
    assert "**verified: " in shown(first[6], "text/markdown")[-1]
    assert repr(str(data_dir))[1:-1] in shown(first[9], "text/plain")[-1]
    assert (data_dir / "answers" / "snow.html").is_file()

    assert sum(len(shown(cell, "image/png")) for cell in second) == 2
    assert sum("<mark>" in "".join(shown(cell, "text/html")) for cell in second) >= 2

    assert sum(len(shown(cell, "image/png")) for cell in third) == 2
    assert "**verified: " in shown(third[1], "text/markdown")[-1]
    assert "**1 failure: " in shown(third[2], "text/markdown")[-1]
    said = streamed([third[2]], "stdout")
    changed = re.match("Changed: “([a-z]+)” is now “([a-z]+)” in “", said)
    assert changed
    assert changed[1] == changed[2][::-1]
    assert "extractive against typed" in shown(third[8], "text/markdown")[-1]


def test_an_answer_is_shown_with_bars_that_last_as_long_as_the_work_and_errors_in_one_line(
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
            "lasting = ProgressBar()\nlasting('fetch', 1, 3, 'a paper\\x1b[31m')\n"
            "lasting('embed', 0, 2, 'b')\nimport time; time.sleep(0.2)\n"
            "lasting.write('word\\x1b[31m by ')",
        ),
        tmp_path,
        cwd=tmp_path,
        errors=True,
        RAG_DATA_DIR=str(tmp_path / "data_dir"),
        RAG_MIRROR=str(small_mirror),
    )
    asking, broken, linked, begun, writing, ended, lasting = cells
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

    bar, words = shown(lasting, "text/plain")[0].splitlines()
    assert re.fullmatch(r"embed 0/2 +, b", bar)
    assert words == "word[31m by"
