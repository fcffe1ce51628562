"""Asking from a notebook: what `ask` takes, what its answer shows, and the look into the index."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert import HTMLExporter

from index.errors import AnswerError, RagError
from index.settings import Settings
from rag.answer import Answer, read_answer
from rag.views.notebook import SettingsOptions, ask, open_pipeline, settings_here, show
from rag.views.notebook.display import ShownAnswer
from rag.views.notebook.tables import Library, Marked, Table, look, term_spans
from tests.parts.browser import chromium
from tests.parts.commands import run
from tests.parts.kernels import of_cells
from tests.parts.markup import parsed
from tests.parts.works import LISTED, PROMPTS, QUESTIONS

NO_PROMPT = r"expected .*; found "


@pytest.fixture(scope="module")
def options(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> SettingsOptions:
    """The small works, in a data directory of their own."""
    return {
        "data_dir": tmp_path_factory.mktemp("notebook"),
        "mirror": small_mirror,
        "offline": True,
        "encoder": str(encoder_folder),
    }


@pytest.fixture(scope="module")
def shown(options: SettingsOptions) -> ShownAnswer:
    return ask(PROMPTS["colour"], writer="extractive", **options)


@pytest.fixture(scope="module")
def library(shown: ShownAnswer, options: SettingsOptions) -> Library:
    return look(*PROMPTS.values(), **options)


# --- what can be asked ---------------------------------------------------------------------------


def test_paths_documents_and_works_get_the_answer_of_the_pipeline(
    options: SettingsOptions, shown: ShownAnswer, prompt_files: dict[str, Path]
) -> None:
    for form in (str(prompt_files["colour"]), PROMPTS["colour"].text):
        assert ask(form, writer="extractive", **options).answer == shown.answer
    works, related = [LISTED["Lantern"]], [LISTED["Tide"], LISTED["Willow"]]
    question = QUESTIONS["colour"]
    by_works = ask(question=question, works=works, related=related, writer="extractive", **options)
    assert by_works.answer == shown.answer


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "either a prompt"),
        ({"prompt": PROMPTS["move"], "question": "Why?"}, "either a prompt"),
        ({"prompt": PROMPTS["move"], "works": [LISTED["Tide"]]}, "either a prompt"),
        ({"prompt": 123}, NO_PROMPT),
        ({"question": 5, "works": [{"model": "A"}]}, NO_PROMPT),
        ({"question": "What?", "works": [1]}, NO_PROMPT),
        ({"question": "What?", "works": [{"model": "A", "paper": 5}]}, NO_PROMPT),
        ({"prompt": PROMPTS["move"], "writer": "novelist"}, "no writer 'novelist'; expected"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    options: SettingsOptions, request_: dict[str, Any], message: str
) -> None:
    with pytest.raises(RagError, match=message):
        ask(**{"writer": "extractive", **options, **request_})


def test_encoder_and_writer_are_loaded_once(options: SettingsOptions, tmp_path: Path) -> None:
    first = open_pipeline(writer="extractive", **options)
    elsewhere: SettingsOptions = {**options, "data_dir": tmp_path}
    second = open_pipeline(writer="extractive", **elsewhere)
    assert first.encoder is second.encoder
    assert first.writer is second.writer
    assert first.settings.data_dir != second.settings.data_dir


def test_an_error_is_one_line_in_a_notebook() -> None:
    assert RagError("a\x1b[31m\nb")._render_traceback_() == ["RagError: a [31m b"]


def test_settings_come_from_arguments_or_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project / "notebooks")
    for name in ("RAG_DATA_DIR", "RAG_MIRROR", "RAG_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert settings_here() == Settings(data_dir=project / "data")
    monkeypatch.setenv("RAG_OFFLINE", "1")
    explicit = settings_here(tmp_path / "mine", tmp_path, offline=False)
    assert explicit == Settings(tmp_path / "mine", mirror=tmp_path, offline=False)
    with pytest.raises(RagError, match=r"nowhere is no folder; expected one with arxiv"):
        settings_here(tmp_path, tmp_path / "nowhere")


# --- what an answer shows ------------------------------------------------------------------------


def test_an_answer_shows_itself_with_pages_as_markdown_and_as_text(shown: ShownAnswer) -> None:
    page = parsed(shown._repr_html_())
    assert PROMPTS["colour"].question in page.words
    assert page.attributes("image", "href")
    assert "<html" not in shown._repr_html_()
    assert shown._repr_markdown_().startswith("# I gave it a grey photo")
    text = repr(shown)
    for part in ("1. What you were doing", "You gave it", "3. Papers and tools"):
        assert part in text
    assert "**" not in text
    assert "##" not in text
    assert all(line.isprintable() and len(line) <= 100 for line in text.splitlines())
    words = re.sub(r"[\s▌]+", " ", text)
    for _, quote in shown.answer.quotes():
        assert " ".join(quote.text.split()) in words


def test_its_quotes_works_and_evidence_are_data_frames(shown: ShownAnswer) -> None:
    quotes = [quote for _, quote in shown.answer.quotes()]
    assert shown.quotes["quote"].tolist() == [quote.text for quote in quotes]
    assert "full text, p. 1" in set(shown.quotes["where"])
    assert shown.works["work"].tolist() == [item.name for item in shown.answer.references]
    evidence = shown.evidence
    # Scores are numbers to calculate with, and marks outlive a selection.
    for _, own in evidence.groupby("work"):
        assert (own["score"].diff().dropna() <= 0).all()
    marked = {
        piece
        for passage in evidence.sort_values("score")["passage"]
        for piece, is_marked in passage.pieces()
        if is_marked
    }
    assert marked >= {quote.text for quote in quotes}


def test_its_verification_is_a_line_and_names_a_false_quote(shown: ShownAnswer) -> None:
    verification = shown.verify()
    assert verification
    assert repr(verification).startswith(f"verified: {len(shown.quotes)} quotes, ")
    assert verification._repr_markdown_() == f"**{verification!r}**"
    raw = json.loads(shown.answer.to_json())
    raw["sections"]["task"][0]["quotes"][0]["text"] = "Colours are *invented*."
    typed = ShownAnswer(Answer.from_json(json.dumps(raw)), shown.settings).verify()
    assert not typed
    assert "failure" in repr(typed).splitlines()[0]
    assert "\n- " in typed._repr_markdown_()


def test_it_is_saved_in_the_form_that_the_name_asks_for_and_shown_again(
    shown: ShownAnswer, tmp_path: Path
) -> None:
    path = shown.save(tmp_path / "new" / "a.json")
    assert read_answer(path) == shown.answer
    assert shown.save(tmp_path / "a.HTML").read_text().startswith("<!DOCTYPE html>")
    assert shown.save(str(tmp_path / "a.md")).read_text().startswith("# ")
    with pytest.raises(AnswerError, match=r"expected a name that ends in \.html"):
        shown.save(tmp_path / "a.docx")
    assert {each.name for each in tmp_path.iterdir()} == {"new", "a.HTML", "a.md"}
    again = show(path, data_dir=shown.settings.data_dir, offline=True)
    assert again._repr_html_() == shown._repr_html_()
    with pytest.raises(AnswerError, match="ask again"):
        _ = again.evidence


# --- tables --------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script> | [/b][bold]x[/bold] $x$ \x1b[31m [x](javascript:alert(1))"


def test_hostile_text_is_inert_in_every_form_of_a_table() -> None:
    frame = Table.of((HOSTILE, "marked"), [(HOSTILE, Marked(HOSTILE, [(8, 13)]))], caption=HOSTILE)
    html = frame._repr_html_()
    page = parsed(html)
    assert {tag for tag, _ in page.elements} <= {
        *("style", "table", "caption", "thead", "tbody", "tr", "th", "td", "mark")
    }
    assert page.words.count("<script>alert(1)</script> | [/b][bold]x[/bold] $x$ [31m") == 4
    assert "mathjax_ignore tex2jax_ignore" in page.attributes("table", "class")
    assert html.count("<mark>alert</mark>") == 1
    for form in (html, repr(frame)):
        assert "\x1b" not in form
    assert "".join(repr(frame).split()).count("[/b][bold]x") == 4


def test_a_table_is_shown_whole_and_alike_every_time() -> None:
    rows = [(n, None if n % 2 else n / 8, f"{n} " + "word " * 200 + "end") for n in range(80)]
    frame = Table.of(("n", "score", "text"), rows)
    for form in (frame._repr_html_(), repr(frame)):
        assert form.count("end") == 80
        assert form.count("–") == 40
        assert "0.25" in form
    assert frame._repr_html_() == Table.of(("n", "score", "text"), rows)._repr_html_()
    assert all(len(line) <= 100 for line in repr(frame).splitlines())
    assert len(parsed(frame[2:5]._repr_html_()).attributes("td", "class")) == 9
    assert frame["score"].sum() == sum(n / 8 for n in range(0, 80, 2))
    assert parsed(Table.of(("a",), [])._repr_html_()).words == "a"


@given(st.text(max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40))))
def test_the_pieces_of_a_marked_text_make_it_up(text: str, marks: list[tuple[int, int]]) -> None:
    pieces = list(Marked(text, marks).pieces())
    assert "".join(piece for piece, _ in pieces) == text
    marked = {offset for start, end in marks for offset in range(start, min(end, len(text)))}
    assert sum(len(piece) for piece, is_marked in pieces if is_marked) == len(marked)


def test_answers_need_no_pandas_and_tables_name_the_extra(
    shown: ShownAnswer, tmp_path: Path
) -> None:
    (tmp_path / "pandas.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    path = shown.save(tmp_path / "answer.json")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from index.errors import RagError\n"
        "from rag.answer import read_answer\n"
        "from rag.views.notebook import settings_here\n"
        "from rag.views.notebook.display import ShownAnswer\n"
        "answer = ShownAnswer(read_answer(Path(sys.argv[2])), settings_here(sys.argv[1]))\n"
        "assert answer._repr_html_() and repr(answer)\n"
        "try:\n    answer.quotes\nexcept RagError as error:\n    print(error)"
    )
    said = run(tmp_path, path, program=code).out
    assert said == "a table needs pandas: pip install 'grounded-rag[notebook]'\n"


CUT_OFF = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)"""


