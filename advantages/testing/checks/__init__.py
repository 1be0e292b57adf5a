"""The properties, each a plain function whose name is the sentence that it checks.

A check gets the estimator under test and `draw`, which draws from a hypothesis strategy. It raises `AssertionError`
with a sentence and the offending inputs, or `NotApplicable` with the reason.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ...backends import library_of
from .. import strategies
from ..subject import Case, Draw, NotApplicable, Subject, fail, same, to_float64, to_library

__all__ = ["CHECKS", "Check"]


class Check(NamedTuple):
    """A property of estimators, and how to check it."""

    run: Callable[[Subject, Draw], None]
    library: str | None = None
    """The library that it is about; None: whatever the properties are checked on."""
    examples: float = 1.0
    """How many examples it draws, as a share of what was asked for."""

    @property
    def name(self) -> str:
        """The property as an identifier, for exceptions: "keeps_groups_apart", "agrees_with_numpy_on_torch"."""
        return self.run.__name__ + (f"_on_{self.library}" if self.library else "")

    @property
    def sentence(self) -> str:
        """The property as a sentence: "keeps groups apart"."""
        return self.name.replace("_", " ")

    @property
    def why(self) -> str:
        """What goes wrong in training where the property fails."""
        return " ".join((self.run.__doc__ or "").split())


CHECKS: list[Check] = []

Run = Callable[[Subject, Draw], None]


def check(run: Run) -> Run:
    CHECKS.append(Check(run))
    return run


def check_on_libraries(*libraries: str, examples: float = 0.3) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(run: Callable[..., None]) -> Callable[..., None]:
        for library in libraries:

            def on_library(subject: Subject, draw: Draw, library: str = library) -> None:
                if library not in subject.libraries:
                    raise NotApplicable(f"not run on {library}")
                run(subject, draw, library)

            on_library.__name__, on_library.__doc__ = run.__name__, run.__doc__
            CHECKS.append(Check(on_library, library, examples))
        return run

    return decorate


def _row_words(subject: Subject, *words: str) -> list[str]:
    return [word for word in words if subject.takes(word)]


def _take(case: Case, rows: Any) -> Case:
    return {name: x[rows] for name, x in case.items()}


def _tokens(case: Case) -> list[str]:
    return [name for name, x in case.items() if isinstance(x, np.ndarray) and name in _TOKEN_WORDS]


_TOKEN_WORDS = ("mask", "token_rewards", "token_logprobs", "ref_token_logprobs", "teacher_token_logprobs", "values")


# What comes out


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
    case = _take(subject.case(draw, n=1), slice(0, 0))
    if subject(case).shape[0] != 0:
        fail("returned advantages for no rows", case)


# Purity


@check
def leaves_its_inputs_alone(subject: Subject, draw: Draw) -> None:
    """A penalty that is subtracted in place is subtracted twice in the second epoch."""
    case = subject.case(draw, *_row_words(subject, "valid"))
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


# Rows and groups


@check
def ignores_the_order_of_rows(subject: Subject, draw: Draw) -> None:
    """Rows arrive in the order in which they finish; grouping by position mixes prompts."""
    case = subject.case(draw, *_row_words(subject, "valid"))
    order = np.array(draw(st.permutations(range(len(case[subject.definition.lead])))), int)
    same(subject(_take(case, order)), subject(case)[order], f"rows in the order {order.tolist()} differ", case)


@check
def ignores_the_names_of_groups(subject: Subject, draw: Draw) -> None:
    """Ids are names: negative, huge and sparse ones must not index, merge or allocate."""
    subject.needs("groups")
    case = subject.case(draw)
    names: Any = (
        draw(strategies.group_ids()) if subject.decorated else draw(st.sampled_from([[3, 2, 1, 0], [-1, -5, 2**40, 0]]))
    )
    _, slots = np.unique(case["groups"], return_inverse=True)
    renamed = [names[slot] for slot in slots]
    other = {**case, "groups": renamed if subject.decorated else np.array(renamed, np.int64)}
    same(subject(other), subject(case), "the same groups under other names give other advantages", case, other)


@check
def keeps_groups_apart(subject: Subject, draw: Draw) -> None:
    """Rewards of one prompt must never reach another prompt's baseline."""
    subject.per_group()
    case, other = (subject.case(draw, n=12, t=3, k=2) for _ in range(2))
    mine = case["groups"] == case["groups"][0]
    changed = {
        name: x if name == "groups" else np.where(mine.reshape(-1, *[1] * (x.ndim - 1)), x, other[name])
        for name, x in case.items()
    }
    same(subject(changed)[mine], subject(case)[mine], "another group changed the first row's group", case, changed)


