"""`@estimator`: a function over arrays becomes an estimator with border checks, row rules, a spec and promises."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

from ..backends import backend_of
from ..core.groups import Groups
from ..core.types import Singleton, required
from ..core.validation import Setting, check_arrays, check_ids
from ..core.vocabulary import INPUTS, OPTIONS
from ..ops import carried_rewards, group_count, group_sum, where

__all__ = ["Definition", "Promises", "define", "definition_of", "estimator"]

F = TypeVar("F", bound=Callable[..., Any])
Shapes = Mapping[str, tuple[tuple[str, ...], ...]]


class Promises(NamedTuple):
    """What an estimator promises beyond what all of them do; each promise is tested, and shown in the documentation.

    In a promise about groups, n is the number of scored responses in the group.
    """

    spans_batch: bool = False
    """Statistics are formed over the whole batch, so that other groups and other responses matter."""
    zero_sum: bool = False
    """The advantages of a group sum to zero."""
    shift_invariant: bool = False
    """A constant added to all rewards of a group changes nothing."""
    scale: str | None = None
    """ "equivariant": rewards times c > 0 give advantages times c; "invariant": they change nothing."""
    monotone: bool = False
    """Within a group, a higher reward never has a lower advantage."""
    bound: Callable[[int], float] | None = None
    """The largest size of an advantage in a group of n, whatever the rewards."""
    gap_bound: Callable[[int], float] | None = None
    """The same, in units of the gap between the group's highest and lowest reward."""
    unbiased: Callable[[int], float] | None = None
    """The mean of A * grad log pi over groups of n is this factor times the gradient of the expected reward."""


