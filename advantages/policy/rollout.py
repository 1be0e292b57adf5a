"""Sampling responses, and what the policy says of their tokens."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch

from .load import end_tokens

__all__ = ["Rollout", "joined", "make_rollout", "read", "sample"]


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


@torch.no_grad()
def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    greedy: bool = False,
    engine: str = "generate",
) -> Rollout:
    """One response to each prompt.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer, which pads on the left.
        prompts: N texts; repeat one to sample it several times.
        max_new_tokens: T, the limit of a response.
        temperature, top_p: of the sampling; ignored when `greedy`.
        greedy: take the likeliest token each time.
        engine: "generate", or "continuous" for continuous batching, which an accelerator may be faster with.
    """
    ends = end_tokens(model, tokenizer)
    how: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "eos_token_id": ends,
        "pad_token_id": tokenizer.pad_token_id,
    }
    how |= (
        {"do_sample": False} if greedy else {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": top_p}
    )
    batch = tokenizer(list(prompts), add_special_tokens=False)
    model.eval()
    if engine == "continuous":
        from transformers import GenerationConfig

        answers = model.generate_batch(batch.input_ids, generation_config=GenerationConfig(**how))
        responses = [answers[key].generated_tokens for key in sorted(answers, key=lambda key: int(key.split("_")[-1]))]
    else:
        padded = tokenizer.pad({"input_ids": batch.input_ids}, return_tensors="pt").to(model.device)
        tokens = model.generate(**padded, **how)
        responses = tokens[:, padded.input_ids.shape[1] :].tolist()
    return make_rollout(batch.input_ids, responses, tokenizer, ends, max_new_tokens, model.device)


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


def read(
    model: Any, rollout: Rollout, *, temperature: float = 1.0, entropy: bool = True
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(N, T) log-probability of each response token, and (N, T) entropy of the choice that it was, in nats."""
    steps = rollout.mask.shape[1]
    positions = (rollout.attention.cumsum(1) - 1).clamp(min=0)
    output = model(
        input_ids=rollout.tokens,
        attention_mask=rollout.attention.long(),
        position_ids=positions,
        logits_to_keep=steps + 1,
        use_cache=False,
    )
    logits = output.logits[:, :-1].float() / temperature
    total = logits.logsumexp(-1)
    chosen = logits.gather(-1, rollout.tokens[:, -steps:, None]).squeeze(-1) - total
    if not entropy:
        return chosen, None
    with torch.no_grad():
        return chosen, total - (logits.softmax(-1) * logits).sum(-1)


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
