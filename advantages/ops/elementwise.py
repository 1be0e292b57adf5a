"""Elementwise words: selection, and functions that neither overflow nor cancel."""

from typing import Any

from ..backends import backend_of

__all__ = [
    "at_least",
    "log_gamma",
    "log_sigmoid",
    "namespace",
    "raised_by_entropy",
    "sigmoid",
    "unless",
    "where",
    "with_finite_squares",
]


def namespace(x: Any) -> Any:
    """The module with the elementwise functions for `x`: numpy, torch or jax.numpy."""
    return backend_of(x).xp


def where(condition: Any, x: Any, otherwise: Any) -> Any:
    """`x` where `condition` holds, else `otherwise`; `None` is a condition that holds everywhere."""
    return x if condition is None else backend_of(condition).xp.where(condition, x, otherwise)


def unless(condition: Any, x: Any, otherwise: float) -> Any:
    """`x` but where `condition` holds, there a number; `None` is a condition that holds nowhere."""
    return x if condition is None else backend_of(x).filled(x, condition, otherwise)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow, and with sigmoid(x) + sigmoid(-x) = 1 exactly."""
    return 0.5 + 0.5 * backend_of(x).xp.tanh(0.5 * x)


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), exact where the sigmoid itself would vanish."""
    xp = backend_of(x).xp
    return xp.clip(x, None, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))


def at_least(count: Any, least: float) -> Any:
    """`count`, or `least` where it is smaller: a denominator that is never zero."""
    return max(count, least) if isinstance(count, (int, float)) else count.clip(least)


def raised_by_entropy(advantages: Any, token_entropies: Any, *, alpha: float, kappa: float) -> Any:
    """Advantages with a bonus where the policy hesitated: A + min(alpha * H, |A| / kappa)."""
    xp = namespace(advantages)
    return advantages + xp.minimum(alpha * token_entropies, xp.abs(advantages) / kappa)


def with_finite_squares(x: Any) -> Any:
    """`x`, cut where sums of squares would overflow: beyond 1e123 in double and 3e15 in single precision.

    For estimators whose advantages are not in proportion to the rewards; the call shrinks the rewards of the others.
    """
    backend = backend_of(x)
    most = backend.largest(x) ** 0.4
    return backend.xp.clip(x, -most, most)


_LANCZOS = (
    0.99999999999980993,
    676.5203681218851,
    -1259.1392167224028,
    771.32342877765313,
    -176.61502916214059,
    12.507343278686905,
    -0.13857109526572012,
    9.9843695780195716e-6,
    1.5056327351493116e-7,
)


def log_gamma(x: Any) -> Any:
    """log(gamma(x)) for x of at least 1, by Lanczos's series; numpy has none."""
    xp = backend_of(x).xp
    t = x + 6.5
    series = _LANCZOS[0] + sum(c / (x + k) for k, c in enumerate(_LANCZOS[1:]))
    return (x - 0.5) * xp.log(t) - t + xp.log(2.5066282746310002 * series)
