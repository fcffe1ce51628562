"""Quantities and dates: what is read, what is equal to what, and what each difference is called."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.support.findings import Comparison, findings
from rag.support.quantities import CITED, quantities


def kinds(statement: str, evidence: str) -> list[str]:
    return [finding.kind for finding in findings(Comparison(statement, [evidence]))]


def read(text: str) -> list[tuple[str, str]]:
    return [(str(quantity.value.normalize()), quantity.dimension) for quantity in quantities(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("175B parameters", [("1.75E+11", "")]),
        ("1.5 million steps", [("1.5E+6", "")]),
        ("1,234,567 images", [("1234567", "")]),
        ("a rate of 1e-4", [("0.0001", "")]),
        ("a rate of 3×10^-5", [("0.00003", "")]),
        ("a rate of 2.5 × 10⁻³", [("0.0025", "")]),
        ("16×16 patches", [("16", ""), ("16", "")]),
        ("256x256 pixels", [("256", ""), ("256", "px")]),
        ("500 ms", [("0.5", "s")]),
        ("a 12-layer model", [("12", "")]),
        ("a 4-bit model", [("4", "bit")]),
        ("twenty-five models", [("25", "")]),
        ("two hundred and five papers", [("205", "")]),
        ("two and three", [("2", ""), ("3", "")]),
        ("five per cent", [("5", "%")]),
        ("3.2 percentage points", [("3.2", "points")]),
        ("$5 million", [("5E+6", "$")]),
        ("by −0.5", [("-0.5", "")]),
        ("2.1x faster", [("2.1", "times")]),
        ("the third layer", [("3", "")]),
        ("5 \u017feconds", [("5", "s")]),
        ("3 m\u0131llion", [("3E+6", "")]),
        ("the range [−1, 1]", [("-1", ""), ("1", "")]),
    ],
)
def test_reads(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(value, unit) for value, unit in read(text)] == [
        (str(Decimal(value).normalize()), unit) for value, unit in expected
    ]


@pytest.mark.parametrize(
    "text", ["GPT-4 on CIFAR-10", "see [12] and [3, 5]", "version 1.2.3", "3D"]
)
def test_names_citations_and_versions_are_no_quantities(text: str) -> None:
    assert all(quantity.bound == CITED for quantity in quantities(text))


@pytest.mark.parametrize(
    ("statement", "evidence"),
    [
        ("It reaches 0.905.", "It reaches 90.5%."),
        ("It reaches 90.5 percent.", "It reaches 0.905."),
        ("It takes 0.5 s.", "It takes 500 ms."),
        ("It has 1.5B weights.", "It has 1,500 million weights."),
        ("It has twelve layers.", "It has 12 layers."),
        ("It gains more than 90 %.", "It gains 93.2 %."),
        ("It gains about 90 %.", "It gains 90.3%."),
        ("It drops by 0.5.", "It changes by −0.5."),
        ("It uses two models.", "Both models are used."),
        ("It uses one model.", "A single model is used."),
        ("It gains 45 %.", "It gains 45, 50 and 55 %."),
        ("It runs 2 times.", "It runs twice."),
        ("It was on 12 December 2013.", "In 2013, it was on December 12."),
        ("One of them works.", "Some work."),
        ("At least 5 runs.", "More than 5 runs."),
    ],
)
def test_what_the_evidence_says_in_another_way_is_no_finding(statement: str, evidence: str) -> None:
    assert kinds(statement, evidence) == []


@pytest.mark.parametrize(
    ("statement", "evidence", "kind"),
    [
        ("It has 13 layers.", "It has 12 layers.", "number"),
        ("It takes 5 s.", "It takes 5 ms.", "unit"),
        ("It has 5 million weights.", "It has 5 billion weights.", "unit"),
        ("It changes by 0.5.", "It changes by −0.5.", "sign"),
        ("It changes by −0.5.", "It changes by 0.5.", "sign"),
        ("It gains 54 %.", "It gains 45 %.", "percentage"),
        ("It gains 45.", "It gains 45 %.", "percentage"),
        ("It gains 5 percentage points.", "It gains 5 %.", "percentage"),
        ("It gains 90 %.", "It gains 90.3%.", "percentage"),
        ("100 % of them.", "1 of them.", "percentage"),
        ("It was in 2014.", "It was in 2013.", "date"),
        ("It was on 13 December 2013.", "It was on 12 December 2013.", "date"),
        ("It takes over 5 days.", "It takes less than 5 days.", "comparison"),
        ("It takes over 5 days.", "It takes 5 days.", "comparison"),
        ("At least 5 runs.", "At most 5 runs.", "comparison"),
        ("Nine runs.", "Several runs.", "number"),
    ],
)
def test_every_difference_has_its_name(statement: str, evidence: str, kind: str) -> None:
    assert kinds(statement, evidence) == [kind]


def test_a_finding_points_into_the_statement_and_names_what_stands_there_instead() -> None:
    statement = "The model has 13 layers and 8 heads."
    evidence = ["The model has 12 layers and 8 heads."]
    (finding,) = findings(Comparison(statement, evidence))
    assert statement[finding.start : finding.end] == finding.said == "13"
    assert finding.found == "12"
    assert str(finding) == "number: the statement says “13”, the evidence “12”"


def test_a_month_needs_a_capital_letter() -> None:
    assert read("12 may be, on 28 April 2015 and 2013-12-12") == [
        ("12", ""), ("428", "date"), ("2015", ""), ("2013", ""), ("1212", "date"),
    ]  # fmt: skip


WHOLE = st.integers(min_value=3, max_value=10**12)
DECIMALS = st.decimals(min_value="0.01", max_value=10**6, places=2)
WORDS = "three four five six seven eight nine ten eleven twelve"


@given(WHOLE)
def test_writing_a_whole_number_differently_never_makes_a_finding(value: int) -> None:
    forms = [str(value), f"{value:,}", f"{value}.0", f"+{value}"]
    if value % 1000 == 0:
        forms += [f"{value // 1000}k", f"{value // 1000} thousand"]
    if value <= 12:
        forms.append(WORDS.split()[value - 3])
    for one in forms:
        for other in forms:
            assert kinds(f"There are {one} of them.", f"We count {other} items.") == []


@given(DECIMALS)
def test_a_share_and_its_percentage_are_equal_and_so_are_units_of_one_dimension(
    value: Decimal,
) -> None:
    assert kinds(f"It takes {value} s.", f"It takes {value * 1000} ms.") == []
    assert kinds(f"It is {value} %.", f"It is {value} percent.") == []
    if value < 100:
        assert kinds(f"It is {value} %.", f"It is {value / 100:f}.") == []


@given(WHOLE, WHOLE, st.sampled_from(["", " %", " ms", " GB", " layers", "x"]))
def test_changing_a_value_always_makes_a_finding(one: int, other: int, unit: str) -> None:
    found = kinds(f"There are {one}{unit} here.", f"There are {other}{unit} here.")
    assert bool(found) == (one != other)


@given(DECIMALS, st.sampled_from(["ms", "GB", "%", "km", "Hz"]), st.sampled_from(["ms", "GB", "%"]))
def test_changing_a_unit_always_makes_a_finding(value: Decimal, one: str, other: str) -> None:
    found = kinds(f"It is {value} {one} long.", f"It is {value} {other} long.")
    assert bool(found) == (one != other)


@given(DECIMALS)
def test_turning_a_sign_always_makes_a_finding(value: Decimal) -> None:
    assert kinds(f"It is {value} here.", f"It is -{value} here.") == ["sign"]
    assert kinds(f"It is −{value} here.", f"It is {value} here.") == ["sign"]


@given(st.text(max_size=120))
def test_any_text_has_its_own_numbers(text: str) -> None:
    assert findings(Comparison(text, [text])) == ()
