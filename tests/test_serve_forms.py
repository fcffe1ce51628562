"""Asking on the page: documents and forms, errors beside the fields, nothing typed is lost; and
whatever anybody typed is text on every page."""

from __future__ import annotations

import hashlib
import html
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.prompt import Prompt, parse_prompt
from rag.views.web.form import FIELDS, MAX_WORKS, PromptForm, WorkFields
from rag.views.web.routes import LIMIT
from rag.views.web.site import AnswerStore, new_id
from tests.parts.sites import SitePages, send, tiny_site
from tests.parts.works import LISTED, PROMPTS, prompt

MOVE, COLOUR = PROMPTS["move"], PROMPTS["colour"]
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</textarea><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "'><b onmouseover=alert(1)>",
    "javascript:alert(1)",
    "[a link](javascript:alert(1))",
    "{{ 7 * 7 }}{% raw %}",
    "\u202egnp.exe\x1b[31mred",
    "<!-- --><style>*{display:none}</style>",
)
ROW = {"name": "A work", "role": "related", "paper": "", "github": "", "summary": "It is so."}


class PageMarkup(HTMLParser):
    """What a browser would take for markup: element names, attribute names, links; and the
    values of fields by their ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.fields: dict[str, str] = {}
        self._textarea = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.names.add(tag)
        self.attributes |= set(values)
        if tag == "script":
            self.scripts.append(values.get("src"))
        self.links += [link for name in ("href", "src", "action") if (link := values.get(name))]
        if tag == "input" and values.get("id"):
            self.fields[str(values["id"])] = values.get("value") or ""
        self._textarea = str(values["id"]) if tag == "textarea" else ""
        if self._textarea:
            self.fields[self._textarea] = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.fields[self._textarea] = self.fields[self._textarea].removeprefix("\n")
            self._textarea = ""


def assert_only_own_markup(text: str) -> PageMarkup:
    markup = PageMarkup(text)
    assert markup.scripts == ["/static/page.js"]
    assert not {name for name in markup.attributes if name.startswith("on")}
    assert not markup.names & {"b", "iframe", "object", "embed", "base"}
    live = r"\s*(javascript|data:(?!image/webp;base64,[\w+/=]*$)|vbscript)"
    assert not [link for link in markup.links if re.match(live, link, re.IGNORECASE)]
    # Only fields hold what was typed unchanged.
    assert "\x1b" not in re.sub(r"<textarea.*?</textarea>|value=\".*?\"", "", text, flags=re.S)
    return markup


@pytest.fixture(scope="module")
def site_pages(tmp_path_factory: pytest.TempPathFactory, small_mirror: Path) -> SitePages:
    return SitePages(tiny_site(tmp_path_factory.mktemp("asked"), small_mirror))


@pytest.fixture
def pages(site_pages: SitePages) -> Iterator[SitePages]:
    """No test leaves work to the next."""
    yield site_pages
    site_pages.rest()


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "undefined", "punycode", "\0"])
@pytest.mark.parametrize("path", ["/", "/document", "/form"])
def test_a_charset_that_no_browser_sends_is_refused(
    pages: SitePages, path: str, charset: str
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n\\ud800+2AA-\r\n--x--\r\n'
    headers = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    refused = send(pages.app, "POST", path, content=part, headers=headers)
    assert refused.status_code == 415
    assert "UTF-8" in refused.text


@pytest.mark.parametrize("encoding", ["", "utf-8", "utf-8-sig", "utf-16"])
def test_a_document_is_asked_pasted_or_as_a_file_which_comes_first(
    pages: SitePages, encoding: str
) -> None:
    fields: list[tuple[str, object]] = [("text", "something else" if encoding else COLOUR.text)]
    if encoding:
        fields.append(("file", ("prompt.txt", COLOUR.text.encode(encoding))))
    name = pages.wait(pages.post("/document", *fields))
    assert pages.site.store.load(name).prompt.text == COLOUR.text
    shown = html.unescape(pages.get(f"/answers/{name}").text)
    assert html.escape(COLOUR.question, quote=False) in shown


def test_an_error_names_the_line_shows_it_and_keeps_the_text(pages: SitePages) -> None:
    text = COLOUR.text.replace("http://arxiv.org/pdf/2401.00001v2.pdf", "arxiv/?")
    refused = pages.post("/document", ("text", text))
    number = text.split("\n").index("Paper: arxiv/?") + 1
    assert refused.status_code == 200
    assert f"Line {number}: " in refused.text
    assert f'<span class="bad">{number:4}  Paper: arxiv/?</span>' in refused.text
    assert PageMarkup(refused.text).fields["text"] == text


def test_a_file_that_is_no_text_is_refused_and_what_was_pasted_stays(pages: SitePages) -> None:
    refused = pages.post("/document", ("text", "pasted"), ("file", ("a.bin", b"ab\n\xff\xfe")))
    assert refused.status_code == 200
    assert "Line 2: byte 0xff is not UTF-8" in refused.text
    assert PageMarkup(refused.text).fields["text"] == "pasted"


@pytest.mark.parametrize("text", ["", "  \n", "\n\n  leading lines stay", "tail\n\n"])
def test_blank_lines_around_a_refused_document_stay(pages: SitePages, text: str) -> None:
    refused = pages.post("/document", ("text", text)).text
    assert PageMarkup(refused).fields["text"] == text
    if not text.strip():
        assert "there is no prompt document here" in refused.lower()
        assert "Line 1" not in refused


@pytest.mark.parametrize("body", [b"", b"--b--", b"--b\r\nrubbish\r\n", b"\x00" * 50])
def test_a_broken_request_is_refused_with_a_page(pages: SitePages, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    refused = send(pages.app, "POST", "/document", content=body, headers=headers)
    assert refused.status_code in (200, 400)
    assert_only_own_markup(refused.text)


NOTES = b"The kite is flown at dusk. It takes a photo as input. It gives a picture as output.\n"
SHA = hashlib.sha256(NOTES).hexdigest()


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
    assert PageMarkup(shown).fields["question"] == ""
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
    markup = assert_only_own_markup(refused.text)
    assert f'id="{field}-error"' in refused.text
    assert why in refused.text
    assert "root:" not in refused.text
    # What was uploaded already need not be chosen again.
    assert value == "" or f"good.md (sha256 {SHA[:16]})" in markup.fields["links"]


def test_a_large_file_is_accepted_where_files_are_and_nowhere_else(pages: SitePages) -> None:
    large = ("large.txt", b"It is so. " * (LIMIT // 8))
    refused = pages.post("/document", ("text", ""), ("file", large))
    assert refused.status_code == 413
    asked = pages.post("/", ("question", ""), ("files", large))
    assert asked.status_code == 200
    assert "large.txt (sha256 " in PageMarkup(asked.text).fields["links"]
    assert pages.post("/", ("question", "x" * LIMIT)).status_code in (400, 413)


@pytest.mark.parametrize("path", ["/", "/form", "/document"])
def test_who_writes_is_chosen_on_every_page(pages: SitePages, path: str) -> None:
    name = "<another>"
    assert f'<option value="{html.escape(name)}">' in pages.get(path).text
    fields = {"/": ("links", "2401.00001"), "/document": ("text", COLOUR.text)}
    if path == "/form":
        sent = pages.form("How?", {**ROW, "writer": name})
    else:
        sent = pages.post(path, ("question", "How?"), fields[path], ("writer", name))
    assert pages.site.store.load(pages.wait(sent)).writer.name == "another"
    unknown = pages.post("/document", ("text", COLOUR.text), ("writer", "/etc/passwd"))
    assert pages.site.store.load(pages.wait(unknown)).writer.name == "plain"


def test_every_example_fills_the_page_and_is_answered_from_what_there_is(pages: SitePages) -> None:
    offered = re.findall(r'<a href="/\?of=([a-z-]+)">', pages.get("/").text)
    assert len(offered) == 3
    for name in offered:
        shown = pages.get(f"/?of={name}").text
        question = PageMarkup(shown).fields["question"]
        kept = [("kept", number) for number in re.findall(r'name="kept" value="(\d+)"', shown)]
        answer = pages.site.store.load(
            pages.wait(pages.post("/", ("question", question), ("of", name), *kept))
        )
        assert len(answer.references) == len(kept) == 2
        assert list(answer.quotes())


def test_the_address_of_a_verification_leads_back_to_the_answer(pages: SitePages) -> None:
    name = pages.answered(MOVE.text)
    path = f"/answers/{name}"
    assert "Verified" not in pages.get(path).text
    assert pages.get(f"{path}/verify").headers["location"] == path
    assert pages.post(f"{path}/verify").headers["location"] == f"{path}#verification"
    assert re.search(r"<strong>Verified</strong> at \d\d:\d\d UTC", pages.get(path).text)
    pages.site.store.save(name, pages.site.store.load(name))
    assert "Verified" not in pages.get(path).text


def test_a_form_asks_what_a_document_would(pages: SitePages) -> None:
    form = PromptForm.of_prompt(COLOUR)
    rows = [{name: getattr(work, name) for name in FIELDS} for work in form.works]
    name = pages.wait(pages.form(form.question, *rows))
    assert parse_prompt(pages.site.store.load(name).prompt.text).listings == COLOUR.listings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("name", "None"),
        ("paper", "https://evil.example/a.pdf"),
        ("github", "https://gitlab.com/a/b"),
        ("summary", "One.\nModel: another"),
        ("summary", "One.\n### Related Papers:"),
    ],
)
def test_an_error_stands_beside_its_field(pages: SitePages, field: str, value: str) -> None:
    refused = pages.form("How?", {**ROW, field: value})
    assert refused.status_code == 200
    assert re.findall(r'class="error" id="([^"]+)"', refused.text) == [f"{field}-error-0"]
    assert f'aria-describedby="{field}-error-0"' in refused.text
    assert PageMarkup(refused.text).fields[f"{field}-0"] == value


def test_a_question_that_cannot_be_asked_and_works_without_a_text_are_refused(
    pages: SitePages,
) -> None:
    for question in ("", "  ", "How?\n### Related Papers:\nModel: x"):
        refused = pages.form(question, ROW)
        assert 'id="question-error"' in refused.text
        assert PageMarkup(refused.text).fields["question"] == question
    for rows in ([{**ROW, "summary": ""}], []):
        assert "There is nothing to read." in pages.form("How?", *rows).text


def test_works_are_added_up_to_the_limit_and_removed_without_losing_a_word(
    pages: SitePages,
) -> None:
    rows = [{**ROW, "name": f"Work {number}"} for number in range(3)]
    added = PageMarkup(pages.form("How?", *rows, action="add").text).fields
    assert [added[f"name-{at}"] for at in range(4)] == ["Work 0", "Work 1", "Work 2", ""]
    assert pages.form("How?", *rows, action="remove:" + "9" * 5000).status_code == 200
    removed = PageMarkup(pages.form("How?", *rows, action="remove:1").text).fields
    assert [removed[f"name-{at}"] for at in range(2)] == ["Work 0", "Work 2"]
    assert removed["question"] == "How?"
    assert "name-2" not in removed
    shown = pages.form("How?", *([ROW] * MAX_WORKS), action="add").text
    assert f'id="work-{MAX_WORKS - 1}"' in shown
    assert f'id="work-{MAX_WORKS}"' not in shown
    assert 'value="add"' not in shown


def test_the_document_of_a_form_can_be_seen_and_asked(pages: SitePages) -> None:
    shown = PageMarkup(pages.form("How?", ROW, action="look").text).fields["text"]
    assert parse_prompt(shown).question == "How?"
    assert pages.post("/document", ("text", shown)).status_code == 303


@given(
    question=st.text(max_size=60),
    rows=st.lists(st.tuples(*[st.text(max_size=40)] * len(FIELDS)), max_size=3),
)
@settings(max_examples=200, deadline=None)
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


@given(
    st.lists(st.sampled_from(sorted(LISTED)), min_size=1, max_size=4, unique=True),
    st.integers(0, 4),
)
@settings(deadline=None)
def test_a_prompt_comes_back_from_the_form_it_fills(names: list[str], cut: int) -> None:
    asked = prompt("How does it do that?", names[:cut], names[cut:])
    read = PromptForm.of_prompt(asked).read()
    assert isinstance(read, Prompt)
    assert (read.question, read.listings) == (asked.question, asked.listings)


def test_a_blank_work_between_others_is_no_work() -> None:
    works = (WorkFields("A", summary="So."), WorkFields(), WorkFields("B", summary="So too."))
    read = PromptForm("How?", works).read()
    assert isinstance(read, Prompt)
    assert [item.name for item in read.listings] == ["A", "B"]


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_text_is_text_wherever_it_is_shown(pages: SitePages, words: str) -> None:
    refused = assert_only_own_markup(pages.post("/document", ("text", words)).text)
    assert refused.fields["text"] == words
    shown = assert_only_own_markup(pages.form(words, dict.fromkeys(FIELDS, words)).text)
    assert shown.fields["question"] == shown.fields["summary-0"] == words
    assert_only_own_markup(pages.form("How?", {**ROW, "paper": words, "github": words}).text)

    summary = f"It {words} makes pictures. It takes a prompt as input."
    asked = Prompt.build(f"{words}, how?", recommended=[{"model": words, "summary": summary}])
    sent = pages.post("/document", ("text", asked.text))
    path = sent.headers["location"]
    assert_only_own_markup(pages.get(path).text)
    name = pages.wait(sent)
    assert pages.post(f"{path}/verify").headers["location"] == f"{path}#verification"
    # A statement with such words is no plain one; the verdict is shown all the same.
    assert 'id="verification"' in pages.get(path).text
    for shown_at in (path, "/answers", f"/document?again={name}", f"/?of={name}"):
        assert_only_own_markup(pages.get(shown_at).text)

    answer = pages.site.store.load(pages.answered(MOVE.text))
    renamed = (replace(answer.references[0], name=words), *answer.references[1:])
    pages.site.store.save(name, replace(answer, references=renamed))
    pages.post(f"{path}/verify")
    failed = pages.get(path).text
    assert "not as the answer says" in failed
    assert_only_own_markup(failed)


def test_an_answer_that_is_stored_after_its_job_was_looked_for_is_shown(
    pages: SitePages, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, coming = pages.site.store.load(pages.answered(MOVE.text)), new_id()

    def find(name: str) -> None:
        pages.site.store.save(coming, answer)

    monkeypatch.setattr(pages.site.job_queue, "find", find)
    assert pages.get(f"/answers/{coming}").status_code == 200
    assert pages.post(f"/answers/{coming}/cancel").status_code == 303


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fsecret",
        "%2e%2e%2fsecret",
        "%252e%252e%252fsecret",
        "/etc/passwd",
        "secret",
        "secret.json",
        "20260101T000000000Z-0123456789%00",
        "２０260101T000000000Z-0123456789",
        "a" * 5000,
    ],
)
def test_no_path_is_smuggled_in(pages: SitePages, name: str) -> None:
    (pages.site.store.folder.parent / "secret.json").write_text('{"secret": 1}')
    for path in ("", "/events", "/answer.json", "/answer.md", "/answer.html"):
        refused = pages.get(f"/answers/{name}{path}")
        assert refused.status_code in (404, 405)
        assert '"secret"' not in refused.text
    for path in ("verify", "cancel"):
        assert pages.post(f"/answers/{name}/{path}").status_code in (404, 405)
    assert PageMarkup(pages.get(f"/document?again={name}").text).fields["text"] == ""


def test_an_answer_has_no_other_form_and_no_other_file_is_served(pages: SitePages) -> None:
    name = pages.answered(MOVE.text)
    paths = [f"answers/{name}/answer.{form}" for form in ("exe", "html.exe", "..", "pickle")]
    paths += [f"static/{file}" for file in ("server.py", "../views.py", "%2e%2e/views.py", "")]
    assert {path: pages.get(f"/{path}").status_code for path in paths} == dict.fromkeys(paths, 404)


def test_what_a_kill_leaves_of_an_answer_is_removed_at_a_later_start(
    pages: SitePages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = pages.site.store.load(pages.answered(MOVE.text))
    left: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda _: left.extend(tmp_path.rglob("*.part")))
    AnswerStore(tmp_path).save(new_id(), answer)
    (part,) = left
    part.write_text("half of an ans")
    os.utime(part, (0, 0))
    assert len(AnswerStore(tmp_path).names()) == 1
    assert not part.exists()


@pytest.mark.parametrize("moment", ["99999999T999999999", "20260230T000000000"])
def test_a_file_named_by_no_moment_is_no_answer_and_hides_none(
    pages: SitePages, moment: str
) -> None:
    name = pages.answered(MOVE.text)
    stray = pages.site.store.folder / f"{moment}Z-0123456789.json"
    stray.write_text("{}")
    listed = pages.get("/answers")
    assert listed.status_code == 200
    assert name in listed.text
    assert stray.stem not in listed.text
    assert pages.get(f"/answers/{stray.stem}").status_code == 404


def test_a_damaged_answer_is_listed_and_opened_as_damaged(pages: SitePages) -> None:
    name = pages.answered(MOVE.text)
    (pages.site.store.folder / f"{name}.json").write_text("{<b>")
    assert "An answer that cannot be read" in pages.get("/answers").text
    opened = pages.get(f"/answers/{name}")
    assert opened.status_code == 500
    assert_only_own_markup(opened.text)
