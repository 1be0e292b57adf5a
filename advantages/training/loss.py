"""The clipped surrogate of PPO over token or response advantages, and what has grown around it.

Finite log-probabilities give a finite loss and a finite gradient, whatever they are. Autograd cannot promise that: it
multiplies the infinite derivative of an overflown exponential by the zero of the branch that was not taken. So each
token's value and its derivative are written out, and each is bounded where the dtype ends, and nowhere before.
"""

import math
from typing import Literal, NamedTuple

import torch

from ..core.settings import check_arguments
from ..ops import masked_mean

__all__ = ["Aggregation", "Ratio", "Surrogate", "importance_weights", "surrogate"]

Aggregation = Literal["token", "sequence", "constant"]
Ratio = Literal["token", "sequence"]


class Surrogate(NamedTuple):
    """The loss, and what it says of the step; all scalars."""

    loss: torch.Tensor
    clip_fraction: torch.Tensor
    """Share of trained tokens whose ratio was clipped."""
    kl_step: torch.Tensor
    """Estimate of KL(sampling policy || policy) per trained token: how far the step has gone."""
    kl_reference: torch.Tensor
    """Estimate of KL(policy || reference) per trained token; 0 without a reference."""


def surrogate(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    ratio: Ratio = "token",
    aggregation: Aggregation = "token",
    divisor: float | None = None,
    reference_logprobs: torch.Tensor | None = None,
    kl: float = 0.0,
    unbiased_kl: bool = True,
    weights: torch.Tensor | None = None,
) -> Surrogate:
    """Clipped policy-gradient loss.

        -min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) + kl * rho * (exp(d) - d - 1)

    with rho = exp(logprobs - old_logprobs) and d = reference_logprobs - logprobs (the estimator k3). It is computed in
    float32, or in float64 where the log-probabilities are; a token's share of the loss saturates where a sum over the
    batch would overflow.

    Args:
        logprobs: (N, T) log-probabilities of the tokens under the policy that is trained.
        old_logprobs: (N, T) the same under the policy that sampled them.
        advantages: (N,) or (N, T).
        mask: (N, T) bool, trained tokens.
        clip_low, clip_high: how far the ratio may fall below and rise above 1 before it stops paying.
        dual_clip: where A < 0, the loss is at most `dual_clip * -A` (Ye et al., 2020, arXiv:1912.09729); None: any.
        ratio: "token", or "sequence": exp of the mean log-ratio of the response, for all its tokens (GSPO,
            arXiv:2507.18071).
        aggregation: mean over all "token"s; mean over responses of their own mean ("sequence"); or sum over all
            tokens divided by the "constant" responses * T, which rewards no length. A row without a trained token is
            no response, as in `masked_mean`.
        divisor: what to divide the sum by, where the batch is a share of a larger one: its trained tokens, its
            responses, or its responses * T.
        reference_logprobs: (N, T) under the reference policy; needed where `kl` is not 0.
        kl: weight of the divergence from the reference.
        unbiased_kl: the ratio of the token, never clipped, is a factor of k3, so that its mean gradient is that of
            KL(policy || reference) (DeepSeek-V3.2, arXiv:2512.02556). Without that factor, as GRPO's paper has it, it
            is that of KL(reference || policy) where the policy has not moved since it sampled.
        weights: (N, T) importance weights of the tokens, see `importance_weights`.
    """
    check_arguments("surrogate", surrogate, ratio=ratio, aggregation=aggregation)
    if kl and reference_logprobs is None:
        raise TypeError("surrogate: kl needs reference_logprobs; pass them, or kl=0")
    move = torch.where(mask, _moves(logprobs), 0.0)
    logprobs, old_logprobs = _wide(logprobs.detach()), old_logprobs.detach()
    limit = torch.finfo(logprobs.dtype).max / (4 * max(1, mask.numel()))
    advantages = advantages.detach().to(logprobs.dtype)
    advantages = advantages[:, None] if advantages.ndim == 1 else advantages
    share = _shares(mask, aggregation, divisor, logprobs.dtype)
    weighed = share if weights is None else share * weights.detach().to(logprobs.dtype)
    paid = torch.where(mask, weighed * advantages, 0.0)
    token_log_ratio = _gap(logprobs, old_logprobs, mask)
    log_ratio = token_log_ratio
    if ratio == "sequence":
        # The value is the sequence's; its gradient reaches each token through the token's own log-probability.
        log_ratio = (log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)).expand_as(mask)
        log_ratio = torch.where(mask, log_ratio, 0.0)

    loss = slope = _Power(-paid, log_ratio)
    rho = _scaled_exp(torch.ones_like(paid), log_ratio, limit)
    within = rho.clamp(1 - clip_low, 1 + clip_high)
    bound = -within * paid
    clipped = (within != rho) & (bound.clamp(-limit, limit) > loss.within(limit))
    loss, slope = loss.but(clipped, bound), slope.but(clipped, 0.0)
    if dual_clip is not None:
        ceiling = -dual_clip * paid
        cut = (paid < 0) & (loss.within(limit) > ceiling.clamp(-limit, limit))
        loss, slope = loss.but(cut, ceiling), slope.but(cut, 0.0)
    total, derivative = loss.within(limit), slope.within(limit)
    kl_reference = torch.zeros((), device=logprobs.device)
    if kl:
        assert reference_logprobs is not None
        d = _gap(reference_logprobs.detach(), logprobs, mask)
        factor = torch.where(mask, kl * share, 0.0)
        if unbiased_kl:  # the derivative of rho * (exp(d) - d - 1) is -rho * d
            moved, k3_slope = token_log_ratio, _Power(-factor * d, token_log_ratio)
        else:
            moved, k3_slope = torch.zeros_like(d), _expm1(-factor, d)
        total = _sum(loss, _k3(factor, d, moved), limit)
        derivative = _sum(slope, k3_slope, limit)
        kl_reference = masked_mean(_k3(torch.ones_like(d), d, moved).within(limit), mask)
    kl_step = masked_mean(_k3(torch.ones_like(paid), log_ratio, torch.zeros_like(paid)).within(limit), mask)
    return Surrogate(
        (total + derivative * move).sum(), masked_mean(clipped.to(paid.dtype), mask), kl_step, kl_reference
    )


