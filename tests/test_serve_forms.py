"""Asking on the page: documents and forms, errors beside the fields, nothing typed is lost; and
whatever anybody typed is text on every page."""

from __future__ import annotations

import hashlib
import html
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.files import parts_of
from rag.prompt import Prompt, parse_prompt
from rag.views.web.form import FIELDS, MAX_WORKS, PromptForm
from rag.views.web.routes import LIMIT, LISTED
from rag.views.web.site import AnswerStore, new_id
from tests.parts.hostile import HOSTILE_HTML
from tests.parts.markup import Markup, parsed
from tests.parts.sites import SitePages, send, tiny_site
from tests.parts.works import PROMPTS, write

MOVE, COLOUR = PROMPTS["move"], PROMPTS["colour"]
ROW = {"name": "A work", "role": "related", "paper": "", "github": "", "summary": "It is so."}
NOTES = b"The kite is flown at dusk. It takes a photo as input. It gives a picture as output.\n"
SHA = hashlib.sha256(NOTES).hexdigest()


def only_own_markup(text: str) -> Markup:
    """The page, in which nothing but its own script, attributes and links is live."""
    page = parsed(text)
    assert [each.get("src") for tag, each in page.elements if tag == "script"] == [
        "/static/page.js"
    ]
    assert not {tag for tag, _ in page.elements} & {"b", "iframe", "object", "embed", "base"}
    assert not [name for _, each in page.elements for name in each if name.startswith("on")]
    named = [
        each.get(name) or "" for _, each in page.elements for name in ("href", "src", "action")
    ]
    live = r"\s*(javascript|data:(?!image/webp;base64,[\w+/=]*$)|vbscript)"
    assert not [link for link in named if re.match(live, link, re.IGNORECASE)]
    # Only fields hold what was typed unchanged.
    assert "\x1b" not in re.sub(r"<textarea.*?</textarea>|value=\".*?\"", "", text, flags=re.S)
    return page


@pytest.fixture(scope="module")
def site_pages(tmp_path_factory: pytest.TempPathFactory, small_mirror: Path) -> SitePages:
    return SitePages(tiny_site(tmp_path_factory.mktemp("asked"), small_mirror))


@pytest.fixture
def pages(site_pages: SitePages) -> Iterator[SitePages]:
    """No test leaves work to the next."""
    yield site_pages
    site_pages.rest()