class Definition(NamedTuple):
    """What a signature says about an estimator: the one source for adapters, the command line, tests and docs."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    """Words of the vocabulary that it takes, those that the border takes care of included."""
    needed: tuple[str, ...]
    """Inputs that must be passed; `group_size` may stand for `groups`."""
    positional: tuple[str, ...]
    settings: Mapping[str, Any]
    """Defaults of the settings."""
    checks: Mapping[str, Setting]
    shapes: Shapes
    own: frozenset[str]
    """Parameters of the function itself; the border takes care of the rest."""
    spec: Callable[..., Any] | None
    promises: Promises
    signature: inspect.Signature

    @property
    def lead(self) -> str:
        """The input whose library, device and floating dtype the advantages have."""
        return "rewards" if "rewards" in self.own else "token_rewards"

    @property
    def per_token(self) -> bool:
        """Whether there is one advantage per token, not per response: so it is where a mask is an input."""
        return "mask" in self.own

    @property
    def by_component(self) -> bool:
        """Whether the rewards that it takes are (N, K), one column per component."""
        return ("N", "K") in self.shapes.get("rewards", ())


def estimator(
    *,
    spec: Callable[..., Any] | None = None,
    promises: Promises | None = None,
    shapes: Shapes | None = None,
) -> Callable[[F], F]:
    """Make an estimator of a function whose positional parameters are inputs and keyword-only ones settings.

    The function sees clean arrays in at least float32, with zeros in the place of everything that does not count,
    and `groups` as `Groups`. Around it, the estimator

    - refuses wrong libraries, devices, shapes, dtypes, names and settings with a sentence;
    - understands `valid`, `strict` and `trajectories`, and where it takes groups `group_size` and `singleton`
      (unless the function takes that itself);
    - leaves rows with a non-finite input out of every statistic, and gives them advantage 0;
    - moves rewards from masked tokens to the last trained token before them;
    - stops gradients, and returns the floating dtype of the rewards.

    Args:
        spec: the formula in numpy, lifted to a batch by `advantages.spec`; the test kit's oracle.
        promises: what holds beyond what all estimators promise; the test kit checks it.
        shapes: inputs with another shape than the vocabulary's: `{"rewards": (("N", "K"),)}`.

    Raises:
        TypeError: a positional parameter is no word of the vocabulary, or a setting has no default.
    """

    def decorate(function: F) -> F:
        definition = define(function, spec, promises, shapes)

        @functools.wraps(function)
        def estimate(*args: Any, **kwargs: Any) -> Any:
            return _call(definition, args, kwargs)

        estimate.__signature__ = definition.signature  # type: ignore[attr-defined]
        estimate.__advantages__ = definition  # type: ignore[attr-defined]
        estimate.__doc__ = _documented(definition)
        return cast(F, estimate)

    return decorate


def definition_of(function: Callable[..., Any]) -> Definition:
    """The definition of an estimator, or of any function whose signature uses the vocabulary.

    >>> from advantages import lampo
    >>> definition_of(lampo).needed
    ('rewards', 'groups', 'logprobs')
    """
    found: Definition | None = getattr(function, "__advantages__", None)
    return define(function, extended=False) if found is None else found


def define(
    function: Callable[..., Any],
    spec: Callable[..., Any] | None = None,
    promises: Promises | None = None,
    shapes: Shapes | None = None,
    *,
    extended: bool = True,
) -> Definition:
    """Read a function's signature against the vocabulary.

    Args:
        function: any callable with a signature.
        spec, promises, shapes: as in `estimator`.
        extended: whether the border's own words (`valid`, `strict` ...) belong to the signature.

    Raises:
        TypeError: a positional parameter is no word of the vocabulary, or a setting has no default.
    """
    name = getattr(function, "__name__", type(function).__name__)
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    inputs = {p.name: p for p in parameters if p.kind is not p.KEYWORD_ONLY or p.name in INPUTS}
    for p in inputs.values():
        if p.name not in INPUTS or p.kind is p.VAR_POSITIONAL:
            raise TypeError(
                f"{name}: takes {p.name!r}, which nobody can supply; inputs are named {', '.join(INPUTS)}, "
                "and settings are keyword-only"
            )
    if "rewards" not in inputs and "token_rewards" not in inputs:
        raise TypeError(f"{name}: takes neither rewards nor token_rewards; an estimator needs one of them")
    settings = {p.name: p.default for p in parameters if p.name not in inputs}
    for key, default in settings.items():
        if default is inspect.Parameter.empty:
            raise TypeError(f"{name}: setting {key!r} has no default; give it one")
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # a hint that cannot be evaluated checks nothing
        hints = {}
    checks = {key: Setting(hints[key]) for key in settings if key in hints}

    added: dict[str, Any] = {}
    if extended:
        added = {"valid": None, "trajectories": None, "strict": False}
        if "groups" in inputs:
            added |= {"group_size": None, "singleton": "zero"}
        added = {key: default for key, default in added.items() if key not in inputs and key not in settings}
        options = {"strict": bool, "group_size": int | None, "singleton": Singleton}
        settings |= {key: added[key] for key in added if key in options}
        checks |= {key: Setting(options[key]) for key in added if key in options}
    extra = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value) for key, value in added.items()]
    return Definition(
        name=name,
        function=function,
        inputs=(*inputs, *(key for key in added if key in INPUTS)),
        needed=tuple(p.name for p in inputs.values() if p.default is p.empty or p.default is required),
        positional=tuple(p.name for p in inputs.values() if p.kind is not p.KEYWORD_ONLY),
        settings=settings,
        checks=checks,
        shapes=shapes or {},
        own=frozenset(p.name for p in parameters),
        spec=spec,
        promises=promises or Promises(),
        signature=signature.replace(parameters=parameters + extra),
    )


def _documented(definition: Definition) -> str:
    lines = [inspect.cleandoc(definition.function.__doc__ or ""), "", "Also takes, by name:"]
    for key in definition.signature.parameters:
        if key not in definition.own:
            word = INPUTS.get(key)
            meaning = f"({', '.join(word.shape)},) {word.meaning}" if word else OPTIONS[key]
            lines.append(f"    {key}: {meaning}.")
    return "\n".join(lines) + "\n"


def _bind(d: Definition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Every input and setting by name, defaults filled in."""
    if len(args) > len(d.positional):
        raise TypeError(
            f"{d.name}: got {len(args)} positional arguments but takes {len(d.positional)} "
            f"({', '.join(d.positional)}); pass settings by name"
        )
    call: dict[str, Any] = dict.fromkeys(d.inputs)
    call.update(d.settings)
    call.update(zip(d.positional, args, strict=False))
    for name, x in kwargs.items():
        if name not in call:
            raise TypeError(
                f"{d.name}: takes no {name!r}; inputs are {', '.join(d.inputs)}; settings are {', '.join(d.settings)}"
            )
        if name in d.positional[: len(args)]:
            raise TypeError(f"{d.name}: got {name!r} twice; pass it by position or by name")
        call[name] = x
    for name in d.needed:
        if call[name] is None or call[name] is required:
            if name == "groups" and call.get("group_size") is not None:
                continue
            word = INPUTS[name]
            raise TypeError(
                f"{d.name}: needs {name}: {word.meaning}; pass {word.each}"
                + (", or group_size" if name == "groups" else "")
            )
    return call


