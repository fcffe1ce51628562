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
from typer.testing import CliRunner

from index.errors import AnswerError, DatasetError
from index.settings import Settings
from rag.answer import Answer, Statement
from rag.answer.compose import NO_RELEVANCE
from rag.answer.verify import Reextraction
from rag.cli.main import app
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
from tests.parts.works import PROMPTS, PlainWriter, prompt, write, write_prompts

CHECKER = BuiltinChecker()


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


def report(answers: Mapping[str, Answer], reextraction: Reextraction, **more: Any) -> Report:
    return evaluate("test", CHECKER, answers=answers, document_of=reextraction, **more)


def share(found: Report, key: str) -> float:
    measure = found.measure(key)
    assert measure is not None
    value = measure.estimate().value
    assert value is not None, key
    return value


def unscored(found: Report, key: str) -> int:
    """How many items, none of which could be scored."""
    measure = found.measure(key)
    assert measure is not None
    assert measure.estimate().value is None
    return measure.counts()[2]


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


def changed(answer: Answer, change: Callable[[Any], None]) -> Answer:
    raw = json.loads(answer.to_json())
    change(raw)
    return Answer.from_json(json.dumps(raw))


def first(raw: Any) -> Any:
    statement = raw["sections"]["task"][0]
    assert statement["quotes"][0]["source_id"].startswith("arxiv:")
    return statement


def unlisted_quote(raw: Any) -> None:
    first(raw)["quotes"][0].update(source_id="arxiv:9999.00001v1", text="Elsewhere it is said.")


def others_words(raw: Any) -> None:
    """A sentence of Tide, said to stand in Lantern."""
    first(raw)["quotes"][0].update(text="Inpainting is the task of filling a hole")


def shifted_page(raw: Any) -> None:
    first(raw)["quotes"][0]["pages"] = [first(raw)["quotes"][0]["pages"][0] + 1]


def other_link(raw: Any) -> None:
    raw["sections"]["references"][0]["github"] = "https://github.com/somebody/else"


def link_in_words(raw: Any) -> None:
    first(raw)["text"] += " See https://example.org/more"


def contradiction(raw: Any) -> None:
    said = raw["sections"]["references"][1]["relevance"]
    said["text"] = "Tide takes 77 hours and needs 12 graphics cards to remove nothing."


def missing_work(raw: Any) -> None:
    del raw["sections"]["references"][1]


def dropped_quotes(raw: Any) -> None:
    for part in (raw["sections"]["task"], *raw["sections"]["workflow"].values()):
        for statement in part:
            statement["quotes"] = []
    for reference in raw["sections"]["references"]:
        reference["relevance"]["quotes"] = []


@pytest.mark.parametrize(
    ("change", "line", "named", "keys"),
    [
        (unlisted_quote, 1, "arxiv:9999.00001v1 is not a listed source", {"exact", "wrong_work"}),
        (others_words, 1, "read otherwise", {"exact", "wrong_work", "pages"}),
        (shifted_page, 1, "stands on page 1 of arxiv:2401.00001v2, not 2", {"pages"}),
        (other_link, 1, "https://github.com/somebody/else", {"links"}),
        (link_in_words, 1, "the prompt gives no link 'https://example.org/more'", {"links"}),
        (contradiction, 2, "nothing that says “77 hours”", {"recall_quote", "unsupported"}),
        (contradiction, 3, "no listed work supports 'Tide takes 77", {"answers_unsupported"}),
        (missing_work, 4, "'Tide: Removing Objects from Pictures' is listed", {"missing"}),
        (dropped_quotes, 1, "no quote stands behind", {"no_quotes", "recall_quote"}),
    ],
)
def test_a_damaged_answer_is_named_and_counted(
    good: Mapping[str, Answer],
    before: Report,
    reextraction: Reextraction,
    change: Callable[[Any], None],
    line: int,
    named: str,
    keys: set[str],
) -> None:
    after = report({**good, "colour": changed(good["colour"], change)}, reextraction)
    problems = [str(one) for one in after.problems if one.line == line]
    assert any(named in one and one.startswith("colour, ") for one in problems), problems
    for key in keys:
        was, became = share(before, key), share(after, key)
        better = next(item.better for item in after.measures if item.key == key)
        assert became < was if better == "higher" else became > was, key


def test_words_about_links_are_no_link(
    good: Mapping[str, Answer], before: Report, reextraction: Reextraction
) -> None:
    def change(raw: Any) -> None:
        first(raw).update(text="The prompt gives no link here.", quotes=[])

    after = report({**good, "colour": changed(good["colour"], change)}, reextraction)
    assert any("gives no link" in one.message for one in after.problems if one.line == 1)
    assert after.measure("links") == before.measure("links")


