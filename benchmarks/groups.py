"""Group estimators on 131,072 rewards, and ids to groups: python benchmarks/groups.py"""

import uuid
from functools import partial

import numpy as np
from harness import medians, show

import advantages
from advantages import Groups

N, SIZE = 131_072, 8


def estimators(library: str) -> None:
    rng = np.random.default_rng(0)
    rewards = rng.random(N, np.float32)
    logprobs = -rng.random(N, np.float32) * 50
    if library == "torch":
        import torch

        rewards, logprobs = torch.from_numpy(rewards), torch.from_numpy(logprobs)
        target = torch.empty_like(rewards)
        copy = lambda: [target.copy_(rewards) for _ in range(3)]  # noqa: E731
    else:
        target = np.empty_like(rewards)
        copy = lambda: [np.copyto(target, rewards) for _ in range(3)]  # noqa: E731

    for layout, ids in (
        (f"blocks of {SIZE}", np.repeat(np.arange(N // SIZE), SIZE)),
        ("ragged, interleaved", rng.integers(0, N // SIZE, N)),
    ):
        groups = Groups(ids)
        calls = {"three copies": copy}
        for name in ("dr_grpo", "rloo", "grpo"):
            calls[name] = partial(getattr(advantages, name), rewards, groups)
        calls["lampo"] = partial(advantages.lampo, rewards, groups, logprobs)
        show(f"{library}, {N} rewards in {layout}", medians(calls), "three copies")


def ids() -> None:
    names = np.repeat([str(uuid.uuid4()) for _ in range(N // SIZE)], SIZE).astype(object)
    shuffled = np.random.default_rng(0).permutation(names)
    numbers = np.random.default_rng(0).integers(-(2**60), 2**60, N // SIZE).repeat(SIZE)
    calls = {}
    for order, array in (("contiguous", names), ("shuffled", shuffled)):
        calls[f"np.unique, {order} strings"] = partial(np.unique, array, return_inverse=True)
        calls[f"Groups, {order} strings"] = partial(Groups, array)
    calls["Groups, contiguous integers"] = partial(Groups, numbers)
    show(f"{N} ids to groups", medians(calls, warmup=1), "Groups, contiguous strings")


if __name__ == "__main__":
    estimators("numpy")
    estimators("torch")
    ids()
