"""An answer verifies, and whatever is changed in its file makes it fail, by name."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
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
from tests.parts.values import Steps, at, changed, nodes
from tests.parts.works import PROMPTS, PlainWriter, prompt

PAPER, README, UNREAD = "arxiv:2401.00001v2", "github:lantern-lab/lantern", "arxiv:2401.00004v1"


@pytest.fixture(scope="module")
def reextraction(pipeline: Pipeline) -> Reextraction:
    return Reextraction(pipeline.settings)


@pytest.fixture(scope="module")
def answer(pipeline: Pipeline) -> Answer:
    return replace(pipeline, writer=PlainWriter()).ask(PROMPTS["colour"])


@pytest.fixture(scope="module")
def raw(answer: Answer) -> Any:
    """Its file: it begins by quoting the paper; Lantern (paper, README, summary) is its first work,
    Tide its second, and of Willow, its third, the paper was not read."""
    return json.loads(answer.to_json())


def failures(verification: Verification) -> str:
    return "\n".join(map(str, verification.failures))


def reloaded(raw: Any, reextraction: Reextraction) -> Verification:
    return verify(Answer.from_json(json.dumps(raw)), reextraction)


def test_a_good_answer_verifies_and_is_counted(
    answers: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    for name, answer in answers.items():
        verification = verify(Answer.from_json(answer.to_json()), reextraction)
        assert verification.verified, failures(verification)
        assert verification.quotes == sum(1 for _ in answer.quotes()) > 3
        assert verification.listings == len(PROMPTS[name].listings)
        assert verification.sources == sum(not source.reason for source in answer.sources)


# --- forged answers -------------------------------------------------------------------------


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


def test_every_value_in_the_file_is_bound(raw: Any, reextraction: Reextraction) -> None:
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


def asking(text: str) -> dict[str, str]:
    """A prompt's record with another text and its hash."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"question": PROMPTS["colour"].question, "text": text, "sha256": digest}


