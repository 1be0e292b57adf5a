"""What all hosts of estimators share: a batch becomes the vocabulary, and an estimator is called on it.

A host, be it a framework's adapter or the built-in training, says which words it can supply, as functions that are
called only for the words that an estimator takes. No host contains arithmetic of an estimator.
"""

import copy
import importlib
import importlib.metadata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from .backends import backend_of, library_of
from .core import naming
from .core.definition import Definition, Unit, definition_of
from .core.vocabulary import INPUTS

__all__ = [
    "Estimator",
    "Flag",
    "Host",
    "check",
    "check_group_size",
    "estimate",
    "measures",
    "resolve",
    "units",
    "with_flags",
]

Estimator = Callable[..., Any]
"""Of numbers: an estimator, or any function that takes words of the vocabulary."""

_ARRAYS = {"numpy": "numpy array", "torch": "torch tensor", "jax": "JAX array"}
_OF_THE_BATCH = {"across": "the estimator gets the whole batch, so drop it"}
"""Settings that say how a batch is laid out."""


class Flag(NamedTuple):
    """An option of a framework that stands for a setting of estimators."""

    name: str
    """As a user of the framework writes it."""
    default: float = 1.0
    """The framework's own default, which asks nothing of an estimator that has no such setting."""


class Host(NamedTuple):
    """A framework, and what it can hand to an estimator."""

    name: str
    distribution: str
    tested: str
    """The versions that the adapter was tested with: ranges as pip has them, with " or " between several."""
    words: frozenset[str]
    """Words of the vocabulary that it can supply."""
    real: bool
    """Whether the tests run against the real package, not a stand-in."""
    components: bool = True
    """Whether it can hand over the rewards by component, not their sum alone."""
    flags: Mapping[str, Flag] = MappingProxyType({})
    """Its options that stand for settings of estimators, by setting."""
    fills: Mapping[str, str] = MappingProxyType({})
    """Settings of estimators over components that the adapter fills in, and what a user does instead."""
    samples: str | None = None
    """Its option for the number of responses to a prompt."""

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def lacks(self, estimator: Estimator) -> list[str]:
        """Inputs that an estimator needs and the framework cannot supply."""
        d = definition_of(estimator)
        sums = ["rewards by component"] if d.by_component and not self.components else []
        return [name for name in d.needed if name not in self.words] + sums


# Before a run


def resolve(advantage: str | Estimator | None) -> Estimator:
    """The estimator that a configuration names.

    Args:
        advantage: a name in `advantages`, with or without "advantages." before it; "package.module:function" or
            "path/to/file.py:function"; or the function itself. Stages may follow a name:
            "grpo+entropy_shaped.alpha=0.4+clipped.limit=5", see `advantages.compose`.

    Raises:
        TypeError: it is neither a string nor callable.
        ValueError: there is no such estimator.

    >>> resolve("lampo") is resolve("advantages.lampo") is resolve("advantages:lampo")
    True
    """
    if callable(advantage):
        return advantage
    if not isinstance(advantage, str):
        raise TypeError(f"advantage is {advantage!r}; pass a name, 'package.module:function' or a function")
    names = importlib.import_module("advantages.estimators").__all__  # by name: it is on a floor above
    composing = importlib.import_module("advantages.compose")  # so is this
    name, stages = composing.parsed(advantage)
    found = naming.resolve(
        name if ":" in name else name.removeprefix("advantages."),
        what="estimator",
        built_in={name: f"advantages.estimators:{name}" for name in names},
    )
    return composing.among(found, stages)