def test_nothing_is_cut_off_in_an_exported_notebook(
    shown: ShownAnswer, library: Library, tmp_path: Path
) -> None:
    tables = (shown.evidence, shown.quotes, shown.works, library.find("grey photographs"))
    outputs: list[Any] = [shown, library, *tables]
    notebook = of_cells(*["it"] * len(outputs))
    for cell, output in zip(notebook.cells, outputs, strict=True):
        data = {"text/html": output._repr_html_(), "text/plain": repr(output)}
        cell.outputs = [nbformat.v4.new_output("display_data", data)]  # type: ignore[no-untyped-call]
    path = tmp_path / "exported.html"
    exporter = HTMLExporter()  # type: ignore[no-untyped-call]
    path.write_text(exporter.from_notebook_node(notebook)[0], encoding="utf-8")
    with chromium() as browser:
        for width in (800, 1280):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.route("http*://**", lambda route: route.abort())
            page.goto(path.as_uri(), wait_until="domcontentloaded")
            media: tuple[Literal["screen", "print"], ...] = ("screen", "print")
            for medium in media:
                page.emulate_media(media=medium)
                assert page.evaluate(CUT_OFF) == [], (width, medium)


# --- the index -----------------------------------------------------------------------------------


def test_the_library_names_every_source_and_what_is_missing(library: Library) -> None:
    works = library.works
    assert sorted(set(works["source"])) == list(library.catalog.source_ids)
    unread = works[works["not read because"] != ""]
    assert set(unread["source"]) == {"arxiv:2401.00004v1"}
    assert unread["passages"].isna().all()
    assert works["passages"].count() == len(works) - len(unread)
    assert library._repr_html_() == works._repr_html_()
    with pytest.raises(RagError, match="the query is empty"):
        library.find(" ")
    assert "Willow" in repr(library)