def _call(d: Definition, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = _bind(d, args, kwargs)
    for key, check in d.checks.items():
        check.check(d.name, key, call[key])
    arrays = {name: call[name] for name in d.inputs if INPUTS[name].kind != "ids"}
    rows = check_arrays(d.name, arrays, d.shapes)["N"]
    lead = call[d.lead]
    backend = backend_of(lead)

    ids: dict[str, Groups | None] = {}
    for name in ("groups", "trajectories"):
        given = call.get(name)
        ids[name] = None if given is None else check_ids(d.name, name, given, rows, (d.lead, lead))
    if call.get("group_size") is not None:
        if ids["groups"] is not None:
            raise TypeError(f"{d.name}: got both groups and group_size; pass one of them")
        try:
            ids["groups"] = Groups.of_size(call["group_size"], rows)
        except ValueError as error:
            raise ValueError(f"{d.name}: {error}") from None

    inputs = {
        name: backend.stop_gradient(x) if INPUTS[name].kind != "flag" else x if backend.kind(x) == "b" else x != 0
        for name, x in arrays.items()
        if x is not None
    }
    settings = {key: call[key] for key in d.settings}
    if ids["trajectories"] is None:
        result = _rows(d, inputs, ids["groups"], settings)
    elif d.per_token:
        result = _long_rows(d, inputs, ids["groups"], ids["trajectories"], settings)
    else:
        result = _last_rows(d, inputs, ids["groups"], ids["trajectories"], settings)
    return backend.cast(result, backend.result_dtype(lead))


def _rows(d: Definition, inputs: dict[str, Any], groups: Groups | None, settings: dict[str, Any]) -> Any:
    """Advantages in the working precision, by tiles of whole groups where that is faster."""
    backend = backend_of(inputs[d.lead])
    rows = inputs[d.lead].shape[0]
    scored = _scored(d, inputs, groups, strict=settings["strict"])
    size = groups.size if groups is not None else None
    if backend.TILE is None or size is None or d.per_token or d.promises.spans_batch or rows <= backend.TILE:
        return _estimate(d, inputs, groups, scored, settings)
    step = max(1, backend.TILE // size) * size
    result = backend.full((rows,), 0.0, backend.cast(inputs[d.lead][:0], backend.result_dtype(inputs[d.lead])))
    for start in range(0, rows, step):
        tile = slice(start, start + step)
        result[tile] = _estimate(
            d,
            {name: x[tile] for name, x in inputs.items()},
            Groups.of_size(size, min(step, rows - start)),
            None if scored is None else scored[tile],
            settings,
        )
    return result


def _estimate(
    d: Definition, inputs: dict[str, Any], groups: Groups | None, scored: Any, settings: dict[str, Any]
) -> Any:
    """The function on clean rows; what does not count goes in as zeros and comes out as zero."""
    lead = inputs[d.lead]
    backend = backend_of(lead)
    clean: dict[str, Any] = dict.fromkeys(d.own & INPUTS.keys())
    if d.per_token:
        clean["mask"] = inputs["mask"] if scored is None else inputs["mask"] & scored[:, None]
    for name, x in inputs.items():
        if name not in d.own or INPUTS[name].kind == "flag":
            continue
        if name == "token_rewards":
            clean[name] = carried_rewards(x, clean["mask"])
        elif INPUTS[name].shape == ("N", "T"):
            clean[name] = where(clean["mask"], backend.working(x), 0.0)
        elif len(x.shape) == 2:  # components; each is scored or not on its own
            clean[name] = backend.working(x)
        else:
            clean[name] = where(scored, backend.working(x), 0.0)
    if "valid" in d.own:
        clean["valid"] = scored
    if groups is not None:
        clean["groups"] = groups if scored is None else groups.where(scored)

    own = {key: value for key, value in settings.items() if key in d.own}
    result = d.function(
        *(clean[name] for name in d.positional), **{k: x for k, x in clean.items() if k not in d.positional}, **own
    )
    expected = tuple(inputs["mask"].shape) if d.per_token else tuple(lead.shape[:1])
    if tuple(result.shape) != expected:
        raise ValueError(f"{d.name}: returned shape {tuple(result.shape)}; its advantages must have shape {expected}")
    if groups is not None and "singleton" not in d.own:
        result = _alone(d, result, clean["rewards"], clean["groups"], settings["singleton"])
    return where(clean["mask"] if d.per_token else scored, result, 0.0)


def _scored(d: Definition, inputs: dict[str, Any], groups: Groups | None, *, strict: bool) -> Any:
    """(N,) rows that count, or None where all are known to: valid, and every input finite."""
    backend = backend_of(inputs[d.lead])
    xp = backend.xp
    finite = None
    for name, x in inputs.items():
        if backend.kind(x) != "f" or (backend.on_host(x) and backend.all_finite(x)):
            continue
        here = xp.isfinite(x)
        if len(x.shape) == 2:
            here = (here | ~inputs["mask"]).all(1) if INPUTS[name].shape == ("N", "T") else here.any(1)
        finite = here if finite is None else finite & here
    counted = inputs.get("valid")
    if groups is not None and groups.scored is not None:
        counted = groups.scored if counted is None else counted & groups.scored
    if finite is None:
        return counted
    if strict:
        if backend.traced(finite):
            raise ValueError(
                f"{d.name}: strict=True reads values, which a compiled function has not yet; drop it there"
            )
        failed = ~finite if counted is None else ~finite & counted
        rows = [row for row, bad in enumerate(failed.tolist()) if bad]
        if rows:
            raise ValueError(
                f"{d.name}: rows {_some(rows)} have a non-finite input; "
                "mend them, or pass strict=False to leave them out"
            )
    return finite if counted is None else finite & counted


def _alone(d: Definition, result: Any, rewards: Any, groups: Groups, singleton: str) -> Any:
    if groups.size is not None and groups.size > 1 and groups.scored is None:
        return result
    backend = backend_of(result)
    alone = group_count(rewards, groups) == 1
    if singleton != "error":
        return backend.xp.where(alone, rewards if singleton == "raw" else 0.0, result)
    if backend.traced(alone):
        raise ValueError(
            f'{d.name}: singleton="error" reads group sizes, which a compiled function has not yet; '
            'pass "zero" or "raw"'
        )
    alone = alone if groups.scored is None else alone & groups.scored
    rows = [row for row, one in enumerate(alone.tolist()) if one]
    if rows:
        raise ValueError(
            f'{d.name}: rows {_some(rows)} are alone in their groups; drop them, or pass singleton="zero" or "raw"'
        )
    return result


def _some(rows: list[int]) -> str:
    return ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


# Trajectories


def _latest(inputs: dict[str, Any], trajectories: Groups, lead: Any) -> Any:
    """Per slot, the number of the last valid row of a trajectory, or -1."""
    backend = backend_of(lead)
    numbers = backend.working(backend.arange(lead.shape[0], lead))
    numbers = where(inputs.get("valid"), numbers, -1.0)
    latest = backend.segment("max", numbers, trajectories.slots_like(lead), trajectories.count)
    return backend.index(backend.xp.clip(latest, -1.0, None))


def _check_nested(d: Definition, groups: Groups | None, trajectories: Groups) -> None:
    if groups is None or not groups.on_host or not trajectories.on_host:
        return
    import numpy as np

    group_of = np.zeros(trajectories.count, np.intp)
    group_of[trajectories.slots] = groups.slots
    strays = np.flatnonzero(group_of[trajectories.slots] != groups.slots)
    if len(strays):
        raise ValueError(
            f"{d.name}: the trajectory of row {strays[0]} lies in two groups; give each rollout an id of its own"
        )


def _last_rows(
    d: Definition, inputs: dict[str, Any], groups: Groups | None, trajectories: Groups, settings: dict[str, Any]
) -> Any:
    """Let each trajectory's last valid row stand for it, and give its advantage to all its valid rows."""
    _check_nested(d, groups, trajectories)
    lead = inputs[d.lead]
    backend = backend_of(lead)
    latest = _latest(inputs, trajectories, lead)[trajectories.slots_like(lead)]
    stands = latest == backend.arange(lead.shape[0], lead)
    valid = inputs.get("valid")
    rollouts = trajectories if valid is None else trajectories.where(valid)
    whole = {name: group_sum(x, rollouts) if INPUTS[name].of_trajectory == "sum" else x for name, x in inputs.items()}
    result = _rows(d, {**whole, "valid": stands}, groups, settings)
    return where(valid, result[backend.xp.clip(latest, 0, None)], 0.0)


def _long_rows(
    d: Definition, inputs: dict[str, Any], groups: Groups | None, trajectories: Groups, settings: dict[str, Any]
) -> Any:
    """Lay the rows of a trajectory end to end, in their order, as the one long response that they are."""
    _check_nested(d, groups, trajectories)
    if not trajectories.on_host:
        raise ValueError(
            f"{d.name}: trajectories are on an accelerator or inside a compiled function, where their sizes are "
            "unknown; pass ids as a list, or Groups made from one"
        )
    import numpy as np

    lead = inputs[d.lead]
    backend = backend_of(lead)
    members = trajectories.members
    place = np.empty_like(members.order)
    place[members.order] = np.arange(len(place)) - members.starts[trajectories.slots[members.order]]
    table = np.full((trajectories.count, members.sizes.max()), -1)
    table[trajectories.slots, place] = np.arange(len(place))

    valid = inputs.get("valid")
    index = backend.from_numpy(table, lead)
    present = index >= 0 if valid is None else (index >= 0) & valid[index]
    latest = _latest(inputs, trajectories, lead)
    stand = backend.xp.clip(latest, 0, None)

    def joined(name: str, x: Any) -> Any:
        if INPUTS[name].shape == ("N", "T"):
            return backend.xp.where(present[:, :, None], x[index], 0).reshape(table.shape[0], -1)
        if INPUTS[name].of_trajectory == "sum":
            x = group_sum(x, trajectories if valid is None else trajectories.where(valid))
        return x[stand]

    long = {name: joined(name, x) for name, x in inputs.items()}
    long["mask"], long["valid"] = long["mask"] != 0, latest >= 0
    if groups is not None:
        slots = groups.slots[table[:, 0]] if groups.on_host else groups.slots[index[:, 0]]
        groups = Groups(slots)
    result = _rows(d, long, groups, settings).reshape(*table.shape, -1)
    return result[trajectories.slots_like(lead), backend.from_numpy(place, lead)]
