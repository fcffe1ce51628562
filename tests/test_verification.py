"""An answer verifies, and whatever is changed in its file makes it fail, by name."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import AnswerError
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ
from rag.answer.model import Answer, Quote, Statement
from rag.answer.reextraction import Reextraction
from rag.answer.verify import Verification, verify
from rag.pipeline import Pipeline
from rag.prompt import parse_prompt
from rag.writers.base import NOT_SAID
from tests.parts.works import PROMPTS, PlainWriter, prompt
from tests.test_answer import JSON, Path_, at, changed, nodes


@pytest.fixture(scope="module")
def reextraction(pipeline: Pipeline) -> Reextraction:
    return Reextraction(pipeline.settings)


@pytest.fixture(scope="module")
def answer(pipeline: Pipeline) -> Answer:
    return replace(pipeline, writer=PlainWriter()).ask(PROMPTS["colour"])


def failures(found: Verification) -> str:
    return "\n".join(map(str, found.failures))


def reloaded(raw: Any, reextraction: Reextraction) -> Verification:
    return verify(Answer.from_json(json.dumps(raw)), reextraction)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_good_answer_verifies_and_is_counted(
    answers: Mapping[str, Answer], name: str, reextraction: Reextraction
) -> None:
    answer = answers[name]
    found = reloaded(json.loads(answer.to_json()), reextraction)
    assert found.verified, failures(found)
    assert found.quotes == sum(1 for _ in answer.quotes()) > 3
    assert found.listings == len(PROMPTS[name].listings)
    assert found.sources == sum(not source.reason for source in answer.sources)


def is_free(raw: Any, path: Path_) -> bool:
    """Whether nothing can be compared with a value: what a writer says of itself, what it says
    on the strength of quotes, and why something could not be had. Not even there may a link be."""
    says = path[-1] == "text" and at(raw, path[:-1]).get("quotes")
    return path[0] == "writer" or path[-1] == "reason" or bool(says)


def altered(value: Any) -> list[Any]:
    """Other values of the same type: near ones, where an error would be hardest to see."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1, -value - 1, 10**30]
    if isinstance(value, str):
        half = len(value) // 2
        other = value[:half] + chr(ord(value[half]) ^ 1) + value[half + 1 :] if value else "x"
        return [other, value + " ", value.swapcase() + "x", value[:-1] or "x"]
    return ["x"]


def test_every_value_in_the_file_is_bound(answer: Answer, reextraction: Reextraction) -> None:
    raw = json.loads(answer.to_json())
    tampered = 0
    for path in nodes(raw):
        value = at(raw, path)
        if isinstance(value, dict | list) or is_free(raw, path):
            continue
        for other in altered(value):
            try:
                found = reloaded(changed(raw, path, other), reextraction)
            except AnswerError:  # no such source_type, no such role, another format
                continue
            tampered += 1
            assert not found.verified, f"{path}: {value!r} became {other!r}"
    assert tampered > 200


def tampering(name: str, change: Callable[[Any], None], part: str) -> object:
    return pytest.param(change, part, id=name)


def first_quote(raw: Any, source_type: str = "full text") -> Any:
    """The first quote of this source_type in the task and the workflow."""
    sections = raw["sections"]
    statements = [*sections["task"], *(s for part in sections["workflow"].values() for s in part)]
    quotes = (quote for statement in statements for quote in statement["quotes"])
    return next(quote for quote in quotes if quote["source_type"] == source_type)


def setting(*path: str | int, to: Any) -> Callable[[Any], None]:
    def change(raw: Any) -> None:
        at(raw, path[:-1])[path[-1]] = to

    return change


def in_quote(key: str, new: Callable[[Any], Any]) -> Callable[[Any], None]:
    def change(raw: Any) -> None:
        quote = first_quote(raw)
        quote[key] = new(quote[key])

    return change


def in_reference(number: int, key: str, to: Any) -> Callable[[Any], None]:
    return setting("sections", "references", number, key, to=to)


def in_source(start: str, key: str, to: Any) -> Callable[[Any], None]:
    def change(raw: Any) -> None:
        source = next(s for s in raw["sources"] if s["id"].startswith(start) and not s["reason"])
        source[key] = to

    return change


def dropped(number: int) -> Callable[[Any], None]:
    return lambda raw: raw["sections"]["references"].pop(number)


def swapped(raw: Any) -> None:
    raw["sections"]["references"][:2] = raw["sections"]["references"][1::-1]


def added(raw: Any) -> None:
    references = raw["sections"]["references"]
    references.append({**references[-1], "name": "Another"})


