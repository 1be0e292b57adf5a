"""Words about tokens on tensors whose values are not looked at: few, large operations, as many at every size.

On an accelerator each operation is a launch, and each result of the batch's size a trip to memory and back.
"""

from math import ceil, inf, log
from typing import Any

import torch

__all__ = ["WIDE", "advantages", "whitened"]

WIDE = ("cpu", "cuda", "meta", "xpu")
"""Devices whose float64 is complete."""

_BLOCK = 64  # steps that are summed side by side; what reaches over them is a recurrence over blocks
_RANGE = {torch.float32: 30.0, torch.float64: 60.0}
"""How far weights in a block may fall, as a logarithm: small numbers times them stay normal numbers, and what has
fallen so far no longer matters."""
_RANGE_OF_BLOCKS = 240.0  # the same for what reaches over blocks, where that is float64


def advantages(rewards: Any, values: Any, mask: Any, discount: float, lambda_: float) -> Any:
    """(N, T) see `Backend.advantages`.

    Each row's trained tokens are laid side by side, the last one first, each with the rewards on masked tokens that
    belong to it. There G_k = R_k + discount * (1 - lambda) * V_{k-1} + discount * lambda * G_{k-1}, and A = G - V.
    """
    rows, steps = rewards.shape
    dtype = rewards.dtype if values is None else torch.promote_types(rewards.dtype, values.dtype)
    decay = discount * lambda_
    length, scans_blocks = _blocks(steps + 1, decay, dtype, rewards.device.type)
    off = ~mask
    # From the end, the place of each token's last trained one, or of the first where none lies before it.
    places = mask.cumsum(1).clamp_(min=1).neg_().add_(steps)
    table = rewards.new_zeros((rows, ceil((steps + 1) / length) * length), dtype=dtype)
    clean = rewards.nan_to_num(0.0, 0.0, 0.0).to(dtype)
    table.scatter_add_(1, places, clean)
    if values is not None and discount * (1 - lambda_):
        known = values.masked_fill(off, 0.0).to(dtype)
        table[:, 1:].scatter_add_(1, places, known.mul_(discount * (1 - lambda_)))  # to the token before
    _scan(table.view(rows, -1, length), decay, scans_blocks)
    result = torch.gather(table, 1, places, out=None if table.requires_grad else clean)
    result.add_(rewards, alpha=0.0)  # a number that is not finite on a trained token is to be seen
    if values is not None:
        result.sub_(values)
    return result.masked_fill_(off, 0.0)


def _blocks(steps: int, decay: float, dtype: Any, device: str) -> tuple[int, bool]:
    """Steps in a block, and whether blocks beyond the next are felt."""
    fall = -log(decay) if decay else inf
    reach = _RANGE[dtype]
    if fall * steps > (_RANGE_OF_BLOCKS if device in WIDE else reach):
        return max(1, ceil(reach / fall)), False
    length = min(_BLOCK, steps if not fall else max(1, int(reach / fall)))
    return ceil(steps / ceil(steps / length)), True  # of about one size, so that the last is full, too


def _scan(blocks: Any, decay: float, scans_blocks: bool = False) -> None:
    """In place, along the last axis: y_k = x_k + decay * y_{k-1}; of (N, B, block), over the edges of blocks as well.

    Numbers are scaled by what is left of them at their block's end, summed, and scaled back.
    """
    length = blocks.shape[-1]
    weights = None if decay == 1 else _powers(decay, length, blocks)
    if weights is not None:
        blocks.mul_(weights)
    if decay and blocks.dim() == 3 and blocks.shape[1] > 1:
        ends = blocks[:, :-1].sum(-1, dtype=torch.float64 if blocks.device.type in WIDE else None)
        if scans_blocks:
            _scan(ends, decay**length)
        blocks[:, 1:, 0].add_(ends, alpha=decay**length)
    blocks.cumsum_(-1)
    if weights is not None:
        blocks.div_(weights)


def _powers(base: float, count: int, like: Any) -> Any:
    """base ** `count` - 1, ... 1, 0, formed in float64 where there is one."""
    last, device = count - 1, like.device
    if device.type in WIDE:
        return torch.logspace(last, 0, count, base, dtype=torch.float64, device=device).to(like.dtype)
    return base ** torch.arange(last, -1, -1, dtype=like.dtype, device=device)


def whitened(x: Any, mask: Any, ddof: int, epsilon: float) -> Any:
    """`x` whitened over what is finite and under `mask`, and 0 elsewhere, or None where float64 would not be exact.

    Sums of float32 numbers in float64 are exact enough to need no origin: equal numbers have themselves for mean.
    """
    if x.dtype != torch.float32 or x.device.type not in WIDE:
        return None
    every = tuple(range(x.dim()))
    counted = torch.add(mask, x, alpha=0.0)  # 1, or 0 under the mask; NaN where x is not finite
    count = counted.nansum(every, True, dtype=torch.float64)
    white = x * counted
    mean = white.nansum(every, True, dtype=torch.float64) / count
    white.addcmul_(counted, mean, value=-1).nan_to_num_(0.0, 0.0, 0.0)  # the difference in float64, as the mean is
    norm = torch.linalg.vector_norm(white, dim=every, keepdim=True, dtype=torch.float64)
    free = (count - ddof).sqrt_()
    return white.mul_((free / norm.add(free, alpha=epsilon)).nan_to_num_(0.0, 0.0, 0.0))  # 0 where none differ
