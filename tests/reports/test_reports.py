"""Reports and comparisons of runs: the statistics, and what is written and said."""

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

for library in ("scipy", "matplotlib", "rich"):
    pytest.importorskip(library)

from advantages.cli import main
from advantages.files import read_lines, write_json
from advantages.reports.comparison import write_comparison
from advantages.reports.run import PANELS, run_report, write_report
from advantages.runs.compare import Interval, band, compare, interval, keys_of
from advantages.runs.config import Config
from advantages.runs.measures import MEASURES, Run, curve, first_reaching, learned, measure
from advantages.runs.record import RunFolder, find_runs, read_record
from advantages.runs.remarks import remarks
from advantages.runs.select import compare_records, read_records

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
            "reward_before": None,
            "reward_after": None,
            "reward_greedy": None,
            "reward": None,
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


@given(st.lists(st.integers(0, 128), min_size=1, max_size=40), st.integers(1, 7))
def test_a_curve_is_the_mean_of_each_window_exactly(counts, window):
    from fractions import Fraction

    found = curve([k / 128 for k in counts], window)
    for end, mean in enumerate(found, 1):
        some = counts[max(0, end - window) : end]
        assert mean == float(Fraction(sum(some), 128 * len(some)))


@pytest.mark.parametrize("mean", [0.9, 0.5, 0.7, 0.3, 0.1])
def test_an_exact_mean_reaches_its_threshold(mean):
    values = [0.123, 0.456, 0.789, 0.2, 0.7] * 3 + [mean] * 5
    assert curve(values)[-1] == mean
    assert first_reaching(steps([0.0] * 7 + [mean] * 5), mean)["step"] == 12


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=30))
def test_a_step_without_a_score_is_no_zero(accuracies):
    scored = [a for a in accuracies if a is not None]
    found = measure(Run("", 0, steps(accuracies)))
    assert found["auc"] == (pytest.approx(sum(scored) / len(scored)) if scored else None)
    means = curve(accuracies)
    for end, mean in enumerate(means, 1):
        some = [a for a in accuracies[max(0, end - 5) : end] if a is not None]
        assert (mean == pytest.approx(np.mean(some))) if some else math.isnan(mean)
    assert measure(Run("", 0, steps([0.5] * 3, norms=[None, 0.5, math.nan])))["gradient"] == 0.5
    assert measure(Run("", 0, steps([0.5] * 3, norms=[None] * 3)))["gradient"] is None


# Comparisons


@pytest.mark.parametrize("case", range(5))
def test_what_holds_among_all_is_benjamini_and_hochbergs(case):
    from scipy import stats

    rng = np.random.default_rng(case)
    runs = [
        Run(
            f"v{k}",
            seed,
            steps(np.clip(rng.normal(0.5 + 0.03 * k, 0.05, 10), 0, 1).tolist(), norms=rng.uniform(1, 2, 10)),
        )
        for k in range(4)
        for seed in range(6)
    ]
    found = compare(runs)
    ps = {}
    for name, some in found.differences.items():
        for key in keys_of(found):
            if some[key].p_value is not None:
                ps[name, key] = float(stats.ttest_1samp(some[key].values, 0.0).pvalue)
                assert some[key].p_value == pytest.approx(ps[name, key])
    ranked = sorted(ps, key=ps.get)
    last = max((k for k, key in enumerate(ranked, 1) if ps[key] <= 0.05 * k / len(ranked)), default=0)
    holding = {(name, key) for name, some in found.differences.items() for key in keys_of(found) if some[key].holds}
    assert holding == set(ranked[:last])


def test_seeds_that_never_learn_and_medians_are_said():
    runs = [learning("a", seed) for seed in range(5)]
    runs += [learning("b", seed, best=0.1 if seed == 3 else 1.0) for seed in range(5)]
    found = compare(runs)
    assert (found["a"].unlearned, found["b"].unlearned) == ((), (3,))
    gap = found.differences["b"]["auc"]
    assert (gap.median, gap.above, gap.below) == (0.0, 0, 1)
    assert found["b"].medians["auc"] == np.median([measure(run)["auc"] for run in runs[5:]])
    assert not learned(steps([None] * 4))
    assert learned(steps([0.97] * 9))


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
    assert found["rloo"].values["samples_to_90"][1] is None
    assert found["rloo"].means["samples_to_90"].n == 3  # the one that never did counts as a step beyond its twenty
    known = [x for x in found["rloo"].values["samples_to_90"] if x is not None]
    assert found["rloo"].means["samples_to_90"].mean == pytest.approx((sum(known) + 128 * 21) / 3)
    assert found["rloo"].medians["steps_to_90"] == np.median([*(x / 128 for x in known), 21])
    assert found.differences["rloo"]["samples_to_90"].censored == (1,)
    assert found.differences["rloo"]["samples_to_90"].left_out == ()
    assert found.differences["rloo"]["samples_to_90"].seeds == (0, 1, 2)
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


