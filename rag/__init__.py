"""Answer time: turns a prompt into an answer whose every quote is a slice of a listed work."""
