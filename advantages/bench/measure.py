"""Verifies calls and times them in turn, with the memory that each takes, and a floor measured beside it."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ..backends.kernels import ALLOWED

__all__ = [
    "FLOOR",
    "Entry",
    "Found",
    "Work",
    "machine",
    "measured",
    "on_jax",
    "on_torch",
    "peak_mib",
    "turns",
    "widened",
]

FLOOR = "one pass (numpy add, output reused)"
_CLOSE = {"ours": 1e-5, "naive": 1e-3, "peer": 1e-3}
"""How far a result may be from its formula, in units of the formula's largest number, in single precision."""
_PACKAGES = (
    "rl-advantages",
    "numpy",
    "torch",
    "jax",
    "numba",
    "verl",
    "openrlhf",
    "torchrl",
    "rlax",
    "google-tunix",
)


class Entry(NamedTuple):
    """One way to do a work."""

    name: str
    kind: Literal["ours", "naive", "peer"]
    prepare: Callable[..., Callable[[], Any]]
    """Of the inputs, as numpy arrays: a call without arguments, whose time is taken."""
    right: Callable[..., Any] | None = None
    """The formula in float64, where it is not the work's: whitened, too, or without a mask. NaN: not compared."""


class Work(NamedTuple):
    """What is to be done, and the ways to do it; the first entry is ours, which others are compared with."""

    group: str
    title: str
    draw: Callable[[Any, bool], tuple[Any, ...]]
    """Inputs from a generator; small ones, for the formula, where the flag is set."""
    right: Callable[..., Any]
    """The formula in float64."""
    entries: tuple[Entry, ...]


class Found(NamedTuple):
    """What was measured of one entry; None where it was not."""

    group: str
    work: str
    name: str
    kind: str
    median_ms: float
    best_ms: float
    samples: int
    times_ours: float
    """Its median as a multiple of the first entry's: above 1 it is slower than ours."""
    times_floor: float
    """Its median as a multiple of one pass over the first input."""
    peak_mib: float | None
    error: float
    """Largest distance from its formula in float64, in units of the formula's largest number."""


def on_torch(
    function: Callable[..., Any], *, words: int | None = None, numbers: bool = False
) -> Callable[..., Callable[[], Any]]:
    """Prepare calls on the first `words` inputs as tensors, with masks as `numbers` where a package wants them so."""

    def prepare(*inputs: Any) -> Callable[[], Any]:
        import torch

        tensors = map(torch.from_numpy, inputs[:words])
        return partial(function, *(x.float() if numbers and x.dtype == torch.bool else x for x in tensors))

    return prepare


def on_jax(function: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """Prepare calls on the inputs as JAX arrays."""

    def prepare(*inputs: Any) -> Callable[[], Any]:
        import jax.numpy as jnp

        return partial(function, *map(jnp.asarray, inputs))

    return prepare


def widened(*inputs: Any) -> tuple[Any, ...]:
    """The inputs in double precision, masks and ids as they are."""
    return tuple(x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs)


def measured(work: Work, *, seconds: float = 4.0, seed: int | None = None) -> tuple[list[Found], dict[str, str]]:
    """Verify each entry on fresh inputs, time all in turns for about `seconds`, and look at their memory.

    Returns:
        What was found, and by name why another package, which fails or is not what it should be, was not timed.

    Raises:
        ArithmeticError: a result of ours, or of the naive line, is not its formula's.
    """
    rng = np.random.default_rng(seed)
    inputs = work.draw(rng, True)
    errors: dict[str, float] = {}
    refused: dict[str, str] = {}
    for entry in work.entries:
        try:
            errors[entry.name] = _error(work, entry, inputs)
        except Exception as error:  # of another package, which may fail in any way
            if entry.kind != "peer":
                raise
            refused[entry.name] = f"{type(error).__name__}: {error}"
    inputs = work.draw(rng, False)
    x, out = inputs[0], np.zeros_like(inputs[0])
    calls = {FLOOR: lambda: np.add(x, x.dtype.type(1), out=out)}
    calls |= {entry.name: entry.prepare(*inputs) for entry in work.entries if entry.name in errors}
    taken = turns(calls, seconds)
    medians = {name: statistics.median(samples) for name, samples in taken.items()}
    ours = medians[work.entries[0].name]
    found = [
        Found(
            work.group,
            work.title,
            entry.name,
            entry.kind,
            medians[entry.name] * 1e3,
            min(taken[entry.name]) * 1e3,
            len(taken[entry.name]),
            medians[entry.name] / ours,
            medians[entry.name] / medians[FLOOR],
            peak_mib(calls[entry.name]),
            errors[entry.name],
        )
        for entry in work.entries
        if entry.name in errors
    ]
    return found, refused


def _error(work: Work, entry: Entry, inputs: tuple[Any, ...]) -> float:
    right = np.asarray((entry.right or work.right)(*inputs), np.float64)
    found = np.asarray(entry.prepare(*inputs)(), np.float64).reshape(right.shape)
    compared = ~np.isnan(right)
    error = float(np.abs(found - right)[compared].max() / max(float(np.abs(right[compared]).max()), 1e-30))
    if not error <= _CLOSE[entry.kind]:
        raise ArithmeticError(f"{entry.name} on {work.title} is {error:.1e} off its formula; it was not timed")
    return error


def turns(calls: Mapping[str, Callable[[], Any]], seconds: float, *, least: int = 3) -> dict[str, list[float]]:
    """Seconds of each call: they take turns, so that a drift of the machine meets all alike, and slow ones fewer."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    share, end = seconds / len(calls), time.perf_counter() + seconds
    while any(len(samples) < least for samples in taken.values()) or time.perf_counter() < end:
        for name, call in calls.items():
            if len(taken[name]) < least or sum(taken[name]) < share:
                start = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - start)
        if all(len(samples) >= least and sum(samples) >= share for samples in taken.values()):
            break
    return taken


def peak_mib(call: Callable[[], Any]) -> float | None:
    """MiB that the process grows by while `call` runs; None where the system does not say."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = _status("VmRSS")
        call()
        return max(0.0, (_status("VmHWM") - before) / 1024)
    except (OSError, StopIteration):
        return None


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def machine() -> dict[str, Any]:
    """What a figure depends on beside the code: hardware, load, threads, allocator, versions."""
    import torch

    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "allocator": _allocator(),
        "kernels": "where numba is installed" if ALLOWED else "off",
        "accelerator": None,
        "python": platform.python_version(),
        "versions": dict(_versions(_PACKAGES)),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _allocator() -> str:
    settings = [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith("MALLOC_")]
    loaded = os.environ.get("LD_PRELOAD")
    name = " ".join(part for part in platform.libc_ver() if part) or "the system's"
    return ", ".join([Path(loaded).name if loaded else name, *(settings or ["default settings"])])


def _versions(names: Iterable[str]) -> Iterable[tuple[str, str | None]]:
    for name in names:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, None
