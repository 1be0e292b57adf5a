"""Faults of whole kinds, planted in plain functions that are right otherwise: each is caught by its check."""

import decimal
import gc
import logging
import os
import random
import sys
import warnings
import zlib

import numpy as np
import pytest

from advantages import Promises, estimator
from advantages.testing import CHECKS, Subject, verdict_on
from advantages.testing.process import restored, state

by_name = {check.name: check for check in CHECKS}


def centred(rewards, groups):
    """Right: reward above the group's mean; groups are told apart by equality of ids alone."""
    out = np.zeros(len(rewards), rewards.dtype if rewards.dtype.kind == "f" else float)
    rows = {}
    for i, name in enumerate(groups):
        if np.isfinite(rewards[i]):
            rows.setdefault(name, []).append(i)
    for some in rows.values():
        r = rewards[some].astype(float)
        r = r - r.max()
        out[some] = r - r.mean()
    return out


def _ids(cast):
    def fault(rewards, groups):
        made = [cast(x) for x in groups.tolist()]
        return centred(rewards, made)

    return fault


CASTS = {
    "hashed into 64 slots": lambda x: hash(x) % 64,
    "hashed into 1,000 slots": lambda x: hash(x) % 1000,
    "hashed into 4,096 slots by crc": lambda x: zlib.crc32(repr(x).encode()) % 4096,
    "the hash's low 16 bits": lambda x: hash(x) & 0xFFFF,
    "int": lambda x: int(x),
    "float": lambda x: float(x),
    "str": str,
    "str, cut to 16 characters": lambda x: str(x)[:16],
    "str, its last 16 characters": lambda x: str(x)[-16:],
    "lower": lambda x: x.lower() if isinstance(x, str) else x,
    "strip": lambda x: x.strip() if isinstance(x, str) else x,
    "digits only": lambda x: "".join(c for c in x if c.isdigit()) if isinstance(x, str) else x,
    "ascii only": lambda x: x.encode("ascii", "ignore") if isinstance(x, str) else x,
    "int where it can be": lambda x: int(x) if str(x).strip().lstrip("+-").isdigit() else x,
    "int32": lambda x: x & 0xFFFFFFFF if isinstance(x, int) else x,
    "float32": lambda x: np.float32(x) if isinstance(x, int) and abs(x) < 2**60 else x,
    "abs": lambda x: abs(x) if isinstance(x, int) else x,
    "the first part of a tuple": lambda x: x[0] if isinstance(x, tuple) else x,
    "joined tuples": lambda x: "".join(map(str, x)) if isinstance(x, tuple) else x,
    "a UUID's first field": lambda x: getattr(x, "time_low", x),
}


def _small_integers(dtype):
    def fault(rewards, groups):
        """Differences in the rewards' own integer type."""
        if rewards.dtype != dtype:
            return centred(rewards, groups)
        out = np.zeros(len(rewards))
        for g in set(groups.tolist()):
            r = rewards[groups == g]
            if len(r):
                out[groups == g] = (r[:, None] - r[None, :]).astype(float).mean(1)
        return out

    return fault


def sums_in_a_byte(rewards, groups):
    if rewards.dtype.kind not in "iu":
        return centred(rewards, groups)
    out = np.zeros(len(rewards))
    for g in set(groups.tolist()):
        r = rewards[groups == g]
        out[groups == g] = r - r.sum(dtype=r.dtype) / len(r)
    return out


def counts_true_as_one_bit(rewards, groups):
    if rewards.dtype != bool:
        return centred(rewards, groups)
    return centred(rewards ^ True, groups)


def _after(change):
    def fault(rewards, groups):
        change()
        return centred(rewards, groups)

    return fault


def _torch(change):
    def fault(rewards, groups):
        import torch

        change(torch)
        return centred(rewards, groups)

    return fault


