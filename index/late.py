"""An encoder whose name is known at once and whose weights are loaded at first use.

A run with nothing to embed, and `rag index` on an index that is up to date, never import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from index.encoder import Encoder, Vectors, load_encoder
from index.settings import Settings
from index.weights import encoder_name, locate


class LateEncoder:
    """See Encoder. Raises EncoderError at once where there is no such model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = encoder_name(locate(settings.encoder, offline=settings.offline))

    @cached_property
    def loaded(self) -> Encoder:
        """The encoder itself, loaded now if it was not before."""
        return load_encoder(self._settings.encoder, offline=self._settings.offline)

    @property
    def name(self) -> str:
        """See Encoder; costs no loading."""
        return self._name

    @property
    def dimension(self) -> int:
        """See Encoder."""
        return self.loaded.dimension

    @property
    def max_tokens(self) -> int:
        """See Encoder."""
        return self.loaded.max_tokens

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        return self.loaded.encode_passages(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        return self.loaded.encode_queries(texts)

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        return self.loaded.count_tokens(text)
