"""The same numbers on every rank and in every library."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...backends import library_of
from ..subject import Case, Draw, NotApplicable, Subject, fail, same, to_float64, to_library
from .base import check, check_on_libraries, slots, take


@check
def merges_shards_exactly(subject: Subject, draw: Draw) -> None:
    """Statistics that span the batch are those of the unsharded batch, whichever rank holds which rows."""
    subject.needs("across")
    if subject.library != "numpy":
        raise NotApplicable("shards are stacked on numpy")
    case = subject.case(draw, n=12)
    names = slots(case) if "groups" in case else np.arange(12)
    on_first = np.isin(names, names[: draw(st.sampled_from([0, 1, 6]))])
    shards = [take(case, on_first), take(case, ~on_first)]
    expected = subject(case)
    ranks = _on_ranks(subject, shards)
    for found, rows in zip(ranks, (on_first, ~on_first), strict=True):
        same(found, expected[rows], "two shards differ from the whole batch", case)


def _on_ranks(subject: Subject, shards: list[Case]) -> list[Any]:
    """What each rank finds, where the k-th call of `across` waits for the k-th call on every rank."""
    told: list[list[Any]] = [[] for _ in shards]
    ended: set[int] = set()
    news = threading.Condition()

    def on(rank: int) -> Any:
        def across(x: Any) -> Any:
            with news:
                told[rank].append(x)
                turn = len(told[rank])
                news.notify_all()
                news.wait_for(lambda: all(len(of) >= turn or other in ended for other, of in enumerate(told)))
                if any(len(of) < turn for of in told):
                    fail("a rank made fewer collective calls than another, where one without rows must join in too")
                return np.stack([of[turn - 1] for of in told])

        try:
            return subject({**shards[rank], "across": across})
        finally:
            with news:
                ended.add(rank)
                news.notify_all()

    with ThreadPoolExecutor(len(shards)) as pool:
        return [found.result() for found in [pool.submit(on, rank) for rank in range(len(shards))]]


def _lean_case(subject: Subject, draw: Draw, library: str, *, n: int | None = None, defaults: bool = True) -> Case:
    """Inputs of few shapes, since each new one is compiled anew; ids that every library has."""
    # Of two rows, standardised components are +-0.7 and cancel, two of them wholly: single precision decides the rest.
    several = "K" in subject.shape(subject.definition.lead)
    n = n or (5 if several or library == "jax" else draw(st.sampled_from([2, 5])))
    return subject.case(draw, "valid", n=n, t=3, k=3, kinds=("integers",), defaults=defaults)


@check_on_libraries("torch", "jax")
def agrees_with_numpy(subject: Subject, draw: Draw, library: str) -> None:
    """The same name is the same number in every library."""
    if subject.library != "numpy" or "numpy" not in subject.libraries:
        raise NotApplicable("not run on numpy")
    case = _lean_case(subject, draw, library, defaults=False)
    result = subject.raw(case, library, "float32")
    if library_of(result) != library:
        fail(f"returned a {type(result).__name__} for {library} arrays", case)
    same(to_float64(result), subject(case), f"{library} differs from numpy", case, tolerance=2e-4)


@check_on_libraries("torch", "jax", examples=0.1)
def keeps_low_precision_dtypes(subject: Subject, draw: Draw, library: str) -> None:
    """bfloat16 in, bfloat16 out; computed in single precision between."""
    case = _lean_case(subject, draw, library)
    for dtype in ("bfloat16", "float16", "float32"):
        typed = {name: to_library(x, library, dtype) for name, x in case.items()}
        result = subject.function(**typed)
        if str(result.dtype).removeprefix("torch.") != dtype:
            fail(f"returned {result.dtype} for {dtype} inputs", case)
        exact = {
            name: to_library(to_float64(x).astype(case[name].dtype), library, "float32")
            for name, x in typed.items()
            if library_of(x)
        }
        expected = to_float64(subject.function(**{**typed, **exact}))
        same(to_float64(result), expected, f"{dtype} inputs lose more than {dtype} outputs must", case, tolerance=1e-2)


@check_on_libraries("torch", examples=0.1)
def runs_without_values(subject: Subject, draw: Draw, library: str) -> None:
    """On torch's meta device nothing can be read: a hidden host synchronisation fails here."""
    case = _lean_case(subject, draw, library)
    typed = {
        name: x.to("meta") if library_of(x) else x
        for name, x in ((n, to_library(x, library, "float32")) for n, x in case.items())
    }
    result = subject.function(**typed)
    if result.device.type != "meta" or tuple(result.shape) != subject(case).shape:
        fail(f"returned shape {tuple(result.shape)} on {result.device}", case)


@check_on_libraries("torch", "jax", examples=0.1)
def stops_gradients(subject: Subject, draw: Draw, library: str) -> None:
    """An advantage is a constant of the loss; a gradient through it trains something else."""
    case = _lean_case(subject, draw, library)
    lead = subject.definition.lead
    typed = {name: to_library(x, library, "float32") for name, x in case.items()}
    if library == "torch":
        typed[lead].requires_grad_(True)
        if subject.function(**typed).requires_grad:
            fail("the advantages carry a gradient", case)
        return
    import jax

    slope = jax.grad(lambda x: subject.function(**{**typed, lead: x}).sum())(typed[lead])
    if to_float64(slope).any():
        fail("the advantages carry a gradient", case)


@check_on_libraries("torch", "jax", examples=0)
def compiles(subject: Subject, draw: Draw, library: str) -> None:
    """`jax.jit`, or `torch.compile(fullgraph=True)`: one graph, no value read on the way, the same numbers."""
    case = subject.large_case(draw, "valid", n=5, t=3)
    typed = {name: to_library(x, library, "float32") for name, x in case.items()}
    expected = to_float64(subject.function(**typed))
    compiled: Any
    if library == "jax":
        import jax

        compiled = jax.jit(subject.function)
        shape = jax.eval_shape(compiled, **typed)
        if shape.shape != expected.shape:
            fail(f"jax.eval_shape says {shape.shape}", case)
    else:
        import torch

        torch._dynamo.reset()
        compiled = torch.compile(subject.function, fullgraph=True, backend="eager")
    same(to_float64(compiled(**typed)), expected, "compiled, it differs", case, tolerance=2e-4)


@check_on_libraries("torch", "jax", examples=0.04)
def vectorises(subject: Subject, draw: Draw, library: str) -> None:
    """`jax.vmap`, or `torch.func.vmap`: many batches at once."""
    cases = [_lean_case(subject, draw, library, n=5) for _ in range(2)]
    typed = [{name: to_library(x, library, "float32") for name, x in case.items()} for case in cases]
    expected = np.stack([to_float64(subject.function(**some)) for some in typed])
    both: dict[str, Any]
    if library == "jax":
        import jax
        import jax.numpy as jnp

        both = {name: jnp.stack([some[name] for some in typed]) for name in typed[0]}
        result = jax.vmap(lambda some: subject.function(**some))(both)
    else:
        import torch

        both = {name: torch.stack([some[name] for some in typed]) for name in typed[0]}
        result = torch.func.vmap(lambda some: subject.function(**some))(both)
    same(to_float64(result), expected, "vectorised, it differs", *cases, tolerance=2e-4)
