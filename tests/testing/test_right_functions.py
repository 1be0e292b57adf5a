"""No false alarm: plain functions that are right, in the styles that people write, fail nothing."""

import math

import numpy as np
import pytest

from advantages import Promises
from advantages.testing import CHECKS, Subject, verdict_on


def loops_over_pairs(rewards, groups):
    """As a specification is written: every row against every row."""
    n = len(rewards)
    assert len(groups) == n
    out = np.zeros(n)
    for i in range(n):
        if not math.isfinite(rewards[i]):
            continue
        others = [j for j in range(n) if j != i and groups[j] == groups[i] and math.isfinite(rewards[j])]
        if others:
            out[i] = sum(float(rewards[i]) - float(rewards[j]) for j in others) / len(others)
    return out.astype(rewards.dtype if rewards.dtype.kind == "f" else float)


def dictionary_of_lists(rewards, groups):
    """As frameworks on Ray write it: a dictionary from id to scores."""
    scores = {}
    for i, name in enumerate(groups.tolist()):
        if np.isfinite(rewards[i]):
            scores.setdefault(name, []).append(i)
    out = np.zeros(len(rewards))
    for rows in scores.values():
        r = np.array([float(rewards[i]) for i in rows])
        if r.max() > r.min():
            out[rows] = (r - r.mean()) / (r.std(ddof=1) + 1e-6)
    return out.astype(rewards.dtype if rewards.dtype.kind == "f" else np.float64)


def unique_and_bincount(rewards, groups):
    """Vectorised numpy, by sorting ids."""
    dtype = rewards.dtype if rewards.dtype.kind == "f" else np.dtype(float)
    if not len(rewards):
        return np.zeros(0, dtype)
    _, slots = np.unique(groups, return_inverse=True)
    r = rewards.astype(float)
    on = np.isfinite(r)
    r = np.where(on, r, 0.0)
    count = np.maximum(np.bincount(slots, on), 1)
    top = np.full(len(count), -np.inf)
    np.maximum.at(top, slots[on], r[on])
    gap = np.where(on, r - top[slots], 0.0)  # from a member, so that equals are exactly zero
    return np.where(on, gap - (np.bincount(slots, gap) / count)[slots], 0.0).astype(dtype)


def masks_of_groups(rewards, groups, *, epsilon=1e-6, ddof=1):
    """The line that everybody writes first, with its corners mended."""
    out = np.zeros(len(rewards), rewards.dtype if rewards.dtype.kind == "f" else float)
    scored = np.isfinite(rewards)
    for g in np.unique(groups):
        here = scored & (groups == g)
        r = rewards[here].astype(np.float64)
        if len(r) > 1 and r.max() > r.min():
            out[here] = (r - r.mean()) / (r.std(ddof=ddof) + epsilon)
    return out


def single_precision(rewards, groups):
    """All arithmetic in float32."""
    out = np.zeros(len(rewards), np.float32)
    for g in np.unique(groups):
        here = np.isfinite(rewards) & (groups == g)
        r = rewards[here].astype(np.float32)
        if r.size and r.max() > r.min():
            out[here] = r - r.mean(dtype=np.float32)
    return out.astype(rewards.dtype if rewards.dtype.kind == "f" else float)


def numpy_only_and_says_so(rewards, groups):
    if not isinstance(rewards, np.ndarray):
        raise TypeError("numpy arrays only")
    return masks_of_groups(rewards, groups)


def integer_ids_only_and_says_so(rewards, groups):
    if groups.dtype.kind not in "iu":
        raise TypeError(f"ids are {groups.dtype}; pass integers")
    return unique_and_bincount(rewards, groups)


def floats_only_and_says_so(rewards, groups):
    if rewards.dtype.kind != "f":
        raise TypeError(f"rewards are {rewards.dtype}; pass floats")
    return masks_of_groups(rewards, groups)


