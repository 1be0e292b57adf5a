"""What is measured: works on inputs of the sizes of real batches, each with ours, the naive line and other packages."""

import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from .. import dr_grpo, gae, grpo, lampo, reinforce_plus_plus, rloo
from ..backends import kernels
from ..core.groups import Groups
from ..ops import whiten, whitened_advantages
from . import peers
from .measure import Entry, Work, on_jax, on_torch, turns, widened

__all__ = ["NAMES", "Cell", "grid", "works"]

NAMES = ("gae", "whiten", "reinforce_plus_plus", "groups", "lampo", "ids", "grid")
"""What may be chosen."""


def works(only: tuple[str, ...] = NAMES) -> list[Work]:
    """The works of the chosen groups."""
    return [work for name in NAMES if name in only and name != "grid" for work in _WORKS[name]()]


# Tokens


def _tokens(rows: int, steps: int, holes: bool, rng: Any, small: bool) -> tuple[Any, ...]:
    """Rewards, values and a mask: turns with tool calls between them and padding on the right, or all trained."""
    if small:
        rows, steps = 8, 4096
    rewards, values = (rng.standard_normal((rows, steps), np.float32) for _ in range(2))
    mask = np.ones((rows, steps), bool)
    if holes:
        mask[:] = False
        for row in mask:
            place, end = int(rng.integers(0, steps // 8)), int(rng.integers(steps // 2, steps))
            while place < end:
                turn, tool = rng.integers(50, 500, 2)
                row[place : min(place + turn, end)] = True
                place += turn + tool
        rewards[~mask] = 0.0
    return rewards, values, mask


def _words(rows: int, steps: int, which: slice, rng: Any, small: bool) -> tuple[Any, ...]:
    return _tokens(rows, steps, True, rng, small)[which]


def _gae() -> list[Work]:
    made = []
    for rows, steps in ((256, 32768), (1024, 8192)):
        for holes in (True, False):
            entries = [
                Entry("advantages, torch", "ours", on_torch(gae)),
                Entry("advantages, numpy", "ours", lambda *inputs: partial(gae, *inputs)),
                Entry("advantages, torch (whitens, too)", "ours", on_torch(_whitened_gae), _right_whitened_gae),
            ]
            entries += _jitted(lambda r, v, m: gae(r, v, m))
            entries += peers.gae(holes)
            title = f"GAE, {'holes and padding' if holes else 'dense'}, ({rows}, {steps})"
            draw = partial(_tokens, rows, steps, holes)
            made.append(Work("gae", title, draw, _spec(gae, "token_rewards", "values", "mask"), tuple(entries)))
    return made


def _whitened_gae(rewards: Any, values: Any, mask: Any) -> Any:
    return whitened_advantages(rewards, values, mask, discount=peers.GAMMA, lambda_=peers.LAMBDA)


def _right_whitened_gae(*words: Any) -> Any:
    return _whitened(_spec(gae, "token_rewards", "values", "mask")(*words), words[2])


def _jitted(function: Callable[..., Any]) -> list[Entry]:
    """Ours compiled by JAX, where that is installed."""
    if not find_spec("jax"):
        return []
    import jax

    jitted = jax.jit(function)
    return [Entry("advantages, jax.jit", "ours", on_jax(lambda *x: jitted(*x).block_until_ready()))]


def _spec(function: Any, *names: str) -> Callable[..., Any]:
    spec = function.__advantages__.spec
    return lambda *inputs: spec(**dict(zip(names, widened(*inputs), strict=True)))


def _naive_whiten(x: Any, mask: Any) -> Any:
    mean = (x * mask).sum() / mask.sum()
    variance = ((x - mean) ** 2 * mask).sum() / (mask.sum() - 1)
    return (x - mean) / (variance.sqrt() + 1e-6) * mask


def _whitened(x: Any, mask: Any) -> Any:
    inside = x[mask].astype(np.float64)
    return np.where(mask, (x - inside.mean()) / (inside.std(ddof=1) + 1e-6), 0.0)


def _whiten() -> list[Work]:
    entries = [
        Entry("advantages, torch", "ours", on_torch(whiten)),
        Entry("advantages, numpy", "ours", lambda *inputs: partial(whiten, *inputs)),
        Entry("naive line, torch", "naive", on_torch(_naive_whiten)),
    ]
    entries += peers.whitening(_whitened)
    return [
        Work(
            "whiten",
            f"whitening, holes and padding, ({rows}, {steps})",
            partial(_words, rows, steps, slice(1, 3)),
            _whitened,
            tuple(entries),
        )
        for rows, steps in ((256, 32768), (1024, 8192))
    ]


def _reinforce_plus_plus() -> list[Work]:
    entries = [
        Entry("advantages, torch", "ours", on_torch(reinforce_plus_plus)),
        Entry("advantages, numpy", "ours", lambda *inputs: partial(reinforce_plus_plus, *inputs)),
    ]
    entries += peers.reinforce_plus_plus()
    return [
        Work(
            "reinforce_plus_plus",
            f"REINFORCE++, holes and padding, ({rows}, {steps})",
            partial(_words, rows, steps, slice(0, 3, 2)),
            _spec(reinforce_plus_plus, "token_rewards", "mask"),
            tuple(entries),
        )
        for rows, steps in ((256, 32768), (1024, 8192))
    ]


# Groups


def naive_dr_grpo(rewards: Any, size: int) -> Any:
    x = rewards.view(-1, size)
    return (x - x.mean(1, keepdim=True)).view(-1)


def naive_rloo(rewards: Any, size: int) -> Any:
    x = rewards.view(-1, size)
    return ((x - x.mean(1, keepdim=True)) * (size / (size - 1))).view(-1)


def naive_grpo(rewards: Any, size: int) -> Any:
    x = rewards.view(-1, size)
    return ((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-6)).view(-1)


def naive_lampo(rewards: Any, logprobs: Any, size: int) -> Any:
    r, s = rewards.view(-1, size), logprobs.view(-1, size)
    gaps = (r[:, :, None] - r[:, None, :]) * (s[:, :, None] - s[:, None, :]).sigmoid()
    return (gaps.sum(2) / (size - 1)).view(-1)


def _ids(rows: int, size: int, interleaved: bool) -> Any:
    ids = np.arange(rows) // size
    return np.random.default_rng(0).permutation(ids) if interleaved else ids


def _rewards(count: int, size: int, rng: Any, small: bool) -> tuple[Any, ...]:
    rows = max(2_048 // size, 1) * size if small else count
    return rng.standard_normal(rows, np.float32), -50 * rng.random(rows, np.float32)


def _ours(function: Any, size: int, interleaved: bool, words: int = 1) -> Callable[..., Callable[[], Any]]:
    """With ids that are ready, as they are in training from the second estimator on."""

    def prepare(*inputs: Any) -> Callable[[], Any]:
        import torch

        rewards, *more = map(torch.from_numpy, inputs[:words])
        return partial(function, rewards, Groups(_ids(len(rewards), size, interleaved)), *more)

    return prepare


def _naive(function: Any, size: int, words: int = 1) -> Callable[..., Callable[[], Any]]:
    return on_torch(partial(function, size=size), words=words)


def _right(function: Any, size: int, interleaved: bool, names: tuple[str, ...] = ("rewards",)) -> Callable[..., Any]:
    def right(*inputs: Any) -> Any:
        words = dict(zip(names, widened(*inputs), strict=False))
        return function.__advantages__.spec(**words, groups=_ids(len(inputs[0]), size, interleaved))

    return right


def _groups() -> list[Work]:
    made = []
    for name, (function, naive) in {"grpo": (grpo, naive_grpo), "rloo": (rloo, naive_rloo)}.items():
        for interleaved in (False, True):
            entries = [Entry("advantages, torch", "ours", _ours(function, 8, interleaved))]
            if not interleaved:
                entries.append(Entry("naive line, torch", "naive", _naive(naive, 8)))
            entries += peers.groups(name, 8, partial(_ids, size=8, interleaved=True) if interleaved else None)
            title = f"{name}, 16,384 rewards in {'interleaved groups' if interleaved else 'blocks'} of 8"
            right = _right(function, 8, interleaved)
            made.append(Work("groups", title, partial(_rewards, 16_384, 8), right, tuple(entries)))
    return made


def _lampo() -> list[Work]:
    made = []
    for size in (8, 16, 128, 1_024, 4_096, 16_384):
        entries = [Entry("advantages, torch", "ours", _ours(lampo, size, False, 2))]
        entries += _jitted(lambda r, s, size=size: lampo(r, size, s))
        if size <= 1_024:  # beyond, the line holds gigabytes
            entries.append(Entry("naive line, torch", "naive", _naive(naive_lampo, size, 2)))
        right = _right(lampo, size, False, ("rewards", "logprobs"))
        title = f"LamPO, 16,384 responses in blocks of {size:,}"
        made.append(Work("lampo", title, partial(_rewards, 16_384, size), right, tuple(entries)))
    return made


def _slots() -> list[Work]:
    def draw(rng: Any, small: bool) -> tuple[Any, ...]:
        return (rng.permutation(np.arange(1_024 if small else 16_384) // 8),)

    def named(ids: Any) -> Any:
        names = [str(uuid.UUID(int=k * 2**64 + k)) for k in range(int(ids.max()) + 1)]
        return np.array([names[k] for k in ids], object)

    def right(ids: Any) -> Any:
        first: dict[Any, int] = {}
        return np.array([first.setdefault(k, len(first)) for k in ids.tolist()])

    def ours(ids: Any) -> Callable[[], Any]:
        names = named(ids)
        return lambda: Groups(names).slots

    def sorts(ids: Any) -> Callable[[], Any]:
        names = named(ids)
        return lambda: np.unique(names, return_inverse=True)[1]

    entries = (
        Entry("Groups", "ours", ours),
        Entry("np.unique", "peer", sorts, lambda ids: ids),  # the names' order is that of the numbers
    )
    return [Work("ids", "16,384 UUID strings to slots, interleaved", draw, right, entries)]


_WORKS: dict[str, Callable[[], list[Work]]] = {
    "gae": _gae,
    "whiten": _whiten,
    "reinforce_plus_plus": _reinforce_plus_plus,
    "groups": _groups,
    "lampo": _lampo,
    "ids": _slots,
}


class Cell(NamedTuple):
    """An estimator beside the naive line: groups of `size` neighbouring rows, whose ids are ready."""

    estimator: str
    rows: int
    size: int
    ours_us: float
    naive_us: float
    compiled: bool
    """Whether kernels were compiled, as with `rl-advantages[fast]`."""
    limit: float
    """What ours may be as a multiple of the naive line: 1.0 from 4,096 rows up, 1.5 below."""

    @property
    def lost(self) -> bool:
        return self.ours_us > self.limit * self.naive_us


def grid(seconds: float = 0.1) -> Iterator[Cell]:
    """Medians of every estimator that has a naive line, at numbers of rewards from 64 to 131,072: with compiled kernels
    where numba is installed, and without.
    """
    if kernels.compiled("groups"):
        yield from _cells(seconds, compiled=True)
    allowed, kernels.ALLOWED = kernels.ALLOWED, False
    try:
        yield from _cells(seconds, compiled=False)
    finally:
        kernels.ALLOWED = allowed


def _cells(seconds: float, *, compiled: bool) -> Iterator[Cell]:
    import statistics

    import torch

    lines: dict[str, tuple[Any, Any]] = {
        "dr_grpo": (dr_grpo, naive_dr_grpo),
        "rloo": (rloo, naive_rloo),
        "grpo": (grpo, naive_grpo),
        "lampo": (lampo, naive_lampo),
    }
    rng = np.random.default_rng(time.time_ns())
    for name, (function, naive) in lines.items():
        for rows in (64, 512, 4_096, 16_384, 131_072):
            for size in (2, 8, 128, 16_384):
                if size > rows or (name == "lampo" and rows * size > 2**21):
                    continue
                words = tuple(map(torch.from_numpy, _rewards(rows, size, rng, False)))
                words = words[: 2 if name == "lampo" else 1]
                groups = Groups.of_size(size, rows)
                calls = {"ours": partial(function, words[0], groups, *words[1:]), "naive": partial(naive, *words, size)}
                right = naive(*(x.double() for x in words), size)  # in float32, the line's own mean may be too coarse
                if not torch.allclose(calls["ours"]().double(), right, rtol=1e-3, atol=1e-3):
                    raise ArithmeticError(
                        f"bench: {name} on {rows} rewards in blocks of {size} is not the naive line's"
                    )
                taken = turns(calls, seconds, least=5)
                ours, line = (statistics.median(samples) * 1e6 for samples in taken.values())
                yield Cell(name, rows, size, ours, line, compiled, 1.0 if rows >= 4_096 else 1.5)
