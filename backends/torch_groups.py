"""Statistics of equal groups on tensors whose values are not looked at, in few launches where no kernel is at hand."""

import functools
from typing import Any

import torch

__all__ = ["centered"]


def centered(x: Any, scored: Any, order: Any, place: Any, size: int, others: bool, ddof: int, epsilon: float) -> Any:
    """(N,) see `Backend.centered`, of float32 on a device with float64.

    Sums of float32 numbers in float64 are exact enough to need no origin: equal numbers have themselves for mean.
    """
    kept = torch.where(scored, x, _number(0.0, x.device))
    if order is not None:
        kept, scored = kept[order], scored[order]
    rows, counted = kept.view(-1, size), scored.view(-1, size)
    count = counted.sum(1, True)
    mean = rows.sum(1, True, dtype=torch.float64) / count.clamp(1)
    above = torch.addcmul(rows, counted, mean, value=-1)
    if ddof >= 0:
        norm = torch.linalg.vector_norm(above, dim=1, keepdim=True)
        free = _by_count("root", size, ddof, x.device)[count]
        torch.div(above, torch.addcdiv(_number(max(epsilon, 1e-300), x.device), norm, free), out=rows)
    else:
        factor = _by_count("ratio", size, 1, x.device)[count] if others else 1.0
        torch.mul(above, factor, out=rows)
        most = torch.finfo(x.dtype).max
        kept.clamp_(-most, most)
    return kept if place is None else kept[place]


@functools.lru_cache(maxsize=16)
def _number(value: float, device: Any) -> Any:
    return torch.full((), value, dtype=torch.float64, device=device)


@functools.lru_cache(maxsize=16)
def _by_count(what: str, size: int, ddof: int, device: Any) -> Any:
    """(size + 1,) the "root" of what is free of n members, or the "ratio" of n to it; looked up, it is one launch."""
    count = torch.arange(size + 1, dtype=torch.float64, device=device)
    free = (count - ddof).clamp(1)
    return free.sqrt() if what == "root" else count / free
