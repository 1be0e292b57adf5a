"""Work of the words about tokens, counted: operations and full-size results of torch, at any size."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from advantages import gae, reinforce_plus_plus, whiten
from advantages.backends import kernels

_VIEWS = ("view", "expand", "slice", "select", "squeeze", "transpose", "permute", "detach", "alias", "unbind", "t")


class Counted(TorchDispatchMode):
    """Operations that torch was asked for, and those whose result is as large as the batch and is no view."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.operations, self.full = size, 0, 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        name = operation._schema.name.partition("::")[2]
        self.operations += 1
        is_new = not name.startswith(("_unsafe_view", "unsqueeze", *_VIEWS)) and not name.endswith("_")
        results = result if isinstance(result, (tuple, list)) else [result]
        self.full += is_new and any(isinstance(x, torch.Tensor) and x.numel() == self.size for x in results)
        return result


def counted(function: Any, shape: tuple[int, int], holes: bool, device: str) -> Counted:
    mask = torch.rand(shape) < 0.6 if holes else torch.ones(shape, dtype=torch.bool)
    rewards, values = torch.randn(shape) * mask, torch.randn(shape)
    words = [x.to(device) for x in (rewards, values, mask)]
    with Counted(mask.numel()) as found:
        function(*words)
    return found


CALLS = {
    "gae": lambda rewards, values, mask: gae(rewards, values, mask),
    "whiten": lambda rewards, values, mask: whiten(values, mask),
    "reinforce_plus_plus": lambda rewards, values, mask: reinforce_plus_plus(rewards, mask),
}
