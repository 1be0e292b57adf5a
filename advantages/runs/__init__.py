"""A run on disk, and several compared."""
