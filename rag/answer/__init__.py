"""The answer as a value: composed, serialized, verified."""
