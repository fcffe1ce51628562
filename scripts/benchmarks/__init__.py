"""What `rag bench` measures: ratios, both sides in one run."""
