"""Which sentence stands where in an answer."""