@check
def keeps_responses_apart(subject: Subject, draw: Draw) -> None:
    """Without groups, a response's advantages are its own."""
    if subject.takes("groups"):
        raise NotApplicable("compares the responses of a group")
    if subject.promises.spans_batch:
        raise NotApplicable("its statistics span the batch")
    case = subject.case(draw, n=3)
    same(subject(_take(case, slice(0, 1))), subject(case)[:1], "the first row's advantages need the other rows", case)


@check
def gives_equal_rewards_exactly_zero(subject: Subject, draw: Draw) -> None:
    """A rounded mean over a rounded deviation gives a whole group of equals a common, large advantage."""
    subject.needs("groups")
    case = subject.case(draw)
    groups = case["groups"]
    levels = {
        g: draw(st.sampled_from([0.7, 0.1, 10.1, 1.1, 1e-3, 1000.1, -0.3, 0.0])) for g in sorted(set(groups.tolist()))
    }
    flat = np.array([levels[g] for g in groups.tolist()])
    case["rewards"] = np.ones_like(case["rewards"]) * flat.reshape(-1, *[1] * (case["rewards"].ndim - 1))
    if subject.singleton == "raw":
        assume(np.unique(groups, return_counts=True)[1].min() > 1)
    for dtype in ("float64", "float32", "float16"):
        typed = {name: to_library(x, subject.library, dtype) for name, x in case.items()}
        found = to_float64(subject.function(**typed))
        if found.any() or not np.isfinite(found).all():
            fail(f"groups of equal {dtype} rewards got {found}", case)


@check
def gives_lone_responses_what_it_says(subject: Subject, draw: Draw) -> None:
    """A response that is alone in its group gets 0 (or its raw reward, where that was asked for), never NaN."""
    subject.per_group()
    case = subject.case(draw, n=5)
    case["groups"] = np.arange(5)
    expected = np.zeros(5) if subject.singleton == "zero" else case["rewards"]
    same(subject(case), expected, "lone responses", case)
    if subject.decorated and "singleton" in subject.definition.settings:
        same(subject({**case, "singleton": "raw"}), case["rewards"], 'lone responses with singleton="raw"', case)


