"""Which sentence stands where in an answer: scores of sentences, and where works name each other."""