def test_a_quote_that_is_none_is_no_evidence_even_for_its_own_words(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    def invented(raw: Any) -> None:
        words = "The network was trained on Mars."
        first(raw).update(text=words)
        first(raw)["quotes"][0].update(text=words)

    found = report({"colour": changed(good["colour"], invented)}, reextraction)
    verdict = next(item for item in found.verdicts if item.text.endswith("Mars."))
    assert verdict.quote_recall is verdict.supported is False
    assert verdict.quote_precisions == (False,)


def test_without_the_sources_nothing_is_held_to_be_right_or_wrong(
    good: Mapping[str, Answer], tmp_path: Path
) -> None:
    found = report(good, Reextraction(Settings(data_dir=tmp_path)))
    for key in ("exact", "pages", "recall_quote", "unsupported"):
        assert unscored(found, key) > 0, key
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
    assert unscored(found, "recall_quote") == unscored(found, "unsupported") == 0
    assert share(found, "no_quotes") == share(found, "false_refusals") == 1
    answered = found.measure("false_answers")
    assert answered is not None
    assert answered.counts() == (1, 2, 1)
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
    assert mismatched_prompts([PROMPTS["move"]]) == [None]
    links = [prompt_of(f"How {n}?", [f"2401.0000{n}"]) for n in (1, 2)]
    asked = mismatched_prompts(links)
    assert [item and item.listings for item in asked] == [links[1].listings, links[0].listings]

    own, mismatched = try_writer(replace(pipeline, writer=PlainWriter()), PROMPTS)
    assert own.keys() == PROMPTS.keys()
    # This writer always says something.
    assert share(report(own, reextraction, mismatched=mismatched), "false_answers") == 1


def test_the_report_reads_back_and_shows_every_line(before: Report, tmp_path: Path) -> None:
    for number, title in LINES.items():
        assert f"**{number}. {title}**" in before.to_markdown()
    assert read_report(write(tmp_path / "report.json", before.to_json())) == before
    for broken in ("{}", "[", before.to_json().replace('"line": 1', '"line": "one"')):
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
    assert json.loads(found.to_json())["perturbations"]["works"] == found.perturbations.works
    assert report({}, reextraction, perturbed_per_kind=3).perturbations is None


def test_words_of_a_file_cannot_act_in_the_page_or_the_plot(
    good: Mapping[str, Answer], reextraction: Reextraction, before: Report, tmp_path: Path
) -> None:
    def hostile(raw: Any) -> None:
        first(raw)["text"] = "\x1b[2J | <img src=x> | [click](http://evil.example/x)"

    found = report({"a|b": changed(good["colour"], hostile)}, reextraction)
    page = found.to_markdown()
    assert "\x1b" not in page
    assert "<img" not in page.replace("\\<img", "")
    assert "[click]" not in page.replace("\\[click\\]", "")

    pytest.importorskip("matplotlib")
    odd = replace(before, name="a|b <img> $x_{", measures=before.measures[5:])
    assert "a\\|b \\<img\\>" in compare(odd, before).to_markdown()
    assert plot_reports([odd, before], tmp_path / "new" / "page.png", title="$x_{ and \x1b")
    assert plot_reports([replace(before, measures=())], tmp_path / "empty.png", title="nothing")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")


def test_labels_are_drawn_written_read_and_correct_the_third_line(
    good: Mapping[str, Answer], reextraction: Reextraction, tmp_path: Path
) -> None:
    evaluated, _ = evaluated_answers(good, reextraction)
    drawn = draw(evaluated, 6, seed=1)
    assert drawn == draw(evaluated, 6, seed=1) != draw(evaluated, 6, seed=2)
    path = write(tmp_path / "sheet.csv", write_sheet(drawn))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len({row["id"] for row in rows}) == 6
    assert read_labels(path) == {}
    for row, word in zip(rows, ["yes", "no", "Yes", "", "1", "no"], strict=True):
        row["supported"] = word
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    labels = read_labels(path)
    assert sorted(labels.values()) == [False, False, True, True, True]
    found = report(good, reextraction, labels={**labels, "of another answer": True})
    assert found.corrected is not None
    assert (found.corrected.labelled, found.corrected.ignored) == (5, 1)
    # The checker found nothing unsupported, people two of five.
    assert found.corrected.estimate.value == pytest.approx(2 / 5)
    assert "corrected by labels (PPI) | 40.0 %" in found.to_markdown()


@pytest.mark.parametrize(
    ("sheet", "why"),
    [
        ("x,y\n1,2\n", "no sheet of labels"),
        ("id,supported\ns1,perhaps\n", "supported is 'perhaps'"),
        ("id,supported\ns1,yes\ns1,no\n", "two different labels"),
    ],
)
def test_a_sheet_that_is_none_is_refused(sheet: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=why):
        read_labels(write(tmp_path / "a.csv", sheet))


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
    assert [(item.text, [c.passage for c in item.citations]) for item in made.statements] == [
        ("The net reads 3 photos.", ["The network reads 3 photos."]),
        (
            "It also writes music.",
            ["It sings.\nStill of the second passage.", "It writes music at night."],
        ),
        ("Nobody knows why.", []),
    ]
    (answer,) = read_external(write(tmp_path / "one.jsonl", made.to_json() + "\n"))
    assert answer == made.evaluated("one.jsonl:1")
    with pytest.raises(AnswerError, match=r"cites \[4\]"):
        from_marked_text("How?", "A thing [1, 4].\n[1] A thing.")
    found = evaluate("theirs", CHECKER, answers={}, document_of=_none, external=[answer])
    assert {item.line for item in found.measures} == {2, 3}
    recall = found.measure("recall_quote")
    assert recall is not None
    assert recall.counts()[1] == 3
    assert "| not measured here |" in found.to_markdown()


def _none(record: object) -> Any:
    raise AssertionError(f"nothing is read of {record}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"question": "Q", "statements": []}', "format: Field required"),
        (
            '{"format": "cited-answer/1", "question": "Q", "statements": [{"text": 1}]}',
            r"statements\[0\].text: .*valid string",
        ),
        ('{"format": "cited-answer/1", "question": "", "statements": [], "x": 1}', "x: Unexpected"),
    ],
)
def test_a_line_of_another_form_is_refused_by_number(line: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"x.jsonl:2: .*{why}"):
        read_external(write(tmp_path / "x.jsonl", "\n" + line))


