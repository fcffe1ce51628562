"""A question and links are enough: addresses, ids, files of one's own and works without a name."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.catalog import FileLink
from index.errors import LinkError, PromptError
from index.links import own_files, parse_paper_link
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.prompt import Prompt, parse_prompt, prompt_of, read_prompt, render_prompt, works_at
from rag.views.highlight import pictures_of
from rag.views.html import to_html
from rag.views.markdown import to_markdown
from rag.views.notebook import SettingsOptions, ask
from rag.views.notebook.tables import look
from tests.parts import SHARED
from tests.parts.commands import invoke
from tests.parts.pdfs import pdf, text
from tests.parts.works import KITE, LANTERN, LANTERN_README, TIDE, write

QUESTION = "How can it know the colours?"
DOCUMENT = "A user has asked the following question: Why?\n### Related Papers:\n"


def options(settings: Settings) -> list[object]:
    """Of the command line, so that it works in this data directory."""
    names = ("--data-dir", settings.data_dir, "--encoder", settings.encoder, "--offline")
    return [*names, "--mirror", settings.mirror, "--writer", "extractive"]


def documented(blocks: str, folder: Path | None = None) -> Prompt:
    return parse_prompt(DOCUMENT + blocks, folder=folder)


# --- what a link may be --------------------------------------------------------------------------


def test_addresses_and_ids_become_links_that_a_reader_can_follow(tmp_path: Path) -> None:
    notes = write(tmp_path / "notes.md", "# Notes\n\nIt paints.")
    works = works_at(
        ["2404.13784v2", "arXiv:math.GT/0309136", "http://arxiv.org/pdf/2401.00001v1.pdf",
         "Owner/Name", "github:owner/other", "https://github.com/o/r", notes,
         "https://arxiv.org/abs/2404.13784v2", str(notes)]
    )  # fmt: skip
    assert [(work.name, (work.paper or work.github).written) for work in works] == [  # type: ignore[union-attr]
        ("", "https://arxiv.org/abs/2404.13784v2"),
        ("", "https://arxiv.org/abs/math/0309136"),
        ("", "http://arxiv.org/pdf/2401.00001v1.pdf"),
        ("", "https://github.com/Owner/Name"),
        ("", "https://github.com/owner/other"),
        ("", "https://github.com/o/r"),
        ("", "notes.md (sha256 d33d4bf760186d7b)"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("missing.pdf", "missing.pdf does not exist"),
        ("papers/missing.md", "does not exist"),
        ("https://evil.com/paper.pdf", "arXiv .* elsewhere can be downloaded, and given as a file"),
        ("prose", "address or id of a paper on arXiv"),
        ("", "address or id of a paper on arXiv"),
        ("none", "address or id of a paper on arXiv"),
        ("x" * 5000, "address or id of a paper on arXiv"),
        ("a\0b.pdf", "does not exist"),
        ("x" * 5000 + ".pdf", "does not exist"),
        ("~nobody-of-this-name/x.md", "does not exist"),
    ],
)
def test_what_is_no_link_is_refused(link: str, expected: str) -> None:
    with pytest.raises(LinkError, match=expected):
        prompt_of(QUESTION, [link])


def test_a_question_without_anything_to_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="nothing to be answered from"):
        prompt_of(QUESTION, [])
    with pytest.raises(LinkError, match="there is no PDF in the folder"):
        prompt_of(QUESTION, [tmp_path])
    with pytest.raises(LinkError, match="ends with one of"):
        prompt_of(QUESTION, [write(tmp_path / "table.csv", "1,2")])


def test_a_folder_gives_its_pdfs_and_nothing_outside_it_or_hidden(tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    write(folder / "b.PDF", TIDE)
    write(folder / "deep" / "a.pdf", KITE)
    write(folder / "notes.txt", "x")
    write(folder / ".cache" / "c.pdf", LANTERN)
    (folder / "folder.pdf").mkdir()
    outside = write(tmp_path / "secret" / "d.pdf", LANTERN)
    (folder / "link.pdf").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    (folder / "same.pdf").symlink_to(folder / "b.PDF")
    assert [link.file_name for link in own_files(str(folder))] == ["b.PDF", "a.pdf", "same.pdf"]
    assert len(works_at([folder])) == 2  # of one content is one work


@given(st.text(min_size=1, max_size=40).filter(lambda name: name.strip()))
def test_the_link_to_a_file_says_the_same_once_it_is_written_down(name: str) -> None:
    link = FileLink.of(name + ".pdf", "0123456789abcdef" * 4)
    assert parse_paper_link(link.written) == link
    built = Prompt.build("Why?", related=[{"paper": link.written}])
    assert parse_prompt(built.text).listings[0].paper == link


# --- documents -----------------------------------------------------------------------------------


def test_a_work_needs_no_name_and_title_is_another_word_for_model() -> None:
    prompt = documented(
        "Paper: 2404.13784\nGitHub: https://github.com/o/a\n\n"
        "GitHub: https://github.com/o/b\nSummary: It says\n\nthis.\n\n"
        "Title: A title\n\nGitHub: None\n\nPaper: 2404.13785\n\nPaper: 2404.13786\n"
    )
    assert [(item.name, item.line, item.source_ids[:2]) for item in prompt.listings] == [
        ("", 3, ("arxiv:2404.13784", "github:o/a")),
        ("", 6, ("github:o/b", prompt.listings[1].summary_id)),
        ("A title", 11, ("arxiv:2404.13785",)),
        ("", 17, ("arxiv:2404.13786",)),
    ]
    assert prompt.listings[1].summary == "It says\n\nthis."
    again = parse_prompt(render_prompt(prompt)).listings
    assert [replace(item, line=0) for item in again] == [
        replace(item, line=0) for item in prompt.listings
    ]


def test_a_title_is_written_into_the_document_of_every_work_without_a_name() -> None:
    blocks = "Paper: 2404.13784\n\nPaper: 2404.13784\n\nGitHub: https://github.com/o/r\n"
    blocks += "\nPaper: 2404.13785\n\nPaper: 2404.13786\n\nModel: B"
    titles = {
        "arxiv:2404.13784": " A\u202e title\n ",
        "github:o/r": "Logo",
        "arxiv:2404.13785": "https://evil.com/x",
        "arxiv:2404.13786": "None",
    }
    prompt = documented(blocks).titled(titles)
    names = [item.name for item in prompt.listings]
    assert names == ["A title", "o/r", "arXiv 2404.13785", "arXiv 2404.13786", "B"]
    assert prompt == parse_prompt(prompt.text)
    assert prompt.titled({}) is prompt


def test_a_block_that_stands_a_thousand_times_gets_its_title_at_once() -> None:
    prompt = documented("Paper: 2404.13784\n\n" * 1000)
    begin = time.process_time()
    titled = prompt.titled({"arxiv:2404.13784": "A title"})
    assert time.process_time() - begin < 5  # it took a minute, and hours for a longer document
    assert [item.name for item in titled.listings] == ["A title"]


def test_a_document_names_files_of_its_own_folder_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    write(folder / "sub" / "my paper.pdf", TIDE)
    path = write(
        folder / "prompt.txt",
        DOCUMENT + "Title: Mine\nPaper: ./sub/my paper.pdf\n\nPaper: sub/my paper.pdf\n",
    )
    prompt = read_prompt(path)
    assert [item.name for item in prompt.listings] == ["Mine", ""]
    assert prompt.text.count("\nPaper: my paper.pdf (sha256 ") == 2
    assert "sub" not in prompt.text
    assert parse_prompt(prompt.text) == prompt


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../outside.pdf", "leads out of the folder"),
        ("linked.pdf", "leads out of the folder"),
        ("linked/outside.pdf", "leads out of the folder"),
        ("{tmp}/outside.pdf", "leads out of the folder"),
        ("missing.pdf", "does not exist"),
        ("prompt.doc", "not a link to a paper"),
    ],
)
def test_a_document_reaches_no_file_outside_its_folder(
    tmp_path: Path, name: str, expected: str
) -> None:
    outside = write(tmp_path / "outside.pdf", TIDE)
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "linked.pdf").symlink_to(outside)
    (folder / "linked").symlink_to(tmp_path)
    path = write(folder / "prompt.txt", f"{DOCUMENT}Paper: {name.format(tmp=tmp_path)}\n")
    with pytest.raises(LinkError, match=expected) as refused:
        read_prompt(path)
    assert refused.value.line == 3


def test_text_from_nowhere_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine.pdf", TIDE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LinkError, match="not a link to a paper"):
        documented("Paper: mine.pdf")
    with pytest.raises(LinkError, match="not a link to a paper"):
        Prompt.build("Why?", related=[{"paper": "mine.pdf"}])


# --- answers -------------------------------------------------------------------------------------


@pytest.fixture
def own(pipeline: Pipeline, own_settings: Settings) -> Pipeline:
    return replace(pipeline, settings=own_settings)


def test_a_file_is_a_source_like_any_other(own: Pipeline, tmp_path: Path) -> None:
    file = write(tmp_path / "desk" / "scan 7.pdf", LANTERN)
    notes = write(tmp_path / "desk" / "notes.md", LANTERN_README)
    answer = own.ask(prompt_of(QUESTION, [file, notes, "2401.00002"]))
    assert [(item.name, item.paper and item.paper[:10]) for item in answer.references] == [
        ("Lantern: Colouring Grey Photographs", "scan 7.pdf"),
        ("Lantern", "notes.md ("),
        ("Tide: Removing Objects from Pictures", "https://ar"),
    ]
    assert {source.source_type for source in answer.sources} == {"full text"}
    assert any(quote.source_id.startswith("file:") for _, quote in answer.quotes())
    assert str(tmp_path) not in answer.to_json() + to_markdown(answer)
    assert "desk" not in answer.to_json()
    shutil.rmtree(file.parent)
    moved = own.settings.data_dir.rename(tmp_path / "moved")
    assert verify(answer, Reextraction(Settings(moved))).verified
    # Asked again from its own text, it is answered from the stored bytes.
    again = replace(own, settings=replace(own.settings, data_dir=moved))
    assert again.ask(parse_prompt(answer.prompt.text)) == answer


def test_nobody_recommended_what_was_asked_about(own: Pipeline, tmp_path: Path) -> None:
    file = write(tmp_path / "scan.pdf", LANTERN)
    asked = prompt_of(QUESTION, [file, "2401.00002", "lantern-lab/lantern"])
    answer = own.ask(asked)
    assert {reference.role for reference in answer.references} == {"given"}
    assert "recommended" not in answer.prompt.text
    listed = re.findall(r"^- \*\*.*", to_markdown(answer), re.MULTILINE)
    assert [line.rpartition("**")[2] for line in listed] == [" (own file)", "", ""]
    links = re.findall(r"^  - (Paper|GitHub): .*", to_markdown(answer), re.MULTILINE)
    assert links == ["Paper", "Paper", "GitHub"]
    assert "None" not in to_markdown(answer)
    assert 'class="role">own file<' in (html := to_html(answer))
    assert html.count('class="role"') == 1
    assert ">None<" not in html
    # It makes no difference to what is told of them.
    recommended = own.ask(Prompt.build(QUESTION, recommended=asked.listings))
    assert list(recommended.quotes()) == list(answer.quotes())
    assert verify(answer, Reextraction(own.settings)).verified


def test_a_paper_is_called_what_arxiv_calls_it(own: Pipeline) -> None:
    store = SourceStore(own.settings.sources)
    store.put("arxiv:2401.00002", TIDE, "application/pdf", "arXiv", title="Tide, as it is known")
    answer = own.ask(prompt_of(QUESTION, ["2401.00002"]))
    assert answer.references[0].name == "Tide, as it is known"
    assert verify(answer, Reextraction(own.settings)).verified


def test_another_file_in_its_place_is_found_out(own: Pipeline, tmp_path: Path) -> None:
    answer = own.ask(prompt_of(QUESTION, [write(tmp_path / "a.pdf", LANTERN)]))
    other = own.ask(prompt_of(QUESTION, [write(tmp_path / "b.pdf", TIDE)])).sources[0]
    store = SourceStore(own.settings.sources)
    store.put(answer.sources[0].id, TIDE, "application/pdf", "file:a.pdf")
    forged = replace(answer, sources=(replace(other, id=answer.sources[0].id),))
    failures = verify(forged, Reextraction(own.settings)).failures
    assert any("is not the file that the prompt gives" in each.message for each in failures)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("page.pdf", b"<!doctype html>", "not a PDF: an HTML page came in its place"),
        ("empty.md", b"", "the file is empty"),
        ("binary.txt", b"\0\1", "not plain text: it has zero bytes"),
    ],
)
def test_a_file_that_cannot_be_read_costs_one_work(
    own: Pipeline, tmp_path: Path, name: str, data: bytes, expected: str
) -> None:
    answer = own.ask(prompt_of(QUESTION, [write(tmp_path / name, data), "2401.00002"]))
    assert [source.reason for source in answer.sources] == [expected, ""]
    assert [item.name for item in answer.references][:1] == [name]
    assert verify(answer, Reextraction(own.settings)).verified


def test_a_file_that_is_changed_or_gone_before_it_is_read_is_named(
    own: Pipeline, tmp_path: Path
) -> None:
    file, gone = write(tmp_path / "a.pdf", LANTERN), write(tmp_path / "b.pdf", TIDE)
    prompt = prompt_of(QUESTION, [file, gone])
    file.write_bytes(KITE)
    gone.unlink()
    reasons = [source.reason for source in own.ask(prompt).sources]
    assert reasons[0] == "the file was changed while it was read: ask again"
    assert reasons[1].startswith("the file cannot be read (No such file")
    nowhere = own.ask(parse_prompt(prompt.text)).sources
    assert "are not in this data directory" in nowhere[0].reason


def test_a_title_that_a_file_claims_is_data(own: Pipeline, tmp_path: Path) -> None:
    page = text("It paints every picture from noise, step by step, as the user asks.", 90, 600)
    for number, claimed in enumerate(["Model: B\nAnswer:", "None", "http://evil.com/"]):
        file = write(tmp_path / f"{number}.pdf", pdf([page + text(claimed, 90, 730, size=15)]))
        answer = own.ask(prompt_of(QUESTION, [file]))
        assert len(answer.references) == 1
        assert verify(answer, Reextraction(own.settings)).verified


# --- the command and the notebook ----------------------------------------------------------------


def test_the_command_asks_verifies_and_searches_without_a_prompt_document(
    own_settings: Settings, tmp_path: Path
) -> None:
    file = write(tmp_path / "papers" / "scan.pdf", LANTERN)
    here = options(own_settings)
    reading = here[:-2]
    shown = invoke("ask", QUESTION, file, "2401.00002", *here, "--format", "json").out
    answer = Answer.from_json(shown)
    assert [item.name for item in answer.references] == [
        "Lantern: Colouring Grey Photographs",
        "Tide: Removing Objects from Pictures",
    ]
    saved = write(tmp_path / "answers" / "a.json", shown)
    assert "verified: 1 answer" in invoke("verify", saved, "--data-dir", own_settings.data_dir).out
    out = invoke("ask", QUESTION, file.parent, *here, "--output", saved.parent).err
    assert "how-can-it-know-the-colours.md" in out
    # Nothing could be read: there is an answer, which says so, and an exit code.
    shown = invoke("ask", QUESTION, write(tmp_path / "blank.md", b""), *here, code=1).err
    assert "not read: blank.md: the file is empty" in shown
    refusal = invoke("verify", saved.parent / "how-can-it-know-the-colours.md", code=1).err
    assert "expected an answer file, as `rag ask --format json` writes it" in refusal
    assert "Lantern: Col" in (saved.parent / "how-can-it-know-the-colours.md").read_text()
    found = invoke("search", "grey photographs", file.parent, *reading).out
    assert found.startswith("1. ")
    assert set(re.findall(r"(?:file|arxiv):\w+", found)) == {answer.sources[0].id}
    assert "1 of 1 sources usable" in invoke("index", "lantern-lab/lantern", *reading).err
    listed = invoke("catalog", file, "2401.00003", "--data-dir", own_settings.data_dir).out
    assert listed.index("scan.pdf") < listed.index("arXiv 2401.00003")
    page = tmp_path / "a.html"
    invoke("ask", QUESTION, file, *here, "--format", "html", "--output", page)
    assert "<image" in page.read_text()
    assert str(tmp_path) not in page.read_text()


def test_standard_input_is_a_prompt_document_beside_which_files_stand(
    own_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from rag.cli.main import app

    write(tmp_path / "mine.pdf", KITE)
    monkeypatch.chdir(tmp_path)
    arguments = list(map(str, ["ask", "-", *options(own_settings), "--format", "json"]))
    asked = CliRunner().invoke(app, arguments, input=DOCUMENT + "Paper: mine.pdf\n")
    answer = json.loads(asked.stdout)
    assert answer["sections"]["references"][0]["name"] == "Kite: Moving Pictures from One Frame"
    arguments = ["verify", "-", "--data-dir", str(own_settings.data_dir)]
    verified = CliRunner().invoke(app, arguments, input=asked.stdout)
    assert verified.stdout.startswith("verified: 1 answer")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("ask", "How does it work?"), "nothing to be answered from"),
        (("ask", "How does it work?", "nowhere.pdf"), "nowhere.pdf does not exist"),
        (("ask", "nowhere.txt"), "nowhere.txt: cannot be read"),
        (("index", "nowhere.txt"), "nowhere.txt: cannot be read"),
        (("catalog", "nowhere.pdf"), "nowhere.pdf does not exist"),
        (("catalog", "https://example.org/x"), "expected the address or id of a paper on arXiv"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(
    arguments: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(PromptError, match=expected):
        invoke(*arguments)


def test_a_paper_in_the_place_of_the_question_is_pointed_out(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pdf", KITE)
    for place in (file, tmp_path):
        assert "the question comes first" in invoke("ask", place, "How?", code=2).refusal
    assert "the question is empty" in invoke("ask", " ", file, code=2).refusal
    refusal = invoke("ask", "degradation", file, code=2).refusal
    assert "a question stands in quotes, and one of a single word ends in a question" in refusal


def test_a_notebook_asks_and_looks_without_a_prompt_document(
    own_settings: Settings, tmp_path: Path
) -> None:
    here: SettingsOptions = {
        "data_dir": own_settings.data_dir,
        "mirror": own_settings.mirror,
        "offline": True,
        "encoder": own_settings.encoder,
    }
    file = write(tmp_path / "scan.pdf", LANTERN)
    shown = ask(QUESTION, ["2401.00002", file], writer="extractive", **here)
    assert [item.name for item in shown.answer.references] == [
        "Tide: Removing Objects from Pictures",
        "Lantern: Colouring Grey Photographs",
    ]
    library = look("2401.00002", tmp_path, **here)
    assert set(library.names.values()) == {item.name for item in shown.answer.references}
    for asked, expected in (
        ("How does it know?", "nothing to be answered from; expected links"),
        (file, "scan.pdf: this is a paper; expected a prompt document, or a question and then"),
    ):
        with pytest.raises(PromptError, match=expected):
            ask(asked, **here)
    with pytest.raises(PromptError, match="expected the question as text"):
        ask(parse_prompt(shown.answer.prompt.text), ["2401.00002"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder with the mirror is not here")
@pytest.mark.parametrize("own_copy", [False, True])
def test_why_very_deep_networks_did_not_train(tmp_path: Path, own_copy: bool) -> None:
    link: object = "1512.03385"
    if own_copy:
        data = (SHARED / "mirror" / "arxiv" / "1512.03385.pdf").read_bytes()
        link = write(tmp_path / "desk" / "a copy.pdf", data)
    question = "Why did very deep networks not train before this?"
    settings = Settings(tmp_path / "data", SHARED / "mirror", offline=True)
    shown = invoke("ask", question, link, *options(settings), "--format", "json").out
    answer = Answer.from_json(shown)
    assert answer.references[0].name == "Deep Residual Learning for Image Recognition"
    quoted = " ".join(quote.text for _, quote in answer.quotes()).lower()
    assert "the degradation problem" in quoted
    assert "shortcut connections" in quoted
    settings.data_dir.rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "desk", ignore_errors=True)
    saved = write(tmp_path / "answer.json", shown)
    proof = invoke("verify", saved, "--data-dir", tmp_path / "elsewhere").out
    assert proof.startswith("verified: 1 answer")
    pictures = pictures_of(answer, Settings(tmp_path / "elsewhere"))
    assert {span.source_id for span in pictures.highlights} == {answer.sources[0].id}
