"""A report on good answers names nothing; on damaged ones it names and counts each damage."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index.errors import AnswerError, DatasetError
from index.settings import Settings
from rag.answer import Answer, Statement
from rag.answer.compose import NO_RELEVANCE
from rag.answer.verify import Reextraction
from rag.evaluation.answers import (
    MismatchedAnswers,
    evaluated_answers,
    mismatched_prompts,
    read_answers,
    try_writer,
)
from rag.evaluation.citations import from_marked_text, read_external
from rag.evaluation.report import LINES, Report, compare, evaluate, plot_reports, read_report
from rag.evaluation.support import COLUMNS, draw, read_labels, write_sheet
from rag.pipeline import Pipeline
from rag.prompt import prompt_of
from rag.support.builtin import BuiltinChecker
from rag.writers import NOT_SAID
from tests.parts.commands import invoke
from tests.parts.tiny_encoders import write_reranker
from tests.parts.works import PROMPTS, PlainWriter, prompt, write

CHECKER = BuiltinChecker()
Change = Callable[[Any], object]


@pytest.fixture(scope="module")
def reextraction(pipeline: Pipeline) -> Reextraction:
    return Reextraction(pipeline.settings)


@pytest.fixture(scope="module")
def good(pipeline: Pipeline) -> Mapping[str, Answer]:
    """Answers whose every statement is its quote's own words."""
    plain = replace(pipeline, writer=PlainWriter())
    return {name: plain.ask(item) for name, item in PROMPTS.items()}


@pytest.fixture(scope="module")
def before(good: Mapping[str, Answer], reextraction: Reextraction) -> Report:
    return report(good, reextraction)


@pytest.fixture(scope="module")
def changed(good: Mapping[str, Answer], reextraction: Reextraction) -> Callable[[Change], Report]:
    """The report on one of the answers with its JSON changed."""

    def report_on(change: Change) -> Report:
        raw = json.loads(good["colour"].to_json())
        change(raw)
        return report({"colour": Answer.from_json(json.dumps(raw))}, reextraction)

    return report_on


def report(answers: Mapping[str, Answer], reextraction: Reextraction, **more: Any) -> Report:
    return evaluate("test", CHECKER, answers=answers, document_of=reextraction, **more)


def counts(found: Report, key: str) -> tuple[float, int, int]:
    measure = found.measure(key)
    assert measure is not None, key
    return measure.counts()


def share(found: Report, key: str) -> float:
    total, scored, _ = counts(found, key)
    assert scored, key
    return total / scored


def test_good_answers_have_all_lines_and_nothing_wrong(before: Report) -> None:
    assert [str(one) for one in before.problems if one.line != 2] == []
    assert before.quotations > 0
    assert {item.line for item in before.measures} == {1, 2, 3, 4, 5}
    for key in ("exact", "pages", "links"):
        assert share(before, key) == 1, key
    for key in ("wrong_work", "no_quotes", "unsupported", "missing", "false_refusals"):
        assert share(before, key) == 0, key
    assert share(before, "used") + share(before, "silent") == pytest.approx(1)
    source_types = [f"source_type_{kind}" for kind in ("full_text", "readme", "summary")]
    assert sum(share(before, key) for key in source_types) == pytest.approx(1)


def first(raw: Any) -> Any:
    statement = raw["sections"]["task"][0]
    assert statement["quotes"][0]["source_id"].startswith("arxiv:")
    return statement


def quoted(raw: Any) -> Any:
    return first(raw)["quotes"][0]


def contradiction(raw: Any) -> None:
    said = raw["sections"]["references"][1]["relevance"]
    said["text"] = "Tide takes 77 hours and needs 12 graphics cards to remove nothing."


def dropped_quotes(raw: Any) -> None:
    for part in (raw["sections"]["task"], *raw["sections"]["workflow"].values()):
        for statement in part:
            statement["quotes"] = []
    for reference in raw["sections"]["references"]:
        reference["relevance"]["quotes"] = []