QUOTE = "task.0.quotes.0"
UNQUOTED = {"text": "It matters.", "quotes": []}
DENIED = {"sha256": "", "extractor": "", "document_sha256": "", "version": None, "reason": "x"}
EVENT = {"part": "a", "kind": "b", "detail": "ftp://x"}
GRANDFATHER = PROMPTS["colour"].text.replace("grandmother", "grandfather")
# A value, where it stands (in the sections, if not at the top), what it becomes (or how it is
# made of the old one, and of the whole file), and words of the failure.
FORGERIES: list[tuple[str, Any, str]] = [
    # a quote
    (f"{QUOTE}.text", lambda old, _: old.lower(), "read otherwise"),
    (f"{QUOTE}.end", 0, "lie outside the text"),
    (f"{QUOTE}.end", 10**9, "lie outside the text"),
    (f"{QUOTE}.pages", [2], f"task: stands on page 1 of {PAPER}, not 2"),
    (f"{QUOTE}.pages", [1, 2], "not 1, 2"),
    (f"{QUOTE}.pages", [], "not none"),
    (f"{QUOTE}.source_id", UNREAD, f"{UNREAD} is not a listed source that was read"),
    (f"{QUOTE}.source_id", "arxiv:2401.00003v1", "is not a listed source"),
    (f"{QUOTE}.source_type", "readme", "is not of source type 'readme'"),
    ("workflow.input.0.quotes", lambda _, raw: at(raw, ("sections", "task"))[0]["quotes"],
     "workflow.input: is quoted twice"),
    # a statement
    ("task.0.quotes", [], "task: no quote stands behind"),
    ("task.0.text", NOT_SAID, f"task: {NOT_SAID!r} stands with 1 quotes"),
    ("task.0.text", "\u200b\u2800.", "task: a statement is empty"),
    ("task.0.text", lambda _, raw: at(raw, ("sections", "task"))[0]["quotes"][0]["text"].upper(),
     "task: only repeats its quote"),
    ("task.0.text", "It is 98765 times as good.", "is no plain statement: it holds the number"),
    ("task.0", lambda old, raw: {"text": "", "quotes": old["quotes"] + note(raw, 1)["quotes"]},
     "task: a statement is empty"),
    ("workflow.input.0.text", " ", "workflow.input: a statement is empty"),
    ("task", [], "task: says nothing"),
    ("workflow.input", [], "workflow.input: says nothing"),
    # a link that the prompt does not give
    ("task.0.text", "See https://example.org/more.",
     "task: the prompt gives no link 'https://example.org/more.'"),
    ("workflow.model.0.text", "Get it at bit.co/x", "workflow.model: the prompt gives no link"),
    ("references.0.relevance.text", "See www.example.org", "references[0]: the prompt gives no"),
    ("writer.note", "http://x.y", "writer: the prompt gives no link 'http://x.y'"),
    ("writer.events", [EVENT], "writer: the prompt gives no link 'ftp://x'"),
    ("sources.4.reason", "at http://x", "sources[4]: the prompt gives no link 'http://x'"),
    # a listed work
    ("references.0.name", "Lamp", "references[0]: name is 'Lamp'"),
    ("references.1.role", "recommended", "references[1]: role is"),
    ("references.0.paper", "http://arxiv.org/pdf/2401.00001v3.pdf", "references[0]: paper is"),
    ("references.0.paper", None, "references[0]: paper is None"),
    ("references.1.github", "https://github.com/a/b", "'https://github.com/a/b', the prompt gives"),
    ("references.0.sources", [], "references[0]: sources is"),
    ("references", lambda old, _: old[:-1], "references: 2 works, the prompt lists 3"),
    ("references", lambda old, _: old[::-1], "references[0]: name is"),
    ("references", lambda old, _: old + old[-1:], "references: 4 works, the prompt lists 3"),
    # what it says of a work
    ("references.0.relevant", False, "references[0]: whether the work is relevant"),
    ("references.0.relevance", UNQUOTED, "references[0]: no quote stands behind 'It matters.'"),
    ("references.0.relevance", {"text": "\u200b", "quotes": []}, "[0]: a statement is empty"),
    ("references.0.relevance", {"text": NOTHING_READ, "quotes": []},
     f"references[0]: no quote stands behind {NOTHING_READ!r}, expected {QUOTED_ELSEWHERE!r}"),
    ("references.1.relevance", lambda _, raw: note(raw, 0), f"references[1]: quotes {PAPER}"),
    ("references.0.mentions", lambda _, raw: [{**note(raw, 1), "text": "It is said."}],
     "references[0].mentions: is not one quotation"),
    ("references.0.mentions", lambda _, raw: [note(raw, 0)],
     "which is no source of another listed work"),
    ("references.0.mentions", lambda _, raw: [note(raw, 1)], "does not name 'Lantern"),
    # the prompt
    ("prompt.text", GRANDFATHER, "prompt: the text does not have the recorded hash"),
    ("prompt", asking(GRANDFATHER), "prompt: the question is not the one the text asks"),
    ("prompt", asking("What?"), "prompt: the text is no prompt document"),
    # a source
    ("sources.0.sha256", "0" * 64, f"{PAPER}: no bytes with the recorded hash"),
    ("sources.0.extractor", "pdf-0", f"the text of {PAPER} was read by 'pdf-0'"),
    ("sources.0.document_sha256", "0" * 64, f"the text of {PAPER} is not the recorded one"),
    ("sources.0.reason", "lost", "claims to be read and not to be read"),
    ("sources.0.source_type", "readme", "is of source type 'full text', not 'readme'"),
    ("sources.0.id", "arxiv:1", "sources[0]: arxiv:1 is not a source of a listed work"),
    ("sources.0", lambda old, _: {**old, **DENIED}, f"task: {PAPER} is not a listed source that"),
    ("sources.1.sha256", "", "was neither read nor is there a reason why not"),
    ("sources.2.sha256", "0" * 64, "is not the summary that the prompt gives"),
    ("sources.4.reason", " ", "was neither read nor is there a reason why not"),
    ("sources", lambda old, _: old + old[:1], f"{PAPER} is accounted for twice"),
    ("sources", lambda old, _: old[1:], f"sources: {PAPER} is listed, but not accounted for"),
]  # fmt: skip


