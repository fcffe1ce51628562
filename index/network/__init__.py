"""What speaks to arXiv and GitHub, and to nobody else. Imported only when something is asked."""
