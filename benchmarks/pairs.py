"""LamPO, which compares each response with each other one of its group: python benchmarks/pairs.py

The floor is the work that cannot be saved: one exponential for each ordered pair.
"""

from functools import partial

import numpy as np
from harness import medians, show

import advantages
from advantages import Groups

N = 16_384


def pairs(library: str, size: int) -> None:
    rng = np.random.default_rng(0)
    rewards = rng.random(N, np.float32)
    logprobs = -rng.random(N, np.float32) * 50
    every = rng.random(min(N * size, 1 << 18), np.float32)
    if library == "torch":
        import torch

        rewards, logprobs, every = (torch.from_numpy(x) for x in (rewards, logprobs, every))
        exp = partial(torch.exp, every, out=torch.empty_like(every))
    else:
        exp = partial(np.exp, every, out=np.empty_like(every))
    calls = {"exponentials": lambda: [exp() for _ in range(N * size // len(every))]}
    for layout, ids in (
        ("blocks", np.repeat(np.arange(N // size), size)),
        ("ragged, interleaved", rng.integers(0, N // size, N)),
    ):
        calls[f"lampo, {layout}"] = partial(advantages.lampo, rewards, Groups(ids), logprobs)
    show(f"{library}, {N} responses in groups of {size}", medians(calls, warmup=1), "exponentials")


if __name__ == "__main__":
    for library in ("numpy", "torch"):
        for size in (8, 128, 1024):
            pairs(library, size)
