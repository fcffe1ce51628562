"""Encoders and rerankers small enough to make in a test: real architectures, random weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.encoder import Vectors
from rag.retrieval.scoring import terms

WORDS = ["the", "a", "model", "maps", "image", "text", "to", "vector", "and", "we", "train", "it"]


def tokenizer() -> Any:
    """WordPiece over the words below and single letters."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = dict.fromkeys([*special, *WORDS, *letters, *("##" + letter for letter in letters)])
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = _word_pieces(vocabulary)
    backend.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _word_pieces(vocabulary: dict[str, int]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return backend


def _config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        **more,
    )


def write_encoder(folder: Path, *, seed: int = 0, prompts: dict[str, str] | None = None) -> Path:
    """A one-layer BERT with mean pooling, 16 dimensions, at most 32 tokens."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertModel

    torch.manual_seed(seed)
    bare = folder.with_name(folder.name + "-bare")
    BertModel(_config()).save_pretrained(bare)
    tokenizer().save_pretrained(bare)
    transformer = Transformer(str(bare), max_seq_length=32)
    model = SentenceTransformer(
        modules=[transformer, Pooling(16, pooling_mode="mean"), Normalize()],
        device="cpu",
        prompts=prompts or {},
    )
    model.save(str(folder), create_model_card=False)
    return folder


def write_reranker(folder: Path, *, outputs: int = 1) -> Path:
    """A one-layer BERT that reads question and passage together."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(0)
    BertForSequenceClassification(_config(num_labels=outputs)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


class WordEncoder:
    """An encoder without weights: each term adds a direction of its own. Deterministic, exact."""

    name = "words-64"
    dimension = 64
    max_tokens = 200

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Sums of the terms' directions, unit length."""
        found = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for term in terms(text) or [text]:
                seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:4], "big")
                found[row] += np.random.default_rng(seed).normal(size=self.dimension)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Vectors = (found / np.maximum(length, 1e-12)).astype(np.float32)
        return unit

    encode_queries = encode_passages

    def count_tokens(self, text: str) -> int:
        """Words."""
        return len(text.split())


def write_static_encoder(folder: Path, text: str) -> Path:
    """A sentence-transformers model without context: a random vector of 32 numbers for each word
    of `text`. Equal texts give equal weights, on any machine."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    words = sorted(set(re.findall(r"[a-z]+", text.lower())))
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary += [word for word in words if len(word) > 1]
    tokenizer = _word_pieces({token: number for number, token in enumerate(vocabulary)})
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(len(vocabulary), 32, generator=generator)
    embedding = StaticEmbedding(tokenizer, embedding_weights=weights.numpy())
    model = SentenceTransformer(modules=[embedding], device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder
