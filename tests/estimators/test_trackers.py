"""Baselines with a memory: pure, plain, and the same whatever the order, unless they say otherwise."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advantages.testing import strategies
from advantages.trackers import adaptive_kl, krpo, rae, running_moments, spo

KEYED = (rae, spo, krpo)


@given(st.data(), st.sampled_from(KEYED))
def test_a_state_goes_through_json_and_the_order_of_rows_does_not_matter(data, tracker):
    n = data.draw(st.sampled_from([1, 5, 12]))
    rewards = (data.draw(strategies.rewards(n)) > 0).astype(float)
    ids = data.draw(strategies.ids(n))
    order = np.array(data.draw(st.permutations(range(n))), int)
    first, state = tracker(None, rewards, ids)
    _, other = tracker(None, rewards[order], ids[order])
    kept = json.dumps(state)
    second = tracker(json.loads(kept), 1 - rewards, ids)[0]
    np.testing.assert_allclose(tracker(state, 1 - rewards, ids)[0], second)
    np.testing.assert_allclose(tracker(other, 1 - rewards, ids)[0], second, atol=1e-12)
    assert json.dumps(state) == kept, "a call changed the state that it was given"
    assert len(set(first)) == 1, "a new id has the same baseline whatever its reward"


@given(st.data(), st.sampled_from(KEYED))
def test_unscored_rows_move_nothing(data, tracker):
    rewards = (data.draw(strategies.rewards(5)) > 0).astype(float)
    ids = data.draw(strategies.ids(5))
    _, clean = tracker(None, rewards[:4], ids[:4])
    _, state = tracker(None, np.where(np.arange(5) == 4, np.nan, rewards), ids)
    assert state == clean


def test_published_forms_by_hand():
    assert rae(None, np.array([1.0, 1.0]), ["a", "a"], sequential=True)[0].tolist() == pytest.approx([0.0, 0.05])
    batch = rae(None, np.array([1.0, 1.0]), ["a", "a"])[1]
    one_by_one = rae(None, np.array([1.0, 1.0]), ["a", "a"], sequential=True)[1]
    assert batch["of"]["str:a"] == pytest.approx(one_by_one["of"]["str:a"])
    found = krpo(None, np.array([1.0, 0.0, 0.0, 0.0]), ["g"] * 4, sequential=True)[0]
    filtered, p = [], 1.0
    x = 0.0
    for r in (1.0, 0.0, 0.0, 0.0):
        p += 1e-5
        k = p / (p + 1e-2)
        x, p = x + k * (r - x), (1 - k) * p
        filtered.append(x)
    np.testing.assert_allclose(found, filtered)
    assert krpo(None, np.array([1.0, 0.0]), ["g", "g"])[0].tolist() == [0.0, 0.0]


def test_spo_forgets_as_the_policy_moves():
    _, state = spo(None, np.ones(8), [1] * 8)
    still = spo(state, np.zeros(1), [1], divergence=0.0, half_life=1.0)[1]["of"]["int:1"]
    moved = spo(state, np.zeros(1), [1], divergence=0.1, half_life=1.0)[1]["of"]["int:1"]
    assert still == pytest.approx([0.96 * (0.96 * 4 + 8), 0.96 * 0.96 * 4 + 1])
    assert moved == pytest.approx([2**-0.1 * (0.96 * 4 + 8), 2**-0.1 * 0.96 * 4 + 1])


@given(st.lists(strategies.rewards(5), min_size=1, max_size=4))
def test_running_moments_are_those_of_all_rewards_so_far(batches):
    state = None
    for k, batch in enumerate(batches):
        seen = np.concatenate(batches[: k + 1])
        mean, new = running_moments(state, batch, inclusive=True)
        np.testing.assert_allclose(mean, seen.mean(), atol=1e-9)
        assert new["deviation"] == pytest.approx(seen.std(ddof=1), abs=1e-9)
        before = running_moments(state, batch)[0]
        np.testing.assert_allclose(before, np.concatenate(batches[:k]).mean() if k else 0.0, atol=1e-9)
        state = json.loads(json.dumps(new))


def test_the_kl_coefficient_moves_towards_its_target_by_a_fifth_at_most():
    beta, state = adaptive_kl(None, 600.0, count=10_000)
    assert beta == pytest.approx(0.24)
    beta, state = adaptive_kl(json.loads(json.dumps(state)), 0.0, count=10_000)
    assert beta == pytest.approx(0.24 * 0.8)
    assert adaptive_kl(state, float("nan"))[0] == beta


def test_bad_input_is_a_sentence():
    _, state = rae(None, np.ones(1), ["a"])
    for call, words in (
        (lambda: spo(state, np.ones(1), ["a"]), "spo: got the state of rae; pass what spo returned last"),
        (lambda: rae({"a": 1}, np.ones(1), ["a"]), "that no tracker made"),
        (lambda: rae(None, np.ones(2), ["a"]), "2 rewards but 1 ids"),
        (lambda: spo(None, np.array([2.0]), ["a"]), "row 0 is 2"),
        (lambda: rae(None, np.ones(1), [("a",)]), "pass integers or strings"),
        (lambda: rae(None, [1.0], ["a"]), "no \\(N,\\) array"),
        (lambda: krpo(None, np.ones(2), 2), "krpo: ids are 2; pass one id per response"),
        (lambda: spo(None, np.ones(2), "ab"), "spo: ids are 'ab'; pass one id per response"),
        (lambda: rae(None, np.ones(2), None), "rae: ids are None; pass one id per response"),
        (lambda: rae(None, np.ones(1), ["a"], decay=2.0), "decay is 2"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()


def test_seven_and_its_text_are_two_ids():
    _, state = rae(None, np.array([1.0, 0.0]), [7, "7"])
    assert sorted(state["of"]) == ["int:7", "str:7"]


@pytest.mark.parametrize("ids", [[7, 9], ["7", "9"]])
def test_an_id_of_numpy_is_the_id_that_it_says(ids):
    _, state = rae(None, np.array([1.0, 0.0]), ids)
    again = rae(state, np.array([1.0, 0.0]), list(np.array(ids)))[0]
    assert again.tolist() == pytest.approx([0.05, 0.0])


def test_baselines_are_arrays_of_the_rewards_library():
    torch = pytest.importorskip("torch")
    found = rae(None, torch.ones(2, dtype=torch.float32), ["a", "b"])[0]
    assert found.dtype == torch.float32
    assert found.tolist() == [0.0, 0.0]
