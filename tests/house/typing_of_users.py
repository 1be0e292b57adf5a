"""What a user's type checker must see; checked by mypy and pyright in strict mode, never run."""

from typing import Any, assert_type

import jax
import numpy as np
import torch
from numpy.typing import NDArray

from advantages import Groups, estimator, gae, gdpo, grpo, lampo, rloo, to_tokens, whiten


def tensors() -> None:
    rewards = torch.ones(4)
    groups = Groups(["a", "a", "b", "b"])
    assert_type(grpo(rewards, groups), torch.Tensor)
    assert_type(grpo(rewards, groups=2, singleton="raw", strict=True), torch.Tensor)
    assert_type(lampo(rewards, groups, logprobs=rewards, temperature="auto"), torch.Tensor)
    assert_type(gdpo(torch.ones(4, 2), groups, weights={"a": 1.0, "b": 2.0}), torch.Tensor)
    assert_type(gae(torch.ones(4, 2), torch.ones(4, 2), torch.ones(4, 2) > 0), torch.Tensor)
    assert_type(to_tokens(rewards, torch.ones(4, 2) > 0), torch.Tensor)


def jax_arrays(rewards: jax.Array, groups: jax.Array) -> None:
    assert_type(rloo(rewards, groups), jax.Array)
    assert_type(whiten(rewards), jax.Array)


def numpy_arrays(rewards: NDArray[np.float32]) -> None:
    assert_type(grpo(rewards, [1, 1, 2, 2], valid=rewards > 0), NDArray[np.float32])


def a_list_is_an_error() -> None:
    grpo([1.0, 2.0], ["a", "a"])  # type: ignore[type-var]  # pyright: ignore
    grpo(torch.ones(2), ["a", "a"], epsilonn=1.0)  # type: ignore[call-arg]  # pyright: ignore
    grpo(torch.ones(2), ["a", "a"], singleton="nan")  # type: ignore[arg-type]  # pyright: ignore


@estimator()
def mine(rewards: Any, groups: Any, *, temperature: float = 1.0) -> Any:
    return rewards
