"""At home in torch: groups may be arguments of a compiled function, and results fit the dtype."""

import numpy as np
import torch

from advantages import Groups, grpo, rloo


def test_groups_are_an_argument_of_a_compiled_function():
    rewards, ids = torch.tensor([1.0, 0.0, 3.0, 2.0, 5.0]), ["a", "b", "a", "b", "b"]
    compiled = torch.compile(lambda rewards, groups: grpo(rewards, groups), fullgraph=True, backend="eager")
    np.testing.assert_allclose(compiled(rewards, Groups(ids)), grpo(rewards, ids), atol=1e-5)
    np.testing.assert_allclose(compiled(rewards[:4], Groups.of_size(2, 4)), grpo(rewards[:4], 2), atol=1e-5)
    np.testing.assert_allclose(compiled(rewards[:4], 2), grpo(rewards[:4], 2), atol=1e-5)


def test_scattered_groups_of_one_size_are_those_of_their_blocks():
    rewards = torch.randn(4096, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(4096, generator=torch.Generator().manual_seed(1))
    for function in (grpo, rloo):
        whole = function(rewards, 8)
        scattered = function(rewards[order], (torch.arange(4096) // 8)[order])
        torch.testing.assert_close(scattered, whole[order], rtol=1e-5, atol=1e-5)
        ragged = function(
            torch.cat([rewards[order], torch.zeros(1)]),
            torch.cat([(torch.arange(4096) // 8)[order], torch.tensor([-1])]),
        )
        torch.testing.assert_close(ragged[:-1], whole[order], rtol=1e-5, atol=1e-5)


def test_single_precision_is_as_close_to_double_as_it_can_be():
    """Offsets and ranges of many sizes, ragged groups: no further off than rounding the exact answer would be."""
    generator = np.random.default_rng(0)
    for size in (2, 50, 4096):
        ids = generator.integers(0, max(1, 20_000 // size), 20_000)
        for offset in (0.0, 1e3, 1e6):
            for spread in (1e-3, 1.0, 1e3):
                rewards = (offset + spread * generator.standard_normal(20_000)).astype(np.float32)
                exact = rloo(rewards.astype(np.float64), ids)
                found = rloo(torch.from_numpy(rewards), ids).numpy()
                span = np.ptp(rewards)
                assert np.abs(found - exact).max() <= 4e-7 * span, (size, offset, spread)


def test_a_row_is_finite_where_all_its_words_are_under_the_mask():
    """One word may hide in another's sum: an infinity beside a NaN, a number that overflows, half precision."""
    from advantages.backends import numpy as numpy_backend
    from advantages.backends import torch as torch_backend

    random = torch.Generator().manual_seed(0)
    for bad in (float("nan"), float("inf"), -float("inf")):
        for which in (0, 1):
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                words = [torch.randn(4, 5, generator=random).to(dtype), 3e38 * torch.rand(4, 5, generator=random)]
                words[which][2, 3] = bad
                mask = torch.rand(4, 5, generator=random) < 0.7
                for trained in (True, False):
                    mask[2, 3] = trained
                    found = torch_backend.finite_rows(words, mask)
                    assert found.tolist() == [True, True, not trained, True]
                    numbers = [x.float().numpy() for x in words]
                    np.testing.assert_array_equal(numpy_backend.finite_rows(numbers, mask.numpy()), found)
