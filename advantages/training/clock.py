"""Where a step's time goes."""

import time

__all__ = ["Clock"]


class Clock:
    """Seconds since the start, by what they were spent on."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.shares: dict[str, float] = {}

    def __call__(self, what: str) -> None:
        """Put what has passed since the last call, or the start, down to `what`."""
        now = time.perf_counter()
        name = f"seconds_{what}"
        self.shares[name] = self.shares.get(name, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return self._last - self._start
