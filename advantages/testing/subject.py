"""What is under test: an estimator, called with numpy arrays whatever library it runs on."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from hypothesis import strategies as st

from ..backends import backend_of, library_of
from ..core.definition import Definition, define
from ..core.promises import Promises
from ..core.settings import Range
from ..core.vocabulary import INPUTS
from . import strategies

__all__ = ["Case", "NotApplicable", "Subject", "fail", "installed_libraries", "same", "to_float64", "to_library"]

Draw = Callable[[Any], Any]
Case = dict[str, Any]


class NotApplicable(Exception):
    """Why a check says nothing about an estimator."""


def installed_libraries() -> tuple[str, ...]:
    """Array libraries that can be imported here; numpy first."""
    return tuple(name for name in ("numpy", "torch", "jax") if importlib.util.find_spec(name))


class Subject:
    """An estimator under test.

    Args:
        function: made with `@estimator`, or any function whose positional parameters are words of the vocabulary
            and whose keyword-only parameters are settings.
        spec: oracle, called with the inputs by name as numpy arrays; the estimator's own by default.
        promises: what the function promises; the estimator's own by default.
        library: the array library that the function runs on while its properties are checked.
        libraries: libraries on which it must agree, compile and vectorise; for `@estimator` all installed.
        singleton: what a lone response in a group gets by default, "zero" or "raw".
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        spec: Callable[..., Any] | None = None,
        promises: Promises | None = None,
        library: str = "numpy",
        libraries: Sequence[str] | None = None,
        singleton: str = "zero",
    ) -> None:
        self.function = function
        self.decorated = hasattr(function, "__advantages__")
        self.definition: Definition = getattr(function, "__advantages__", None) or define(
            function, spec, promises, extended=False
        )
        self.spec = spec or self.definition.spec
        self.promises = promises or self.definition.promises
        self.library = library
        self.singleton = singleton
        if libraries is None:
            libraries = installed_libraries() if self.decorated else ()
        self.libraries = tuple(libraries)
        self.options = strategies.settings(self.definition)
        self._refused: dict[Any, bool] = {}

    @property
    def per_token(self) -> bool:
        """Whether there is one advantage per token, not per response."""
        return self.definition.per_token

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of ids that it must take; a plain function may refuse all but integers, if it says so."""
        if self.decorated:
            return tuple(strategies.LOOKALIKES)
        return ("integers",) if self.library == "jax" else ("integers", "integers of 64 bits")

    def takes(self, *words: str) -> bool:
        return all(word in self.definition.inputs or word in self.definition.settings for word in words)

    def needs(self, *words: str) -> None:
        """Raise `NotApplicable` unless the estimator takes all of `words`."""
        for word in words:
            if not self.takes(word):
                raise NotApplicable(f"takes no {word}")

    def per_group(self) -> None:
        """Raise `NotApplicable` unless advantages are made group by group."""
        self.needs("groups")
        if self.promises.spans_batch:
            raise NotApplicable("its statistics span the batch")

    def case(
        self,
        draw: Draw,
        *extra: str,
        n: int | None = None,
        t: int | None = None,
        k: int | None = None,
        kinds: Sequence[str] | None = None,
        defaults: bool = False,
    ) -> Case:
        """Inputs that the estimator needs, `extra` ones, and settings, unless `defaults` are asked for."""
        kinds = kinds or self.kinds
        case: Case = draw(
            strategies.inputs(*self.words(*extra), shapes=self.definition.shapes, n=n, t=t, k=k, kinds=kinds)
        )
        case = self.fitted(case)
        return case if defaults else {**case, **self.settings(draw, case)}

    def large_case(self, draw: Draw, *extra: str, n: int, t: int = 2) -> Case:
        """Inputs that the estimator needs, and `extra` ones, of many rows or tokens, and settings."""
        seed = draw(st.integers(0, 2**32))
        case: Case = self.fitted(strategies.large(self.words(*extra), seed, shapes=self.definition.shapes, n=n, t=t))
        return {**case, **self.settings(draw, case)}

    def words(self, *extra: str) -> list[str]:
        """Inputs that the estimator needs, and `extra` ones."""
        return [word for word in self.definition.inputs if word in self.definition.needed or word in extra]

    def settings(self, draw: Draw, case: Case) -> Case:
        """Settings away from their defaults; none where it refuses them, since some need others, or an input."""
        chosen: Case = draw(self.options)
        chosen = {name: x for name, x in chosen.items() if x != self.definition.settings[name]}
        key = (*case, *sorted(chosen.items()))
        if chosen and key not in self._refused:
            try:
                self.function(**{name: to_library(x, self.library) for name, x in case.items()}, **chosen)
            except Exception:
                self._refused[key] = True
            else:
                self._refused[key] = False
        return {} if chosen and self._refused[key] else chosen

    def fitted(self, case: Mapping[str, Any]) -> Case:
        """The case with every finite number inside the range that the estimator declares for it."""
        ranges = self.definition.ranges
        return {name: _inside(ranges[name], x) if name in ranges else x for name, x in case.items()}

    def shape(self, word: str) -> tuple[str, ...]:
        """Names of an input's dimensions."""
        return self.definition.shapes.get(word, (INPUTS[word].shape,))[0]

    def __call__(self, case: Mapping[str, Any], library: str | None = None) -> Any:
        """The advantages of a case as a float64 numpy array."""
        return to_float64(self.raw(case, library))

    def raw(self, case: Mapping[str, Any], library: str | None = None, dtype: str | None = None) -> Any:
        """The advantages of a case as the estimator returns them; of floating inputs in another `dtype`, if given."""
        case = self.fitted(case)
        try:
            return self.function(**{name: to_library(x, library or self.library, dtype) for name, x in case.items()})
        except Exception as error:
            fail(f"raised {type(error).__name__}: {error}", dict(case))


