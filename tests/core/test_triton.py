"""The kernels of Triton: in its interpreter on the CPU (`make test-triton`), compiled where there is a GPU.

In the interpreter everything runs but the compiler and the GPU: it shows arithmetic, addresses and launches. That the
kernels compile for GPUs is a test of its own; what they do there was not seen here.
"""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from advantages import Groups, discounted_returns, dr_grpo, gae, grpo, lambdapo, lampo, rloo
from advantages.backends import kernels, torch_tokens
from advantages.backends import torch as torch_backend
from advantages.ops import lambda_advantages
from advantages.ops.groupwise import group_above_others, group_centered, group_zscore
from advantages.ops.pairs import sigmoid_sums

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
IN_INTERPRETER = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
"""The interpreter is numpy, which warns of infinity where it is meant."""
INSTALLED = importlib.util.find_spec("triton") is not None


@pytest.fixture
def launches(monkeypatch):
    """Kernels for tensors wherever they are, with small tiles; the names of those launched, in order."""
    if not INSTALLED:
        pytest.skip("triton is not installed: make test-triton")
    if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("there is no GPU, and TRITON_INTERPRET is not 1: make test-triton")
    from advantages.backends.kernels import triton_groups, triton_pairs, triton_tokens

    names = []

    class Noted:
        def __init__(self, name, kernel):
            self.name, self.kernel = name, kernel

        def __getitem__(self, grid):
            names.append(self.name)

            def launch(*arguments, **named):
                with _disable_current_modes():  # what the interpreter does itself is not counted
                    self.kernel[grid](*arguments, **named)

            return launch

    for module in (triton_tokens, triton_pairs, triton_groups):
        for name in ("_advantages", "_spans", "_sigmoid_sums", "_centered"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, Noted(name, getattr(module, name)))
    small = {"_STEPS": 4, "_LANES": 4, "_PROGRAMS": 20, "_CHUNKS": 1}  # chunks of 16 steps; 5 rows have up to 4 pieces
    for name, value in small.items():
        monkeypatch.setattr(triton_tokens, name, value)
    monkeypatch.setattr(triton_pairs, "_ROWS", 16)
    monkeypatch.setattr(triton_pairs, "_PARTNERS", 16)
    monkeypatch.setattr(triton_groups, "_TILE", 16)
    monkeypatch.setattr(torch_backend, "on_gpu", lambda *words: not torch_backend._differentiated(words))
    monkeypatch.setattr(kernels, "ALLOWED", True)
    return names


def plain(rewards, values, mask, discount=1.0, lambda_=1.0):
    """What torch itself comes to, in double precision."""
    rewards, values = (None if x is None else x.double() for x in (rewards, values))
    return torch_tokens.advantages(rewards, values, mask, float(discount), float(lambda_))


def close(found, right):
    """To the last bit or so of float32."""
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.cpu(), right.cpu(), rtol=0, atol=1e-7 * max(1.0, right.abs().max().item()))


def batch(steps, rows=5):
    """Rows without gaps, padded on both sides, with holes, with few trained tokens, with the last three alone.

    Masked tokens have rewards, of which some are not finite, and values that are NaN.
    """
    rng = np.random.default_rng(steps)
    place, (begin, end) = np.arange(steps), np.sort(rng.integers(0, steps + 1, 2))
    layouts = [
        place >= 0,
        (begin <= place) & (place < end),
        rng.random(steps) < 0.6,
        rng.random(steps) < 0.05,
        place >= steps - 3,
    ]
    mask = np.stack([layouts[row % 5] for row in range(rows)])
    rewards, values = rng.normal(size=(2, rows, steps)).astype(np.float32)
    odd = ~mask & (rng.random(mask.shape) < 0.3)
    rewards[odd] = rng.choice([np.nan, np.inf, -np.inf], odd.sum())
    values[~mask] = np.nan
    return [torch.tensor(x, device=DEVICE) for x in (rewards, values, mask)]


