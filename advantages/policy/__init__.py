"""A language model made, loaded and asked."""
