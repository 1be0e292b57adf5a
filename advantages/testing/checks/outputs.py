"""What comes out, what it costs, and what is left as it was."""

import contextlib
import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...backends import library_of
from .. import process
from ..subject import Case, Draw, NotApplicable, Subject, fail, same, to_float64, to_library
from .base import check, check_rarely, take


@check
def returns_one_finite_advantage_each(subject: Subject, draw: Draw) -> None:
    """A missing, extra or broadcast axis trains every row on its neighbours."""
    case = subject.case(draw)
    result = subject.raw(case)
    if library_of(result) != subject.library:
        fail(f"returned a {type(result).__name__} for {subject.library} arrays", case)
    lead = subject.definition.lead
    expected = case["mask" if "mask" in case else lead].shape if subject.per_token else case[lead].shape[:1]
    if tuple(result.shape) != expected:
        fail(f"returned shape {tuple(result.shape)}, expected {expected}", case)
    if not np.isfinite(to_float64(result)).all():
        fail(f"returned {to_float64(result)}, which is not finite", case)


@check
def keeps_the_dtype(subject: Subject, draw: Draw) -> None:
    """Advantages in another precision than the rewards change the loss's dtype, or its speed, without a word."""
    case = subject.case(draw)
    for dtype in ("float64", "float32", "float16"):
        expected = to_library(case[subject.definition.lead], subject.library, dtype).dtype  # JAX may have no float64
        found = subject.raw(case, dtype=dtype).dtype
        if found != expected:
            fail(f"returned {found} for {expected} inputs", case)


@check
def computes_half_precision_in_full(subject: Subject, draw: Draw) -> None:
    """Statistics in 16 bits are wrong, not just noisy: a returns scan stagnates, a variance cancels."""
    case = subject.case(draw)
    lead = subject.definition.lead
    case[lead] = case[lead] + draw(st.sampled_from([0.0, 16.0]))  # still exact in 16 bits; its square is not
    exact = subject(
        {name: to_library(to_library(x, "numpy", "float16"), "numpy", "float64") for name, x in case.items()}
    )
    found = to_float64(subject.raw(case, dtype="float16"))
    same(found, exact, "float16 inputs lose more than float16 outputs must", case, tolerance=2e-3)


_INTEGERS = ("int64", "int32", "int16", "int8", "uint8")


@check
def takes_integer_and_boolean_rewards(subject: Subject, draw: Draw) -> None:
    """Verifiers return 0, 1, True and False, and scores in a byte: a difference that leaves it wraps around."""
    case = subject.case(draw)
    lead = subject.definition.lead
    taken = []
    for dtype in (*_INTEGERS, "bool"):
        whole = np.round(case[lead]) if dtype != "bool" else case[lead] > 0
        if dtype != "bool" and draw(st.booleans()):  # to the ends of what the dtype, or 16 bits, can hold
            ends = np.iinfo(dtype if dtype != "int64" and dtype != "int32" else "int16")
            whole = np.where(whole == 0, whole, np.where(whole > 0, ends.max, ends.min))
        whole = whole.astype(dtype)
        integers, floats = {**case, lead: whole}, {**case, lead: whole.astype(np.float64)}
        try:
            found = subject(integers)
        except AssertionError:
            if subject.decorated:
                raise
            continue  # a plain function that says that it takes no integers is believed
        taken.append(dtype)
        same(found, subject(floats), f"{dtype} rewards change the advantages", integers, tolerance=1e-5)
    if not taken:
        raise NotApplicable("refuses integer and boolean rewards")


@check
def takes_an_empty_batch(subject: Subject, draw: Draw) -> None:
    """A rank without a row, after filtering, must not bring a run down."""
    case = take(subject.case(draw, n=1), slice(0, 0))
    if subject(case).shape[0] != 0:
        fail("returned advantages for no rows", case)


# Cost


