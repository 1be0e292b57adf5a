"""Words about order in a group, about the others in it, and about softmaxes over it, in every library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advantages import Groups
from advantages.ops import above_log_mean_exp, group_lead, group_ranks, group_std_of_others
from advantages.ops.elementwise import log_gamma
from advantages.ops.groupwise import Ordered
from advantages.testing import strategies
from advantages.testing.subject import to_float64, to_library

LIBRARIES = ["numpy", "torch", "jax"]
few = settings(max_examples=12)


def members(groups, i):
    return np.flatnonzero(groups == groups[i])


def both(draw_blocks, case):
    """Ids as drawn, or as equal blocks."""
    return np.arange(len(case["rewards"])) // 3 if draw_blocks else case["groups"]


def checked(word, loop, case, blocks, library, atol=1e-5):
    r, g = case["rewards"], both(blocks, case)
    scored = case["valid"]
    ids = Groups(g).where(to_library(scored, library))
    found = to_float64(word(to_library(r, library), ids))
    expected = np.zeros(len(r))
    for i in range(len(r)):
        mine = [j for j in members(g, i) if scored[j]]
        if scored[i]:
            expected[i] = loop(r, i, mine, [j for j in mine if j != i])
    np.testing.assert_allclose(found, expected, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("library", LIBRARIES)
@few
@given(strategies.inputs("rewards", "groups", "valid", n=6), st.booleans())
def test_words_agree_with_loops(library, case, blocks):
    def rank(r, i, mine, others):
        return np.sum(r[mine] < r[i]) + (np.sum(r[mine] == r[i]) - 1) / 2

    def lead(r, i, mine, others):
        return max(r[i] - r[others].max(), 0.0) if others else 0.0

    def std(r, i, mine, others):
        return r[others].std(ddof=1) if len(others) > 1 else 0.0

    def above(r, i, mine, others):
        return r[i] - np.log(np.mean(np.exp(r[mine])))

    def above_others(r, i, mine, others):
        return r[i] - np.log(np.mean(np.exp(r[others]))) if others else 0.0

    checked(group_ranks, rank, case, blocks, library)
    checked(group_lead, lead, case, blocks, library)
    checked(group_std_of_others, std, case, blocks, library)
    checked(above_log_mean_exp, above, case, blocks, library, atol=1e-4)
    checked(lambda x, g: above_log_mean_exp(x, g, others=True), above_others, case, blocks, library, atol=1e-4)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_others_deviation_does_not_cancel(library):
    r = to_library(np.array([1.0] + [0.01] * 31), library, "float32")  # 172,196 where E[x^2] - E[x]^2 is rounded
    found = to_float64(group_std_of_others(r, np.zeros(32, int)))
    assert found[0] == 0.0
    far = np.array([1e6, 0.5, 0.25, 0.0])
    assert group_std_of_others(far, np.zeros(4, int))[0] == pytest.approx(0.25)
    low = np.array([-1e6, 0.5, 0.25, 0.0])
    assert group_std_of_others(low, np.zeros(4, int))[0] == pytest.approx(0.25)


@pytest.mark.parametrize("library", LIBRARIES)
def test_soft_maxima_neither_overflow_nor_cancel(library):
    x = to_library(np.array([3000.0, 0.0, -10.0, 1e-6, 0.0]), library, "float32")
    ids = np.array([0, 0, 0, 1, 1])
    found = to_float64(above_log_mean_exp(x, ids, others=True))
    np.testing.assert_allclose(found[0], 3000.0 + np.log(2), rtol=1e-6)
    np.testing.assert_allclose(found[3:], [1e-6, -1e-6], rtol=1e-3)
    flat = to_library(np.full(5, 1000.1), library, "float32")
    assert not to_float64(above_log_mean_exp(flat, ids)).any()
    assert not to_float64(above_log_mean_exp(flat, ids, others=True)).any()


@few
@given(strategies.inputs("rewards", "groups", "valid"))
def test_sums_along_a_group_never_meet_another_group(case):
    g = Groups(case["groups"]).where(case["valid"])
    ordered = Ordered(case["rewards"], g)
    huge = np.where(ordered.slots == 0, 1e300, np.arange(len(ordered.x)) + 1.0)
    for backwards in (False, True):
        found = ordered.cumulated(huge, backwards=backwards)
        for slot in range(1, g.count):
            here = np.flatnonzero(ordered.slots == slot)
            y = huge[here]
            np.testing.assert_allclose(found[here], y[::-1].cumsum()[::-1] if backwards else y.cumsum())


def test_words_compile_and_take_ids_that_only_a_compiler_sees():
    jax = pytest.importorskip("jax")
    torch = pytest.importorskip("torch")
    r, g = np.array([3.0, 1.0, 2.0, 1.0, 5.0], np.float32), np.array([7, 0, 7, 0, 7])
    expected = group_ranks(r, g)
    assert expected.tolist() == [1.0, 0.5, 0.0, 0.5, 2.0]
    jitted = jax.jit(group_ranks)(jax.numpy.asarray(r), jax.numpy.asarray(g))
    np.testing.assert_allclose(jitted, expected)
    compiled = torch.compile(group_ranks, fullgraph=True, backend="aot_eager")
    np.testing.assert_allclose(compiled(torch.tensor(r), torch.tensor(g)), expected)
    assert group_ranks(torch.empty(5, device="meta"), torch.empty(5, dtype=torch.int64, device="meta")).shape == (5,)


@few
@given(strategies.inputs("groups", "roles", "valid"))
def test_crossed_groups_are_those_of_pairs(case):
    pairs = Groups(list(zip(case["groups"].tolist(), case["roles"].tolist(), strict=True)))
    found = Groups.of_pairs(Groups(case["groups"]).where(case["valid"]), Groups(case["roles"]))
    same = np.equal.outer(found.slots, found.slots)
    assert (same == np.equal.outer(pairs.slots, pairs.slots)).all()
    assert found.scored is case["valid"]


def test_crossed_groups_of_traced_ids():
    jax = pytest.importorskip("jax")
    g, roles = np.array([5, 5, 5, -1, -1, 5]), np.array([0, 1, 0, 0, 1, 1])
    for pairs in (
        lambda a, b: Groups.of_pairs(Groups(a), Groups(b)),
        lambda a, b: Groups.of_pairs(Groups(g), Groups(b)),
        lambda a, b: Groups.of_pairs(Groups(a), Groups(roles)),
    ):
        slots = np.asarray(jax.jit(lambda a, b, pairs=pairs: pairs(a, b).slots)(g, roles))
        assert (np.equal.outer(slots, slots) == np.equal.outer(*[g * 10 + roles] * 2)).all()


def test_log_gamma_is_that_of_the_standard_library():
    from math import lgamma

    x = np.array([1.0, 1.5, 2.0, 3.75, 20.0, 900.0])
    np.testing.assert_allclose(log_gamma(x), [lgamma(some) for some in x], rtol=1e-12, atol=1e-12)
