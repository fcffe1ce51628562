"""Asking on the page: documents and forms, errors beside the fields, and nothing typed lost; and
whatever anybody typed is text on every page."""

from __future__ import annotations

import asyncio
import html
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.settings import Settings
from rag.answer.model import Answer
from rag.pipeline import Pipeline
from rag.prompt import Prompt, parse_prompt
from rag.support.builtin import open_checker
from rag.views.web.app import create_app
from rag.views.web.form import FIELDS, MAX_WORKS, PromptForm, WorkFields
from rag.views.web.guard import Hosts
from rag.views.web.site import AnswerStore, Site, new_id
from tests.parts.tiny_encoders import WordEncoder
from tests.parts.works import LISTED, PROMPTS, PlainWriter, prompt

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

# One worker for all of them: they share a server.


class Page:
    """The page over a site of its own, spoken to without a network."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._app = create_app(site, hosts=Hosts.of("127.0.0.1"))

    def get(self, path: str) -> httpx.Response:
        return self._send("GET", path)

    def post(self, path: str, fields: Sequence[tuple[str, Any]]) -> httpx.Response:
        """`fields` as a browser sends them; a pair of bytes and a name is a file."""
        return self._send("POST", path, files=[(name, _part(value)) for name, value in fields])

    def form(self, question: str, *rows: dict[str, str], action: str = "ask") -> httpx.Response:
        fields = [("question", question), ("action", action)]
        fields += [pair for row in rows for pair in row.items()]
        return self.post("/form", fields)

    def answered(self, path: str) -> str:
        """The page of an answer, when it has come."""
        name = path.rpartition("/")[2]
        for _ in range(400):
            if self.site.store.holds(name):
                break
            time.sleep(0.02)
        return self.get(path).text

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as it:
                return await it.request(method, path, **more)

        return asyncio.run(sent())


def _part(value: Any) -> tuple[str | None, Any]:
    return (value[1], value[0]) if isinstance(value, tuple) else (None, value)


class Live(HTMLParser):
    """What a browser would take for markup: element names, attribute names, links."""

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
        given = dict(attrs)
        self.names.add(tag)
        self.attributes |= set(given)
        if tag == "script":
            self.scripts.append(given.get("src"))
        self.links += [value for name in ("href", "src", "action") if (value := given.get(name))]
        if tag == "input" and given.get("id"):
            self.fields[str(given["id"])] = given.get("value") or ""
        self._textarea = str(given["id"]) if tag == "textarea" else ""
        if self._textarea:
            self.fields[self._textarea] = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.fields[self._textarea] = self.fields[self._textarea].removeprefix("\n")
            self._textarea = ""


def assert_dead(text: str) -> Live:
    """Nothing in a page is live but what we put there."""
    live = Live(text)
    assert live.scripts == ["/static/page.js"]
    assert not {name for name in live.attributes if name.startswith("on")}
    assert not live.names & {"b", "iframe", "object", "embed", "base"}
    assert not [
        link
        for link in live.links
        if re.match(r"\s*(javascript|data:(?!image/webp;base64,[\w+/=]*$)|vbscript)", link, re.I)
    ]
    # Fields alone hold what was typed as it was typed.
    assert "\x1b" not in re.sub(r"<textarea.*?</textarea>|value=\".*?\"", "", text, flags=re.S)
    return live


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, small_mirror: Path) -> Page:
    chosen = Settings(tmp_path_factory.mktemp("data_dir"), small_mirror, offline=True)
    pipeline = Pipeline(chosen, WordEncoder(), PlainWriter())
    return Page(Site(pipeline, lambda: open_checker(token_states=False)))


class TestADocument:
    """Pasted or uploaded."""

    @pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "undefined", "punycode", "\0"])
    def test_no_other_charset_than_a_browser_sends_is_tried(self, page: Page, charset: str) -> None:
        part = (
            b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\n\\ud800+2AA-\r\n--x--\r\n'
        )
        kind = f"multipart/form-data; boundary=x; charset={charset}"
        for path in ("/", "/form"):
            refused = page._send("POST", path, content=part, headers={"content-type": kind})
            assert refused.status_code == 415
            assert "UTF-8" in refused.text

    def test_pasted_it_is_asked(self, page: Page) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        shown = page.answered(path)
        assert html.escape(PROMPTS["move"].question, quote=False) in html.unescape(shown)
        kept = page.site.kept(path.rpartition("/")[2])
        assert kept.prompt.text == PROMPTS["move"].text

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_as_a_file_it_goes_before_the_text(self, page: Page, encoding: str) -> None:
        data = PROMPTS["colour"].text.encode(encoding)
        sent = page.post("/", [("text", "something else"), ("file", (data, "prompt.txt"))])
        name = sent.headers["location"].rpartition("/")[2]
        page.answered(sent.headers["location"])
        assert page.site.kept(name).prompt.question == PROMPTS["colour"].question

    def test_an_error_names_the_line_shows_it_and_keeps_the_text(self, page: Page) -> None:
        text = PROMPTS["colour"].text.replace("http://arxiv.org/pdf/2401.00001v2.pdf", "arxiv/?")
        refused = page.post("/", [("text", text)])
        number = text.split("\n").index("Paper: arxiv/?") + 1
        assert refused.status_code == 200
        assert f"Line {number}: " in refused.text
        assert f'<span class="bad">{number:4}  Paper: arxiv/?</span>' in refused.text
        assert Live(refused.text).fields["text"] == text

    def test_nothing_pasted_is_told_as_such_and_blames_no_line(self, page: Page) -> None:
        refused = page.post("/", [("text", "  \n")]).text
        assert "there is no prompt document here" in refused.lower()
        assert "Line 1" not in refused

    def test_a_file_that_is_no_text_is_refused_and_what_was_pasted_stays(self, page: Page) -> None:
        refused = page.post("/", [("text", "pasted"), ("file", (b"ab\n\xff\xfe", "a.bin"))])
        assert refused.status_code == 200
        assert "Line 2: byte 0xff is not UTF-8" in refused.text
        assert Live(refused.text).fields["text"] == "pasted"

    @pytest.mark.parametrize("text", ["", "\n\n  leading lines stay", "tail\n\n"])
    def test_blank_lines_about_it_stay_when_it_is_refused(self, page: Page, text: str) -> None:
        assert Live(page.post("/", [("text", text)]).text).fields["text"] == text

    @pytest.mark.parametrize("body", [b"", b"--b--", b"--b\r\nrubbish\r\n", b"\x00" * 50])
    def test_a_broken_request_is_refused_as_a_page(self, page: Page, body: bytes) -> None:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        refused = page._send("POST", "/", content=body, headers=headers)
        assert refused.status_code in (200, 400)
        assert_dead(refused.text)


class TestAForm:
    """Filled in field by field."""

    def test_it_asks_what_a_document_would(self, page: Page) -> None:
        form = PromptForm.of_prompt(PROMPTS["colour"])
        rows = [{name: getattr(work, name) for name in FIELDS} for work in form.works]
        path = page.form(form.question, *rows).headers["location"]
        page.answered(path)
        kept = page.site.kept(path.rpartition("/")[2])
        assert parse_prompt(kept.prompt.text).listings == PROMPTS["colour"].listings

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            ({**ROW, "name": " "}, "name-0"),
            ({**ROW, "name": "None"}, "name-0"),
            ({**ROW, "paper": "https://evil.example/a.pdf"}, "paper-0"),
            ({**ROW, "github": "https://gitlab.com/a/b"}, "github-0"),
            ({**ROW, "summary": "One.\nModel: another"}, "summary-0"),
            ({**ROW, "summary": "One.\n### Related Papers:"}, "summary-0"),
        ],
    )
    def test_an_error_stands_beside_its_field(
        self, page: Page, row: dict[str, str], field: str
    ) -> None:
        refused = page.form("How?", row)
        name = field.partition("-")[0]
        assert refused.status_code == 200
        assert re.findall(r'class="error" id="([^"]+)"', refused.text) == [f"{name}-error-0"]
        assert f'aria-describedby="{name}-error-0"' in refused.text
        assert Live(refused.text).fields[field] == row[name]

    @pytest.mark.parametrize("question", ["", "  ", "How?\n### Related Papers:\nModel: x"])
    def test_a_question_that_cannot_be_asked_is_told_so(self, page: Page, question: str) -> None:
        refused = page.form(question, ROW)
        assert 'id="question-error"' in refused.text
        assert Live(refused.text).fields["question"] == question

    def test_works_without_anything_to_read_are_too_little(self, page: Page) -> None:
        assert "There is nothing to read." in page.form("How?", {**ROW, "summary": ""}).text
        assert "There is nothing to read." in page.form("How?").text

    def test_works_are_added_and_removed_without_losing_a_word(self, page: Page) -> None:
        rows = [{**ROW, "name": f"Work {number}"} for number in range(3)]
        added = Live(page.form("How?", *rows, action="add").text).fields
        assert [added[f"name-{number}"] for number in range(4)] == [
            "Work 0",
            "Work 1",
            "Work 2",
            "",
        ]
        assert page.form("How?", *rows, action="remove:" + "9" * 5000).status_code == 200
        removed = Live(page.form("How?", *rows, action="remove:1").text).fields
        assert [removed[f"name-{number}"] for number in range(2)] == ["Work 0", "Work 2"]
        assert removed["question"] == "How?"
        assert "name-2" not in removed

    def test_there_is_an_end_to_adding(self, page: Page) -> None:
        shown = page.form("How?", *([ROW] * MAX_WORKS), action="add").text
        assert f'id="work-{MAX_WORKS - 1}"' in shown
        assert f'id="work-{MAX_WORKS}"' not in shown
        assert 'value="add"' not in shown

    def test_the_document_it_makes_can_be_seen_and_asked(self, page: Page) -> None:
        shown = Live(page.form("How?", ROW, action="look").text).fields["text"]
        assert parse_prompt(shown).question == "How?"
        assert page.post("/", [("text", shown)]).status_code == 303

    @given(
        question=st.text(max_size=60),
        rows=st.lists(st.tuples(*[st.text(max_size=40)] * len(FIELDS)), max_size=3),
    )
    @settings(max_examples=200, deadline=None)
    def test_whatever_is_typed_is_a_prompt_or_an_error_and_stays_as_typed(
        self, question: str, rows: list[tuple[str, ...]]
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
    def test_a_prompt_comes_back_from_the_form_it_fills(self, names: list[str], cut: int) -> None:
        asked = prompt("How does it do that?", names[:cut], names[cut:])
        read = PromptForm.of_prompt(asked).read()
        assert isinstance(read, Prompt)
        assert (read.question, read.listings) == (asked.question, asked.listings)

    def test_a_blank_work_between_others_is_no_work(self) -> None:
        works = (WorkFields("A", summary="So."), WorkFields(), WorkFields("B", summary="So too."))
        read = PromptForm("How?", works).read()
        assert isinstance(read, Prompt)
        assert [item.name for item in read.listings] == ["A", "B"]


class TestHostileText:
    """Whatever comes from a prompt is text on every page it is shown on."""

    @pytest.mark.parametrize("words", HOSTILE)
    def test_in_what_is_refused(self, page: Page, words: str) -> None:
        refused = assert_dead(page.post("/", [("text", words)]).text)
        assert refused.fields["text"] == words
        shown = assert_dead(page.form(words, dict.fromkeys(FIELDS, words)).text)
        assert shown.fields["question"] == shown.fields["summary-0"] == words
        assert_dead(page.form("How?", {**ROW, "paper": words, "github": words}).text)

    @pytest.mark.parametrize("words", HOSTILE)
    def test_in_answers_and_their_list(self, page: Page, words: str) -> None:
        work = {
            "model": words,
            "summary": f"It {words} makes pictures. It takes a prompt as input.",
        }
        asked = Prompt.build(f"{words}, how?", recommended=[work])
        path = page.post("/", [("text", asked.text)]).headers["location"]
        assert_dead(page.get(path).text)
        assert_dead(page.answered(path))
        assert_dead(page.get("/answers").text)
        verified = page.post(f"{path}/verify", []).text
        assert "<strong>Verified.</strong>" in verified
        assert_dead(verified)
        assert_dead(page.get(f"/?again={path.rpartition('/')[2]}").text)

    @pytest.mark.parametrize("words", HOSTILE)
    def test_in_what_a_verification_finds(self, page: Page, words: str) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        page.answered(path)
        name = path.rpartition("/")[2]
        spoilt = _spoilt(page.site.kept(name), words)
        page.site.store.save(name, spoilt)
        shown = page.post(f"{path}/verify", []).text
        assert "not as the answer says" in shown
        assert_dead(shown)

    def test_an_answer_that_comes_between_two_looks_is_there(
        self, page: Page, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        page.answered(path)
        answer, coming = page.site.kept(path.rpartition("/")[2]), new_id()

        def find(name: str) -> None:
            page.site.store.save(coming, answer)

        monkeypatch.setattr(page.site.job_queue, "find", find)
        assert page.get(f"/answers/{coming}").status_code == 200
        assert page.post(f"/answers/{coming}/give-up", []).status_code == 303


class TestNames:
    """A name of an answer is nothing but a name."""

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
    def test_no_path_is_smuggled_in(self, page: Page, name: str) -> None:
        secret = page.site.store._folder.parent / "secret.json"
        secret.write_text('{"secret": 1}')
        for path in ("", "/events", "/answer.json", "/answer.md", "/answer.html"):
            refused = page.get(f"/answers/{name}{path}")
            assert refused.status_code in (404, 405)
            assert '"secret"' not in refused.text
        assert page.post(f"/answers/{name}/verify", []).status_code in (404, 405)
        assert page.post(f"/answers/{name}/give-up", []).status_code in (404, 405)
        assert Live(page.get(f"/?again={name}").text).fields["text"] == ""

    @pytest.mark.parametrize("form", ["exe", "html.exe", "..", "pickle"])
    def test_no_other_form_is_had(self, page: Page, form: str) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        page.answered(path)
        assert page.get(f"{path}/answer.{form}").status_code == 404

    @pytest.mark.parametrize("name", ["app.py", "../views.py", "%2e%2e/views.py", ""])
    def test_no_other_file_of_ours_is_had(self, page: Page, name: str) -> None:
        assert page.get(f"/static/{name}").status_code == 404

    def test_what_a_kill_leaves_of_an_answer_is_removed_at_a_later_start(
        self, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        page.answered(path)
        left: list[Path] = []
        monkeypatch.setattr(os, "fsync", lambda _: left.extend(tmp_path.rglob("*.part")))
        AnswerStore(tmp_path).save(new_id(), page.site.kept(path.rpartition("/")[2]))
        (part,) = left
        part.write_text("half of an ans")
        os.utime(part, (0, 0))
        assert len(AnswerStore(tmp_path).names()) == 1
        assert not part.exists()

    @pytest.mark.parametrize("moment", ["99999999T999999999", "20260230T000000000"])
    def test_a_file_named_by_no_moment_is_no_answer_and_hides_none(
        self, page: Page, moment: str
    ) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        page.answered(path)
        stray = page.site.store._folder / f"{moment}Z-0123456789.json"
        stray.write_text("{}")
        listed = page.get("/answers")
        assert listed.status_code == 200
        assert path in listed.text
        assert stray.stem not in listed.text
        assert page.get(f"/answers/{stray.stem}").status_code == 404

    def test_a_damaged_answer_is_listed_and_opened_as_that(self, page: Page) -> None:
        path = page.post("/", [("text", PROMPTS["move"].text)]).headers["location"]
        page.answered(path)
        (page.site.store._folder / f"{path.rpartition('/')[2]}.json").write_text("{<b>")
        assert "An answer that cannot be read" in page.get("/answers").text
        opened = page.get(path)
        assert opened.status_code == 500
        assert_dead(opened.text)


@pytest.fixture(autouse=True)
def _rested(page: Page) -> Iterator[None]:
    """No test leaves work to the next."""
    yield
    for _ in range(400):
        if not page.site.job_queue.at_hand():
            return
        time.sleep(0.02)


def _spoilt(answer: Answer, words: str) -> Answer:
    reference = replace(answer.references[0], name=words)
    return replace(answer, references=(reference, *answer.references[1:]))