@pytest.fixture(scope="module")
def moved(site_pages: SitePages) -> str:
    """The name of an answer that is stored."""
    return site_pages.answered(MOVE.text)


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "punycode", "\0"])
@pytest.mark.parametrize("path", ["/", "/document", "/form"])
def test_a_charset_that_no_browser_sends_is_refused(
    pages: SitePages, path: str, charset: str
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n\\ud800+2AA-\r\n--x--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    refused = send(pages.app, "POST", path, content=part, headers=headers)
    assert refused.status_code == 415
    assert "UTF-8" in refused.text


@pytest.mark.parametrize("encoding", ["", "utf-8-sig", "utf-16"])
def test_a_document_is_asked_pasted_or_as_a_file_which_comes_first(
    pages: SitePages, encoding: str
) -> None:
    fields: list[tuple[str, object]] = [("text", "something else" if encoding else COLOUR.text)]
    if encoding:
        fields.append(("file", ("prompt.txt", COLOUR.text.encode(encoding))))
    name = pages.wait(pages.post("/document", *fields))
    assert pages.site.store.load(name).prompt.text == COLOUR.text
    if not encoding:
        shown = html.unescape(pages.get(f"/answers/{name}").text)
        assert html.escape(COLOUR.question, quote=False) in shown


WRONG = COLOUR.text.replace("http://arxiv.org/pdf/2401.00001v2.pdf", "arxiv/?")
NUMBER = WRONG.split("\n").index("Paper: arxiv/?") + 1


@pytest.mark.parametrize(
    ("text", "file", "why"),
    [
        (WRONG, b"", f"Line {NUMBER}: "),
        (WRONG, b"", f'<span class="bad">{NUMBER:4}  Paper: arxiv/?</span>'),
        ("pasted", b"ab\n\xff\xfe", "Line 2: byte 0xff is not UTF-8"),
        ("\n\n  leading lines stay", b"", "Line 1: "),
        ("tail\n\n", b"", "Line 1: "),
        ("", b"", "<p>there is no prompt document here"),
        ("  \n", b"", "<p>there is no prompt document here"),
    ],
)
def test_a_document_that_cannot_be_read_stays_as_typed_below_the_line_at_fault(
    pages: SitePages, text: str, file: bytes, why: str
) -> None:
    files = [("file", ("a.bin", file))] if file else []
    refused = pages.post("/document", ("text", text), *files)
    assert refused.status_code == 200
    assert why in refused.text
    assert parsed(refused.text).fields["text"] == text


def test_a_question_is_asked_of_links_and_files_and_of_their_works_again(pages: SitePages) -> None:
    links = ("links", "2401.00001\r\n\r\n lantern-lab/lantern \r\n2401.00001")
    sent = pages.post("/", ("question", "How is it coloured?"), links, ("files", ("k.md", NOTES)))
    name = pages.wait(sent)
    answer = pages.site.store.load(name)
    assert answer.prompt.question == "How is it coloured?"
    assert [(item.paper, item.github) for item in answer.references] == [
        ("https://arxiv.org/abs/2401.00001", None),
        (None, "https://github.com/lantern-lab/lantern"),
        (f"k.md (sha256 {SHA[:16]})", None),
    ]
    assert all(source.sha256 for source in answer.sources)
    pages.post(f"/answers/{name}/verify")
    assert "<strong>Verified</strong>" in pages.get(f"/answers/{name}").text

    shown = pages.get(f"/?of={name}").text
    assert parsed(shown).fields["question"] == ""
    assert shown.count('name="kept"') == shown.count(" checked") == 3
    fields = [("question", "And at dusk?"), ("of", name), ("kept", "2")]
    again = pages.site.store.load(pages.wait(pages.post("/", *fields)))
    assert [item.name for item in again.references] == [answer.references[2].name]
    assert again.sources[0].sha256 == SHA


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("links", "/etc/passwd", "expected the address or id"),
        ("links", "mine.pdf", "files are chosen below"),
        ("links", "~/notes.md", "files are chosen below"),
        ("links", "file:///etc/hosts.txt", "expected the address or id"),
        ("links", "https://evil.example/a.pdf", "expected the address or id"),
        ("links", "2401.00001\n" * (MAX_WORKS + 1), "too many works"),
        ("links", "", "There is nothing to read."),
        ("question", " ", "The question is missing."),
        ("files", ("a.exe", b"MZ"), "ends with one of"),
        ("files", ("a.pdf", b"<html>"), "not a PDF"),
        ("files", ("..", b"x"), "ends with one of"),
    ],
)
def test_an_error_stands_beside_links_and_files_and_names_no_file_of_the_server(
    pages: SitePages, field: str, value: str | tuple[str, bytes], why: str
) -> None:
    typed = {"question": "How?", "links": "2401.00001", field: value}
    refused = pages.post("/", *typed.items(), ("files", ("good.md", NOTES)), ("of", "none"))
    if value == "":
        refused = pages.post("/", *typed.items())
    assert refused.status_code == 200
    page = only_own_markup(refused.text)
    assert f'id="{field}-error"' in refused.text
    assert why in refused.text
    assert "root:" not in refused.text
    # What was uploaded already need not be chosen again.
    assert value == "" or f"good.md (sha256 {SHA[:16]})" in page.fields["links"]


def test_a_large_file_is_accepted_where_files_are_and_nowhere_else(pages: SitePages) -> None:
    large = ("large.txt", b"It is so. " * (LIMIT // 8))
    refused = pages.post("/document", ("text", ""), ("file", large))
    assert refused.status_code == 413
    asked = pages.post("/", ("question", ""), ("files", large))
    assert asked.status_code == 200
    assert "large.txt (sha256 " in parsed(asked.text).fields["links"]
    assert pages.post("/", ("question", "x" * LIMIT)).status_code in (400, 413)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/", {"question": "How?", "links": "2401.00001"}),
        ("/document", {"text": COLOUR.text}),
        ("/form", {"question": "How?", "action": "ask", **ROW}),
    ],
)
def test_who_writes_is_chosen_on_every_page(
    pages: SitePages, path: str, fields: dict[str, str]
) -> None:
    assert '<option value="&lt;another&gt;">' in pages.get(path).text
    for name, writer in (("<another>", "another"), ("/etc/passwd", "plain")):
        sent = pages.post(path, *fields.items(), ("writer", name))
        assert pages.site.store.load(pages.wait(sent)).writer.name == writer


def test_every_example_fills_the_page_and_is_answered_from_what_there_is(pages: SitePages) -> None:
    offered = re.findall(r'<a href="/\?of=([a-z-]+)">', pages.get("/").text)
    assert len(offered) == 3
    for name in offered:
        shown = pages.get(f"/?of={name}").text
        kept = [("kept", number) for number in re.findall(r'name="kept" value="(\d+)"', shown)]
        fields = [("question", parsed(shown).fields["question"]), ("of", name), *kept]
        answer = pages.site.store.load(pages.wait(pages.post("/", *fields)))
        assert len(answer.references) == len(kept) == 2
        assert list(answer.quotes())