@check_rarely(0)
def needs_memory_in_proportion_to_the_batch(subject: Subject, draw: Draw) -> None:
    """A table of all pairs of rows, or of tokens, fits a test and not a run: at 100,000 rows it takes 80 GB."""
    peak = {"numpy": _peak_of_numpy, "torch": _peak_of_torch}.get(subject.library)
    if peak is None:
        raise NotApplicable(f"memory is not measured on {subject.library}")
    subject(subject.large_case(draw, n=4))  # imports, caches
    tokens = "T" in {dim for word in subject.words() for dim in subject.shape(word)}
    for what in ("rows", "tokens") if tokens else ("rows",):
        cases = []
        for size in (256, 512, 1024):
            case = subject.large_case(draw, **({"n": size} if what == "rows" else {"n": 2, "t": size}))
            if "groups" in case:
                case["groups"] = np.arange(len(case["groups"])) // 4
            cases.append({name: to_library(x, subject.library) for name, x in case.items()})
        peaks = [peak(subject.function, case) for case in cases]
        if _grows_faster(peaks):  # or has a larger batch loaded what a smaller one did not need?
            peaks = [peak(subject.function, case) for case in cases]
        if _grows_faster(peaks):
            fail(f"{size} {what} need {peaks[-1]:,} bytes, half as many {peaks[-2]:,}, a quarter {peaks[-3]:,}")


def _grows_faster(peaks: list[int]) -> bool:
    first, second = np.diff(peaks)
    return bool(second > 2**18 and second > 3 * first)  # in proportion it is twice as much, for all pairs four times


def _peak_of_numpy(function: Callable[..., Any], case: Case) -> int:
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        function(**case)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()


def _peak_of_torch(function: Callable[..., Any], case: Case) -> int:
    """The largest tensor that any operation makes; torch's memory is hidden from Python's books."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    sizes = [0]

    class Sizes(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = operation(*args, **(kwargs or {}))
            some = made if isinstance(made, (tuple, list)) else (made,)
            sizes.extend(x.untyped_storage().nbytes() for x in some if isinstance(x, torch.Tensor))
            return made

    with Sizes():  # type: ignore[no-untyped-call]
        function(**case)
    return max(sizes)


# Purity


@check
def leaves_its_inputs_alone(subject: Subject, draw: Draw) -> None:
    """A penalty that is subtracted in place is subtracted twice in the second epoch."""
    case = subject.case(draw, "valid")
    typed = {name: to_library(x, subject.library) for name, x in case.items()}
    before = {name: to_float64(x).copy() for name, x in typed.items() if _numbers(x)}
    for x in typed.values():
        if isinstance(x, np.ndarray):
            x.flags.writeable = False
    try:
        result = subject.function(**typed)
    except ValueError as error:
        if "read-only" in str(error):
            fail(f"writes to an input ({error})", case)
        raise
    for name, x in before.items():
        if not np.array_equal(x, to_float64(typed[name]), equal_nan=True):
            fail(f"changed {name} from {x} to {to_float64(typed[name])}", case)
    if any(result is x for x in typed.values()):
        fail("returned one of its inputs, so that writing to the result changes it", case)


def _numbers(x: Any) -> bool:
    return library_of(x) is not None and not (isinstance(x, np.ndarray) and x.dtype.kind not in "fiub")


@check
def repeats_itself(subject: Subject, draw: Draw) -> None:
    """State that leaks from one batch to the next makes a run irreproducible, and its resumption another run."""
    case, other = subject.case(draw), subject.case(draw)
    first = subject(case)
    subject(other)
    same(subject(case), first, "the same batch gave other advantages after a different one", case, tolerance=0.0)


@check_rarely(0.1)
def leaves_the_process_alone(subject: Subject, draw: Draw) -> None:
    """A seed set inside repeats the sampler's draws; a default changed inside changes other people's code."""
    case = subject.case(draw)
    for unusual in (False, True):
        with process.restored(), contextlib.redirect_stdout(io.StringIO()) as printed:
            process.unsettle(unusual)
            before = process.state()
            subject(case)
            after = process.state()
        changed = [name for name in before if before[name] != after.get(name)]
        if changed:
            fail(f"changed {', '.join(changed)}", case)
        if printed.getvalue():
            fail(f"printed {printed.getvalue()!r}", case)
