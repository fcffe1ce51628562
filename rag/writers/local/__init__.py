"""Quote-bound decoding with a local causal language model."""