def check(
    estimator: Estimator, host: Host, options: Mapping[str, Any], words: Iterable[str] | None = None
) -> Definition:
    """Refuse, before a run starts, an estimator that the framework cannot serve, or options that it does not take.

    Args:
        options: settings of the estimator that a user has passed by their own names.
        words: what the framework can supply in this configuration; all that it ever can by default.

    Raises:
        TypeError: an input cannot be supplied, or an option is unknown, is said elsewhere, or has the wrong type.
        ValueError: an option is out of range.
    """
    d = definition_of(estimator)
    supplied = host.words if words is None else frozenset(words)
    for name in d.needed:
        if name not in supplied:
            raise TypeError(
                f"{d.name} needs {name} ({INPUTS[name].meaning}), which {host.name} does not hand to estimators here; "
                f"it hands {', '.join(word for word in INPUTS if word in supplied)}"
            )
    if "rewards by component" in host.lacks(estimator):
        raise TypeError(f"{d.name} needs rewards by component, but {host.name} hands their sum to estimators")
    if not isinstance(options, Mapping):
        raise TypeError(f"{d.name}: its options are {options!r}; pass a mapping from settings to values")
    elsewhere = dict(_OF_THE_BATCH)
    elsewhere |= {setting: f"set {flag.name}" for setting, flag in host.flags.items()}
    elsewhere |= dict(host.fills) if d.by_component else {}
    taken = [name for name in d.settings if name not in elsewhere]
    for name, value in options.items():
        if name in d.settings and name in elsewhere:
            raise TypeError(f"{d.name}: takes no option {name!r} under {host.name}; {elsewhere[name]}")
        if name not in taken:
            raise TypeError(
                f"{d.name}: takes no option {name!r}; options are {', '.join(taken) or 'none'}"
                f"{naming.did_you_mean(str(name), taken)}"
            )
        if name in d.checks:
            d.checks[name].check(d.name, name, value)
    return d


