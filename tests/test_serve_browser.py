"""The served page in a real browser: asked on, watched, read, downloaded, verified; with the
keyboard, without a script, at every width; and no other host is contacted."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Page, expect

from index.settings import Settings
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from tests.parts.browser import chromium
from tests.parts.served import PACED, SLOWLY, UNPACED, Served, served
from tests.parts.works import LISTED, PROMPTS, prompt

TIMEOUT = 180_000
"""Milliseconds: enough for a busy machine."""
expect.set_options(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, small_mirror: Path) -> Iterator[Served]:
    data_dir = tmp_path_factory.mktemp("watched")
    with served(Settings(data_dir, small_mirror, offline=True), program=PACED) as running:
        yield running


@dataclass
class Visit:
    """One visitor's page, the hosts it spoke to and what its console said."""

    page: Page
    hosts: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def check(self) -> None:
        """The page is accessible, and nothing has to be scrolled sideways, on a telephone by day
        and on a screen by night."""
        self.page.wait_for_load_state()  # A click returns before the next page has its colours.
        schemes: tuple[tuple[int, Literal["light", "dark"]], ...] = ((360, "light"), (1280, "dark"))
        for width, scheme in schemes:
            self.page.set_viewport_size({"width": width, "height": 800})
            self.page.emulate_media(color_scheme=scheme)
            report = Axe().run(self.page)
            assert report.violations_count == 0, report.generate_report()
            assert self.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    def ask_document(self, text: str) -> None:
        self.page.goto("/document")
        self.page.get_by_label("Prompt document", exact=True).fill(text)
        self.page.get_by_role("button", name="Ask").click()


@contextmanager
def visit(browser: Browser, server: Served, **options: Any) -> Iterator[Visit]:
    """A visitor to the served page; leaving checks that all went well."""
    context = browser.new_context(
        base_url=server.base, accept_downloads=True, reduced_motion="reduce", **options
    )
    visit = Visit(context.new_page())
    visit.page.set_default_timeout(TIMEOUT)
    visit.page.on("request", lambda request: visit.hosts.add(request.url.split("/")[2]))
    visit.page.on("console", lambda message: visit.complaints.append(message.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("dialog", lambda dialog: visit.complaints.append(dialog.message))
    try:
        yield visit
        assert visit.hosts == {server.base.removeprefix("http://")}
        assert visit.complaints == []
    finally:
        context.close()


@contextmanager
def slow_question(server: Served, why: str) -> Iterator[str]:
    """A question that is answered slowly, for as long as the context lasts."""
    question = f"{SLOWLY}: {why}"
    try:
        yield question
    finally:
        server.enough(question)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def test_a_form_is_filled_corrected_watched_read_downloaded_and_verified(
    browser: Browser, server: Served
) -> None:
    with (
        visit(browser, server) as here,
        slow_question(server, f"how does {HOSTILE} work?") as question,
    ):
        page = here.page
        fill_form_with_a_mistake(here, question)
        correct_form(here)
        expect(page.get_by_role("heading", level=1)).to_have_text(question)
        expect(page.get_by_role("log")).to_contain_text("word 5 word 6")
        expect(page.get_by_role("status")).to_have_text("The answer is being written.")
        here.check()
        server.enough(question)
        page.get_by_role("heading", name="3. Papers and tools").wait_for()
        expect(page.locator(".answer .question")).to_have_text(question)
        here.check()
        check_downloads(here, server, question)
        page.get_by_role("button", name="Verify").click()
        verdict = page.get_by_role("status", name="Verification")
        expect(verdict).to_contain_text("Verified")
        expect(verdict).to_be_focused()
        here.check()
        page.get_by_role("link", name="Answers").click()
        expect(page.get_by_role("link", name=question)).to_be_visible()
        here.check()


def fill_form_with_a_mistake(here: Visit, question: str) -> None:
    page = here.page
    page.goto("/")
    here.check()
    page.get_by_role("link", name="Form").click()
    page.get_by_label("Question").fill(question)
    page.get_by_label("Name").fill(str(LISTED["Lantern"]["model"]))
    page.get_by_label("Paper").fill("https://example.org/paper.pdf")
    page.get_by_label("Summary").fill(str(LISTED["Lantern"]["summary"]))
    page.get_by_role("button", name="Add another work").click()
    expect(page.get_by_label("Name").nth(1)).to_be_focused()
    page.get_by_label("Name").nth(1).fill("Tide")
    page.get_by_label("Listed as").nth(1).select_option("related")
    page.get_by_label("Paper").nth(1).fill(str(LISTED["Tide"]["paper"]))
    page.get_by_role("button", name="Ask", exact=True).click()


def correct_form(here: Visit) -> None:
    page = here.page
    wrong = page.get_by_role("alert")
    expect(wrong).to_contain_text("not a link to a paper on arXiv")
    expect(wrong).to_be_focused()
    here.check()
    wrong.get_by_role("link", name="Work 1, paper").click()
    expect(page.get_by_label("Paper").first).to_be_focused()
    page.get_by_label("Paper").first.fill(str(LISTED["Lantern"]["paper"]))
    page.get_by_role("button", name="Ask", exact=True).click()


def check_downloads(here: Visit, server: Served, question: str) -> None:
    files = {}
    for form, suffix in (("HTML", "html"), ("JSON", "json"), ("Markdown", "md")):
        with here.page.expect_download() as coming:
            here.page.get_by_role("link", name=form, exact=True).click()
        files[form] = Path(coming.value.path()).read_text(encoding="utf-8")
        assert re.fullmatch(rf"answer-[\w-]+\.{suffix}", coming.value.suggested_filename)
    answer = Answer.from_json(files["JSON"])
    assert [item.name for item in answer.references] == [LISTED["Lantern"]["model"], "Tide"]
    assert verify(answer, Reextraction(Settings(server.data_dir, offline=True))).verified
    assert files["HTML"].startswith("<!DOCTYPE html>")
    assert files["Markdown"].startswith(f"# {SLOWLY}: how does ")


def test_links_and_a_file_are_asked_left_come_back_to_and_their_works_asked_again(
    browser: Browser, server: Served
) -> None:
    notes: FilePayload = {
        "name": "mine.md",
        "mimeType": "",
        "buffer": b"The kite takes a photo as input.",
    }
    with (
        visit(browser, server) as here,
        slow_question(server, "from links, how?") as question,
    ):
        page = here.page
        page.goto("/")
        here.check()
        page.get_by_label("Question").fill(question)
        page.get_by_label("Links").fill("mine.md")
        page.get_by_label("Files of your own").set_input_files(notes)
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("alert")).to_be_focused()
        expect(page.get_by_role("alert")).to_contain_text("files are chosen below")
        here.check()
        _, uploaded = page.get_by_label("Links").input_value().splitlines()
        assert uploaded.startswith("mine.md (sha256 ")
        page.get_by_label("Links").fill(f"2401.00001\n{uploaded}")
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("log")).to_contain_text("word 5")
        page.get_by_role("link", name="Ask").click()
        here.check()
        page.get_by_label("On their way").get_by_role("link", name=question).click()
        expect(page.get_by_role("log")).to_contain_text("word 0 word 1 word 2")
        server.enough(question)
        expect(page.locator(".answer")).to_contain_text("own file")
        expect(page.locator(".answer table")).not_to_contain_text("sha256")
        page.get_by_role("button", name="Verify").click()
        expect(page.get_by_role("status", name="Verification")).to_be_focused()
        page.reload()
        expect(page.get_by_role("status", name="Verification")).to_contain_text("Verified")
        page.goto(f"{page.url.partition('#')[0]}/verify")
        here.check()
        page.get_by_role("link", name="Ask something else of these works").click()
        expect(page.get_by_label("Question")).to_be_focused()
        page.get_by_label("Question").fill("And what is its input?")
        page.get_by_label("Lantern: Colouring").uncheck()
        here.check()
        page.get_by_role("button", name="Ask").click()
        expect(page.locator(".answer")).to_contain_text("And what is its input?")
        expect(page.locator(".answer tbody")).to_have_count(1)