def note(raw: Any, number: int) -> Any:
    """What is said of a work, as a quotation alone."""
    relevance = raw["sections"]["references"][number]["relevance"]
    return {"text": "", "quotes": relevance["quotes"][:1]}


@pytest.mark.parametrize(("where", "new", "words"), FORGERIES)
def test_a_forgery_fails_and_is_named(
    raw: Any, reextraction: Reextraction, where: str, new: Any, words: str
) -> None:
    steps = tuple(int(step) if step.isdigit() else step for step in where.split("."))
    path = steps if steps[0] in raw else ("sections", *steps)
    forged = changed(raw, path, new(at(raw, path), raw) if callable(new) else new)
    assert words in failures(reloaded(forged, reextraction))


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
SHOWN_AS_LINKS = [
    "evil.de/x", "bücher.de/x", "evil。cn/x", "192.0.2.1/x", "evil.cn:80/x", "evil.com\u200b/x",
    "http:/\u2060/evil", "http\uff1a\uff0f\uff0fevil",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *((f"At {link} now", "task: the prompt gives no link") for link in SHOWN_AS_LINKS),
        *((f"They write {a}We lied{b} twice.", "is no plain statement") for a, b in PAIRS),
        *((f"See {link} for more.", "is no plain statement") for link in LINKS),
        *((letter * 9 + ".", "is no plain statement") for letter in "\u115f\u1160\u3164\uffa0"),
    ],
)
def test_words_of_a_writer_hold_nothing_that_passes_for_a_link_or_a_quotation(
    answer: Answer, reextraction: Reextraction, text: str, words: str
) -> None:
    forged = replace(answer, task=(replace(answer.task[0], text=text),))
    assert words in failures(verify(forged, reextraction))


def test_a_sentence_that_lost_a_part_is_not_to_be_quoted(
    answer: Answer, reextraction: Reextraction
) -> None:
    quote = answer.task[0].quotes[0]

    def without_a_formula(record: SourceRecord) -> Document:
        lost = (quote.start + 1,) if record.id == quote.source_id else ()
        return replace(reextraction(record), lost=lost)

    (failure,) = verify(answer, without_a_formula).failures
    assert "lacks a part" in failure.message
    assert quote.text[:60] in failure.message


def test_the_bibliography_is_not_to_be_quoted(answer: Answer, reextraction: Reextraction) -> None:
    document = reextraction(next(source for source in answer.sources if source.id == PAPER))
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


# --- sentence boundaries --------------------------------------------------------------------

TEXT = "The lamp does not work. It reads pages, but only by day. Nobody knows why; it just does."
WORDS = st.lists(
    st.sampled_from(["lamp", "page,", "reads;", "the.", "of", "it", "not:", "Day.", "Work"]),
    max_size=300,
)


@pytest.mark.parametrize(
    ("quotes", "whole"),
    [
        (["The lamp does not work.", "It reads pages,", "but only by day.", "it just does."], True),
        (["The lamp does not work. It reads pages, but only by day.", "Nobody knows why;"], True),
        (["The lamp does", "does not work.", "work. It reads pages,", "w", "why"], False),
    ],
)
def test_a_quote_is_whole_sentences_or_clauses(quotes: list[str], whole: bool) -> None:
    document = Document(TEXT, "", (), (Section(0, len(TEXT)),), "test")
    for quote in quotes:
        start = TEXT.index(quote)
        assert on_sentence_boundaries(document, start, start + len(quote)) == whole, quote


