"""Primitives on torch tensors; statistics run in at least float32, on the tensor's own device."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.compiler import is_compiling

from . import numpy as numpy_backend
from . import scan, torch_groups, torch_tokens
from .kernels import COMPILED, compiled

xp = torch

STATIC = False

GROUP_AXIS = -1

REORDERS = True

_BLOCK = 16  # time steps that one level of reverse_scan walks through, measured in benchmarks/scan.py


_SMALL = 8_192
"""Numbers up to which float64 costs a CPU nothing beside the calls themselves (benchmarks/groups.py)."""


def kind(x: Any) -> str:
    if x.dtype == torch.bool:
        return "b"
    if x.dtype.is_complex:
        return "c"
    return "f" if x.dtype.is_floating_point else "i"


def device(x: Any) -> torch.device:
    return x.device


def traced(x: Any) -> bool:
    return x.is_meta or transformed(x)


def transformed(x: Any) -> bool:
    return is_compiling() or type(x) not in (torch.Tensor, torch.nn.Parameter) or is_functorch_wrapped_tensor(x)


def on_host(x: Any) -> bool:
    return x.is_cpu and not transformed(x)


def lent(x: Any) -> Any:
    return to_numpy(x) if x.is_cpu and not transformed(x) else None


def on_gpu(*words: Any) -> bool:
    return all(x.is_cuda and not traced(x) for x in words) and not _differentiated(words)


def _differentiated(words: Iterable[Any]) -> bool:
    return torch.is_grad_enabled() and any(x.requires_grad for x in words)


def extent(x: Any) -> tuple[float, float]:
    if not x.numel():
        return 0.0, 0.0
    if x.numel() > _SMALL and x.dtype in (torch.float32, torch.float64):  # by numpy, which does not wait for threads
        return numpy_backend.extent(to_numpy(x))
    low, high = torch.aminmax(x)
    return low.item(), high.item()


def norm(x: Any) -> float:
    return numpy_backend.norm(to_numpy(x)) if x.dtype in (torch.float32, torch.float64) else torch.inf


def largest(x: Any) -> float:
    return torch.finfo(x.dtype).max


def to_numpy(x: Any) -> Any:
    x = x.detach() if x.requires_grad else x
    if x.dtype == torch.bfloat16:  # which numpy lacks
        x = x.float()
    return (x if x.is_cpu else x.cpu()).numpy()


def from_numpy(x: Any, like: Any) -> Any:
    made = torch.from_numpy(x)  # numbers from pageable memory are taken before a copy returns: no need to wait for it
    return made if like.is_cpu else made.to(like.device, non_blocking=like.is_cuda)


def finite(words: list[Any]) -> Any:
    return _together(words).abs() < torch.inf


def finite_rows(words: list[Any], mask: Any) -> Any:
    return torch.linalg.vector_norm(torch.where(mask, _together(words), 0.0), torch.inf, 1) < torch.inf


def _together(words: list[Any]) -> Any:
    """The first one, made NaN where another is not finite: fewer launches than torch's isfinite, which is four."""
    together = words[0]
    for x in words[1:]:
        together = torch.add(together, x, alpha=0)
    return together


def stop_gradient(x: Any) -> Any:
    return x.detach() if x.requires_grad else x


def working(x: Any) -> Any:
    return x if x.dtype == torch.float64 else x.to(torch.float32)


def wide_dtype(x: Any) -> Any:
    if x.dtype == torch.float64:
        return x.dtype
    device = x.device.type  # statistics of responses are small on an accelerator, whatever their number
    is_wide = device in torch_tokens.WIDE and (device != "cpu" or x.numel() <= _SMALL)
    return torch.float64 if is_wide else torch.float32


def wide(x: Any) -> Any:
    return x.to(wide_dtype(x))


def result_dtype(x: Any) -> Any:
    return x.dtype if x.dtype.is_floating_point else torch.get_default_dtype()


def cast(x: Any, dtype: Any, bounded: bool = False) -> Any:
    if x.dtype == dtype:
        return x
    if bounded and dtype != torch.float16:
        return x.to(dtype)
    most = torch.finfo(dtype).max
    return x.clamp(-most, most).to(dtype)


def running_count(mask: Any) -> Any:
    return mask.cumsum(-1)