def hidden(raw: Any) -> None:
    """Say that a source was not read which was."""
    source = next(s for s in raw["sources"] if s["id"].startswith("arxiv:"))
    source.update(sha256="", extractor="", document_sha256="", version=None, reason="not found")


def moved(raw: Any) -> None:
    """Show one work's relevance by a quote of another."""
    one, other, *_ = raw["sections"]["references"]
    other["relevance"]["quotes"] = [first_quote(raw)]
    other["relevant"] = True
    assert other["relevance"]["quotes"][0]["source_id"] in one["sources"]


def another_question(raw: Any) -> None:
    text = raw["prompt"]["text"].replace("grandmother", "grandfather")
    raw["prompt"].update(text=text, sha256=hashlib.sha256(text.encode()).hexdigest())


def no_document(raw: Any) -> None:
    raw["prompt"].update(text="What?", sha256=hashlib.sha256(b"What?").hexdigest())


@pytest.mark.parametrize(
    ("change", "part"),
    [
        tampering("a quote's word", in_quote("text", lambda t: t.replace("a", "e", 1)), "task: "),
        tampering("a quote's case", in_quote("text", str.lower), "says something else"),
        tampering("a quote's start", in_quote("start", lambda n: n + 1), "says something else"),
        tampering("a quote's end", in_quote("end", lambda n: n - 1), "says something else"),
        tampering("an empty quote", in_quote("end", lambda _: 0), "lies outside the text"),
        tampering("a far end", in_quote("end", lambda _: 10**9), "lies outside the text"),
        tampering("a negative start", in_quote("start", lambda n: n - 10**9), "lies outside"),
        tampering("a quote's page", in_quote("pages", lambda _: [2]), "stands on page 1 of arxiv:"),
        tampering("another page", in_quote("pages", lambda p: [*p, 2]), "not 1, 2"),
        tampering("no page", in_quote("pages", lambda _: []), "not none"),
        tampering(
            "a quote's source", in_quote("source_id", lambda _: "arxiv:2401.00002"), "task: "
        ),
        tampering(
            "an unread source",
            in_quote("source_id", lambda _: "arxiv:2401.00004v1"),
            "arxiv:2401.00004v1 is not a listed source that was read",
        ),
        tampering(
            "an unlisted source",
            in_quote("source_id", lambda _: "arxiv:2401.00003v1"),
            "not a listed",
        ),
        tampering("no source id", in_quote("source_id", lambda _: ""), "is not a listed source"),
        tampering(
            "a quote's source_type",
            in_quote("source_type", lambda _: "readme"),
            "not of source_type 'readme'",
        ),
        tampering(
            "a work's name", in_reference(0, "name", "Lamp"), "references[0]: name is 'Lamp'"
        ),
        tampering("a role", in_reference(1, "role", "recommended"), "references[1]: role is"),
        tampering(
            "a paper link",
            in_reference(0, "paper", "http://arxiv.org/pdf/2401.00001v3.pdf"),
            "references[0]: paper is",
        ),
        tampering("no paper link", in_reference(0, "paper", None), "references[0]: paper is None"),
        tampering(
            "a link in place of None",
            in_reference(1, "github", "https://github.com/tide/tide"),
            "references[1]: GitHub is 'https://github.com/tide/tide', the prompt gives None",
        ),
        tampering(
            "a link's case",
            in_reference(0, "github", "https://github.com/lantern-lab/lantern"),
            "references[0]: GitHub is",
        ),
        tampering("a work's sources", in_reference(0, "sources", []), "references[0]: sources is"),
        tampering("a listing dropped", dropped(2), "references: 2 works, the prompt lists 3"),
        tampering("the first listing dropped", dropped(0), "references[0]: name is"),
        tampering("a listing added", added, "references: 4 works, the prompt lists 3"),
        tampering("two listings swapped", swapped, "references[0]: name is"),
        tampering(
            "the prompt's text",
            lambda raw: raw["prompt"].update(text=raw["prompt"]["text"] + "\nMore."),
            "prompt: the text does not have the recorded hash",
        ),
        tampering("the question", setting("prompt", "question", to="Why?"), "prompt: the question"),
        tampering(
            "the prompt's hash", setting("prompt", "sha256", to="0" * 64), "prompt: the text"
        ),
        tampering("another question asked", another_question, "prompt: the question is not"),
        tampering("no prompt at all", no_document, "prompt: the text is no prompt document"),
        tampering(
            "a source's bytes",
            in_source("arxiv:", "sha256", "0" * 64),
            "no bytes with the recorded",
        ),
        tampering("a source's reader", in_source("arxiv:", "extractor", "pdf-0"), "'pdf-0'"),
        tampering(
            "a source's text",
            in_source("arxiv:", "document_sha256", "0" * 64),
            "is not the recorded one",
        ),
        tampering("a source's version", in_source("arxiv:", "version", "v9"), "not 'v9'"),
        tampering(
            "a source's reason", in_source("arxiv:", "reason", "lost"), "claims to be read and"
        ),
        tampering(
            "a source's source_type",
            in_source("arxiv:", "source_type", "readme"),
            "is of source_type 'full text'",
        ),
        tampering("a source's id", in_source("arxiv:", "id", "arxiv:1"), "arxiv:1 is not a source"),
        tampering(
            "a source that was read, denied",
            in_source("github:", "sha256", ""),
            "was neither read nor is there a reason",
        ),
        tampering("a source twice", lambda raw: raw["sources"].append(raw["sources"][0]), "twice"),
        tampering(
            "a source dropped",
            lambda raw: raw["sources"].pop(0),
            "sources: arxiv:2401.00001v2 is listed, but not accounted for",
        ),
        tampering(
            "a summary that the prompt does not give",
            in_source("summary:", "sha256", "0" * 64),
            "is not the summary that the prompt gives",
        ),
        tampering("a source denied that is quoted", hidden, "is not a listed source that was read"),
        tampering(
            "a link in a statement",
            setting("sections", "task", 0, "text", to="See https://example.org/more."),
            "task: the prompt gives no link 'https://example.org/more.'",
        ),
        tampering(
            "a bare link in a relevance",
            setting("sections", "references", 0, "relevance", "text", to="See www.example.org"),
            "references[0]: the prompt gives no link 'www.example.org'",
        ),
        tampering(
            "a link without scheme",
            setting("sections", "workflow", "model", 0, "text", to="Get it at bit.co/x now"),
            "workflow.model: the prompt gives no link 'bit.co/x'",
        ),
        *(
            tampering(
                f"a link written {link!a}",
                setting("sections", "task", 0, "text", to=f"Get it at {link} now"),
                "task: the prompt gives no link",
            )
            for link in (
                "evil.de/x",
                "evil.cn:80/x",
                "evil.com\u200b/x",
                "http:/\u2060/evil",
                "http\uff1a\uff0f\uff0fevil",
            )
        ),
        *(
            tampering(
                f"words in {typed[0]}",
                setting("sections", "task", 0, "text", to=f"The authors write {typed} twice."),
                f"task: {typed!r} passes for a quote",
            )
            for typed in ("“We lied.”", '"We lied."', "«We lied.»", "„We lied.“")
        ),
        tampering(
            "a statement of invisible characters",
            setting("sections", "task", 0, "text", to="\u200b\u2800."),
            "task: a statement is empty",
        ),
        tampering(
            "a relevance of invisible characters",
            setting("sections", "references", 0, "relevance", "text", to="\u200b"),
            "references[0]: a statement is empty",
        ),
        tampering(
            "a reason of white space",
            lambda raw: next(s for s in raw["sources"] if s["reason"]).update(reason=" "),
            "was neither read nor is there a reason why not",
        ),
        tampering("a link in the note", setting("writer", "note", to="http://x.y"), "writer: the"),
        tampering("a link in a model", setting("writer", "model", to="http://x.y"), "writer: the"),
        tampering(
            "a link in an event",
            setting("writer", "events", to=[{"part": "a", "kind": "b", "detail": "ftp://x"}]),
            "writer: the prompt gives no link 'ftp://x'",
        ),
        tampering(
            "a link in a reason",
            lambda raw: next(s for s in raw["sources"] if s["reason"]).update(reason="at http://x"),
            "the prompt gives no link 'http://x'",
        ),
        tampering(
            "a statement without quote",
            setting("sections", "task", 0, "quotes", to=[]),
            "task: no quote stands behind",
        ),
        tampering(
            "a statement without words",
            setting("sections", "workflow", "input", 0, "text", to=" "),
            "workflow.input: a statement is empty",
        ),
        *(
            tampering(
                f"no {part}", setting("sections", "workflow", part, to=[]), f"workflow.{part}: "
            )
            for part in ("input", "model", "output")
        ),
        tampering("no task", setting("sections", "task", to=[]), "task: says nothing"),
        tampering(
            "a relevance denied", in_reference(0, "relevant", to=False), "references[0]: a work"
        ),
        tampering(
            "a relevance without quote",
            in_reference(0, "relevance", {"text": "It matters.", "quotes": []}),
            "references[0]: no quote stands behind 'It matters.'",
        ),
        tampering(
            "a work that was read, said not to be",
            lambda raw: raw["sections"]["references"][0].update(
                relevant=False, relevance={"text": NOTHING_READ, "quotes": []}
            ),
            f"expected {NO_RELEVANCE!r}",
        ),
        tampering("a quote of another work", moved, "references[1]: quotes"),
    ],
)
def test_a_change_fails_and_is_named(
    answer: Answer, reextraction: Reextraction, change: Callable[[Any], None], part: str
) -> None:
    raw = json.loads(answer.to_json())
    change(raw)
    found = reloaded(raw, reextraction)
    assert not found.verified
    assert part in failures(found)