def importance_weights(
    old_logprobs: torch.Tensor, sampled_logprobs: torch.Tensor, mask: torch.Tensor, *, cap: float
) -> torch.Tensor:
    """(N, T) truncated weights min(p_model / p_engine, cap) for tokens sampled by an engine that differs.

    Args:
        old_logprobs: (N, T) what the trained model says of the tokens, before the step.
        sampled_logprobs: (N, T) what the engine says it sampled them with; NaN where it says nothing.
        mask: (N, T) bool, trained tokens.
        cap: the largest weight.
    """
    gap = _gap(_wide(old_logprobs.detach()), sampled_logprobs, mask & sampled_logprobs.isfinite())
    return _scaled_exp(torch.ones_like(gap), gap, min(cap, torch.finfo(gap.dtype).max))


def _wide(x: torch.Tensor) -> torch.Tensor:
    """At least float32: half precision ends at exp(11)."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _moves(logprobs: torch.Tensor) -> torch.Tensor:
    """(N, T) zeros whose derivative with respect to the log-probabilities is one, bounded by what their dtype holds."""
    wide = _wide(logprobs)
    if wide is not logprobs and wide.requires_grad:
        most = torch.finfo(logprobs.dtype).max
        wide.register_hook(lambda gradient: gradient.clamp(-most, most))
    return wide - wide.detach()


def _gap(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """x - y at trained tokens, 0 elsewhere; finite for finite arguments."""
    most = torch.finfo(_wide(x).dtype).max
    return torch.where(mask, _wide(x) - _wide(y), 0.0).clamp(-most, most)


def _scaled_exp(factor: torch.Tensor, x: torch.Tensor, limit: float) -> torch.Tensor:
    """factor * exp(x), bounded by `limit`, also where exp(x) alone would overflow."""
    info = torch.finfo(x.dtype)
    top = math.log(info.max) - 8
    beyond = (x - top).clamp(0, top).exp()  # exactly 1 in the ordinary range
    return (factor.clamp(info.min, info.max) * x.clamp(max=top).exp() * beyond).clamp(-limit, limit)


class _Power(NamedTuple):
    """factor * exp(x), which may be more than the dtype holds."""

    factor: torch.Tensor
    x: torch.Tensor

    def within(self, limit: float) -> torch.Tensor:
        return _scaled_exp(self.factor, self.x, limit)

    def but(self, where: torch.Tensor, value: torch.Tensor | float) -> "_Power":
        """With another value at some places."""
        return _Power(torch.where(where, value, self.factor), torch.where(where, 0.0, self.x))


def _sum(one: _Power, other: _Power, limit: float) -> torch.Tensor:
    """Their sum; where they are of different sign, and one is at the limit, the larger one: both may be at it."""
    x, y = one.within(limit), other.within(limit)
    beyond = (x * y.sign() < 0) & (torch.maximum(x.abs(), y.abs()) >= torch.full_like(x, limit))
    larger = one.factor.abs().log() + one.x >= other.factor.abs().log() + other.x
    return torch.where(beyond, torch.where(larger, x, y), x + y)


def _expm1(factor: torch.Tensor, x: torch.Tensor) -> _Power:
    """factor * (exp(x) - 1), exact near zero."""
    far = x > _FAR
    return _Power(torch.where(far, factor, factor * x.clamp(max=_FAR).expm1()), torch.where(far, x, 0.0))


def _k3(factor: torch.Tensor, d: torch.Tensor, moved: torch.Tensor) -> _Power:
    """factor * exp(moved) * (exp(d) - d - 1), exact near zero."""
    near, far = d.clamp(max=_FAR), d > _FAR
    tiny = near.clamp(-_NEAR, _NEAR)
    series = 0.5 * tiny**2 * (1 + tiny / 3 * (1 + tiny / 4 * (1 + tiny / 5 * (1 + tiny / 6 * (1 + tiny / 7)))))
    k3 = torch.where(near.abs() < _NEAR, series, near.expm1() - near)
    return _Power(torch.where(far, factor, factor * k3), torch.where(far, moved + d, moved))


_NEAR = 0.1
"""Where exp(d) - 1 and d agree in so many digits that their difference is taken from its series."""
_FAR = 40.0
"""Where exp(d) alone is exp(d) - d - 1, in every dtype's last digit."""


def _shares(mask: torch.Tensor, aggregation: Aggregation, divisor: float | None, dtype: torch.dtype) -> torch.Tensor:
    """() or (N, 1) what a token's loss weighs in the batch's."""
    lengths = mask.sum(1, keepdim=True)
    responses = (lengths > 0).sum()
    counts = {"token": lengths.sum(), "sequence": responses, "constant": responses * mask.shape[1]}
    one = torch.ones((), dtype=dtype, device=mask.device)
    share = one / (counts[aggregation].clamp(min=1) if divisor is None else divisor)
    return share / lengths.clamp(min=1) if aggregation == "sequence" else share
