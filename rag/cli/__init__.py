"""The `rag` command and its sub-commands."""