def test_the_bibliography_is_not_to_be_quoted(
    answer: Answer, pipeline: Pipeline, reextraction: Reextraction
) -> None:
    record = next(source for source in answer.sources if source.id == "arxiv:2401.00001v2")
    document = reextraction(record)
    start = document.text.index("[2] C. Cedar")
    end = document.text.index(" [3]")
    pages = document.pages(start, end)
    quote = Quote(record.id, "full text", start, end, document.text[start:end], pages)
    wrong = replace(answer, task=(Statement("Cedar wrote about attention.", (quote,)),))
    found = verify(wrong, reextraction)
    assert failures(found).startswith(
        "task: stands in a part of arxiv:2401.00001v2 that is not to be quoted (quote '[2] C. Cedar"
    )
    # A quote must not reach into it either.
    reaching = replace(quote, start=document.text.rindex("Lantern", 0, start))
    reaching = replace(
        reaching,
        text=document.text[reaching.start : end],
        pages=document.pages(reaching.start, end),
    )
    found = verify(replace(answer, task=(Statement("Reaching.", (reaching,)),)), reextraction)
    assert "not to be quoted" in failures(found)


def test_not_said_is_the_only_sentence_without_a_quote(
    answer: Answer, reextraction: Reextraction
) -> None:
    honest = replace(answer, task=(Statement(NOT_SAID, ()),))
    assert verify(honest, reextraction).verified
    found = verify(replace(answer, task=(Statement(NOT_SAID + " ", ()),)), reextraction)
    assert failures(found) == f"task: no quote stands behind {NOT_SAID + ' '!r}"