def sums_before(x: Any) -> Any:
    return torch.nn.functional.pad(x.cumsum(0), (*(0, 0) * (x.dim() - 1), 1, 0))


def selected(x: Any, mask: Any) -> Any:
    return torch.where(mask, x, 0.0)


def filled(x: Any, where: Any, number: float) -> Any:
    return x.masked_fill(where, number)


def full(shape: tuple[int, ...], value: float, like: Any) -> Any:
    return torch.full(shape, value, dtype=like.dtype, device=like.device)


def arange(count: int, like: Any) -> Any:
    return torch.arange(count, device=like.device)


def index(x: Any) -> Any:
    return x.to(torch.int64)


def segment(reduction: str, x: Any, slots: Any, count: int) -> Any:
    if reduction == "sum":
        return full((count, *x.shape[1:]), 0.0, x).index_add(0, slots, x)
    neutral = torch.inf if reduction == "min" else -torch.inf
    return full((count,), neutral, x).scatter_reduce(0, slots, x, "a" + reduction)


def blocks(x: Any, size: int) -> Any:
    return x.reshape(-1, size)


def rows(view: Any) -> Any:
    return view.reshape(-1)


def reduced(reduction: str, view: Any) -> Any:
    if reduction == "norm":
        return torch.linalg.vector_norm(view, dim=-1, keepdim=True)
    if reduction == "sum":
        return view.sum(-1, True)
    return getattr(view, {"min": "amin", "max": "amax"}.get(reduction, reduction))(-1, keepdim=True)


def over_rows(function: Callable[[Any], Any], rows: Any, tile: int) -> Any:
    if rows.shape[0] <= tile:
        return function(rows)
    return torch.cat([function(rows[start : start + tile]) for start in range(0, rows.shape[0], tile)])


def fused(function: Callable[..., Any], settings: int = 1) -> Callable[..., Any]:
    return function


def either(condition: Callable[[], Any], quick: Callable[[], Any], general: Callable[[], Any], like: Any) -> Any:
    return quick() if on_host(like) and condition() else general()


def narrow(x: Any) -> Any:
    return x.to(torch.float32)


def sigmoid(x: Any) -> Any:
    return x.sigmoid_()


def contiguous(x: Any) -> Any:
    return x.contiguous()


def reverse_scan(decay: Any, x: Any) -> Any:
    """Blocks of time steps are scanned side by side and their carries by the same function: the number of kernels
    grows with log(T), not T, and a compiler has little to unroll.
    """
    rows, steps = x.shape
    if steps <= _BLOCK:
        return torch.stack(_scan_steps(decay.unbind(1), x.unbind(1)), 1) if steps else x
    padding = -steps % _BLOCK
    x, decay = (torch.nn.functional.pad(z, (0, padding)).reshape(rows, -1, _BLOCK).movedim(2, 0) for z in (x, decay))
    inside = _scan_steps(decay.contiguous().unbind(0), x.contiguous().unbind(0))
    reach = list(decay.unbind(0))  # how strongly each step feels what lies beyond its block
    for step in range(_BLOCK - 2, -1, -1):
        reach[step] = reach[step] * reach[step + 1]
    starts = reverse_scan(reach[0], inside[0])
    beyond = torch.nn.functional.pad(starts[:, 1:], (0, 1))
    result = torch.stack(inside, 2) + torch.stack(reach, 2) * beyond[:, :, None]
    return result.reshape(rows, -1)[:, :steps]


def _scan_steps(decay: Any, x: Any) -> list[Any]:
    result = list(x)
    for t in range(len(result) - 2, -1, -1):
        result[t] = result[t] + decay[t] * result[t + 1]
    return result


