"""Sampling responses, and what the policy says of their tokens: one and the same distribution.

What a response is sampled with is built from nothing. A checkpoint's `generation_config` may hold penalties, beams,
biases, forced tokens and more, which would make the sampled tokens those of another distribution than the one whose
log-probabilities are read; of it, the end tokens alone are used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from .rollout import Rollout, make_rollout

__all__ = [
    "ContinuousBatching",
    "Engine",
    "Generate",
    "NotFiniteError",
    "end_tokens",
    "generation_settings",
    "sample",
    "token_logprobs",
]


class NotFiniteError(ValueError):
    """A model says nothing of the next token that could be sampled from."""

    def __init__(self) -> None:
        super().__init__("the model's log-probabilities are not finite, so that nothing can be sampled")


class _Watch(LogitsProcessor):
    """Notes rows of logits that are NaN or infinite, and keeps them from the sampler, which would end a GPU's process.

    The note is looked at once, when all tokens are there, so that no token waits for it. It stays in one place, where
    a captured CUDA graph writes it, too.
    """

    def __init__(self, device: Any) -> None:
        self.broken = torch.zeros((), dtype=torch.bool, device=device)

    def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
        bad = ~scores.amax(-1, keepdim=True).isfinite()
        self.broken.logical_or_(bad.any())
        return scores.masked_fill(bad, 0.0)


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a response: those that the checkpoint names, and the tokenizer's own."""
    ends = model.generation_config.eos_token_id
    ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return list(dict.fromkeys([*ends, *own]))


def generation_settings(
    model: Any,
    tokenizer: Any,
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    greedy: bool = False,
) -> dict[str, Any]:
    """All that responses are sampled with; what is not named here is off, whatever the checkpoint's files say."""
    drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": top_p}
    return {
        **({"do_sample": False} if greedy else drawn),
        "max_new_tokens": max_new_tokens,
        "eos_token_id": end_tokens(model, tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
    }


class Engine(Protocol):
    """What samples responses from a model."""

    def sample(
        self,
        model: Any,
        tokenizer: Any,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        greedy: bool = False,
        version: int = 0,
    ) -> Rollout:
        """One response to each prompt, drawn with torch's generator.

        Args:
            model: a causal language model of transformers.
            tokenizer: its tokenizer, which pads on the left.
            prompts: N texts; repeat one to sample it several times.
            max_new_tokens: T, the limit of a response.
            temperature, top_p: of the sampling; ignored when `greedy`.
            greedy: take the likeliest token each time.
            version: of the model's weights; an engine that holds weights of its own takes over the model's where it
                is another one than the last time.

        Raises:
            NotFiniteError: what the model says of a token is NaN or infinite.
            ValueError: the engine failed.
        """
        ...


class Generate:
    """The `Engine` that is the model's own `generate`."""

    @torch.no_grad()
    def sample(
        self,
        model: Any,
        tokenizer: Any,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        greedy: bool = False,
        version: int = 0,
    ) -> Rollout:
        """One response to each prompt; see `Engine`."""
        how = generation_settings(
            model, tokenizer, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, greedy=greedy
        )
        ids = tokenizer(list(prompts), add_special_tokens=False).input_ids
        padded = tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(model.device)
        watch = _Watch(model.device)
        model.eval()
        with _bare(model):
            tokens = model.generate(
                **padded, generation_config=GenerationConfig(**how), logits_processor=LogitsProcessorList([watch])
            )
        if watch.broken:
            raise NotFiniteError
        responses = tokens[:, padded.input_ids.shape[1] :].tolist()
        return make_rollout(ids, responses, tokenizer, how["eos_token_id"], max_new_tokens, model.device)


sample = Generate().sample


class ContinuousBatching:
    """The `Engine` that is the model's continuous batching, which an accelerator may be faster with."""

    @torch.no_grad()
    def sample(
        self,
        model: Any,
        tokenizer: Any,
        prompts: Sequence[str],
        *,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        greedy: bool = False,
        version: int = 0,
    ) -> Rollout:
        """One response to each prompt; see `Engine`."""
        how = generation_settings(
            model, tokenizer, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, greedy=greedy
        )
        ids = tokenizer(list(prompts), add_special_tokens=False).input_ids
        watch = _Watch(model.device)
        model.eval()
        watched = model.get_output_embeddings().register_forward_hook(lambda module, inputs, x: watch(None, x))
        try:
            with _bare(model):
                room = _room(ids, max_new_tokens, model.device)
                answers = model.generate_batch(ids, generation_config=GenerationConfig(**how), **room)
        finally:
            watched.remove()
        if failed := sorted({answer.error for answer in answers.values() if answer.error}):
            raise ValueError(f"continuous batching failed: {'; '.join(failed)}; sample with engine generate")
        if len(answers) != len(ids):
            raise ValueError(
                f"continuous batching answered {len(answers)} of {len(ids)} prompts; sample with engine generate"
            )
        keys = sorted(answers, key=lambda key: int(key.split("_")[-1]))
        responses = [answers[key].generated_tokens for key in keys]
        rollout = make_rollout(ids, responses, tokenizer, how["eos_token_id"], max_new_tokens, model.device)
        if watch.broken and not _is_finite(model, rollout):  # it warms up on memory that nobody has written
            raise NotFiniteError
        return rollout


def _room(ids: Sequence[Sequence[int]], max_new_tokens: int, device: Any) -> dict[str, Any]:
    """On a CPU, memory for twice these responses: by default, it is most of the machine's, whatever others hold."""
    if device.type != "cpu":
        return {}
    try:
        from transformers import ContinuousBatchingConfig
    except ImportError:  # before transformers 5.4
        return {}
    page = ContinuousBatchingConfig().page_size
    pages = sum(-(-(len(row) + max_new_tokens) // page) for row in ids)
    longest, tokens = max(map(len, ids)), sum(map(len, ids))
    at_once = max(longest, len(ids), min(tokens, 8192))
    return {"continuous_batching_config": ContinuousBatchingConfig(num_blocks=2 * pages, max_batch_tokens=at_once)}


def _is_finite(model: Any, rollout: Rollout) -> bool:
    """Whether the model's log-probabilities of all response tokens are finite."""
    rows = torch.arange(len(rollout.mask), device=rollout.mask.device).split(1)
    parts = (rollout.rows(row) for row in rows)
    return all(bool(token_logprobs(model, part, entropy=False)[0][part.mask].isfinite().all()) for part in parts)


@contextmanager
def _bare(model: Any) -> Iterator[None]:
    """Without the checkpoint's generation settings, which `generate` fills up with what it is not told."""
    holders = [module for module in model.modules() if "generation_config" in vars(module)]
    own = [holder.generation_config for holder in holders]
    try:
        for holder in holders:
            holder.generation_config = GenerationConfig()
        yield
    finally:
        for holder, settings in zip(holders, own, strict=True):
            holder.generation_config = settings


def token_logprobs(
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
