"""The decoding loop: whatever the weights, the text is of the grammar and comes to its end."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    GraniteMoeHybridConfig,
    GraniteMoeHybridForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from index.errors import WriterError
from rag.writers import NOT_SAID
from rag.writers.decoding import Decoder
from rag.writers.grammar import (
    candidates_of,
    closing,
    numbers_in,
    parse,
    prose_error,
    statement_grammar,
)
from rag.writers.tokenizer import TokenVocabulary
from tests.parts.tiny_models import (
    BRIDGES,
    KITES,
    bpe_tokenizer,
    built,
    llama,
    qwen,
    repeats,
    shown,
)

ITEMS = candidates_of(shown(BRIDGES, KITES))
NUMBERS = numbers_in(BRIDGES + KITES)
ROWS = len(bpe_tokenizer())
PROSE_TOKENS = 16


def decoder(model: Any = None, tokenizer: Any = None) -> Decoder:
    model = llama(ROWS) if model is None else model
    rows = model.get_input_embeddings().weight.shape[0]
    return Decoder(model, TokenVocabulary(tokenizer or bpe_tokenizer(), rows=rows))


def grammar(characters: int | None = None) -> str:
    return statement_grammar(ITEMS, NUMBERS, silence=False, characters=characters)


def written(writes: Decoder, prompt: str = "How does it work?\n", **sampling: Any) -> str:
    """A statement by this decoder, which is of the grammar, comes to its end and is streamed."""
    pieces: list[str] = []
    decoded = writes.decode(
        writes.vocabulary.plain(prompt),
        grammar(),
        budget=400,
        closing=lambda text: closing(text, grammar),
        closing_after=PROSE_TOKENS,
        stream=pieces.append,
        **sampling,
    )
    assert decoded.finished
    assert len(pieces) > 2
    assert "".join(pieces) == decoded.text
    read = parse(decoded.text, ITEMS)
    assert read is not None
    assert prose_error(read.text, NUMBERS) == ""
    assert read.quotes
    assert len(read.text) <= 16 * PROSE_TOKENS + 48
    return decoded.text


class TestAnyWeights:
    @pytest.mark.parametrize(("seed", "temperature"), [(0, 0.0), (1, 0.0), (2, 1.5), (3, 1.5)])
    def test_random_weights_write_a_statement(self, seed: int, temperature: float) -> None:
        written(decoder(llama(ROWS, seed=seed)), temperature=temperature, seed=seed)

    @pytest.mark.parametrize("token", ["d", "1", " ", '"', ".", "<|im_end|>", "<think>"])
    def test_a_model_that_repeats_one_token_comes_to_its_end(self, token: str) -> None:
        number = decoder().vocabulary.markup(token)[0]
        written(decoder(repeats(llama(ROWS), number)))

    @pytest.mark.parametrize(
        ("value", "temperature"), [(float("nan"), 1.5), (float("inf"), 0.0), (float("-inf"), 1.5)]
    )
    def test_logits_that_are_no_numbers_are_counted(self, value: float, temperature: float) -> None:
        model = llama(ROWS)
        model.get_output_embeddings().register_forward_hook(
            lambda module, args, output: torch.full_like(output, value)
        )
        writes = decoder(model)
        written(writes, temperature=temperature)
        assert writes.tally.blind == writes.tally.decoded > 0

    def test_an_embedding_padded_beyond_the_vocabulary_never_chooses_padding(self) -> None:
        written(decoder(repeats(llama(ROWS + 57), ROWS + 50)))

    def test_a_tokenizer_without_an_end_token_still_ends(self) -> None:
        plain = bpe_tokenizer.__wrapped__(False)
        plain.eos_token = None
        written(decoder(llama(len(plain)), plain))

    def test_only_sampling_needs_a_seed(self) -> None:
        writes = decoder()
        first = written(writes, temperature=1.0, seed=1)
        assert written(writes, temperature=1.0, seed=1) == first
        assert written(writes, temperature=1.0, seed=2) != first
        assert written(writes, seed=1) == written(writes, seed=2)


class TestErrors:
    def test_a_text_that_does_not_end_in_time_is_said_to_be_unfinished(self) -> None:
        writes = decoder(repeats(llama(ROWS), 70))
        decoded = writes.decode(writes.vocabulary.plain("Go on.\n"), grammar(), budget=20)
        assert not decoded.finished
        assert 20 <= len(decoded.ids) < 40

    def test_what_does_not_fit_together_is_refused(self) -> None:
        with pytest.raises(WriterError, match="only 300 rows"):
            decoder(llama(300))
        with pytest.raises(WriterError, match="no key-value cache"):
            Decoder(torch.nn.Linear(2, 2), decoder().vocabulary)
        with pytest.raises(WriterError, match="grammar of a statement"):
            decoder().decode([5, 6], "start: /(/", budget=9)

    def test_no_memory_is_a_clear_error_and_leaves_the_decoder_usable(self) -> None:
        model = llama(ROWS)
        writes = decoder(model)

        def fail(module: Any, args: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

        handle = model.model.layers[1].register_forward_pre_hook(fail)
        with pytest.raises(WriterError, match=r"out of memory.*take a smaller model"):
            written(writes)
        handle.remove()
        assert written(writes) == written(decoder(model))


def sliding() -> Any:
    return built(MistralForCausalLM, MistralConfig, ROWS, sliding_window=12)


def recurrent() -> Any:
    return built(
        GraniteMoeHybridForCausalLM,
        GraniteMoeHybridConfig,
        ROWS,
        num_local_experts=0,
        shared_intermediate_size=64,
        layer_types=["mamba", "attention"],
        mamba_n_heads=4,
        mamba_d_head=16,
        mamba_d_state=8,
        mamba_n_groups=1,
        mamba_chunk_size=8,
    )


class TestCache:
    @pytest.mark.parametrize("make", [lambda: llama(ROWS), lambda: qwen(ROWS), sliding, recurrent])
    def test_a_cache_that_was_used_changes_nothing(self, make: Any) -> None:
        model = make()
        shared = "The question and its passages come first. "
        prompts = [shared + tail for tail in ("One?\n", "Another one?\n", "One?\n")]
        apart = [written(decoder(model), prompt) for prompt in prompts]
        together = decoder(model)
        together.hold(together.vocabulary.plain(shared))
        assert [written(together, prompt) for prompt in prompts] == apart

    def test_a_shared_beginning_is_paid_for_once(self) -> None:
        shared = "The question and its passages come first. " * 20
        writes = decoder()
        writes.hold(writes.vocabulary.plain(shared))
        paid = writes.tally.prompt
        for tail in ("One?\n", "Another one?\n"):
            written(writes, shared + tail)
        assert paid > 200
        assert writes.tally.prompt - paid < 40

    def test_forced_text_is_the_model_s_own_context_afterwards(self) -> None:
        """After a forced run the next scores equal those of the whole text fed at once."""
        model = llama(ROWS)
        writes = decoder(model)
        prompt = writes.vocabulary.plain("How does it work?\n")
        text = written(writes)
        fed = list(writes._fed)
        assert fed[: len(prompt)] == prompt
        assert text.startswith(writes.vocabulary.bytes_of(fed[len(prompt) :]).decode())
        with torch.inference_mode():
            whole = model(torch.tensor([[*fed, 5]])).logits[0, -1]
        torch.testing.assert_close(writes._feed([5], prompt=False), whole, rtol=1e-3, atol=1e-4)

    def test_most_tokens_of_a_quote_cost_no_step(self) -> None:
        writes = decoder()
        text = written(writes)
        quoted = len(writes.vocabulary.plain(text[text.index('"') :]))
        prose = len(writes.vocabulary.plain(text[: text.index('"')]))
        assert writes.tally.forced > 0
        assert (writes.tally.steps - prose) / quoted <= 0.25

    def test_a_text_that_is_forced_throughout_needs_no_model(self) -> None:
        writes = decoder()
        decoded = writes.decode([5, 6], statement_grammar([], ()), budget=50)
        assert decoded.text == NOT_SAID
        assert writes.tally.steps == writes.tally.prompt == 0