@pytest.mark.parametrize("steps", [1, 2, 15, 16, 17, 33, 71])
def test_the_scan_is_the_plain_path(launches, steps):
    rewards, values, mask = batch(steps)
    rng = np.random.default_rng(steps)
    for discount, lambda_ in [(1, 0.95), (1.0, 1.0), *rng.choice([0.0, 1e-3, 0.5, 0.99, 1.0], (2, 2)).tolist()]:
        launches.clear()
        found = lambda_advantages(rewards, values, mask, discount=discount, lambda_=lambda_)
        assert launches == (["_spans", "_advantages"] if steps > 32 else ["_advantages"])
        close(found, plain(rewards, values, mask, discount, lambda_))
    close(discounted_returns(rewards, mask, discount=0.9), plain(rewards, None, mask, 0.9, 1.0))
    found = lambda_advantages(rewards, values.double(), mask, discount=0.9, lambda_=0.9)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.cpu(), plain(rewards, values, mask, 0.9, 0.9).cpu(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("rows", "split"), [(1, True), (6, True), (7, False), (21, False)])
def test_few_rows_are_cut_into_pieces(launches, rows, split):
    words = batch(60, rows)
    close(lambda_advantages(*words, lambda_=0.9), plain(*words, lambda_=0.9))
    assert ("_spans" in launches) == split


@pytest.mark.parametrize("discount", [0.0, 1.0])
def test_rewards_ahead_cross_pieces_without_a_trained_token(launches, discount):
    rewards = torch.ones(1, 80, device=DEVICE)
    mask = torch.zeros(1, 80, dtype=torch.bool, device=DEVICE)
    assert not discounted_returns(rewards, mask).any()
    mask[0, [60, 75]] = True
    expected = torch.zeros(1, 80)
    expected[0, 60], expected[0, 75] = 60 + 15 + discount * 5, 5
    assert torch.equal(discounted_returns(rewards, mask, discount=discount).cpu(), expected)
    assert "_spans" in launches