STATES = {
    "np.random.seed(0)": _after(lambda: np.random.seed(0)),  # noqa: NPY002
    "np.random.seed(123)": _after(lambda: np.random.seed(123)),  # noqa: NPY002
    "np.random.rand": _after(lambda: np.random.rand(2)),  # noqa: NPY002
    "random.seed": _after(lambda: random.seed(7)),
    "random.random": _after(random.random),
    "np.seterr ignore": _after(lambda: np.seterr(all="ignore")),
    "np.seterr warn": _after(lambda: np.seterr(divide="warn")),
    "np.set_printoptions": _after(lambda: np.set_printoptions(precision=3)),
    "warnings.filterwarnings": _after(lambda: warnings.filterwarnings("ignore")),
    "warnings.simplefilter": _after(lambda: warnings.simplefilter("ignore", RuntimeWarning)),
    "os.environ": _after(lambda: os.environ.update(TOKENIZERS_PARALLELISM="false")),
    "os.chdir": _after(lambda: os.chdir("/")),
    "sys.path": _after(lambda: sys.path.insert(0, "elsewhere")),
    "print": _after(lambda: print("rewards")),
    "sys.setrecursionlimit": _after(lambda: sys.setrecursionlimit(5000)),
    "gc.disable": _after(gc.disable),
    "gc.enable": _after(gc.enable),
    "logging.disable": _after(lambda: logging.disable(logging.WARNING)),
    "logging.basicConfig": _after(logging.basicConfig),
    "the root logger's level": _after(lambda: logging.getLogger().setLevel("ERROR")),
    "decimal.getcontext": _after(lambda: setattr(decimal.getcontext(), "prec", 50)),
    "torch.manual_seed": _torch(lambda torch: torch.manual_seed(0)),
    "torch.rand": _torch(lambda torch: torch.rand(1)),
    "torch.set_default_dtype": _torch(lambda torch: torch.set_default_dtype(torch.float64)),
    "torch.set_grad_enabled": _torch(lambda torch: torch.set_grad_enabled(False)),
    "torch.set_num_threads": _torch(lambda torch: torch.set_num_threads(1 + torch.get_num_threads() % 2)),
    "torch.use_deterministic_algorithms": _torch(lambda torch: torch.use_deterministic_algorithms(True)),
    "torch.autograd.set_detect_anomaly": _torch(lambda torch: torch.autograd.set_detect_anomaly(True)),
}


def _clipped(limit):
    def fault(rewards, groups):
        return np.clip(centred(rewards, groups), -limit, limit)

    return fault


def _clipped_rewards(rewards, groups):
    return centred(np.where(np.isfinite(rewards), np.clip(rewards, -100, 100), rewards), groups)


def clips_z_scores_at_ten(rewards, groups):
    out = np.zeros(len(rewards))
    for g in set(groups.tolist()):
        r = rewards[groups == g]
        out[groups == g] = np.clip((r - r.mean()) / (r.std() + 1e-6), -10, 10)
    return out


def clips_rewards_without_groups(rewards):
    return np.clip(rewards, -5, 5)


def clips_returns(token_rewards, mask):
    return np.where(mask, np.clip(np.cumsum(token_rewards[:, ::-1], 1)[:, ::-1], -1000, 1000), 0.0)


@estimator(spec=lambda *, rewards, groups, **_: centred(rewards, np.asarray(groups)), promises=Promises())
def differs_from_its_spec_by_a_clip(rewards, groups):
    from advantages.ops import group_centered

    return group_centered(rewards, groups).clip(-100, 100)


@estimator(promises=Promises(scale="equivariant"))
def promises_what_a_clip_breaks(rewards, groups):
    from advantages.ops import group_centered

    return group_centered(rewards, groups).clip(-10_000, 10_000)


def quadratic_in_rows(rewards, groups):
    same = groups[:, None] == groups[None, :]
    return np.where(same, rewards[:, None] - rewards[None, :], 0.0).sum(1) / same.sum(1)


def a_boolean_per_pair(rewards, groups):
    same = groups[:, None] == groups[None, :]
    return rewards - np.array([rewards[row].mean() for row in same])


def one_hot_groups(rewards, groups):
    hot = (groups[:, None] == np.unique(groups)[None, :]).astype(float)
    return rewards - hot @ ((rewards @ hot) / np.maximum(hot.sum(0), 1))


def quadratic_in_tokens(token_rewards, mask):
    t = token_rewards.shape[1]
    return np.where(mask, np.where(mask, token_rewards, 0) @ np.tril(np.ones((t, t))), 0)


def quadratic_on_torch(rewards, groups):
    same = groups[:, None] == groups[None, :]
    return rewards - (rewards[None, :] * same).sum(1) / same.sum(1)


def _gae(token_rewards, values, mask, discount, lambda_):
    """Unmasked: tokens under the mask are steps, with values as they stand there."""
    out = np.zeros(token_rewards.shape)
    advantage = value = np.zeros(len(out))
    for t in reversed(range(out.shape[1])):
        advantage = token_rewards[:, t] + discount * value - values[:, t] + discount * lambda_ * advantage
        value = values[:, t]
        out[:, t] = advantage
    return np.where(mask, out, 0.0)


def unmasked_gae(token_rewards, values, mask, *, lambda_=1.0):
    return _gae(np.where(mask, token_rewards, 0), np.where(mask, values, 0), mask, 1.0, lambda_)


def unmasked_gae_that_discounts(token_rewards, values, mask, *, gamma=1.0, lam=1.0):
    return _gae(np.where(mask, token_rewards, 0), np.where(mask, values, 0), mask, gamma, lam)


def wrong_where_it_does_not_scale(rewards, groups, *, scale=False):
    out = centred(rewards, groups)
    return out / out.std() if scale else out  # over the batch


