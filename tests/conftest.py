"""Hypothesis draws the same examples on every machine, and slow machines are no failure."""

from hypothesis import settings

settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")