@given(WORDS.map(" ".join))
def test_every_sentence_of_every_passage_is_whole(text: str) -> None:
    document = Document(text, "", (), (Section(0, len(text)),), "test")
    for passage in split(document):
        for start, end in ((passage.start, passage.end), *passage.sentences):
            assert on_sentence_boundaries(document, start, end)


# --- re-extraction --------------------------------------------------------------------------


@pytest.fixture
def own(pipeline: Pipeline, tmp_path: Path) -> Settings:
    """A data directory of a test's own, with the stored bytes and nothing that was made of them."""
    own = replace(pipeline.settings, data_dir=tmp_path / "own")
    shutil.copytree(pipeline.settings.sources, own.sources)
    return own


@pytest.fixture
def records(answer: Answer) -> dict[str, SourceRecord]:
    """What the answer says of each source it read."""
    return {source.id: source for source in answer.sources if not source.reason}


def test_bytes_that_are_gone_changed_or_of_another_version_are_named(
    records: dict[str, SourceRecord], own: Settings
) -> None:
    record, store = records[PAPER], SourceStore(own.sources)

    def refused(record: SourceRecord, match: str) -> None:
        reextraction = Reextraction(own)
        for _ in range(2):
            with pytest.raises(SourceError, match=match):
                reextraction(record)

    refused(replace(record, version="v1"), r"its version is v2, not 'v1'")
    refused(replace(record, sha256="0" * 64), f"{PAPER}: no bytes with the recorded hash .*--data-")
    path = own.sources / record.sha256
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    refused(record, "changed on disk")
    path.unlink()
    refused(record, "cannot be read")
    store.ledger(PAPER).unlink()
    store.ledger(PAPER).mkdir()
    refused(record, f"{PAPER}: the ledger cannot be read")


def test_the_same_bytes_may_be_those_of_several_versions(
    records: dict[str, SourceRecord], own: Settings
) -> None:
    data = (own.sources / records[README].sha256).read_bytes()
    versions = "a" * 40, "b" * 40
    for commit in versions:
        SourceStore(own.sources).put(
            README, data, media_type="text/markdown", origin="a test", version=commit
        )
    reextraction = Reextraction(own).ahead(
        replace(records[README], version=version) for version in versions
    )
    for version in (None, *versions):
        assert reextraction(replace(records[README], version=version)).text
    with pytest.raises(SourceError, match="not 'cccc"):
        reextraction(replace(records[README], version="c" * 40))


def test_what_is_read_ahead_is_the_indexed_text_as_when_read_one_by_one(
    records: dict[str, SourceRecord], own: Settings
) -> None:
    bad = SourceStore(own.sources).put(
        "arxiv:2401.99999v1",
        b"%PDF-1.5 and no more",
        media_type="application/pdf",
        origin="a test",
        version="v1",
    )
    broken = replace(records[PAPER], id=bad.id, sha256=bad.sha256, version="v1")
    lost = replace(records[PAPER], sha256="0" * 64)
    alone = {name: Reextraction(own)(record) for name, record in records.items()}
    ahead = Reextraction(own).ahead([broken, *records.values(), *records.values(), lost])
    shutil.rmtree(own.sources)  # they are not needed again
    for name, record in records.items():
        assert ahead(record) == alone[name]
        assert ahead(record).sha256 == record.document_sha256
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
    # What only this can prove.
    silent = replace(answer, task=(Statement(NOT_SAID, ()),))
    assert verify(silent, reextraction).verified
    flow, (first, *others), (source, *rest) = answer.workflow, answer.references, answer.sources
    forged = replace(
        silent,
        workflow=replace(flow, model=flow.input, input=flow.input[:-1]),
        references=(replace(first, relevant=not first.relevant), *others),
        sources=(replace(source, extractor="x"), *rest),
        writer=replace(answer.writer, tokens_decoded=7),
    )
    found = reproduced(forged, pipeline)
    for part in ("task", "workflow.model", "workflow.input", "references[0]", "sources", "writer"):
        assert f"{part}: " in found
    assert "workflow.output: " not in found


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
