"""An answer verifies, and whatever is changed in its file makes it fail, by name."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.documents import Document, Section
from index.errors import AnswerError, SourceError
from index.passages import split
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import Answer, Quote, SourceRecord, Statement
from rag.answer.compose import NOTHING_READ, QUOTED_ELSEWHERE
from rag.answer.verify import Reextraction, Verification, on_sentence_boundaries, verify
from rag.pipeline import Pipeline, reproduce
from rag.prompt import parse_prompt
from rag.writers import NOT_SAID
from tests.parts.values import JSON, Steps, at, changed, nodes
from tests.parts.works import PROMPTS, PlainWriter, prompt

PAPER, README = "arxiv:2401.00001v2", "github:lantern-lab/lantern"


PAIRS = [
    *("“”", "„“", "„”", "””", "«»", "»«", "‹›", "›‹", "‘’", "‚‘", "’’", "「」", "『』"),
    *("《》", "〈〉", "〝〞", "〟〟", "❝❞", "❛❜", "＂＂", "''", "``", "´´", "ˮˮ", "ʺʺ", "״״"),
    *("ᐦᐦ", "ǁǁ", '""'), ("``", "\'\'"), (",,", "\'\'"), ("<q>", "</q>"),
    ("* ", " *"), ("> ", " <"), ("[", "]"),
]  # fmt: skip
LINKS = [
    "evil.example", "evil.example:80", "evil.example?x", "//evil", "javascript:alert", "a@b",
    "xn--vil-0na.example", "127.0.0.1", "evil。example", "evil．example", "evil․example", "10.1/x",
    "doi:10.1000/182", "mailto:x", "ｗｗｗ.evil", "www evil", "hxxp://x", "tel:1", "[1](x)", "<x>",
]  # fmt: skip
"""Ways to show words as a quotation, and to show where something else is to be found."""


@pytest.fixture(scope="module")
def reextraction(pipeline: Pipeline) -> Reextraction:
    return Reextraction(pipeline.settings)


@pytest.fixture(scope="module")
def answer(pipeline: Pipeline) -> Answer:
    return replace(pipeline, writer=PlainWriter()).ask(PROMPTS["colour"])


def failures(verification: Verification) -> str:
    return "\n".join(map(str, verification.failures))


def reloaded(raw: Any, reextraction: Reextraction) -> Verification:
    return verify(Answer.from_json(json.dumps(raw)), reextraction)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_good_answer_verifies_and_is_counted(
    answers: Mapping[str, Answer], name: str, reextraction: Reextraction
) -> None:
    answer = answers[name]
    verification = reloaded(json.loads(answer.to_json()), reextraction)
    assert verification.verified, failures(verification)
    assert verification.quotes == sum(1 for _ in answer.quotes()) > 3
    assert verification.listings == len(PROMPTS[name].listings)
    assert verification.sources == sum(not source.reason for source in answer.sources)


def is_free(raw: Any, path: Steps) -> bool:
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
                verification = reloaded(changed(raw, path, other), reextraction)
            except AnswerError:  # no such source type, no such role, another format
                continue
            tampered += 1
            assert not verification.verified, f"{path}: {value!r} became {other!r}"
    assert tampered > 200


# --- tampering ------------------------------------------------------------------------------

Change = Callable[[Any], object]


def first_quote(raw: Any) -> Any:
    """The first quote of a paper in the task and the workflow."""
    sections = raw["sections"]
    statements = [*sections["task"], *(s for part in sections["workflow"].values() for s in part)]
    quotes = (quote for statement in statements for quote in statement["quotes"])
    return next(quote for quote in quotes if quote["source_type"] == "full text")


def setting(*path: str | int, to: Any) -> Change:
    return lambda raw: at(raw, path[:-1]).__setitem__(path[-1], to)


def task(text: str) -> Change:
    return setting("sections", "task", 0, "text", to=text)


def quote(key: str, new: Callable[[Any], Any]) -> Change:
    return lambda raw: first_quote(raw).update({key: new(first_quote(raw)[key])})


def reference(number: int, key: str, to: Any) -> Change:
    return setting("sections", "references", number, key, to=to)


def references(change: Callable[[list[Any]], object]) -> Change:
    return lambda raw: change(raw["sections"]["references"])


def source(start: str, **values: Any) -> Change:
    """Change the first source of this kind that was read."""
    return lambda raw: next(
        item for item in raw["sources"] if item["id"].startswith(start) and not item["reason"]
    ).update(values)


def unread(reason: str) -> Change:
    return lambda raw: next(s for s in raw["sources"] if s["reason"]).update(reason=reason)


def asking(text: str) -> Change:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return lambda raw: raw["prompt"].update(text=text, sha256=digest)


def another_relevance(raw: Any) -> None:
    """Show one work's relevance by a quote of another."""
    raw["sections"]["references"][1]["relevance"]["quotes"] = [first_quote(raw)]
    raw["sections"]["references"][1]["relevant"] = True


