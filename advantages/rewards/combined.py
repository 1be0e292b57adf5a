"""Several reward functions, weighed, and each one known by its name."""

import asyncio
import contextlib
import inspect
import math
import os
import signal
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from .checks import EXTRAS, Ledger, NotStartedError, WrongLengthError, WrongTypeError, needs_of, scores_of, taken
from .names import resolve

__all__ = ["Rewards", "Scores"]

Function = Callable[..., Any]
Weighing = float | Callable[[int], float]
RESERVED = ("prompts", "completions", *EXTRAS)


class Scores(NamedTuple):
    """What N responses were given for K components."""

    values: NDArray[np.float64]
    """(N, K), NaN where unscored: what `gdpo` takes as `rewards`."""
    names: tuple[str, ...]
    """Of the components, in the order of the columns: what `gdpo` takes as `components`."""
    weights: NDArray[np.float64]
    """(K,) at this step: what `gdpo` takes as `weights`."""
    optional: frozenset[str]
    """Components that apply to some prompts only."""
    metrics: dict[str, float]
    """What reward functions have logged with `log_metric`: the mean per name."""
    extra: dict[str, list[Any]]
    """What reward functions have logged with `log_extra`: entries per column."""

    def total(self, groups: Any = None) -> NDArray[np.float64]:
        """(N,) weighted sums, NaN for an unscored response.

            total_i = sum over k of w_k r_ik

        A response is unscored where a component with a weight other than 0 is: to count the missing one as 0 would
        punish the response for the judge's failure, in comparison with its siblings. An `optional` component adds
        nothing where it is unscored; given the groups, only where it is unscored for all responses of the group, for
        then it did not apply to the prompt, and siblings are compared alike. A response without any scored component
        of a weight other than 0 is unscored.

        Args:
            groups: (N,) ids, equal where responses answer the same prompt, or `Groups` of them; they matter to
                optional components only.

        Raises:
            ValueError: there are not N ids.
        """
        counts = self.weights != 0
        unscored = np.isnan(self.values)
        absent = np.array([name in self.optional for name in self.names]) & unscored
        if groups is not None:
            absent &= _for_whole_groups(unscored, groups)
        scored = ~(unscored & ~absent & counts).any(1) & (~unscored & counts).any(1)
        sums = (np.where(unscored, 0.0, self.values) * self.weights).sum(1)
        return np.where(scored, sums, np.nan)

    def log(self) -> dict[str, float]:
        """Numbers for a log, per component: mean and deviation over scored responses, share unscored, weight."""
        numbers: dict[str, float] = {}
        for name, values, weight in zip(self.names, self.values.T, self.weights, strict=True):
            scored = values[~np.isnan(values)]
            numbers[f"rewards/{name}/mean"] = float(scored.mean()) if len(scored) else math.nan
            numbers[f"rewards/{name}/std"] = float(scored.std(ddof=1)) if len(scored) > 1 else math.nan
            numbers[f"rewards/{name}/unscored"] = float(np.isnan(values).mean()) if len(values) else 0.0
            numbers[f"rewards/{name}/weight"] = float(weight)
        return {**numbers, **self.metrics}


def _for_whole_groups(unscored: NDArray[np.bool_], groups: Any) -> NDArray[np.bool_]:
    """(N, K) whether a component is unscored for every response of the row's group."""
    groups = getattr(groups, "slots", groups)  # of `advantages.Groups`
    ids = groups.tolist() if hasattr(groups, "tolist") else list(groups)
    if len(ids) != len(unscored):
        raise ValueError(f"Scores: there are {len(unscored)} responses but {len(ids)} ids in groups; pass one for each")
    slots: dict[Hashable, int] = {}
    slot = np.array([slots.setdefault(group, len(slots)) for group in ids], np.intp)
    whole = np.ones((len(slots), unscored.shape[1]), bool)
    np.logical_and.at(whole, slot, unscored)
    return whole[slot]


