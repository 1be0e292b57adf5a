"""Token-level estimators, as multiples of one read-and-write pass over the same tensor.

    python -m benchmarks.scan [--seconds 2] [--switches]

Without compiled kernels: ADVANTAGES_COMPILED=0. Where verl is installed, its functions run beside ours.
"""

import argparse
import os
import platform
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import advantages
from advantages import gae, ops, reinforce_plus_plus
from advantages.backends import backend_of
from benchmarks.harness import medians, show

FLOOR = "one pass (torch.add, output reused)"


def with_holes(rows: int, steps: int, rng: Any) -> Any:
    """Turns of a few hundred tokens with tool calls between them, and padding on the right."""
    mask = np.zeros((rows, steps), bool)
    for row in mask:
        place, end = int(rng.integers(0, steps // 8)), int(rng.integers(steps // 2, steps))
        while place < end:
            turn, tool = rng.integers(50, 500, 2)
            row[place : min(place + turn, end)] = True
            place += turn + tool
    return mask


def peers() -> dict[str, Callable[..., Any]]:
    try:
        from verl.trainer.ppo import core_algos
        from verl.utils import torch_functional
    except ImportError:
        return {}
    return {"gae": core_algos.compute_gae_advantage_return, "whiten": torch_functional.masked_whiten}


def kernels_for(x: torch.Tensor) -> Any:
    """The compiled kernels of a tensor's backend; None where there are none, or in a tree from before them."""
    backend = backend_of(x)
    return backend._kernels(x) if hasattr(backend, "_kernels") else None


def measured(rows: int, steps: int, seconds: float) -> None:
    rng = np.random.default_rng(0)
    rewards, values = (torch.tensor(rng.normal(size=(rows, steps)), dtype=torch.float32) for _ in range(2))
    holes = torch.from_numpy(with_holes(rows, steps, rng))
    dense = torch.ones(rows, steps, dtype=torch.bool)
    rewards[~holes] = 0.0
    out = torch.zeros_like(rewards)
    arrays = [x.numpy() for x in (rewards, values, holes, dense)]
    calls: dict[str, Callable[[], Any]] = {
        FLOOR: lambda: torch.add(rewards, 1, out=out),
        "a fresh copy": lambda: rewards.clone(),
        "gae, holes": lambda: gae(rewards, values, holes),
        "gae, dense": lambda: gae(rewards, values, dense),
        "gae, holes, numpy": lambda: gae(*arrays[:3]),
        "gae, dense, numpy": lambda: gae(*arrays[:2], arrays[3]),
        "whiten": lambda: ops.whiten(values, holes),
        "whiten, naive line": lambda: naive_whiten(values, holes),
        "reinforce_plus_plus": lambda: reinforce_plus_plus(rewards, holes),
    }
    if (kernels := kernels_for(rewards)) is not None:
        buffer = np.zeros_like(arrays[0])
        calls["gae, holes, kernel, output reused"] = lambda: kernels.advantages(*arrays[:3], 1.0, 0.95, buffer)
        calls["gae, dense, kernel, output reused"] = lambda: kernels.advantages(
            *arrays[:2], arrays[3], 1.0, 0.95, buffer
        )
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        pass
    else:
        given = [jnp.asarray(x) for x in arrays[:3]]
        compiled = jax.jit(lambda *x: gae(*x))
        calls["gae, holes, jax.jit"] = lambda: compiled(*given).block_until_ready()
    theirs = peers()
    if theirs:
        calls["verl whiten"] = lambda: theirs["whiten"](values, holes)
    slow = {"verl gae": lambda: theirs["gae"](rewards, values, holes, 1.0, 0.95)} if theirs else {}
    found = medians(calls, seconds=seconds / 4)
    if slow:
        found |= medians(slow, seconds=0.0, warmup=0)
    show(f"({rows}, {steps}) float32", found, FLOOR)


def naive_whiten(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    mean = (x * mask).sum() / mask.sum()
    variance = ((x - mean) ** 2 * mask).sum() / (mask.sum() - 1)
    return (x - mean) / (variance.sqrt() + 1e-6) * mask


def switches(seconds: float) -> None:
    """GAE in JAX by stretches of several lengths, and by none, from which backends/jax.py has its constants."""
    import jax
    import jax.numpy as jnp

    from advantages.backends import jax as backend

    rng = np.random.default_rng(0)
    for rows, steps in ((256, 32768), (1024, 8192), (64, 32768), (4, 1048576), (4096, 2048)):
        words = [jnp.asarray(rng.normal(size=(rows, steps)), jnp.float32) for _ in range(2)]
        words.append(jnp.asarray(with_holes(rows, steps, rng)))
        calls: dict[str, Callable[[], Any]] = {}
        for stretch in (64, 128, 256, 512, steps):
            backend._LONG, backend._STRETCH = 0, stretch
            jitted = jax.jit(lambda *x: backend._advantages_by_steps(*x, 1.0, 0.95)).lower(*words).compile()
            name = f"stretches of {stretch}" if stretch < steps else "one stretch"
            calls[name] = lambda jitted=jitted, words=words: jitted(*words).block_until_ready()  # type: ignore[misc]
        show(f"JAX, ({rows}, {steps}) float32", medians(calls, seconds=seconds / 4), "one stretch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--switches", action="store_true", help="GAE in JAX, around its switch-over")
    options = parser.parse_args()
    print(
        f"advantages {advantages.__version__}, torch {torch.__version__} on {torch.get_num_threads()} threads, "
        f"{platform.machine()}, kernels {'off' if os.environ.get('ADVANTAGES_COMPILED') == '0' else 'on'}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    if options.switches:
        switches(options.seconds)
        return
    for shape in ((1024, 8192), (256, 32768)):
        measured(*shape, options.seconds)


if __name__ == "__main__":
    main()