def centred_and_halved_for_lone_rewards(rewards, groups):
    """Lone responses keep their raw reward, which is declared by singleton="raw"."""
    out = np.zeros(len(rewards), rewards.dtype if rewards.dtype.kind == "f" else float)
    for g in np.unique(groups):
        here = np.isfinite(rewards) & (groups == g)
        r = rewards[here].astype(float)
        if len(r):
            out[here] = r if len(r) == 1 else (r - r.max()) - (r - r.max()).mean()
    return out


def raw_rewards(rewards):
    """REINFORCE: no group, no statistic."""
    r = np.where(np.isfinite(rewards), rewards, 0)
    return r.astype(rewards.dtype if rewards.dtype.kind == "f" else float)


def squashed(rewards):
    return np.tanh(raw_rewards(rewards))


def pairwise_with_logprobs(rewards, groups, logprobs, *, temperature=1.0):
    """LamPO by loops."""
    assert len(rewards) == len(groups) == len(logprobs)
    out = np.zeros(len(rewards))
    for g in dict.fromkeys(groups.tolist()):
        rows = [i for i, other in enumerate(groups.tolist()) if other == g]
        rows = [i for i in rows if np.isfinite(rewards[i]) and np.isfinite(logprobs[i])]
        for i in rows:
            total = 0.0
            for j in rows:
                x = (float(logprobs[i]) - float(logprobs[j])) / temperature
                total += (float(rewards[i]) - float(rewards[j])) * math.exp(-np.logaddexp(0.0, -x))
            out[i] = total / max(len(rows) - 1, 1)
    return out.astype(rewards.dtype if rewards.dtype.kind == "f" else float)


def _moved(token_rewards, mask):
    """Rewards on masked tokens belong to the last trained token before them, or to the first."""
    r = np.where(np.isfinite(token_rewards), token_rewards, 0).astype(float)
    out = np.zeros(r.shape)
    for i, on in enumerate(mask != 0):
        places = np.flatnonzero(on)
        for t in range(r.shape[1]):
            if len(places):
                before = places[places <= t]
                out[i, before[-1] if len(before) else places[0]] += r[i, t]
    return out


def _unscored(mask, *tables):
    finite = np.ones(len(mask), bool)
    for x in tables:
        finite &= (np.isfinite(x) | (mask == 0)).all(1)
    return finite


def gae_by_loops(token_rewards, values, mask, *, discount=1.0, lambda_=1.0):
    """GAE over the trained tokens of each row."""
    assert token_rewards.shape == values.shape == mask.shape
    scored = _unscored(mask, token_rewards, values)
    r = _moved(token_rewards, mask)
    out = np.zeros(r.shape)
    for i in np.flatnonzero(scored):
        advantage = value = 0.0
        for t in reversed(np.flatnonzero(mask[i])):
            delta = r[i, t] + discount * value - float(values[i, t])
            advantage = delta + discount * lambda_ * advantage
            value = float(values[i, t])
            out[i, t] = advantage
    return out.astype(token_rewards.dtype if token_rewards.dtype.kind == "f" else float)


def returns_by_a_running_sum(token_rewards, mask, *, discount=0.99):
    """Discounted returns, all rows at once."""
    assert token_rewards.shape == mask.shape
    r = np.where(_unscored(mask, token_rewards)[:, None], _moved(token_rewards, mask), 0.0)
    out, running = np.zeros(r.shape), np.zeros(len(r))
    for t in reversed(range(r.shape[1])):
        running = np.where(mask[:, t], r[:, t] + discount * running, running)
        out[:, t] = running
    return np.where(mask, out, 0.0).astype(token_rewards.dtype if token_rewards.dtype.kind == "f" else float)


def outcome_on_every_token(rewards, groups, mask):
    """GRPO as verl returns it: the response's advantage on each of its tokens."""
    scored = np.isfinite(rewards)
    return np.where(mask, masks_of_groups(np.where(scored, rewards, np.nan), groups)[:, None], 0.0).astype(
        rewards.dtype if rewards.dtype.kind == "f" else float
    )


