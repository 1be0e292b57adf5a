"""Compiled loops over tokens: states in double precision, every number read and written once."""

from typing import Any

import numpy as np

from . import in_parts, jit

__all__ = ["advantages", "advantages_and_moments", "row_moments", "whitened"]

_LEAST = 65_536  # numbers that are worth a thread


def advantages(rewards: Any, values: Any, mask: Any, discount: float, lambda_: float, out: Any) -> None:
    """Into `out`, (N, T): see `Backend.advantages`."""
    rows, steps = mask.shape
    most = float(np.finfo(out.dtype).max)
    least = max(1, _LEAST // max(1, steps))
    if values is None:
        in_parts(_returns, rows, rewards, mask, float(discount * lambda_), most, out, least=least)
    else:
        in_parts(_advantages, rows, rewards, values, mask, float(discount), float(lambda_), most, out, least=least)


@jit
def _advantages(
    start: int, stop: int, rewards: Any, values: Any, mask: Any, discount: float, lambda_: float, most: float, out: Any
) -> None:
    keep, decay = discount * (1.0 - lambda_), discount * lambda_
    steps = mask.shape[1]
    for row in range(start, stop):
        received = after_first = 0.0  # what the token before receives; the same at the first trained token
        first = -1
        for t in range(steps - 1, -1, -1):
            on = mask[row, t]
            reward, value = np.float64(rewards[row, t]), np.float64(values[row, t])
            advantage = min(max(reward + received - value, -most), most)
            out[row, t] = advantage if on else 0.0
            first = t if on else first
            hands_on = keep * value + decay * reward if on else (reward if abs(reward) < np.inf else 0.0)
            received = hands_on + (decay if on else 1.0) * received
            after_first = received if on else after_first
        if first >= 0 and received != after_first:  # rewards ahead of it
            out[row, first] = min(max(out[row, first] + (received - after_first), -most), most)


@jit
def _returns(start: int, stop: int, rewards: Any, mask: Any, decay: float, most: float, out: Any) -> None:
    steps = mask.shape[1]
    for row in range(start, stop):
        received = after_first = 0.0
        first = -1
        for t in range(steps - 1, -1, -1):
            on = mask[row, t]
            reward = np.float64(rewards[row, t])
            out[row, t] = min(max(reward + received, -most), most) if on else 0.0
            first = t if on else first
            hands_on = decay * reward if on else (reward if abs(reward) < np.inf else 0.0)
            received = hands_on + (decay if on else 1.0) * received
            after_first = received if on else after_first
        if first >= 0 and received != after_first:
            out[row, first] = min(max(out[row, first] + (received - after_first), -most), most)


def row_moments(x: Any, mask: Any) -> Any:
    """(4, N) count, origin, mean and squared deviation of each row: see `Backend.row_moments`."""
    rows, steps = mask.shape
    found = np.empty((4, rows))
    in_parts(_row_moments, rows, x, mask, found, least=max(1, _LEAST // max(1, steps)))
    return found


def _sums_of(x: Any, on: Any, origin: float) -> tuple[int, float, float]:
    count, total, squares = 0, 0.0, 0.0
    for t in range(len(x)):
        above = np.float64(x[t]) - origin if on[t] else 0.0
        count += on[t]
        total += above
        squares += above * above
    return count, total, squares


_sums = jit(_sums_of, sums=True)


@jit
def _row_moments(start: int, stop: int, x: Any, mask: Any, found: Any) -> None:
    for row in range(start, stop):
        here, on = x[row], mask[row]
        first = 0
        while first < len(on) and not on[first]:
            first += 1
        origin = np.float64(here[first]) if first < len(on) else 0.0
        count, total, squares = _sums(here, on, origin)
        mean = total / max(count, 1)
        found[0, row], found[1, row], found[2, row], found[3, row] = (
            count,
            origin,
            mean,
            max(squares - total * mean, 0.0),
        )


def advantages_and_moments(rewards: Any, values: Any, mask: Any, discount: float, lambda_: float, out: Any) -> Any:
    """`advantages` into `out`, and `row_moments` of them."""
    rows, steps = mask.shape
    most, found = float(np.finfo(out.dtype).max), np.empty((4, rows))
    settings = float(discount), float(lambda_), most
    least = max(1, _LEAST // max(1, steps))
    in_parts(_advantages_and_moments, rows, rewards, values, mask, *settings, out, found, least=least)
    return found


@jit
def _advantages_and_moments(
    start: int,
    stop: int,
    rewards: Any,
    values: Any,
    mask: Any,
    discount: float,
    lambda_: float,
    most: float,
    out: Any,
    found: Any,
) -> None:
    for row in range(start, stop):
        if values is None:
            _returns(row, row + 1, rewards, mask, discount * lambda_, most, out)
        else:
            _advantages(row, row + 1, rewards, values, mask, discount, lambda_, most, out)
        _row_moments(row, row + 1, out, mask, found)


def whitened(x: Any, mask: Any, origin: float, mean: float, scale: float, out: Any) -> None:
    """Into `out`, (N, T), which may be x itself: see `Backend.whitened`."""
    rows, steps = mask.shape
    least = max(1, _LEAST // max(1, steps))
    if out is x:
        in_parts(_whitened_in_place, rows, x, mask, origin, mean, scale, least=least)
    else:
        in_parts(_whitened, rows, x, mask, origin, mean, scale, out, least=least)


@jit
def _whitened(start: int, stop: int, x: Any, mask: Any, origin: float, mean: float, scale: float, out: Any) -> None:
    for row in range(start, stop):
        here, on, into = x[row], mask[row], out[row]
        for t in range(len(on)):
            white = (np.float64(here[t]) - origin - mean) * scale
            into[t] = white if on[t] else 0.0


@jit
def _whitened_in_place(start: int, stop: int, x: Any, mask: Any, origin: float, mean: float, scale: float) -> None:
    """Half the time of `_whitened`, which takes what it writes to for something that it is yet to read."""
    for row in range(start, stop):
        here, on = x[row], mask[row]
        for t in range(len(on)):
            white = (np.float64(here[t]) - origin - mean) * scale
            here[t] = white if on[t] else 0.0
