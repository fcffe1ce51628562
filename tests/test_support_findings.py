"""What the rules call wrong in a statement, and what they leave alone."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.support import sentences
from rag.support.findings import Comparison, findings, tokens
from rag.support.quantities import unmarked


def found_in(statement: str, *evidence: str) -> list[tuple[str, str]]:
    return [(finding.kind, finding.said) for finding in findings(Comparison(statement, evidence))]


# Statement | evidence | a finding: its kind and the statement's words.
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
It takes 77 hours and needs 12 cards to fill a hole. | It fills the hole. | number: 77 hours
Paris is larger than London. | London is larger than Paris. | comparison: larger
It ran for 3 hours or more. | It ran for 3 hours or less. | comparison: 3 hours or more
It uses GPT-3 as a judge. | It uses GPT-4 as a judge. | name: GPT-3
It has 8 layers and 12 heads in all. | It has 12 layers and 8 heads in all. | number: 8
"""
# Statement | evidence that it follows from.
RIGHT = """
The authors train it end to end. | It does not need labels, and we train it end to end.
No improvement was seen. | The score did not improve.
It failed to converge. | It did not converge.
It is unstable. | It is not stable.
GPT-4 underperforms BERT. | BERT outperforms GPT-4.
BERT is outperformed by GPT-4. | GPT-4 outperforms BERT.
BERT is slower than GPT-4. | GPT-4 is faster than BERT.
BERT is slower than GPT-4 on all tasks. | GPT-4 is faster than BERT on all tasks.
It uses a GAN. | It uses a generative adversarial network.
It uses a Convolutional Neural Network. | It uses a CNN.
Two GANs, GPT4 and Pytorch are used. | Two GAN, GPT-4 and PyTorch are used.
He holds Armenian papers. | He holds papers of Armenia.
The gain is higher. | The gain increases.
According to the Authors, it works. | It works.
It is not only fast but exact. | It is fast and exact.
"""


@pytest.mark.parametrize("case", WRONG.strip().splitlines())
def test_names_what_is_wrong(case: str) -> None:
    statement, evidence, expected = case.split(" | ")
    assert tuple(expected.split(": ")) in found_in(statement, evidence)


@pytest.mark.parametrize("case", RIGHT.strip().splitlines())
def test_leaves_honest_paraphrases_alone(case: str) -> None:
    statement, evidence = case.split(" | ")
    assert found_in(statement, evidence) == []


def test_a_name_does_not_merely_begin_a_sentence() -> None:
    text = "Training is hard. However, Adam helps ResNet-50 and mAP. See Figure 3."
    assert [token.text for token in tokens(text) if token.named] == ["Adam", "ResNet-50", "mAP"]


def test_sentences_do_not_end_at_abbreviations() -> None:
    text = "Smith et al. Showed it, cf. Fig. 3. It works! Does it? Yes (J. Doe)."
    assert sentences([text]) == [
        "Smith et al. Showed it, cf. Fig. 3.", "It works!", "Does it?", "Yes (J. Doe).",
    ]  # fmt: skip


@given(st.text(max_size=200))
def test_tokens_are_slices_in_order(text: str) -> None:
    every = tokens(text)
    assert len(unmarked(text)) == len(text)
    assert [unmarked(text)[it.start : it.end] for it in every] == [it.text for it in every]
    assert all(one.end <= other.start for one, other in pairwise(every))


@given(st.text(max_size=150), st.lists(st.text(max_size=80), max_size=3))
def test_any_statement_can_be_examined(statement: str, evidence: list[str]) -> None:
    for finding in findings(Comparison(statement, evidence)):
        assert 0 <= finding.start < finding.end <= len(statement)


def test_every_span_is_the_statements_own_words() -> None:
    statement = "By 2014, BERT did not beat GPT-4 by 3 points on GLUE."
    evidence = ["By 2013, RoBERTa beat XLNet by 4 points on SQuAD."]
    wrong = findings(Comparison(statement, evidence))
    assert [statement[it.start : it.end] for it in wrong] == [it.said for it in wrong] != []


SENTENCES = [
    "The encoder has 12 layers and is not trained on ImageNet, but BERT is faster by 3.5 %.",
    "We did not find that GPT-4 outperforms LLaMA in 2023, although it costs $5 million.",
    "No labels are needed; accuracy falls from 93.1 to 88.4 points without warm-up.",
]


@pytest.mark.parametrize("sentence", SENTENCES)
@given(st.permutations(SENTENCES))
def test_a_sentence_of_the_evidence_has_no_findings_whatever_stands_beside_it(
    sentence: str, evidence: list[str]
) -> None:
    assert findings(Comparison(sentence, evidence)) == ()


def test_a_word_without_end_is_read_at_once() -> None:
    began = time.process_time()
    assert not findings(Comparison("a" * 60_000, ["b" * 60_000]))
    assert time.process_time() - began < 10  # Some minutes where every letter begins a try.