def whitened(rewards):
    """Standardised over the batch."""
    r = rewards.astype(float)
    on = np.isfinite(r)
    out = np.zeros(len(r))
    if on.sum() > 1 and r[on].max() > r[on].min():
        out[on] = (r[on] - r[on].mean()) / (r[on].std(ddof=1) + 1e-6)
    return out.astype(rewards.dtype if rewards.dtype.kind == "f" else float)


def torch_one_liner(rewards, groups):
    """Sums by id; ids in any order."""
    import torch

    slots = torch.unique(groups, return_inverse=True)[1]
    on = torch.isfinite(rewards)
    r = torch.where(on, rewards, 0).double()
    top = torch.zeros(len(slots), dtype=r.dtype).scatter_reduce(
        0, slots, torch.where(on, r, -torch.inf), "amax", include_self=False
    )
    gap = torch.where(on, r - top[slots], 0)
    total = torch.zeros_like(gap).index_add(0, slots, gap)
    count = torch.zeros_like(gap).index_add(0, slots, on.double()).clamp(min=1)
    made = torch.where(on, gap - (total / count)[slots], 0)
    return made.to(rewards.dtype) if rewards.is_floating_point() else made


def jax_one_liner(rewards, groups):
    import jax
    import jax.numpy as jnp

    if not len(rewards):
        return jnp.zeros(0, rewards.dtype)
    slots = jnp.unique(groups, return_inverse=True)[1]
    on = jnp.isfinite(rewards)
    r = jnp.where(on, rewards, 0).astype(jnp.float32)
    top = jax.ops.segment_max(jnp.where(on, r, -jnp.inf), slots, len(r))
    gap = jnp.where(on, r - top[slots], 0.0)
    mean = jax.ops.segment_sum(gap, slots, len(r)) / jnp.maximum(jax.ops.segment_sum(on * 1.0, slots, len(r)), 1)
    made = jnp.where(on, gap - mean[slots], 0.0)
    return made.astype(rewards.dtype) if jnp.issubdtype(rewards.dtype, jnp.floating) else made


RIGHT = [
    (loops_over_pairs, {"promises": Promises(shift_invariant=True, scale="equivariant", monotone=True)}),
    (dictionary_of_lists, {"promises": Promises(bound=lambda n: n**0.5)}),
    (unique_and_bincount, {"promises": Promises(zero_sum=True, unbiased=lambda n: (n - 1) / n)}),
    (masks_of_groups, {}),
    (single_precision, {}),
    (numpy_only_and_says_so, {}),
    (integer_ids_only_and_says_so, {}),
    (floats_only_and_says_so, {}),
    (centred_and_halved_for_lone_rewards, {"singleton": "raw"}),
    (raw_rewards, {}),
    (squashed, {}),
    (pairwise_with_logprobs, {}),
    (gae_by_loops, {}),
    (returns_by_a_running_sum, {}),
    (outcome_on_every_token, {}),
    (whitened, {"promises": Promises(spans_batch=True)}),
    (torch_one_liner, {"library": "torch"}),
    (jax_one_liner, {"library": "jax"}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "options"), RIGHT, ids=[function.__name__ for function, _ in RIGHT])
def test_a_right_plain_function_fails_nothing(function, options):
    if "library" in options:
        pytest.importorskip(options["library"])
    subject = Subject(function, **options)
    wrong = []
    for check in CHECKS:
        verdict = verdict_on(subject, check, examples=2 if function is jax_one_liner else None)
        if verdict.outcome == "fails":
            wrong.append(f"{check.sentence}: {verdict.detail}")
    assert not wrong, "\n\n".join(wrong)


def test_what_the_first_large_batch_loads_is_not_its_memory():
    """As a compiler is, which small batches do without."""
    loaded = []

    def compiled_when_large(rewards):
        if len(rewards) > 1000 and not loaded:
            loaded.append(np.ones(2**20))
        return raw_rewards(rewards)

    check = next(check for check in CHECKS if check.name == "needs_memory_in_proportion_to_the_batch")
    assert verdict_on(Subject(compiled_when_large), check).outcome == "holds"
    assert loaded