DAMAGES: dict[str, tuple[Change, int, str, set[str]]] = {
    "a quote of an unlisted source": (
        lambda raw: quoted(raw).update(source_id="arxiv:9999.00001v1", text="Elsewhere."),
        1, "arxiv:9999.00001v1 is not a listed source", {"exact", "wrong_work"},
    ),
    "a sentence of Tide, said to stand in Lantern": (
        lambda raw: quoted(raw).update(text="Inpainting is the task of filling a hole"),
        1, "read otherwise", {"exact", "wrong_work", "pages"},
    ),
    "another page": (
        lambda raw: quoted(raw).update(pages=[2]),
        1, "stands on page 1 of arxiv:2401.00001v2, not 2", {"pages"},
    ),
    "another link": (
        lambda raw: raw["sections"]["references"][0].update(github="https://github.com/who/else"),
        1, "https://github.com/who/else", {"links"},
    ),
    "a link in words": (
        lambda raw: first(raw).update(text="See https://example.org/more"),
        1, "the prompt gives no link 'https://example.org/more'", {"links"},
    ),
    "a contradiction of its quotes": (
        contradiction, 2, "nothing that says “77 hours”", {"recall_quote", "unsupported"},
    ),
    "a contradiction of all works": (
        contradiction, 3, "no listed work supports 'Tide takes 77", {"answers_unsupported"},
    ),
    "a missing work": (
        lambda raw: raw["sections"]["references"].pop(1),
        4, "'Tide: Removing Objects from Pictures' is listed", {"missing"},
    ),
    "no quotes": (
        dropped_quotes, 1, "no quote stands behind", {"no_quotes", "recall_quote"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "line", "named", "keys"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_answer_is_named_and_counted(
    changed: Callable[[Change], Report], change: Change, line: int, named: str, keys: set[str]
) -> None:
    before, after = changed(lambda raw: None), changed(change)
    problems = [str(one) for one in after.problems if one.line == line]
    assert any(named in one and one.startswith("colour, ") for one in problems), problems
    better = {item.key: item.better for item in after.measures}
    for key in keys:
        worse = share(before, key) - share(after, key)
        assert (worse if better[key] == "higher" else -worse) > 0, key


def test_words_about_links_are_no_link(changed: Callable[[Change], Report]) -> None:
    after = changed(lambda raw: first(raw).update(text="The prompt gives no link.", quotes=[]))
    assert any("gives no link" in one.message for one in after.problems if one.line == 1)
    assert share(after, "links") == 1


def test_a_quote_that_is_none_is_no_evidence_even_for_its_own_words(
    changed: Callable[[Change], Report],
) -> None:
    def invented(raw: Any) -> None:
        first(raw)["text"] = quoted(raw)["text"] = "The network was trained on Mars."

    (verdict,) = (it for it in changed(invented).verdicts if it.text.endswith("Mars."))
    assert verdict.quote_recall is verdict.supported is False
    assert verdict.quote_precisions == (False,)


def test_without_the_sources_nothing_is_held_to_be_right_or_wrong(
    good: Mapping[str, Answer], tmp_path: Path
) -> None:
    found = report(good, Reextraction(Settings(data_dir=tmp_path)))
    for key in ("exact", "pages", "recall_quote", "unsupported"):
        _, scored, unscored = counts(found, key)
        assert scored == 0 < unscored, key
    assert "no bytes with the recorded hash are" in found.to_markdown()


def silenced(answer: Answer) -> Answer:
    nothing = (Statement(NOT_SAID, ()),)
    flow = replace(answer.workflow, input=nothing, model=nothing, output=nothing)
    references = tuple(
        replace(item, relevant=False, relevance=Statement(NO_RELEVANCE, ()))
        for item in answer.references
    )
    return replace(answer, task=nothing, workflow=flow, references=references)


def test_abstentions_enter_no_share_of_support_and_are_false_where_works_were_listed(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    quiet = {name: silenced(answer) for name, answer in good.items()}
    mismatched = MismatchedAnswers({"c": quiet["colour"], "m": good["move"]}, ("no other works",))
    found = report(quiet, reextraction, mismatched=mismatched)
    assert found.statements == found.quotations == 0
    assert found.fixed == sum(4 + len(answer.references) for answer in quiet.values())
    assert counts(found, "recall_quote") == counts(found, "unsupported") == (0, 0, 0)
    assert share(found, "no_quotes") == share(found, "false_refusals") == 1
    assert counts(found, "false_answers") == (1, 2, 1)
    assert share(found, "false_parts") == 4 / 8


def test_questions_get_works_that_their_prompt_does_not_list(
    pipeline: Pipeline, reextraction: Reextraction
) -> None:
    colour, _, move = mismatched_prompts(list(PROMPTS.values()))
    assert colour is not None
    assert move is not None
    assert colour.question == PROMPTS["colour"].question
    assert colour.listings == PROMPTS["move"].listings
    assert move.listings == PROMPTS["colour"].listings
    alike = [prompt("colour", ["Lantern"]), prompt("remove", ["Tide"], [])]
    assert mismatched_prompts(alike) == [None, None]
    links = [prompt_of(f"How {n}?", [f"2401.0000{n}"]) for n in (1, 2, 3)]
    following = [item.listings for item in (*links[1:], links[0])]
    assert [item and item.listings for item in mismatched_prompts(links)] == following

    own, mismatched = try_writer(replace(pipeline, writer=PlainWriter()), PROMPTS)
    assert own.keys() == PROMPTS.keys()
    # This writer always says something.
    assert share(report(own, reextraction, mismatched=mismatched), "false_answers") == 1


def test_the_report_reads_back_and_shows_every_line(before: Report, tmp_path: Path) -> None:
    page, raw = before.to_markdown(), before.to_json()
    assert all(f"**{number}. {title}**" in page for number, title in LINES.items())
    assert read_report(write(tmp_path / "report.json", raw)) == before
    for broken in ("{}", "[", raw.replace('"line": 1', '"line": "one"')):
        with pytest.raises(DatasetError, match="not a report"):
            read_report(write(tmp_path / "other.json", broken))


def test_the_checker_is_tried_on_perturbed_sentences_of_the_works(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    found = report(good, reextraction, perturbed_per_kind=3)
    assert found.perturbations is not None
    assert found.perturbations.works > 1
    kinds = {row.kind: row for row in found.perturbations.rows}
    assert kinds["verbatim"].by_either == 0
    assert "| verbatim | false alarms | 3 |" in found.to_markdown()
    assert report({}, reextraction, perturbed_per_kind=3).perturbations is None


def test_words_of_a_file_cannot_act_in_the_page_or_the_plot(
    changed: Callable[[Change], Report], before: Report, tmp_path: Path
) -> None:
    words = "\x1b[2J | <img src=x> | [click](http://evil.example/x)"
    hostile = changed(lambda raw: first(raw).update(text=words))
    page = hostile.to_markdown()
    assert "\x1b" not in page
    assert "<img" not in page.replace("\\<img", "")
    assert "[click]" not in page.replace("\\[click\\]", "")

    pytest.importorskip("matplotlib")
    odd = replace(before, name="a|b <img> $x_{", measures=before.measures[5:7])
    other = replace(hostile, measures=hostile.measures[4:6])  # of one question: no intervals
    assert "a\\|b \\<img\\>" in compare(odd, other).to_markdown()
    assert plot_reports([odd, other], tmp_path / "new" / "page.png", title="$x_{ and \x1b")
    assert plot_reports([replace(before, measures=())], tmp_path / "empty.png", title="nothing")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")


def test_labels_are_drawn_written_read_and_correct_the_third_line(
    good: Mapping[str, Answer], reextraction: Reextraction, tmp_path: Path
) -> None:
    evaluated, _ = evaluated_answers(good, reextraction)
    drawn = draw(evaluated, 6, seed=1)
    assert drawn == draw(evaluated, 6, seed=1) != draw(evaluated, 6, seed=2)
    text = write_sheet(drawn)
    assert read_labels(write(tmp_path / "sheet.csv", text)) == {}
    header, *rows = csv.reader(text.splitlines(keepends=True))
    assert tuple(header) == COLUMNS
    assert len({row[0] for row in rows}) == 6
    words = ["yes", "no", "Yes", "", "1", "no"]
    filled = [f"{row[0]},{word}" for row, word in zip(rows, words, strict=True)]
    labels = read_labels(write(tmp_path / "filled.csv", "\n".join(["id,supported", *filled])))
    assert sorted(labels.values()) == [False, False, True, True, True]
    found = report(good, reextraction, labels={**labels, "of another answer": True})
    assert found.corrected is not None
    assert (found.corrected.labelled, found.corrected.ignored) == (5, 1)
    # The checker found nothing unsupported, people two of five.
    assert found.corrected.estimate.value == pytest.approx(2 / 5)
    assert "corrected by labels (PPI) | 40.0 %" in found.to_markdown()


def test_no_cell_of_the_sheet_is_a_formula() -> None:
    answer = from_marked_text("=HYPERLINK(1)?", "The net is wide [1].\n[1] +1 The net is wide.")
    (row,) = csv.DictReader(write_sheet(draw([answer.evaluated("x")], 1)).splitlines(keepends=True))
    assert not any(value.startswith(("=", "+", "-", "@")) for value in row.values())


MARKED = """The net reads 3 photos [1]. It also writes music.[2,3] Nobody knows why.

[1] The network reads 3 photos.
[2] It sings.
Still of the second passage.
[3] It writes music at night.
"""


def test_answers_of_external_systems_are_read_and_judged_without_sources(tmp_path: Path) -> None:
    made = from_marked_text("How?", MARKED)
    passages = [
        "The network reads 3 photos.",
        "It sings.\nStill of the second passage.",
        "It writes music at night.",
    ]
    assert [(item.text, [c.passage for c in item.citations]) for item in made.statements] == [
        ("The net reads 3 photos.", passages[:1]),
        ("It also writes music.", passages[1:]),
        ("Nobody knows why.", []),
    ]
    (answer,) = read_external(write(tmp_path / "one.jsonl", made.to_json() + "\n"))
    assert answer == made.evaluated("one.jsonl:1")
    with pytest.raises(AnswerError, match=r"cites \[4\]"):
        from_marked_text("How?", "A thing [1, 4].\n[1] A thing.")
    unread = Reextraction(Settings(data_dir=tmp_path))
    found = evaluate("theirs", CHECKER, answers={}, document_of=unread, external=[answer])
    assert {item.line for item in found.measures} == {2, 3}
    assert counts(found, "recall_quote")[1] == 3
    assert "| not measured here |" in found.to_markdown()


STATEMENTS = '"format": "cited-answer/1", "question": "Q", "statements":'


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        (read_labels, "x,y\n1,2\n", "no sheet of labels"),
        (read_labels, "id,supported\ns1,perhaps\n", "supported is 'perhaps'"),
        (read_labels, "id,supported\ns1,yes\ns1,no\n", "two different labels"),
        (read_external, '\n{"question": "Q", "statements": []}', "x:2: format: Field required"),
        (read_external, f'{{{STATEMENTS} [{{"text": 1}}]}}', r"x:1: statements\[0\].text: "),
        (read_external, f'{{{STATEMENTS} [], "x": 1}}', "x:1: x: Unexpected"),
    ],
)
def test_a_file_of_another_form_is_refused(
    read: Callable[[Path], object], text: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=why):
        read(write(tmp_path / "x", text))


def test_the_commands_try_writers_judge_compare_and_draw_a_sheet(
    pipeline: Pipeline, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    settings, made = pipeline.settings, tmp_path / "reports"
    data_dir = ("--data-dir", settings.data_dir)
    judged_by = ("--checker", write_reranker(tmp_path / "checker"), "--perturbed", 1, "--offline")
    writing = ("--mirror", settings.mirror, "--encoder", settings.encoder, "--model", tmp_path)
    prompts = (prompt_files["colour"], prompt_files["move"])
    invoke("evaluate", "writers", *prompts, *data_dir, *judged_by, *writing, "--output", made)
    assert "The writer 'local' could not run here" in (made / "README.md").read_text()
    folder, again = made / "extractive", tmp_path / "again"
    files = {"answers", "mismatched", "report.json", "report.md", "report.png"}
    assert {path.name for path in folder.iterdir()} == files
    page = (folder / "report.md").read_text()
    assert "| false answers |" in page
    reading = (*data_dir, *judged_by, "--mismatched", folder / "mismatched", "--output", again)
    screen = invoke("evaluate", "answers", folder, "--name", "extractive", *reading).out
    assert (again / "report.md").read_text() == page
    assert len(screen.splitlines()) <= 24
    assert max(map(len, screen.splitlines())) <= 100
    assert screen.startswith("extractive; answers: 2, questions: 2, statements in own words: 0, ")
    assert "\n2, 3 are of a writer's own words: there are none\n" in screen
    assert re.search(
        r"^1 quotes that stand in their source, letter by letter +100.0 %", screen, re.M
    )
    compared = tmp_path / "compared"
    shown = invoke("evaluate", "compare", folder, again, "--output", compared).out
    assert "extractive against extractive" in shown
    assert {path.suffix for path in compared.iterdir()} == {".md", ".json", ".png"}
    sheet = tmp_path / "sheet.csv"
    drawing = ("evaluate", "sheet", folder, *data_dir, "--output", sheet)
    invoke(*drawing, "--size", 5)
    assert read_labels(sheet) == {}
    invoke(*drawing, code=2)
    with pytest.raises(AnswerError, match=r"no answer is in .*reports; expected answer files"):
        read_answers([made])
    marked = write(tmp_path / "marked.txt", MARKED)
    converted = invoke("evaluate", "convert", "How?", marked).out
    assert converted.startswith('{"format": "cited-answer/1"')


def test_the_first_is_compared_with_the_second_on_what_both_have(
    good: Mapping[str, Answer], before: Report, reextraction: Reextraction
) -> None:
    raws = {name: json.loads(answer.to_json()) for name, answer in good.items()}
    for raw in raws.values():
        dropped_quotes(raw)
    damaged = {name: Answer.from_json(json.dumps(raw)) for name, raw in raws.items()}
    second = replace(report(damaged, reextraction), name="theirs", checker="b")
    found = compare(before, second)
    row = next(row for row in found.rows if row.key == "recall_quote")
    assert (row.second, row.difference.clusters) == (0, 3)
    assert (row.difference.mean or 0) > 0.5
    assert "Judged by two checkers" in found.to_markdown()
    fewer = compare(before, replace(second, measures=second.measures[:2]))
    assert [row.key for row in fewer.rows] == [item.key for item in second.measures[:2]]