@check
def takes_a_group_size_for_blocks(subject: Subject, draw: Draw) -> None:
    """`group_size` is a shorthand for ids, not another estimator."""
    subject.needs("groups", "group_size")
    case = subject.case(draw, n=12)
    size = draw(st.sampled_from([1, 2, 3, 4, 6, 12]))
    case["groups"] = np.repeat(np.arange(12 // size), size)
    short = {name: x for name, x in case.items() if name != "groups"}
    same(subject({**short, "group_size": size}), subject(case), f"group_size={size} differs from ids", case)


@check
def leaves_out_unscored_rows(subject: Subject, draw: Draw) -> None:
    """A failed judge returns NaN; that row gets 0, and its siblings what they would get without it."""
    case = subject.case(draw)
    lead = subject.definition.lead
    n = len(case[lead])
    failed = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    bad = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    broken = {**case, lead: case[lead].copy()}
    if lead == "rewards":
        broken[lead][failed] = bad
    else:
        failed &= case["mask"].any(1)
        for row in np.flatnonzero(failed):
            broken[lead][row, np.flatnonzero(case["mask"][row])[0]] = bad
    found = subject(broken)
    same(found[failed], 0.0, f"rows with reward {bad} must get 0", broken)
    if (~failed).any():
        same(found[~failed], subject(_take(case, ~failed)), f"rows with reward {bad} changed their siblings", broken)


@check
def leaves_out_invalid_rows(subject: Subject, draw: Draw) -> None:
    """Padding rows and rejected rows enter no statistic, whatever they hold."""
    subject.needs("valid")
    case = subject.case(draw, "valid")
    valid = case["valid"]
    garbage = draw(st.sampled_from([np.nan, np.inf, 1e9]))
    dirty = {
        name: np.where(valid.reshape(-1, *[1] * (x.ndim - 1)), x, garbage) if x.dtype.kind == "f" else x
        for name, x in case.items()
    }
    found = subject(dirty)
    same(found[~valid], 0.0, "invalid rows must get 0", dirty)
    if valid.any():
        kept = _take({name: x for name, x in case.items() if name != "valid"}, valid)
        same(found[valid], subject(kept), "invalid rows changed the others", dirty)


@check
def counts_a_trajectory_once(subject: Subject, draw: Draw) -> None:
    """A rollout that became several rows is one sample: else long rollouts shift every baseline."""
    subject.needs("trajectories")
    if subject.definition.per_token and not subject.takes("groups"):
        raise NotApplicable("a trajectory is one long response: see joins_the_rows_of_a_trajectory")
    whole = subject.case(draw, n=5)
    pieces = np.array(draw(st.lists(st.integers(1, 3), min_size=5, max_size=5)))
    rows = np.repeat(np.arange(5), pieces)
    last = np.cumsum(pieces) - 1
    split = _take(whole, rows)
    for name in ("logprobs", "lengths"):  # a rollout's is the sum over its pieces
        if name in split:
            split[name] = np.zeros_like(split[name])
            split[name][last] = whole[name]
    lead = split["rewards"]
    lead[np.setdiff1d(np.arange(len(rows)), last)] = draw(st.sampled_from([0.0, 5.0, np.nan]))
    split["trajectories"] = np.array([f"rollout {row}" for row in rows])
    if "mask" in split:
        earlier = np.setdiff1d(np.arange(len(rows)), last)
        split["mask"][earlier] = False
        same(subject(split)[last], subject(whole), "a rollout in pieces differs from the rollout", whole, split)
        return
    same(subject(split), subject(whole)[rows], "a rollout in pieces differs from the rollout", whole, split)


@check
def joins_the_rows_of_a_trajectory(subject: Subject, draw: Draw) -> None:
    """Rewards flow back from a rollout's later rows to its earlier ones, as if it had never been cut."""
    subject.needs("trajectories", "mask")
    whole = subject.case(draw, n=3, t=5)
    cut = draw(st.integers(1, 4))
    order = draw(st.permutations(range(6)))
    rows = sorted(range(6), key=lambda row: (order[row // 2 * 2], row))  # rollouts shuffled, pieces in order
    split: Case = {"trajectories": np.array([f"rollout {row // 2}" for row in rows])}
    for name, x in whole.items():
        if name in _TOKEN_WORDS:
            first, second = np.zeros_like(x), np.zeros_like(x)
            first[:, :cut], second[:, : 5 - cut] = x[:, :cut], x[:, cut:]
            split[name] = np.stack([first, second], 1).reshape(6, 5)[rows]
        else:
            split[name] = np.repeat(x, 2, 0)[rows]
    found = np.empty((6, 5))
    found[rows] = subject(split)
    joined = np.concatenate([found[0::2, :cut], found[1::2, : 5 - cut]], 1)
    same(joined, subject(whole), "a rollout cut in two differs from the rollout", whole, split)


@check
def refuses_rows_that_do_not_match(subject: Subject, draw: Draw) -> None:
    """A batch whose arrays disagree about the number of rows is a bug upstream; broadcasting hides it."""
    case = subject.case(draw, n=3)
    longer = subject.case(draw, n=5)
    for name in list(case)[1:]:
        mixed = {**case, name: longer[name]}
        if "mask" in mixed and len({mixed[token].shape[1] for token in _tokens(mixed)}) > 1:
            continue
        _must_raise(subject, mixed, f"{name} has 5 rows where others have 3, and nothing was said")
        if name in _TOKEN_WORDS and len(_tokens(case)) > 1:
            short = {**case, name: case[name][:, :1].repeat(case[name].shape[1] + 1, 1)}
            _must_raise(subject, short, f"{name} has one token more than the others, and nothing was said")


@check
def refuses_settings_it_does_not_know(subject: Subject, draw: Draw) -> None:
    """A misspelt setting that is swallowed trains for a week with the default."""
    _must_raise(subject, {**subject.case(draw), "temprature": 1.0}, "swallowed the unknown setting temprature=1.0")


def _must_raise(subject: Subject, case: Case, sentence: str) -> None:
    try:
        subject.raw(case)
    except Exception:
        return
    fail(sentence, case)


# Tokens and time


@check
def gives_masked_tokens_zero(subject: Subject, draw: Draw) -> None:
    """An advantage on an observation or padding token trains on what the policy did not write."""
    subject.needs("mask")
    case = subject.case(draw)
    same(np.where(case["mask"], 0.0, subject(case)), 0.0, "masked tokens got an advantage", case, tolerance=0.0)


@check
def never_reads_masked_entries(subject: Subject, draw: Draw) -> None:
    """Critics and engines leave garbage under the mask; NaN times 0 is NaN."""
    subject.needs("mask")
    case = subject.case(draw)
    garbage = draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e6]))
    dirty = dict(case)
    for name in _tokens(case):
        if name != "mask" and not (name == "token_rewards" and np.isfinite(garbage)):
            dirty[name] = np.where(case["mask"], case[name], garbage)
    if "token_rewards" in case:  # a finite reward on a masked token counts, see counts_rewards_on_masked_tokens
        case = {**case, "token_rewards": np.where(case["mask"], case["token_rewards"], 0.0)}
        if np.isfinite(garbage):
            dirty["token_rewards"] = case["token_rewards"]
    same(subject(dirty), subject(case), f"{garbage} under the mask changed the advantages", dirty)


@check
def ignores_padding(subject: Subject, draw: Draw) -> None:
    """The batch's width depends on its longest response; nothing else may."""
    subject.needs("mask")
    case = subject.case(draw)
    left, right = draw(st.sampled_from([(0, 1), (2, 0), (1, 3)]))
    wide = {name: np.pad(x, ((0, 0), (left, right))) if name in _TOKEN_WORDS else x for name, x in case.items()}
    found = subject(wide)[:, left : left + case["mask"].shape[1]]
    same(found, subject(case), f"{left} columns of padding before and {right} after changed the advantages", case)


@check
def steps_over_observation_tokens(subject: Subject, draw: Draw) -> None:
    """Tool output is no decision: it costs no discount, and a critic's value there is not read."""
    subject.needs("mask")
    case = subject.case(draw)
    t = case["mask"].shape[1]
    place = draw(st.integers(0, t))
    wide = {
        name: np.insert(x, [place, place], 0 if name in ("mask", "token_rewards") else 50.0, axis=1)
        if name in _TOKEN_WORDS
        else x
        for name, x in case.items()
    }
    found = np.delete(subject(wide), [place, place + 1], axis=1)
    same(found, subject(case), f"two observation tokens before token {place} changed the advantages", case)


@check
def counts_rewards_on_masked_tokens(subject: Subject, draw: Draw) -> None:
    """An outcome that lies on an observation, or behind the last trained token, belongs to the token before it."""
    subject.needs("mask", "token_rewards")
    case = subject.case(draw, t=5)
    case["token_rewards"] = np.where(case["mask"], case["token_rewards"], 0.0)
    moved = {**case, "token_rewards": case["token_rewards"].copy()}
    for row, on in enumerate(case["mask"]):
        places = np.flatnonzero(on)
        after = np.flatnonzero(~on & (np.arange(5) > (places[0] if len(places) else 5)))
        if len(after):
            before = places[places < after[0]][-1]
            moved["token_rewards"][row, after[0]] += moved["token_rewards"][row, before]
            moved["token_rewards"][row, before] = 0.0
    same(subject(moved), subject(case), "a reward on a masked token was lost or misplaced", moved)


@check
def gives_rows_without_a_trained_token_zero(subject: Subject, draw: Draw) -> None:
    """An aborted response has nothing to train on; it must not make the batch's statistics NaN."""
    subject.needs("mask")
    case = subject.case(draw)
    empty = {**case, "mask": np.zeros_like(case["mask"])}
    same(subject(empty), 0.0, "a batch without a trained token", empty, tolerance=0.0)
    if "token_rewards" in case:
        some = {**case, "mask": case["mask"].copy()}
        some["mask"][0] = False
        if len(some["mask"]) > 1:
            same(subject(some)[1:], subject(_take(some, slice(1, None))), "a row without a trained token counted", some)


# What is promised


def _promised(subject: Subject, promise: str) -> Any:
    value = getattr(subject.promises, promise)
    if value is None or value is False:
        raise NotApplicable(f"does not promise {promise}")
    return value


def _by_group(case: Case) -> list[Any]:
    return [np.flatnonzero(case["groups"] == g) for g in np.unique(case["groups"])]


def _in_eighths(case: Case, name: str) -> Case:
    """Numbers that stay exact in single precision when a constant is added to them."""
    return {**case, name: np.round(case[name] * 8) / 8}


@check
def sums_to_zero_in_a_group(subject: Subject, draw: Draw) -> None:
    """What some responses gain, their siblings lose: no push on the whole group."""
    _promised(subject, "zero_sum")
    case = subject.case(draw)
    result = subject(case)
    for rows in _by_group(case):
        if len(rows) > 1:
            same(result[rows].sum(), 0.0, "a group's advantages do not sum to zero", case, tolerance=1e-5)


@check
def ignores_a_shift_of_rewards(subject: Subject, draw: Draw) -> None:
    """A constant added to a prompt's rewards is no information; in single precision it exposes a cancelled variance."""
    _promised(subject, "shift_invariant")
    case = _in_eighths(subject.case(draw), "rewards")
    shift = draw(st.sampled_from([1.0, -3.0, 1024.0]))
    shifted = {**case, "rewards": case["rewards"] + shift}
    for dtype, tolerance in (("float64", 1e-6), ("float32", 1e-4)):
        found, expected = (
            to_float64(subject.function(**{name: to_library(x, subject.library, dtype) for name, x in some.items()}))
            for some in (shifted, case)
        )
        same(found, expected, f"{shift:+g} on every {dtype} reward changed the advantages", case, tolerance=tolerance)


@check
def scales_with_the_rewards(subject: Subject, draw: Draw) -> None:
    """Rewards in other units change advantages in proportion, or not at all, as the estimator declares."""
    scale = _promised(subject, "scale")
    lead = subject.definition.lead
    case = _in_eighths(subject.case(draw), lead)
    factor = draw(st.sampled_from([0.5, 2.0, 16.0]))
    found = subject({**case, lead: case[lead] * factor})
    expected = subject(case) * (factor if scale == "equivariant" else 1.0)
    # An epsilon beside the deviation makes invariance approximate: eighths deviate by at least 1/32 here.
    tolerance = 1e-6 if scale == "equivariant" else 2e-4
    same(found, expected, f"rewards times {factor} must leave the advantages scale-{scale}", case, tolerance=tolerance)


@check
def never_ranks_a_better_response_lower(subject: Subject, draw: Draw) -> None:
    """Within a group, a higher reward has no lower advantage."""
    _promised(subject, "monotone")
    case = subject.case(draw)
    result = subject(case)
    for rows in _by_group(case) if "groups" in case else [np.arange(len(result))]:
        order = rows[np.argsort(case["rewards"][rows], kind="stable")]
        if (np.diff(result[order]) < -1e-6).any():
            fail(f"advantages {result[order]} fall while rewards {case['rewards'][order]} rise", case)


@check
def keeps_its_bound(subject: Subject, draw: Draw) -> None:
    """One step with an advantage of a million ends a run."""
    if subject.promises.bound is None and subject.promises.gap_bound is None:
        raise NotApplicable("does not promise a bound")
    case = subject.case(draw)
    if draw(st.booleans()):  # near-equal rewards, where a rounded deviation explodes
        case["rewards"] = 1.0 + case["rewards"] * 1e-9
    result = subject(case)
    for rows in _by_group(case):
        gap = float(np.ptp(case["rewards"][rows]))
        for promised, unit in ((subject.promises.bound, 1.0), (subject.promises.gap_bound, gap)):
            if promised is not None and len(rows) > 1:
                most = promised(len(rows)) * unit
                if np.abs(result[rows]).max() > most * (1 + 1e-6) + 1e-12:
                    fail(f"advantages {result[rows]} exceed {most} in a group of {len(rows)}", case)


@check
def points_along_the_true_gradient(subject: Subject, draw: Draw) -> None:
    """Unbiased up to a stated factor: the update's mean over all possible groups, by enumeration on small bandits."""
    factor = _promised(subject, "unbiased")
    arms, n = 3, draw(st.sampled_from([2, 3]))
    logits = np.array(draw(st.lists(st.integers(-2, 2), min_size=arms, max_size=arms)), float)
    worth = np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 0.5, -2.0]), min_size=arms, max_size=arms)))
    policy = np.exp(logits) / np.exp(logits).sum()
    drawn = np.array(list(itertools.product(range(arms), repeat=n)))
    case = {
        "rewards": worth[drawn].reshape(-1),
        "groups": np.repeat(np.arange(len(drawn)), n),
        "logprobs": np.log(policy)[drawn].reshape(-1),
    }
    case = {name: x for name, x in case.items() if name in subject.definition.needed}
    advantages = subject(case).reshape(-1, n)
    score = np.eye(arms)[drawn] - policy  # grad log pi of each sample
    update = (policy[drawn].prod(1)[:, None] * (advantages[:, :, None] * score).mean(1)).sum(0)
    truth = policy * (worth - policy @ worth)
    same(
        update,
        factor(n) * truth,
        f"the mean update over groups of {n} is not {factor(n):.3g} times the gradient\n"
        f"policy    {policy}\nrewards   {worth}",
        tolerance=1e-7,
    )


