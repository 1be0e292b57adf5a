"""Whitening over the tokens of a batch, to the letter of the frameworks that end some of their estimators with it."""

from typing import Any

from ..backends import backend_of
from ..ops import at_least, moments, where

__all__ = ["whitened"]


def whitened(x: Any, mask: Any, *, ddof: int, epsilon: float = 0.0, floor: float = 0.0) -> Any:
    """`x` with mean 0 and variance 1 over the tokens of a mask, and 0 elsewhere.

        (x - mean) / sqrt(max(variance, floor) + epsilon)

    Frameworks guard the variance, where `advantages.whiten` guards the deviation. The two part where rewards are small:
    at a deviation of 1e-4 by a factor of 1.4.

    Args:
        x: (N, T) numbers.
        mask: (N, T) bool: what counts.
        ddof: 1 for the sample variance, 0 for the population's.
        epsilon: added to the variance.
        floor: the smallest variance that is divided by.

    Returns:
        (N, T) array of the library, device and dtype of `x`.
    """
    backend = backend_of(x)
    found = moments(x, mask)
    variance = found.m2 / at_least(found.count - ddof, 1.0)
    centered = where(mask, backend.working(x) - found.origin - found.mean, 0.0)
    return backend.cast(centered * (at_least(variance, floor) + epsilon) ** -0.5, backend.result_dtype(x))
