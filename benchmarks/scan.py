"""Estimators that scan and whiten tokens, beside copies of their batch: python benchmarks/scan.py"""

from functools import partial

import numpy as np
from harness import medians, show

import advantages

SIZES = ((256, 4096), (64, 2048))


def tokens(library: str, rows: int, steps: int) -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.random((2, rows, steps), np.float32)
    ends = rng.integers(steps // 4, steps + 1, rows)
    mask = np.arange(steps) < ends[:, None]
    if library == "torch":
        import torch

        rewards, values, mask = (torch.from_numpy(x) for x in (rewards, values, mask))
        target = torch.empty_like(rewards)
        copy = lambda: [target.copy_(rewards) for _ in range(3)]  # noqa: E731
    else:
        target = np.empty_like(rewards)
        copy = lambda: [np.copyto(target, rewards) for _ in range(3)]  # noqa: E731
    calls = {
        "three copies": copy,
        "gae": partial(advantages.gae, rewards, values, mask, discount=0.99),
        "whiten": partial(advantages.whiten, rewards, mask),
        "reinforce_plus_plus": partial(advantages.reinforce_plus_plus, rewards, mask, discount=0.99),
    }
    show(f"{library}, {rows} responses of up to {steps} tokens", medians(calls), "three copies")


if __name__ == "__main__":
    for library in ("numpy", "torch"):
        for rows, steps in SIZES:
            tokens(library, rows, steps)
