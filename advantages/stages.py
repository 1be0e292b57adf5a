"""Stages: what happens to rewards before an estimator, and to advantages after it; see `advantages.compose`.

A stage is a function whose first parameter is what it changes (`rewards`, `token_rewards` or `advantages`), whose
further positional parameters are words of the vocabulary, and whose keyword-only parameters are settings. A filter,
whose first parameter is `keep`, says which rows go on.
"""

import inspect
from collections.abc import Callable
from math import inf
from typing import Any, Literal, NamedTuple, get_type_hints

from .core.naming import did_you_mean
from .core.settings import Fraction, NonNegative, Positive, Setting
from .core.vocabulary import INPUTS
from .ops import groupwise
from .ops.elementwise import at_least, namespace, raised_by_entropy, where

__all__ = [
    "STAGES",
    "Stage",
    "clipped",
    "entropy_shaped",
    "group_filter",
    "kl_penalty",
    "length_penalty",
    "overlong_penalty",
    "sequence_kl_penalty",
    "stage",
    "stop_properly",
    "to_tokens",
    "unlikeliness_reward",
]

_CHANGED = ("rewards", "token_rewards", "keep", "advantages")


class Stage(NamedTuple):
    """A stage with its settings chosen."""

    name: str
    function: Callable[..., Any]
    changes: str
    """What it changes: "rewards", "token_rewards", "keep" or "advantages"."""
    words: tuple[str, ...]
    """Inputs that it takes beside that."""
    settings: dict[str, Any]

    def __call__(self, x: Any, words: dict[str, Any]) -> Any:
        return self.function(x, *(words[word] for word in self.words), **self.settings)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.settings.items())})"


STAGES: dict[str, Callable[..., Stage]] = {}
"""Every stage by name: called with settings, each makes a `Stage`."""