def test_a_work_of_which_nothing_was_read_says_so(
    pipeline: Pipeline, reextraction: Reextraction
) -> None:
    lost = prompt("colour", ["Lantern"]).text.replace("2401.00002", "2401.99999")
    answer = pipeline.ask(parse_prompt(lost))
    assert answer.references[1].relevance == Statement(NOTHING_READ, ())
    assert verify(answer, reextraction).verified


def test_a_link_that_the_prompt_gives_may_be_said(
    answer: Answer, reextraction: Reextraction
) -> None:
    told = f"It is at {answer.references[0].github}."
    statement = replace(answer.task[0], text=told)
    assert verify(replace(answer, task=(statement,)), reextraction).verified


def test_words_in_quotation_marks_that_stand_in_the_quote_may_be_said(
    answer: Answer, reextraction: Reextraction
) -> None:
    (quote, *_) = answer.task[0].quotes
    told = f"The authors write: “{' '.join(quote.text.split()[1:4])},” and more."
    statement = Statement(told, (quote,))
    assert verify(replace(answer, task=(statement,)), reextraction).verified


@pytest.mark.parametrize("text", ["a" * 200_000, "a." * 100_000, "a-" * 100_000, "“" * 200_000])
def test_no_text_takes_long(answer: Answer, reextraction: Reextraction, text: str) -> None:
    began = time.process_time()
    statement = replace(answer.task[0], text=text)
    verify(replace(answer, task=(statement,)), reextraction)
    assert time.process_time() - began < 5


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_no_file_makes_verification_raise(
    answers: Mapping[str, Answer], reextraction: Reextraction, data: st.DataObject
) -> None:
    raw = json.loads(answers["move"].to_json())
    path = data.draw(st.sampled_from([path for path in nodes(raw) if path]))
    value = at(raw, path)
    same_type = {str: st.text(), int: st.integers(), list: st.just([])}.get(type(value), JSON)
    try:
        answer = Answer.from_json(json.dumps(changed(raw, path, data.draw(same_type))))
    except AnswerError:
        return
    for failure in verify(answer, reextraction).failures:
        assert failure.part
        assert failure.message