def with_flags(d: Definition, host: Host, options: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an estimator: a user's options, and what the framework's own flags say.

    The rule is one for all frameworks: a flag gives the setting its value wherever the estimator has the setting, so
    that an estimator of the same name takes what the framework's own took.

    Args:
        options: as they passed `check`.
        values: those of the framework's flags, by setting.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: a value is out of range, or is not the default and the estimator has no such setting.
    """
    settings = dict(options)
    for setting, flag in host.flags.items():
        value = values[setting]
        if setting in d.settings:
            if setting in d.checks:
                d.checks[setting].check(d.name, flag.name, value)
            settings[setting] = value
        elif value != flag.default:
            raise ValueError(
                f"{flag.name} is {value!r}, but {d.name} has no setting {setting}, which it stands for; "
                f"leave it at {flag.default!r}"
            )
    return settings


def check_group_size(d: Definition, host: Host, settings: Mapping[str, Any], size: int) -> None:
    """Refuse one response to a prompt where all advantages would be 0, and a run could never learn.

    Args:
        settings: those that the run sets; the estimator's defaults count, too.
        size: responses to a prompt in this run.

    Raises:
        ValueError: the estimator compares the responses to a prompt, and there is only one.
    """
    alone = {**d.settings, **settings}.get("singleton", "raw")
    if size == 1 and "groups" in d.needed and alone != "raw":
        raise ValueError(
            f"{host.samples} is 1, but {d.name} compares the responses to a prompt: every advantage would be 0; pass "
            "at least 2, or the option singleton='raw', with which a lone response has its reward"
        )


# On a batch


def units(estimator: Estimator) -> tuple[Unit, ...]:
    """What there may be one advantage of: what an estimator declares, and either for a plain function.

    >>> units(resolve("gae")), units(lambda rewards, mask: rewards)
    (('token',), ('response', 'token'))
    """
    d = definition_of(estimator)
    return get_args(Unit) if d.function is estimator else (d.unit,)


def estimate(
    estimator: Estimator,
    supply: Mapping[str, Callable[[], Any]],
    options: Mapping[str, Any],
    *,
    per_token: bool = True,
) -> Any:
    """Call an estimator with the words of a batch that it takes, and check what comes back.

    Args:
        supply: for each word that the framework can supply, a function that does; only those that the estimator
            takes are called. One that returns None says that this batch has no such word.
        options: settings of the estimator.
        per_token: whether the framework can take one advantage per token.

    Returns:
        (N,) advantages, or (N, T) with 0 where the mask is False: as the estimator's unit says, and either from a plain
        function. A finite array of floating point numbers, of the batch's library and on its device, without a
        gradient.

    Raises:
        TypeError: the estimator returned no such array.
        ValueError: its advantages have another shape or device, or are not finite.
    """
    d = definition_of(estimator)
    batch = {name: x for name in d.inputs if name in supply and (x := supply[name]()) is not None}
    given = batch
    if d.function is estimator:  # nothing keeps a plain function from writing into what belongs to the framework
        given = {name: x if library_of(x) is None else copy.deepcopy(_constant(x)) for name, x in batch.items()}
    advantages = estimator(**given, **options)

    lead = batch[d.lead]
    library = library_of(advantages)
    if library != library_of(lead) or library is None or backend_of(advantages).kind(advantages) != "f":
        found = (
            f"a {_ARRAYS[library]} of {advantages.dtype}" if library else f"a value of type {type(advantages).__name__}"
        )
        wanted = _ARRAYS.get(library_of(lead) or "", "array")
        raise TypeError(f"{d.name}: returned {found}; its advantages must be a {wanted} of floating point numbers")
    backend = backend_of(advantages)
    shape, mask = tuple(advantages.shape), None
    may_be = units(estimator)
    shapes: list[tuple[int, ...]] = [(len(lead),)] if "response" in may_be else []
    if per_token and "token" in may_be and "mask" in supply and (len(shape) == 2 or not shapes):
        mask = batch["mask"] if "mask" in batch else supply["mask"]()
        shapes.append(tuple(mask.shape))
    if shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"{d.name}: returned shape {shape}; its advantages must have shape {wanted}")
    here, there = backend.device(advantages), backend.device(lead)
    if here != there:
        raise ValueError(f"{d.name}: returned advantages on {here}, but {d.lead} is on {there}; return them there")
    advantages = backend.stop_gradient(advantages)
    if mask is not None:
        advantages = backend.xp.where(mask, advantages, 0.0)
    if not bool(backend.xp.isfinite(advantages).all()):
        raise ValueError(
            f"{d.name}: returned advantages that are not finite; give 0 to responses that are not valid, or "
            "decorate the function with advantages.estimator, which does"
        )
    return advantages


def _constant(x: Any) -> Any:
    return backend_of(x).stop_gradient(x)


def measures(advantages: Any, mask: Any, groups: Sequence[Hashable], rewards: Any) -> dict[str, float]:
    """What is worth logging about the advantages of a batch, under the same names in every framework.

    Args:
        advantages: (N,) or (N, T).
        mask: (N, T) tokens that are trained; not read where advantages are (N,).
        groups: (N,) ids.
        rewards: (N,) or (N, K), not finite where unscored.

    Returns:
        advantages/mean, advantages/std: over responses, or over trained tokens; left out where there are none.
        advantages/informative_groups: share of groups with an advantage that is not 0.
        advantages/unscored: share of responses without any finite reward.
    """
    backend = backend_of(advantages)
    each = advantages[mask] if advantages.ndim == 2 else advantages
    found = {}
    if len(each):
        mean = each.mean()
        found = {"mean": mean, "std": ((each - mean) ** 2).mean() ** 0.5}
    if len(groups):
        useful = (advantages != 0) if advantages.ndim == 1 else (advantages != 0).any(1)
        informative = {group for group, some in zip(groups, useful.tolist(), strict=True) if some}
        scored = backend.xp.isfinite(rewards)
        found |= {
            "informative_groups": len(informative) / len(set(groups)),
            "unscored": 1.0 - sum((scored if scored.ndim == 1 else scored.any(1)).tolist()) / len(groups),
        }
    return {f"advantages/{name}": float(value) for name, value in found.items()}
