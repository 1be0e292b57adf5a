"""`diagnose` on a batch of torch: python benchmarks/diagnose.py. To stay below 200 us for 512, and 2 ms for 16,384."""

from functools import partial

import torch
from harness import medians, show

from advantages import Groups, diagnose, grpo

for n in (512, 16_384):
    torch.manual_seed(0)
    rewards = torch.randint(0, 2, (n,)).float()
    lengths = torch.randint(10, 900, (n,))
    calls = {"copy": partial(torch.clone, rewards)}
    for layout, groups in (
        ("blocks", 8),
        ("ids", torch.arange(n) // 8),
        ("interleaved ids", torch.arange(n) % (n // 8)),
        ("ragged Groups", Groups(torch.randint(0, n // 8, (n,)))),
    ):
        a = grpo(rewards, groups)
        calls[layout] = partial(diagnose, rewards, a, groups)
        calls[f"{layout}, lengths"] = partial(diagnose, rewards, a, groups, lengths=lengths)
    show(f"torch, {n} responses", medians(calls, seconds=0.3), "copy")
