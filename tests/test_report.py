"""A report on good answers finds nothing; on spoiled ones it names each spoilage."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from index.errors import AnswerError, DatasetError
from index.settings import Settings
from rag.answer.compose import NO_RELEVANCE
from rag.answer.model import Answer, Statement
from rag.answer.reextraction import Reextraction
from rag.cli.main import app
from rag.evaluation import MismatchedAnswers, Report, cross, evaluate
from rag.evaluation.comparison import Compared
from rag.evaluation.comparison import compare as side_by_side
from rag.evaluation.external import ExternalAnswer, from_marked_text, read_external
from rag.evaluation.labels import COLUMNS, draw, read_labels, write_sheet
from rag.evaluation.rendering import LINES, read_measures, to_json, to_markdown
from rag.evaluation.report import evaluated_answers
from rag.evaluation.trial import try_writer
from rag.pipeline import Pipeline
from rag.support import BuiltinChecker
from rag.writers.base import NOT_SAID
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


def report(answers: Mapping[str, Answer], reextraction: Reextraction, **more: Any) -> Report:
    return evaluate("test", CHECKER, answers=answers, document_of=reextraction, **more)


def share(found: Report, key: str) -> float | None:
    measure = found.measure(key)
    assert measure is not None
    return measure.estimate().value


def test_good_answers_have_all_lines_and_nothing_wrong(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    found = report(good, reextraction)
    assert [str(one) for one in found.problems if one.line != 2] == []
    assert {item.line for item in found.measures} == {1, 2, 3, 4, 5}
    for key in ("exact", "pages", "links"):
        assert share(found, key) == 1, key
    for key in ("wrong_work", "no_quotes", "unsupported", "missing", "false_refusals"):
        assert share(found, key) == 0, key
    used, silent = share(found, "used"), share(found, "silent")
    assert used is not None
    assert silent is not None
    assert used + silent == pytest.approx(1)
    source_types = [
        share(found, f"tier_{source_type}") for source_type in ("full_text", "readme", "summary")
    ]
    assert sum(value or 0 for value in source_types) == pytest.approx(1)


def spoiled(answer: Answer, change: Callable[[Any], None]) -> Answer:
    raw = json.loads(answer.to_json())
    change(raw)
    return Answer.from_json(json.dumps(raw))


def first(raw: Any) -> Any:
    statement = raw["sections"]["task"][0]
    assert statement["quotes"][0]["source_id"].startswith("arxiv:")
    return statement


def foreign_quote(raw: Any) -> None:
    first(raw)["quotes"][0].update(source_id="arxiv:9999.00001v1", text="Elsewhere it is said.")


def others_words(raw: Any) -> None:
    """A sentence of Tide, said to stand in Lantern."""
    first(raw)["quotes"][0].update(text="Inpainting is the task of filling a hole")


def shifted_page(raw: Any) -> None:
    first(raw)["quotes"][0]["pages"] = [first(raw)["quotes"][0]["pages"][0] + 1]


def changed_link(raw: Any) -> None:
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
        (foreign_quote, 1, "arxiv:9999.00001v1 is not a listed source", {"exact", "wrong_work"}),
        (others_words, 1, "says something else", {"exact", "wrong_work", "pages"}),
        (shifted_page, 1, "stands on page 1 of arxiv:2401.00001v2, not 2", {"pages"}),
        (changed_link, 1, "https://github.com/somebody/else", {"links"}),
        (link_in_words, 1, "the prompt gives no link 'https://example.org/more'", {"links"}),
        (contradiction, 2, "nothing that says “77 hours”", {"recall_quote", "unsupported"}),
        (contradiction, 3, "no listed work supports 'Tide takes 77", {"answers_unsupported"}),
        (missing_work, 4, "'Tide: Removing Objects from Pictures' is listed", {"missing"}),
        (dropped_quotes, 1, "no quote stands behind", {"no_quotes", "recall_quote"}),
    ],
)
def test_a_spoiled_answer_is_named_and_counted(
    good: Mapping[str, Answer],
    reextraction: Reextraction,
    change: Callable[[Any], None],
    line: int,
    named: str,
    keys: set[str],
) -> None:
    before = report(good, reextraction)
    after = report({**good, "colour": spoiled(good["colour"], change)}, reextraction)
    told = [str(one) for one in after.problems if one.line == line]
    assert any(named in one and one.startswith("colour, ") for one in told), told
    for key in keys:
        was, became = share(before, key), share(after, key)
        assert was is not None
        assert became is not None
        better = next(item.better for item in after.measures if item.key == key)
        assert became < was if better == "higher" else became > was, key


def test_a_quote_that_is_none_is_no_evidence_even_for_its_own_words(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    def invented(raw: Any) -> None:
        words = "The network was trained on Mars."
        first(raw).update(text=words)
        first(raw)["quotes"][0].update(text=words)

    found = report({"colour": spoiled(good["colour"], invented)}, reextraction)
    verdict = next(item for item in found.verdicts if item.text.endswith("Mars."))
    assert (verdict.quote_recall, verdict.quote_precisions, verdict.supported) == (0, (0,), 0)


def test_without_the_sources_nothing_is_held_to_be_right_or_wrong(
    good: Mapping[str, Answer], tmp_path: Path
) -> None:
    found = report(good, Reextraction(Settings(data_dir=tmp_path)))
    for key in ("exact", "pages", "recall_quote", "unsupported"):
        measure = found.measure(key)
        assert measure is not None
        assert share(found, key) is None, key
        assert measure.unscored > 0, key
    assert "no bytes with the recorded hash are kept" in to_markdown(found)


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
    crossed = MismatchedAnswers(
        (quiet["colour"], good["move"]), ("a question without other works",)
    )
    found = report(quiet, reextraction, crossed=crossed)
    assert found.statements == 0
    assert found.fixed == sum(4 + len(answer.references) for answer in quiet.values())
    assert share(found, "recall_quote") is None
    assert share(found, "unsupported") is None
    assert share(found, "no_quotes") == 1
    assert share(found, "false_refusals") == 1
    answered = found.measure("false_answers")
    assert answered is not None
    assert (answered.numerator, answered.denominator, answered.unscored) == (1, 2, 1)
    assert share(found, "false_parts") == 4 / 8
    assert "—" in to_markdown(found)


def test_questions_are_crossed_with_works_that_their_prompt_does_not_list() -> None:
    pairs = cross(list(PROMPTS.values()))
    colour, _, move = pairs
    assert (colour.works, move.works) == (2, 0)
    assert colour.prompt is not None
    assert colour.prompt.question == PROMPTS["colour"].question
    assert [item.name for item in colour.prompt.listings] == [
        "Kite: Moving Pictures from One Frame"
    ]
    alike = [prompt("colour", ["Lantern"]), prompt("remove", ["Tide"], [])]
    assert [item.prompt for item in cross(alike)] == [None, None]
    assert cross([PROMPTS["move"]])[0].prompt is None


def test_a_writer_is_tried_on_its_own_works_and_on_foreign_ones(
    pipeline: Pipeline, reextraction: Reextraction
) -> None:
    trial = try_writer(replace(pipeline, writer=PlainWriter()), PROMPTS)
    assert trial.answers.keys() == PROMPTS.keys()
    found = report(trial.answers, reextraction, crossed=trial.foreign())
    assert share(found, "false_answers") == 1  # it always says something


def test_the_report_says_everything_twice_for_readers_and_for_programs(
    good: Mapping[str, Answer], reextraction: Reextraction, tmp_path: Path
) -> None:
    found = report(good, reextraction)
    page = to_markdown(found)
    for number, title in LINES.items():
        assert f"**{number}. {title}**" in page
    name, checker, measures = read_measures(write(tmp_path / "report.json", to_json(found)))
    assert (name, checker, tuple(measures)) == ("test", CHECKER.name, found.measures)
    with pytest.raises(DatasetError, match="not a report"):
        read_measures(write(tmp_path / "other.json", "{}"))


def test_without_labels_the_checker_is_tried_on_spoiled_sentences_of_the_works(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    found = report(good, reextraction, spoiled_per_kind=3)
    assert found.spoilage is not None
    kinds = {row.kind: row for row in found.spoilage.rows}
    assert kinds["verbatim"].by_either == 0
    assert "| verbatim | false alarms | 3 |" in to_markdown(found)
    assert json.loads(to_json(found))["validity"]["perturbations"]["works"] > 1
    assert report({}, reextraction, spoiled_per_kind=3).spoilage is None


def test_words_of_a_file_cannot_act_in_the_page(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    def hostile(raw: Any) -> None:
        first(raw)["text"] = "\x1b[2J | <img src=x> | [click](http://evil.example/x)"

    page = to_markdown(report({"a|b": spoiled(good["colour"], hostile)}, reextraction))
    assert "\x1b" not in page
    assert "<img" not in page.replace("\\<img", "")
    assert "[click]" not in page.replace("\\[click\\]", "")


def test_labels_are_drawn_written_read_and_correct_the_third_line(
    good: Mapping[str, Answer], reextraction: Reextraction, tmp_path: Path
) -> None:
    subjects, _ = evaluated_answers(good, reextraction)
    drawn = draw(subjects, 6, seed=1)
    assert drawn == draw(subjects, 6, seed=1) != draw(subjects, 6, seed=2)
    path = write(tmp_path / "sheet.csv", write_sheet(drawn))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len({row["id"] for row in rows}) == 6
    assert read_labels(path) == {}
    said = ["yes", "no", "Yes", "", "1", "no"]
    for row, word in zip(rows, said, strict=True):
        row["supported"] = word
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    labels = read_labels(path)
    assert sorted(labels.values()) == [False, False, True, True, True]
    found = report(good, reextraction, labels={**labels, "of another answer": True}).corrected
    assert found is not None
    assert (found.labelled, found.ignored) == (5, 1)
    # The checker found nothing unsupported, people two of five.
    assert found.value == pytest.approx(2 / 5)
    assert "corrected by labels (PPI) | 40.0 %" in to_markdown(
        report(good, reextraction, labels=labels)
    )


def test_a_sheet_that_is_none_and_a_word_that_is_no_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no sheet of labels"):
        read_labels(write(tmp_path / "a.csv", "x,y\n1,2\n"))
    with pytest.raises(DatasetError, match="supported is 'perhaps'"):
        read_labels(write(tmp_path / "b.csv", "id,supported\ns1,perhaps\n"))
    with pytest.raises(DatasetError, match="two different labels"):
        read_labels(write(tmp_path / "c.csv", "id,supported\ns1,yes\ns1,no\n"))


def test_no_cell_of_the_sheet_is_a_formula() -> None:
    subject = ExternalAnswer.subject(
        from_marked_text("=HYPERLINK(1)?", "The net is wide [1].\n[1] +1 The net is wide."), "x"
    )
    (row,) = list(csv.DictReader(write_sheet(draw([subject], 1)).splitlines(keepends=True)))
    assert not any(value.startswith(("=", "+", "-", "@")) for value in row.values())


MARKED = """The net reads 3 photos [1]. It also writes music.[2,3] Nobody knows why.

