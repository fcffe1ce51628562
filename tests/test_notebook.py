"""Asking from a notebook: what `ask` takes, what its answer shows of itself, and the look into the
index."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import AnswerError, PromptError, RagError
from index.settings import Settings
from rag.answer.model import Answer, read_answer
from rag.prompt import Prompt
from rag.retrieval.evidence import FACETS
from rag.views.notebook import (
    Library,
    ShownAnswer,
    Table,
    ask,
    look,
    open_pipeline,
    settings_here,
    show,
)
from rag.views.notebook.library import with_words_of
from rag.views.notebook.passage_map import Plane
from rag.views.notebook.table import Marked
from tests.parts.works import LISTED, PROMPTS, QUESTIONS
from tests.test_page import parsed

Ask = Callable[..., ShownAnswer]


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> Ask:
    """`ask` over the small works, in a data directory of its own."""
    data_dir = tmp_path_factory.mktemp("notebook")

    def asked(*prompt: Prompt | str | Path, **given: object) -> ShownAnswer:
        options = {"writer": "extractive", **given}
        return ask(
            *prompt,
            data_dir=data_dir,
            mirror=small_mirror,
            offline=True,
            encoder=str(encoder_folder),
            **options,  # type: ignore[arg-type]
        )

    return asked


@pytest.fixture(scope="module")
def shown(asking: Ask) -> ShownAnswer:
    return asking(PROMPTS["colour"])


@pytest.fixture(scope="module")
def library(shown: ShownAnswer, encoder_folder: Path) -> Library:
    return look(
        *PROMPTS.values(),
        data_dir=shown.settings.data_dir,
        mirror=shown.settings.mirror,
        offline=True,
        encoder=str(encoder_folder),
    )


# --- what can be asked ---------------------------------------------------------------------------


def test_a_path_a_document_and_a_prompt_are_asked_alike(
    asking: Ask, shown: ShownAnswer, prompt_files: dict[str, Path]
) -> None:
    path, prompt = prompt_files["colour"], PROMPTS["colour"]
    for one in (path, str(path), prompt.text):
        assert asking(one).answer == shown.answer


def test_without_a_document_a_question_and_its_works_do(asking: Ask, shown: ShownAnswer) -> None:
    given = asking(
        question=QUESTIONS["colour"],
        works=[LISTED["Lantern"]],
        related=[LISTED["Tide"], LISTED["Willow"]],
    )
    assert given.answer == shown.answer


def test_the_answer_is_the_one_that_the_pipeline_gives(shown: ShownAnswer) -> None:
    pipeline = open_pipeline(
        writer="extractive",
        data_dir=shown.settings.data_dir,
        mirror=shown.settings.mirror,
        offline=True,
        encoder=shown.settings.encoder,
    )
    assert pipeline.ask(PROMPTS["colour"]) == shown.answer


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"prompt": PROMPTS["move"], "question": "Why?"},
        {"prompt": PROMPTS["move"], "works": [LISTED["Tide"]]},
    ],
)
def test_neither_and_both_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(PromptError, match="either a prompt"):
        ask(**given, data_dir="nowhere", offline=True)  # type: ignore[arg-type]


def test_encoder_and_writer_are_loaded_once(tmp_path: Path, encoder_folder: Path) -> None:
    first, second = (
        open_pipeline(
            writer="extractive", data_dir=tmp_path / name, offline=True, encoder=str(encoder_folder)
        )
        for name in ("one", "two")
    )
    assert first.encoder is second.encoder
    assert first.writer is second.writer
    assert first.settings.data_dir != second.settings.data_dir


def test_an_error_is_one_line_in_a_notebook(tmp_path: Path) -> None:
    missing = tmp_path / "missing.txt"
    with pytest.raises(RagError) as caught:
        ask(missing, data_dir=tmp_path, offline=True, writer="extractive")
    assert caught.value._render_traceback_() == [f"PromptError: {caught.value}"]
    assert RagError("a\x1b[31m\nb")._render_traceback_() == ["RagError: a [31m b"]


# --- settings -----------------------------------------------------------------------------------


def test_settings_come_from_what_is_given_then_the_environment_then_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    monkeypatch.chdir(project / "notebooks")
    for name in ("RAG_DATA_DIR", "RAG_MIRROR", "RAG_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert settings_here() == Settings(data_dir=project / "data")

    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "data_dir"))
    monkeypatch.setenv("RAG_MIRROR", str(project))
    monkeypatch.setenv("RAG_OFFLINE", "1")
    assert settings_here() == Settings(tmp_path / "data_dir", mirror=project, offline=True)
    given = settings_here(tmp_path / "mine", tmp_path, offline=False)
    assert given == Settings(tmp_path / "mine", mirror=tmp_path, offline=False)


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagError, match=r"nowhere is no folder; expected one with arxiv"):
        settings_here(tmp_path, tmp_path / "nowhere")


# --- what an answer shows ------------------------------------------------------------------------


def test_an_answer_shows_itself_with_the_pages_of_its_quotes(shown: ShownAnswer) -> None:
    page = parsed(shown._repr_html_())
    assert PROMPTS["colour"].question in page.words
    assert page.attributes("image", "href")
    assert "<html" not in shown._repr_html_()
    assert shown._repr_markdown_().startswith("# I gave it a grey photo")


def test_its_text_is_for_reading_and_not_markup(shown: ShownAnswer) -> None:
    text = repr(shown)
    for part in ("1. What you were doing", "What goes in", "3. Papers and tools"):
        assert part in text
    assert "**" not in text
    assert "##" not in text
    assert all(line.isprintable() and len(line) <= 100 for line in text.splitlines())
    for _, quote in shown.answer.quotes():
        words = re.sub(r"[\s▌]+", " ", text)
        assert " ".join(quote.text.split()) in words


def test_its_quotes_works_and_evidence_are_tables(shown: ShownAnswer) -> None:
    quotes = [quote for _, quote in shown.answer.quotes()]
    assert [row["quote"] for row in shown.quotes] == [quote.text for quote in quotes]
    assert {row["where"] for row in shown.quotes} >= {"full text, p. 1"}
    assert [row["work"] for row in shown.works] == [item.name for item in shown.answer.references]
    assert {row["for"] for row in shown.evidence} == set(FACETS)
    marked = {
        piece
        for row in shown.evidence
        if isinstance(cell := row["passage"], Marked)
        for piece, is_marked in cell.pieces()
        if is_marked
    }
    assert marked & {quote.text for quote in quotes}


def test_it_verifies_and_says_so_in_a_line(shown: ShownAnswer) -> None:
    found = shown.verify()
    assert found
    assert repr(found).startswith(f"verified: {len(shown.quotes)} quotes, ")
    assert found._repr_markdown_() == f"**{found!r}**"


def test_a_false_quote_is_named(shown: ShownAnswer) -> None:
    raw = json.loads(shown.answer.to_json())
    raw["sections"]["task"][0]["quotes"][0]["text"] = "Colours are *invented*."
    spoiled = ShownAnswer(Answer.from_json(json.dumps(raw)), shown.settings)
    found = spoiled.verify()
    assert not found
    assert "failures" in repr(found).splitlines()[0]
    assert "- " in found._repr_markdown_()


def test_it_is_saved_in_the_form_that_the_name_asks_for(shown: ShownAnswer, tmp_path: Path) -> None:
    assert read_answer(shown.save(tmp_path / "new" / "a.json")) == shown.answer
    assert shown.save(tmp_path / "a.HTML").read_text().startswith("<!DOCTYPE html>")
    assert shown.save(str(tmp_path / "a.md")).read_text().startswith("# ")
    with pytest.raises(AnswerError, match=r"expected a name that ends in \.html"):
        shown.save(tmp_path / "a.docx")
    assert {path.name for path in tmp_path.iterdir()} == {"new", "a.HTML", "a.md"}


def test_an_answer_file_shows_itself_again(shown: ShownAnswer, tmp_path: Path) -> None:
    path = shown.save(tmp_path / "a.json")
    again = show(path, data_dir=shown.settings.data_dir, offline=True)
    assert again._repr_html_() == shown._repr_html_()
    with pytest.raises(AnswerError, match="ask again"):
        _ = again.evidence


# --- tables --------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script> | **bold** \x1b[31m [x](javascript:alert(1))"


def test_a_table_gives_rows_by_number_and_by_slice() -> None:
    table = Table(("name", "n"), (("a", 1), ("b", None)))
    assert len(table) == 2
    assert table[0] == {"name": "a", "n": 1}
    assert list(table) == [table[0], table[1]]
    assert table[1:] == Table(("name", "n"), (("b", None),))
    assert repr(table) == "name  n\na     1\nb     –"
    assert "| a | 1 |\n| b | – |" in table._repr_markdown_()


def test_words_of_others_are_text_in_every_form_of_a_table() -> None:
    marked = Marked(HOSTILE, ((8, 13),))
    table = Table((HOSTILE, "marked"), ((HOSTILE, marked),), caption=HOSTILE)
    page = parsed(table._repr_html_())
    assert {tag for tag, _ in page.elements} <= {
        *("div", "style", "table", "caption", "thead", "tbody", "tr", "th", "td", "mark")
    }
    assert page.words.count("<script>alert(1)</script> | **bold** [31m") == 4
    assert "mathjax_ignore tex2jax_ignore" in str(page.elements[0][1]["class"])
    for form in (table._repr_html_(), table._repr_markdown_(), repr(table)):
        assert "\x1b" not in form
    row = table._repr_markdown_().splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "<script" not in re.sub(r"\\<", "", row)
    assert "alert**" not in row.split("|")[1]


@given(st.text(max_size=40), st.data())
def test_the_pieces_of_a_marked_text_make_it_up(text: str, data: st.DataObject) -> None:
    ends = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    marks = tuple(zip(ends[::2], ends[1::2], strict=False))
    pieces = list(Marked(text, marks).pieces())
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, is_marked in pieces if is_marked] == [text[a:b] for a, b in marks]


# --- the index -----------------------------------------------------------------------------------


def test_the_library_names_every_source_and_what_is_missing(library: Library) -> None:
    sources = [row["source"] for row in library.works]
    assert sorted(set(map(str, sources))) == list(library.catalog.source_ids)
    for row in library.works:
        assert (row["passages"] is None) == bool(row["not read because"])
    missing = {row["source"] for row in library.works if row["not read because"]}
    assert missing == {"arxiv:2401.00004v1"}
    assert library._repr_html_() == library.works._repr_html_()
    assert "Willow" in repr(library)
    assert "Willow" in library._repr_markdown_()


def test_the_passages_of_a_work_are_all_that_is_indexed_of_it(library: Library) -> None:
    table = library.passages("lantern")
    assert {row["source"] for row in table} >= {"arxiv:2401.00001v2", "github:lantern-lab/lantern"}
    expected = library.segments["arxiv:2401.00001v2"].passages
    own = [row["passage"] for row in table if row["source"] == "arxiv:2401.00001v2"]
    assert own == [passage.text for passage in expected]
    with pytest.raises(RagError, match="no listed work matches 'Quill'; there are: "):
        library.passages("Quill")


def test_what_a_query_finds_is_shown_with_its_scores_and_words(library: Library) -> None:
    query = "How are the holes of a picture filled?"
    table = library.find(query, count=3)
    hits = library.hits(query)
    assert [row["score"] for row in table] == [hit.score for hit in hits[:3]]
    assert len(hits) == sum(len(each.passages) for each in library.segments.values())
    first = table[0]
    assert first["work"] == "Tide: Removing Objects from Pictures"
    assert isinstance(first["passage"], Marked)
    words = {piece.lower() for piece, is_marked in first["passage"].pieces() if is_marked}
    assert words & {"hole", "holes", "picture", "filling"}
    assert "the" not in words


def test_words_are_marked_as_bm25_counts_them() -> None:
    found = with_words_of("filling the holes", "The hole is filled; whole holes are not.")
    assert [piece for piece, is_marked in found.pieces() if is_marked] == [
        "hole",
        "filled",
        "holes",
    ]


def test_the_map_is_a_picture_that_the_query_is_on(library: Library) -> None:
    plain, asked = library.map(), library.map("Where does the $green$ come from?", count=2)
    for drawn in (plain, asked):
        assert drawn._repr_png_().startswith(b"\x89PNG")
    (axes,) = asked.figure.axes
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert len(axes.collections) == len(plain.figure.axes[0].collections) + 3


def test_the_plane_keeps_as_much_of_the_differences_as_two_axes_can() -> None:
    generator = np.random.default_rng(0)
    flat = generator.normal(size=(40, 2)) @ np.eye(2, 5) * [3.0, 1.0, 1.0, 1.0, 1.0]
    plane = Plane.of(flat)
    assert sum(plane.shares) == pytest.approx(1)
    gaps = np.linalg.norm(flat[:, None] - flat, axis=-1)
    points = plane.points(flat)
    assert np.allclose(np.linalg.norm(points[:, None] - points, axis=-1), gaps)
    assert np.allclose(np.abs(Plane.of(-flat).points(-flat)), np.abs(points))


def test_one_passage_alone_is_in_the_middle() -> None:
    assert Plane.of(np.ones((1, 4))).points(np.ones((1, 4))).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": 123},
        {"prompt": b"a prompt\nin bytes"},
        {"prompt": {"question": "What?"}},
        {"question": 5, "works": [{"model": "A"}]},
        {"question": "What?", "works": "abc"},
        {"question": "What?", "works": [1]},
        {"question": "What?", "works": {"model": "A"}},
        {"question": "What?", "works": [{"model": "A", "paper": 5}]},
        {"question": "What?", "works": [{"model": "A", "summary": b"It is."}]},
    ],
)
def test_what_is_no_prompt_is_told_in_a_sentence(asking: Ask, given: dict[str, object]) -> None:
    with pytest.raises(PromptError, match=r"expected .*; found "):
        asking(**given)


def test_a_writer_that_there_is_not_is_named(asking: Ask) -> None:
    with pytest.raises(RagError, match="no writer 'novelist'; expected one of auto, "):
        asking(PROMPTS["move"], writer="novelist")