class Rewards:
    """Named reward functions, called on a batch, each scored apart, with a weight for each.

    A function that raises leaves the batch unscored in its column, with one warning per component and kind of
    exception; `failures` counts the responses. A function that breaks the contract (wrong number of scores, scores
    that are no numbers) is an error, as is a column that the data lacks. Each function gets lists of its own.

    Args:
        weights: for each component a number, or a function of the step such as `Weight`. The keys are names of
            ready-made functions, "package.module:function", or names of your own for entries of `functions`.
        functions: reward functions, or names of them, under names of your own.
        settings: settings of components that are given by name.
        optional: components that apply to some prompts only, see `Scores.total`.

    Raises:
        TypeError, ValueError: a component, weight or setting that cannot work.

    >>> rewards = Rewards({"exact": 1.0, "short": 0.5}, {"short": "overlong"},
    ...     settings={"exact": {"marker": "#"}, "short": {"max_length": 8, "buffer": 4}})
    >>> rewards.needs
    ('answer', 'completion_ids')
    >>> scores = rewards(["1+1=", "1+1="], ["#2", "#3"], {"answer": ["2", "2"], "completion_ids": [4, 6]})
    >>> scores.total()
    array([ 1.  , -0.25])
    """

    def __init__(
        self,
        weights: Mapping[str, Weighing],
        functions: Mapping[str, str | Function] | None = None,
        *,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        optional: Collection[str] = (),
    ) -> None:
        functions, settings = functions or {}, settings or {}
        for what, given in (("weights", weights), ("functions", functions), ("settings", settings)):
            if not isinstance(given, Mapping):
                raise TypeError(f"Rewards: {what} is a {type(given).__name__}; pass a dict, by names of functions")
        if not weights:
            raise ValueError("Rewards: there are no components; pass a weight for each, such as {'exact': 1.0}")
        if isinstance(optional, str):
            raise TypeError(f"Rewards: optional is {optional!r}; pass a list of names")
        for what, names in (("functions", functions), ("settings", settings), ("optional", optional)):
            for name in names:
                if name not in weights:
                    raise ValueError(f"Rewards: {what} has {name!r}, which has no weight; weights are {_list(weights)}")
        self.weights = dict(weights)
        self.optional = frozenset(optional)
        self._functions = {name: _made(name, functions.get(name, name), settings.get(name)) for name in weights}
        self._ledgers = {name: Ledger(name) for name in weights}
        self._weights(0)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the components, in order."""
        return tuple(self._functions)

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns that the components need, to be checked against the data before a run."""
        return tuple(dict.fromkeys(column for function in self._functions.values() for column in needs_of(function)))

    @property
    def failures(self) -> dict[str, dict[str, int]]:
        """Responses left unscored since the start, by component and by what happened."""
        return {
            name: {**getattr(function, "failures", {}), **self._ledgers[name].counts}
            for name, function in self._functions.items()
        }

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        columns: Mapping[str, Any] | None = None,
        step: int = 0,
    ) -> Scores:
        """Score a batch.

        Args:
            prompts: (N,) texts or chats.
            completions: (N,) texts or chats.
            columns: lists with one entry per response, by name.
            step: of the training, for weights that change, and for functions that ask.

        Raises:
            TypeError, ValueError: the batch does not fit together or lacks a column, or a function's scores are none.
        """
        batch = _batch(prompts, completions, columns or {})
        rows = len(batch["completions"])
        for name, function in self._functions.items():
            missing = [column for column in needs_of(function) if column not in batch]
            if missing:
                raise TypeError(f"{name}: needs {_list(missing)}, but the columns are {_list(columns or ())}; pass it")
        metrics: dict[str, list[float]] = {}
        extra: dict[str, list[Any]] = {}
        extras = {
            "trainer_state": SimpleNamespace(global_step=step),
            "log_metric": lambda name, value: metrics.setdefault(name, []).append(float(value)),
            "log_extra": lambda column, entries: extra.setdefault(column, []).extend(entries),
        }
        weights = self._weights(step)
        values = np.full((rows, len(self._functions)), np.nan)
        if rows:
            known = {name: _known(function) for name, function in self._functions.items()}
            results = self._results(batch, extras)
            for k, (name, result) in enumerate(results.items()):
                values[:, k] = self._read(name, result, rows, known[name], counts=weights[k] != 0)
        return Scores(
            values, self.names, weights, self.optional, {name: float(np.mean(x)) for name, x in metrics.items()}, extra
        )

    def _weights(self, step: int) -> NDArray[np.float64]:
        found: list[float] = []
        for name, weight in self.weights.items():
            value = weight(step) if callable(weight) else weight
            if isinstance(value, bool) or not isinstance(value, Real):
                raise TypeError(f"Rewards: the weight of {name!r} is a {type(value).__name__}; pass a number or Weight")
            if not math.isfinite(value):
                raise ValueError(f"Rewards: the weight of {name!r} is {value} at step {step}; it must be finite")
            found.append(float(value))
        return np.array(found, np.float64)

    def _results(self, batch: dict[str, list[Any]], extras: dict[str, Any]) -> dict[str, Any]:
        """What each function returned, or the exception that it raised."""
        results: dict[str, Any] = {}
        with _staying(), _interrupts() as interrupts:
            for name, function in self._functions.items():
                try:
                    given = taken(function, {**{key: list(entries) for key, entries in batch.items()}, **extras})
                    results[name] = function(**given)
                except (NotStartedError, WrongLengthError, WrongTypeError):
                    raise
                except BaseException as error:  # math-verify's time limit, for one, is no Exception; nor is `exit()`
                    if interrupts:
                        raise
                    results[name] = error
            waiting = {name: result for name, result in results.items() if inspect.isawaitable(result)}
            if waiting:
                results.update(zip(waiting, _awaited(waiting.values()), strict=True))
        if interrupts:
            raise interrupts[0]
        return results

    def _read(self, name: str, result: Any, rows: int, known: int, *, counts: bool) -> NDArray[np.float64]:
        """(N,) scores of a component, NaN where there is none, which is counted."""
        ledger = self._ledgers[name]
        if isinstance(result, BaseException):
            ledger.add(type(result).__name__, rows, f"raised {type(result).__name__}: {result}")
            return np.full(rows, np.nan)
        scores = np.array(scores_of(name, result, rows))
        infinite = np.isinf(scores)
        if infinite.any():
            ledger.add("infinite", int(infinite.sum()), f"returned an infinite score for response {infinite.argmax()}")
        unscored = int(np.isnan(scores).sum()) - (_known(self._functions[name]) - known)
        if unscored > 0 and name not in self.optional and counts:
            ledger.add(
                "no score",
                unscored,
                "has no score for some responses (such as rows without an answer), so that they have no total; "
                "name it in `optional` where it applies to some prompts only",
            )
        return np.where(infinite, np.nan, scores)