def rag(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_the_commands_try_writers_judge_compare_and_draw_a_sheet(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    settings = pipeline.settings
    options = ("--data-dir", settings.data_dir, "--offline", "--perturbed", "1")
    made = tmp_path / "reports"
    rag(
        "evaluate", "writers", *write_prompts(tmp_path / "prompts").values(), *options, "--mirror",
        settings.mirror, "--encoder", settings.encoder, "--model", tmp_path / "no-model",
        "--output", made,
    )  # fmt: skip
    assert "The writer 'local' could not run here" in (made / "README.md").read_text()
    folder = made / "extractive"
    assert {path.name for path in folder.iterdir()} == {
        "answers", "mismatched", "report.json", "report.md", "report.png",
    }  # fmt: skip
    page = (folder / "report.md").read_text()
    assert "| false answers |" in page
    again = rag(
        "evaluate", "answers", folder, "--mismatched", folder / "mismatched", *options,
        "--name", "extractive", "--output", tmp_path / "again",
    )  # fmt: skip
    assert (tmp_path / "again" / "report.md").read_text() == page
    assert len(again.splitlines()) <= 24
    assert max(map(len, again.splitlines())) <= 100
    assert again.startswith("extractive; answers: 3, questions: 3, statements in own words: 0, quo")
    assert "\n2, 3 are of a writer's own words: there are none\n" in again
    assert re.search(
        r"^1 quotes that stand in their source, letter by letter +100.0 %", again, re.M
    )
    sheet = tmp_path / "sheet.csv"
    drawing = ("evaluate", "sheet", folder, "--data-dir", settings.data_dir, "--output", sheet)
    rag(*drawing, "--size", "5")
    assert len(read_labels(sheet)) == 0
    rag(*drawing, code=2)
    with pytest.raises(AnswerError, match=r"no answer is in .*prompts; expected answer files"):
        read_answers([tmp_path / "prompts"])
    other = tmp_path / "other"
    rag("evaluate", "answers", folder / "answers" / "move.json", *options, "--output", other)
    compared = tmp_path / "compared"
    shown = rag("evaluate", "compare", folder, other, "--output", compared)
    assert "extractive against extractive" in shown
    assert {path.suffix for path in compared.iterdir()} == {".md", ".json", ".png"}
    marked = write(tmp_path / "marked.txt", MARKED)
    assert rag("evaluate", "convert", "How?", marked).startswith('{"format": "cited-answer/1"')


def test_the_first_is_compared_with_the_second_on_what_both_have(
    good: Mapping[str, Answer], before: Report, reextraction: Reextraction
) -> None:
    damaged = {name: changed(answer, dropped_quotes) for name, answer in good.items()}
    second = replace(report(damaged, reextraction), name="theirs", checker="b")
    found = compare(before, second)
    row = next(row for row in found.rows if row.key == "recall_quote")
    assert (row.second, row.difference.clusters) == (0, 3)
    assert row.difference.mean is not None
    assert row.difference.mean > 0.5
    assert "Judged by two checkers" in found.to_markdown()
    assert not any(row.key == "exact" for row in found.rows if row.second is not None)
