"""The recurrence over tokens and whitening: every way to compute them, around every size at which the way changes."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from advantages import discounted_returns, gae, reinforce_plus_plus, whiten
from advantages.backends import kernels, scan, torch_tokens
from advantages.backends import numpy as numpy_backend
from advantages.backends import torch as torch_backend
from advantages.estimators.gae import spec as gae_spec
from advantages.estimators.reinforce_plus_plus import spec as reinforce_plus_plus_spec
from advantages.ops import lambda_advantages, namespace, whitened_advantages
from advantages.testing import strategies

STEPS = [0, 1, 2, 15, 63, 64, 65, 127, 129, 64 * 32 - 1, 64 * 32 + 1]
DECAYS = [0.0, 1e-3, 0.1, 0.5, 0.95, 1.0]


def masks(rng, rows, steps):
    """Dense, padded on both sides, with holes, and nearly nothing trained."""
    place = np.arange(steps)
    edges = np.sort(rng.integers(0, steps + 1, (rows, 2)))
    yield np.ones((rows, steps), bool)
    yield (place >= edges[:, :1]) & (place < edges[:, 1:])
    yield rng.random((rows, steps)) < 0.6
    yield rng.random((rows, steps)) < 0.03


def ways(rewards, values, mask, discount, lambda_):
    """Name and result of each way, of single-precision rewards."""
    tensors = [None if x is None else torch.from_numpy(x) for x in (rewards, values, mask)]
    yield "numpy", numpy_backend.advantages(rewards, values, mask, discount, lambda_)
    single = np.full_like(rewards, np.nan)
    yield "torch, by tiles", scan.by_tiles(rewards, values, mask, discount, lambda_, single, np.float32)
    yield "torch, unseen", torch_tokens.advantages(*tensors, discount, lambda_).numpy()
    settings = map(torch.tensor, (discount, lambda_))
    yield "torch, settings unseen", scan.advantages(torch_backend, *tensors, *settings).numpy()
    if (compiled := kernels.compiled("tokens")) is not None and mask.size:
        out = np.full(rewards.shape, np.nan, np.float32)
        compiled.advantages(rewards, values, mask, discount, lambda_, out)
        yield "compiled", out


def expected(rewards, values, mask, discount, lambda_):
    given_ = np.zeros_like(rewards) if values is None else values
    return gae_spec(token_rewards=rewards, values=given_, mask=mask, discount=discount, lambda_=lambda_)


@pytest.mark.parametrize("steps", STEPS)
def test_every_way_is_the_formula(steps):
    rng = np.random.default_rng(steps)
    rows = 3
    for mask in masks(rng, rows, steps):
        for outside, scale in ((0.0, 1.0), (np.nan, 1e-25), (None, 1e6)):
            rewards, values = (rng.normal(size=(rows, steps)).astype(np.float32) * np.float32(scale) for _ in range(2))
            if outside is not None:  # or else masked tokens have rewards, which are carried
                rewards[~mask] = outside
            values[~mask] = np.nan
            numbers = [(1.0, 0.95), tuple(rng.choice(DECAYS, 2)), tuple(rng.choice(DECAYS, 2))]
            for discount, lambda_ in numbers if steps > 200 else [(a, b) for a in DECAYS for b in DECAYS]:
                right = expected(rewards, values, mask, discount, lambda_)
                size = max(np.abs(right).max(initial=0), np.abs(np.nan_to_num(rewards)).sum(1).max(initial=0) / 10)
                for way, found in ways(rewards, values, mask, discount, lambda_):
                    assert not found[~mask].any(), way
                    np.testing.assert_allclose(
                        found, right, rtol=0, atol=5e-7 * size, err_msg=f"{way} {discount} {lambda_}"
                    )
                if lambda_ == 1.0:
                    right = expected(rewards, None, mask, discount, 1.0)
                    for way, found in ways(rewards, None, mask, discount, 1.0):
                        np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * size, err_msg=way)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_jax_is_the_formula(discount):
    rng = np.random.default_rng(0)
    for steps in (0, 1, 65, 64 * 32 + 1):
        for mask in masks(rng, 3, steps):
            rewards, values = (rng.normal(size=(3, steps)).astype(np.float32) for _ in range(2))
            values[~mask] = np.nan
            right = expected(rewards, values, mask, discount, 0.95)
            found = gae(*map(jnp.asarray, (rewards, values, mask)), discount=discount)
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-6 * max(1.0, np.abs(right).max(initial=0)))


@pytest.mark.parametrize("rows", [1, 7, 8, 9])
def test_tiles_of_rows_change_nothing(rows, monkeypatch):
    monkeypatch.setattr(scan, "_TILE", 4000)
    rng = np.random.default_rng(rows)
    rewards, values = (torch.tensor(rng.normal(size=(rows, 130)), dtype=torch.float32) for _ in range(2))
    mask = torch.tensor(rng.random((rows, 130)) < 0.6)
    mask[rows // 2] = True
    monkeypatch.setattr(kernels, "ALLOWED", False)
    np.testing.assert_array_equal(
        gae(rewards, values, mask),
        torch.cat([gae(rewards[i, None], values[i, None], mask[i, None]) for i in range(rows)]),
    )
    np.testing.assert_allclose(whiten(values, mask), whiten(values.double().numpy(), mask.numpy()), atol=2e-6)


@pytest.fixture(params=[False, True], ids=["plain", "compiled"])
def large(request, monkeypatch):
    """A batch above the size from which compiled kernels run, with them and without."""
    monkeypatch.setattr(kernels, "ALLOWED", request.param)
    rng = np.random.default_rng(0)
    shape = (40, kernels.COMPILED // 40 + 1)
    mask = rng.random(shape) < 0.6
    mask[3] = False
    rewards, values = rng.normal(size=shape), rng.normal(3.0, 2.0, shape)
    rewards[~mask & (rng.random(shape) < 0.5)] = np.nan
    values[~mask] = np.inf
    return rewards, values, mask


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_large_batches_are_the_formula(large, make, dtype):
    rewards, values, mask = large[0].astype(dtype), large[1].astype(dtype), large[2]
    atol = 1e-5 if dtype == np.float32 else 1e-12
    found = gae(make(rewards), make(values), make(mask), lambda_=0.9)
    assert found.dtype == make(rewards).dtype
    np.testing.assert_allclose(
        found, gae_spec(token_rewards=rewards, values=values, mask=mask, lambda_=0.9), rtol=0, atol=atol
    )
    for weight in ("tokens", "responses"):
        np.testing.assert_allclose(
            reinforce_plus_plus(make(rewards), make(mask), weight=weight),
            reinforce_plus_plus_spec(token_rewards=rewards, mask=mask, weight=weight),
            rtol=0,
            atol=atol,
        )


def test_a_view_gives_what_its_copy_gives(large):
    rewards, values, mask = (torch.tensor(x) for x in large)
    views = [
        x.float().T.contiguous().T if x.dtype != torch.bool else x.T.contiguous().T for x in (rewards, values, mask)
    ]
    assert not any(x.is_contiguous() for x in views)
    copies = [x.contiguous() for x in views]
    np.testing.assert_array_equal(gae(*views), gae(*copies))
    np.testing.assert_array_equal(gae(*(x[::2, 1:] for x in views)), gae(*(x[::2, 1:].clone() for x in views)))
    np.testing.assert_array_equal(gae(*(x.numpy() for x in views)), gae(*(x.numpy().copy("C") for x in views)))
    np.testing.assert_array_equal(whiten(views[1], views[2]), whiten(copies[1], copies[2]))
    row = rewards[:1].float().expand(len(mask), -1)
    np.testing.assert_array_equal(discounted_returns(row, mask), discounted_returns(row.clone(), mask))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_the_numbers_of_single(large, dtype):
    rewards, values, mask = torch.tensor(large[0]).to(dtype), torch.tensor(large[1]).to(dtype), torch.tensor(large[2])
    whole = gae(rewards.float(), values.float(), mask)
    assert torch.equal(gae(rewards, values, mask), whole.to(dtype))
    returns = discounted_returns(rewards, mask)
    assert returns.dtype == torch.float32
    assert torch.equal(returns, discounted_returns(rewards.float(), mask))
    assert torch.equal(whiten(rewards, mask), whiten(rewards.float(), mask).to(dtype))


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_whitened_advantages_are_advantages_that_are_whitened(large, make, broken):
    rewards, values, mask = large
    if broken:  # on a trained token, which has no finite advantage, nor has what comes before it
        rewards = rewards.copy()
        rewards[7, np.flatnonzero(mask[7])[[3, 9]]] = np.inf, np.nan
    words = make(rewards), make(values), make(mask)
    kept = np.asarray(words[0]).copy()
    settings = {"weight": "responses", "ddof": 0, "epsilon": 0.5, "across": lambda x: namespace(x).stack([x, x])}
    for statistics in ({}, settings, {"across": settings["across"]}):
        white = whitened_advantages(*words, discount=0.9, lambda_=0.8, **statistics)
        right = whiten(lambda_advantages(*words, discount=0.9, lambda_=0.8), words[2], **statistics)
        np.testing.assert_allclose(white, right, rtol=1e-12, atol=1e-12)
        white = whitened_advantages(words[0], None, words[2], discount=0.9, **statistics)
        right = whiten(discounted_returns(words[0], words[2], discount=0.9), words[2], **statistics)
        np.testing.assert_allclose(white, right, rtol=1e-12, atol=1e-12)
        white = whitened_advantages(words[0], None, words[2], discount=0.9, lambda_=0.5, **statistics)
        right = whiten(discounted_returns(words[0], words[2], discount=0.45), words[2], **statistics)
        np.testing.assert_allclose(white, right, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(words[0], kept)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_a_number_that_is_not_finite_does_not_count_in_whitening(large, make):
    _, values, mask = large
    broken = values.copy()
    broken[2, np.flatnonzero(mask[2])[:3]] = np.inf, -np.inf, np.nan
    found = np.asarray(whiten(make(broken), make(mask)))
    np.testing.assert_allclose(found, whiten(make(values), make(mask & np.isfinite(broken))), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, jnp.asarray])
def test_whitening_is_accurate_far_from_zero(large, make, offset):
    _, values, mask = large
    x = (np.where(mask, values, 0.0) + offset).astype(np.float32)
    counted = x.astype(np.float64)[mask]
    right = np.where(mask, (x - counted.mean()) / counted.std(ddof=1), 0.0)
    np.testing.assert_allclose(whiten(make(x), make(mask), epsilon=0.0), right, rtol=0, atol=5e-6)


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor, jnp.asarray])
def test_whitened_equal_numbers_are_exactly_zero(large, make):
    mask = large[2]
    for number in (0.1, 1e6 + 0.1, -1e-30):
        x = np.where(mask, number, np.nan).astype(np.float32)
        assert not np.asarray(whiten(make(x), make(mask), epsilon=0.0)).any()
    one = np.zeros_like(mask)
    one[5, 7] = True
    assert not np.asarray(whiten(make(x), make(one), epsilon=0.0)).any()


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_a_row_that_is_not_scored_has_no_part(large, make):
    rewards, values, mask = large
    broken = values.copy()
    broken[7, np.flatnonzero(mask[7])[3]] = np.nan
    found = np.asarray(gae(make(rewards), make(broken), make(mask)))
    right = np.asarray(gae(make(rewards), make(values), make(mask)))
    assert not found[7].any()
    np.testing.assert_array_equal(np.delete(found, 7, 0), np.delete(right, 7, 0))


def test_a_finite_sum_of_any_size_stays_finite(large):
    mask = large[2]
    for dtype in (np.float32, np.float64):
        rewards = np.where(mask, np.finfo(dtype).max, 0).astype(dtype)
        for x in (rewards, torch.as_tensor(rewards)):
            on = mask if x is rewards else torch.as_tensor(mask)
            assert np.isfinite(np.asarray(gae(x, -x, on))).all()
            assert np.isfinite(np.asarray(reinforce_plus_plus(x, on))).all()


def test_settings_of_matrix_products_leave_the_numbers_alone(monkeypatch):
    monkeypatch.setattr(kernels, "ALLOWED", False)
    rng = np.random.default_rng(0)
    rewards, values = (torch.tensor(rng.normal(size=(4, 200)), dtype=torch.float32) for _ in range(2))
    mask = torch.tensor(rng.random((4, 200)) < 0.7)
    plain = gae(rewards, values, mask)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_allclose(gae(rewards, values, mask), plain, atol=1e-5)
    precision = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        np.testing.assert_allclose(gae(rewards, values, mask), plain, atol=1e-5)
    finally:
        torch.set_float32_matmul_precision(precision)


def test_returns_carry_gradients(large):
    rewards, _, mask = large
    x = torch.tensor(np.nan_to_num(rewards), requires_grad=True)
    discounted_returns(x, torch.tensor(mask), discount=0.9).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad[torch.tensor(mask)].min() >= 1.0


@given(st.data())
def test_lambda_advantages_are_gae(data):
    case = data.draw(strategies.inputs("token_rewards", "values", "mask"))
    np.testing.assert_array_equal(lambda_advantages(**case, lambda_=0.7), gae(**case, lambda_=0.7))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_a_mask_selects_is_there_bit_for_bit_and_the_rest_is_zero(dtype):
    rng = np.random.default_rng(0)
    x, mask = rng.normal(size=(7, 33)).astype(dtype), rng.random((7, 33)) < 0.5
    x[rng.random(x.shape) < 0.3] = np.nan
    x[0], x[1], x[2] = np.inf, -np.inf, -0.0
    for view in (np.s_[:], np.s_[::2, ::-1]):
        found = numpy_backend.selected(x[view], mask[view])
        assert found.dtype == dtype
        assert found.tobytes() == np.where(mask[view], x[view], dtype(0)).tobytes()


@pytest.mark.parametrize("shape", [(1, 6), (2, 3), (3, 0)])
def test_plain_moments_hold_where_a_distance_is_larger_than_any_number_of_their_precision(shape):
    x = (np.array([-3e38, 3e38, 1e38, 0.0, -1e38, 3e38], np.float32)[: np.prod(shape)]).reshape(shape)
    with np.errstate(all="ignore"):  # as tiles are worked on
        count, origin, mean, m2 = numpy_backend._row_moments(x, np.ones(shape, bool)).T
    wide = x.astype(np.float64)
    assert (count == shape[1]).all()
    if shape[1]:
        np.testing.assert_allclose(origin + mean, wide.mean(1), rtol=1e-12, atol=1e30)
        np.testing.assert_allclose(m2, ((wide - wide.mean(1, keepdims=True)) ** 2).sum(1), rtol=1e-12)
