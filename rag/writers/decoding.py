"""The decoding loop: a causal model, its key-value cache, and a grammar that says what may come
next. Text that the grammar forces is fed at once, in one forward pass.

Knows nothing of evidence, statements or prompts: token ids in, text of a regular language out.
"""

from __future__ import annotations

import codecs
import copy
import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from index.errors import WriterError
from rag.writers import error_line
from rag.writers.tokenizer import TokenVocabulary

if TYPE_CHECKING:
    import torch

# Tokens of a prompt fed in one forward pass: bounds the memory attention takes.
PREFILL = 1024
# Logits beyond this are as good as certain; finite, so that dividing by a temperature stays so.
_CERTAIN = 1e9


@dataclass(slots=True)
class Tally:
    """The cost of decoding, added up. `decoded` tokens were chosen by the model, `forced` ones
    were the only possible ones; `steps` are forward passes after the prompt's, `blind` the choices
    at which the model's logits were not numbers."""

    prompt: int = 0
    decoded: int = 0
    forced: int = 0
    steps: int = 0
    masks: int = 0
    mask_seconds: float = 0.0
    blind: int = 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """`finished` is False where the token budget ended before the grammar did: the text is then
    only a beginning and must not be used. `chosen` are the positions in `ids` of the tokens that
    cost a forward pass; the others were forced."""

    text: str
    ids: tuple[int, ...]
    finished: bool
    chosen: tuple[int, ...] = ()