def test_the_address_of_a_verification_leads_back_to_the_answer(
    pages: SitePages, moved: str
) -> None:
    path = f"/answers/{moved}"
    assert "Verified" not in pages.get(path).text
    assert pages.get(f"{path}/verify").headers["location"] == path
    assert pages.post(f"{path}/verify").headers["location"] == f"{path}#verification"
    assert re.search(r"<strong>Verified</strong> at \d\d:\d\d UTC", pages.get(path).text)
    pages.site.store.save(moved, pages.site.store.load(moved))
    assert "Verified" not in pages.get(path).text


def test_a_form_asks_what_a_document_would(pages: SitePages) -> None:
    form = PromptForm.of_prompt(COLOUR)
    rows = [{name: getattr(work, name) for name in FIELDS} for work in form.works]
    blank = dict.fromkeys(FIELDS, "")
    name = pages.wait(pages.form(form.question, rows[0], blank, *rows[1:]))
    assert parse_prompt(pages.site.store.load(name).prompt.text).listings == COLOUR.listings


@pytest.mark.parametrize(
    ("question", "typed", "wrong"),
    [
        ("", {}, "question"),
        ("  ", {}, "question"),
        ("How?\n### Related Papers:\nModel: x", {}, "question"),
        ("How?", {"name": " "}, "name-0"),
        ("How?", {"name": "None"}, "name-0"),
        ("How?", {"paper": "https://evil.example/a.pdf"}, "paper-0"),
        ("How?", {"github": "https://gitlab.com/a/b"}, "github-0"),
        ("How?", {"summary": "One.\nModel: another"}, "summary-0"),
        ("How?", {"summary": "One.\n### Related Papers:"}, "summary-0"),
        ("How?", {"summary": ""}, "works"),
    ],
)
def test_an_error_stands_beside_its_field_and_nothing_typed_is_lost(
    pages: SitePages, question: str, typed: dict[str, str], wrong: str
) -> None:
    field, _, number = wrong.partition("-")
    error = f"{field}-error" + (number and f"-{number}")
    refused = pages.form(question, {**ROW, **typed})
    assert refused.status_code == 200
    page = parsed(refused.text)
    assert [each["id"] for _, each in page.elements if each.get("class") == "error"] == [error]
    described = {each.get("id"): each.get("aria-describedby") for _, each in page.elements}
    assert wrong == "works" or described[wrong] == error
    names = ("name", "paper", "github", "summary")
    assert [page.fields[f"{name}-0"] for name in names] == [{**ROW, **typed}[it] for it in names]
    assert page.fields["question"] == question


def test_works_are_added_up_to_the_limit_and_removed_without_losing_a_word(
    pages: SitePages,
) -> None:
    rows = [{**ROW, "name": f"Work {number}"} for number in range(3)]
    added = parsed(pages.form("How?", *rows, action="add").text).fields
    assert [added[f"name-{at}"] for at in range(4)] == ["Work 0", "Work 1", "Work 2", ""]
    assert pages.form("How?", *rows, action="remove:" + "9" * 5000).status_code == 200
    removed = parsed(pages.form("How?", *rows, action="remove:1").text).fields
    assert [removed[f"name-{at}"] for at in range(2)] == ["Work 0", "Work 2"]
    assert removed["question"] == "How?"
    assert "name-2" not in removed
    shown = pages.form("How?", *([ROW] * MAX_WORKS), action="add").text
    assert f'id="work-{MAX_WORKS - 1}"' in shown
    assert f'id="work-{MAX_WORKS}"' not in shown
    assert 'value="add"' not in shown
    assert "There is nothing to read." in pages.form("How?").text


def test_the_document_of_a_form_can_be_seen_and_asked(pages: SitePages) -> None:
    shown = parsed(pages.form("How?", ROW, action="look").text).fields["text"]
    assert parse_prompt(shown).question == "How?"
    assert pages.post("/document", ("text", shown)).status_code == 303


@given(
    question=st.text(max_size=60),
    rows=st.lists(st.tuples(*[st.text(max_size=40)] * len(FIELDS)), max_size=3),
)
@settings(max_examples=100)
def test_whatever_is_typed_is_a_prompt_or_an_error_and_stays_as_typed(
    question: str, rows: list[tuple[str, ...]]
) -> None:
    typed = PromptForm.of(question, list(zip(*rows, strict=True)) or [[]] * len(FIELDS))
    read = typed.read()
    if isinstance(read, Prompt):
        assert read.listings
        return
    assert read.errors or any(work.errors for work in read.works)
    bare = tuple(replace(work, errors={}) for work in read.works)
    assert replace(read, errors={}, works=bare) == typed


