"""How a system message and a user message become token ids for one model.

A model's own chat template is used where there is one; what is put into it is encoded apart, as
ordinary text, so that nothing in it can end a turn or begin one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from index.errors import WriterError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Below this many characters a text that the tokenizer cannot give back is not halved further.
_SMALLEST = 16


class Vocabulary:
    """`rows` is the number of rows of the model's embedding, `stops` the ids that end a turn.

    Every added token (`<|im_end|>`, but also `<think>`, which some tokenizers do not mark as
    special) is one the text of a paper can spell but never be encoded as: llguidance's own
    wrapper encodes forced text with the added tokens it finds in it.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, rows: int, stops: Iterable[int] = ()
    ) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise WriterError("this model's tokenizer has no tokenizer.json; take another model")
        from tokenizers import Tokenizer

        raw: dict[str, Any] = json.loads(backend.to_str())
        added = [item for item in raw["added_tokens"] if item["content"].strip()]
        for item in added:
            item["special"] = True
        raw.update(truncation=None, padding=None, post_processor=None)
        self._whole = raw
        self._plain = Tokenizer.from_str(json.dumps(_without_prefix_space(raw)))
        self._plain.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.size: int = backend.get_vocab_size(with_added_tokens=True)
        highest = max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        if highest >= rows:
            raise WriterError(
                f"the tokenizer has tokens up to {highest}, the model's embedding only {rows} "
                "rows: tokenizer and weights do not belong together; use the model's own tokenizer"
            )
        self.rows = rows
        self.special = frozenset(int(item["id"]) for item in added)
        ends = tokenizer.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        self.stops = tuple(sorted({int(x) for x in (*stops, *ends) if x is not None and x < rows}))

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of every id; ids that are special or stand for nothing get a name instead."""
        from llguidance import LLTokenizer

        known = LLTokenizer(json.dumps(self._whole), eos_token=self.stops[0] if self.stops else 0)
        size = known.vocab_size
        found = [known.decode_bytes([number]) for number in range(size)]
        for number in range(size):
            if number in self.special or not found[number]:
                found[number] = f"<[{number}]>".encode()
        return tuple(found)

    @cached_property
    def _unused(self) -> frozenset[int]:
        named = set(self.tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).values())
        empty = {n for n, token in enumerate(self.tokens) if token == f"<[{n}]>".encode()}
        return frozenset(empty | (set(range(len(self.tokens))) - named))

    @cached_property
    def matching(self) -> Any:
        """The `LLTokenizer` for matchers over this vocabulary. Takes about 0.1 s once."""
        from llguidance import LLTokenizer

        tokens, unused = list(self.tokens), set(self._unused)
        ends = list(self.stops)
        if not ends:  # No end token: one beyond the logits, which can never be chosen.
            ends = [len(tokens)]
            tokens.append(b"<end>")
            unused.add(ends[0])
        wrapped: Any = _Wrapped(tokens, sorted(unused | set(ends)), ends[0], self._canonical)
        return LLTokenizer(wrapped, eos_token=ends)

    def plain(self, text: str) -> list[int]:
        """The text as ordinary tokens: no special one among them, whatever it spells."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        if self._faithful(ids, text):
            return ids
        if len(text) >= _SMALLEST:
            half = len(text) // 2
            cut = text.rfind(" ", 1, half)
            cut = cut if cut > 0 else half
            return self.plain(text[:cut]) + self.plain(text[cut:])
        return list(self.matching.greedy_tokenize(text))

    def markup(self, text: str) -> list[int]:
        """A piece of the model's own chat template, in which special tokens are meant."""
        found = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return [int(number) for number in found]

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        """What the tokens spell."""
        return b"".join(self.tokens[number] for number in ids)

    def spells(self, text: str) -> bool:
        """Whether ordinary tokens can spell the text exactly."""
        return self._faithful(self.plain(text), text)

    def _faithful(self, ids: Sequence[int], text: str) -> bool:
        return self.special.isdisjoint(ids) and self.bytes_of(ids) == text.encode()

    def _canonical(self, text: str) -> list[int]:
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        # Where the tokenizer changes the text (NFC) any spelling that keeps it will do.
        return ids if self._faithful(ids, text) else list(self.matching.greedy_tokenize(text))


