"""`@estimator`: a function over arrays becomes an estimator with border checks, row rules, a spec and promises."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from ..backends import backend_of
from ..core.definition import Definition, Paper, Ranges, Shapes, Unit, define
from ..core.groups import Groups
from ..core.naming import did_you_mean
from ..core.promises import Promises
from ..core.validation import check_arrays, check_cells, check_ids
from ..core.vocabulary import INPUTS, OPTIONS
from ..ops.refusals import check_range
from .common import common_call, has_common_call
from .ranks import check_across, gathered
from .rows import rows_estimated
from .trajectories import check_nested, last_rows, long_rows

__all__ = ["estimator"]

F = TypeVar("F", bound=Callable[..., Any])


def estimator(
    function: None = None,
    /,
    *,
    unit: Unit = "response",
    selects: bool = False,
    spec: Callable[..., Any] | None = None,
    promises: Promises | None = None,
    shapes: Shapes | None = None,
    paper: Paper | None = None,
    ranges: Ranges | None = None,
    portable: bool | Callable[[int], bool] = False,
    widens: bool = False,
) -> Callable[[F], F]:
    """Make an estimator of a function whose positional parameters are inputs and keyword-only ones settings.

    The function sees clean arrays in at least float32, with zeros in the place of everything that does not count,
    and `groups` (and every other word of ids) as `Groups`. Around it, the estimator

    - refuses wrong libraries, devices, shapes, dtypes, names and settings with a sentence;
    - understands `valid`, `trained`, `strict`, `trajectories` (unless the function takes them itself, because its rows
      are the steps of a rollout, in order) and `across`, and where it takes groups `singleton` and
      `min_scored` (unless the function takes those itself);
    - leaves rows with a non-finite input out of every statistic, and gives them advantage 0;
    - moves rewards from masked tokens to the last trained token before them;
    - stops gradients, and returns the floating dtype of the rewards.

    Args:
        unit: what there is one advantage of: "response", so that the function returns (N,), or "token", (N, T), or
            (N, 1) where all tokens of a response have the same.
        selects: whether the function itself looks at trained tokens only, carries rewards and returns zeros elsewhere,
            as `ops.lambda_advantages`, `ops.discounted_returns` and `ops.whiten` do. It gets words of tokens as they
            came, which saves a pass over each.
        spec: the formula in numpy, lifted to a batch by `advantages.spec`; the test kit's oracle.
        promises: what holds beyond what all estimators promise; the test kit checks it.
        shapes: inputs with another shape than the vocabulary's: `{"rewards": (("N", "K"),)}`.
        paper: where it was published.
        ranges: numbers that an input may be, where the formula means nothing for others, as in
            `{"rewards": Range(0.0, 1.0)}`, beside what the vocabulary says of every input; others are refused,
            wherever values can be read without waiting for them.
        portable: whether the function is written in operators and the words of `ops` alone, so that it may see numpy
            arrays in the place of tensors on the host: on the few numbers of a batch they take half of the time. Or a
            function that says so at each call, given how many pairs of responses there are at most.
        widens: whether the function returns what one word of `ops` about groups makes of its numbers, such as
            `ops.group_zscore`, which sums in double precision whatever it reads, and gives zero to what is not scored.
            Then numbers may come as they are, those of rows that do not count included, which saves some passes, and
            before anybody has looked at them (`ops.unseen`), so that only such a word can read them.

    Raises:
        TypeError: a positional parameter is no word of the vocabulary, or a setting has no default.
    """
    if function is not None:
        raise TypeError("estimator: got a function without parentheses; write @estimator() or @estimator(spec=...)")

    def decorate(function: F) -> F:
        definition = define(
            function,
            spec,
            promises,
            shapes,
            unit=unit,
            paper=paper,
            ranges=ranges,
            selects=selects,
            portable=portable,
            widens=widens,
        )

        is_common = has_common_call(definition)

        @functools.wraps(function)
        def estimate(*args: Any, **kwargs: Any) -> Any:
            found = common_call(definition, args, kwargs) if is_common else None
            return _call(definition, args, kwargs) if found is None else found

        estimate.__signature__ = definition.signature  # type: ignore[attr-defined]
        estimate.__advantages__ = definition  # type: ignore[attr-defined]
        estimate.__doc__ = _documented(definition)
        return cast(F, estimate)

    return decorate


def _documented(definition: Definition) -> str:
    lines = [inspect.cleandoc(definition.function.__doc__ or ""), "", "Also takes, by name:"]
    for key in definition.signature.parameters:
        if key not in definition.own:
            word = INPUTS.get(key)
            meaning = f"({', '.join(word.shape)},) {word.meaning}" if word else OPTIONS[key]
            lines.append(f"    {key}: {meaning}.")
    return "\n".join(lines) + "\n"


def _bind(
    d: Definition, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The arrays that were passed, the ids that were, and every setting, checked, defaults filled in."""
    if len(args) > len(d.positional):
        raise TypeError(
            f"{d.name}: got {len(args)} positional arguments but takes {len(d.positional)} "
            f"({', '.join(d.positional)}); pass settings by name"
        )
    given = dict(zip(d.positional, args, strict=False))
    settings = dict(d.settings)
    for name, x in kwargs.items():
        if name in settings:
            settings[name] = x
            continue
        if name not in d.inputs:
            if name == "group_size" and "groups" in d.inputs:
                raise TypeError(
                    f"{d.name}: takes no 'group_size'; pass groups={x!r} for groups of {x!r} neighbouring rows"
                )
            raise TypeError(
                f"{d.name}: takes no {name!r}; inputs are {', '.join(d.inputs)}; "
                f"settings are {', '.join(d.settings)}{did_you_mean(name, (*d.inputs, *settings))}"
            )
        if name in given:
            raise TypeError(f"{d.name}: got {name!r} twice; pass it by position or by name")
        given[name] = x
    for name in d.needed:
        if given.get(name) is None:
            word = INPUTS[name]
            raise TypeError(
                f"{d.name}: needs {name}: {word.meaning}; pass {word.each}"
                + (", or their number where groups are equal blocks of neighbouring rows" if name == "groups" else "")
            )
    for key, x in kwargs.items():
        if key in settings and x is not d.settings[key]:
            if key in d.checks:
                d.checks[key].check(d.name, key, x)
            if getattr(x, "shape", None) == ():  # a number that may be traced
                settings[key] = backend_of(x).stop_gradient(x)
    arrays = {name: given[name] for name in d.arrays if given.get(name) is not None}
    return arrays, {name: given[name] for name in d.ids if given.get(name) is not None}, settings


