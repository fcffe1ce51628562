"""Prompt + segments of the listed works → Evidence."""
