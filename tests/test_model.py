"""An answer's JSON form: loading after saving is the identity, and nothing else is let in."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.errors import AnswerError
from rag.answer import FORMAT, Answer, read_answer
from rag.writers import WriterRecord
from tests.parts.values import JSON, Steps, at, changed, nodes

NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
# The other fields follow from their types: those with a default only where `...` asks for it.
FIELDS: dict[str, Any] = {field.name: ... for field in fields(WriterRecord)}
WRITERS = st.builds(WriterRecord, **FIELDS | {"seconds": NUMBERS})
ANSWERS = st.builds(Answer, writer=WRITERS)


@pytest.fixture(scope="module")
def raw(answers: Mapping[str, Answer]) -> Any:
    """A real answer as JSON."""
    return json.loads(answers["colour"].to_json())


@given(ANSWERS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_loading_after_saving_is_the_identity(answer: Answer) -> None:
    assert Answer.from_json(answer.to_json()) == answer


def test_the_form_is_the_documented_one(raw: Any) -> None:
    assert raw["format"] == FORMAT == "grounded-answer/3"
    sections = raw["sections"]
    (statement, *_), (reference, *_), (source, *_) = (
        sections["task"], sections["references"], raw["sources"],
    )  # fmt: skip
    for part, keys in (
        (raw, "format prompt writer sections sources"),
        (raw["prompt"], "question sha256 text"),
        (sections, "task workflow references"),
        (sections["workflow"], "input model output"),
        (statement, "text quotes"),
        (statement["quotes"][0], "source_id source_type start end text pages"),
        (reference, "name role paper github sources relevant relevance mentions"),
        (source, "id source_type sha256 extractor document_sha256 version reason"),
    ):
        assert list(part) == keys.split()


def test_every_statement_and_quote_comes_with_its_part(answers: Mapping[str, Answer]) -> None:
    answer = answers["colour"]
    works = [f"references[{number}]" for number in range(len(answer.references))]
    parts = dict.fromkeys(part for part, _ in answer.statements())
    assert list(parts) == ["task", "workflow.input", "workflow.model", "workflow.output", *works]
    quotes = [quote for _, statement in answer.statements() for quote in statement.quotes]
    assert [quote for _, quote in answer.quotes()] == quotes


def test_each_field_is_required_and_none_is_added(raw: Any) -> None:
    for path in nodes(raw):
        value = at(raw, path)
        if not isinstance(value, dict):
            continue
        for key in value:
            lacking = changed(raw, path, {k: v for k, v in value.items() if k != key})
            with pytest.raises(AnswerError, match=r"is missing|expected an answer file"):
                Answer.from_json(json.dumps(lacking))
        with pytest.raises(AnswerError, match="extra is not known"):
            Answer.from_json(json.dumps(changed(raw, path, {**value, "extra": 1})))


@pytest.mark.parametrize(
    ("path", "wrong", "message"),
    [
        (("task", 0, "quotes", 0, "start"), "3", "valid integer; found '3'"),
        (("task", 0, "quotes", 0, "end"), True, "valid integer; found True"),
        (("task", 0, "quotes", 0, "pages"), "1", "valid array; found '1'"),
        (("task", 0, "quotes", 0, "source_type"), "tier", "'full text', 'readme' or 'summary'"),
        (("task", 0, "quotes", 0, "text"), None, "valid string; found None"),
        (("references", 0, "relevant"), 1, "valid boolean; found 1"),
        (("references", 0, "paper"), 7, "valid string; found 7"),
        (("task",), {}, "valid array; found {}"),
        (("task", 0), "said", "an object; found 'said'"),
    ],
)
def test_the_part_that_is_wrong_is_named(raw: Any, path: Steps, wrong: Any, message: str) -> None:
    with pytest.raises(AnswerError) as caught:
        Answer.from_json(json.dumps(changed(raw, ("sections", *path), wrong)))
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    assert f"sections{''.join(steps)} is not as it should be: Input should" in str(caught.value)
    assert message in str(caught.value)


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_any_value_anywhere_is_read_as_it_is_or_refused(raw: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(nodes(raw))))
    value = data.draw(JSON)
    try:
        answer = Answer.from_json(json.dumps(changed(raw, path, value)))
    except AnswerError as error:
        assert "\n" not in str(error)
    else:
        assert json.dumps(at(json.loads(answer.to_json()), path)) == json.dumps(value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("1" * 10_000, "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"format": ' * 50_000, "nested too deeply"),
        ('{"format": NaN}', "NaN is no number"),
        ("[]", "expected an answer file of format"),
        (f'"{FORMAT}"', "is missing|does not have the form"),
        ('{"format": "grounded-answer/0"}', "found 'grounded-answer/0'"),
        ('{"format": "grounded-answer/2"}', r"older version.*ask the prompt again with `rag ask`"),
        (f'{{"format": ["{FORMAT}"]}}', "expected an answer file of format"),
        (f'{{"format": "{FORMAT}"}}', "prompt is missing"),
        (f'{{"format": "{FORMAT}", "format": "{FORMAT}"}}', "the key 'format' is given twice"),
    ],
)
def test_a_file_that_is_no_answer_is_refused(data: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(data, encoding="utf-8")
    with pytest.raises(AnswerError, match=f"answer.json: .*({message})"):
        read_answer(tmp_path / "answer.json")


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "1e999", '"\\ud800"'])
def test_what_is_no_number_and_no_text_is_refused(raw: Any, word: str) -> None:
    for path in (("writer", "seconds"), ("prompt", "question")):
        data = json.dumps(changed(raw, path, 0.25))
        with pytest.raises(AnswerError):
            Answer.from_json(data.replace("0.25", word))


def test_among_many_keys_one_that_is_given_twice_is_found_at_once() -> None:
    keys = [*range(100_000), 99_999]
    began = time.process_time()
    with pytest.raises(AnswerError, match="the key '99999' is given twice"):
        Answer.from_json("{" + ",".join(f'"{key}": 0' for key in keys) + "}")
    assert time.process_time() - began < 5


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.json", "binary.json", "."):
        with pytest.raises(AnswerError, match="cannot be read"):
            read_answer(tmp_path / name)