def test_a_decay_near_one_stays_exact_over_many_tokens(launches, monkeypatch):
    from advantages.backends.kernels import triton_tokens

    for name, value in {"_STEPS": 8, "_LANES": 256}.items():  # as they are
        monkeypatch.setattr(triton_tokens, name, value)
    ones = torch.ones(1, 3 * 2048 + 5, device=DEVICE)
    mask = ones > 0
    mask[0, ::7] = False
    for discount in (1.0, 0.99999, 0.9997):
        close(discounted_returns(ones, mask, discount=discount), plain(ones, None, mask, discount, 1.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_the_numbers_of_single(launches, dtype):
    rewards, values, mask = batch(17, 3)
    rewards, values = rewards.to(dtype), values.to(dtype)
    whole = gae(rewards.float(), values.float(), mask)
    assert torch.equal(gae(rewards, values, mask), whole.to(dtype))
    close(lambda_advantages(rewards, values, mask), plain(rewards, values, mask))
    close(lambda_advantages(rewards.float(), values, mask), plain(rewards, values, mask))


def test_a_view_gives_what_its_copy_gives(launches):
    words = batch(20, 4)
    views = [
        [x.T.contiguous().T for x in words],
        [x[::2, 1:] for x in words],
        [x[:, ::3] for x in words],
        [words[0][:1].nan_to_num().expand(4, -1), *words[1:]],
        [words[0][:, :1].nan_to_num().expand(-1, 20), *words[1:]],
    ]
    for view in views:
        assert not view[0].is_contiguous()
        assert torch.equal(
            lambda_advantages(*view), lambda_advantages(*[x.clone(memory_format=torch.contiguous_format) for x in view])
        )


def test_what_the_kernel_is_not_for_takes_the_plain_path(launches, monkeypatch):
    rewards, values, mask = batch(9)
    lambda_advantages(rewards, values.clone().requires_grad_(), mask).sum().backward()
    monkeypatch.setattr(kernels, "ALLOWED", False)
    close(lambda_advantages(rewards, values, mask), plain(rewards, values, mask))
    sigmoid_sums(rewards[0], values[0], Groups.of_size(3, rows=9))
    assert not launches


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_nothing_is_nothing(launches, shape):
    rewards, mask = torch.ones(shape, device=DEVICE), torch.ones(shape, dtype=torch.bool, device=DEVICE)
    assert lambda_advantages(rewards, rewards, mask).shape == shape
    assert not launches


class Operations(TorchDispatchMode):
    """The names of torch's own operations, views aside."""

    def __enter__(self):
        self.names = []
        return super().__enter__()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        if not function.is_view:
            self.names.append(function.overloadpacket.__name__)
        return result


@pytest.mark.parametrize(("steps", "made"), [(32, 1), (40, 2)])
def test_a_scan_is_its_launches_and_nothing_else(launches, steps, made):
    """No operation of torch but to make room, and so no look at a value that a GPU would have to be waited for."""
    words = batch(steps)
    with Operations() as operations:
        lambda_advantages(*words)
    assert len(launches) == made
    assert operations.names == ["empty"] * made


def gaps(values, scores, slots, scored, temperature, misranked):
    """(N,) the formula, and each row's largest gap times its partners."""
    v, s = values.astype(np.float64), scores.astype(np.float64)
    pairs = (slots[:, None] == slots) & scored[:, None] & scored
    gap, lead = v[:, None] - v, (s[:, None] - s) / temperature
    lead = np.where(gap < 0, lead, -lead) if misranked else lead
    size = (np.abs(gap) * pairs).max(1) * pairs.sum(1)
    return (gap * (0.5 + 0.5 * np.tanh(0.5 * lead)) * pairs).sum(1), size


@IN_INTERPRETER
@pytest.mark.parametrize("layout", ["blocks", "interleaved", "ragged", "ids on the device"])
@pytest.mark.parametrize("size", [1, 8, 16, 17, 40])
def test_sums_over_pairs_are_the_formula(launches, size, layout):
    rng = np.random.default_rng(size)
    slots = np.repeat(np.arange(3), size)
    if layout == "interleaved":
        slots = slots.reshape(3, size).T.reshape(-1)
    elif layout != "blocks":
        slots = rng.permutation(np.concatenate([slots, rng.integers(3, 6, 7)]))
    count = len(slots)
    groups = Groups(torch.tensor(slots, device=DEVICE) if layout == "ids on the device" else slots)
    numbers = [rng.normal(size=count) + 1e3, np.floor(rng.normal(size=count)), rng.normal(size=count) * 1e-30]
    settings = [(1.0, 1.0), (1e3, 7.0), (0.0, 1.0), (1e-3, 1e-300), (1e30, 1.0), (1.0, float("inf"))]
    for turn, (spread, temperature) in enumerate(settings):
        misranked, values = turn % 2 == 1, numbers[rng.integers(3)]
        scores = rng.normal(size=count) * spread
        scores[rng.random(count) < 0.3] = scores[0]
        scored = rng.random(count) < (0.7 if turn % 3 else 1.0)
        v, s = (torch.tensor(np.where(scored, x, np.nan), device=DEVICE) for x in (values, scores))
        some = groups if scored.all() else groups.where(torch.tensor(scored, device=DEVICE))
        launches.clear()
        found = sigmoid_sums(v, s, some, temperature=temperature, misranked=misranked).cpu().numpy()
        assert launches == ["_sigmoid_sums"]
        right, most = gaps(values, scores, slots, scored, temperature, misranked)
        assert (np.abs(found - right) <= 1e-7 * most).all()
        assert not found[~scored].any()


@IN_INTERPRETER
def test_differences_are_exact_far_from_zero(launches):
    rng = np.random.default_rng(0)
    values = rng.normal(size=48) + np.repeat([0.0, 1e6], 24)  # a tile has members of both groups
    scores = rng.normal(size=48) + 1e5 * rng.integers(0, 3, 48)  # near neighbours far from the others
    blocks = Groups.of_size(24, rows=48)
    found = sigmoid_sums(torch.tensor(values, device=DEVICE), torch.tensor(scores, device=DEVICE), blocks).cpu().numpy()
    right, most = gaps(values, scores, np.repeat([0, 1], 24), np.ones(48, bool), 1.0, False)
    assert (np.abs(found - right) <= 1e-7 * most).all()
    equal = torch.full((48,), 0.1, device=DEVICE)
    assert not sigmoid_sums(equal, torch.tensor(scores, device=DEVICE), blocks).any()


@IN_INTERPRETER
@pytest.mark.parametrize(("estimator", "temperature"), [(lampo, "auto"), (lampo, 2.0), (lambdapo, 2.0)])
def test_estimators_of_pairs_are_those_of_numpy(launches, estimator, temperature, monkeypatch):
    monkeypatch.setattr(torch_backend, "lent", lambda x: None)  # no numpy array stands for a tensor of a GPU
    rng = np.random.default_rng(0)
    rewards, logprobs = rng.integers(0, 2, 40).astype(np.float32), rng.normal(-30, 5, 40).astype(np.float32)
    found = estimator(torch.tensor(rewards), 8, torch.tensor(logprobs), temperature=temperature)
    np.testing.assert_allclose(found, estimator(rewards, 8, logprobs, temperature=temperature), rtol=0, atol=3e-7)
    assert launches == ["_sigmoid_sums"]


@pytest.fixture
def off_host(launches, monkeypatch):
    """`launches`, where a tensor's values cannot be read without waiting, as on a GPU."""
    monkeypatch.setattr(torch_backend, "lent", lambda x: None)
    monkeypatch.setattr(torch_backend, "on_host", lambda x: False)
    return launches


WORDS = {
    "centered": (group_centered, {}),
    "above others": (group_above_others, {}),
    "zscore": (group_zscore, {"ddof": 1, "epsilon": 1e-6}),
    "zscore, ddof 0": (group_zscore, {"ddof": 0, "epsilon": 0.0}),
}


@IN_INTERPRETER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["blocks", "interleaved", "ragged"])
@pytest.mark.parametrize("size", [1, 8, 16, 17, 40])
def test_words_of_groups_are_those_of_the_plain_path(off_host, monkeypatch, size, layout, dtype):
    rng = np.random.default_rng(size)
    slots = np.repeat(np.arange(19), size)
    if layout == "interleaved":
        slots = slots.reshape(19, size).T.reshape(-1)
    elif layout == "ragged":
        slots = rng.permutation(np.concatenate([slots, rng.integers(19, 24, 17)]))
    count, groups = len(slots), Groups(slots)
    for turn, (name, (word, settings)) in enumerate(WORDS.items()):
        numbers = np.floor(rng.normal(size=count) * 3) * 0.1 + [0.0, 1e3, 1e6, -1e-3][turn]
        scored = rng.random(count) < (0.7 if turn % 2 else 1.0)
        x = torch.tensor(np.where(scored, numbers, np.nan), dtype=dtype, device=DEVICE)
        some = groups if scored.all() else groups.where(torch.tensor(scored, device=DEVICE))
        off_host.clear()
        with Operations() as operations:
            found = word(x, some, **settings)
        assert (off_host, found.dtype) == (["_centered"], dtype), name
        assert operations.names == ["empty_like"], name
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "ALLOWED", False)
            right = word(x.double(), some, **settings)
        most = max(right.abs().max().item(), 1e-30)
        np.testing.assert_allclose(found.cpu(), right.cpu(), rtol=0, atol=torch.finfo(dtype).eps * 8 * most)
        assert not found[~torch.tensor(scored)].any()