def _inside(allowed: Range, x: Any) -> Any:
    """Numbers moved into a range; verdicts are 1 where a number is above 0. What is not finite stays."""
    if not isinstance(x, np.ndarray) or x.dtype.kind == "b":
        return x
    if allowed.whole and (allowed.low, allowed.high) == (0.0, 1.0):
        moved = (x > 0).astype(x.dtype)
    else:
        moved = np.clip(x, *(None if np.isinf(end) else x.dtype.type(end) for end in (allowed.low, allowed.high)))
    return np.where(np.isfinite(x), moved, x)


def to_library(x: Any, library: str, dtype: str | None = None) -> Any:
    """A numpy array as an array of `library`; strings and other things stay what they are."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        return x
    if library == "numpy":
        return x if dtype is None or x.dtype.kind != "f" else x.astype(dtype)
    made: Any
    if library == "torch":
        import torch

        made = torch.from_numpy(x.copy())
        return made.to(getattr(torch, dtype)) if dtype and x.dtype.kind == "f" else made
    import jax.numpy as jnp

    if x.dtype.kind in "iu" and x.size and np.abs(x, dtype=np.float64).max() >= 2**31:
        return x  # beyond the integers that JAX has by default
    made = jnp.asarray(x)
    return made.astype(dtype) if dtype and x.dtype.kind == "f" else made


def to_float64(x: Any) -> Any:
    """Any library's array as a float64 numpy array."""
    if library_of(x) is None:
        raise AssertionError(f"returned a {type(x).__name__}, not an array")
    if library_of(x) == "torch":
        x = x.detach().cpu().double()
    return np.asarray(backend_of(x).to_numpy(x)).astype(np.float64)


def same(found: Any, expected: Any, sentence: str, *cases: Case, tolerance: float = 1e-6) -> None:
    """Fail with `sentence` and the cases unless two arrays agree to `tolerance`, relative to the largest number."""
    expected = np.broadcast_to(np.asarray(expected, np.float64), np.shape(found))
    scale = max(1.0, float(np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)))
    if np.shape(found) and not found.size:
        return
    if not np.all(np.abs(found - expected) <= tolerance * scale):  # NaN is never close
        fail(f"{sentence}\nfound     {show(found)}\nexpected  {show(expected)}", *cases)


def fail(sentence: str, *cases: Case) -> NoReturn:
    raise AssertionError("\n".join([sentence, *("\n" + describe(case) for case in cases)]))


def describe(case: Case) -> str:
    """A case, one input a line, as it could be typed."""
    width = max(map(len, case))
    return "\n".join(f"    {name:<{width}} = {show(x)}" for name, x in case.items())


def show(x: Any) -> str:
    """A value on one line; arrays as nested lists, cut in the middle where they are long."""
    if not isinstance(x, np.ndarray):
        return repr(x)
    text = np.array2string(x, precision=9, separator=", ", threshold=64, max_line_width=10**6)
    if x.dtype.kind != "f":
        return " ".join(text.split("\n")) if x.dtype.kind in "OUS" else " ".join(text.split())
    return " ".join(text.split()).replace(". ", "").replace(".,", ",").replace(".]", "]")
