"""`compose`: stages and an estimator become one estimator."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

from .call import estimator
from .core.definition import definition_of
from .core.naming import did_you_mean
from .core.promises import Bound, Promises
from .core.vocabulary import INPUTS
from .ops.elementwise import where
from .ops.refusals import check_range
from .ops.tokens import to_tokens
from .stages import STAGES, Stage

__all__ = ["among", "compose", "parsed", "stages_of"]


def compose(*parts: Any) -> Callable[..., Any]:
    """One estimator made of stages before, an estimator, and stages after, in their order.

    Its inputs are the words of all its parts, its settings those of the estimator; a stage's settings are chosen where
    it is made. It may be called, checked and adapted like any other. Where a stage after it works on tokens, so does
    the whole, and advantages of responses go to their trained tokens first.

    Args:
        parts: one estimator among stages of `advantages.stages`; those that change rewards, or filter, come before it,
            those that change advantages after it.

    Raises:
        TypeError: a part is neither, there is no estimator or more than one, or a stage stands on the wrong side.

    >>> import numpy as np
    >>> from advantages import grpo
    >>> from advantages.stages import clipped, entropy_shaped
    >>> shaped = compose(grpo, entropy_shaped(alpha=0.5), clipped(0.75))
    >>> mask, entropies = np.ones((2, 2), bool), np.array([[0.0, 0.2], [0.0, 4.0]])
    >>> shaped(np.array([1.0, 0.0]), ["a", "a"], entropies, mask).round(3)
    array([[ 0.707,  0.75 ],
           [-0.707, -0.354]])
    """
    made = [part for part in parts if not isinstance(part, Stage)]
    for part in made:
        if not hasattr(part, "__advantages__"):
            name = getattr(part, "__name__", type(part).__name__)
            advice = f"call it: {name}()" if name in STAGES else "pass an estimator, or a stage of advantages.stages"
            raise TypeError(f"compose: {name} is neither an estimator nor a stage; {advice}")
    if len(made) != 1:
        found = ", ".join(part.__advantages__.name for part in made) or "none"
        raise TypeError(f"compose: there must be one estimator, not {found}; pass stages around one")
    inner = definition_of(made[0])
    place = next(k for k, part in enumerate(parts) if not isinstance(part, Stage))
    before, after = list(parts[:place]), list(parts[place + 1 :])
    for some, right, side in ((before, False, "after"), (after, True, "before")):
        for one in some:
            if (one.changes == "advantages") is not right:
                raise TypeError(f"compose: {one.name} changes {one.changes}; put it {side} {inner.name}")
    own = [name for name in inner.inputs if name in inner.own]
    for one in before:
        if one.changes != "keep" and one.changes not in own:
            raise TypeError(
                f"compose: {one.name} changes {one.changes}, which {inner.name} does not take; it takes "
                f"{', '.join(own)}"
            )

    per_token = inner.per_token or any(INPUTS[word].per_token for one in after for word in one.words)
    needed = dict.fromkeys(name for name in own if name in inner.needed)
    needed |= dict.fromkeys(word for one in (*before, *after) for word in one.words)
    if per_token:
        needed["mask"] = None
    if inner.lead in needed:  # what the advantages look like comes first
        needed = {inner.lead: None, **needed}
    optional = [name for name in own if name not in needed]

    changed = [word for word in dict.fromkeys(one.changes for one in before) if word in inner.ranges]

    def composed(*args: Any, **given: Any) -> Any:
        words = {**dict(zip(names, args, strict=False)), **given}
        keep = None
        for one in before:
            if one.changes != "keep":
                words[one.changes] = one(words[one.changes], words)
                continue
            keep = one(keep, words)
            words = _kept(keep, words)
        for word in changed:
            check_range(inner.name, word, words[word], inner.ranges[word])
        advantages = inner.function(
            *(words[name] for name in inner.positional),
            **{name: words[name] for name in own if name not in inner.positional},
            **{key: value for key, value in given.items() if key in inner.settings},
        )
        if per_token and len(advantages.shape) == 1:
            advantages = to_tokens(advantages, words["mask"])
        for one in after:
            advantages = one(advantages, words)
        if keep is None:
            return advantages
        return where(keep if len(advantages.shape) == 1 else keep[:, None], advantages, 0.0)

    kind = inspect.Parameter
    source = inspect.signature(inner.function).parameters
    parameters = [kind(name, kind.POSITIONAL_OR_KEYWORD) for name in needed]
    parameters += [
        kind(name, kind.POSITIONAL_OR_KEYWORD, default=None) for name in optional if name in inner.positional
    ]
    names = [p.name for p in parameters]
    parameters += [kind(name, kind.KEYWORD_ONLY, default=None) for name in optional if name not in inner.positional]
    parameters += [
        kind(key, kind.KEYWORD_ONLY, default=value) for key, value in inner.settings.items() if key in source
    ]
    hints = get_type_hints(inner.function, include_extras=True)
    composed.__name__ = composed.__qualname__ = "_then_".join(
        part.name if isinstance(part, Stage) else inner.name for part in parts
    )
    composed.__doc__ = "\n".join([f"{inner.name} among stages:", "", *(f"    {_shown(part)}" for part in parts)])
    composed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    composed.__annotations__ = {p.name: hints[p.name] for p in parameters if p.name in hints}
    return estimator(
        unit="token" if per_token else "response",
        shapes=inner.shapes,
        ranges=inner.ranges,
        promises=Promises(
            equals_get_zero=_equals_get_zero(before, inner.promises.equals_get_zero),
            spans_batch=inner.promises.spans_batch,
            bound=_bound(after),
            objective=inner.promises.objective,
        ),
        paper=inner.paper,
    )(composed)


def parsed(text: str) -> tuple[str, list[Stage]]:
    """The name of an estimator and the stages of "grpo+entropy_shaped.alpha=0.4+clipped".

    A stage has its defaults where no setting follows; settings of one stage follow each other.

    Raises:
        ValueError: there is no such stage, or setting of it, or its value does not fit.

    >>> parsed("grpo+overlong_penalty.limit=100+overlong_penalty.buffer=10")
    ('grpo', [overlong_penalty(limit=100, buffer=10, clip=True)])
    """
    name, *texts = re.split(rf"\+(?=(?:{'|'.join(STAGES)})(?:[.+]|$)|{_LIKE_A_STAGE})", text)
    return name, stages_of(texts)


_LIKE_A_STAGE = r"[a-z_]+(?:\.[a-z_]+=|\+|$)"
"""Words that are no stage are refused as stages; a folder's name, such as c++.old/mine.py:f, stays what it is."""


