"""What a convention is: one of our estimators with a framework's settings, and around it the stages that differ."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_type_hints

from ..backends import backend_of, library_of
from ..call import estimator
from ..core.definition import Definition, definition_of
from ..core.naming import did_you_mean
from ..core.promises import Promises
from ..core.settings import MinScored
from ..core.types import Array, Singleton
from ..ops.elementwise import where
from ..ops.groupwise import small_groups
from ..ops.statistics import whiten

__all__ = ["STAGES", "Convention", "Deviations", "Framework", "over_tokens"]

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
    by_position: bool
    """Whether it takes neighbouring rows for a group, whatever their ids."""
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
        by_position: whether it takes neighbouring rows for a group, whatever their ids.
    """

    def __init__(
        self, name: str, version: str, deviations: Deviations, *, executed: bool, by_position: bool = False
    ) -> None:
        self.name, self.version, self.deviations, self.executed = name, version, deviations, executed
        self.by_position = by_position

    def __call__(self, name: str, base: F, *, promises: Promises | None = None) -> F:
        """The framework's function of this name: `base` with the settings that `deviations` say.

        Args:
            name: of the function.
            base: our estimator.
            promises: what holds at those settings, where they break what `base` promises.

        Raises:
            TypeError: a deviation is no setting of `base`.
        """
        deviations = self.deviations.get(name, {})
        made = Convention(self.name, self.version, self.executed, self.by_position, base, deviations)
        return cast(F, _estimator(made, name, promises))


def over_tokens(base: Callable[..., Any]) -> Callable[..., Any]:
    """`base`, one number per response, as an estimator of tokens, so that a convention can whiten over them.

    Its last input is the mask; each trained token has its response's number.
    """
    d = definition_of(base)

    def function(*inputs: Any, **settings: Any) -> Any:
        return d.function(*inputs[:-1], **settings)[:, None]

    def spec(*, mask: Any, **call: Any) -> Any:
        return d.spec(**call)[:, None] * (mask != 0)  # type: ignore[misc]

    parameters = d.signature.parameters.values()
    mask = inspect.Parameter("mask", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Array)
    inputs = [p for p in parameters if p.name in d.own_inputs]
    settings = [p for p in parameters if p.name in d.own and p.name not in d.own_inputs]
    function.__name__ = function.__qualname__ = d.name
    function.__doc__ = d.function.__doc__
    function.__signature__ = inspect.Signature([*inputs, mask, *settings])  # type: ignore[attr-defined]
    function.__annotations__ = get_type_hints(d.function, include_extras=True) | {"mask": Array}
    return estimator(unit="token", spec=d.spec and spec, shapes=d.shapes, ranges=d.ranges, paper=d.paper)(function)


def _estimator(made: Convention, name: str, promises: Promises | None) -> Callable[..., Any]:
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
            raise TypeError(
                f"{made.framework}.{name}: deviates in {key!r}, which is no setting{did_you_mean(key, own)}"
            )
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
    made_estimator = estimator(
        unit=d.unit,
        spec=None if d.spec is None or "whitening" in stages else _spec(d.spec, settings, stages),
        promises=promises or (Promises(spans_batch=True) if "whitening" in stages else _promises(d, settings)),
        shapes=d.shapes,
        ranges=d.ranges,
        paper=d.paper,
    )(function)

    takes = list(inspect.signature(made_estimator).parameters)

    @functools.wraps(made_estimator)
    def convention(*args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(takes, args, strict=False)), **kwargs}
        if len(args) <= len(d.positional) and len(given) == len(args) + len(kwargs):  # else it is refused below
            if "unscored" in stages and given.get("unscored", settings["unscored"]) == "zero":
                given["rewards"] = _unscored_as_zero(given.get("rewards"))
            if "masked_rewards" in stages and given.get("masked_rewards", settings["masked_rewards"]) == "lost":
                given["token_rewards"] = _lost(given.get("token_rewards"), given.get("mask"))
            return made_estimator(**given)
        return made_estimator(*args, **kwargs)

    convention.__module__ = f"advantages.conventions.{made.framework}"
    convention.__name__ = convention.__qualname__ = name
    convention.__convention__ = made  # type: ignore[attr-defined]
    return convention


def _fits(stage: str, d: Definition) -> bool:
    """An estimator that whitens needs no such stage, and reads the mask that holes would change."""
    return stage not in ("whitening", "holes") or not d.promises.spans_batch


def _promises(d: Definition, settings: Mapping[str, Any]) -> Promises:
    """What the estimator promises, less what a lone response that keeps its reward breaks."""
    p = d.promises
    if settings.get("singleton") != "raw":
        return p
    scale = "equivariant" if p.scale == "equivariant" else None
    return Promises(
        spans_batch=p.spans_batch, scale=scale, monotone=p.monotone, unbiased=p.unbiased, objective=p.objective
    )


def _spec(spec: Callable[..., Any], settings: Mapping[str, Any], stages: Mapping[str, Any]) -> Callable[..., Any]:
    """The estimator's oracle at the framework's settings."""

    def at_settings(**call: Any) -> Any:
        call = {**settings, **call}
        given = {key: call.pop(key) for key in stages}
        if given.get("unscored") == "zero":
            call["rewards"] = _unscored_as_zero(call["rewards"])
        if given.get("masked_rewards") == "lost":
            call["token_rewards"] = _lost(call["token_rewards"], call["mask"])
        return spec(**call)

    return at_settings


def _unscored_as_zero(rewards: Any) -> Any:
    """A reward that is not finite as 0; what is no array of numbers is left for the estimator to refuse."""
    if library_of(rewards) is None or backend_of(rewards).kind(rewards) != "f":
        return rewards
    return where(backend_of(rewards).xp.isfinite(rewards), rewards, 0.0)


def _lost(token_rewards: Any, mask: Any) -> Any:
    """A reward on a masked token as 0; what is no pair of arrays of one shape is left for the estimator to refuse."""
    shapes = {getattr(x, "shape", None) for x in (token_rewards, mask)}
    if len(shapes) > 1 or library_of(token_rewards) is None or library_of(mask) != library_of(token_rewards):
        return token_rewards
    return where(mask != 0, token_rewards, 0)


def _documented(made: Convention, name: str) -> str:
    d = definition_of(made.base)
    how = "run beside it in the tests" if made.executed else "from source, not executed"
    lines = [f"`{d.name}` as {made.framework} {made.version} has it ({how})."]
    if made.deviations:
        lines += ["", "It differs from our default:", ""]
        lines += [f"    {key} = {value!r}: {reason}." for key, (value, reason) in made.deviations.items()]
    return "\n".join([*lines, "", f"Inputs and settings are those of `advantages.{d.name}`."])
