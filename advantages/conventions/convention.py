"""What a convention is: one of our estimators with a framework's settings, and around it the stages that differ."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_type_hints

from ..backends import backend_of
from ..call import estimator
from ..core.definition import Definition, definition_of
from ..core.promises import Promises
from ..core.settings import MinScored, nearest
from ..core.types import Singleton
from ..ops.elementwise import where
from ..ops.groupwise import small_groups
from ..ops.statistics import whiten

__all__ = ["STAGES", "Convention", "Deviations", "Framework"]

F = TypeVar("F", bound=Callable[..., Any])

Deviations = Mapping[str, Mapping[str, tuple[Any, str]]]
"""By function and setting: the framework's value, and the reason that it matters."""

STAGES: dict[str, tuple[Any, str, Any]] = {
    "unscored": (Literal["left_out", "zero"], "rewards", "left_out"),
    "masked_rewards": (Literal["carried", "lost"], "token_rewards", "carried"),
    "holes": (Literal["skipped", "steps"], "token_rewards", "skipped"),
    "whitening": (Literal["none", "sample", "population"], "mask", "none"),
}
"""Settings that a convention has beside those of its estimator: values, the input that it takes, and our default."""


class Convention(NamedTuple):
    """What a function of a framework is made of."""

    framework: str
    version: str
    executed: bool
    """Whether the framework itself was run beside it."""
    base: Callable[..., Any]
    """Our estimator."""
    deviations: Mapping[str, tuple[Any, str]]


class Framework:
    """Makes the functions of one framework out of our estimators.

    Args:
        name: of the module.
        version: that the numbers are those of.
        executed: whether tests run the framework itself; else the numbers come from reading its source.
        deviations: by function and setting, see `Deviations`.
    """

    def __init__(self, name: str, version: str, deviations: Deviations, *, executed: bool) -> None:
        self.name, self.version, self.deviations, self.executed = name, version, deviations, executed

    def __call__(self, name: str, base: F) -> F:
        """The framework's function of this name: `base` with the settings that `deviations` say.

        Raises:
            TypeError: a deviation is no setting of `base`.
        """
        made = Convention(self.name, self.version, self.executed, base, self.deviations.get(name, {}))
        return cast(F, _estimator(made, name))


def _estimator(made: Convention, name: str) -> Callable[..., Any]:
    d = definition_of(made.base)
    hints = get_type_hints(d.function, include_extras=True)
    own = {key: x for key, x in d.settings.items() if key in d.own}
    if "groups" in d.own and "singleton" not in d.own:
        own |= {key: d.settings[key] for key in ("singleton", "min_scored")}
        hints |= {"singleton": Singleton, "min_scored": MinScored}
    stages = {key: default for key, (_, word, default) in STAGES.items() if word in d.own and _fits(key, d)}
    own |= stages
    hints |= {key: STAGES[key][0] for key in stages}
    for key in made.deviations:
        if key not in own:
            raise TypeError(f"{made.framework}.{name}: deviates in {key!r}, which is no setting{nearest(key, own)}")
    settings = own | {key: value for key, (value, _) in made.deviations.items()}
    who = f"{made.framework}.{name}"

    def function(*inputs: Any, **given: Any) -> Any:
        options = {key: given.pop(key) for key in settings if key not in d.own}
        words = dict(zip(d.positional, inputs, strict=True))
        mask = words.get("mask")
        if options.get("holes") == "steps":
            words["mask"] = mask | ~mask  # type: ignore[operator]
        result = d.function(*words.values(), **given)
        if "singleton" in options:
            result = small_groups(
                who, result, words["rewards"], words["groups"], options["singleton"], options["min_scored"]
            )
        if options.get("whitening", "none") != "none":
            ddof = 1 if options["whitening"] == "sample" else 0
            result = whiten(where(mask, result, 0.0), mask, ddof=ddof, epsilon=0.0)
        return result

    inputs = [p for p in d.signature.parameters.values() if p.name in d.own_inputs]
    words = [inspect.Parameter(k, inspect.Parameter.KEYWORD_ONLY, default=x) for k, x in settings.items()]
    function.__name__ = function.__qualname__ = who
    function.__doc__ = _documented(made, name)
    function.__signature__ = inspect.Signature([*inputs, *words])  # type: ignore[attr-defined]
    function.__annotations__ = hints
    changed = {key: settings[key] for key in stages if settings[key] != stages[key]}
    whitens = "whitening" in changed
    made_estimator = estimator(
        unit=d.unit,
        spec=None if changed or d.spec is None else _spec(d.spec, settings, stages),
        promises=Promises(spans_batch=True) if whitens else d.promises,
        shapes=d.shapes,
        paper=d.paper,
    )(function)

    @functools.wraps(made_estimator)
    def convention(*args: Any, **kwargs: Any) -> Any:
        if settings.get("unscored") == "zero" or "unscored" in kwargs:
            args, kwargs = _changed(d, "rewards", args, kwargs, settings, "unscored", "zero", _unscored_as_zero)
        if settings.get("masked_rewards") == "lost" or "masked_rewards" in kwargs:
            args, kwargs = _changed(d, "token_rewards", args, kwargs, settings, "masked_rewards", "lost", _lost)
        return made_estimator(*args, **kwargs)

    convention.__module__ = f"advantages.conventions.{made.framework}"
    convention.__name__ = convention.__qualname__ = name
    convention.__convention__ = made  # type: ignore[attr-defined]
    return convention


def _fits(stage: str, d: Definition) -> bool:
    """Whitening is a stage of its own only where the estimator has none, and holes with it: what whitens reads the mask."""
    return stage not in ("whitening", "holes") or not d.promises.spans_batch


def _spec(spec: Callable[..., Any], settings: Mapping[str, Any], stages: Mapping[str, Any]) -> Callable[..., Any]:
    """The estimator's oracle at the framework's settings; no oracle where a stage is on."""
    defaults = {key: x for key, x in settings.items() if key not in stages}

    def at_settings(**call: Any) -> Any:
        return spec(**{**defaults, **{key: x for key, x in call.items() if key not in stages}})

    return at_settings


def _changed(
    d: Definition,
    word: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    settings: Mapping[str, Any],
    stage: str,
    value: str,
    change: Callable[[Any, Any], Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The call's arguments, with one word changed where a stage says so."""
    if kwargs.get(stage, settings[stage]) != value:
        return args, kwargs
    call = {**dict(zip(d.positional, args, strict=False)), **kwargs}
    if call.get(word) is None:
        return args, kwargs
    more = args[len(d.positional) :]
    call[word] = change(call[word], call.get("mask"))
    return (*(call.pop(name) for name in d.positional[: len(args)]), *more), call


def _unscored_as_zero(rewards: Any, mask: Any) -> Any:
    xp = backend_of(rewards).xp
    return xp.where(xp.isfinite(rewards), rewards, 0.0 * xp.ones_like(rewards))


def _lost(token_rewards: Any, mask: Any) -> Any:
    return where(mask != 0, token_rewards, 0.0)


def _documented(made: Convention, name: str) -> str:
    d = definition_of(made.base)
    how = "run beside it in the tests" if made.executed else "from source, not executed"
    lines = [f"`{d.name}` as {made.framework} {made.version} has it ({how})."]
    if made.deviations:
        lines += ["", "It differs from our default:", ""]
        lines += [f"    {key} = {value!r}: {reason}." for key, (value, reason) in made.deviations.items()]
    return "\n".join([*lines, "", f"Inputs and settings are those of `advantages.{d.name}`."])
