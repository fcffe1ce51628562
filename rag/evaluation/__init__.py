"""Evaluation: answers of any system, retrieval, and the support checker, with intervals."""
