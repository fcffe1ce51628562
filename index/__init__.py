"""Build time: turns a catalog of works into something searchable. Knows nothing of questions."""
