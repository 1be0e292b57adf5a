"""Hypothesis draws the same examples on every machine, and slow machines are no failure.

`make test` draws few examples, `make test-thorough` many: `pytest --hypothesis-profile=thorough`.
"""

from hypothesis import settings

settings.register_profile("reproducible", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=300)
settings.load_profile("reproducible")
