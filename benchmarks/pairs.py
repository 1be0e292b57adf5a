"""LamPO, which compares each response with each other one of its group: python benchmarks/pairs.py

The floor is the work of every pair: one exponential for each. Large groups take less, since they are summed by bins.
With --switches, the two ways on either side of every switch-over, from which ops/pairs.py has its constants.
"""

import os
import sys
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


def switches() -> None:
    """Sums by views, by line and by kernels at every size, for narrow and wide scores, on torch.

    The kernels choose between every pair and bins by how far the scores reach in bins: where a bin is narrow, that is
    far, and every pair is looked at in all but large groups.
    """
    import torch

    from advantages.backends.kernels import compiled
    from advantages.ops import pairs as ops

    def narrow_bins(call) -> None:
        kept, ops.WIDTH = ops.WIDTH, 1e-9
        try:
            call()
        finally:
            ops.WIDTH = kept

    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.random(N))
    for spread in (1.0, 5.0, 20.0, 100.0, 1e9):
        scores = torch.from_numpy(rng.normal(size=N) * spread)
        for size in (2, 4, 8, 16, 32, 64, 96, 128, 256, 384, 512, 1024, 4096):
            groups = Groups.of_size(size, N // size * size)
            given = (values[: len(groups)], scores[: len(groups)], groups, 1.0)
            calls = {"line": partial(ops._by_line, *given, False)}
            if size <= 1024:
                calls["views"] = partial(ops._over_all_pairs, *given, False)
            if (kernels := compiled("pairs")) is not None:
                calls["kernels"] = partial(ops._by_kernels, kernels, *given, False)
                calls["kernels, misranked"] = partial(ops._by_kernels, kernels, *given, True)
                if size <= kernels._DIRECT_AT_MOST:
                    calls["kernels, every pair"] = partial(narrow_bins, calls["kernels"])
            show(f"groups of {size}, spread {spread:g}", medians(calls, seconds=0.2, warmup=1), "line")


def switches_without_kernels() -> None:
    """Few pairs in numpy's memory and in torch's, where nothing is compiled."""
    import torch

    from advantages.backends import kernels
    from advantages.ops import pairs as ops

    def told(most: int, call) -> None:
        kept, ops._FEW = ops._FEW, most
        try:
            call()
        finally:
            ops._FEW = kept

    rng = np.random.default_rng(0)
    kernels.ALLOWED = False
    for count, size in ((64, 8), (512, 8), (4096, 2), (512, 32), (2048, 8), (4096, 4), (1024, 32), (4096, 8)):
        rewards, logprobs = (torch.from_numpy(rng.random(count, np.float32)) for _ in range(2))
        lampo = partial(advantages.lampo, rewards, size, logprobs)
        calls = {"numpy": partial(told, count * size, lampo), "torch": partial(told, 0, lampo)}
        show(f"{count * size} pairs, groups of {size}, nothing compiled", medians(calls, seconds=0.2), "numpy")
    kernels.ALLOWED = True


def switches_in_jax() -> None:
    """The same where a compiler knows shapes alone, so that the bound on a group's size decides."""
    import jax

    from advantages.ops import pairs as ops

    def waited(call, *given):
        jax.block_until_ready(call(*given))

    rng = np.random.default_rng(0)
    values = jax.numpy.asarray(rng.random(N), np.float32)
    ways = {"line": ops._by_line, "views": ops._over_all_pairs}
    ways = {name: jax.jit(partial(way, temperature=1.0, misranked=False)) for name, way in ways.items()}
    for spread in (1.0, 20.0, 100.0, 1e9):
        scores = jax.numpy.asarray(rng.normal(size=N) * spread, np.float32)
        for size in (64, 128, 256, 512, 1024):
            for layout, groups in (
                ("blocks", Groups.of_size(size, N)),
                ("ragged", Groups(rng.integers(0, N // size, N))),
            ):
                calls = {name: partial(waited, way, values, scores, groups) for name, way in ways.items()}
                title = f"JAX, {layout} of at most {groups.bound}, spread {spread:g}"
                show(title, medians(calls, seconds=0.2, warmup=1), "line")


if __name__ == "__main__":
    if "--switches" in sys.argv:
        switches()
        switches_without_kernels()
        switches_in_jax()
        sys.exit()
    print(f"compiled kernels: {os.environ.get('ADVANTAGES_COMPILED', 'where numba is installed')}")
    for library in ("numpy", "torch"):
        for size in (8, 16, 128, 1024, 4096):
            pairs(library, size)
