"""The tiny model's supervised start: it learns to work, then falls into its demonstrator's habits."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ..policy.engine import sample
from ..tasks.chain import ChainTask
from ..tasks.problem import Problem

__all__ = ["imitate", "warm_start"]


@torch.enable_grad()
def imitate(model: Any, tokenizer: Any, optimizer: Any, prompts: Sequence[str], texts: Sequence[str]) -> float:
    """One supervised step on texts that follow their prompts; the loss per token, in nats."""
    full = [prompt + text + tokenizer.eos_token for prompt, text in zip(prompts, texts, strict=True)]
    batch = tokenizer(full, return_tensors="pt", padding=True, return_token_type_ids=False).to(model.device)
    labels = batch.input_ids.clone()
    width = labels.shape[1]
    for row, ids in enumerate(tokenizer(list(texts)).input_ids):
        labels[row, : width - len(ids) - 1] = -100
    positions = (batch.attention_mask.cumsum(1) - 1).clamp(min=0)
    model.train()
    loss = model(**batch, position_ids=positions, labels=labels).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def warm_start(
    model: Any, tokenizer: Any, task: ChainTask, seed: int, *, batch: int = 64, rate: float = 3e-3
) -> Iterator[tuple[Literal["work", "habits"], int, float]]:
    """Teach the model until it can work, then the demonstrator's habits.

    Yields:
        ("work", step, pass@1) and ("habits", step, loss), as it goes on.
    """
    rng = np.random.default_rng([seed, 0])
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    check = [task.problem(rng) for _ in range(128)]

    def some() -> list[Problem]:
        return [task.problem(rng) for _ in range(batch)]

    for step in range(1, 801):
        problems = some()
        imitate(model, tokenizer, optimizer, [p.prompt for p in problems], [p.solution or "" for p in problems])
        if step % 20 == 0:
            rollout = sample(model, tokenizer, [p.prompt for p in check], max_new_tokens=task.longest)
            right = float(np.mean([t.endswith("#" + p.answer) for t, p in zip(rollout.texts, check, strict=True)]))
            yield "work", step, right
            if right >= 0.96:
                break
    for group in optimizer.param_groups:
        group["lr"] = 0.3 * rate
    for step in range(1, 81):
        problems = some()
        texts = [task.demonstration(rng, problem) for problem in problems]
        loss = imitate(model, tokenizer, optimizer, [p.prompt for p in problems], texts)
        if step % 20 == 0:
            yield "habits", step, loss