def note_quote(raw: Any, number: int = 1) -> Any:
    return raw["sections"]["references"][number]["relevance"]["quotes"][0]


def mention(text: str, number: int) -> Change:
    """Let the quote of that work's note be a mention of the first work."""
    return lambda raw: raw["sections"]["references"][0]["mentions"].append(
        {"text": text, "quotes": [note_quote(raw, number)]}
    )


DENIED = {"sha256": "", "extractor": "", "document_sha256": "", "version": None}
UNSEEN = {"text": "\u200b", "quotes": []}
WITHOUT_QUOTE = {"text": "It matters.", "quotes": []}
GRANDFATHER = PROMPTS["colour"].text.replace("grandmother", "grandfather")
TAMPERINGS: Mapping[str, tuple[Change, str]] = {
    "a quote's word": (quote("text", lambda t: t.replace("a", "e", 1)), "task: "),
    "a quote's case": (quote("text", str.lower), "read otherwise"),
    "a quote's start": (quote("start", lambda n: n + 1), "read otherwise"),
    "a quote's end": (quote("end", lambda n: n - 1), "read otherwise"),
    "an empty quote": (quote("end", lambda _: 0), "lie outside the text"),
    "a far end": (quote("end", lambda _: 10**9), "lie outside the text"),
    "a negative start": (quote("start", lambda n: n - 10**9), "lie outside"),
    "a quote's page": (quote("pages", lambda _: [2]), "stands on page 1 of arxiv:"),
    "another page": (quote("pages", lambda pages: [*pages, 2]), "not 1, 2"),
    "no page": (quote("pages", lambda _: []), "not none"),
    "a quote's source": (quote("source_id", lambda _: "arxiv:2401.00002"), "task: "),
    "no source id": (quote("source_id", lambda _: ""), "is not a listed source"),
    "an unread source": (
        quote("source_id", lambda _: "arxiv:2401.00004v1"),
        "arxiv:2401.00004v1 is not a listed source that was read",
    ),
    "an unlisted source": (quote("source_id", lambda _: "arxiv:2401.00003v1"), "not a listed"),
    "a quote's source type": (quote("source_type", lambda _: "readme"), "not of source type"),
    "a work's name": (reference(0, "name", "Lamp"), "references[0]: name is 'Lamp'"),
    "a paper link": (
        reference(0, "paper", "http://arxiv.org/pdf/2401.00001v3.pdf"),
        "references[0]: paper is",
    ),
    "a role": (reference(1, "role", "recommended"), "references[1]: role is"),
    "no paper link": (reference(0, "paper", None), "references[0]: paper is None"),
    "a link's case": (
        reference(0, "github", "https://github.com/lantern-lab/lantern"),
        "references[0]: GitHub is",
    ),
    "a link in place of None": (
        reference(1, "github", "https://github.com/tide/tide"),
        "references[1]: GitHub is 'https://github.com/tide/tide', the prompt gives None",
    ),
    "a work's sources": (reference(0, "sources", []), "references[0]: sources is"),
    "a listing dropped": (references(list.pop), "references: 2 works, the prompt lists 3"),
    "the first listing dropped": (references(lambda items: items.pop(0)), "references[0]: name is"),
    "two listings swapped": (references(list.reverse), "references[0]: name is"),
    "a listing added": (
        references(lambda items: items.append({**items[-1], "name": "Another"})),
        "references: 4 works, the prompt lists 3",
    ),
    "the prompt's text": (setting("prompt", "text", to=GRANDFATHER), "prompt: the text does not"),
    "the prompt's hash": (setting("prompt", "sha256", to="0" * 64), "prompt: the text does not"),
    "the question": (setting("prompt", "question", to="Why?"), "prompt: the question"),
    "another question asked": (asking(GRANDFATHER), "prompt: the question is not"),
    "no prompt at all": (asking("What?"), "prompt: the text is no prompt document"),
    "a source's bytes": (source("arxiv:", sha256="0" * 64), "no bytes with the recorded"),
    "a source's reader": (source("arxiv:", extractor="pdf-0"), "'pdf-0'"),
    "a source's text": (source("arxiv:", document_sha256="0" * 64), "is not the recorded one"),
    "a source's version": (source("arxiv:", version="v9"), "not 'v9'"),
    "a source's reason": (source("arxiv:", reason="lost"), "claims to be read and"),
    "a source's type": (source("arxiv:", source_type="readme"), "is of source type 'full text'"),
    "a source's id": (source("arxiv:", id="arxiv:1"), "arxiv:1 is not a source"),
    "a read source denied": (source("github:", sha256=""), "was neither read nor is there"),
    "a source twice": (lambda raw: raw["sources"].append(raw["sources"][0]), "twice"),
    "a source dropped": (
        lambda raw: raw["sources"].pop(0),
        "sources: arxiv:2401.00001v2 is listed, but not accounted for",
    ),
    "another summary": (source("summary:", sha256="0" * 64), "is not the summary that the prompt"),
    "a quoted source denied": (
        source("arxiv:", **DENIED, reason="not found"),
        "is not a listed source that was read",
    ),
    "a link in a statement": (
        task("See https://example.org/more."),
        "task: the prompt gives no link 'https://example.org/more.'",
    ),
    "a bare link in a relevance": (
        setting("sections", "references", 0, "relevance", "text", to="See www.example.org"),
        "references[0]: the prompt gives no link 'www.example.org'",
    ),
    "a link without scheme": (
        setting("sections", "workflow", "model", 0, "text", to="Get it at bit.co/x now"),
        "workflow.model: the prompt gives no link 'bit.co/x'",
    ),
    **{
        f"a link written {link!a}": (task(f"At {link} now"), "task: the prompt gives no link")
        for link in (
            "evil.de/x",
            "bücher.de/x",
            "evil。cn/x",
            "192.0.2.1/x",
            "evil.cn:80/x",
            "evil.com\u200b/x",
            "http:/\u2060/evil",
            "http\uff1a\uff0f\uff0fevil",
        )
    },
    **{
        f"words in {opening!a}": (
            task(f"The authors write {opening}We lied{closing} twice."),
            "is no plain statement: it holds",
        )
        for opening, closing in PAIRS
    },
    **{
        f"something like a link {link!a}": (task(f"See {link} for more."), "is no plain statement")
        for link in LINKS
    },
    **{
        f"letters that nobody sees {letter!a}": (task(letter * 9 + "."), "is no plain statement")
        for letter in "\u115f\u1160\u3164\uffa0"
    },
    "a number of nowhere": (task("It is 98765 times as good."), "the number 98765"),
    "an invisible statement": (task("\u200b\u2800."), "task: a statement is empty"),
    "an invisible relevance": (
        reference(0, "relevance", UNSEEN),
        "references[0]: a statement is empty",
    ),
    "a reason of white space": (unread(" "), "was neither read nor is there a reason why not"),
    "a link in the note": (setting("writer", "note", to="http://x.y"), "writer: the"),
    "a link in the model": (setting("writer", "model", to="http://x.y"), "writer: the"),
    "a link in an event": (
        setting("writer", "events", to=[{"part": "a", "kind": "b", "detail": "ftp://x"}]),
        "writer: the prompt gives no link 'ftp://x'",
    ),
    "a link in a reason": (unread("at http://x"), "the prompt gives no link 'http://x'"),
    "a statement without quote": (
        setting("sections", "task", 0, "quotes", to=[]),
        "task: no quote stands behind",
    ),
    "a statement without words": (
        setting("sections", "workflow", "input", 0, "text", to=" "),
        "workflow.input: a statement is empty",
    ),
    **{
        f"no {part}": (setting("sections", "workflow", part, to=[]), f"workflow.{part}: ")
        for part in ("input", "model", "output")
    },
    "no task": (setting("sections", "task", to=[]), "task: says nothing"),
    "a relevance denied": (reference(0, "relevant", to=False), "references[0]: whether"),
    "a relevance without quote": (
        reference(0, "relevance", WITHOUT_QUOTE),
        "references[0]: no quote stands behind 'It matters.'",
    ),
    "a work that was read, denied": (
        references(
            lambda items: items[0].update(
                relevant=False, relevance={"text": NOTHING_READ, "quotes": []}
            )
        ),
        f"expected {QUOTED_ELSEWHERE!r}",
    ),
    "a quotation with a second quote": (
        lambda raw: raw["sections"]["task"][0].update(
            text="", quotes=[*raw["sections"]["task"][0]["quotes"], note_quote(raw)]
        ),
        "task: a statement is empty",
    ),
    "a statement that only repeats its quote": (
        lambda raw: raw["sections"]["task"][0].update(text=first_quote(raw)["text"].upper()),
        "task: only repeats its quote",
    ),
    "a sentence quoted twice": (
        lambda raw: raw["sections"]["workflow"]["input"][0].update(quotes=[first_quote(raw)]),
        "is quoted twice",
    ),
    "a silence with a quote": (task(NOT_SAID), f"task: {NOT_SAID!r} stands with 1 quotes"),
    "a mention with words": (mention("It is said.", 1), "references[0].mentions: is not one"),
    "a mention by the work itself": (mention("", 0), "which is no source of another listed work"),
    "a mention that names nothing": (mention("", 1), "does not name 'Lantern"),
    "a quote of another work": (another_relevance, "references[1]: quotes"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_change_fails_and_is_named(answer: Answer, reextraction: Reextraction, name: str) -> None:
    change, part = TAMPERINGS[name]
    raw = json.loads(answer.to_json())
    change(raw)
    verification = reloaded(raw, reextraction)
    assert not verification.verified
    assert part in failures(verification)


def test_a_sentence_that_lost_a_part_is_not_to_be_quoted(
    answer: Answer, reextraction: Reextraction
) -> None:
    quote = first_quote(json.loads(answer.to_json()))

    def without_a_formula(record: SourceRecord) -> Document:
        lost = (quote["start"] + 1,) if record.id == quote["source_id"] else ()
        return replace(reextraction(record), lost=lost)

    (failure,) = verify(answer, without_a_formula).failures
    assert "lacks a part" in failure.message
    assert quote["text"][:60] in failure.message


def test_the_bibliography_is_not_to_be_quoted(answer: Answer, reextraction: Reextraction) -> None:
    record = next(source for source in answer.sources if source.id == PAPER)
    document = reextraction(record)
    text = document.text
    cited, end = text.index("[2] C. Cedar"), text.index(" [3]")
    # Neither may a quote reach into it.
    for start in (cited, text.rindex("Lantern", 0, cited)):
        quote = Quote(PAPER, "full text", start, end, text[start:end], document.pages(start, end))
        wrong = replace(answer, task=(Statement("Cedar wrote about attention.", (quote,)),))
        assert failures(verify(wrong, reextraction)).startswith(
            f"task: stands in a part of {PAPER} that is not to be quoted (quote "
        )


def test_only_the_fixed_sentences_need_no_quote(
    answer: Answer, pipeline: Pipeline, reextraction: Reextraction
) -> None:
    honest = replace(answer, task=(Statement(NOT_SAID, ()),))
    assert verify(honest, reextraction).verified
    close = replace(answer, task=(Statement(NOT_SAID + " ", ()),))
    expected = f"task: no quote stands behind {NOT_SAID + ' '!r}, expected {NOT_SAID!r}"
    assert failures(verify(close, reextraction)) == expected
    lost = prompt("colour", ["Lantern"]).text.replace("2401.00002", "2401.99999")
    unread = pipeline.ask(parse_prompt(lost))
    assert unread.references[1].relevance == Statement(NOTHING_READ, ())
    assert verify(unread, reextraction).verified


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


# --- sentence boundaries --------------------------------------------------------------------

TEXT = "The lamp does not work. It reads pages, but only by day. Nobody knows why; it just does."
WORDS = st.lists(
    st.sampled_from(["lamp", "page,", "reads;", "the.", "of", "it", "not:", "Day.", "Work"]),
    max_size=300,
)


@pytest.mark.parametrize(
    ("quote", "whole"),
    [
        ("The lamp does not work.", True),
        ("It reads pages,", True),
        ("but only by day.", True),
        ("The lamp does not work. It reads pages, but only by day.", True),
        ("Nobody knows why;", True),
        ("it just does.", True),
        ("The lamp does", False),
        ("does not work.", False),
        ("work. It reads pages,", False),
        ("w", False),
        ("why", False),
    ],
)
def test_a_quote_is_whole_sentences_or_clauses(quote: str, whole: bool) -> None:
    document = Document(TEXT, "", (), (Section(0, len(TEXT)),), "test")
    start = TEXT.index(quote)
    assert on_sentence_boundaries(document, start, start + len(quote)) == whole


@given(WORDS.map(" ".join))
def test_every_sentence_of_every_passage_is_whole(text: str) -> None:
    document = Document(text, "", (), (Section(0, len(text)),), "test")
    for passage in split(document):
        for start, end in ((passage.start, passage.end), *passage.sentences):
            assert on_sentence_boundaries(document, start, end)


# --- re-extraction --------------------------------------------------------------------------


@pytest.fixture
def records(own_settings: Settings, pipeline: Pipeline) -> dict[str, SourceRecord]:
    """What an answer says of each source it read, in a data directory of this test's own."""
    answer = replace(pipeline, settings=own_settings).ask(PROMPTS["colour"])
    return {source.id: source for source in answer.sources if not source.reason}


def test_the_text_is_the_indexed_one_and_comes_from_the_bytes_alone(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    for folder in (own_settings.documents, own_settings.index):
        shutil.rmtree(folder)
    reextraction = Reextraction(own_settings)
    for record in records.values():
        document = reextraction(record)
        assert (document.sha256, document.extractor) == (record.document_sha256, record.extractor)
        assert reextraction(record) is document


def test_bytes_that_are_gone_changed_or_of_another_version_are_named(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    record = records[PAPER]
    store = SourceStore(own_settings.sources)

    def refused(record: SourceRecord, match: str) -> None:
        reextraction = Reextraction(own_settings)
        for _ in range(2):
            with pytest.raises(SourceError, match=match):
                reextraction(record)

    refused(replace(record, version="v1"), r"its version is v2, not 'v1'")
    refused(replace(record, sha256="0" * 64), f"{PAPER}: no bytes with the recorded hash .*--data-")
    path = own_settings.sources / record.sha256
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    refused(record, "changed on disk")
    path.unlink()
    refused(record, "cannot be read")
    store.ledger(PAPER).unlink()
    store.ledger(PAPER).mkdir()
    refused(record, f"{PAPER}: the ledger cannot be read")


def test_the_same_bytes_may_be_those_of_several_versions(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    data = (own_settings.sources / records[README].sha256).read_bytes()
    versions = "a" * 40, "b" * 40
    for commit in versions:
        SourceStore(own_settings.sources).put(
            README,
            data,
            media_type="text/markdown",
            origin="https://api.github.com",
            version=commit,
        )
    reextraction = Reextraction(own_settings).ahead(
        replace(records[README], version=version) for version in versions
    )
    for version in (None, *versions):
        assert reextraction(replace(records[README], version=version)).text
    with pytest.raises(SourceError, match="not 'cccc"):
        reextraction(replace(records[README], version="c" * 40))


def test_what_is_read_ahead_is_what_is_read_one_by_one(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    bad = SourceStore(own_settings.sources).put(
        "arxiv:2401.99999v1",
        b"%PDF-1.5 and no more",
        media_type="application/pdf",
        origin="a test",
        version="v1",
    )
    broken = replace(records[PAPER], id=bad.id, sha256=bad.sha256, version="v1")
    lost = replace(records[PAPER], sha256="0" * 64)
    alone = {name: Reextraction(own_settings)(record) for name, record in records.items()}
    ahead = Reextraction(own_settings).ahead([broken, *records.values(), *records.values(), lost])
    for record in records.values():
        (own_settings.sources / record.sha256).unlink(missing_ok=True)  # they are not needed again
    assert {name: ahead(record) for name, record in records.items()} == alone
    with pytest.raises(SourceError, match=r"2401\.99999v1.*broken"):
        ahead(broken)
    with pytest.raises(SourceError, match="no bytes with the recorded hash"):
        ahead(lost)


# --- written again --------------------------------------------------------------------------


def reproduced(answer: Answer, pipeline: Pipeline) -> str:
    offline = replace(pipeline, settings=replace(pipeline.settings, mirror=None))
    return "\n".join(map(str, reproduce(answer, lambda: offline)))


def test_an_extractive_answer_comes_out_again_and_nothing_else_does(
    answers: Mapping[str, Answer], pipeline: Pipeline, reextraction: Reextraction
) -> None:
    answer = answers["colour"]
    assert reproduced(answer, pipeline) == ""
    flow = answer.workflow
    forgeries = {
        "task": replace(answer, task=(Statement(NOT_SAID, ()),)),
        "workflow.model": replace(answer, workflow=replace(flow, model=flow.input)),
        "workflow.input": replace(answer, workflow=replace(flow, input=flow.input[:-1])),
        "references[0]": replace(
            answer, references=(replace(answer.references[0], mentions=()), *answer.references[1:])
        ),
        "sources": replace(
            answer, sources=(replace(answer.sources[0], extractor="x"), *answer.sources[1:])
        ),
        "writer": replace(answer, writer=replace(answer.writer, tokens_decoded=7)),
    }
    for part, forged in forgeries.items():
        if forged != answer:
            assert f"{part}: " in reproduced(forged, pipeline), part
    silent = forgeries["task"]
    assert verify(silent, reextraction).verified  # what only --strict can prove


def test_a_model_s_statements_are_judged_again(answer: Answer, pipeline: Pipeline) -> None:
    written = replace(answer, writer=replace(answer.writer, name="local"))
    (quote, *_) = answer.task[0].quotes
    for text, problem in (
        ("The lamp was sold 7 million times.", "is not supported by its quotes"),
        (NOT_SAID, ""),
    ):
        statement = Statement(text, (quote,) if problem else ())
        told = reproduced(replace(written, task=(statement,)), pipeline)
        assert ("task: " in told) == bool(problem)
        assert problem in told
