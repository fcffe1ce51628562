"""The writers: each turns evidence into a draft whose quotes are spans, never strings."""