[1] The network reads 3 photos.
[2] It sings.
Still of the second passage.
[3] It writes music at night.
"""


def test_prose_with_markers_becomes_statements_with_their_passages(tmp_path: Path) -> None:
    made = from_marked_text("How?", MARKED)
    told = [(item.text, [c.passage for c in item.citations]) for item in made.statements]
    sings = "It sings.\nStill of the second passage."
    assert told == [
        ("The net reads 3 photos.", ["The network reads 3 photos."]),
        ("It also writes music.", [sings, "It writes music at night."]),
        ("Nobody knows why.", []),
    ]
    (subject,) = read_external(write(tmp_path / "one.jsonl", made.to_json() + "\n"))
    assert subject == made.subject("one.jsonl:1")
    with pytest.raises(AnswerError, match=r"cites \[4\]"):
        from_marked_text("How?", "A thing [1, 4].\n[1] A thing.")


def test_answers_of_other_systems_are_judged_without_the_lines_that_need_sources() -> None:
    subject = from_marked_text("How?", MARKED).subject("theirs")
    found = evaluate("theirs", CHECKER, answers={}, document_of=_none, others=[subject])
    assert {item.line for item in found.measures} == {2, 3}
    recall = found.measure("recall_quote")
    assert recall is not None
    assert recall.denominator == 3
    assert "| not measured here |" in to_markdown(found)


def _none(record: object) -> Any:
    raise AssertionError(f"nothing is read of {record}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "expected an object"),
        ('{"format": "cited-answer/1", "question": "Q"}', "statements is missing"),
        (
            '{"format": "cited-answer/1", "question": "Q", "statements": [{"text": 1}]}',
            r"statements\[0\].text",
        ),
    ],
)
def test_a_line_of_another_form_is_refused_by_number(line: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(AnswerError, match=rf"x.jsonl:2: .*{why}"):
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
    options = ("--data-dir", settings.data_dir, "--offline")
    prompts = write_prompts(tmp_path / "prompts")
    made = tmp_path / "reports"
    rag(
        "evaluate", "writers", *prompts.values(), *options, "--mirror", settings.mirror,
        "--encoder", settings.encoder, "--model", tmp_path / "no-model", "--output", made,
        "--spoiled", "1",
    )  # fmt: skip
    assert "The writer 'local' could not run here" in (made / "README.md").read_text()
    folder = made / "extractive"
    assert {path.name for path in folder.iterdir()} == {
        "answers", "crossed", "report.json", "report.md", "report.png",
    }  # fmt: skip
    page = (folder / "report.md").read_text()
    assert "| false answers |" in page
    again = rag(
        "evaluate", "answers", folder, "--crossed", folder / "crossed", *options,
        "--name", "extractive", "--spoiled", "0",
    )  # fmt: skip
    assert again.count("of 3") == page.count("of 3") > 0
    sheet = tmp_path / "sheet.csv"
    rag(
        "evaluate", "sheet", folder, "--data-dir", settings.data_dir, "--output", sheet, "--size", 5
    )
    assert len(read_labels(sheet)) == 0
    rag("evaluate", "sheet", folder, "--output", sheet, code=2)
    other = tmp_path / "other"
    rag(
        "evaluate",
        "answers",
        folder / "answers" / "move.json",
        *options,
        "--output",
        other,
        "--spoiled",
        "0",
    )
    compared = tmp_path / "compared"
    shown = rag("evaluate", "compare", folder, other, "--output", compared)
    assert "extractive against extractive" in shown
    assert {path.suffix for path in compared.iterdir()} == {".md", ".json", ".png"}


def test_a_name_that_is_no_plain_word_is_drawn_and_written_as_it_is(
    good: Mapping[str, Answer], reextraction: Reextraction, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    from rag.evaluation.plotting import plot

    measures = report(good, reextraction).measures
    first = Compared("a|b <img> $x_{", "c", [item for item in measures if item.line == 2])
    second = Compared("other", "c", measures)
    assert "a\\|b \\<img\\>" in side_by_side(first, second).to_markdown()
    assert plot([first, second], tmp_path / "new" / "page.png", title="$x_{ and \x1b")
    assert plot([Compared("nothing", "c", [])], tmp_path / "empty.png", title="nothing")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_is_compared_with_the_second_on_what_both_have(
    good: Mapping[str, Answer], reextraction: Reextraction
) -> None:
    ours = report(good, reextraction)
    spoilt = {name: spoiled(answer, dropped_quotes) for name, answer in good.items()}
    theirs = report(spoilt, reextraction)
    found = side_by_side(
        Compared("ours", ours.checker, ours.measures), Compared("theirs", "b", theirs.measures)
    )
    row = next(row for row in found.rows if row.key == "recall_quote")
    assert (row.second, row.change.prompts) == (0, 3)
    assert row.change.mean is not None
    assert row.change.mean > 0.5
    assert "Judged by two checkers" in found.to_markdown()
    assert not any(row.key == "exact" for row in found.rows if row.second is not None)
