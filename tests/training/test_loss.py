"""The loss at every size of its exponents: finite where log-probabilities are, and true where a float can say it."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from hypothesis import given
from hypothesis import strategies as st

from advantages.ops import masked_mean
from advantages.training.batch import mean
from advantages.training.loss import importance_weights, surrogate

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SETTINGS = [
    {"ratio": ratio, "aggregation": aggregation, "dual_clip": dual_clip, **kl}
    for ratio, aggregation, dual_clip, kl in itertools.product(
        ("token", "sequence"),
        ("token", "sequence", "constant"),
        (None, 3.0),
        ({}, {"kl": 0.1}, {"kl": 0.1, "unbiased_kl": False}),
    )
]
SIZES = st.one_of(
    st.floats(-1e4, 1e4), st.floats(-100, 100), st.sampled_from([0.0, 1e-7, 1e-4, 11.2, 20.0, 88.0, 89.0, 99.0, 1e4])
)
ADVANTAGES = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1e6, -1e6]), st.floats(-5, 5))


@st.composite
def batches(draw, rows=3, tokens=4):
    """Log-ratios, gaps to the reference, advantages and masks, as nested lists."""

    def table(values):
        return [[draw(values) for _ in range(tokens)] for _ in range(rows)]

    return table(SIZES), table(SIZES), [draw(ADVANTAGES) for _ in range(rows)], table(st.booleans())


def losses(batch, dtype, **settings):
    """The loss of a batch and its gradient, and the log-probabilities as the dtype holds them."""
    ratios, gaps, advantages, mask = batch
    logprobs = torch.tensor(ratios, dtype=torch.float64).to(dtype)
    reference = logprobs + torch.tensor(gaps, dtype=torch.float64).to(dtype)
    weights = settings.pop("weights", None)
    leaf = logprobs.clone().requires_grad_()
    found = surrogate(
        leaf,
        torch.zeros_like(leaf),
        torch.tensor(advantages, dtype=torch.float64).to(torch.float32 if dtype == torch.float16 else dtype),
        torch.tensor(mask),
        reference_logprobs=reference,
        weights=weights,
        **settings,
    )
    found.loss.backward()
    return found, leaf.grad, logprobs, reference


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(batch=batches(), settings=st.sampled_from(SETTINGS), capped=st.booleans())
def test_finite_logprobs_give_a_finite_loss_and_gradient(dtype, batch, settings, capped):
    weights = None
    if capped:
        gaps = torch.tensor(batch[1]).to(dtype)
        weights = importance_weights(gaps, torch.zeros_like(gaps), torch.tensor(batch[3]), cap=math.inf)
        assert weights.isfinite().all()
    found, gradient, _, _ = losses(batch, dtype, weights=weights, **settings)
    assert all(x.isfinite() for x in found), found
    assert gradient.isfinite().all()
    assert gradient.dtype == dtype
    assert not gradient[~torch.tensor(batch[3])].any()


def exact(batch, logprobs, reference, *, ratio, aggregation, dual_clip, kl=0.0, unbiased_kl=True):
    """The loss and its gradient token by token, with numbers that have no end."""
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 60
    _, _, advantages, mask = batch
    x, r = logprobs.double().tolist(), reference.double().tolist()
    trained = [[t for t, on in enumerate(row) if on] for row in mask]
    responses = sum(bool(row) for row in trained)
    tokens = sum(map(len, trained))
    divisor = {"token": tokens, "sequence": responses, "constant": responses * len(mask[0])}[aggregation]
    loss, gradient = mp.mpf(0), [[mp.mpf(0)] * len(mask[0]) for _ in mask]
    for i, row in enumerate(trained):
        a = mp.mpf(advantages[i])
        for t in row:
            own = mp.mpf(x[i][t])
            mean = sum(mp.mpf(x[i][s]) for s in row) / len(row)
            rho = mp.exp(own if ratio == "token" else mean)
            clipped = min(max(rho, mp.mpf(0.8)), mp.mpf(1.2))
            gain, slope = rho * a, rho * a
            if clipped * a < gain:
                gain, slope = clipped * a, 0
            if dual_clip is not None and a < 0 and gain < dual_clip * a:
                gain, slope = dual_clip * a, 0
            d = mp.mpf(r[i][t]) - own
            k3 = mp.exp(d) - d - 1
            k3, k3_slope = (mp.exp(own) * k3, -mp.exp(own) * d) if unbiased_kl else (k3, -(mp.exp(d) - 1))
            share = mp.mpf(1) / divisor / (len(row) if aggregation == "sequence" else 1)
            loss += share * (kl * k3 - gain)
            gradient[i][t] = share * (kl * k3_slope - slope)
    return loss, gradient


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@given(batch=batches(), settings=st.sampled_from(SETTINGS))
def test_the_loss_is_true_wherever_a_float_can_say_it(dtype, batch, settings):
    found, gradient, logprobs, reference = losses(batch, dtype, **settings)
    batch = (*batch[:2], torch.tensor(batch[2], dtype=torch.float64).to(dtype).double().tolist(), batch[3])
    loss, slopes = exact(batch, logprobs, reference, **settings)
    most, eps = torch.finfo(dtype).max / 1e3, torch.finfo(dtype).eps
    tolerance = 2e3 * eps  # of an exponent of a hundred, the last digit is a hundred times as far from 1
    scale = sum(abs(slope) for row in slopes for slope in row) + abs(loss) + 1
    if scale < most:
        assert abs(found.loss.item() - loss) <= tolerance * scale
    for row, truth in zip(gradient.tolist(), slopes, strict=True):
        for ours, slope in zip(row, truth, strict=True):
            if abs(slope) < most:
                assert abs(ours - slope) <= tolerance * abs(slope) + 1e-5 * math.sqrt(eps)
            else:
                assert ours * slope > 0
                assert abs(ours) > most / 1e3


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "settings", "loss", "gradient"),
    [
        (99.0, 0.0, {}, 0.0, 0.0),
        (99.0, 1.0, {"clip_high": 0.1}, -1.1, 0.0),
        (99.0, -1.0, {"dual_clip": 3.0}, 3.0, 0.0),
        (99.0, -1.0, {"dual_clip": 2.0}, 2.0, 0.0),
        (-99.0, 1.0, {}, -math.exp(-99), -math.exp(-99)),
        (-1e4, -1.0, {}, 0.8, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_exponents_that_overflow_by_value(dtype, log_ratio, advantage, settings, loss, gradient):
    leaf = torch.tensor([[log_ratio]], dtype=dtype, requires_grad=True)
    found = surrogate(leaf, torch.zeros(1, 1), torch.tensor([advantage]), torch.tensor([[True]]), **settings)
    found.loss.backward()
    assert found.loss.item() == pytest.approx(loss, rel=1e-5)
    assert leaf.grad.item() == pytest.approx(gradient, rel=1e-2, abs=1e-30)


@pytest.mark.parametrize("size", [80.0, 88.0, 90.0, 99.0])
@pytest.mark.parametrize(("gap", "advantage", "sign"), [(5.0, -0.1, -1), (5.0, -10.0, 1), (-5.0, -1.0, 1)])
def test_a_surrogate_and_a_divergence_that_both_saturate_leave_the_sign_of_the_larger(size, gap, advantage, sign):
    leaf = torch.full((1, 1), size, requires_grad=True)
    found = surrogate(
        leaf,
        torch.zeros(1, 1),
        torch.tensor([advantage]),
        torch.tensor([[True]]),
        kl=1.0,
        reference_logprobs=torch.tensor([[size + gap]]),
    )
    found.loss.backward()
    assert found.loss.item() > 1e30
    assert sign * leaf.grad.item() > 1e30  # rho * (-A - kl * d)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("gap", [1e-7, -1e-6, 1e-4, -1e-3, 0.0999, 0.1001, -3.0, 39.0, 41.0, 80.0])
def test_k3_keeps_its_digits_near_zero_and_far_from_it(gap, unbiased):
    mp = pytest.importorskip("mpmath")
    leaf = torch.zeros(1, 1, requires_grad=True)
    reference = torch.tensor([[gap]])
    found = surrogate(
        leaf,
        torch.zeros(1, 1),
        torch.zeros(1),
        torch.tensor([[True]]),
        kl=1.0,
        unbiased_kl=unbiased,
        reference_logprobs=reference,
    )
    found.loss.backward()
    d = mp.mpf(reference.item())
    truth = float(mp.exp(d) - d - 1)
    assert found.loss.item() == pytest.approx(truth, rel=1e-5)
    assert found.kl_reference.item() == pytest.approx(truth, rel=1e-5)
    assert leaf.grad.item() == pytest.approx(float(-d if unbiased else 1 - mp.exp(d)), rel=1e-5)


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_rows_without_a_trained_token_are_no_responses_as_in_masked_mean(lengths, seed):
    rng = np.random.default_rng(seed)
    mask = np.arange(4) < np.array(lengths)[:, None]
    advantages = np.where(mask, rng.normal(size=mask.shape), np.nan)
    zeros = torch.zeros(mask.shape, dtype=torch.float64)
    for aggregation, weight in (("token", "tokens"), ("sequence", "responses")):
        found = surrogate(
            zeros, zeros, torch.from_numpy(advantages), torch.from_numpy(mask), aggregation=aggregation
        ).loss
        assert -found.item() == pytest.approx(float(masked_mean(advantages, mask, weight=weight)))
    some = np.concatenate([mask, np.zeros((3, 4), bool)])
    more = torch.zeros(some.shape, dtype=torch.float64)
    for aggregation in ("token", "sequence", "constant"):
        alone, padded = (
            surrogate(x, x, torch.ones(len(m)), torch.from_numpy(m), aggregation=aggregation).loss
            for x, m in ((zeros, mask), (more, some))
        )
        assert padded.item() == pytest.approx(alone.item())


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"ratio": "turn"}, ValueError, "surrogate: ratio is 'turn'; pass one of token, sequence"),
        (
            {"aggregation": "mean"},
            ValueError,
            "surrogate: aggregation is 'mean'; pass one of token, sequence, constant",
        ),
        ({"aggregation": None}, TypeError, "surrogate: aggregation is None; pass one of token, sequence, con.*"),
    ],
)
def test_another_word_is_refused_as_any_setting_is(settings, error, sentence):
    x = torch.zeros(2, 3)
    with pytest.raises(error, match=f"^{sentence}$"):
        surrogate(x, x, torch.ones(2), x == 0, **settings)


@given(st.lists(st.one_of(st.just(math.nan), st.floats(-1e3, 1e3)), max_size=6))
def test_a_mean_over_scored_rows_is_of_those_alone(rewards):
    scored = [x for x in rewards if not math.isnan(x)]
    found = mean(np.array(rewards, np.float64))
    assert found is None if not scored else found == pytest.approx(sum(scored) / len(scored), abs=1e-9)