def first_reward_as_baseline(rewards, groups):
    first = {}
    return np.array([r - first.setdefault(g, r) for r, g in zip(rewards, groups.tolist(), strict=True)])


def running_mean_of_the_batch(rewards):
    return rewards - np.cumsum(rewards) / np.arange(1, len(rewards) + 1)


def drops_what_lies_beyond_64(rewards, groups):
    out = np.zeros(len(rewards))
    for g in set(groups.tolist()):
        rows = np.flatnonzero(groups == g)[:64]
        out[rows] = rewards[rows] - rewards[rows].mean()
    return out


def sorts_unstably_beyond_sixteen(rewards, groups):
    if len(rewards) <= 16:
        return centred(rewards, groups)
    return centred(rewards, np.sort(groups))


def at_most_256_groups(rewards, groups):
    _, slots = np.unique(groups, return_inverse=True)
    return centred(rewards, slots.astype(np.uint8))


FAULTS = [
    *(
        ("keeps_many_groups_apart" if "hash" in name else "ignores_the_names_of_groups", name, _ids(cast), {})
        for name, cast in CASTS.items()
    ),
    *(
        ("takes_integer_and_boolean_rewards", f"{dtype} differences", _small_integers(dtype), {})
        for dtype in ("int8", "uint8", "int16")
    ),
    ("takes_integer_and_boolean_rewards", "sums in a byte", sums_in_a_byte, {}),
    ("takes_integer_and_boolean_rewards", "booleans are turned over", counts_true_as_one_bit, {}),
    *(("leaves_the_process_alone", name, fault, {}) for name, fault in STATES.items()),
    *(("tells_large_rewards_apart", f"a clip at {limit}", _clipped(limit), {}) for limit in (5, 10, 100, 1000, 10_000)),
    ("tells_large_rewards_apart", "a clip of rewards", _clipped_rewards, {}),
    ("tells_large_rewards_apart", "a clip of z-scores", clips_z_scores_at_ten, {}),
    ("tells_large_rewards_apart", "a clip without groups", clips_rewards_without_groups, {}),
    ("tells_large_rewards_apart", "a clip of returns", clips_returns, {}),
    ("agrees_with_its_spec", "a clip its spec lacks", differs_from_its_spec_by_a_clip, {"libraries": ()}),
    ("scales_with_the_rewards", "a clip at 10,000", promises_what_a_clip_breaks, {"libraries": ()}),
    *(
        ("needs_memory_in_proportion_to_the_batch", fault.__name__, fault, {})
        for fault in (quadratic_in_rows, a_boolean_per_pair, one_hot_groups, quadratic_in_tokens)
    ),
    ("needs_memory_in_proportion_to_the_batch", "on torch", quadratic_on_torch, {"library": "torch"}),
    ("steps_over_observation_tokens", "unmasked gae", unmasked_gae, {}),
    ("steps_over_observation_tokens", "unmasked gae that discounts", unmasked_gae_that_discounts, {}),
    ("keeps_groups_apart", "wrong where it scales", wrong_where_it_does_not_scale, {}),
    ("ignores_the_order_of_rows", "the first reward as baseline", first_reward_as_baseline, {}),
    ("ignores_the_order_of_rows", "a running mean", running_mean_of_the_batch, {}),
    ("keeps_many_groups_apart", "groups beyond 64 rows", drops_what_lies_beyond_64, {}),
    ("keeps_many_groups_apart", "beyond sixteen rows", sorts_unstably_beyond_sixteen, {}),
    ("keeps_many_groups_apart", "more than 256 groups", at_most_256_groups, {}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("check", "function", "options"), [(c, f, o) for c, _, f, o in FAULTS], ids=[f"{c}: {n}" for c, n, _, _ in FAULTS]
)
def test_a_fault_of_the_kind_is_caught(check, function, options):
    if "torch" in repr(options) or function in [f for name, f in STATES.items() if "torch" in name]:
        pytest.importorskip("torch")
    verdict = verdict_on(Subject(function, **options), by_name[check], examples=100, shrink=False)
    assert verdict.outcome == "fails", verdict


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", STATES)
def test_a_change_of_the_process_that_an_earlier_call_has_made_is_seen(name):
    if "torch" in name:
        pytest.importorskip("torch")
    with restored():
        before = state()
        STATES[name](np.arange(4.0), np.array([0, 0, 1, 1]))
        verdict = verdict_on(Subject(STATES[name]), by_name["leaves_the_process_alone"], examples=20, shrink=False)
        assert verdict.outcome == "fails", verdict
    after = state()
    assert {key for key in before if before[key] != after[key]} <= {"torch's random state"}


@pytest.mark.parametrize("check", CHECKS, ids=[check.sentence for check in CHECKS])
def test_what_the_faults_are_planted_in_is_right(check):
    assert verdict_on(Subject(centred), check, examples=15).outcome != "fails"
