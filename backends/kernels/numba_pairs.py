"""Pairwise sums of sigmoids, group by group: direct where a group is small, else by bins and Chebyshev series.

Plain loops stand where numpy has a function: what numba compiles for those took as long as all the rest.
"""

from typing import Any

import numpy as np

from . import in_parts, jit

__all__ = ["sigmoid_sums"]

_DIRECT = 64
"""Members up to which every pair is looked at; measured in benchmarks/pairs.py."""

_BINS = 8
"""Members by which that number rises for each bin that the scores reach over, up to ... (benchmarks/pairs.py)."""

_DIRECT_AT_MOST = 384
"""... this many; so many it is where the sign of every gap must be known, too."""

_SIDE_BY_SIDE = 32
"""Members up to which groups of one size are worked on side by side (benchmarks/pairs.py)."""

_LANES = 32
"""Groups side by side, so that what is known of them stays in the first cache."""

_PAIRS = 65_536
"""Pairs from which a thread takes less time than it takes to wake it (benchmarks/pairs.py)."""

_MOST = 1e307
"""A score that is as good as any larger one, and whose differences are finite."""

_FEW = 32
"""Pairs of two bins that cost as much as their series."""


def sigmoid_sums(
    values: Any,
    scores: Any,
    temperature: float,
    order: Any,
    starts: Any,
    size: int,
    scored: Any,
    series: Any,
    width: float,
    *,
    misranked: bool,
) -> Any:
    """(N,) y_i = sum over scored j in i's group of (v_i - v_j) sigmoid((s_i - s_j) / t); 0 for others.

    Args:
        values: (N,) float64.
        scores: (N,) float64.
        temperature: that differences of scores are divided by.
        order: (N,) rows by group, or an empty array where they stand so.
        starts: (P + 1,) where each group begins in that order, or an empty array where all have `size` rows.
        size: rows of every group, or 0.
        scored: (N,) bool, or an empty array where all are.
        series: what a bin makes of the moments of bins near it, `advantages.ops.chebyshev.series`.
        width: of a bin.
        misranked: weigh by sigmoid(-sign(v_i - v_j) (s_i - s_j) / t) instead.
    """
    found = np.zeros_like(values)
    if size:
        count, pairs = len(values) // size, len(values) * min(size, _DIRECT)
    else:
        sizes = np.diff(starts)
        count, pairs = len(sizes), int((sizes * np.minimum(sizes, _DIRECT)).sum())
    least = max(1, _PAIRS * count // max(1, pairs))
    if 0 < size <= _SIDE_BY_SIDE and not len(scored):
        in_parts(_side_by_side, count, values, scores, temperature, order, size, misranked, found, least=least)
        return found
    starts = np.arange(0, len(values) + 1, size) if size else starts
    kernel = _misranked if misranked else _all_pairs
    in_parts(kernel, count, values, scores, temperature, order, starts, scored, series, width, found, least=least)
    return found


@jit
def _sigmoid(x: float) -> float:
    x = min(max(x, -40.0), 40.0) / -128
    e = 1 / 479001600
    e = e * x + 1 / 39916800
    e = e * x + 1 / 3628800
    e = e * x + 1 / 362880
    e = e * x + 1 / 40320
    e = e * x + 1 / 5040
    e = e * x + 1 / 720
    e = e * x + 1 / 120
    e = e * x + 1 / 24
    e = e * x + 1 / 6
    e = e * x + 0.5
    e = e * x + 1
    e = e * x + 1
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return 1 / (1 + e)


@jit
def _row(place: int, order: Any) -> int:
    return order[place] if len(order) else place


@jit
def _lead(scores: Any, row: int, other: int, temperature: float) -> float:
    return min(max((scores[row] - scores[other]) / temperature, -_MOST), _MOST)


@jit
def _members(group: int, order: Any, starts: Any, scored: Any, rows: Any) -> int:
    """Write the scored rows of a group to `rows`, and count them."""
    count = 0
    for place in range(starts[group], starts[group + 1]):
        row = _row(place, order)
        if not len(scored) or scored[row]:
            rows[count] = row
            count += 1
    return count


@jit
def _pair(v_i: Any, v_j: Any, s_i: Any, s_j: Any, y_i: Any, y_j: Any, misranked: bool) -> None:
    """Add to y what two members of each group are to one another: one sigmoid says both."""
    if misranked:
        for g in range(len(v_i)):
            gap, lead = v_i[g] - v_j[g], s_i[g] - s_j[g]
            part = gap * _sigmoid(lead if gap < 0 else -lead)
            y_i[g] += part
            y_j[g] -= part
    else:
        for g in range(len(v_i)):
            gap = v_i[g] - v_j[g]
            part = gap * _sigmoid(s_i[g] - s_j[g])
            y_i[g] += part
            y_j[g] -= gap - part


@jit
def _direct(v: Any, s: Any, y: Any, misranked: bool) -> None:
    """Add every pair's part to y: each member beside the one that is d places further on, in a ring.

    So the inner loop runs over all members, which fills vectors where a triangle's rows would not.
    """
    n = len(v)
    ring_v, ring_s, z = np.empty(2 * n), np.empty(2 * n), np.zeros(2 * n)
    for i in range(2 * n):
        ring_v[i], ring_s[i] = v[i % n], s[i % n]
    for d in range(1, n // 2 + 1):
        m = n if 2 * d < n else d  # the two halves of an even ring face each other
        _pair(v[:m], ring_v[d : d + m], s[:m], ring_s[d : d + m], y[:m], z[d : d + m], misranked)
    for i in range(n):
        y[i] += z[i] + z[n + i]


@jit
def _is_small(s: Any, width: float) -> bool:
    """Whether to look at every pair takes less time than bins."""
    n = len(s)
    if n <= _DIRECT or n > _DIRECT_AT_MOST:
        return n <= _DIRECT
    low, high = _range(s)
    return n - _DIRECT <= _BINS * (high - low) / width


@jit
def _range(s: Any) -> tuple[float, float]:
    low = high = s[0]
    for i in range(1, len(s)):
        low, high = min(low, s[i]), max(high, s[i])
    return low, high


@jit
def _side_by_side(
    start: int,
    stop: int,
    values: Any,
    scores: Any,
    temperature: float,
    order: Any,
    size: int,
    misranked: bool,
    found: Any,
) -> None:
    """Groups of one size: the inner loop runs over groups, which fills vectors where members are few."""
    v, s, y = np.zeros((size, _LANES)), np.zeros((size, _LANES)), np.zeros((size, _LANES))
    for first in range(start, stop, _LANES):
        lanes = min(_LANES, stop - first)
        for g in range(lanes):
            place = (first + g) * size
            head = _row(place, order)
            for i in range(size):
                row = _row(place + i, order)
                v[i, g] = values[row] - values[head]  # from a member: equals are exactly zero
                s[i, g] = _lead(scores, row, head, temperature)
                y[i, g] = 0.0
        for i in range(size):
            for j in range(i + 1, size):
                _pair(v[i], v[j], s[i], s[j], y[i], y[j], misranked)
        for g in range(lanes):
            for i in range(size):
                found[_row((first + g) * size + i, order)] = y[i, g]


@jit
def _all_pairs(
    start: int,
    stop: int,
    values: Any,
    scores: Any,
    temperature: float,
    order: Any,
    starts: Any,
    scored: Any,
    series: Any,
    width: float,
    found: Any,
) -> None:
    most = 0
    for group in range(start, stop):
        most = max(most, starts[group + 1] - starts[group])
    rows = np.empty(most, np.int64)
    v, s, y, w, e = np.empty(most), np.empty(most), np.empty(most), np.ones(most), np.empty((2, most))
    for group in range(start, stop):
        n = _members(group, order, starts, scored, rows)
        for i in range(n):
            v[i] = values[rows[i]] - values[rows[0]]  # from a member: equals are exactly zero
            s[i] = _lead(scores, rows[i], rows[0], temperature)
            y[i] = 0.0
        if _is_small(s[:n], width):
            _direct(v[:n], s[:n], y[:n], False)
        else:
            _by_bins(v[:n], s[:n], w[:n], series, width, e[:, :n])
            for i in range(n):
                y[i] = v[i] * e[0, i] - e[1, i]
        for i in range(n):
            found[rows[i]] = y[i]


@jit
def _misranked(
    start: int,
    stop: int,
    values: Any,
    scores: Any,
    temperature: float,
    order: Any,
    starts: Any,
    scored: Any,
    series: Any,
    width: float,
    found: Any,
) -> None:
    """Members by value, halved again and again: between two halves, the sign of every gap is known."""
    most = 0
    for group in range(start, stop):
        most = max(most, starts[group + 1] - starts[group])
    rows, places = np.empty(most, np.int64), np.empty(most, np.int64)
    v, s, y, w, e = np.empty(most), np.empty(most), np.empty(most), np.empty(most), np.empty((2, most))
    for group in range(start, stop):
        n = _members(group, order, starts, scored, rows)
        for i in range(n):
            v[i] = values[rows[i]] - values[rows[0]]
        if n > _DIRECT_AT_MOST:
            by_value = np.argsort(v[:n])
            for i in range(n):
                y[i], places[i] = v[by_value[i]], rows[by_value[i]]
            for i in range(n):
                v[i], rows[i] = y[i], places[i]
        for i in range(n):
            s[i] = _lead(scores, rows[i], rows[0], temperature)
            y[i] = 0.0
        parts = 1
        while n > parts * _DIRECT_AT_MOST:
            parts *= 2
        for part in range(parts):
            a, b = n * part // parts, n * (part + 1) // parts
            _direct(v[a:b], s[a:b], y[a:b], True)
        while parts > 1:
            parts //= 2
            for part in range(parts):
                a, middle, b = n * part // parts, n * (2 * part + 1) // (2 * parts), n * (part + 1) // parts
                if v[a] == v[b - 1]:
                    continue
                w[a:middle] = 1.0
                w[middle:b] = 0.0
                _by_bins(v[a:b], s[a:b], w[a:b], series, width, e[:, a:b])
                total = v[a:middle].sum()
                for i in range(middle, b):  # sigmoid(-x) = 1 - sigmoid(x)
                    y[i] += v[i] * (middle - a - e[0, i]) - (total - e[1, i])
                w[a:middle] = 0.0
                w[middle:b] = 1.0
                _by_bins(v[a:b], s[a:b], w[a:b], series, width, e[:, a:b])
                for i in range(a, middle):
                    y[i] += v[i] * e[0, i] - e[1, i]
        for i in range(n):
            found[rows[i]] = y[i]


@jit
def _by_bins(v: Any, s: Any, w: Any, series: Any, width: float, e: Any) -> None:
    """e[0, i] = sum over j of w_j sigmoid(s_i - s_j), and e[1, i] of w_j v_j sigmoid(s_i - s_j).

    Of two bins that are near each other, every pair is looked at where they hold few, else their series is read. A
    bin that is further below counts in full.
    """
    reach, order = len(series) // 2, series.shape[1]
    places, place, numbers, edges = _into_bins(s, width, (reach + 2) * width)
    n, bins = len(s), len(numbers)
    x, x_w, x_v = np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        i = places[k]
        x[k], x_w[k], x_v[k] = s[i], w[i], w[i] * v[i]
    moments, of_bin = _moments(place, x_w, x_v, edges, order)
    before = np.zeros((bins + 1, 2))
    for b in range(bins):
        total = total_v = 0.0
        for k in range(edges[b], edges[b + 1]):
            total += x_w[k]
            total_v += x_v[k]
        before[b + 1, 0], before[b + 1, 1] = before[b, 0] + total, before[b, 1] + total_v

    field, most = np.empty((2, order)), 0
    for b in range(bins):
        most = max(most, edges[b + 1] - edges[b])
    y, y_v = np.empty(most), np.empty(most)
    low = 0
    for b in range(bins):
        first, count = edges[b], edges[b + 1] - edges[b]
        while numbers[low] < numbers[b] - reach:
            low += 1
        y[:count] = before[low, 0]
        y_v[:count] = before[low, 1]
        field[:] = 0.0
        other = low
        while other < bins and numbers[other] <= numbers[b] + reach:
            if of_bin[b] < 0 or of_bin[other] < 0 or count * (edges[other + 1] - edges[other]) <= _FEW:
                for j in range(edges[other], edges[other + 1]):
                    x_j, w_j, v_j = x[j], x_w[j], x_v[j]
                    for i in range(count):
                        weight = _sigmoid(x[first + i] - x_j)
                        y[i] += w_j * weight
                        y_v[i] += v_j * weight
            else:
                matrix, moment = series[numbers[other] - numbers[b] + reach], moments[of_bin[other]]
                for k in range(order):
                    for m in range(order):
                        field[0, m] += moment[0, k] * matrix[k, m]
                        field[1, m] += moment[1, k] * matrix[k, m]
            other += 1
        for i in range(count):
            u = place[first + i]
            last, now = 1.0, u
            total, total_v = y[i] + field[0, 0], y_v[i] + field[1, 0]
            for m in range(1, order):
                total += field[0, m] * now
                total_v += field[1, m] * now
                last, now = now, 2 * u * now - last
            e[0, places[first + i]] = total
            e[1, places[first + i]] = total_v


@jit
def _moments(place: Any, x_w: Any, x_v: Any, edges: Any, order: int) -> Any:
    """Sums of weights, and of weighted values, times each polynomial, for the bins that are not nearly empty."""
    bins, many = len(edges) - 1, 0
    of_bin = np.full(bins, -1)
    for b in range(bins):
        if edges[b + 1] - edges[b] >= 4:
            of_bin[b] = many
            many += 1
    moments = np.zeros((many, 2, order))
    for b in range(bins):
        if of_bin[b] < 0:
            continue
        moment = moments[of_bin[b]]
        for i in range(edges[b], edges[b + 1]):
            u, by_w, by_v = place[i], x_w[i], x_v[i]
            last, now = 1.0, u
            moment[0, 0] += by_w
            moment[1, 0] += by_v
            for k in range(1, order):
                moment[0, k] += by_w * now
                moment[1, k] += by_v * now
                last, now = now, 2 * u * now - last
    return moments, of_bin


@jit
def _into_bins(s: Any, width: float, far: float) -> Any:
    """Points by bin: their indices, their places in the bin from -1 to 1, numbers and edges of bins that hold any."""
    n, bins = len(s), 0
    place, numbers, edges = np.empty(n), np.empty(n, np.int64), np.empty(n + 1, np.int64)
    low, high = _range(s)
    if (high - low) / width < 2 * n:
        places, bin_of, starts = np.empty(n, np.int64), np.empty(n, np.int64), np.zeros(2 * n, np.int64)
        for i in range(n):
            bin_of[i] = int((s[i] - low) / width)
            starts[bin_of[i]] += 1
        begin = 0
        for b in range(int((high - low) / width) + 1):
            count = starts[b]
            if count:
                numbers[bins], edges[bins] = b, begin
                bins += 1
            starts[b] = begin
            begin += count
        for i in range(n):
            k = starts[bin_of[i]]
            starts[bin_of[i]] += 1
            places[k] = i
            place[k] = 2 * ((s[i] - low) / width - bin_of[i]) - 1
    else:
        places = np.argsort(s)
        line = 0.0
        for k in range(n):
            if k:  # an empty stretch is cut short
                line += min(s[places[k]] - s[places[k - 1]], far) / width
            number = int(line)
            place[k] = 2 * (line - number) - 1
            if not bins or numbers[bins - 1] != number:
                numbers[bins], edges[bins] = number, k
                bins += 1
    edges[bins] = n
    return places, place, numbers[:bins], edges[: bins + 1]
