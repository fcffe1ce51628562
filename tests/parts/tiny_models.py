"""Real tiny parts for the writers' tests: tokenizers, models and evidence made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from index.documents import Document, Section
from index.passages import split
from index.sources import SourceType
from rag.answer import Answer
from rag.answer.compose import compose
from rag.answer.verify import verify
from rag.prompt import Prompt
from rag.retrieval import FACETS, Evidence, Hit, Reading, SentenceContext, Span
from rag.support import Support
from rag.writers import NOT_SAID, Draft, DraftStatement
from rag.writers.grammar import ShownSentence, numbers_in, prose_error
from rag.writers.local import LoadedModel
from tests.parts import SHARED

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

BRIDGES = (
    "A suspension bridge carries its deck on cables that hang between two towers. The cables "
    "take the load of the deck and hand it on to the anchorages at both ends. In our tests the "
    "main span reached 1,280 metres and swayed by 0.7 metres in a storm. Engineers call the "
    "stiffening girder the part that keeps the deck from twisting. We measured the tension of "
    "every hanger with sensors that cost less than 20 dollars each."
)
KITES = (
    "A kite takes wind as its input and gives lift as its output. The bridle sets the angle at "
    "which the sail meets the wind. The tail adds drag, which keeps the kite from turning over. "
    "In our tests the main span reached 1,280 metres and swayed by 0.7 metres in a storm. "
    "Children can build a kite from paper, string and two thin sticks of wood."
)


@cache
def bpe_tokenizer(chat: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained here and now; `<think>` is an added token that is not special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([BRIDGES, KITES] * 4, trainer)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.add_tokens(["<think>", "</think>"])
    if chat:
        fast.chat_template = CHATML
    return fast


@cache
def smollm2_tokenizer() -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_file=str(SHARED / "models/smollm2-tokenizer/tokenizer.json"),
        eos_token="<|im_end|>",
    )
    fast.chat_template = CHATML
    return fast


SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def built(kind: Any, config: Any, rows: int, seed: int = 0, **more: Any) -> Any:
    """A model with random weights; `rows` is the size of its vocabulary."""
    torch.manual_seed(seed)
    return kind(config(vocab_size=rows, **{**SIZES, **more})).eval()


def llama(rows: int, *, seed: int = 0, context: int = 4096) -> Any:
    return built(LlamaForCausalLM, LlamaConfig, rows, seed, max_position_embeddings=context)


def qwen(rows: int, *, seed: int = 0) -> Any:
    return built(
        Qwen3ForCausalLM, Qwen3Config, rows, seed, head_dim=8, max_position_embeddings=4096
    )


def loaded(model: Any = None, tokenizer: Any = None) -> LoadedModel:
    tokenizer = tokenizer or bpe_tokenizer()
    return LoadedModel.of(model or llama(len(tokenizer)), tokenizer, name="tiny")


def saved(folder: Path, **more: Any) -> Path:
    """A llama and its tokenizer as a checkpoint in `folder`."""
    llama(len(bpe_tokenizer()), **more).save_pretrained(folder)
    bpe_tokenizer().save_pretrained(folder)
    return folder


def repeats(model: Any, token: int) -> Any:
    """The model, made to choose nothing but `token`."""

    def insist(module: Any, args: Any, output: Any) -> Any:
        output = output.clone()
        output[..., token] = 1e4
        return output

    model.get_output_embeddings().register_forward_hook(insist)
    return model


def hits(source_id: str, text: str) -> tuple[Hit, ...]:
    source_type: SourceType = "summary" if source_id.startswith("summary:") else "full text"
    return tuple(
        Hit(source_id, source_type, passage, 1.0 / (1 + rank))
        for rank, passage in enumerate(split(document(text)))
    )


def shown(*texts: str) -> list[ShownSentence]:
    """The sentences of the texts, each under the number of its passage."""
    passages = [hit for n, text in enumerate(texts) for hit in hits(f"summary:{n}", text)]
    return [
        ShownSentence(n, hit, *sentence)
        for n, hit in enumerate(passages, 1)
        for sentence in hit.sentences()
    ]


def document(text: str) -> Document:
    return Document(text, "", (), (Section(0, len(text)),), "test")


def evidence(
    works: Mapping[str, str] | None = None,
    question: str = "How does it work?",
    *,
    related: Mapping[str, str] | None = None,
    near: float = 0.5,
) -> Evidence:
    """Recommended and related works by name and text, each listed with its text as the summary;
    every sentence has the similarity `near` to the question."""
    works = {"Bridges": BRIDGES, "Kites": KITES} if works is None else works
    prompt = Prompt.build(question, recommended=_listed(works), related=_listed(related or {}))
    hits_of_works = [hits(str(item.summary_id), item.summary or "") for item in prompt.listings]
    contexts: dict[Span, SentenceContext] = {}
    for work in hits_of_works:
        sentences = [sentence for hit in work for sentence in hit.sentences()]
        previous = ""
        for number, (span, text) in enumerate(sentences):
            contexts[span] = SentenceContext(near, number, len(sentences), number, previous)
            previous = text
    return Evidence(
        prompt=prompt,
        readings=tuple(
            Reading(
                source_id=str(item.summary_id),
                source_type="summary",
                sha256=sha256((item.summary or "").encode()).hexdigest(),
                document_sha256=document(item.summary or "").sha256,
                extractor="test",
            )
            for item in prompt.listings
            if item.summary
        ),
        works=tuple(hits_of_works),
        contexts=contexts,
    )


def _listed(works: Mapping[str, str]) -> list[dict[str, str | None]]:
    return [
        {"model": name, "summary": " ".join(text.split()) or None} for name, text in works.items()
    ]


def statements(draft: Draft) -> list[DraftStatement]:
    notes = [note.statement for note in draft.relevance_notes if note is not None]
    return [*draft.task, *draft.input, *draft.model, *draft.output, *notes]


def check_draft(material: Evidence, draft: Draft) -> Answer:
    """What holds for every draft, whatever wrote it; its answer, which verifies."""
    numbers = numbers_in(" ".join(hit.text for hit in material.hits()))
    for item in statements(draft):
        assert prose_error(item.text, numbers) == "" if item.text else len(item.quotes) == 1
        assert item.quotes or item.text == NOT_SAID
    assert all(getattr(draft, facet) for facet in FACETS)
    for listing, note in zip(material.prompt.listings, draft.relevance_notes, strict=True):
        quotes = note.statement.quotes if note else ()
        assert {span.source_id for span in quotes} <= set(listing.source_ids)
    answer = compose(material, draft)
    documents = {item.summary_id: document(item.summary or "") for item in material.prompt.listings}
    verification = verify(answer, lambda record: documents[record.id])
    assert verification.verified, verification.failures
    assert Answer.from_json(answer.to_json()) == answer
    return answer


class FixedChecker:
    """A support checker that gives every statement the same probability."""

    name, threshold = "fixed", 0.5

    def __init__(self, probability: float | None) -> None:
        self.probability = probability
        self.statements: list[str] = []

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        self.statements.append(statement)
        return Support(self.probability)

    def check_all(self, pairs: Any) -> list[Support]:
        return [self.check(*pair) for pair in pairs]
