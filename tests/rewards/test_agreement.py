"""Rewards from agreement and from comparisons: values by hand, and what they must not depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advantages.rewards import borda, bradley_terry, empo, ttrl

few = settings(max_examples=25)
answers = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["1", "2", "3", None])), min_size=1, max_size=9)


@few
@given(answers, st.randoms())
def test_agreement_does_not_depend_on_the_order_of_rows(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    for reward in (ttrl, empo):
        found = reward([label for _, label in rows], [group for group, _ in rows])
        moved = reward([rows[i][1] for i in order], [rows[i][0] for i in order])
        assert moved.tolist() == found[order].tolist()
        assert ((found >= 0) & (found <= 1)).all()
        assert not any(x for x, (_, label) in zip(found, rows, strict=True) if label is None)


def test_values_by_hand():
    assert ttrl(["1", "2", "2", "1"], [0, 0, 1, 1]).tolist() == [1.0, 1.0, 1.0, 1.0]  # ties are all right
    assert ttrl(["1", "1", "2"], [0, 0, 0]).tolist() == [1.0, 1.0, 0.0]
    assert empo(["1", "2", "3"], [0, 0, 0]).tolist() == [0.0, 0.0, 0.0]
    assert empo(["1", "1", "3"], [0, 0, 0]).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert empo(["1"], [0]).tolist() == [1.0]
    assert ttrl([None, None], [0, 0]).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="ttrl: got 2 labels but 1 group ids; pass one of each per response"):
        ttrl(["1", "2"], [0])


@st.composite
def comparisons(draw):
    n = draw(st.integers(2, 5))
    wins = np.array(draw(st.lists(st.integers(0, 4), min_size=n * n, max_size=n * n)), float).reshape(n, n) / 2
    np.fill_diagonal(wins, 0.0)
    return wins


@few
@given(comparisons())
def test_scores_of_comparisons(wins):
    parts, strengths = borda(wins), bradley_terry(wins)
    assert np.isfinite(strengths).all()
    assert strengths.mean() == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(borda(wins.T), np.where((wins + wins.T).sum(1) > 0, 1 - parts, 0.5), atol=1e-12)
    np.testing.assert_allclose(bradley_terry(wins.T), -strengths, atol=1e-6)
    n = len(wins)
    p = 1 / (1 + np.exp(-(strengths[:, None] - strengths[None, :])))
    # At the optimum each response wins as often as it should, but for the pull of the prior, which sums to nothing.
    expected = ((wins + wins.T) * p).sum(1)
    assert np.abs(wins.sum(1) - expected).max() <= 0.1 + 1e-6
    every = np.ones((n, n)) - np.eye(n)
    np.testing.assert_allclose(bradley_terry(every), 0.0, atol=1e-9)


def test_whom_it_met_matters_to_borda_only():
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0] = 8, 2  # 0 beats 1, 1 beats 2 and 3 always
    wins[1, 2] = wins[1, 3] = wins[2, 3] = wins[3, 2] = 5
    assert borda(wins)[1] < borda(wins)[0]
    strengths = bradley_terry(wins)
    assert strengths[0] > strengths[1] > strengths[2] == pytest.approx(strengths[3])


@pytest.mark.parametrize(
    ("wins", "sentence"),
    [
        ([[0, 1]], r"wins have shape \(1, 2\)"),
        ([[1, 0], [0, 0]], "0 on the diagonal"),
        ([[0, -1], [0, 0]], "at least 0"),
    ],
)
def test_what_is_no_table_of_wins_is_refused(wins, sentence):
    for score in (borda, bradley_terry):
        with pytest.raises(ValueError, match=sentence):
            score(wins)