def stages_of(texts: Iterable[str]) -> list[Stage]:
    """The stages that texts such as "entropy_shaped.alpha=0.4", or "clipped" with its defaults, name in their order.

    Raises:
        ValueError: a text names no stage, or no setting of it, or a value does not fit.
    """
    stages: list[tuple[str, dict[str, Any]]] = []
    for text in texts:
        head, equals, value = text.partition("=")
        name, _, key = head.partition(".")
        if name not in STAGES:
            raise ValueError(
                f"stage {text!r}: there is no stage {name!r}; stages are {', '.join(sorted(STAGES))}"
                f"{did_you_mean(name, STAGES)}"
            )
        if bool(key) != bool(equals and value):
            raise ValueError(f"stage {text!r}: write stage.setting=value, such as entropy_shaped.alpha=0.4, or stage")
        if not stages or stages[-1][0] != name or not key or key in stages[-1][1]:
            stages.append((name, {}))
        if key:
            stages[-1][1][key] = _value(value)
    try:
        return [STAGES[name](**settings) for name, settings in stages]
    except TypeError as error:
        raise ValueError(str(error)) from None


def among(estimator: Callable[..., Any], stages: Iterable[Stage]) -> Callable[..., Any]:
    """An estimator among stages: those that change advantages after it, all others before it, in their order.

    Raises:
        ValueError: they do not fit together.
    """
    stages = list(stages)
    if not stages:
        return estimator
    before = [one for one in stages if one.changes != "advantages"]
    try:
        return compose(*before, estimator, *(one for one in stages if one.changes == "advantages"))
    except TypeError as error:
        raise ValueError(str(error)) from None


def _value(text: str) -> Any:
    if text in ("true", "false", "True", "False"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _equals_get_zero(before: list[Stage], otherwise: bool) -> bool:
    """Whether groups of equal rewards get zero: they are dropped, or nothing tells their responses apart."""
    for one in before:
        if one.changes == "keep":
            if one.settings.get("varied"):
                return True
        elif set(one.words) - {"groups"}:  # such as their lengths
            return False
    return otherwise


def _bound(after: list[Stage]) -> Bound | None:
    """What nothing exceeds that was clipped last."""
    if not after or after[-1].name != "clipped":
        return None
    limit = after[-1].settings["limit"]
    return Bound(f"{limit:g}", lambda n: limit)


def _kept(keep: Any, words: dict[str, Any]) -> dict[str, Any]:
    """The words with only some rows counting."""
    kept = {}
    for name, x in words.items():
        if name not in INPUTS or x is None:
            kept[name] = x
        elif INPUTS[name].kind == "ids":
            rows = keep if not INPUTS[name].per_token else (words["mask"] & keep[:, None]).reshape(-1)
            kept[name] = x.where(rows if x.scored is None else x.scored & rows)
        elif name in ("mask", "valid"):
            kept[name] = x & (keep[:, None] if INPUTS[name].per_token else keep)
        else:
            kept[name] = where(keep if len(x.shape) == 1 else keep[:, None], x, 0.0)
    return kept


def _shown(part: Any) -> str:
    return repr(part) if isinstance(part, Stage) else part.__advantages__.name
