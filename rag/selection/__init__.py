"""Which sentence stands where in an answer: scores of sentences, and their rewriting."""
