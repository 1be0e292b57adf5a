"""Fixtures of the tests of the verl adapter."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests and the processes that they start share verl_batches.py

collect_ignore = ["verl_batches.py"]  # no tests, and not importable where verl is not installed


@pytest.fixture
def compose():
    """verl's own configuration with overrides, as its command line composes it."""
    from verl_batches import composed

    return composed