def _made(name: str, function: str | Function, settings: Mapping[str, Any] | None) -> Function:
    if isinstance(function, str):
        return resolve(function, settings)
    if settings is not None:
        raise ValueError(f"Rewards: settings for {name!r}, which is given as a function; set it there")
    if not callable(function):
        raise TypeError(f"Rewards: {name!r} is a {type(function).__name__}; pass a reward function or the name of one")
    if hasattr(function, "forward"):
        raise TypeError(f"Rewards: {name!r} is a model; pass a function that tokenizes completions and calls it")
    return function


def _batch(prompts: Any, completions: Any, columns: Mapping[str, Any]) -> dict[str, list[Any]]:
    for name in columns:
        if name in RESERVED:
            raise ValueError(f"Rewards: a column is called {name!r}, which means something else here; rename it")
    batch = {}
    for name, entries in {"completions": completions, "prompts": prompts, **columns}.items():
        if isinstance(entries, str) or not hasattr(entries, "__len__"):
            raise TypeError(f"Rewards: {name} is a {type(entries).__name__}; pass a list with one entry per response")
        batch[name] = entries.tolist() if hasattr(entries, "tolist") else list(entries)
        if len(batch[name]) != len(completions):
            raise ValueError(
                f"Rewards: there are {len(completions)} completions but {len(batch[name])} entries in {name}; "
                "pass one per response"
            )
    return batch


@contextlib.contextmanager
def _interrupts() -> Iterator[list[BaseException]]:
    """What handlers of signals raise in the meantime, as Ctrl-C's: that ends the run, a function's own ends a row.

    Only the main thread handles signals; in another, there are none.
    """
    raised: list[BaseException] = []
    if threading.current_thread() is not threading.main_thread():
        yield raised
        return

    def watched(handler: Callable[[int, Any], Any]) -> Callable[[int, Any], None]:
        def handle(number: int, frame: Any) -> None:
            try:
                handler(number, frame)
            except BaseException as error:
                raised.append(error)
                raise

        return handle

    before = {number: handler for number in signal.valid_signals() if callable(handler := signal.getsignal(number))}
    ours = {number: watched(handler) for number, handler in before.items()}
    try:
        for number, handler in ours.items():
            signal.signal(number, handler)
        yield raised
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is handler:  # a function may have set one of its own
                signal.signal(number, before[number])


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Within, `os._exit` raises SystemExit, which ends a row: the run would end here, with exit status 0 and no word.

    A child that a function forks, and lets go on, ends with the block: it would train, and write, beside its parent.
    In the child, `os._exit` is what it is; as it is in threads beside the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process, leave = os.getpid(), os._exit

    def stay(status: int) -> NoReturn:
        if os.getpid() != process:
            leave(status)
        raise SystemExit(status)

    os._exit = stay
    try:
        yield
    finally:
        os._exit = leave
        if os.getpid() != process:
            leave(0)


def _known(function: Function) -> int:
    """Responses that a function has itself reported as unscored."""
    return sum(getattr(function, "failures", {}).values())


def _awaited(results: Iterable[Any]) -> list[Any]:
    """What coroutines return or raise, all run at once, whether or not an event loop runs already."""

    async def kept(result: Any) -> Any:
        try:
            return await result
        except (KeyboardInterrupt, SystemExit) as error:  # which would end the loop, and with it the others
            return error

    async def gathered() -> list[Any]:
        return await asyncio.gather(*map(kept, results), return_exceptions=True)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(gathered())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(gathered())).result()


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
