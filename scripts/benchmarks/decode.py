"""What quote-bound decoding costs: against the same text token by token, and against generation
without a grammar. One run, one model, one prompt."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from rag.retrieval.evidence import Evidence
from rag.writers.grammar import candidates_of, closing, numbers_in, statement_grammar
from rag.writers.local.decoding import Decoder, Sampling, Tally
from rag.writers.local.loading import LoadedModel
from rag.writers.local.tokenizer import ChatTemplate
from rag.writers.messages import (
    SYSTEM,
    SYSTEM_BRIEF,
    PartRequest,
    choose_passages,
    request_message,
    shared_message,
)

_SMALL = 2048  # tokens of context below which the messages are the brief ones


def bench_decode(
    loaded: LoadedModel,
    evidence: Evidence,
    *,
    statements: int = 4,
    passages: int = 12,
    prose_tokens: int = 32,
    temperature: float = 0.0,
) -> dict[str, Any]:
    """Write `statements` statements over at most `passages` passages of the evidence, which must
    hold some, in at most a third of the model's context. `prose_tokens` bounds the prose, which a
    model without training never ends.

    Figures are sums over the statements: `steps` are forward passes after the prompt's, three times
    are of decoding without the prompt, in seconds: with the grammar and forced text at once
    (`bound`), the same tokens with the same grammar one by one through `model.generate`
    (`stepwise`), and as many tokens of free text (`free`)."""
    vocabulary, plain = loaded.vocabulary, loaded.vocabulary.plain
    third = loaded.context // 3
    chosen = choose_passages(
        evidence, room=third, most=passages, cost=lambda hit, text: len(plain(text))
    )
    candidates = candidates_of(chosen.shown)
    numbers = numbers_in("\n".join(item.text for item in chosen.shown))
    template, brief = ChatTemplate.of(vocabulary), loaded.context < _SMALL
    shared = shared_message(evidence.prompt, chosen.shown, brief=brief)
    request = request_message(PartRequest("task", "task"), brief=brief)
    ids = [
        *template.prefix(vocabulary, SYSTEM_BRIEF if brief else SYSTEM, shared),
        *template.suffix(vocabulary, request),
    ]
    grammar = partial(statement_grammar, candidates, numbers, silence=False)
    decoder = Decoder(loaded.model, vocabulary, device=loaded.device)
    decoder.hold(ids)
    # The first passes pay for allocations, and the tokenizer's trie is built at the first mask.
    decoder.decode(ids, grammar(), budget=8)
    decoder.tally = tally = Tally()
    texts: list[tuple[int, ...]] = []
    quoted = steps = 0
    for seed in range(statements):
        decoded = decoder.decode(
            ids,
            grammar(),
            budget=max(64, loaded.context - len(ids)),
            closing=lambda text: closing(text, lambda most: grammar(characters=most)),
            closing_after=prose_tokens,
            sampling=Sampling(temperature, seed),
        )
        spelled = [vocabulary.tokens[token] for token in decoded.ids]
        begins = next((n for n, token in enumerate(spelled) if b'"' in token), len(spelled))
        texts.append(decoded.ids)
        quoted += len(spelled) - begins
        steps += sum(position >= begins for position in decoded.chosen)
    tokens = sum(map(len, texts))
    bound = tally.step_seconds + tally.mask_seconds + tally.compile_seconds
    stepwise = sum(_generate(loaded, ids, text, grammar()) for text in texts)
    free = sum(_generate(loaded, ids, text, "") for text in texts)
    return {
        "model": loaded.name,
        "device": loaded.device,
        "dtype": loaded.dtype,
        "vocabulary": vocabulary.size,
        "prompt_tokens": len(ids),
        "candidates": len(candidates),
        "statements": statements,
        "tokens": tokens,
        "quoted_tokens": quoted,
        "steps": tally.steps,
        "quoted_steps": steps,
        "mask_ms": 1e3 * tally.mask_seconds / max(1, tally.masks),
        "mask_ms_per_token": 1e3 * tally.mask_seconds / max(1, tokens),
        "compile_ms": 1e3 * tally.compile_seconds / max(1, statements),
        "bound": bound,
        "stepwise": stepwise,
        "free": free,
        "steps_per_quoted_token": steps / max(1, quoted),
        "speedup_over_stepwise": stepwise / bound,
        "cost_against_unconstrained": bound / free,
        "tokens_per_second": tokens / bound,
    }


def _generate(loaded: LoadedModel, ids: Sequence[int], text: Sequence[int], grammar: str) -> float:
    """Seconds that `model.generate` takes for as many tokens as `text` after the prompt, less
    what the prompt and the first token take. With a grammar its mask is made at every step, as
    the logits processors of constrained generation do, and the token taken is that of `text`."""
    import torch

    def run(length: int) -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            loaded.model.generate(
                torch.tensor([list(ids)], device=loaded.device),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=loaded.device),
                min_new_tokens=length,
                max_new_tokens=length,
                do_sample=False,
                pad_token_id=0,
                logits_processor=[_Replay(loaded, text, grammar, len(ids))] if grammar else None,
            )
        if loaded.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - began

    first = run(1)
    return max(1e-9, (run(len(text)) - first) * len(text) / max(1, len(text) - 1))


class _Replay:
    """A logits processor: masks by the grammar, then takes the next token of a given text."""

    def __init__(self, loaded: LoadedModel, text: Sequence[int], grammar: str, prompt: int) -> None:
        from llguidance import LLMatcher
        from llguidance.numpy import allocate_token_bitmask

        matching = loaded.vocabulary.matching
        self.matcher = LLMatcher(matching, grammar, log_level=0)
        self.bits = allocate_token_bitmask(1, matching.vocab_size)
        self.text, self.prompt = text, prompt

    def __call__(self, ids: Any, scores: Any) -> Any:
        import torch
        from llguidance.numpy import fill_next_token_bitmask

        position = ids.shape[1] - self.prompt
        fill_next_token_bitmask(self.matcher, self.bits)
        allowed = np.unpackbits(self.bits.view(np.uint8), bitorder="little").view(np.bool_)
        mask = torch.from_numpy(allowed[: scores.shape[1]]).to(scores.device)
        scores[:, : len(mask)].masked_fill_(~mask, float("-inf"))
        self.matcher.consume_token(self.text[position])
        scores.fill_(float("-inf"))
        scores[:, self.text[position]] = 0.0
        return scores