@IN_INTERPRETER
@pytest.mark.parametrize("estimator", [dr_grpo, rloo, grpo])
@pytest.mark.parametrize("layout", ["blocks", "interleaved"])
def test_estimators_of_groups_are_three_operations(off_host, estimator, layout):
    """What is finite, which takes two, and the groups' statistics; their tables are there from a call before."""
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=96).astype(np.float32)
    rewards[[5, 40, 41]] = np.nan, np.inf, -np.inf
    groups = Groups(np.arange(96) // 8 if layout == "blocks" else np.arange(96) % 12)
    x = torch.tensor(rewards, device=DEVICE)
    estimator(x, groups)
    off_host.clear()
    with Operations() as operations:
        found = estimator(x, groups)
    assert off_host == ["_centered"]
    assert operations.names == ["abs", "lt", "empty_like"]
    np.testing.assert_allclose(found.cpu(), estimator(rewards, groups), rtol=0, atol=3e-7)


@IN_INTERPRETER
def test_groups_of_equals_are_exactly_zero_and_too_large_is_the_largest(off_host):
    for value in (0.1, -1e6 / 3, 3e38):
        x = torch.full((40,), value, device=DEVICE)
        for word, settings in WORDS.values():
            assert not word(x, Groups.of_size(20, 40), **settings).any()
    huge = torch.tensor([3e38, -3e38], device=DEVICE)
    most = torch.finfo(torch.float32).max
    assert group_above_others(huge, Groups.of_size(2, 2)).tolist() == [most, -most]
    assert off_host


_COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from advantages.backends.kernels import triton_groups, triton_pairs, triton_tokens

POINTERS = {"mask": "*u1", "scored": "*u1", "spans": "*fp64"}
POINTERS |= dict.fromkeys(("order", "edges", "begins", "ends"), "*i64")
NUMBERS = {"keep": "fp64", "decay": "fp64", "scale": "fp32", "epsilon": "fp32"}

def build(kernel, floats, words, **constants):
    types = {name: POINTERS.get(name, floats) for name in words}
    signature = {
        name: "constexpr" if name in constants else types.get(name, NUMBERS.get(name, "i32"))
        for name in kernel.arg_names
    }
    for target in (GPUTarget("cuda", 90, 32), GPUTarget("hip", "gfx942", 64)):
        built = triton.compile(ASTSource(kernel, signature, constants), target=target, options={"num_warps": 8})
        assert built.asm.get("ptx" if target.backend == "cuda" else "amdgcn")

words = ("rewards", "values", "mask", "spans", "out")
real = {"LANES": 256, "STEPS": 8}
build(triton_tokens._advantages, "*fp32", words, spans=None, PIECES=1, **real)
build(triton_tokens._advantages, "*bf16", words, spans=None, values=None, PIECES=1, **real)
build(triton_tokens._advantages, "*fp32", words, PIECES=64, **real)
build(triton_tokens._spans, "*fp32", words, **real)
words = ("values", "scores", "order", "begins", "ends", "scored", "found")
real, none = {"ROWS": 64, "PARTNERS": 64}, dict.fromkeys(("order", "begins", "ends", "scored"))
build(triton_pairs._sigmoid_sums, "*fp64", words, MISRANKED=False, **real)
build(triton_pairs._sigmoid_sums, "*fp64", words, MISRANKED=True, **none, **real)
words = ("x", "order", "edges", "scored", "found")
none = dict.fromkeys(("order", "edges", "scored"))
build(triton_groups._centered, "*fp32", words, OTHERS=False, SCALED=True, GROUPS=1, MEMBERS=1024)
build(triton_groups._centered, "*fp64", words, OTHERS=True, SCALED=False, GROUPS=128, MEMBERS=8, **none)
"""


@pytest.mark.skipif(not INSTALLED, reason="triton is not installed: make test-triton")
def test_the_kernels_compile_for_gpus_that_are_not_here(tmp_path):
    """What the interpreter lets pass, the compiler may refuse."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", _COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_without_triton_everything_takes_the_plain_path(monkeypatch):
    """As on a GPU whose torch came without it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "triton" else find(name, *_))
    monkeypatch.setattr(torch_backend, "on_gpu", lambda *words: True)
    kernels._loaded.cache_clear()
    try:
        assert kernels.compiled("tokens", "triton") is None
        words = [x.cpu() for x in batch(9)]
        np.testing.assert_allclose(lambda_advantages(*words), plain(*words), rtol=0, atol=1e-6)
    finally:
        kernels._loaded.cache_clear()


def test_tensors_on_a_host_never_see_a_gpus_kernels():
    x = torch.ones(2, 3)
    assert not torch_backend.on_gpu(x)
    assert not torch_backend.on_gpu(x.to("meta"))
