"""Reports and comparisons of runs: the statistics, and what is written and said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy")

from advantages.training.comparison import MEASURES, Interval, Run, band, compare, interval, measure

FINITE = st.floats(-1e6, 1e6)
NORMS = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=30)


def steps(accuracies, *, norms=None, per_step=128):
    norms = [0.5] * len(accuracies) if norms is None else norms
    return [
        {"step": k, "samples": per_step * k, "accuracy": a, "grad_norm": g, "seconds": 0.5}
        for k, (a, g) in enumerate(zip(accuracies, norms, strict=True), 1)
    ]


# Intervals


def test_the_interval_is_students():
    from scipy import stats

    rng = np.random.default_rng(0)
    for n in (2, 3, 10):
        values = rng.normal(size=n)
        low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
        found = interval(values)
        assert (found.mean - found.half, found.mean + found.half, found.n) == pytest.approx((low, high, n))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    found = [interval(values) for values in rng.normal(3.0, 2.0, size=(4000, 5))]
    assert np.mean([abs(one.mean - 3.0) <= one.half for one in found]) == pytest.approx(0.95, abs=0.012)


def test_one_seed_has_no_interval_and_none_has_no_mean():
    assert interval([2.0]) == Interval(2.0, None, 1)
    assert not interval([2.0]).excludes_zero
    for wrong in ([], [1.0, math.nan], [math.inf]):
        with pytest.raises(ValueError, match="pass at least one, and finite ones"):
            interval(wrong)


@given(st.lists(FINITE, min_size=2, max_size=12), st.floats(0.1, 10), FINITE, st.randoms())
def test_the_interval_moves_and_scales_with_the_values_in_any_order(values, factor, shift, random):
    one = interval(values)
    moved = [factor * x + shift for x in values]
    random.shuffle(moved)
    other = interval(moved)
    assert other.mean == pytest.approx(factor * one.mean + shift, rel=1e-9, abs=1e-6)
    assert other.half == pytest.approx(factor * one.half, rel=1e-6, abs=1e-6)
    assert min(values) - 1e-6 <= one.mean <= max(values) + 1e-6


# Measures of one run


def test_measures_by_hand():
    found = measure(Run("grpo", 0, steps([0.0, 0.5, 1.0, 1.0], norms=[1.0, 3.0, 1.0, 1.0]), {"after": 0.9}))
    assert found == pytest.approx(
        {
            "before": None,
            "after": 0.9,
            "greedy": None,
            "auc": 0.625,
            "steps_to_50": 3,  # the mean of 0, 0.5 and 1
            "samples_to_50": 384,
            "steps_to_90": None,
            "samples_to_90": None,
            "gradient": 1.5,
            "gradient_variation": 1.0 / 1.5,
            "gradient_peak": 3.0,
            "gradient_change": 1.0,  # the median of 1, 1 and 0
            "seconds": 2.0,
        }
    )
    assert found.keys() == MEASURES.keys()


@given(NORMS, st.floats(0.01, 100))
def test_gradient_stability_depends_on_no_scale(norms, factor):
    one = measure(Run("", 0, steps([0.5] * len(norms), norms=norms)))
    other = measure(Run("", 0, steps([0.5] * len(norms), norms=[factor * g for g in norms])))
    for name in ("gradient_variation", "gradient_peak", "gradient_change"):
        assert other[name] == pytest.approx(one[name], abs=1e-9)
    assert other["gradient"] == pytest.approx(factor * one["gradient"])
    assert one["gradient_peak"] >= 1
    assert 0 <= one["gradient_change"] < 2


def test_a_gradient_that_stands_still_or_is_zero_is_no_error():
    still = measure(Run("", 0, steps([0.5] * 4, norms=[0.3] * 4)))
    assert (still["gradient_variation"], still["gradient_peak"], still["gradient_change"]) == pytest.approx((0, 1, 0))
    dead = measure(Run("", 0, steps([0.0] * 4, norms=[0.0] * 4)))
    assert (dead["gradient"], dead["gradient_change"]) == (0.0, 0.0)
    assert dead["gradient_variation"] is None
    assert dead["gradient_peak"] is None
    assert measure(Run("", 0, steps([0.5])))["gradient_change"] is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 1))
def test_more_accuracy_is_never_later_nor_less_area(accuracies, lift):
    one = measure(Run("", 0, steps(accuracies)))
    other = measure(Run("", 0, steps([a + lift * (1 - a) for a in accuracies])))
    assert other["auc"] >= one["auc"] - 1e-12
    for name in ("steps_to_50", "samples_to_90"):
        assert (other[name] or math.inf) <= (one[name] or math.inf) or lift < 1e-9


# Comparisons


def learning(variant, seed, lift=0.0, *, length=20, best=1.0):
    """A run whose accuracy rises, with noise that its seed decides."""
    rng = np.random.default_rng(seed)
    rise = np.clip(np.linspace(0.1, 1.2, length) + lift + rng.normal(0, 0.05), 0, best)
    return Run(variant, seed, steps(rise.tolist(), norms=rng.uniform(0.2, 0.4, length).tolist()), {"after": rise[-1]})


def test_differences_are_paired_by_seed():
    runs = [learning(name, seed, lift) for seed in range(5) for name, lift in (("grpo", 0.0), ("lampo", 0.02))]
    found = compare(runs)
    assert found.baseline == "grpo"
    assert [variant.name for variant in found.variants] == ["grpo", "lampo"]
    auc = found.differences["lampo"]["auc"]
    assert auc.seeds == (0, 1, 2, 3, 4)
    pairs = [measure(runs[2 * k + 1])["auc"] - measure(runs[2 * k])["auc"] for k in range(5)]
    assert auc.values == pytest.approx(pairs)
    assert (auc.mean.mean, auc.mean.half) == pytest.approx((interval(pairs).mean, interval(pairs).half))
    assert auc.mean.excludes_zero
    assert auc.mean.half < found["lampo"].means["auc"].half / 3  # what pairing is for
    assert not found.differences["lampo"]["gradient"].mean.excludes_zero


def test_the_order_of_runs_decides_nothing_and_the_baseline_can_be_chosen():
    runs = [learning(name, seed, lift) for seed in range(3) for name, lift in (("a", 0.0), ("b", 0.1))]
    forth, back = compare(runs, "a"), compare(runs[::-1], "a")
    assert forth.differences == back.differences
    swapped = compare(runs, "b").differences["a"]["auc"]
    assert swapped.values == tuple(-x for x in forth.differences["b"]["auc"].values)
    with pytest.raises(ValueError, match="the baseline is 'c'; pass one of a; b"):
        compare(runs, "c")


def test_seeds_without_a_partner_are_named_and_left_out_of_differences_alone():
    runs = [learning("grpo", seed) for seed in (0, 1, 2)] + [learning("rloo", seed) for seed in (1, 2, 7)]
    found = compare(runs)
    assert found.unpaired == {"rloo": (0, 7)}
    assert found.differences["rloo"]["auc"].seeds == (1, 2)
    assert found["rloo"].means["auc"].n == 3
    alone = compare([learning("grpo", 0), learning("rloo", 1)])
    assert alone.differences["rloo"]["auc"].mean is None


def test_a_threshold_that_is_never_reached_is_said_and_not_dropped():
    runs = [learning("grpo", seed) for seed in range(3)]
    runs += [learning("rloo", seed, best=0.7 if seed == 1 else 1.0) for seed in range(3)]
    runs += [learning("stuck", seed, best=0.3) for seed in range(3)]
    found = compare(runs)
    assert found["rloo"].without("samples_to_90") == (1,)
    assert found["rloo"].means["samples_to_90"].n == 2
    assert found.differences["rloo"]["samples_to_90"].left_out == (1,)
    assert found.differences["rloo"]["samples_to_90"].seeds == (0, 2)
    assert found["stuck"].means["samples_to_90"] is None
    assert found.differences["stuck"]["samples_to_90"].mean is None
    assert found["stuck"].means["auc"].n == 3


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="there is no run"):
        compare([])
    with pytest.raises(ValueError, match="grpo has two runs of seed 4; leave one of them out"):
        compare([learning("grpo", 4), learning("grpo", 4)])
    with pytest.raises(ValueError, match="grpo, seed 0, has no step"):
        compare([Run("grpo", 0, [])])


def test_the_band_is_an_interval_at_every_step():
    runs = [learning("grpo", seed) for seed in range(4)]
    found = band(runs, "accuracy")
    assert found.samples.tolist() == [128 * k for k in range(1, 21)]
    for k in (0, 7, 19):
        one = interval([run.metrics[k]["accuracy"] for run in runs])
        assert (found.mean[k], found.half[k]) == pytest.approx((one.mean, one.half))
    assert np.isnan(band(runs[:1], "accuracy").half).all()
    with pytest.raises(ValueError, match=r"runs of grpo have different steps \(15, 20 of them\)"):
        band([*runs, learning("grpo", 9, length=15)], "accuracy")
