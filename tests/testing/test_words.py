"""A word that is added to the vocabulary is drawn, permuted, padded and garbled by the kit with no other edit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from advantages.core.settings import Range
from advantages.core.vocabulary import INPUTS
from advantages.testing import CHECKS, Subject, strategies, verdict_on

by_name = {check.name: check for check in CHECKS}
Entry = type(INPUTS["rewards"])


@pytest.fixture(autouse=True)
def words(monkeypatch):
    monkeypatch.setitem(INPUTS, "turns", Entry(("N", "T"), "ids", "turn of each token", "one id per token"))
    monkeypatch.setitem(
        INPUTS, "difficulty", Entry(("N",), "real", "of the prompt", "one per row", range=Range(0.0, 1.0))
    )
    monkeypatch.setitem(
        INPUTS, "entropies", Entry(("N", "T"), "real", "in nats", "one per token", range=Range(0.0, 9.0))
    )


def test_it_is_drawn_by_its_shape_kind_and_range():
    @given(strategies.inputs("rewards", "turns", "difficulty", "entropies", n=5, t=3))
    def drawn(case):
        assert case["turns"].shape == case["entropies"].shape == (5, 3)
        assert case["turns"].dtype.kind == "i"
        assert case["difficulty"].shape == (5,)
        assert ((case["difficulty"] >= 0) & (case["difficulty"] <= 1)).all()
        assert (case["entropies"] >= 0).all()

    drawn()
    large = strategies.large(["turns", "difficulty"], 0, n=300, t=4)
    assert large["turns"].shape == (300, 4)
    assert len(np.unique(large["difficulty"])) > 3


@given(st.data())
def test_every_word_has_a_strategy_of_its_name(data):
    for name, entry in INPUTS.items():
        size = (3, 2)[: len(entry.shape)]
        x = data.draw(getattr(strategies, name)(*size))
        assert x.shape == size
        assert x.dtype.kind in {"flag": "b", "count": "i", "ids": "iu", "real": "f"}[entry.kind]
        if entry.kind == "real":
            assert entry.allowed.low <= x.min()
            assert x.max() <= entry.allowed.high


def test_what_is_no_word_has_no_strategy():
    with pytest.raises(AttributeError, match="there is no 'rewrds'; words are rewards"):
        strategies.rewrds(3)


def by_turn(token_rewards, mask, turns, difficulty, entropies):
    """Right: reward times easiness, at the tokens of the last trained token's turn; entropies above zero count."""
    assert token_rewards.shape == mask.shape == turns.shape == entropies.shape
    assert len(difficulty) == len(mask)
    out = np.zeros(mask.shape)
    for i, on in enumerate(mask):
        places = np.flatnonzero(on)
        total = np.where(np.isfinite(token_rewards[i]), token_rewards[i], 0.0).sum()
        if len(places) and all(np.isfinite(x[i][on]).all() for x in (token_rewards, entropies)):
            here = places[turns[i][places] == turns[i][places[-1]]]
            out[i, here] = total * (1 - difficulty[i]) * (1 + entropies[i][here])
    return out.astype(token_rewards.dtype if token_rewards.dtype.kind == "f" else float)


def reads_turns_by_position(token_rewards, mask, turns, difficulty, entropies):
    return by_turn(token_rewards, mask, turns[::-1], difficulty, entropies)


def reads_entropies_under_the_mask(token_rewards, mask, turns, difficulty, entropies):
    return by_turn(token_rewards, mask, turns, difficulty, entropies) * (1 + entropies.sum(1, keepdims=True))


def takes_the_rows_difficulty_from_its_neighbour(token_rewards, mask, turns, difficulty, entropies):
    return by_turn(token_rewards, mask, turns, np.roll(difficulty, 1), entropies)


def averages_over_the_width(token_rewards, mask, turns, difficulty, entropies):
    return by_turn(token_rewards, mask, turns, difficulty, entropies) / mask.shape[1]


def reads_the_turn_of_the_last_column(token_rewards, mask, turns, difficulty, entropies):
    return np.where(turns == turns[:, -1:], by_turn(token_rewards, mask, turns, difficulty, entropies), 0.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS, ids=[check.sentence for check in CHECKS])
def test_a_right_function_of_it_fails_nothing(check):
    verdict = verdict_on(Subject(by_turn), check, examples=20)
    assert verdict.outcome != "fails", verdict.detail


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("function", "check"),
    [
        (reads_turns_by_position, "ignores_the_order_of_rows"),
        (takes_the_rows_difficulty_from_its_neighbour, "ignores_the_order_of_rows"),
        (reads_entropies_under_the_mask, "never_reads_masked_entries"),
        (averages_over_the_width, "ignores_padding"),
        (reads_the_turn_of_the_last_column, "ignores_padding"),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_a_wrong_one_is_caught(function, check):
    verdict = verdict_on(Subject(function), by_name[check], examples=100)
    assert verdict.outcome == "fails", verdict


def test_settings_are_drawn_from_ranges_literals_and_defaults():
    from typing import Annotated, Literal

    from advantages.core.definition import definition_of
    from advantages.core.settings import Range

    def mine(
        rewards,
        *,
        a: Annotated[float, Range(20.0, 50.0)] = 20.0,
        b: Literal["x", "y"] = "x",
        c: bool = True,
        d=1.0,
        e=None,
        strict=False,
    ):
        return rewards

    seen = {name: set() for name in "abcde"}

    @hypothesis_settings(max_examples=40)
    @given(strategies.settings(definition_of(mine)))
    def drawn(chosen):
        assert "strict" not in chosen
        for name, x in chosen.items():
            seen[name].add(x)

    drawn()
    assert seen["a"] == {20.0, 35.0, 50.0}
    assert seen["b"] == {"x", "y"}
    assert seen["c"] == {True, False}
    assert seen["d"] == {1.0, 0.5, 0.9}
    assert not seen["e"]
