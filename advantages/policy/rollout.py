"""Responses after their prompts, as one padded batch."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch

__all__ = ["Rollout", "joined", "make_rollout"]


class Rollout(NamedTuple):
    """N responses, each after its prompt: left-padded prompts of P tokens, then T response tokens."""

    tokens: torch.Tensor
    """(N, P + T) token ids."""
    attention: torch.Tensor
    """(N, P + T) bool, False for padding on either side."""
    mask: torch.Tensor
    """(N, T) bool, tokens that the policy produced, the end of the text included."""
    truncated: torch.Tensor
    """(N,) bool, responses that were cut off at the limit."""
    sampled_logprobs: torch.Tensor | None
    """(N, T) what the engine says it sampled with, where it is not the model itself."""
    texts: list[str]

    def to(self, device: Any) -> "Rollout":
        moved = (x.to(device) if isinstance(x, torch.Tensor) else x for x in self)
        return Rollout(*cast(Any, moved))

    def rows(self, index: torch.Tensor) -> "Rollout":
        """Some of the responses."""
        return Rollout(
            self.tokens[index],
            self.attention[index],
            self.mask[index],
            self.truncated[index],
            None if self.sampled_logprobs is None else self.sampled_logprobs[index],
            [self.texts[row] for row in index.tolist()],
        )


def make_rollout(
    prompts: Sequence[Sequence[int]],
    responses: Sequence[Sequence[int]],
    tokenizer: Any,
    ends: Sequence[int],
    max_new_tokens: int,
    device: Any,
    logprobs: Sequence[Sequence[float]] | None = None,
) -> Rollout:
    """Lay prompts and responses of an engine out as one padded batch; what follows an end token is cut off."""
    stop = set(ends)
    cut = []
    for response in responses:
        place = next((i for i, token in enumerate(response) if token in stop), None)
        cut.append(list(response[: max_new_tokens if place is None else place + 1]))
    truncated = [not response or response[-1] not in stop for response in cut]
    before, after = max(map(len, prompts)), max(1, *map(len, cut))
    pad = tokenizer.pad_token_id
    rows = [
        [pad] * (before - len(p)) + list(p) + r + [pad] * (after - len(r)) for p, r in zip(prompts, cut, strict=True)
    ]
    tokens = torch.tensor(rows, device=device)
    prompt_lengths = torch.tensor([len(p) for p in prompts], device=device)
    lengths = torch.tensor([len(r) for r in cut], device=device)
    position = torch.arange(before + after, device=device)[None, :] - before
    attention = (position >= -prompt_lengths[:, None]) & (position < lengths[:, None])
    sampled = None
    if logprobs is not None:
        padded = [list(p[: len(r)]) + [0.0] * (after - len(r)) for p, r in zip(logprobs, cut, strict=True)]
        sampled = torch.tensor(padded, device=device)
    return Rollout(
        tokens,
        attention,
        attention[:, before:],
        torch.tensor(truncated, device=device),
        sampled,
        tokenizer.batch_decode(cut, skip_special_tokens=True),
    )


def joined(rollouts: Sequence[Rollout], pad: int) -> Rollout:
    """Several rollouts as one, padded to the longest prompt and the longest response."""
    if len(rollouts) == 1:
        return rollouts[0]
    after = max(r.mask.shape[1] for r in rollouts)
    before = max(r.tokens.shape[1] - r.mask.shape[1] for r in rollouts)

    def widened(x: torch.Tensor, rollout: Rollout, value: Any) -> torch.Tensor:
        steps = rollout.mask.shape[1]
        left = before - (rollout.tokens.shape[1] - steps) if x.shape[1] == rollout.tokens.shape[1] else 0
        return torch.nn.functional.pad(x, (left, after - steps), value=value)

    sampled = [widened(r.sampled_logprobs, r, 0.0) for r in rollouts if r.sampled_logprobs is not None]
    return Rollout(
        torch.cat([widened(r.tokens, r, pad) for r in rollouts]),
        torch.cat([widened(r.attention, r, False) for r in rollouts]),
        torch.cat([widened(r.mask, r, False) for r in rollouts]),
        torch.cat([r.truncated for r in rollouts]),
        torch.cat(sampled) if sampled else None,
        [text for r in rollouts for text in r.texts],
    )