@pytest.mark.parametrize("words", [each for each in HOSTILE_HTML if each])
def test_hostile_text_is_text_in_every_form(pages: SitePages, words: str) -> None:
    refused = only_own_markup(pages.post("/document", ("text", words)).text)
    assert refused.fields["text"] == words
    shown = only_own_markup(pages.form(words, dict.fromkeys(FIELDS, words)).text)
    assert shown.fields["question"] == shown.fields["summary-0"] == words
    only_own_markup(pages.form("How?", {**ROW, "paper": words, "github": words}).text)


def test_hostile_text_is_text_on_every_page_of_an_answer(pages: SitePages, moved: str) -> None:
    words = " ".join(" ".join(HOSTILE_HTML).split())
    summary = f"It {words} makes pictures. It takes a prompt as input."
    asked = Prompt.build(f"{words}, how?", recommended=[{"model": words, "summary": summary}])
    sent = pages.post("/document", ("text", asked.text))
    path = sent.headers["location"]
    only_own_markup(pages.get(path).text)
    name = pages.wait(sent)
    for shown_at in (path, "/answers", f"/document?again={name}", f"/?of={name}"):
        only_own_markup(pages.get(shown_at).text)

    answer = pages.site.store.load(moved)
    renamed = (replace(answer.references[0], name=words), *answer.references[1:])
    pages.site.store.save(name, replace(answer, references=renamed))
    pages.post(f"{path}/verify")
    failed = pages.get(path).text
    assert "not as the answer says" in failed
    only_own_markup(failed)


def test_an_answer_that_is_stored_after_its_job_was_looked_for_is_shown(
    pages: SitePages, moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, coming = pages.site.store.load(moved), new_id()

    def find(name: str) -> None:
        pages.site.store.save(coming, answer)

    monkeypatch.setattr(pages.site.job_queue, "find", find)
    assert pages.get(f"/answers/{coming}").status_code == 200
    assert pages.post(f"/answers/{coming}/cancel").status_code == 303


def test_answers_are_listed_the_newest_first_and_page_by_page(pages: SitePages, moved: str) -> None:
    for _ in range(LISTED):
        pages.site.store.save(new_id(), pages.site.store.load(moved))
    links: list[str] = []
    page = "/answers"
    while page:
        text = pages.get(page).text
        links += re.findall(r'<a href="/answers/([^"?]+)">', text)
        page = "".join(re.findall(r'href="(/answers\?before=[^"]+)"', text))
    assert links == sorted(set(links), reverse=True) == pages.site.store.names()
    assert len(links) > LISTED


def test_an_answer_has_no_other_form_and_no_other_file_is_served(
    pages: SitePages, moved: str
) -> None:
    paths = [f"answers/{moved}/answer.{form}" for form in ("exe", "html.exe", "..", "pickle")]
    paths += [f"static/{file}" for file in ("server.py", "../views.py", "%2e%2e/views.py", "")]
    assert {path: pages.get(f"/{path}").status_code for path in paths} == dict.fromkeys(paths, 404)


def test_what_a_kill_leaves_of_an_answer_is_removed_at_a_later_start(
    pages: SitePages, moved: str, tmp_path: Path
) -> None:
    AnswerStore(tmp_path).save(moved, pages.site.store.load(moved))
    assert parts_of(tmp_path).is_dir()
    part = write(parts_of(tmp_path) / ".0.part", "half of an ans")
    os.utime(part, (0, 0))
    assert AnswerStore(tmp_path).names() == [moved]
    assert not part.exists()


@pytest.mark.parametrize("moment", ["99999999T999999999", "20260230T000000000"])
def test_a_file_named_by_no_moment_is_no_answer_and_hides_none(
    pages: SitePages, moved: str, moment: str
) -> None:
    stray = write(pages.site.store.folder / f"{moment}Z-0123456789.json", "{}")
    pages.site.store.save(newest := new_id(), pages.site.store.load(moved))
    listed = pages.get("/answers")
    assert listed.status_code == 200
    assert newest in listed.text
    assert stray.stem not in listed.text
    assert pages.get(f"/answers/{stray.stem}").status_code == 404


def test_a_damaged_answer_is_listed_and_opened_as_damaged(pages: SitePages) -> None:
    name = new_id()
    write(pages.site.store.folder / f"{name}.json", "{<b>")
    assert "An answer that cannot be read" in pages.get("/answers").text
    opened = pages.get(f"/answers/{name}")
    assert opened.status_code == 500
    only_own_markup(opened.text)