@check
def agrees_with_its_spec(subject: Subject, draw: Draw) -> None:
    """The formula of the paper, in plain numpy loops, is what the name stands for."""
    if subject.spec is None:
        raise NotApplicable("has no spec")
    optional = [word for word in subject.definition.inputs if draw(st.booleans()) or word == "lengths"]
    case = subject.case(draw, *optional)
    lead = subject.definition.lead
    if draw(st.booleans()):
        case[lead] = np.where(np.arange(case[lead].size).reshape(case[lead].shape) % 5 == 4, np.nan, case[lead])
    call = {**case, **draw(strategies.settings(subject.definition))}
    if "singleton" in subject.definition.settings:
        call["singleton"] = draw(st.sampled_from(["zero", "raw"]))
    same(subject(call), subject.spec(**call), "differs from its spec", call, tolerance=1e-5)


@check
def merges_shards_exactly(subject: Subject, draw: Draw) -> None:
    """Statistics that span the batch are those of the unsharded batch, whichever rank holds which rows."""
    subject.needs("across")
    if subject.library != "numpy":
        raise NotApplicable("shards are stacked on numpy")
    case = subject.case(draw, n=12)
    names = case["groups"] if "groups" in case else np.arange(12)
    on_first = np.isin(names, names[: draw(st.sampled_from([0, 1, 6]))])
    shards = [_take(case, on_first), _take(case, ~on_first)]
    statistics: list[Any] = []

    def collect(x: Any) -> Any:
        statistics.append(x)
        return x[None]

    for shard in shards:
        subject({**shard, "across": collect})
    if len(statistics) != len(shards):
        fail(f"made {len(statistics)} collective calls on 2 ranks, where a rank without rows must join in too", case)
    expected = subject(case)
    for shard, rows in zip(shards, (on_first, ~on_first), strict=True):
        found = subject({**shard, "across": lambda _: np.stack(statistics)})
        same(found, expected[rows], "two shards differ from the whole batch", case)


