"""What the rules call wrong in a statement, what they leave alone, and how quantities are read."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.support import sentences
from rag.support.findings import Comparison, findings, tokens
from rag.support.quantities import CITED, quantities, unmarked


def found_in(statement: str, *evidence: str) -> list[tuple[str, str]]:
    """Kind and words of each finding, which stand where it says."""
    wrong, plain = findings(Comparison(statement, evidence)), unmarked(statement)
    assert all(0 <= it.start < it.end and plain[it.start : it.end] == it.said for it in wrong)
    return [(it.kind, it.said) for it in wrong]


# Statement | evidence | the one finding: its kind and the statement's words.
WRONG = """
It does not need labels. | It needs labels. | negation: not
It needs labels. | It does not need labels. | negation: needs
It converges without warm-up. | It converges with warm-up. | comparison: without
The outputs are stable and may not drift over time. | \
The outputs are stable and may drift over time. | negation: not
Training is unsupervised. | Training is supervised. | comparison: unsupervised
It is slower than before. | It is faster than before. | comparison: slower
The reward falls and the loss falls. | The reward rises and the loss falls. | comparison: falls
It is faster than U-Net. | It is a variant of U-Net. | comparison: faster
BERT outperforms GPT-4 on SQuAD. | GPT-4 outperforms BERT on SQuAD. | comparison: outperforms
BERT is outperformed by GPT-4. | BERT outperforms GPT-4. | comparison: outperformed
It is trained on ImageNet. | It is trained on CIFAR-10. | name: ImageNet
It was written by Jane Smith. | It was written by Jane Doe. | name: Smith
The team first trained Alice and then Bob on the data. | \
The team first trained Bob and then Alice on the data. | name: Alice
Paris is larger than London. | London is larger than Paris. | comparison: larger
It uses GPT-3 as a judge. | It uses GPT-4 as a judge. | name: GPT-3
It takes 77 hours and needs 12 cards to fill a hole. | It fills the hole. | number: 77 hours
It has 8 layers and 12 heads in all. | It has 12 layers and 8 heads in all. | number: 8
Nine runs. | Several runs. | number: Nine
It takes 5 s. | It takes 5 ms. | unit: 5 s
It has 5 million weights. | It has 5 billion weights. | unit: 5 million
It gains 45. | It gains 45 %. | percentage: 45
It gains 5 percentage points. | It gains 5 %. | percentage: 5 percentage points
It gains 90 %. | It gains 90.3%. | percentage: 90 %
100 % of them. | 1 of them. | percentage: 100 %
It was in 2014. | It was in 2013. | date: 2014
It was on 13 December 2013. | It was on 12 December 2013. | date: 13 December
It takes over 5 days. | It takes less than 5 days. | comparison: over 5 days
It takes over 5 days. | It takes 5 days. | comparison: over 5 days
At least 5 runs. | At most 5 runs. | comparison: At least 5
It ran for 3 hours or more. | It ran for 3 hours or less. | comparison: 3 hours or more
"""
# Statement | evidence that it follows from.
RIGHT = """
The authors train it end to end. | It does not need labels, and we train it end to end.
No improvement was seen. | The score did not improve.
It failed to converge. | It did not converge.
It is unstable. | It is not stable.
It needs no labels. | It does not need any labels.
GPT-4 underperforms BERT. | BERT outperforms GPT-4.
BERT is outperformed by GPT-4. | GPT-4 outperforms BERT.
BERT is slower than GPT-4 on all tasks. | GPT-4 is faster than BERT on all tasks.
It uses a GAN. | It uses a generative adversarial network.
It uses a Convolutional Neural Network. | It uses a CNN.
Two GANs, GPT4 and Pytorch are used. | Two GAN, GPT-4 and PyTorch are used.
He holds Armenian papers. | He holds papers of Armenia.
The gain is higher. | The gain increases.
According to the Authors, it works. | It works.
It is not only fast but exact. | It is fast and exact.
It gains more than 90 %. | It gains 93.2 %.
It gains about 90 %. | It gains 90.3%.
It takes less than 5 days. | It takes 5 days at first, and 4 days then.
It drops by 0.5. | It changes by −0.5.
It uses two models. | Both models are used.
It uses one model. | A single model is used.
It gains 45 %. | It gains 45, 50 and 55 %.
It runs 2 times. | It runs twice.
It was on 12 December 2013. | In 2013, it was on December 12.
One of them works. | Some work.
At least 5 runs. | More than 5 runs.
"""


@pytest.mark.parametrize("case", WRONG.strip().splitlines())
def test_names_what_is_wrong(case: str) -> None:
    statement, evidence, expected = case.split(" | ")
    assert tuple(expected.split(": ")) in found_in(statement, evidence)


@pytest.mark.parametrize("case", RIGHT.strip().splitlines())
def test_leaves_honest_paraphrases_alone(case: str) -> None:
    statement, evidence = case.split(" | ")
    assert found_in(statement, evidence) == []


def test_a_finding_names_what_stands_there_instead() -> None:
    (finding,) = findings(Comparison("It has 13 layers.", ["It has 12 layers."]))
    assert str(finding) == "number: the statement says “13”, the evidence “12”"


SENTENCES = [
    "The encoder has 12 layers and is not trained on ImageNet, but BERT is faster by 3.5 %.",
    "We did not find that GPT-4 outperforms LLaMA in 2023, although it costs $5 million.",
    "No labels are needed; accuracy falls from 93.1 to 88.4 points without warm-up.",
]


@given(st.text(max_size=150) | st.sampled_from(SENTENCES), st.lists(st.text(max_size=80)))
def test_any_text_has_findings_in_its_own_words_and_none_beside_itself(
    statement: str, evidence: list[str]
) -> None:
    found_in(statement, *evidence)
    assert found_in(statement, statement) == []
    if statement in SENTENCES:
        assert found_in(statement, *SENTENCES, *evidence) == []


def test_a_word_without_end_is_read_at_once() -> None:
    began = time.process_time()
    assert not findings(Comparison("a" * 60_000, ["b" * 60_000]))
    assert time.process_time() - began < 10  # Some minutes where every letter begins a try.


@given(st.text(max_size=200))
def test_tokens_are_slices_in_order(text: str) -> None:
    every = tokens(text)
    assert len(unmarked(text)) == len(text)
    assert [unmarked(text)[it.start : it.end] for it in every] == [it.text for it in every]
    assert all(one.end <= other.start for one, other in pairwise(every))


def test_a_name_does_not_merely_begin_a_sentence() -> None:
    text = "Training is hard. However, Adam helps ResNet-50 and mAP. See Figure 3."
    assert [token.text for token in tokens(text) if token.named] == ["Adam", "ResNet-50", "mAP"]


def test_sentences_do_not_end_at_abbreviations() -> None:
    text = "Smith et al. Showed it, cf. Fig. 3. It works! Does it? Yes (J. Doe)."
    assert sentences([text]) == [
        "Smith et al. Showed it, cf. Fig. 3.", "It works!", "Does it?", "Yes (J. Doe).",
    ]  # fmt: skip


# Text | the quantities in it: value in the base unit, and the dimension.
READ = """
175B parameters | 175000000000
1,234,567 images | 1234567
a rate of 1e-4 | 0.0001
a rate of 3×10^-5 | 0.00003
a rate of 2.5 × 10⁻³ | 0.0025
256x256 pixels | 256, 256 px
a 4-bit model | 4 bit
twenty-five models | 25
two hundred and five papers | 205
five per cent | 5 %
3.2 percentage points | 3.2 points
$5 million | 5000000 $
by −0.5 | -0.5
2.1x faster | 2.1 times
the third layer | 3
5 \u017feconds | 5 s
3 m\u0131llion | 3000000
the range [−1, 1] | -1, 1
12 may be, on 28 April 2015 and 2013-12-12 | 12, 428 date, 2015, 2013, 1212 date
"""


@pytest.mark.parametrize("case", READ.strip().splitlines())
def test_reads_quantities(case: str) -> None:
    text, expected = case.split(" | ")
    read = [f"{item.value.normalize():f} {item.dimension}".strip() for item in quantities(text)]
    assert ", ".join(read) == expected


@pytest.mark.parametrize(
    "text", ["GPT-4 on CIFAR-10", "see [12] and [3, 5]", "version 1.2.3", "3D"]
)
def test_names_citations_and_versions_are_no_quantities(text: str) -> None:
    assert all(quantity.bound == CITED for quantity in quantities(text))


WHOLE = st.integers(min_value=3, max_value=10**12)
DECIMALS = st.decimals(min_value="0.01", max_value=10**6, places=2)
WORDS = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@given(WHOLE | st.integers(3, 12) | st.integers(1, 9).map(lambda number: number * 1000))
def test_writing_a_whole_number_differently_never_makes_a_finding(value: int) -> None:
    forms = [str(value), f"{value:,}", f"{value}.0", f"+{value}", *WORDS[value - 3 :][:1]]
    if value % 1000 == 0:
        forms += [f"{value // 1000}k", f"{value // 1000} thousand"]
    for one in forms:
        for other in forms:
            assert found_in(f"There are {one} of them.", f"We count {other} items.") == []


@given(DECIMALS)
def test_a_share_and_its_percentage_are_equal_and_so_are_units_of_one_dimension(
    value: Decimal,
) -> None:
    assert found_in(f"It takes {value} s.", f"It takes {value * 1000} ms.") == []
    assert found_in(f"It is {value} %.", f"It is {value} percent.") == []
    if value < 100:
        assert found_in(f"It is {value} %.", f"It is {value / 100:f}.") == []


@given(WHOLE, WHOLE, st.sampled_from(["", " %", " ms", " GB", " layers", "x"]))
def test_changing_a_value_always_makes_a_finding(one: int, other: int, unit: str) -> None:
    found = found_in(f"There are {one}{unit} here.", f"There are {other}{unit} here.")
    assert bool(found) == (one != other)


UNITS = st.sampled_from(["ms", "GB", "%", "km", "Hz"])


@given(DECIMALS, UNITS, UNITS)
def test_changing_a_unit_or_turning_a_sign_always_makes_a_finding(
    value: Decimal, one: str, other: str
) -> None:
    found = found_in(f"It is {value} {one} long.", f"It is {value} {other} long.")
    assert bool(found) == (one != other)
    assert found_in(f"It is {value} here.", f"It is -{value} here.") == [("sign", str(value))]
    assert [kind for kind, _ in found_in(f"It is −{value} here.", f"It is {value} here.")] == [
        "sign"
    ]
