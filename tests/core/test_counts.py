"""Work of the words about tokens, counted: operations and full-size results of torch, at any size."""

import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from advantages import Groups, dr_grpo, gae, grpo, reinforce_plus_plus, rloo, whiten
from advantages.backends import kernels
from advantages.backends import numpy as numpy_backend

_VIEWS = ("view", "expand", "slice", "select", "squeeze", "transpose", "permute", "detach", "alias", "unbind", "t")


class Counted(TorchDispatchMode):
    """Operations that torch was asked for, and those whose result is about as large as the batch and is no view."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.operations, self.full = size, 0, 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        name = operation._schema.name.partition("::")[2]
        self.operations += 1
        is_new = not name.startswith(("_unsafe_view", "unsqueeze", *_VIEWS)) and not name.endswith("_")
        is_new &= "out" not in (kwargs or {})
        results = result if isinstance(result, (tuple, list)) else [result]
        self.full += is_new and any(isinstance(x, torch.Tensor) and x.numel() > 0.9 * self.size for x in results)
        return result


def counted(function: Any, shape: tuple[int, int], holes: bool, device: str) -> Counted:
    mask = torch.rand(shape, device=device) < (0.6 if holes else 2.0)
    rewards, values = torch.randn(shape, device=device) * mask, torch.randn(shape, device=device)
    with Counted(mask.numel()) as found:
        function(rewards, values, mask)
    return found


CALLS = {
    "gae": lambda rewards, values, mask: gae(rewards, values, mask),
    "whiten": lambda rewards, values, mask: whiten(values, mask),
    "reinforce_plus_plus": lambda rewards, values, mask: reinforce_plus_plus(rewards, mask),
}

MOST = {  # operations and full-size results, on a host that may look at values
    ("gae", True): (6, 1),
    ("gae", False): (6, 1),
    ("whiten", True): (5, 1),
    ("reinforce_plus_plus", True): (11, 2),
}
SHAPES = [(64, 2048), (8, 32768), (4096, 64)]


@pytest.mark.parametrize(("name", "holes"), MOST)
@pytest.mark.parametrize("shape", SHAPES)
def test_plain_torch_does_few_operations_whatever_the_size(name, holes, shape, monkeypatch):
    monkeypatch.setattr(kernels, "ALLOWED", False)
    found = counted(CALLS[name], shape, holes, "cpu")
    assert found.operations <= MOST[name, holes][0]
    assert found.full <= MOST[name, holes][1]


@pytest.mark.parametrize(
    ("name", "operations", "full"), [("gae", 6, 1), ("whiten", 5, 1), ("reinforce_plus_plus", 7, 2)]
)
@pytest.mark.parametrize("shape", [*SHAPES, (300, 9000)])
def test_compiled_kernels_write_each_result_once(name, operations, full, shape):
    if kernels.compiled("tokens") is None:
        pytest.skip("numba is not installed")
    found = counted(CALLS[name], shape, True, "cpu")
    assert found.operations <= operations
    assert found.full <= full


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("is_compiled", [False, True])
def test_memory_of_the_result_is_all_that_is_asked_for(name, is_compiled, monkeypatch):
    monkeypatch.setattr(kernels, "ALLOWED", is_compiled)
    rng = np.random.default_rng(0)
    shape = (512, 4096)
    mask = rng.random(shape) < 0.6
    words = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32), mask
    CALLS[name](*words)  # what is kept for the next call
    tracemalloc.start()
    try:
        result = CALLS[name](*words)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * result.nbytes  # the rest: masks of a byte, and tiles


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_ordinary_numbers_are_looked_at_in_one_pass(make, monkeypatch):
    seen = []
    monkeypatch.setattr(numpy_backend, "extent", lambda x: seen.append(x) or (float(x.min()), float(x.max())))
    rewards, mask = np.arange(2.0**15).reshape(4, -1), np.ones((4, 2**13), bool)
    plain = gae(make(rewards), make(-rewards), make(mask))
    assert not seen
    rewards[1, 5] = np.nan
    assert not gae(make(rewards), make(-rewards), make(mask))[1].any()
    assert len(seen) == 2
    rewards[1, 5] = 1e10  # beyond what is ordinary
    assert gae(make(rewards), make(-rewards), make(mask))[1, 5] > plain[1, 5]
    assert len(seen) == 4


UNSEEN = {  # operations and full-size results, where no value may be looked at
    "gae": (39, 8),
    "gae, discounted": (39, 8),
    "whiten": (14, 2),
    "reinforce_plus_plus": (54, 10),
    "reinforce_plus_plus, discounted": (61, 10),
}


@pytest.mark.parametrize("name", UNSEEN)
@pytest.mark.parametrize(
    "shape", [(64, 2048), (4, 2**20), (4096, 2048), (256, 32768), (300, 9000), (4096, 64), (64, 3)]
)
def test_an_accelerator_launches_few_kernels_and_no_more_for_large_batches(name, shape):
    for discount in (0.0, 0.5, 0.95, 0.999, 0.999999):
        calls = CALLS | {
            "gae, discounted": lambda rewards, values, mask, d=discount: gae(rewards, values, mask, discount=d),
            "reinforce_plus_plus, discounted": lambda rewards, values, mask, d=discount: reinforce_plus_plus(
                rewards, mask, discount=d
            ),
        }
        found = counted(calls[name], shape, True, "meta")
        assert found.operations <= UNSEEN[name][0]
        assert found.full <= UNSEEN[name][1]


@pytest.mark.parametrize("estimator", [grpo, rloo, dr_grpo])
@pytest.mark.parametrize("rows", [64, 512, 4096])
def test_blocks_take_few_operations_whatever_the_size(estimator, rows, monkeypatch):
    monkeypatch.setattr(kernels, "ALLOWED", False)
    rewards = torch.ones(rows)
    with Counted(rows) as found:
        estimator(rewards, 8)
    assert found.operations <= 2


@pytest.mark.parametrize(
    ("estimator", "blocks", "interleaved", "ragged", "unknown"),  # 14 and 24 are wanted of the first two
    [(grpo, 14, 17, 29, 40), (rloo, 13, 16, 24, 35), (dr_grpo, 12, 15, 19, 30)],
)
@pytest.mark.parametrize("rows", [64, 512, 4096])
def test_an_accelerator_launches_few_kernels_for_groups(estimator, blocks, interleaved, ragged, unknown, rows):
    rewards, slots = torch.ones(rows, device="meta"), torch.arange(rows) % (rows // 8)
    layouts = ((8, blocks), (Groups(slots), interleaved), (Groups(slots % 7), ragged), (slots.to("meta"), unknown))
    for groups, most in layouts:
        estimator(rewards, groups)  # what groups are sent to a device is kept there
        with Counted(rows) as found:
            estimator(rewards, groups)
        assert found.operations <= most


@pytest.mark.parametrize(("estimator", "plain", "compiled"), [(grpo, 34, 23), (rloo, 26, 23), (dr_grpo, 26, 23)])
@pytest.mark.parametrize("allowed", [False, True], ids=["plain", "compiled"])
def test_a_plain_call_makes_few_calls_of_python(estimator, plain, compiled, allowed, monkeypatch):
    """At the size of one step's batch a call's time is that of Python, not of arithmetic; and where a compiled loop
    reads all numbers it says whether they are finite, so that no other pass does."""
    if allowed and kernels.compiled("groups") is None:
        pytest.skip("numba is not installed")
    monkeypatch.setattr(kernels, "ALLOWED", allowed)
    rewards = torch.ones(512)
    estimator(rewards, 8)
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        estimator(rewards, 8)
    finally:
        sys.setprofile(None)
    assert len(calls) <= (compiled if allowed else plain)
    assert ("squares" in calls) == (not allowed)


def test_masks_are_read_and_rewards_moved_without_a_look_at_a_device():
    """A read of values would raise: a tensor on the meta device has none."""
    words = [torch.ones(3, 70, device="meta"), torch.ones(3, 70, device="meta")]
    mask = torch.ones(3, 70, dtype=torch.bool, device="meta")
    for discount in (1.0, 0.5, 0.01, 0.0):
        assert gae(*words, mask, discount=discount).shape == (3, 70)


@pytest.mark.parametrize("name", CALLS)
def test_plain_torch_waits_for_its_threads_a_few_times_not_once_an_operation(name, monkeypatch):
    """Each operation on the whole batch, or on a tile, would wait for all of torch's threads: a scheduler's round on a
    busy machine, for each of them.
    """
    monkeypatch.setattr(kernels, "ALLOWED", False)
    small, large = (counted(CALLS[name], (rows, 4096), True, "cpu").operations for rows in (8, 1024))
    assert large == small <= 20