def advantages(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> Any:
    words = [x for x in (rewards, values, mask) if x is not None]
    if isinstance(discount * lambda_, (int, float)) and on_gpu(*words):
        by_triton = compiled("tokens", "triton")
        if by_triton is not None:
            return by_triton.advantages(rewards, values, mask, discount, lambda_)
    rewards, values = working(rewards), None if values is None else working(values)
    if not all(map(on_host, words)) or _differentiated(words):
        if _transformed(*words):  # vmap has no rule for some steps that write to what they read
            discount = torch.as_tensor(discount, dtype=torch.float64)
        if isinstance(discount, (int, float)) and isinstance(lambda_, (int, float)):
            return torch_tokens.advantages(rewards, values, mask, discount, lambda_)
        return scan.advantages(sys.modules[__name__], rewards, values, mask, discount, lambda_)
    kernels = _kernels(rewards)
    out = np.empty(rewards.shape, f"f{rewards.itemsize}")  # numpy asks for large pages, which are faulted in sooner
    if kernels is None:
        value_array = None if values is None else to_numpy(values)
        scan.by_tiles(to_numpy(rewards), value_array, to_numpy(mask), discount, lambda_, out, out.dtype)
    else:
        given = [None if x is None else _memory(x) for x in (rewards, values, mask)]
        kernels.advantages(*given, float(discount), float(lambda_), out)
    return torch.from_numpy(out)


def advantages_and_moments(rewards: Any, values: Any, mask: Any, discount: Any, lambda_: Any) -> tuple[Any, Any]:
    words = [x for x in (rewards, values, mask) if x is not None]
    if not all(map(on_host, words)) or _differentiated(words) or _kernels(rewards) is None:
        return advantages(rewards, values, mask, discount, lambda_), None
    reward_array, value_array = (None if x is None else to_numpy(working(x)) for x in (rewards, values))
    found, rows = numpy_backend.advantages_and_moments(reward_array, value_array, to_numpy(mask), discount, lambda_)
    return torch.from_numpy(found), rows


def _transformed(*words: Any) -> bool:
    """Whether functions of torch.func look through one of the tensors."""
    return not is_compiling() and any(map(is_functorch_wrapped_tensor, words))


def _kernels(x: Any) -> Any:
    return compiled("tokens") if x.numel() >= COMPILED and on_host(x) else None


def _memory(x: Any) -> Any:
    """A tensor on the host as a numpy array, without a copy where it is laid out in rows."""
    return to_numpy(x.contiguous())


def row_moments(x: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    if on_host(x) and on_host(mask):
        return numpy_backend.row_moments(to_numpy(x), to_numpy(mask))
    dtype = torch.float64 if x.device.type in torch_tokens.WIDE else torch.float32
    count = mask.sum(1, dtype=dtype)
    if not x.shape[1]:
        return count, count, count, count
    low = torch.where(mask, x, torch.inf).amin(1).nan_to_num(posinf=0.0)[:, None]
    above = torch.where(mask, x, low)
    above -= low
    total, norm = above.sum(1, dtype=dtype), torch.linalg.vector_norm(above, dim=1, dtype=dtype)
    mean = total / count.clip(1.0)
    return count, low[:, 0].to(dtype), mean, (norm * norm - total * mean).clip(0.0)


def centered(x: Any, scored: Any, order: Any, place: Any, size: int, others: bool, ddof: int, epsilon: float) -> Any:
    if wide_dtype(x) == x.dtype or transformed(scored) or _captured():
        return None
    return torch_groups.centered(x, scored, order, place, size, others, ddof, epsilon)


def _captured() -> bool:
    """Whether a CUDA graph records: what is made then holds nothing until it is replayed, and must not be kept."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def whitened_alike(x: Any, mask: Any, ddof: int, epsilon: Any) -> Any:
    if on_host(x) or mask is None or not isinstance(epsilon, (int, float)) or _transformed(x, mask):
        return None
    return torch_tokens.whitened(x, mask, ddof, epsilon)


def whitened(x: Any, mask: Any, origin: Any, mean: Any, scale: Any, own: bool = False) -> Any:
    if on_host(x) and on_host(mask):
        return torch.from_numpy(numpy_backend.whitened(to_numpy(x), to_numpy(mask), origin, mean, scale, own))
    white = torch.where(mask, x, origin)
    white -= origin
    white -= mean
    white *= scale
    return torch.where(mask, white, 0.0)


def add_at(x: Any, columns: Any, numbers: Any) -> Any:
    return x.scatter_add_(1, columns[:, None], numbers[:, None])


def gather(x: Any, across: Any) -> Any:
    if callable(across):
        return across(x)
    import torch.distributed as dist

    parts = [torch.empty_like(x) for _ in range(dist.get_world_size(across))]
    dist.all_gather(parts, x.contiguous(), group=across)
    return torch.stack(parts)


def rank(across: Any) -> Any:
    import torch.distributed as dist

    return None if callable(across) else dist.get_rank(across)