# Runs on disk

QUIET = {"reward": 0.5, "entropy": 0.5, "informative": 0.6, "length": 12.0, "truncated": 0.0, "unscored": 0.0}
QUIET |= {"clip_fraction": 0.01, "tokens": 1000, "tokens_per_second": 2000.0}


def write_run(folder, config, accuracies=None, *, finished=True, samples=(), **changed):
    """A run's folder, as training would leave it."""
    rng = np.random.default_rng(config.seed)
    if accuracies is None:
        accuracies = np.clip(np.linspace(0.2, 1.6, config.steps) + rng.normal(0, 0.03, config.steps), 0, 1).tolist()
    disk = RunFolder(folder)
    disk.open(config)
    for line in steps(accuracies, norms=rng.uniform(0.2, 0.4, len(accuracies)).tolist()):
        disk.log({**line, **QUIET, **changed}, [one for one in samples if one["step"] == line["step"]])
    for step in (0, config.steps) if finished else (0,):
        disk.log_evaluation({"step": step, "pass@1": 0.2 + 0.01 * step, "greedy": 0.3})
    if finished:
        write_json(folder / "result.json", {})
    return folder


def write_experiment(folder, *configs, **settings):
    """Several runs in one folder, as `advantages train --estimator ... --seeds ...` would leave them."""
    folder.mkdir(parents=True)
    names = [f"{config.label}-seed{config.seed}" for config in configs]
    write_json(folder / "experiment.json", {"runs": [{"folder": name} for name in names]})
    for name, config in zip(names, configs, strict=True):
        write_run(folder / name, config, **settings)
    return folder


def configs(*estimators, seeds=3, **settings):
    return [Config(estimator=name, seed=seed, steps=12, **settings) for seed in range(seeds) for name in estimators]


def compared(*folders, **options):
    records, unfinished = read_records(folders, finished_only=options.pop("finished_only", False))
    return compare_records(records, unfinished=unfinished, **options)


def test_runs_are_found_in_their_folder_their_experiments_and_above(tmp_path):
    one = write_experiment(tmp_path / "runs" / "a", *configs("rloo", "grpo", seeds=1))
    write_experiment(tmp_path / "runs" / "b", *configs("lampo", seeds=1))
    model = one / "rloo-seed0" / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")  # of transformers
    assert find_runs(one / "rloo-seed0") == [one / "rloo-seed0"]
    assert [path.name for path in find_runs(one)] == ["rloo-seed0", "grpo-seed0"]  # in the order in which they ran
    assert [path.name for path in find_runs(tmp_path)] == ["rloo-seed0", "grpo-seed0", "lampo-seed0"]
    with pytest.raises(ValueError, match="none is no folder; pass the folder of a run"):
        find_runs(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no run; pass a folder that `advantages train` has written"):
        find_runs(tmp_path / "empty")
    (one / "rloo-seed0" / "metrics.jsonl").write_text("nonsense\n")
    with pytest.raises(ValueError, match="rloo-seed0 holds a line that is no JSON"):
        read_record(one / "rloo-seed0")


def test_what_is_taken_again_is_cut_from_the_samples_too(tmp_path):
    samples = [{"step": step, "response": "x"} for step in (1, 1, 2, 3)]
    folder = write_run(tmp_path / "run", Config(steps=3), samples=samples)
    RunFolder(folder).cut(2)
    assert [line["step"] for line in read_lines(folder / "metrics.jsonl")] == [1, 2]
    assert [line["step"] for line in read_lines(folder / "samples.jsonl")] == [1, 1, 2]


# What stands out


def metrics_of(length=30, **changed):
    rise = np.linspace(0.2, 0.9, length).tolist()
    lines = [{**line, **QUIET} for line in steps(rise)]
    return [{**line, **{key: values[k] for key, values in changed.items()}} for k, line in enumerate(lines)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"informative": [0.0] * 12 + [0.5] * 18}, "No informative groups in 12 of 30 steps"),
        ({"informative": [0.1] * 30}, "Only 10% of the groups were informative"),
        ({"accuracy": [0.3] * 30}, "Accuracy did not rise: 30.0% in the first 10 steps, 30.0% in the last 10 steps"),
        ({"accuracy": [0.5] * 15 + [0.1] * 15}, "Accuracy fell: 50.0% in the first 10 steps, 10.0% in the last"),
        ({"entropy": [1.0] * 15 + [0.01] * 15, "accuracy": [0.1] * 15 + [0.3] * 15}, "The policy has collapsed"),
        ({"truncated": [0.0] * 15 + [0.25] * 15}, "25.0% of the responses in the last 10 steps were cut off"),
        ({"unscored": [0.01] * 30}, "1.00% of the responses got no reward"),
        ({"grad_norm": [0.1] * 29 + [5.0]}, "The gradient norm peaked at 5 in step 30, 50 times its median of 0.1"),
        ({"grad_norm": [2.0] * 30}, "The gradient was longer than --grad-clip 1 in 30 of 30 steps"),
        ({"clip_fraction": [0.4] * 30}, "40% of the probability ratios were clipped"),
    ],
)
def test_what_stands_out_is_said_in_plain_words(changed, said):
    found = remarks(Config(steps=30), metrics_of(**changed))
    assert len(found) == 1
    assert found[0].startswith(said)


