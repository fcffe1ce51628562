"""The `rag` command: one thin file per sub-command."""