class Decoder:
    """One model with one cache: of a new prompt only the part is fed that it does not share with
    what was fed last."""

    def __init__(self, model: Any, vocabulary: TokenVocabulary) -> None:
        takes = inspect.signature(model.forward).parameters
        if "past_key_values" not in takes:
            kind = type(model).__name__
            raise WriterError(f"{kind} keeps no key-value cache; take a causal language model")
        self.model = model
        self.vocabulary = vocabulary
        self.tally = Tally()
        self._extra: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._fed: list[int] = []
        self._cache: Any = None
        self._base: tuple[list[int], Any] | None = None

    def hold(self, prefix: Sequence[int]) -> None:
        """Feed a prefix that the next prompts share. Where the model's cache cannot be cut back
        (sliding windows, recurrent states) a copy of it is kept to start from again."""
        self._feed(self._align(prefix), prompt=True)
        croppable = self._croppable()
        self._base = None if croppable else (list(self._fed), copy.deepcopy(self._cache))

    def decode(
        self,
        prompt: Sequence[int],
        grammar: str,
        *,
        budget: int,
        closing: Callable[[str], str | None] | None = None,
        closing_after: int = 0,
        temperature: float = 0.0,
        seed: int = 0,
        stream: Callable[[str], None] | None = None,
    ) -> Decoded:
        """Continue `prompt` within `grammar`, by at most `budget` tokens: greedily at temperature
        0, otherwise drawn with `seed`.

        After `closing_after` tokens `closing` is called with the text so far; it returns a
        stricter grammar to go on in, of which the text must be a beginning, or None.
        """
        import torch

        matcher = self._matcher(grammar)
        random = torch.Generator().manual_seed(seed)
        incremental = codecs.getincrementaldecoder("utf-8")()
        pending, in_prompt = self._align(prompt), True
        written: list[int] = []
        chosen: list[int] = []

        def take(ids: Sequence[int]) -> None:
            matcher.consume_tokens(ids)
            written.extend(ids)
            pending.extend(ids)
            if stream is not None:
                stream(incremental.decode(self.vocabulary.bytes_of(ids)))

        while True:
            began = time.perf_counter()
            if forced := matcher.compute_ff_tokens():
                take(forced)
                self.tally.forced += len(forced)
            _check(matcher)
            finished = bool(matcher.is_stopped())
            if finished or len(written) >= budget:
                break
            if closing is not None and len(written) >= closing_after:
                text = self.vocabulary.bytes_of(written).decode("utf-8", "ignore")
                if (stricter := closing(text)) is not None:
                    matcher, closing = self._matcher(stricter), None
                    matcher.consume_tokens(written)
                    continue
            allowed = self._allowed(matcher, began)
            only = np.flatnonzero(allowed[: self.vocabulary.rows])
            if len(only) == 0:  # Only an end that this vocabulary has no token for.
                finished = bool(matcher.is_accepting())
                break
            if len(only) == 1:
                token = int(only[0])
                self.tally.forced += 1
            else:
                logits = self._feed(pending, prompt=in_prompt)
                pending, in_prompt = [], False
                token = self._choose(logits, allowed, temperature, random)
                self.tally.decoded += 1
                chosen.append(len(written))
            if token in self.vocabulary.stops:
                finished = True
                break
            take([token])
        text = self.vocabulary.bytes_of(written).decode("utf-8", "replace")
        return Decoded(text, tuple(written), finished, tuple(chosen))

    def _matcher(self, grammar: str) -> Any:
        from llguidance import LLMatcher

        matcher = LLMatcher(self.vocabulary.matching, grammar, log_level=0)
        _check(matcher)
        return matcher

    def _allowed(self, matcher: Any, began: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which tokens may come next, one truth value for each id. The time since `began`, spent
        in the matcher, is counted with the mask's own."""
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        bits = allocate_token_bitmask(1, self.vocabulary.matching.vocab_size)
        fill_next_token_bitmask(matcher, bits)
        allowed = np.unpackbits(bits.view(np.uint8), bitorder="little").view(np.bool_)
        self.tally.mask_seconds += time.perf_counter() - began
        self.tally.masks += 1
        return allowed

    def _choose(
        self, logits: torch.Tensor, allowed: Any, temperature: float, random: torch.Generator
    ) -> int:
        import torch

        self.tally.blind += not bool(torch.isfinite(logits).all())
        scores = logits.float().nan_to_num(nan=-_CERTAIN, posinf=_CERTAIN, neginf=-_CERTAIN)
        scores = scores.clamp(-_CERTAIN, _CERTAIN)
        # Rows of the embedding beyond the vocabulary are padding and never allowed.
        forbidden = torch.ones(scores.shape[0], dtype=torch.bool)
        forbidden[: len(allowed)] = torch.from_numpy(~allowed[: scores.shape[0]])
        scores.masked_fill_(forbidden.to(scores.device), float("-inf"))
        if temperature <= 0:
            return int(scores.argmax())
        weights = torch.softmax((scores - scores.max()) / temperature, dim=0).cpu()
        return int(torch.multinomial(weights, 1, generator=random))

    def _feed(self, ids: Sequence[int], *, prompt: bool) -> torch.Tensor:
        """Run the model over `ids`, after what it was fed before; the logits after the last."""
        import torch

        try:
            with torch.inference_mode():
                if self._cache is None:
                    from transformers import DynamicCache

                    self._cache = DynamicCache(config=self.model.config)
                for start in range(0, len(ids), PREFILL):
                    piece = torch.tensor(
                        [list(ids[start : start + PREFILL])], device=self.model.device
                    )
                    output = self.model(
                        input_ids=piece, past_key_values=self._cache, use_cache=True, **self._extra
                    )
                logits: torch.Tensor = output.logits[0, -1]
        except Exception as error:
            self._fed, self._cache = [], None
            if not isinstance(error, MemoryError | RuntimeError):
                raise
            hint = "; take a smaller model" if "memory" in error_line(error).lower() else ""
            raise WriterError(f"the model could not be run: {error_line(error)}{hint}") from error
        self._fed.extend(ids)
        if prompt:
            self.tally.prompt += len(ids)
        else:
            self.tally.steps += 1
        return logits

    def _align(self, prompt: Sequence[int]) -> list[int]:
        """Cut the cache back to what it shares with `prompt`; the rest, still to be fed, is never
        empty: the logits after the last token are needed."""
        shared, most = 0, min(len(self._fed), len(prompt) - 1)
        while shared < most and self._fed[shared] == prompt[shared]:
            shared += 1
        if surplus := len(self._fed) - shared:
            if shared and self._base is None and self._croppable():
                self._cache.crop(-surplus)
                self._fed = self._fed[:shared]
            elif self._base is not None and len(self._base[0]) <= shared:
                self._fed, self._cache = list(self._base[0]), copy.deepcopy(self._base[1])
            else:
                self._fed, self._cache = [], None
        return list(prompt[len(self._fed) :])

    def _croppable(self) -> bool:
        cache = self._cache
        return cache is not None and bool(cache.is_croppable) and not any(cache.is_sliding)


def _check(matcher: Any) -> None:
    if matcher.is_error():
        reason = str(matcher.get_error()).splitlines()[0]
        raise WriterError(f"the grammar of a statement could not be followed: {reason}")