def test_nothing_stands_out_in_a_good_run_and_an_unfinished_one_says_so():
    assert remarks(Config(steps=30), metrics_of()) == []
    assert remarks(Config(steps=60), metrics_of())[0].startswith("The run was stopped after 30 of 60 steps")
    assert remarks(Config(), []) == ["No step was taken."]
    low = {"entropy": [1.0] * 15 + [0.01] * 15, "accuracy": [0.1] * 15 + [0.95] * 15}
    assert remarks(Config(steps=30), metrics_of(**low)) == []  # a policy that is right may be sure


# Pages


class Page(HTMLParser):
    """The elements of a page; fails where a tag is left open or closed twice."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.addresses, self.text = [], [], [], ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in ("meta", "br", "img", "link", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def assert_self_contained(source):
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not [address for address in page.addresses if not address.startswith("#")]
    assert not re.search(r"@import|url\((?!#)", source)
    assert "prefers-color-scheme:dark" in source
    return page


HOSTILE = "</pre><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


def sample(step, **changed):
    fields = {"prompt": "1+1=", "answer": "2", "response": "#2", "reward": 1.0, "scores": {"exact": 1.0}}
    return {"step": step, **fields, "advantage": 0.5, "tokens": 3, "truncated": False, **changed}


def test_a_run_report_needs_no_other_file_and_shows_what_was_logged(tmp_path):
    samples = [sample(1), sample(1, reward=None, scores={"exact": None, "judge": 0.5}, truncated=True), sample(12)]
    config = Config(steps=12, learning_rate=1e-3, rewards={"exact": 1.0})
    source = write_report(write_run(tmp_path / "run", config, samples=samples)).read_text()
    page = assert_self_contained(source)
    assert page.tags.count("svg") == len(PANELS)
    assert "NaN" not in source
    for words in ("20.0% → 32.0%", "Informative groups", "Gradient norm", "Step 12", "unscored", "cut off", "0.001"):
        assert words in page.text
    assert "exact=1.0" in page.text


def test_everything_in_a_report_is_escaped(tmp_path):
    samples = [sample(1, prompt=HOSTILE, answer=HOSTILE, response=HOSTILE, scores={HOSTILE: 1.0, "b": 0.0})]
    config = Config(steps=2, options={"x": HOSTILE}, data=HOSTILE, model="m", system=HOSTILE)
    folder = write_run(tmp_path / "run", config, samples=samples)
    page = assert_self_contained(run_report(read_record(folder)))
    assert page.text.count(HOSTILE) > 5
    both = compare_records([read_record(folder)])
    write_comparison(both, tmp_path)
    assert_self_contained((tmp_path / "compare.html").read_text())


def test_a_run_without_a_step_has_a_report(tmp_path):
    page = assert_self_contained(run_report(read_record(write_run(tmp_path / "run", Config(), [], finished=False))))
    assert "No step was taken." in page.text


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_comparison_is_one_page_and_one_record(seeds, tmp_path):
    folder = write_experiment(tmp_path / "runs", *configs("grpo", "rloo", "lampo", seeds=seeds))
    paths = write_comparison(compared(folder), folder)
    page = assert_self_contained(paths["report"].read_text())
    assert page.tags.count("svg") == 7
    assert "Differences from grpo" in page.text
    assert f"{3 * seeds} runs" in page.text
    written = paths["numbers"].read_text()
    record = json.loads(written, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [variant["name"] for variant in record["variants"]] == ["grpo", "rloo", "lampo"]
    assert len(record["variants"][0]["curve"]["accuracy"]) == 12
    difference = record["differences"]["rloo"]["auc"]
    assert difference["seeds"] == list(range(seeds))
    assert (difference["mean"]["half"] is None) == (seeds == 1)


def test_long_names_break_behind_underscores_and_one_run_is_one(tmp_path):
    write_experiment(tmp_path / "one", *configs("reinforce_plus_plus_baseline", seeds=1))
    source = write_comparison(compared(tmp_path / "one"), tmp_path)["report"].read_text()
    assert "</i>reinforce_<wbr>plus_<wbr>plus_<wbr>baseline</span>" in source
    assert "seed 0 · 1 run<" in source
    assert "reinforce_plus_plus_baseline" in assert_self_contained(source).text


def test_a_comparison_links_to_the_reports_of_its_runs(tmp_path):
    folder = write_experiment(tmp_path / "runs", *configs("lampo", seeds=1, options={"temperature": 3}))
    write_report(folder / "lampo(temperature=3)-seed0")
    write_comparison(compared(folder), tmp_path / "elsewhere")
    page = Page((tmp_path / "elsewhere" / "compare.html").read_text())
    assert "../runs/lampo%28temperature%3D3%29-seed0/report.html" in page.addresses


# Which runs compare


def test_variants_are_named_by_what_differs(tmp_path):
    write_experiment(tmp_path / "a", *configs("grpo", seeds=2))
    write_experiment(tmp_path / "b", *configs("grpo", "lampo", seeds=2, learning_rate=1e-3, save_every=5))
    found = compared(tmp_path / "a", tmp_path / "b").comparison
    assert [variant.name for variant in found.variants] == [
        "grpo, learning_rate=0.0005",
        "grpo, learning_rate=0.001",
        "lampo, learning_rate=0.001",
    ]
    assert found.baseline == "grpo, learning_rate=0.0005"


MANY = {
    "learning_rate": 1e-3,
    "prompts": 32,
    "minibatches": 4,
    "clip_high": 0.28,
    "kl": 0.01,
    "epochs": 2,
    "grad_clip": 0.5,
}
MANY |= {"temperature": 0.9, "weight_decay": 0.1, "aggregation": "constant", "warmup": 5, "top_p": 0.95}


@pytest.mark.parametrize("count", [2, 3, 6, 12])
def test_names_stay_short_and_apart_and_a_legend_says_the_rest(count, tmp_path):
    some = dict(list(MANY.items())[:count])
    write_experiment(tmp_path / "a", *configs("grpo", seeds=2))
    for k in range(30):
        write_experiment(tmp_path / f"{k:02d}", *configs("lampo", "rloo", seeds=1, **{**some, "kl": 0.5 + k}))
    found = compared(tmp_path)
    names = [variant.name for variant in found.comparison.variants]
    assert len(set(names)) == 61
    assert max(map(len, names)) <= 40
    assert set(found.legend) <= set(names)
    assert len(set(found.legend.values())) == len(found.legend)
    for name, whole in found.legend.items():
        assert name.rpartition(": ")[2] == whole.partition(",")[0].partition("(")[0]
        assert all(f"{key}=" in whole for key in some if key != "kl")
        assert "kl=" in whole
        assert "=0.2," not in whole  # a default: clip_low, and the baseline's clip_high
    if found.legend:
        page = assert_self_contained(write_comparison(found, tmp_path)["report"].read_text())
        assert all(whole in page.text for whole in found.legend.values())
        name, whole = next(iter(found.legend.items()))
        assert compared(tmp_path, baseline=whole).comparison.baseline == name


def test_settings_of_speed_are_named_where_nothing_else_tells_runs_apart(tmp_path):
    long = {"options": {"temperature": "auto", "center": True, "reduction": "mean"}}
    for name, micro_batch in (("a", 0), ("b", 4)):
        write_experiment(tmp_path / name, *configs("lampo", seeds=1, micro_batch=micro_batch, **long))
    found = compared(tmp_path)
    assert len(found.comparison.variants) == len(found.legend) == 2
    assert sorted("micro_batch=4" in whole for whole in found.legend.values()) == [False, True]


def test_a_step_without_a_score_is_a_gap_in_every_report(tmp_path):
    accuracies = [0.2, None, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.9, 0.9, None, None]
    for name in ("grpo", "rloo"):
        for seed in range(3):
            config = Config(estimator=name, seed=seed, steps=12)
            write_run(tmp_path / f"{name}{seed}", config, accuracies, reward=None, entropy=None)
    write_json(
        tmp_path / "experiment.json", {"runs": [{"folder": f"{n}{s}"} for n in ("grpo", "rloo") for s in range(3)]}
    )
    record = read_record(tmp_path / "grpo0")
    page = assert_self_contained(run_report(record))
    assert "nan" not in page.text[page.text.index("Curves") :].lower()
    paths = write_comparison(compared(tmp_path), tmp_path)
    assert "nan" not in assert_self_contained(paths["report"].read_text()).text.lower()
    found = json.loads(paths["numbers"].read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["variants"][0]["values"]["auc"][0] == pytest.approx(sum(a for a in accuracies if a is not None) / 9)


def test_differences_from_rloo_stand_beside_those_from_the_baseline(tmp_path):
    folder = write_experiment(tmp_path / "runs", *configs("grpo", "rloo", "lampo"))
    paths = write_comparison(compared(folder), folder)
    page = Page(paths["report"].read_text())
    assert "Differences from grpo" in page.text
    assert "Differences from rloo" in page.text
    assert json.loads(paths["numbers"].read_text())["rloo"].keys() == {"grpo", "lampo"}
    assert compared(folder, baseline="rloo").against_rloo is None


def test_runs_that_mean_different_things_are_refused(tmp_path):
    write_experiment(tmp_path / "a", *configs("grpo", seeds=1))
    write_experiment(tmp_path / "b", *configs("grpo", seeds=1, task="chain-rare"))
    message = r"a/grpo-seed0 has task=chain but .*b/grpo-seed0 has task=chain-rare; .* pass --different-tasks"
    with pytest.raises(ValueError, match=message):
        compared(tmp_path)
    found = compared(tmp_path, different_tasks=True).comparison
    assert [variant.name for variant in found.variants] == ["grpo, task=chain", "grpo, task=chain-rare"]
    write_experiment(tmp_path / "c", Config(steps=10))
    with pytest.raises(ValueError, match=r"has steps=12 but .* has steps=10; compare runs of one length"):
        compared(tmp_path, different_tasks=True)


def test_one_run_given_twice_is_one_and_two_alike_are_refused(tmp_path):
    folder = write_experiment(tmp_path / "a", *configs("grpo", "rloo", seeds=2))
    assert len(compared(folder, folder / "grpo-seed0", tmp_path).runs) == 4
    write_experiment(tmp_path / "b", *configs("grpo", seeds=1))
    with pytest.raises(ValueError, match=r"a/grpo-seed0 and .*b/grpo-seed0 are both grpo with seed 0; leave one out"):
        compared(tmp_path)


def test_unfinished_runs_are_refused_or_named(tmp_path):
    folder = write_experiment(tmp_path / "a", *configs("grpo", "rloo", seeds=2))
    (folder / "rloo-seed1" / "result.json").unlink()
    with pytest.raises(ValueError, match=r"a/rloo-seed1 is not finished; go on with advantages train --resume FOLDER"):
        compared(folder)
    found = compared(folder, finished_only=True)
    assert found.notes[0].endswith("a/rloo-seed1 is not finished, and was left out.")
    assert found.notes[1] == "seed 1 of grpo has no partner, and counts in no difference between rloo and grpo."
    with pytest.raises(ValueError, match="no run is finished"):
        compared(write_experiment(tmp_path / "b", *configs("grpo"), finished=False), finished_only=True)


def test_notes_name_partners_that_are_missing_and_thresholds_never_reached(tmp_path):
    write_experiment(tmp_path / "a", *configs("grpo", seeds=3))
    write_run(tmp_path / "b", Config(estimator="rloo", seed=2, steps=12), [0.6] * 12)
    write_run(tmp_path / "c", Config(estimator="rloo", seed=7, steps=12))
    notes = compared(tmp_path / "a", tmp_path / "b", tmp_path / "c").notes
    assert notes[0] == "seed 7 of rloo and seeds 0, 1 of grpo have no partner, and count in no difference between " + (
        "rloo and grpo."
    )
    assert (
        "rloo never reached 90% with seed 2; it counts as one step beyond the last, and its mean is too low." in notes
    )
    assert "rloo never learned with seed 2: its accuracy did not rise by 0.02." in notes
    assert "2 seeds make wide intervals; take at least five to rank anything." in notes


# The command


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal_and_say_everything(columns, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    long = configs("lampo", options={"temperature": "auto", "center": True})
    folder = write_experiment(tmp_path / "runs", *configs("grpo"), *long)
    write_run(folder / "grpo-seed3", Config(seed=3, steps=12), [0.4] * 12)
    assert main(["compare-runs", str(folder), str(folder / "grpo-seed3"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    tables = printed[: printed.index("seed 3 of grpo has no partner")]
    assert max(map(len, tables.splitlines())) <= columns
    assert "…" not in tables
    for words in ("seconds", "change", "accuracy", "± ", "Means over 3 to 4 seeds", "Differences from grpo", "3 of 4"):
        assert words in tables
    assert "grpo never reached 90% with seed 3" in printed
    assert (tmp_path / "out" / "compare.json").exists()


def test_what_cannot_be_compared_ends_with_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match="is no folder; pass the folder of a run"):
        main(["compare-runs", str(tmp_path / "nothing")])
    folder = write_experiment(tmp_path / "runs", *configs("grpo"))
    with pytest.raises(SystemExit, match="the baseline is 'rloo'; pass one of grpo"):
        main(["compare-runs", str(folder), "--baseline", "rloo"])
    assert not (folder / "compare.html").exists()
    assert main(["compare-runs", str(folder)]) == 0
    assert (folder / "compare.html").exists()
    with pytest.raises(SystemExit, match="--estimator: grpo is named twice; name it once"):
        main(["train", "--estimator", "grpo,rloo,grpo", "--runs", str(tmp_path / "new")])


def test_training_writes_reports_and_samples_and_says_where(tmp_path, capsys, monkeypatch):
    pytest.importorskip("transformers")
    from advantages.policy.tiny import character_tokenizer, tiny_model
    from advantages.tasks.chain import TASKS

    monkeypatch.setenv("COLUMNS", "80")
    tokenizer = character_tokenizer(TASKS["chain"].alphabet)
    for saved in (tokenizer, tiny_model("qwen3", tokenizer, seed=0)):
        saved.save_pretrained(tmp_path / "model")
    sizes = ["--steps", "2", "--prompts", "2", "--group-size", "4", "--evaluation", "4", "--task", "chain"]
    where = ["--runs", str(tmp_path), "--name", "mine", "--model", str(tmp_path / "model")]
    assert main(["train", *where, *sizes, "--estimator", "grpo,reinforce_plus_plus", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "Means over 2 seeds, ± 95% intervals of Student's t." in printed
    assert "Differences from grpo, paired by seed" in printed
    assert "mine/compare.html" in printed
    page = assert_self_contained((tmp_path / "mine" / "grpo-seed1" / "report.html").read_text())
    assert "expected answer" in page.text
    samples = read_lines(tmp_path / "mine" / "reinforce_plus_plus-seed0" / "samples.jsonl")
    assert [line["step"] for line in samples] == [1] * 4 + [2] * 4
    assert samples[0].keys() == sample(1).keys()
    assert len({line["prompt"] for line in samples[:4]}) == 1
    numbers = json.loads((tmp_path / "mine" / "compare.json").read_text())
    assert numbers["variants"][1]["seeds"] == [0, 1]


def test_a_chart_has_labels_on_every_axis():
    from advantages.reports.charts import Line, chart

    for values in (
        [0.2, 0.3, 0.4],
        [0.01, 0.5, 2.0],
        [0.0, 0.5, 2.0],
        [0.0, 0.0, 0.0],
        [20_000.0, 1e5, 5e5],
        [-1, 0, 1],
    ):
        for log in (False, True):
            svg = chart([Line([1, 2, 3], np.array(values), np.full(3, 0.1))], what="<values>", log=log)
            assert svg.count("<text") >= 6, values
            assert 'aria-label="&lt;values&gt;"' in svg
            assert "#0300" not in svg
            assert not re.findall(r"<g id=", svg)
