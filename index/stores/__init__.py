"""Where segments are stored and searched."""