def _call(d: Definition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    arrays, given, settings = _bind(d, args, kwargs)
    sizes = check_arrays(d.name, arrays, d.shapes)
    lead = arrays[d.lead]
    if settings["across"] is not None:
        check_across(d.name, settings["across"], lead)
    groups = given.get("groups")
    if isinstance(groups, Groups) and groups.scored is not None:  # from here on `valid` says it, for it can be gathered
        scored = groups.scored
        scored = backend_of(lead).from_numpy(scored, lead) if isinstance(scored, np.ndarray) else scored
        check_arrays(d.name, {d.lead: lead, "valid": scored}, d.shapes)
        arrays["valid"] = _flag(d, "valid", arrays["valid"]) & scored if "valid" in arrays else scored
        given["groups"] = groups.where(None)
    if (lent := _lent(d, arrays, settings, kwargs)) is not None:
        backend = backend_of(lead)
        result = _estimated(d, lent, given, settings, sizes, lead)
        return backend.cast(backend.from_numpy(result, lead), backend.result_dtype(lead))
    return _estimated(d, arrays, given, settings, sizes, lead)


def _flag(d: Definition, name: str, x: Any) -> Any:
    """A flag as bools; numbers other than 0 and 1 are refused."""
    if backend_of(x).kind(x) == "b":
        return x
    check_range(d.name, name, x, d.ranges[name])
    return x != 0


def _lent(
    d: Definition, arrays: dict[str, Any], settings: dict[str, Any], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """The arrays as numpy's where all may be, and nothing else in the call belongs to their library."""
    if not d.portable or settings["across"] is not None:
        return None
    if any(hasattr(settings.get(key), "dtype") for key in kwargs):
        return None
    lent = {}
    for name, x in arrays.items():
        lent[name] = backend_of(x).lent(x)
        if lent[name] is None:
            return None
        if len(lent) == 1 and callable(d.portable) and not d.portable(x.shape[0] ** 2):
            return None
    return lent


def _estimated(
    d: Definition,
    arrays: dict[str, Any],
    given: dict[str, Any],
    settings: dict[str, Any],
    sizes: dict[str, int],
    lead: Any,
) -> Any:
    """Advantages from checked arrays and ids as they were given; `lead` is the leading array as it was."""
    backend = backend_of(arrays[d.lead])
    inputs = {}
    for name, x in arrays.items():
        inputs[name] = _flag(d, name, x) if INPUTS[name].kind == "flag" else backend.stop_gradient(x)
    rows, own = sizes["N"], None
    spans = "across" not in d.own and ("groups" in given or d.promises.spans_batch)
    if settings["across"] is not None and (spans or "trajectories" in given):
        inputs, given, rows, own = gathered(d, backend, inputs, given, settings["across"])
        settings = {**settings, "across": None}
    trained = inputs.pop("trained", None) if "trained" not in d.own else None

    ids: dict[str, Any] = {}
    for name, x in given.items():
        if INPUTS[name].per_token:
            ids[name] = check_cells(d.name, name, x, (rows, sizes["T"]), (d.lead, lead))
        else:
            ids[name] = check_ids(d.name, name, x, rows, (d.lead, lead))
    trajectories: Groups | None = ids.pop("trajectories", None)
    if trajectories is not None and "trajectories" in d.own:
        check_nested(d, ids, trajectories)
        result = rows_estimated(d, backend, inputs, {**ids, "trajectories": trajectories}, settings)
    elif trajectories is None:
        result = rows_estimated(d, backend, inputs, ids, settings)
    else:
        result = (long_rows if d.per_token else last_rows)(d, backend, inputs, ids, trajectories, settings)
    if trained is not None:
        result = backend.xp.where(trained[:, None] if d.per_token else trained, result, 0.0)
    return result if own is None else own(result)
