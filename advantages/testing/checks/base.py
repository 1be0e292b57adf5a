"""What a check is, the list of all checks, and what several of them need."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ...core.vocabulary import INPUTS
from .. import strategies
from ..subject import Case, Draw, NotApplicable, Subject


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


Run = Callable[[Subject, Draw], None]


CHECKS: list[Check] = []
"""Every check, in the order of the report."""


def check(run: Run) -> Run:
    CHECKS.append(Check(run))
    return run


def check_rarely(examples: float) -> Callable[[Run], Run]:
    """For checks whose examples are large, and say much each; 0 for one that a single example settles."""

    def decorate(run: Run) -> Run:
        CHECKS.append(Check(run, examples=examples))
        return run

    return decorate


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


def take(case: Case, rows: Any) -> Case:
    """The same case with some of its rows, in some order."""
    return {name: x[rows] if name in INPUTS else x for name, x in case.items()}


def slots(case: Case) -> Any:
    """(N,) the number of each row's group."""
    return strategies.dense(case["groups"])


def over(rows: Any, x: Any) -> Any:
    """(N,) `rows` with as many axes as `x` has, to choose from it."""
    return rows.reshape(-1, *[1] * (x.ndim - 1))


def token_words(subject: Subject, case: Case) -> list[str]:
    """Inputs of a case that have one entry per token."""
    return [name for name in case if name in INPUTS and subject.shape(name) == ("N", "T")]