class _Wrapped:
    """What `LLTokenizer` asks of a tokenizer written in Python."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tokens: list[bytes], special: list[int], end: int, encode: Any) -> None:
        self.tokens = tokens
        self.special_token_ids = special
        self.eos_token_id = end
        self._encode = encode

    def __call__(self, text: str | bytes) -> list[int]:
        written = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        return list(self._encode(written))


def _without_prefix_space(raw: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer without the space that some put before every text: pieces are encoded apart
    here, and a forced quote begins in the middle of a line."""
    if isinstance(raw, dict):
        kind = raw.get("type")
        if kind == "Sequence":
            for key in ("normalizers", "pretokenizers"):
                if key in raw:
                    kept = [item for item in raw[key] if item.get("type") != "Prepend"]
                    raw = {**raw, key: [_without_prefix_space(item) for item in kept]}
        elif kind == "Metaspace":
            raw = {**raw, "prepend_scheme": "never"}
        elif kind == "ByteLevel":
            raw = {**raw, "add_prefix_space": False}
        else:
            for key in ("normalizer", "pre_tokenizer"):
                found = raw.get(key)
                if isinstance(found, dict):
                    lone = found.get("type") == "Prepend"
                    raw = {**raw, key: None if lone else _without_prefix_space(found)}
    return raw


# Private-use characters: no template has them, and none treats them as white space.
_SYSTEM, _USER = "\ue000\ue001", "\ue002\ue003"
# Templates of models that may think aloud are asked not to; the others ignore the names.
_SILENT = {"enable_thinking": False, "thinking": False}


@dataclass(frozen=True, slots=True)
class Template:
    """Pieces of markup around the two messages: before, between and after them. `merged` where
    the system message has to stand at the head of the user's."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    merged: bool
    plain: bool

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Template:
        """The template of this tokenizer; a plain layout where it has none that can be used."""
        tokenizer: Any = vocabulary.tokenizer
        if getattr(tokenizer, "chat_template", None):
            for merged in (False, True):
                if pieces := _pieces(tokenizer, merged=merged):
                    before, between, after = (tuple(vocabulary.markup(p)) for p in pieces)
                    return cls(before, between, after, merged, plain=False)
        start = tokenizer.bos_token_id
        before = () if start is None else (int(start),)
        gap = tuple(vocabulary.plain("\n\n"))
        return cls(before, gap, tuple(vocabulary.plain("\n\nAnswer:\n")), False, plain=True)

    def prefix(self, vocabulary: Vocabulary, system: str, shared: str) -> list[int]:
        """Everything before the part of the user's message that differs between prompts."""
        return [
            *self.before,
            *vocabulary.plain(system),
            *self.between,
            *vocabulary.plain(shared),
        ]

    def suffix(self, vocabulary: Vocabulary, task: str) -> list[int]:
        """The rest of the user's message and the beginning of the model's turn."""
        return [*vocabulary.plain(task), *self.after]


def _pieces(tokenizer: Any, *, merged: bool) -> Sequence[str] | None:
    """The markup around the two messages, or None where this template does not take them so."""
    import jinja2

    if merged:
        messages = [{"role": "user", "content": f"{_SYSTEM}\n\n{_USER}"}]
    else:
        messages = [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": _USER},
        ]
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **_SILENT
        )
    except (jinja2.TemplateError, TypeError, ValueError):
        return None
    if text.count(_SYSTEM) != 1 or text.count(_USER) != 1:
        return None
    before, rest = text.split(_SYSTEM)
    if _USER not in rest:
        return None
    between, after = rest.split(_USER)
    return before, between, after