def stage(function: Callable[..., Any]) -> Callable[..., Stage]:
    """Make a stage of a function over arrays: called with settings, it gives the stage to compose with.

    Raises:
        TypeError: the function's first parameter is none of rewards, token_rewards, keep and advantages, another one
            is no word of the vocabulary, or a setting has no default.
    """
    name = function.__name__
    signature = inspect.signature(function)
    changes, *words = [p.name for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY] or [""]
    if changes not in _CHANGED:
        raise TypeError(f"{name}: changes {changes!r}; let the first parameter be one of {', '.join(_CHANGED)}")
    for word in words:
        if word not in INPUTS:
            raise TypeError(f"{name}: takes {word!r}, which nobody can supply{did_you_mean(word, INPUTS)}")
    defaults = {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    for key, default in defaults.items():
        if default is inspect.Parameter.empty:
            raise TypeError(f"{name}: setting {key!r} has no default; give it one")
    hints = get_type_hints(function, include_extras=True)
    checks = {key: Setting(hints[key]) for key in defaults if key in hints}

    def made(*args: Any, **kwargs: Any) -> Stage:
        if len(args) > len(defaults):
            raise TypeError(f"{name}: got {len(args)} settings but has {', '.join(defaults) or 'none'}")
        chosen = dict(zip(defaults, args, strict=False))
        for key, value in kwargs.items():
            if key not in defaults:
                raise TypeError(
                    f"{name}: has no setting {key!r}; it has {', '.join(defaults) or 'none'}"
                    f"{did_you_mean(key, defaults)}"
                )
            if key in chosen:
                raise TypeError(f"{name}: got {key!r} twice; pass it by position or by name")
            chosen[key] = value
        settings = {**defaults, **chosen}
        for key, value in settings.items():
            if key in checks:
                checks[key].check(name, key, value)
        return Stage(name, function, changes, tuple(words), settings)

    made.__name__ = made.__qualname__ = name
    made.__doc__ = function.__doc__
    made.__module__ = function.__module__
    STAGES[name] = made
    return made


# Before: rewards of responses


@stage
def overlong_penalty(
    rewards: Any, lengths: Any, *, limit: Positive = 20480, buffer: Positive = 4096, clip: bool = True
) -> Any:
    """Take off a reward that grows over the last `buffer` tokens before the `limit` (DAPO, arXiv:2503.14476).

        r - min(max(L - (limit - buffer), 0) / buffer, 1)

    In trained tokens, never characters. `clip=False` leaves out the min, as some frameworks do: a response of ten
    buffers then loses nine times as much as the best reward is worth.
    """
    over = at_least((lengths - (limit - buffer)) / buffer, 0.0)
    return rewards - (namespace(over).clip(over, None, 1.0) if clip else over)


@stage
def stop_properly(rewards: Any, lengths: Any, *, limit: Positive = 20480, coefficient: Fraction = 0.0) -> Any:
    """Keep only a share of the reward of a response that was cut off, having reached `limit` trained tokens.

        min(r, coefficient * r)    where L >= limit

    OpenRLHF multiplies negative rewards, too, which raises them; the minimum does not.
    """
    share = namespace(rewards).minimum(rewards, coefficient * rewards)
    return where(lengths >= limit, share, rewards)


@stage
def length_penalty(rewards: Any, groups: Any, lengths: Any, *, weight: NonNegative = 0.25, success: float = 1.0) -> Any:
    """Of successful responses, let the shorter ones of a group be worth more.

        r - weight * L / max(L)    where r >= success, the maximum over the successful ones of the group

    Gated on success: a penalty on all responses rewards those that fail fast.
    """
    succeeded = rewards >= success
    longest = groupwise.group_max(where(succeeded, lengths, 0.0), groups)
    return rewards - where(succeeded, weight * lengths / at_least(longest, 1.0), 0.0)


@stage
def unlikeliness_reward(rewards: Any, groups: Any, logprobs: Any, lengths: Any, *, penalty: Fraction = 0.25) -> Any:
    """Let the likely responses of a group be worth less (He et al., 2025, arXiv:2506.02355).

        r_i * (1 - penalty * rank_i / n)

    rank is 0 for the response whose mean token log-probability is lowest, n - 1 for the likeliest; equal ones share the
    mean of their ranks. Before `grpo` it is the estimator `unlikeliness`. Negative rewards are raised.
    """
    return groupwise.unlikely(rewards, groups, logprobs, lengths, penalty=penalty)


@stage
def group_filter(
    keep: Any, rewards: Any, groups: Any, *, low: float = -inf, high: float = inf, varied: bool = True
) -> Any:
    """Keep or drop whole groups, by their rewards at this place: put it first to filter on the raw ones.

    Keeps those whose mean reward is between `low` and `high`, ends excluded, and with `varied` those alone whose
    rewards differ. A dropped group enters no statistic and gets 0; a single row is never dropped from a group.
    """
    least, most = groupwise.group_min(rewards, groups), groupwise.group_max(rewards, groups)
    mean = groupwise.group_mean(rewards, groups)
    inside = (mean > low) & (mean < high)
    return inside & (most > least) if varied else inside


# Before: KL in the reward


_KL = Literal["k1", "k2", "k3"]


def _kl(token_logprobs: Any, ref_token_logprobs: Any, kind: str) -> Any:
    """(N, T) the estimate of KL(policy || reference) from one token."""
    gap = token_logprobs - ref_token_logprobs
    if kind == "k1":
        return gap
    return gap * gap / 2 if kind == "k2" else namespace(gap).expm1(-gap) + gap


@stage
def kl_penalty(
    token_rewards: Any,
    token_logprobs: Any,
    ref_token_logprobs: Any,
    mask: Any,
    *,
    beta: NonNegative = 0.001,
    kind: _KL = "k1",
) -> Any:
    """Take the divergence from the reference off each trained token's reward; masked tokens have none.

        r_t - beta * KL_t,    k1: log p - log q,    k2: (log p - log q)^2 / 2,    k3: q/p - 1 + log p - log q

    This is the way in for a KL per token. One that was folded into `token_rewards` beforehand, on masked tokens, too,
    would be taken for outcomes there and moved to the last trained token.
    """
    return token_rewards - beta * where(mask, _kl(token_logprobs, ref_token_logprobs, kind), 0.0)


@stage
def sequence_kl_penalty(
    rewards: Any,
    token_logprobs: Any,
    ref_token_logprobs: Any,
    mask: Any,
    *,
    beta: NonNegative = 0.001,
    kind: _KL = "k1",
) -> Any:
    """Take the divergence from the reference, summed over trained tokens, off each response's reward."""
    return rewards - beta * where(mask, _kl(token_logprobs, ref_token_logprobs, kind), 0.0).sum(1)


# After


@stage
def clipped(advantages: Any, *, limit: Positive = 5.0) -> Any:
    """Let no advantage be larger in size than `limit`."""
    return namespace(advantages).clip(advantages, -limit, limit)


@stage
def entropy_shaped(
    advantages: Any, token_entropies: Any, mask: Any, *, alpha: NonNegative = 0.4, kappa: Positive = 2.0
) -> Any:
    """Raise advantages where the policy was undecided (Cheng et al., 2025, arXiv:2506.14758).

        A_t + min(alpha * H_t, |A_t| / kappa)

    With kappa above 1 no sign flips. It raises the sum: a group's advantages no longer sum to zero.
    """
    return where(mask, raised_by_entropy(advantages, token_entropies, alpha=alpha, kappa=kappa), advantages)


@stage
def to_tokens(advantages: Any, mask: Any) -> Any:
    """One advantage per trained token."""
    return where(mask, advantages, 0.0)
