"""What an estimator is: what its signature says, what it promises, and where it was published."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

from .naming import did_you_mean
from .promises import Promises
from .settings import MinScored, Range, Setting
from .types import Singleton
from .vocabulary import INPUTS

__all__ = ["Definition", "Paper", "Ranges", "Shapes", "Unit", "define", "definition_of"]

Shapes = Mapping[str, tuple[tuple[str, ...], ...]]
Ranges = Mapping[str, Range]
Unit = Literal["response", "token"]


class Paper(NamedTuple):
    """Where an estimator was published."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None
    venue: str | None = None
    """Where it appeared, for a paper that is not on arXiv."""
    note: str = ""
    """What a reader must know of it, such as a withdrawal."""

    def __str__(self) -> str:
        where = f"arXiv:{self.arxiv}" if self.arxiv else self.venue or "unpublished"
        return f"{self.authors}, {self.year}, {where}" + (f", {self.note}" if self.note else "")


class Definition(NamedTuple):
    """What a signature says about an estimator: the one source for adapters, the command line, tests and docs."""

    name: str
    function: Callable[..., Any]
    unit: Unit
    """What there is one advantage of."""
    inputs: tuple[str, ...]
    """Words of the vocabulary that it takes, those that the call takes care of included."""
    needed: tuple[str, ...]
    """Inputs that must be passed."""
    positional: tuple[str, ...]
    settings: Mapping[str, Any]
    """Defaults of the settings."""
    checks: Mapping[str, Setting]
    shapes: Shapes
    ranges: Ranges
    """Numbers that an input may be, where it or the formula means nothing for others."""
    own: frozenset[str]
    """Parameters of the function itself; the call takes care of the rest."""
    arrays: tuple[str, ...]
    """Inputs that are numbers or flags."""
    ids: tuple[str, ...]
    """Inputs that are ids."""
    own_inputs: tuple[str, ...]
    """Inputs that the function itself takes."""
    by_name: tuple[str, ...]
    """Those of them that it takes by name only."""
    own_settings: tuple[str, ...]
    """Settings that the function itself takes."""
    lead: str
    """The input whose library, device and floating dtype the advantages have."""
    spec: Callable[..., Any] | None
    promises: Promises
    paper: Paper | None
    signature: inspect.Signature
    selects: bool = False
    """Whether the function itself looks at trained tokens only, so that words of tokens come as they are."""
    portable: bool | Callable[[int], bool] = False
    """Whether the function may see numpy arrays in the place of tensors on the host, or a function that says so of the
    most pairs of responses that a batch has."""
    widens: bool = False
    """Whether the function widens and selects what it reads, so that numbers may come as they are."""

    @property
    def per_token(self) -> bool:
        """Whether there is one advantage per token, not per response."""
        return self.unit == "token"

    @property
    def by_component(self) -> bool:
        """Whether it takes the rewards by component, (N, K), not their sum."""
        return ("N", "K") in self.shapes.get("rewards", ())


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
    unit: Unit | None = None,
    paper: Paper | None = None,
    ranges: Ranges | None = None,
    selects: bool = False,
    portable: bool | Callable[[int], bool] = False,
    widens: bool = False,
    extended: bool = True,
) -> Definition:
    """Read a function's signature against the vocabulary.

    Args:
        function: any callable with a signature.
        spec, promises, shapes, unit, paper, ranges, selects, portable, widens: as in `estimator`. Without a unit, a
            function that takes a mask is read as one that gives an advantage per token.
        extended: whether the words that the call takes care of (`valid`, `strict` ...) belong to the signature.

    Raises:
        TypeError: a positional parameter is no word of the vocabulary, a setting has no default, or the unit or a
            promise is none.
    """
    name = getattr(function, "__name__", type(function).__name__)
    if unit not in (None, *get_args(Unit)):
        raise TypeError(f'{name}: unit is {unit!r}; declare "response" or "token"')
    if promises is not None and not isinstance(promises, Promises):
        raise TypeError(f"{name}: promises is a {type(promises).__name__}; pass Promises(...)")
    if spec is not None and not callable(spec):
        raise TypeError(f"{name}: spec is a {type(spec).__name__}; pass a function in numpy")
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    inputs = {p.name: p for p in parameters if p.kind is not p.KEYWORD_ONLY or p.name in INPUTS}
    for p in inputs.values():
        if p.name not in INPUTS or p.kind is p.VAR_POSITIONAL:
            raise TypeError(
                f"{name}: takes {p.name!r}, which nobody can supply; inputs are named "
                f"{', '.join(INPUTS)}, and settings are keyword-only{did_you_mean(p.name, INPUTS)}"
            )
    if "rewards" not in inputs and "token_rewards" not in inputs:
        raise TypeError(f"{name}: takes neither rewards nor token_rewards; an estimator needs one of them")
    settings = {p.name: p.default for p in parameters if p.name not in inputs}
    own_settings = tuple(settings)
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
        added = {"valid": None, "trained": None, "trajectories": None, "strict": False, "across": None}
        if "groups" in inputs and "singleton" not in settings:
            added |= {"singleton": "zero", "min_scored": 2}
        added = {key: default for key, default in added.items() if key not in inputs and key not in settings}
        options = {"strict": bool, "across": Any, "singleton": Singleton, "min_scored": MinScored}
        settings |= {key: added[key] for key in added if key in options}
        checks |= {key: Setting(options[key]) for key in added if key in options}
    extra = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value) for key, value in added.items()]
    words = (*inputs, *(key for key in added if key in INPUTS))
    return Definition(
        name=name,
        function=function,
        unit=unit or ("token" if "mask" in inputs else "response"),
        inputs=words,
        needed=tuple(p.name for p in inputs.values() if p.default is p.empty),
        positional=tuple(p.name for p in inputs.values() if p.kind is not p.KEYWORD_ONLY),
        settings=settings,
        checks=checks,
        shapes=shapes or {},
        ranges={word: INPUTS[word].allowed for word in words if INPUTS[word].allowed.bounded} | dict(ranges or {}),
        own=frozenset(p.name for p in parameters),
        arrays=tuple(word for word in words if INPUTS[word].kind != "ids"),
        ids=tuple(word for word in words if INPUTS[word].kind == "ids"),
        own_inputs=tuple(inputs),
        by_name=tuple(p.name for p in inputs.values() if p.kind is p.KEYWORD_ONLY),
        own_settings=own_settings,
        lead="rewards" if "rewards" in inputs else "token_rewards",
        spec=spec,
        promises=promises or Promises(),
        paper=paper,
        signature=signature.replace(parameters=parameters + extra),
        selects=selects,
        portable=portable,
        widens=widens,
    )
