"""Sick batches are told what they have, healthy ones nothing; parts give what the whole gives."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages import Groups, diagnose, dr_grpo, grpo, rloo
from advantages.diagnostics import merged

NAN = float("nan")
RNG = np.random.default_rng(0)
MIXED = np.tile([1.0, 0, 1, 0, 0, 1, 0, 1], 8)
IDS = np.repeat(np.arange(8), 8)
HEALTHY = RNG.integers(0, 2, 64).astype(float)


def said(rewards, advantages=None, groups=8, **words):
    rewards = np.asarray(rewards, float)
    advantages = rloo(rewards, groups) if advantages is None else advantages
    return " ".join(diagnose(rewards, advantages, groups, **words).explain())


@pytest.mark.parametrize("estimator", [grpo, rloo, dr_grpo])
@pytest.mark.parametrize("rewards", [MIXED, HEALTHY, MIXED * 2 - 1, RNG.normal(size=64), RNG.random(64)])
def test_a_healthy_batch_is_left_silent(estimator, rewards):
    texts = [f"answer {i}" for i in range(64)]
    words = {"responses": texts, "lengths": RNG.integers(5, 90, 64), "logprobs": RNG.normal(size=64)}
    a = estimator(rewards, 8)
    assert diagnose(rewards, a, 8, **words, unclipped=a, penalties=rewards * 0.01).explain() == []


def test_some_prompts_that_are_always_solved_are_no_news_but_a_collapse_is():
    rewards = np.concatenate([MIXED[:56], np.ones(8)])
    texts = [f"answer {i}" for i in range(64)]
    assert said(rewards, responses=texts) == ""
    assert "1 holds one response every time" in said(rewards, responses=texts[:56] + ["same"] * 8)


def half(row):
    return np.concatenate([MIXED[:32], np.tile(row, 4)])


sparse = np.zeros(512)
sparse[3] = 1
ONE = np.array([1.0, 0, 0, 0])
z_scored = grpo(RNG.normal(size=64), 8)
with_dead = np.concatenate([RNG.normal(size=32), np.zeros(32)])
once = grpo(with_dead, 8)


@pytest.mark.parametrize(
    ("told", "case"),
    [
        ("4 of 8 groups are all wrong: easier prompts, a higher temperature, or a dense reward.", (half([0] * 8),)),
        ("4 of 8 groups are all right", (half([1] * 8),)),
        ("4 of 8 groups are tied between", (half([0.5] * 8),)),
        ("No group has two scored responses", (np.zeros(64),)),
        ("64 hold one response", (np.zeros(512), None, 8, {"responses": ["same"] * 512})),
        ("64 hold different", (np.zeros(512), None, 8, {"responses": [str(i) for i in range(512)]})),
        ("1 of 64 responses are unscored", (np.where(np.arange(64) == 3, NAN, MIXED),)),
        ("1 of 64 responses are not valid", (MIXED, None, 8, {"valid": np.arange(64) > 0})),
        ("64 of 64 groups are small", (MIXED, None, np.arange(64))),
        ("1 advantages are not finite", (MIXED, np.where(np.arange(64) == 3, NAN, rloo(MIXED, 8)))),
        ("64 of 64 responses in informative groups have advantage 0", (MIXED, np.zeros(64))),
        ("outweighs the batch: its reward is alone in its group: a rare outcome", (sparse,)),
        ("were divided by their small deviation", (sparse * 1e-6 + 1, grpo(sparse, 8))),
        ("8 of 8 informative groups are as good as tied", (MIXED * 1e-6 + 1, grpo(MIXED, 8))),
        ("8 of 8 informative groups are as good as tied", (RNG.normal(size=64) * 1e-9, grpo(MIXED, 8))),
        ("1 of 1 informative groups are as good as tied", (sparse * 1e-9, grpo(sparse, 8))),
        ("effective sample size of |A|", (sparse,)),
        ("100% of the mass of advantages is positive", (MIXED, MIXED)),
        ("100% of the mass of advantages is negative", (MIXED, MIXED - 1)),
        ("The rewards have mean 0 and deviation 1", (z_scored, grpo(z_scored, 8))),
        ("look normalised by group and whitened again", (with_dead, once / once.std())),
        ("correlate at +", (MIXED, None, 8, {"lengths": 100 + 50 * MIXED})),
        ("correlate at -1.00: shorter", (MIXED, None, 8, {"lengths": 100 - 50 * MIXED})),
        ("pairs have a LamPO weight below", (MIXED, None, 8, {"logprobs": np.arange(64.0) * -50})),
        ("Clipping changed 64 of 64", (MIXED, rloo(MIXED, 8) * 0.5, 8, {"unclipped": rloo(MIXED, 8)})),
        ("In 8 of 8 groups one response got several rewards", (MIXED, None, 8, {"responses": ["x"] * 64})),
        ("8 of 8 informative groups are tied when scored again", (MIXED, None, 8, {"second_rewards": np.ones(64)})),
        ("8 of 8 groups differ through the penalty alone", (np.ones(64), MIXED, 8, {"penalties": MIXED})),
        ("The penalty varies more", (MIXED, None, 8, {"penalties": RNG.normal(size=64) * 9})),
    ],
)
def test_a_sick_batch_is_told(told, case):
    rewards, a, groups, words = (*case, *(None, 8, {})[len(case) - 1 :])
    assert told in said(rewards, a, groups, **words)


def test_components_that_cancel_and_that_dominate():
    both = np.stack([MIXED, -MIXED], 1)
    assert "In 8 of 8 groups the components differ but cancel" in said(both, np.zeros(64))
    found = diagnose(np.stack([MIXED * 100, 1 - MIXED], 1), rloo(MIXED, 8), 8, components=["length", "right"])
    assert "The component 'length' makes 100.0%" in " ".join(found.explain())
    assert found.metrics()["advantages/component/length"] > 0.99


def test_what_is_not_measured_is_left_out():
    metrics = diagnose(MIXED, rloo(MIXED, 8), 8).metrics()
    for name in ("groups_cliff", "length_correlation", "weights_saturated", "clipped", "reward_penalty"):
        assert f"advantages/{name}" not in metrics
    assert all(type(value) is float and np.isfinite(value) for value in metrics.values())
    empty = diagnose(np.zeros(0), np.zeros(0), [])
    assert empty.metrics() == {"advantages/responses": 0.0, "advantages/groups": 0.0}
    assert empty.explain()[0] == "There are no responses in the batch."


def approx(x):
    return {name: pytest.approx(value, rel=1e-6, abs=1e-6) for name, value in x.items()}


WORDS = ("lengths", "penalties", "logprobs", "second_rewards", "unclipped", "valid")


@st.composite
def batches(draw):
    ids = np.array(draw(st.lists(st.integers(0, 5), min_size=1, max_size=30)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    rewards = rng.choice([0.0, 1.0, 0.5, NAN], len(ids))
    words = {name: rng.normal(size=len(ids)) for name in WORDS[:-1]} | {"valid": rng.random(len(ids)) < 0.9}
    words["responses"] = rng.integers(0, 3, len(ids))
    return rewards, rng.normal(size=len(ids)), ids, words


@given(batches(), st.integers(0, 5))
def test_parts_give_what_the_whole_gives(batch, cut):
    rewards, a, ids, words = batch
    whole = diagnose(rewards, a, ids, **words)

    def part(rows, **more):
        return diagnose(rewards[rows], a[rows], ids[rows], **{k: v[rows] for k, v in words.items()}, **more)

    sides = [ids < cut, ids >= cut]
    found = merged([part(rows) for rows in sides])
    assert found.metrics() == approx(whole.metrics())
    assert found.explain() == whole.explain()

    sent = []

    def tell(numbers):
        sent.append(numbers)
        return numbers[None]

    for rows in sides:  # each rank tells its numbers; then it hears all of them
        part(rows, across=tell)
    assert part(sides[0], across=lambda numbers: np.stack(sent)).metrics() == approx(whole.metrics())


@given(batches())
def test_counts_are_those_of_a_loop(batch):
    rewards, a, ids, words = batch
    found = diagnose(rewards, a, ids, **words)
    total = rewards - words["penalties"]
    kinds = {"informative": 0, "small": 0, "unscored_groups": 0}
    for name in set(ids.tolist()):
        mine = total[(ids == name) & words["valid"] & np.isfinite(total)]
        kinds["unscored_groups" if not len(mine) else "small" if len(mine) < 2 else "informative"] += 1
    assert {name: getattr(found, name) for name in kinds} == kinds
    assert (
        found.informative + found.dead + found.small + found.unscored_groups == found.groups == len(set(ids.tolist()))
    )
    reasons = ("zero_invalid", "zero_unscored", "zero_small", "zero_tied", "zero_informative")
    assert sum(getattr(found, name) for name in reasons) == found.zero
    assert found.positive - found.negative == pytest.approx(a.sum())
    s, tau = words["logprobs"], 0.2
    counted = diagnose(rewards, a, ids, **words, temperature=tau)
    far = [
        abs(s[i] - s[j]) / tau > np.log(49)
        for i in range(len(s))
        for j in range(i)
        if ids[i] == ids[j] and words["valid"][i] and words["valid"][j] and np.isfinite(total[i] + total[j])
    ]
    assert (counted.pairs, counted.saturated) == (len(far), sum(far))


@given(batches())
def test_libraries_agree(batch):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    rewards, a, ids, words = batch
    rewards, a = rewards.astype(np.float32), a.astype(np.float32)
    words = {k: v.astype(np.float32) if v.dtype == float else v for k, v in words.items()}
    whole = diagnose(rewards, a, ids, **words)
    for of in (torch.tensor, jax.numpy.asarray):
        found = diagnose(of(rewards), of(a), of(ids), **{k: of(v) for k, v in words.items()})
        assert dataclasses.asdict(found) == dataclasses.asdict(whole)
    for groups in (Groups(ids), ids.tolist(), [f"p{i}" for i in ids]):
        assert diagnose(rewards, a, groups, **words).metrics() == approx(whole.metrics())


def test_advantages_of_tokens():
    mask = np.array([[1, 1], [1, 0], [1, 1], [0, 0]], bool)
    a = np.array([[1.0, 0], [-3, NAN], [0, 0], [NAN, NAN]])
    found = diagnose(np.array([1.0, 0, 1, 1]), a, 2, mask=mask)
    assert (found.zero, found.largest, found.nonfinite, found.positive, found.negative) == (2, 3.0, 0, 0.5, 3.0)
    assert found.correlation(0, 2) is not None
    with pytest.raises(ValueError, match="pass a mask of their shape"):
        diagnose(np.ones(4), a, 2)


def test_one_large_token_of_each_response_outweighs_nothing():
    a = np.zeros((64, 32))
    a[:, -1] = MIXED - 0.5  # as of a critic that sees the end coming: nothing to learn before the last token
    found = diagnose(MIXED, a, 8, mask=np.ones((64, 32), bool))
    assert (found.largest, found.heaviest) == (0.5, 0.5 / 32)
    assert found.explain() == []
    a[5, :] = 9
    assert "One advantage, of size 9, outweighs the batch" in said(MIXED, a, mask=np.ones((64, 32), bool))


def test_a_penalty_that_differs_between_copies_is_no_noise_of_the_verifier():
    penalties = RNG.random(64) * 1e-6
    words = {"responses": [f"answer {int(x)}" for x in MIXED], "penalties": penalties}
    found = diagnose(MIXED, rloo(MIXED - penalties, 8), 8, **words, second_rewards=MIXED)
    assert (found.noisy, found.doubted) == (0, 0)
    tied = np.ones(64)
    found = diagnose(tied, rloo(tied - penalties, 8), 8, **words, second_rewards=tied)
    assert (found.noisy, found.doubted, found.penalty_only) == (0, 0, 8)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"lengths": np.ones(3)}, "lengths has shape"),
        ({"responses": ["a"]}, "1 responses for 64 rewards"),
        ({"wrong": 2.0}, "wrong is 2.0"),
        ({"unclipped": np.ones(3)}, "unclipped has shape"),
        ({"components": ["a"]}, "components have names"),
    ],
)
def test_what_does_not_fit_is_a_sentence(words, message):
    with pytest.raises(ValueError, match=message):
        diagnose(MIXED, rloo(MIXED, 8), 8, **words)
    with pytest.raises(ValueError, match="other components, or lengths"):
        merged([diagnose(MIXED, MIXED, 8), diagnose(MIXED, MIXED, 8, lengths=MIXED)])


@pytest.mark.parametrize("size", [1e-300, 1e160, 1e308])
def test_rewards_of_any_size(size):
    found = diagnose(MIXED * size, MIXED - 0.5, 8, lengths=np.arange(64))
    assert (found.informative, found.zero) == (8, 0)
    assert all(map(np.isfinite, found.metrics().values()))
    assert not [sentence for sentence in found.explain() if "nan" in sentence or "inf " in sentence]


def test_half_precision_integers_and_gradients_are_read():
    torch = pytest.importorskip("torch")
    whole = diagnose(MIXED, MIXED - 0.5, 8).metrics()
    a = torch.tensor(MIXED - 0.5, dtype=torch.bfloat16, requires_grad=True)
    assert diagnose(torch.tensor(MIXED).bool(), a, torch.arange(64) // 8).metrics() == approx(whole)
    jax = pytest.importorskip("jax")
    rewards = jax.numpy.asarray(MIXED, jax.numpy.bfloat16)
    assert diagnose(rewards, jax.numpy.asarray(MIXED - 0.5), Groups(jax.numpy.arange(64) // 8)).metrics() == approx(
        whole
    )


def test_the_picture():
    pytest.importorskip("matplotlib")
    figure = diagnose(MIXED, rloo(MIXED, 8), 8).plot()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "8 groups by kind",
        "0 of 64 advantages are 0",
        "sum of |A|",
    ]


def test_a_picture_without_matplotlib_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"a picture needs matplotlib; pip install 'rl-advantages\[train\]'"):
        diagnose(MIXED, rloo(MIXED, 8), 8).plot()
