"""Bytes of a source → its Document: one clean text with offsets."""
