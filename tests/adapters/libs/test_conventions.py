"""rlax's and torchrl's own functions beside `advantages.conventions.rlax` and `.torchrl`, on random rows."""

from itertools import islice

import numpy as np
import pytest

pytest.importorskip("rlax")
pytest.importorskip("torchrl")
import jax.numpy as jnp
import rlax as rlax_itself
import torch
from rlax._src import multistep  # which does not export all that it has
from torchrl.objectives.value import functional

from advantages.conventions import rlax, torchrl


@pytest.fixture
def rows(batches):
    """Rows without holes of one batch after the other, half of them cut off, with log-probabilities of two policies."""

    def drawn():
        rng = np.random.default_rng(1)
        for batch in batches(holes=False):
            n, t = batch["mask"].shape
            yield {
                "token_rewards": batch["token_rewards"] + 0.5 * rng.normal(size=(n, t)) * batch["mask"],
                "values": batch["values"],
                "mask": batch["mask"],
                "bootstrap_values": rng.normal(size=n) * (rng.random(n) < 0.5),
                "token_logprobs": -rng.exponential(size=(n, t)),
                "policy_token_logprobs": -rng.exponential(size=(n, t)),
            }

    return drawn


def taken(row, *words):
    return {word: row[word] for word in ("token_rewards", "values", "mask", *words)}


def theirs(batch, function):
    """(N, T) what a function of one row's rewards, values and bootstrap value, without padding, gives for each row."""
    found = np.zeros(batch["mask"].shape)
    for place, length in enumerate(batch["mask"].sum(1)):
        values = np.append(batch["values"][place, :length], batch["bootstrap_values"][place])
        ratio = np.exp(batch["policy_token_logprobs"] - batch["token_logprobs"])[place, :length]
        found[place, :length] = function(batch["token_rewards"][place, :length], values, ratio)
    return found


@pytest.mark.parametrize(("discount", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0)])
def test_rlax(rows, close, discount, lam):
    settings = {"discount": discount, "lambda_": lam}
    for batch in islice(rows(), 4):  # each length compiles anew

        def gae(r, v, ratio):
            return rlax_itself.truncated_generalized_advantage_estimation(r, np.full(len(r), discount), lam, v)

        def td_lambda(r, v, ratio):
            return rlax_itself.lambda_returns(r, np.full(len(r), discount), v[1:], lam) - v[:-1]

        def n_step(r, v, ratio):
            if len(r) < 2:
                return r + discount * v[1:] - v[:-1]
            return rlax_itself.n_step_bootstrapped_returns(r, np.full(len(r), discount), v[1:], 2) - v[:-1]

        def v_trace(r, v, ratio):
            return rlax_itself.vtrace_td_error_and_advantage(
                *map(jnp.asarray, (v[:-1], v[1:], r, np.full(len(r), discount), ratio)), lam
            ).pg_advantage

        def corrected(r, v, ratio):
            return multistep.importance_corrected_td_errors(
                *map(jnp.asarray, (r, np.full(len(r), discount), ratio, np.full(len(r), lam), v))
            )

        some = taken(batch, "bootstrap_values")
        close(rlax.gae(**some, **settings), theirs(batch, gae))
        close(rlax.td_lambda(**some, **settings), theirs(batch, td_lambda))
        close(rlax.n_step(**some, discount=discount, steps=2), theirs(batch, n_step))
        close(rlax.v_trace(**batch, **settings), theirs(batch, v_trace))
        close(rlax.importance_corrected_td_errors(**batch, **settings), theirs(batch, corrected))


@pytest.mark.parametrize(("discount", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0)])
def test_torchrl(rows, close, discount, lam):
    settings = {"discount": discount, "lambda_": lam}

    def prepared(r, v):
        """Rewards, values, next values, done and terminated as (T, 1): the end is a truncation, whose value counts."""
        done = np.arange(len(r)) == len(r) - 1
        return [torch.tensor(x)[:, None] for x in (r, v[:-1], v[1:], done, 0 * done > 0)]

    def of(function):
        def one(r, v, ratio):
            return function(*prepared(r, v), torch.tensor(ratio).log()[:, None]).squeeze(-1).numpy()

        return one

    def gae(r, v, after, done, terminated, log_ratio):
        return functional.vec_generalized_advantage_estimate(discount, lam, v, after, r, done, terminated)[0]

    def td_lambda(r, v, after, done, terminated, log_ratio):
        return functional.td_lambda_advantage_estimate(discount, lam, v, after, r, done, terminated)

    def v_trace(r, v, after, done, terminated, log_ratio):
        zero = torch.zeros_like(r)
        return functional.vtrace_advantage_estimate(discount, log_ratio, zero, v, after, r, done, terminated)[0]

    def reward_to_go(r, v, after, done, terminated, log_ratio):
        return functional.reward2go(r, done, discount)

    for batch in islice(rows(), 40):
        some = taken(batch, "bootstrap_values")
        close(torchrl.gae(**some, **settings), theirs(batch, of(gae)))
        close(torchrl.td_lambda(**some, **settings), theirs(batch, of(td_lambda)))
        close(torchrl.v_trace(**batch, discount=discount), theirs(batch, of(v_trace)))
        ours = torchrl.reward_to_go(batch["token_rewards"], batch["mask"], discount=discount)
        close(ours, theirs(batch, of(reward_to_go)))
