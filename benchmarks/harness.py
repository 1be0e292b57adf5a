"""Times functions in turn, in one process, and prints each as a ratio to a floor measured beside it."""

import os
import statistics
import time
from collections.abc import Callable, Mapping

SECONDS = float(os.environ.get("BENCHMARK_SECONDS", "1"))
"""What each call is measured for, where a benchmark does not say."""


def medians(
    calls: Mapping[str, Callable[[], object]], *, seconds: float = SECONDS, warmup: int = 3
) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that a drift of the machine meets all alike."""
    for call in calls.values():
        for _ in range(warmup):
            call()
    samples: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end or min(map(len, samples.values())) < 5:
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            samples[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in samples.items()}


def show(title: str, found: Mapping[str, float], floor: str) -> None:
    """Print a table of milliseconds and ratios to the entry `floor`."""
    print(f"\n{title}\n{'':>34}        ms   x floor")
    for name, taken in found.items():
        print(f"{name:>34}  {taken * 1e3:8.3f}  {taken / found[floor]:8.1f}")