def test_the_passages_of_a_work_are_all_that_is_indexed_of_it(library: Library) -> None:
    passages = library.passages("lantern")
    assert set(passages["source"]) >= {"arxiv:2401.00001v2", "github:lantern-lab/lantern"}
    expected = library.segments["arxiv:2401.00001v2"].passages
    own = passages[passages["source"] == "arxiv:2401.00001v2"]["passage"]
    assert own.tolist() == [passage.text for passage in expected]
    with pytest.raises(RagError, match="no listed work matches 'Quill'; there are: "):
        library.passages("Quill")


def test_what_a_query_finds_is_shown_with_its_scores_and_words(library: Library) -> None:
    query = "How are the holes of a picture filled?"
    found, hits = library.find(query, count=3), library.hits(query)
    assert found["score"].tolist() == [hit.score for hit in hits[:3]]
    assert len(hits) == sum(len(each.passages) for each in library.segments.values())
    first = found.iloc[0]
    assert first["work"] == "Tide: Removing Objects from Pictures"
    words = {piece.lower() for piece, is_marked in first["passage"].pieces() if is_marked}
    assert words & {"hole", "holes", "picture", "filling"}
    assert "the" not in words
    text = "The hole is filled; whole holes are not."
    spans = term_spans("filling the holes", text)
    assert [text[start:end] for start, end in spans] == ["hole", "filled", "holes"]


def test_the_map_is_a_picture_of_all_passages_with_the_query(library: Library) -> None:
    passages = sum(len(each.passages) for each in library.segments.values())
    plain, asked = library.map(), library.map("Where does the $green$ come from?", count=2)
    for drawing in (plain, asked):
        assert drawing._repr_png_().startswith(b"\x89PNG")
    (axes,) = plain.figure.axes
    assert sum(np.shape(points.get_offsets())[0] for points in axes.collections) == passages
    (queried,) = asked.figure.axes
    assert [text.get_text() for text in queried.texts] == ["1", "2"]
    assert len(queried.collections) == len(axes.collections) + 3
    with pytest.raises(RagError, match="at least two passages"):
        Library(library.catalog, {}, {}, library.encoder).map()
