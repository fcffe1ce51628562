"""How a system message and a user message become token ids for one model.

A model's own chat template is used where there is one. What is put into it is encoded separately,
as ordinary text, so that nothing in it can begin or end a turn. A template is a program that came
with the weights. It runs in a worker process, with limits: the sandbox of jinja2 keeps it from
everything but time and memory.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from index.documents.extract import isolated
from index.errors import WriterError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)

TEMPLATE_SECONDS = 20.0
"""What rendering with a chat template may take, of which importing takes one or two."""
TEMPLATE_MEMORY = 2 << 30
_LONGEST = 100_000
"""Characters of a rendered chat; the longest templates that models have write some thousands."""
# Below this many characters a text that the tokenizer cannot give back is not halved further.
_SMALLEST = 16


class TokenVocabulary:
    """The tokens of one model: `rows` is the number of rows of its embedding, `stops` the ids
    that end a turn.

    A text can spell every added token (`<|im_end|>`, but also `<think>`, which some tokenizers do
    not mark as special), but is never encoded as one: llguidance's own wrapper would encode the
    added tokens that it finds in forced text.
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
        self._raw = raw
        self._plain = Tokenizer.from_str(json.dumps(_without_prefix_space(raw)))
        self._plain.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.size: int = backend.get_vocab_size(with_added_tokens=True)
        highest = max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        if highest >= rows:
            raise WriterError(
                f"the tokenizer in {tokenizer.name_or_path} has tokens up to {highest}, the "
                f"model's embedding only {rows} rows: they do not belong together; use its own"
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

        raw = LLTokenizer(json.dumps(self._raw), eos_token=self.stops[0] if self.stops else 0)
        spelled = ((n, raw.decode_bytes([n])) for n in range(raw.vocab_size))
        return tuple(
            _name(n) if n in self.special or not spelling else spelling for n, spelling in spelled
        )

    @cached_property
    def matching(self) -> Any:
        """The `LLTokenizer` for matchers over this vocabulary. Takes about 0.1 s once."""
        from llguidance import LLTokenizer

        tokens, ends = list(self.tokens), list(self.stops)
        known = set(self.tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True).values())
        unused = {n for n, token in enumerate(tokens) if n not in known or token == _name(n)}
        if not ends:  # No end token: one beyond the logits, which can never be chosen.
            ends = [len(tokens)]
            tokens.append(b"<end>")
        wrapped: Any = _Wrapped(tokens, sorted(unused.union(ends)), ends[0], self.plain)
        return LLTokenizer(wrapped, eos_token=ends)

    def plain(self, text: str) -> list[int]:
        """The text as ordinary tokens that spell it exactly, none of them special."""
        ids: list[int] = self._plain.encode(text, add_special_tokens=False).ids
        if self.special.isdisjoint(ids) and self.bytes_of(ids) == text.encode():
            return ids
        if len(text) >= _SMALLEST:
            half = len(text) // 2
            cut = max(text.rfind(" ", 1, half), 0) or half
            return self.plain(text[:cut]) + self.plain(text[cut:])
        # Where the tokenizer changes the text (NFC) any spelling that keeps it will do.
        return list(self.matching.greedy_tokenize(text))

    def markup(self, text: str) -> list[int]:
        """A piece of the model's own chat template, in which special tokens are meant."""
        ids = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return [int(number) for number in ids]

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        """What the tokens spell."""
        return b"".join(self.tokens[number] for number in ids)


@dataclass(frozen=True)
class _Wrapped:
    """What `LLTokenizer` asks of a tokenizer written in Python."""

    tokens: list[bytes]
    special_token_ids: list[int]
    eos_token_id: int
    encode: Callable[[str], list[int]]
    bos_token_id: None = None
    is_tokenizer_wrapper: bool = True

    def __call__(self, text: str | bytes) -> list[int]:
        return self.encode(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)


def _name(number: int) -> bytes:
    return f"<[{number}]>".encode()


def _without_prefix_space(raw: Any) -> Any:
    """The tokenizer's JSON without the space that some put before every text: pieces are encoded
    separately here, and a forced quote begins in the middle of a line."""
    if isinstance(raw, list):
        return [step for step in map(_without_prefix_space, raw) if step]
    if not isinstance(raw, dict) or raw.get("type") == "Prepend":
        return None
    stages = ("normalizer", "pre_tokenizer", "normalizers", "pretokenizers")
    raw = {key: _without_prefix_space(raw[key]) if key in stages else raw[key] for key in raw}
    own: dict[str, dict[str, Any]] = {
        "Metaspace": {"prepend_scheme": "never"},
        "ByteLevel": {"add_prefix_space": False},
    }
    return raw | own.get(raw.get("type", ""), {})


# Private-use characters: no template has them, and none treats them as white space.
_SYSTEM, _USER = "\ue000\ue001", "\ue002\ue003"
# Templates of models that may think aloud are asked not to; the others ignore the names.
_SILENT = {"enable_thinking": False, "thinking": False}


def chat_markup(vocabulary: TokenVocabulary) -> tuple[list[int], ...]:
    """The markup before, between and after a system message and a user's; a plain layout where
    the tokenizer has no template that can be used."""
    apart = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]
    together = [{"role": "user", "content": f"{_SYSTEM}\n\n{_USER}"}]
    tokenizer: Any = vocabulary.tokenizer
    try:
        template = str(tokenizer.get_chat_template())
    except ValueError:  # There is none, or none of several is the usual one.
        template = ""
    names = {**tokenizer.special_tokens_map, **_SILENT}
    for text in rendered_chats(template, [apart, together], names) if template else ():
        head, _, rest = (text or "").partition(_SYSTEM)
        if text and text.count(_SYSTEM) == text.count(_USER) == rest.count(_USER) == 1:
            return tuple(map(vocabulary.markup, (head, *rest.split(_USER))))
    start: Any = tokenizer.bos_token_id
    before = [] if start is None else [int(start)]
    return before, vocabulary.plain("\n\n"), vocabulary.plain("\n\nAnswer:\n")


def rendered_chats(
    template: str,
    chats: Sequence[Sequence[Mapping[str, str]]],
    names: Mapping[str, Any],
    *,
    seconds: float = TEMPLATE_SECONDS,
) -> list[str | None]:
    """Each chat as the template renders it, None where it does not take the messages so, or does
    not come to an end. `names` are what the template may use besides."""
    return _rendered(json.dumps([template, chats, names], default=str), seconds)


@cache
def _rendered(task: str, seconds: float) -> list[str | None]:
    [(name, reply)] = isolated(
        "rag.writers.tokenizer:render",
        [("the model's chat template", [task.encode()])],
        workers=1,
        seconds=seconds,
        memory_bytes=TEMPLATE_MEMORY,
    )
    if isinstance(reply, bytes):
        return list(json.loads(reply))
    log.warning("%s is not used: %s", name, reply.reason)
    return [None] * len(json.loads(task)[1])


def render(_name: str, task: bytes) -> bytes:
    """The job of the worker."""
    from transformers.utils.chat_template_utils import render_jinja_template

    template, chats, names = json.loads(task)
    texts: list[str | None] = []
    for messages in chats:
        try:
            rendered: Any = render_jinja_template(
                [messages], chat_template=template, add_generation_prompt=True, **names
            )
            text = rendered[0][0]
        except Exception:  # A template may raise whatever it likes, as for a role it does not know.
            text = None
        texts.append(text if isinstance(text, str) and len(text) <= _LONGEST else None)
    return json.dumps(texts).encode()
