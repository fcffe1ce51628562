"""What quote-bound decoding costs, in one run with one model and one prompt.

Times are of decoding without the prompt, in seconds: with the grammar and forced text at once
(`bound`), the same tokens with the same grammar one by one (`stepwise`), and as many tokens of free
text (`free`). `steps` are forward passes after the prompt's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from rag.cli.options import OpenSettings, settings, with_options_of
from rag.pipeline import Pipeline
from rag.prompt import read_prompt
from rag.selection.grading import trained_model
from rag.writers.decoding import Tally
from rag.writers.extractive import ExtractiveWriter
from rag.writers.grammar import candidates_of, closing, numbers_in, statement_grammar
from rag.writers.local import PLANS, LoadedModel, LocalWriter, load_model
from rag.writers.messages import PartRequest, choose_sentences
from scripts.benchmarks import report

SENTENCES = 12  # shown to the model at most, in a third of its context
PROSE_TOKENS = 32  # prose before a quote: a model without training never ends it


@with_options_of(settings)
def decode(
    open_settings: OpenSettings,
    prompt: Annotated[Path, typer.Argument(help="A prompt document; its works are the evidence.")],
    model: Annotated[str, typer.Option(help="A causal model: name or folder.")],
    statements: Annotated[int, typer.Option(min=1, help="How many statements are written.")] = 4,
) -> None:
    """Quote-bound decoding with forced text fed at once, against the same text token by token
    through `model.generate`, and against as much unconstrained text."""
    pipeline = Pipeline.of(open_settings(), ExtractiveWriter())
    evidence = pipeline.gather(read_prompt(prompt))
    loaded = load_model(model, offline=pipeline.settings.offline)
    writer, vocabulary = LocalWriter(loaded), loaded.vocabulary
    choice = choose_sentences(
        trained_model().scores(evidence),
        evidence.hits(),
        room=loaded.context // 3,
        most=SENTENCES,
        cost=lambda hit, text: len(vocabulary.plain(text)),
    )
    candidates = candidates_of(choice.shown)
    numbers = numbers_in("\n".join(item.text for item in choice.shown))
    plan = next(plan for plan in PLANS if plan.brief is (loaded.context < 2048))
    request = writer.suffix(PartRequest("task", "task"), plan)
    ids = [*writer.prefix(evidence, choice, plan), *request]
    grammar = partial(statement_grammar, candidates, numbers, silence=False)
    decoder = writer.decoder
    decoder.hold(ids)
    # The first passes pay for allocations, and the tokenizer's trie is built at the first mask.
    decoder.decode(ids, grammar(), budget=8)
    decoder.tally = tally = Tally()
    began = time.perf_counter()
    texts: list[tuple[int, ...]] = []
    quoted = quoted_steps = 0
    for seed in range(statements):
        decoded = decoder.decode(
            ids,
            grammar(),
            budget=max(64, loaded.context - len(ids)),
            closing=lambda text: closing(text, lambda most: grammar(characters=most)),
            closing_after=PROSE_TOKENS,
            seed=seed,
        )
        spelled = [vocabulary.tokens[token] for token in decoded.ids]
        begins = next((n for n, token in enumerate(spelled) if b'"' in token), len(spelled))
        texts.append(decoded.ids)
        quoted += len(spelled) - begins
        quoted_steps += sum(position >= begins for position in decoded.chosen)
    tokens = sum(map(len, texts))
    bound = time.perf_counter() - began
    stepwise = sum(_generate(loaded, ids, text, grammar()) for text in texts)
    free = sum(_generate(loaded, ids, text, "") for text in texts)
    report(
        {
            "model": loaded.name,
            "device": str(loaded.model.device),
            "dtype": str(loaded.model.dtype),
            "vocabulary": vocabulary.size,
            "prompt_tokens": len(ids),
            "candidates": len(candidates),
            "statements": statements,
            "tokens": tokens,
            "quoted_tokens": quoted,
            "steps": tally.steps,
            "quoted_steps": quoted_steps,
            "mask_ms": 1e3 * tally.mask_seconds / max(1, tally.masks),
            "mask_ms_per_token": 1e3 * tally.mask_seconds / max(1, tokens),
            "bound": bound,
            "stepwise": stepwise,
            "free": free,
            "steps_per_quoted_token": quoted_steps / max(1, quoted),
            "speedup_over_stepwise": stepwise / bound,
            "cost_against_unconstrained": bound / free,
            "tokens_per_second": tokens / bound,
        }
    )


def _generate(loaded: LoadedModel, ids: Sequence[int], text: Sequence[int], grammar: str) -> float:
    """Seconds that `model.generate` takes for as many tokens as `text` after the prompt, less
    what the prompt and the first token take. With a grammar its mask is made at every step, as
    the logits processors of constrained generation do, and the token taken is that of `text`."""
    import torch
    from llguidance import LLMatcher

    def replay(matcher: Any, written: Any, scores: Any) -> Any:
        token = text[written.shape[1] - len(ids)]
        bias = bytearray(matcher.compute_logit_bias())
        allowed = torch.frombuffer(bias, dtype=torch.uint8)[: scores.shape[1]].to(scores.device)
        scores[:, : len(allowed)].masked_fill_(allowed == 0, float("-inf"))
        matcher.consume_token(token)
        scores.fill_(float("-inf"))
        scores[:, token] = 0.0
        return scores

    def run(length: int) -> float:
        began = time.perf_counter()
        matcher = LLMatcher(loaded.vocabulary.matching, grammar, log_level=0) if grammar else None
        with torch.inference_mode():
            loaded.model.generate(
                torch.tensor([list(ids)], device=loaded.model.device),
                attention_mask=torch.ones(
                    1, len(ids), dtype=torch.long, device=loaded.model.device
                ),
                min_new_tokens=length,
                max_new_tokens=length,
                do_sample=False,
                pad_token_id=0,
                logits_processor=[partial(replay, matcher)] if matcher else None,
            )
        if loaded.model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    first = run(1)
    return max(1e-9, (run(len(text)) - first) * len(text) / max(1, len(text) - 1))
