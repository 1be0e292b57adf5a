"""What comes out, and what is left as it was."""

import numpy as np
from hypothesis import strategies as st

from ...backends import library_of
from ..subject import Draw, Subject, fail, same, to_float64, to_library
from .base import check, row_words, take


@check
def returns_one_finite_advantage_each(subject: Subject, draw: Draw) -> None:
    """A missing, extra or broadcast axis trains every row on its neighbours."""
    case = subject.case(draw)
    result = subject.raw(case)
    if library_of(result) != subject.library:
        fail(f"returned a {type(result).__name__} for {subject.library} arrays", case)
    expected = case["mask"].shape if "mask" in case else case[subject.definition.lead].shape[:1]
    if tuple(result.shape) != expected:
        fail(f"returned shape {tuple(result.shape)}, expected {expected}", case)
    if not np.isfinite(to_float64(result)).all():
        fail(f"returned {to_float64(result)}, which is not finite", case)


@check
def keeps_the_dtype(subject: Subject, draw: Draw) -> None:
    """Advantages in another precision than the rewards change the loss's dtype, or its speed, without a word."""
    case = subject.case(draw)
    for dtype in ("float64", "float32", "float16"):
        typed = {name: to_library(x, subject.library, dtype) for name, x in case.items()}
        found = str(subject.function(**typed).dtype).removeprefix("torch.")
        if found != dtype:
            fail(f"returned {found} for {dtype} inputs", case)


@check
def computes_half_precision_in_full(subject: Subject, draw: Draw) -> None:
    """Statistics in 16 bits are wrong, not just noisy: a returns scan stagnates, a variance cancels."""
    case = subject.case(draw)
    lead = subject.definition.lead
    case[lead] = case[lead] + draw(st.sampled_from([0.0, 16.0]))  # still exact in 16 bits; its square is not
    half = {name: to_library(x, subject.library, "float16") for name, x in case.items()}
    exact = subject({name: to_library(x, "numpy", "float16").astype(x.dtype) for name, x in case.items()})
    same(
        to_float64(subject.function(**half)),
        exact,
        "float16 inputs lose more than float16 outputs must",
        case,
        tolerance=2e-3,
    )


@check
def takes_integer_and_boolean_rewards(subject: Subject, draw: Draw) -> None:
    """Verifiers return 0, 1, True and False; a framework that casts advantages back to integers trains on zeros."""
    case = subject.case(draw)
    lead = subject.definition.lead
    case[lead] = np.round(case[lead])
    whole = {**case, lead: case[lead].astype(np.int64)}
    flags = {**case, lead: case[lead] > 0}
    same(subject(whole), subject(case), "integer rewards change the advantages", case, tolerance=1e-5)
    expected = subject({**case, lead: flags[lead].astype(np.float64)})
    same(subject(flags), expected, "boolean rewards change the advantages", flags, tolerance=1e-5)


@check
def takes_an_empty_batch(subject: Subject, draw: Draw) -> None:
    """A rank without a row, after filtering, must not bring a run down."""
    case = take(subject.case(draw, n=1), slice(0, 0))
    if subject(case).shape[0] != 0:
        fail("returned advantages for no rows", case)


@check
def leaves_its_inputs_alone(subject: Subject, draw: Draw) -> None:
    """A penalty that is subtracted in place is subtracted twice in the second epoch."""
    case = subject.case(draw, *row_words(subject, "valid"))
    typed = {name: to_library(x, subject.library) for name, x in case.items()}
    before = {name: to_float64(x).copy() for name, x in typed.items() if library_of(x)}
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


@check
def repeats_itself(subject: Subject, draw: Draw) -> None:
    """State that leaks from one batch to the next makes a run irreproducible, and its resumption another run."""
    case, other = subject.case(draw), subject.case(draw)
    first = subject(case)
    subject(other)
    same(subject(case), first, "the same batch gave other advantages after a different one", case, tolerance=0.0)
