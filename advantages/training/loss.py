"""The clipped surrogate of PPO over token or response advantages, and what has grown around it."""

from typing import Literal, NamedTuple

import torch

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

    with rho = exp(logprobs - old_logprobs) and d = reference_logprobs - logprobs (the estimator k3).

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
            tokens divided by the "constant" N * T, which rewards no length.
        divisor: what to divide the sum by, where the batch is a share of a larger one: its trained tokens, its
            responses, or its N * T.
        reference_logprobs: (N, T) under the reference policy; needed where `kl` is not 0.
        kl: weight of the divergence from the reference.
        unbiased_kl: the ratio of the token, never clipped, is a factor of k3, so that its mean gradient is that of
            KL(policy || reference) (DeepSeek-V3.2, arXiv:2512.02556). Without that factor, as GRPO's paper has it, it
            is that of KL(reference || policy) where the policy has not moved since it sampled.
        weights: (N, T) importance weights of the tokens, see `importance_weights`.
    """
    if advantages.ndim == 1:
        advantages = advantages[:, None]
    log_ratio = torch.where(mask, logprobs - old_logprobs, 0.0)
    if ratio == "sequence":
        mean = log_ratio.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
        # The value is the sequence's, the gradient reaches each token through its own log-probability.
        log_ratio = torch.where(mask, mean.detach() + logprobs - logprobs.detach(), 0.0)
    elif ratio != "token":
        raise ValueError(f"surrogate: ratio is {ratio!r}; pass 'token' or 'sequence'")
    rho = log_ratio.exp()
    clipped = rho.clamp(1 - clip_low, 1 + clip_high)
    gain = torch.minimum(rho * advantages, clipped * advantages)
    if dual_clip is not None:
        gain = torch.where(advantages < 0, torch.maximum(gain, dual_clip * advantages), gain)
    per_token = -gain if weights is None else -gain * weights
    zero = torch.zeros((), device=logprobs.device)
    kl_reference = zero
    if kl:
        if reference_logprobs is None:
            raise TypeError("surrogate: kl needs reference_logprobs; pass them, or kl=0")
        d = torch.where(mask, reference_logprobs - logprobs, 0.0)
        k3 = d.exp() - d - 1
        if unbiased_kl:
            k3 = torch.where(mask, logprobs - old_logprobs, 0.0).exp() * k3
        per_token = per_token + kl * k3
        kl_reference = _mean(k3.detach(), mask)
    per_token = torch.where(mask, per_token, 0.0)
    with torch.no_grad():
        was_clipped = torch.where(mask, clipped * advantages < rho * advantages, False).float()
        kl_step = _mean(rho - 1 - log_ratio, mask)
    loss = _aggregate(per_token, mask, aggregation, divisor)
    return Surrogate(loss, _mean(was_clipped, mask), kl_step, kl_reference)


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
    known = mask & sampled_logprobs.isfinite()
    return torch.where(known, old_logprobs - sampled_logprobs, 0.0).exp().clamp(max=cap)


def _aggregate(
    per_token: torch.Tensor, mask: torch.Tensor, aggregation: Aggregation, divisor: float | None
) -> torch.Tensor:
    match aggregation:
        case "token":
            return per_token.sum() / (mask.sum().clamp(min=1) if divisor is None else divisor)
        case "sequence":
            means = per_token.sum(1) / mask.sum(1).clamp(min=1)
            return means.sum() / (len(mask) if divisor is None else divisor)
        case "constant":
            return per_token.sum() / (mask.numel() if divisor is None else divisor)
    raise ValueError(f"surrogate: aggregation is {aggregation!r}; pass 'token', 'sequence' or 'constant'")


def _mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask, x.detach(), 0.0).sum() / mask.sum().clamp(min=1)
