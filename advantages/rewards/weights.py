"""Weights of reward components that change over training."""

import math
from dataclasses import dataclass
from typing import Literal

from ..core.settings import Count, Finite, check_fields

__all__ = ["Weight"]


@dataclass(frozen=True)
class Weight:
    """A weight that starts at `value`, and may decay to `end` over the first `steps` steps and stay there.

        linear:  end + (value - end) * (1 - t / steps)
        cosine:  end + (value - end) * (1 + cos(pi * t / steps)) / 2      (Loshchilov & Hutter, 2017, arXiv:1608.03983)

    with t = min(step, steps).

    Args:
        value: weight at step 0.
        decay: "constant", "linear" or "cosine".
        steps: when `end` is reached; for a decay only.
        end: weight from then on.

    >>> lambda_sem = Weight(0.1, decay="linear", steps=100)
    >>> lambda_sem(0), lambda_sem(50), lambda_sem(1000)
    (0.1, 0.05, 0.0)
    """

    value: Finite
    decay: Literal["constant", "linear", "cosine"] = "constant"
    steps: Count | None = None
    end: Finite = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "Weight")
        if self.decay == "constant":
            if self.steps is not None or self.end != 0:
                raise ValueError('Weight: got steps or end without a decay; pass decay="linear" or "cosine"')
        elif self.steps is None:
            raise TypeError(f"Weight: decay is {self.decay!r} but steps is None; pass the step at which end is reached")

    def __call__(self, step: int) -> float:
        """The weight at a step."""
        if self.steps is None:
            return float(self.value)
        t = min(step, self.steps) / self.steps
        share = 1 - t if self.decay == "linear" else (1 + math.cos(math.pi * t)) / 2
        return self.end + (self.value - self.end) * share