def test_a_document_is_corrected_and_asked_with_the_keyboard(
    browser: Browser, server: Served
) -> None:
    with visit(browser, server) as here:
        page = here.page
        page.goto("/document")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(4):
            page.keyboard.press("Tab")
        expect(page.get_by_label("Prompt document", exact=True)).to_be_focused()
        page.keyboard.insert_text(PROMPTS["remove"].text.replace("Paper: http", "Paper: ht"))
        for _ in range(3):  # past the file and who writes
            page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Ask")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_focused()
        expect(page.get_by_role("alert")).to_contain_text("not a link to a paper")
        here.check()
        page.get_by_label("Prompt document", exact=True).fill(PROMPTS["remove"].text)
        page.get_by_label("Who writes").select_option(UNPACED)
        page.get_by_role("button", name="Ask").press("Enter")
        expect(page.locator(".answer")).to_contain_text("Nobody waited.")
        focused = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            focused.add(page.evaluate("document.activeElement.textContent.trim()"))
        assert {"Verify", "HTML", "JSON", "Markdown", "Change the prompt"} <= focused


def test_without_a_script_an_answer_is_watched_cancelled_asked_again_and_verified(
    browser: Browser, server: Served
) -> None:
    with (
        visit(browser, server, java_script_enabled=False) as here,
        slow_question(server, "without a script?") as question,
    ):
        page, text = here.page, prompt(question, ["Kite"], []).text
        here.ask_document(text)
        page.get_by_role("button", name="Cancel").click()
        # A page that waits loads itself again every two seconds.
        page.get_by_role("link", name="Back to the prompt").click()
        assert page.get_by_label("Prompt document", exact=True).input_value() == text
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("log")).to_contain_text("word 20")
        server.enough(question)
        page.locator(".answer").wait_for()
        page.get_by_role("button", name="Verify").click()
        verdict = page.get_by_role("status", name="Verification")
        expect(verdict).to_contain_text("Verified")


def test_from_another_machine_the_token_in_the_address_opens_all_pages(
    browser: Browser, tmp_path: Path, small_mirror: Path, encoder_folder: Path
) -> None:
    settings = Settings(tmp_path, small_mirror, offline=True, encoder=str(encoder_folder))
    with served(settings, host="0.0.0.0") as running:
        # Not a loopback address: a browser trusts it less, and sends less with its forms.
        outside = f"http://{outer_address()}:{running.base.rpartition(':')[2]}"
        context = browser.new_context(base_url=outside)
        page = context.new_page()
        refused = page.goto("/")
        assert refused is not None
        assert refused.status == 401
        page.goto(f"/?token={running.address.partition('?token=')[2]}")
        assert page.url == f"{outside}/"
        Visit(page).ask_document(PROMPTS["move"].text)
        page.locator(".answer").wait_for(timeout=TIMEOUT)
        assert page.evaluate("document.cookie") == ""
        context.close()


def outer_address() -> str:
    """An address of this machine that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(asking.getsockname()[0])
