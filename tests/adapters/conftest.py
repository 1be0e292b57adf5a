"""Batches that a framework's own functions and our conventions both get."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "shared"))  # not the folder itself, where trl and verl lie, too


@pytest.fixture
def batches(request):
    """A function that draws batches: some two hundred by default, 10,000 in the thorough profile."""
    thorough = request.config.getoption("--hypothesis-profile", default=None) == "thorough"

    def drawn(*, ragged=True, failed=0.0, holes=True, tokens=6, seed=0):
        rng = np.random.default_rng(seed)
        for _ in range(10_000 if thorough else 200):
            if ragged:
                sizes = rng.integers(1, 6, rng.integers(1, 5))
                groups = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
            else:
                groups = np.repeat(np.arange(rng.integers(1, 5)), 4)
            rewards = rng.normal(size=len(groups)) if rng.random() < 0.5 else rng.integers(0, 5, len(groups)) / 4
            rewards = np.where(rng.random(len(groups)) < failed, np.nan, rewards)
            lengths = rng.integers(1, tokens + 1, len(groups))
            mask = np.arange(tokens) < lengths[:, None]
            token_rewards = np.zeros(mask.shape)
            token_rewards[np.arange(len(groups)), lengths - 1] = rewards
            if holes:
                mask &= rng.random(mask.shape) < 0.8
                mask[:, 0] = True
            yield {
                "rewards": rewards,
                "groups": groups,
                "mask": mask,
                "token_rewards": token_rewards,
                "values": rng.normal(size=mask.shape) * (np.arange(tokens) < lengths[:, None]),
            }

    return drawn


@pytest.fixture
def close():
    """Whether two arrays agree to 1e-5 of the largest number, where a framework works in single precision."""

    def check(found, expected):
        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(expected).max(initial=0.0)))

    return check