# Libraries


def _lean_case(subject: Subject, draw: Draw) -> Case:
    """Inputs of few shapes, since each new one is compiled anew."""
    return subject.case(draw, *_row_words(subject, "valid"), n=draw(st.sampled_from([2, 5])), t=3, k=2)


@check_on_libraries("torch", "jax")
def agrees_with_numpy(subject: Subject, draw: Draw, library: str) -> None:
    """The same name is the same number in every library."""
    if subject.library != "numpy" or "numpy" not in subject.libraries:
        raise NotApplicable("not run on numpy")
    case = _lean_case(subject, draw)
    typed = {name: to_library(x, library, "float32") for name, x in case.items()}
    result = subject.function(**typed)
    if library_of(result) != library:
        fail(f"returned a {type(result).__name__} for {library} arrays", case)
    same(to_float64(result), subject(case), f"{library} differs from numpy", case, tolerance=2e-4)


@check_on_libraries("torch", "jax", examples=0.1)
def keeps_low_precision_dtypes(subject: Subject, draw: Draw, library: str) -> None:
    """bfloat16 in, bfloat16 out; computed in single precision between."""
    case = _lean_case(subject, draw)
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
    case = _lean_case(subject, draw)
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
    case = _lean_case(subject, draw)
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


@check_on_libraries("torch", "jax", examples=0.04)
def compiles(subject: Subject, draw: Draw, library: str) -> None:
    """`jax.jit`, or `torch.compile(fullgraph=True)`: one graph, no value read on the way, the same numbers."""
    case = subject.case(draw, *_row_words(subject, "valid"), n=5, t=3, k=2)
    typed = {name: to_library(x, library, "float32") for name, x in case.items()}
    expected = to_float64(subject.function(**typed))
    compiled: Any
    if library == "jax":
        import jax

        shape = jax.eval_shape(subject.function, **typed)
        if shape.shape != expected.shape:
            fail(f"jax.eval_shape says {shape.shape}", case)
        compiled = jax.jit(subject.function)
    else:
        import torch

        torch._dynamo.reset()
        compiled = torch.compile(subject.function, fullgraph=True, backend="aot_eager")
    same(to_float64(compiled(**typed)), expected, "compiled, it differs", case, tolerance=2e-4)


@check_on_libraries("torch", "jax", examples=0.04)
def vectorises(subject: Subject, draw: Draw, library: str) -> None:
    """`jax.vmap`, or `torch.func.vmap`: many batches at once."""
    cases = [subject.case(draw, *_row_words(subject, "valid"), n=5, t=3, k=2) for _ in range(2)]
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
