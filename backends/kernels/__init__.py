"""Compiled kernels, which nothing needs: by numba for arrays on the host, by Triton for tensors on a GPU.

They come with `pip install rl-advantages[fast]` and `[gpu]`. A kernel of numba is a plain loop over memory that lets go
of Python's lock. It runs on threads of Python, not on numba's own: those end a process that forks after their first
use, or that calls from two threads, and trainers do both. The kernels of Triton are tested in its interpreter and
compiled for GPUs; they were not measured on a GPU.
"""

import functools
import importlib
import importlib.util
import itertools
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

__all__ = ["ALLOWED", "COMPILED", "compiled", "in_parts", "jit"]

ALLOWED = os.environ.get("ADVANTAGES_COMPILED") != "0"
"""Whether compiled kernels are used, as the environment said when advantages was imported: to ask it at each call takes
longer than a batch's arithmetic."""

COMPILED = 16_384
"""Tokens from which a kernel is worth its loading."""


def compiled(name: str, by: Literal["numba", "triton"] = "numba") -> Any:
    """The module `<by>_<name>` of this folder, or None where that compiler is not installed, or not `ALLOWED`."""
    return _loaded(name, by) if ALLOWED else None


@functools.cache
def _loaded(name: str, by: str) -> Any:
    if importlib.util.find_spec(by) is None:
        return None
    try:
        return importlib.import_module(f".{by}_{name}", __name__)
    except ImportError as error:  # numba refuses versions of numpy that it does not know
        warnings.warn(
            f"advantages: {by} is installed but does not load ({error}); everything runs without it, only slower: "
            "install versions that fit, or set ADVANTAGES_COMPILED=0 to silence this",
            stacklevel=2,
        )
        return None


def jit(function: Callable[..., Any], *, sums: bool = False) -> Any:
    """`function` compiled by numba at its first call. Arithmetic is IEEE's, NaN and infinity included; only a product
    and a sum may be fused, and where it `sums`, the terms may be added in any order, which is several times as fast.
    """
    import numba

    compile_ = functools.partial(
        numba.njit, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"} if sums else {"contract"}
    )
    try:
        return compile_(cache=True)(function)
    except RuntimeError:  # there is no folder that the compiled code could be kept in
        return compile_()(function)


def in_parts(kernel: Callable[..., Any], count: int, *arguments: Any, least: int = 1) -> list[Any]:
    """What `kernel(start, stop, *arguments)` gives for parts of range(count), one a thread, each `least` or longer."""
    parts = min(_threads(), max(1, count // least))
    if parts == 1:
        return [kernel(0, count, *arguments)]
    edges = [count * part // parts for part in range(parts + 1)]
    others = [
        _pool(os.getpid()).submit(kernel, start, stop, *arguments) for start, stop in itertools.pairwise(edges[1:])
    ]
    first = kernel(edges[0], edges[1], *arguments)
    return [first, *(other.result() for other in others)]


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Threads of one process: a fork has none of its parent's."""
    return ThreadPoolExecutor(_threads(), thread_name_prefix="advantages")


@functools.cache
def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")  # launchers of several processes a machine set it
    return min(cores, int(limit)) if limit.isdigit() and int(limit) else cores
