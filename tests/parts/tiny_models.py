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

from index.documents.document import Document, Section
from index.passages import split
from index.sources.store import SourceType
from rag.answer.compose import compose
from rag.answer.model import Answer
from rag.answer.verify import verify
from rag.prompt import Prompt
from rag.retrieval.evidence import FACETS, Evidence, Hit, Reading
from rag.writers.base import Draft
from rag.writers.local.loading import LoadedModel

SHARED = Path(__file__).parents[2] / "../shared"
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


def llama(rows: int, *, seed: int = 0, context: int = 4096, **more: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    config = LlamaConfig(vocab_size=rows, max_position_embeddings=context, **{**sizes, **more})
    model: LlamaForCausalLM = LlamaForCausalLM(config).eval()  # type: ignore[no-untyped-call]
    return model


def qwen(rows: int, *, seed: int = 0, context: int = 4096, **more: Any) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=rows,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=context,
        **more,
    )
    model: Qwen3ForCausalLM = Qwen3ForCausalLM(config).eval()  # type: ignore[no-untyped-call]
    return model


def loaded(model: Any = None, tokenizer: Any = None, **more: Any) -> LoadedModel:
    tokenizer = tokenizer or bpe_tokenizer()
    return LoadedModel.of(
        llama(len(tokenizer), **more) if model is None else model, tokenizer, name="tiny"
    )


def repeats(model: Any, token: int) -> Any:
    """The model, made to want nothing but `token` for ever."""

    def insist(module: Any, args: Any, output: Any) -> Any:
        output = output.clone()
        output[..., token] = 1e4
        return output

    model.get_output_embeddings().register_forward_hook(insist)
    return model


def hits(source_id: str, text: str, heading: str = "") -> tuple[Hit, ...]:
    source_type: SourceType = "summary" if source_id.startswith("summary:") else "full text"
    return tuple(
        Hit(source_id, source_type, passage, 1.0 / (1 + rank))
        for rank, passage in enumerate(split(document(text, heading)))
    )


def document(text: str, heading: str = "") -> Document:
    return Document(text, "", (), (Section(0, len(text), heading),), "test")


def evidence(
    works: Mapping[str, str] | None = None, question: str = "How does it work?"
) -> Evidence:
    """Works by name and text, each listed with its text as the summary."""
    works = {"Bridges": BRIDGES, "Kites": KITES} if works is None else works
    recommended = [
        {"model": name, "summary": " ".join(text.split()) or None} for name, text in works.items()
    ]
    prompt = Prompt.build(question, recommended=recommended)
    found = [hits(str(item.summary_id), item.summary or "") for item in prompt.listings]
    everything: Sequence[Hit] = [hit for work in found for hit in work]
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
        facets={facet: (*everything[n:], *everything[:n]) for n, facet in enumerate(FACETS)},
        works=tuple(found),
    )


def verified(found: Evidence, draft: Draft) -> Answer:
    """The answer that the draft makes, after `rag verify` had nothing against it."""
    answer = compose(found, draft)
    documents = {item.summary_id: document(item.summary or "") for item in found.prompt.listings}
    verification = verify(answer, lambda record: documents[record.id])
    assert verification.verified, verification.failures
    assert Answer.from_json(answer.to_json()) == answer
    return answer
